//! P1 with full disks: under Postgres, under the blobs, under the spool. Writes are refused with a clear answer and nothing is sent
//! that is not kept; once there is room the service goes on by itself, and what could not be kept is a gap.
//!
//! As root on Linux each disk is a real one: a small tmpfs. Elsewhere a limit on the size of files stands in for it, put on the
//! process that writes: the same refusal to grow a file, by another error.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::power::{postmaster, psql};
use crate::service::{Curl, Device, Firm, Origin, Service, TOKEN, eventually};

/// Longest until a service with room again takes a write.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small file system of its own; let go of when dropped.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// None when we may not mount: then a limit has to do.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0711");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "muniment-test"]).arg(at).output();
        let mounted = mounted.is_ok_and(|said| said.status.success());
        if !mounted {
            println!(
                "not root, or no right to mount: a limit on file sizes stands in for a full disk at {}",
                at.display()
            );
        }
        mounted.then(|| Self { at: at.to_owned() })
    }

    /// Takes what room is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.at.join("filler")).unwrap();
        let chunk = vec![0; 64 << 10];
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
        // To the last byte: a write of a few hundred must not fit either.
        while std::io::Write::write_all(&mut file, &[0]).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the database may still be on its way out.
        let _gone = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

/// Room that can be taken and given back: a real disk, or limits on those who write.
enum Room {
    Disk(Disk),
    /// Soft limits of processes. The kernel sends SIGXFSZ, which the service catches and Postgres ignores, and the write fails.
    Limit,
}

impl Room {
    fn take(&self, pids: &[u32]) {
        match self {
            Self::Disk(disk) => disk.fill(),
            Self::Limit => limit(pids, "0"),
        }
    }

    fn give(&self, pids: &[u32]) {
        match self {
            Self::Disk(disk) => disk.clear(),
            Self::Limit => limit(pids, "unlimited"),
        }
    }
}

fn limit(pids: &[u32], size: &str) {
    for pid in pids {
        let fsize = format!("--fsize={size}:unlimited");
        let said = Command::new("prlimit").args(["--pid", &pid.to_string(), &fsize]).output().unwrap();
        assert!(said.status.success(), "prlimit: {said:?}");
    }
}

struct Stage {
    origin: Origin,
    firm: Firm,
    service: Service,
    curl: Curl,
}

impl Stage {
    fn start(origin: Origin, firm: Firm) -> Self {
        let service = firm.serve();
        let device: Device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
        let curl = firm
            .device(&device)
            .header("authorization", &format!("Bearer {TOKEN}"))
            .header("accept", "application/json");
        Self { origin, firm, service, curl }
    }

    /// The answer to a post: its status and what it says.
    fn post(&self, text: &str) -> (u16, Value) {
        // In a file: it may be more than fits on a command line.
        let body = self.firm.dir().join("body.json");
        std::fs::write(&body, json!({ "status": text }).to_string()).unwrap();
        let curl = self.curl.clone().header("content-type", "application/json").header("expect", "");
        let curl = curl.option("--data-binary", &format!("@{}", body.display()));
        let answer = curl.send(&self.origin.url("/api/v1/statuses"));
        let answer = answer.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// Posts until one is refused; the refusal.
    fn post_until_refused(&self) -> Value {
        for number in 0..400 {
            let (status, said) = self.post(&format!("on a full disk {number} {}", "long ".repeat(400)));
            if status != 200 {
                assert!(matches!(status, 503 | 507), "{status} {said}");
                return said;
            }
        }
        panic!("a full disk takes everything");
    }

    /// Posts until one goes through again, with no help from outside.
    fn post_until_taken(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            let (status, said) = self.post("there is room again");
            if status == 200 {
                return;
            }
            last = said;
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("it does not go on: {last} {:#?}", self.service.lines());
    }

    fn accepted(&self) -> Vec<String> {
        self.origin.statuses().into_iter().map(|status| status.text).collect()
    }

    /// What the network accepted is archived, once each; a gap says what was not; the archive verifies.
    fn assert_promise(mut self) {
        let accepted = self.accepted();
        let query = "select c.text from projection.records r join projection.communications c using (record) \
                     where r.type = 'capture' and r.state = 'accepted'";
        eventually(|| {
            let rows = psql(&self.firm.data(), query);
            let mut archived: Vec<&str> = rows.lines().collect();
            archived.sort_unstable();
            let mut wanted: Vec<&str> = accepted.iter().map(|text| text.trim_end()).collect();
            wanted.sort_unstable();
            let archived: Vec<&str> = archived.into_iter().map(str::trim_end).collect();
            (archived == wanted).then_some(())
        });
        let gaps = "select coalesce(sum(count), 0) from projection.gaps where cause = 'write_refused'";
        eventually(|| (psql(&self.firm.data(), gaps).trim() != "0").then_some(()));
        let verified = self.firm.ask(&["verify"]);
        assert_eq!(verified["sound"], true, "{verified}");
        self.service.signal("TERM");
        assert_eq!(self.service.wait(), 0, "{:#?}", self.service.lines());
    }
}

fn postgres_pids(data: &Path) -> Vec<u32> {
    let postmaster = u32::try_from(postmaster(data).expect("a running postgres")).unwrap();
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster.to_string()]).output().unwrap();
    let children = String::from_utf8(listed.stdout).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([postmaster]).collect()
}

fn is_clear(refusal: &Value) {
    let said = refusal.to_string();
    assert!(said.contains("not") && said.contains("record"), "it says what happened: {said}");
    assert!(!said.contains("long long"), "and repeats nothing: {said}");
}

#[test]
fn p1_a_full_disk_under_postgres_refuses_writes_and_goes_on_when_there_is_room() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "[archive]\nwhen_unavailable = \"refuse\"\nappend_timeout = \"5s\"");
    let disk = Disk::mount(&firm.data().join("postgres"), "320m");
    let mut stage = Stage::start(origin, firm);
    let room = disk.map_or(Room::Limit, Room::Disk);
    assert_eq!(stage.post("while there is room").0, 200);
    let before = stage.accepted().len();
    match &room {
        Room::Disk(disk) => disk.fill(),
        // Processes that Postgres starts anew inherit the postmaster's limit.
        Room::Limit => limit(&postgres_pids(&stage.firm.data()), "1048576"),
    }
    // What is preallocated still takes some: the next segment of its log does not fit.
    is_clear(&stage.post_until_refused());
    let sent = stage.accepted().len() - before;
    assert!(stage.post("refused, and not sent").0 >= 500);
    assert_eq!(stage.accepted().len() - before, sent, "nothing was sent that was not kept");
    match &room {
        Room::Disk(disk) => disk.clear(),
        Room::Limit => limit(&postgres_pids(&stage.firm.data()), "unlimited"),
    }
    stage.post_until_taken();
    stage.assert_promise();
    drop(room);
}

#[test]
fn p1_a_full_disk_under_the_blobs_refuses_uploads_lets_posts_pass_and_goes_on_when_there_is_room() {
    fill_blobs(|at| Disk::mount(at, "24m"));
}

#[test]
fn p1_a_limit_on_the_size_of_files_is_met_like_a_full_disk_and_does_not_end_the_service() {
    fill_blobs(|_at| None);
}

fn fill_blobs(disk: impl FnOnce(&Path) -> Option<Disk>) {
    let origin = Origin::start();
    // What is held stays in memory: a limit that stands in for the disk is one on every file of the service.
    let firm = Firm::new(&origin, "[proxy.limits]\nbody_memory = \"8 MiB\"");
    let disk = disk(&firm.data().join("blobs"));
    let mut stage = Stage::start(origin, firm);
    let room = disk.map_or(Room::Limit, Room::Disk);
    let pid = stage.service.pid();
    let large = "a long text ".repeat(100_000);
    // The network takes no text of that size: that it says so shows that the post was kept and released.
    let (status, said) = stage.post(&large);
    assert_eq!(status, 422, "{said}");
    room.take(&[pid]);
    let before = stage.accepted().len();
    let (status, said) = stage.post(&format!("{large} once more"));
    assert!(matches!(status, 503 | 507), "{status} {said}");
    is_clear(&said);
    assert_eq!(stage.accepted().len(), before);
    let (status, said) = stage.post("short ones need no blob");
    assert_eq!(status, 200, "{said}");
    room.give(&[pid]);
    stage.post_until_taken();
    let (status, said) = stage.post(&format!("{large} and again"));
    assert_eq!(status, 422, "{said}");
    let left = std::fs::read_dir(stage.firm.data().join("blobs/unfinished")).unwrap().count();
    assert_eq!(left, 0, "what was begun on the full disk is gone");
    stage.assert_promise();
    drop(room);
}

#[test]
fn p1_a_full_disk_under_the_spool_refuses_writes_while_postgres_is_away_and_loses_none() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "[archive]\nappend_timeout = \"1s\"");
    let disk = Disk::mount(&firm.data().join("spool"), "512k");
    let mut stage = Stage::start(origin, firm);
    let room = disk.map_or(Room::Limit, Room::Disk);
    assert_eq!(stage.post("while postgres is there").0, 200);
    let pid = stage.service.pid();
    let freezer = super::power::Freezer::freeze(&stage.firm.data());
    assert_eq!(stage.post("into the spool").0, 200);
    room.take(&[pid]);
    is_clear(&stage.post_until_refused());
    let sent = stage.accepted().len();
    assert!(stage.post("neither kept nor sent").0 >= 500);
    assert_eq!(stage.accepted().len(), sent);
    // There is room again, but no Postgres yet: the spool goes on.
    room.give(&[pid]);
    stage.post_until_taken();
    drop(freezer);
    let waiting =
        || psql(&stage.firm.data(), "select count(*) from projection.gaps where cause = 'archive_unavailable'");
    eventually(|| (waiting().trim() != "0").then_some(()));
    stage.assert_promise();
    drop(room);
}
