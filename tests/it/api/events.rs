//! Events as they come: in ledger order, none twice, none left out, whatever is cut, restarted or appended elsewhere; nobody's words;
//! and every look is on record before anything is seen.

use std::net::SocketAddr;
use std::time::Duration;

use muniment::api::StreamBounds;
use muniment::archive::{Append as _, Limits};
use muniment::ledger::{Entry, EntryType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::document::assert_documented;
use super::kept::keep;
use super::limits::until;
use super::routes::{SAID, Shown, document};
use super::schema::check;
use super::world::{Officer, Setting, World, by};
use crate::service::Curl;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, detail, gap, post};

const PATIENCE: Duration = Duration::from_secs(30);

/// One event as a client sees it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    id: u64,
    event: String,
    data: Value,
}

/// A reader as the standard describes one: it dispatches what has data, and remembers the last id.
struct Reader {
    stream: TcpStream,
    raw: Vec<u8>,
    /// Of `raw`, taken apart so far.
    taken: usize,
    head: String,
    last: Option<u64>,
    comments: usize,
    events: Vec<Seen>,
    ended: bool,
}

impl Reader {
    async fn open(address: SocketAddr, officer: &Officer, query: &str, last: Option<u64>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last_header = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/events{query} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n{last_header}\r\n",
            officer.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (raw, head) = (Vec::new(), String::new());
        let mut reader = Self { stream, raw, taken: 0, head, last, comments: 0, events: Vec::new(), ended: false };
        reader.until(|reader| !reader.head.is_empty()).await;
        assert!(reader.head.starts_with("HTTP/1.1 200"), "{}", reader.head);
        // What is appended from now on is after the stream's beginning.
        reader.until(|reader| reader.last.is_some()).await;
        reader
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let reading = async {
            while !done(self) {
                assert!(!self.ended, "the stream ended first: {}", String::from_utf8_lossy(&self.raw));
                self.more().await;
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time");
    }

    async fn end(&mut self) {
        let reading = async {
            while !self.ended {
                self.more().await;
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an end in time");
    }

    async fn more(&mut self) {
        let mut bytes = [0; 16_384];
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.raw.extend_from_slice(&bytes[..count]);
        if self.head.is_empty() {
            let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else {
                assert!(count > 0, "no head");
                return;
            };
            self.head = String::from_utf8(self.raw.drain(..end + 4).collect()).unwrap().to_ascii_lowercase();
            self.head.replace_range(..8, "HTTP/1.1");
        }
        // Chunks, each with its length before it.
        while let Some(line) = self.raw[self.taken..].windows(2).position(|window| window == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[self.taken..self.taken + line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            let (from, to) = (self.taken + line + 2, self.taken + line + 2 + length);
            if self.raw.len() < to + 2 {
                break;
            }
            self.taken = to + 2;
            self.ended |= length == 0;
            let text = String::from_utf8(self.raw[from..to].to_vec()).unwrap();
            assert!(text.is_empty() || text.ends_with("\n\n"), "whole events only: {text}");
            text.split_terminator("\n\n").for_each(|block| self.take(block));
        }
        self.ended |= count == 0;
    }

    fn take(&mut self, block: &str) {
        let (mut event, mut data) = (String::new(), None);
        for line in block.lines() {
            match line.split_once(':').expect("a field or a comment") {
                ("", _) => self.comments += 1,
                ("id", id) => self.last = Some(id.trim().parse().unwrap()),
                ("event", name) => name.trim().clone_into(&mut event),
                ("data", json) => data = Some(serde_json::from_str(json).unwrap()),
                ("retry", time) => assert_eq!(time.trim(), "2000"),
                other => panic!("{other:?}"),
            }
        }
        if let Some(data) = data {
            self.events.push(Seen { id: self.last.unwrap(), event, data });
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.events.iter().map(|event| event.id).collect()
    }
}

fn following() -> Setting {
    let streams = StreamBounds { pace: Duration::from_millis(50), ..StreamBounds::default() };
    Setting { follow: true, streams, ..Setting::default() }
}

/// The places of the entries that are events, as the ledger has them.
async fn expected(world: &World, after: u64) -> Vec<u64> {
    let size = world.test.archive.head_size().await.unwrap();
    let entries = world.test.archive.entries(after + 1..size).await.unwrap();
    use EntryType::{Attribution, Capture, Gap, Observation, Outcome};
    let shown = |entry: &&Entry| matches!(entry.entry_type(), Capture | Observation | Outcome | Attribution | Gap);
    entries.iter().filter(shown).map(Entry::index).collect()
}

/// The looks of a stream: what each says it is, and what it counts.
async fn looks(world: &World, from: u64) -> Vec<(String, Entry)> {
    let size = world.test.archive.head_size().await.unwrap();
    let mut looks = Vec::new();
    for entry in world.test.archive.entries(from..size).await.unwrap() {
        if entry.entry_type() == EntryType::Access {
            assert_eq!(entry.detail()["operation"], "events.follow");
            let content = world.test.archive.content(&entry).await.unwrap().unwrap();
            looks.push((content.text("query").unwrap().to_owned(), entry));
        }
    }
    looks
}

async fn ended(world: &World) {
    until("the streams end", || world.instance.streaming.is_empty()).await;
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_without_a_word_of_what_was_said() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let document = document(&world).await;
    let mut reader = Reader::open(world.instance.address, &officer, "", None).await;
    for head in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(reader.head.contains(head), "{}", reader.head);
    }
    let before = world.test.archive.head_size().await.unwrap();
    let shown = Shown::new(&world).await;
    reader.until(|reader| reader.events.len() >= 3).await;
    assert_eq!(reader.ids(), expected(&world, before - 1).await);
    let names: Vec<&str> = reader.events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["record", "outcome", "gap"]);
    for event in &reader.events {
        check(&document, &json!({ "$ref": "#/components/schemas/Event" }), &event.data, "$").unwrap();
        assert_eq!((&event.data["index"], &event.data["event"]), (&json!(event.id), &json!(event.event)));
    }
    let [record, outcome, gap] = &reader.events[..] else { panic!("three") };
    let facts = json!({ "record": shown.kept.id().to_string(), "advisors": [shown.advisor.to_string()], "type": "capture",
        "network": "bluesky", "direction": "outbound", "transport": "http", "kinds": ["post"], "attachments": 1, "size": 42 });
    for (name, value) in facts.as_object().unwrap() {
        assert_eq!(&record.data[name], value, "{name}: {}", record.data);
    }
    assert_eq!(
        (&outcome.data["state"], &outcome.data["capture"]),
        (&json!("accepted"), &json!(shown.kept.entry.to_string()))
    );
    assert_eq!(outcome.data["record"], record.data["record"]);
    assert_eq!((&gap.data["cause"], &gap.data["count"]), (&json!("outage"), &json!(1)));
    let all = String::from_utf8_lossy(&reader.raw).into_owned();
    for private in ["zanzibar", SAID, "did:plc", "Ada", "Olga", "upload"] {
        assert!(!all.contains(private), "{private}: {all}");
    }
}

#[tokio::test]
async fn a_failed_verification_is_an_alarm_and_a_good_one_is_nothing() {
    let world = World::with(following()).await;
    let officer = world.officer(&["legal"]).await;
    let mut reader = Reader::open(world.instance.address, &officer, "?events=alarm", None).await;
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    for (result, failures) in [("verified", 0), ("failed", 3)] {
        let mut submission = gap(&world.test, "outage");
        submission.draft.entry_type = EntryType::Verification;
        submission.draft.detail = detail(
            json!({ "failures": failures, "from": 0, "result": result, "scope": "all", "until": 4, "first_failure": 2 }),
        );
        world.test.archive.append(submission).await.unwrap();
    }
    reader.until(|reader| !reader.events.is_empty()).await;
    let [alarm] = &reader.events[..] else { panic!("{:?}", reader.events) };
    assert_eq!((alarm.event.as_str(), &alarm.data["alarm"]), ("alarm", &json!("verification_failed")));
    assert_eq!((&alarm.data["failures"], &alarm.data["first_failure"]), (&json!(3), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_out_and_nothing_told_twice_over_cuts_restarts_and_other_processes() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let data_dir = tempfile::tempdir().unwrap();
    let second = world.second_with(data_dir.path(), &following()).await;
    let other_dir = tempfile::tempdir().unwrap();
    let other = world.test.open_again(other_dir.path()).await.unwrap();
    let begun = world.test.archive.head_size().await.unwrap();
    let drafts: Vec<_> = (0..120)
        .map(|number| match number % 3 {
            0 => gap(&world.test, "outage"),
            _ => post(&world.test, advisor(1), "zanzibar"),
        })
        .collect();
    let archive = world.test.archive.clone();
    let appending = tokio::spawn(async move {
        for (number, draft) in drafts.into_iter().enumerate() {
            let appended = if number % 2 == 0 { archive.append(draft).await } else { other.append(draft).await };
            appended.unwrap();
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    });
    // Cut after a few events each time, and gone on with at either process, by header or by parameter.
    let (mut seen, mut last, mut round) = (Vec::new(), begun - 1, 0_usize);
    while seen.len() < 120 {
        let address = [world.instance.address, second.address][round % 2];
        let by_parameter = format!("?after={last}");
        let (query, header) = if round % 3 == 0 { (by_parameter.as_str(), None) } else { ("", Some(last)) };
        let mut reader = Reader::open(address, &officer, query, header).await;
        let (wanted, left) = (7 + round % 5, 120 - seen.len());
        reader.until(|reader| reader.events.len() >= wanted.min(left)).await;
        seen.extend(reader.ids());
        last = reader.last.unwrap();
        round += 1;
        assert!(round < 100);
    }
    appending.await.unwrap();
    assert!(round > 3, "it was cut {round} times");
    assert_eq!(seen, expected(&world, begun - 1).await);
    // Once more from the start, in one go, by a service that was started after all of it.
    let third_dir = tempfile::tempdir().unwrap();
    let third = world.second_with(third_dir.path(), &following()).await;
    let mut again = Reader::open(third.address, &officer, "?after=0&wait=false", None).await;
    again.end().await;
    assert_eq!(again.ids(), expected(&world, 0).await);
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_run_longer_than_one_look_is_told_whole() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    for _ in 0..620 {
        world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    }
    world.project().await;
    let before = world.test.archive.head_size().await.unwrap();
    let mut reader = Reader::open(world.instance.address, &officer, "?after=0&wait=false", None).await;
    reader.end().await;
    assert_eq!(reader.ids(), expected(&world, 0).await);
    let counts: Vec<u64> =
        looks(&world, before).await.iter().map(|(_, entry)| entry.detail()["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 250, 250, 120, 620], "begun, three runs, ended");
}

#[tokio::test]
async fn p5_every_event_is_on_record_before_it_is_seen_and_the_end_says_how_far() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let begun = world.test.archive.head_size().await.unwrap();
    let mut reader = Reader::open(world.instance.address, &officer, "?events=record,gap", None).await;
    let (said, entry) = looks(&world, begun).await.pop().expect("that somebody listens is on record");
    assert!(said.contains("&part=begun&") && said.ends_with("&events=record,gap"), "{said}");
    assert_eq!((&entry.detail()["count"], &entry.detail()["allowed"]), (&json!(0), &json!(true)));
    let stream = said.split('&').next().unwrap().to_owned();
    for number in 1..=3 {
        let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await;
        reader.until(|reader| reader.events.len() >= number).await;
        // Seen, so it is on record.
        let (said, entry) = looks(&world, begun).await.pop().unwrap();
        assert_eq!(said, format!("{stream}&part=shown&first={0}&last={0}", kept.index));
        assert_eq!(entry.detail()["records"], json!([kept.id().to_string()]));
    }
    let (first, last) = (reader.events[0].id, reader.events[2].id);
    drop(reader);
    ended(&world).await;
    let (said, entry) = looks(&world, begun).await.pop().unwrap();
    assert!(said.starts_with(&format!("{stream}&part=ended&why=left&from={begun}&until=")), "{said}");
    assert!(said.ends_with(&format!("&first={first}&last={last}")), "{said}");
    assert_eq!(entry.detail()["count"], 3);
    // Nothing happened: no looks are written either, for however long.
    let quiet = world.test.archive.head_size().await.unwrap();
    let idle = Reader::open(world.instance.address, &officer, "", None).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(world.test.archive.head_size().await.unwrap(), quiet + 1);
    drop(idle);
    ended(&world).await;
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn p5_what_cannot_be_written_down_is_not_shown() {
    let world = World::with(Setting { relay: true, append_timeout: Duration::from_secs(1), ..following() }).await;
    let officer = world.officer(&["compliance"]).await;
    let mut reader = Reader::open(world.instance.address, &officer, "", None).await;
    let mut other = world.test.database.superuser().await;
    // Nobody appends until this ends; what was appended before is projected.
    keep(&world.test, &[advisor(1)], &[], &[]).await;
    sqlx::raw_sql("begin; lock table ledger.entries in share row exclusive mode").execute(&mut other).await.unwrap();
    let already = reader.events.len();
    let waited = tokio::time::timeout(Duration::from_secs(3), reader.end()).await;
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    // Either its look came before the lock, or it was not shown.
    let size = world.test.archive.head_size().await.unwrap();
    let entries = world.test.archive.entries(0..size).await.unwrap();
    for event in reader.events.iter().skip(already) {
        let named = |entry: &Entry| entry.detail().get("records").is_some_and(|all| all[0] == event.data["record"]);
        assert!(entries.iter().any(named), "{event:?} was shown unwritten");
    }
    drop(waited);
}

#[tokio::test]
async fn filters_leave_what_was_asked_for() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let (ada, bert) = (advisor(1), advisor(2));
    let ours = keep(&world.test, &[ada], &[], &[]).await.accepted(&world.test).await;
    let others = keep(&world.test, &[bert], &[("network", json!("mastodon"))], &[]).await.accepted(&world.test).await;
    let lost = world.test.archive.append(gap(&world.test, "outage")).await.unwrap().index;
    world.project().await;
    let of = |index: u64| vec![index, index + 1];
    for (query, wanted) in [
        (format!("&advisor={ada}"), of(ours.index)),
        (format!("&advisor={bert}&events=record"), vec![others.index]),
        ("&network=mastodon".to_owned(), of(others.index)),
        ("&network=bluesky&events=outcome".to_owned(), vec![ours.index + 1]),
        ("&events=gap".to_owned(), vec![lost]),
        ("&events=gap,outcome".to_owned(), vec![ours.index + 1, others.index + 1, lost]),
        ("&network=nowhere".to_owned(), vec![]),
        ("&events=alarm,attribution".to_owned(), vec![]),
    ] {
        let path = format!("?after=0&wait=false{query}");
        let mut reader = Reader::open(world.instance.address, &officer, &path, None).await;
        reader.end().await;
        assert_eq!(reader.ids(), wanted, "{query}");
        // What did not fit is behind the cursor as well.
        assert!(reader.last.unwrap() >= lost, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let document = document(&world).await;
    for (query, parameter, hint) in [
        ("events=poem", "events", "record, outcome"),
        ("events=record,,gap", "events", "record,gap"),
        ("events=Record", "events", "record,gap"),
        ("advisor=ada", "advisor", "uuid"),
        ("after=-1", "after", "`id`"),
        ("after=x", "after", "`id`"),
        ("after=1000000", "after", "beyond the ledger"),
        ("after=18446744073709551615", "after", "beyond the ledger"),
        ("wait=no", "wait", "true or false"),
        ("limit=3", "query", "known here: events"),
    ] {
        let path = format!("/v1/events?{query}");
        let answer = world.get(&path).officer(&officer).send().await;
        assert_documented(&document, "/v1/events", &path, &answer);
        assert!(answer.wrong(parameter).contains(hint), "{query}: {}", answer.text());
    }
    for last in ["", "x", "-1", "1.5", "1000000", "99999999999999999999"] {
        let call = world.get("/v1/events?after=0&wait=false").officer(&officer).header("last-event-id", last);
        call.send().await.wrong("Last-Event-ID");
    }
    let twice = world.get("/v1/events").officer(&officer).header("last-event-id", "1").header("last-event-id", "2");
    assert_eq!(twice.send().await.wrong("Last-Event-ID"), "is given twice");
    // The header is newer than the address it comes with.
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    world.project().await;
    let last = world.test.archive.head_size().await.unwrap() - 1;
    let call = world.get("/v1/events?after=0&wait=false").officer(&officer).header("last-event-id", &last.to_string());
    assert!(!call.send().await.text().contains("event: gap"));
}

#[tokio::test]
async fn a_revoked_or_expired_token_ends_the_stream_within_seconds() {
    let world = World::with(following()).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    use muniment::record::{Clock as _, Timestamp};
    let end = Timestamp::from_unix_micros(world.test.clock.now().unix_micros() + 60_000_000).unwrap();
    let short = world.officer_within(&["compliance"], &Limits { expires_at: Some(end), ..Limits::default() }).await;
    let mut readers = Vec::new();
    for officer in [&olga, &otto, &short] {
        readers.push(Reader::open(world.instance.address, officer, "", None).await);
    }
    let begun = std::time::Instant::now();
    world.test.archive.revoke_officer(by(), olga.id).await.unwrap();
    readers[0].end().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    world.test.clock.step_forward(Duration::from_secs(61));
    readers[2].end().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for reader in [&readers[0], &readers[2]] {
        assert!(String::from_utf8_lossy(&reader.raw).contains(": ended, refused"));
    }
    // Nobody else's.
    assert!(!readers[1].ended);
}

#[tokio::test]
async fn a_token_for_some_advisors_follows_those_and_nobody_else() {
    let world = World::with(following()).await;
    let (ada, bert) = (advisor(1), advisor(2));
    let officer = world.officer_within(&["compliance"], &Limits { advisors: vec![ada], ..Limits::default() }).await;
    for path in ["/v1/events".to_owned(), format!("/v1/events?advisor={bert}")] {
        world.get(&path).officer(&officer).send().await.problem(403, "out-of-scope");
    }
    let mut reader = Reader::open(world.instance.address, &officer, &format!("?advisor={ada}"), None).await;
    keep(&world.test, &[bert], &[], &[]).await;
    let ours = keep(&world.test, &[ada], &[], &[]).await;
    reader.until(|reader| !reader.events.is_empty()).await;
    assert_eq!(reader.ids(), [ours.index]);
}

#[tokio::test]
async fn the_end_of_the_service_ends_streams_at_once_and_is_on_record() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let begun = world.test.archive.head_size().await.unwrap();
    let mut reader = Reader::open(world.instance.address, &officer, "", None).await;
    let since = std::time::Instant::now();
    world.instance.draining.cancel();
    world.instance.stop.cancel();
    reader.end().await;
    assert!(String::from_utf8_lossy(&reader.raw).contains(": ended, stopping"));
    until("the listener ends", || world.instance.serving.is_finished()).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    ended(&world).await;
    let (said, _entry) = looks(&world, begun).await.pop().unwrap();
    assert!(said.contains("&part=ended&why=stopping&"), "{said}");
}

#[tokio::test]
async fn an_officer_has_so_many_streams_and_others_have_theirs_and_none_takes_a_slot() {
    let streams = StreamBounds { each: 2, all: 3, ..StreamBounds::default() };
    let world = World::with(Setting { streams, slots: 1, ..following() }).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let first = Reader::open(world.instance.address, &olga, "", None).await;
    let _second = Reader::open(world.instance.address, &olga, "", None).await;
    let refused = world.get("/v1/events").officer(&olga).send().await;
    let problem = refused.problem(429, "too-many-streams");
    assert!(problem["detail"].as_str().unwrap().starts_with("2 event streams"), "{problem}");
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_documented(&document(&world).await, "/v1/events", "/v1/events", &refused);
    let _third = Reader::open(world.instance.address, &otto, "", None).await;
    world.get("/v1/events").officer(&otto).send().await.problem(503, "busy");
    assert_eq!(world.get("/v1/gaps").officer(&olga).send().await.status, 200, "requests have their slot");
    drop(first);
    until("the place is given back", || world.instance.streaming.len() == 2).await;
    let _fourth = Reader::open(world.instance.address, &olga, "", None).await;
}

#[tokio::test]
async fn a_silent_stream_says_that_it_lives_and_outlives_the_stall_guard() {
    let mut setting = super::limits::short();
    let keep_alive = Duration::from_millis(200);
    (setting.follow, setting.streams) = (true, StreamBounds { keep_alive, ..following().streams });
    let world = World::with(setting).await;
    let officer = world.officer(&["compliance"]).await;
    let mut reader = Reader::open(world.instance.address, &officer, "?events=record", None).await;
    // Longer than a connection may stand still.
    let begun = std::time::Instant::now();
    reader.until(|reader| reader.comments >= 8).await;
    assert!(begun.elapsed() > Duration::from_millis(1_200));
    assert!(reader.events.is_empty());
    // Its cursor went over what it did not ask for.
    let index = world.test.archive.append(gap(&world.test, "outage")).await.unwrap().index;
    reader.until(|reader| reader.last >= Some(index)).await;
    assert!(reader.events.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_ended_and_gives_the_place_back() {
    let mut setting = super::limits::short();
    (setting.follow, setting.streams) = (true, StreamBounds { stall: Duration::from_secs(1), ..following().streams });
    let world = World::with(setting).await;
    let officer = world.officer(&["compliance"]).await;
    let long: Vec<String> =
        (0..500).map(|number| format!("flag_{number}_that_is_about_as_long_as_a_word_may_be")).collect();
    for _ in 0..300 {
        keep(&world.test, &[advisor(1)], &[("flags", json!(long))], &[]).await;
    }
    world.project().await;
    let mut stream = TcpStream::connect(world.instance.address).await.unwrap();
    let request =
        format!("GET /v1/events?after=0 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", officer.token);
    stream.write_all(request.as_bytes()).await.unwrap();
    until("the stream begins", || !world.instance.streaming.is_empty()).await;
    let begun = std::time::Instant::now();
    ended(&world).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let _cut = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was hung up on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_follows_in_both_versions_of_http() {
    let identity = muniment::app::demo::certificate::Identity::fresh("127.0.0.1").unwrap();
    let tls = Some(std::sync::Arc::clone(&identity.server));
    let world = World::with(Setting { tls, ..following() }).await;
    let officer = world.officer(&["compliance"]).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, &identity.root).unwrap();
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await;
    world.project().await;
    let curl = Curl::new().header("authorization", &format!("Bearer {}", officer.token));
    let curl = curl.option("--cacert", root.to_str().unwrap()).flag("--no-buffer");
    let url = format!("https://{}/v1/events?after=0", world.instance.address);
    let asking = tokio::task::spawn_blocking(move || {
        for version in ["--http1.1", "--http2"] {
            let whole = curl.clone().flag(version).get(&format!("{url}&wait=false")).unwrap();
            assert_eq!(whole.status, 200);
            let text = String::from_utf8(whole.body).unwrap();
            let event = format!("id: {}\nevent: record\ndata: {{", kept.index);
            assert!(text.starts_with("retry: 2000\nid: 0\n\n") && text.contains(&event), "{text}");
            assert!(text.ends_with(": ended, complete\n\n") && !text.contains("zanzibar"), "{text}");
            // One that waits goes on until somebody ends it.
            let cut = curl.clone().flag(version).option("--max-time", "2").get(&url).unwrap_err();
            assert!(cut.contains("timed out"), "{cut}");
        }
    });
    asking.await.unwrap();
    ended(&world).await;
}
