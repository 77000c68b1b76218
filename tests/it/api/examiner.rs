//! An examiner's ten questions, as the officer guide answers them, asked of an archive of a million records.
//!
//! The archive is laid down at once (`support::large`): entries, proofs and content are real, and what must be found follows from the
//! number of each record. The `sh` blocks of the guide's section are run as they stand, by curl and jq, and what they leave is held against it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use muniment::archive::{Append as _, RecordFilter};
use muniment::ledger::{EntryType, verify_consistency};
use muniment::record::{Digest, Timestamp};
use serde_json::{Value, json};

use super::world::{Setting, World};
use crate::docs::fences;
use crate::support::archive::master;
use crate::support::large::{Firm, Spec, account_handle, fill, project};
use crate::support::postgres::Database;
use crate::support::submissions::{detail, gap};

const PERIODS: u64 = 91;
const FROM: &str = "2026-03-01";
const TO: &str = "2026-04-01";
const DAY: &str = "2026-03-16";
const NEXT: &str = "2026-03-17";

fn micros(day: &str) -> i64 {
    format!("{day}T00:00:00.000000Z").parse::<Timestamp>().unwrap().unix_micros()
}

/// What the questions are about.
struct Case {
    firm: Firm,
    /// Has gaps, and sent something to the client in March.
    advisor: u64,
    client: u64,
    sent: Vec<Spec>,
    /// An edited post, and the edit.
    edited: Spec,
    edit: Spec,
    /// A message of a conversation.
    message: Spec,
}

impl Case {
    fn new(firm: Firm) -> Self {
        let within = |from: &str, to: &str| {
            let (from, to) = (micros(from), micros(to));
            let numbers = (0..firm.records).skip_while(move |number| firm.at(*number) < from);
            numbers.take_while(move |number| firm.at(*number) < to).map(move |number| firm.spec(number))
        };
        // The advisor of the first gap, and whom they wrote to most.
        let advisor = (0..).map(|number| firm.spec(number)).find(|spec| spec.gap.is_some()).unwrap().advisor;
        let mut march: Vec<Spec> = within(FROM, TO).collect();
        march.retain(|spec| spec.advisor == advisor && spec.outbound);
        let to = |client: u64| march.iter().filter(move |spec| spec.client == Some(client));
        let client = march.iter().filter_map(|spec| spec.client).max_by_key(|client| to(*client).count()).unwrap();
        let sent = to(client).cloned().collect();
        let edit = within(FROM, TO).find(|spec| spec.edits.is_some() && spec.state == Some("accepted")).unwrap();
        let edited = firm.spec(edit.edits.unwrap());
        let message = within(DAY, NEXT).find(|spec| spec.kind == "message").unwrap();
        Self { firm, advisor, client, sent, edited, edit, message }
    }

    /// Runs the blocks of the guide's section in this directory.
    fn ask(&self, dir: &Path, world: &World, token: &str, sizes: (u64, u64), id: &str) {
        let guide =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/officer-guide.md")).unwrap();
        let look = guide.lines().find(|line| line.starts_with("look() {")).unwrap();
        let section = guide.split("\n## ").find(|section| section.starts_with("Ten questions")).unwrap();
        let blocks = fences(section, "sh");
        assert_eq!(blocks.len(), 11, "what they are about, and ten");
        let script = format!("set -eu\n{look}\n{}", blocks.join("\n"));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("api", format!("http://{}", world.instance.address)).env("token", token).stdin(Stdio::null());
        let client = format!("client{}.example", self.client);
        for (name, value) in [("from", FROM), ("to", TO), ("day", DAY), ("next", NEXT), ("client", &client), ("id", id)]
        {
            command.env(name, value);
        }
        command.env("advisor", self.firm.advisor(self.advisor).to_string());
        command.env("old", sizes.0.to_string()).env("new", sizes.1.to_string());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}\n{script}");
    }
}

fn json_of(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
}

fn lines_of(dir: &Path, name: &str) -> Vec<String> {
    std::fs::read_to_string(dir.join(name)).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examiners_ten_questions_are_answered_from_a_million_records() {
    let firm = Firm::periodic(PERIODS, 11_000, 16_384);
    let (database, started) = (Database::fresh().await, Instant::now());
    let size = fill(&database.owner(), &master(), firm).await;
    println!("{} records in {size} entries, laid down in {:?}", firm.records, started.elapsed());
    let world = World::on(database, Setting::default()).await;
    let started = Instant::now();
    project(&world.test.archive, &world.test.database.owner(), firm).await;
    println!("projected in {:?}", started.elapsed());
    let started = Instant::now();
    let case = Case::new(firm);
    let old = world.test.archive.publish(true).await.unwrap().unwrap().checkpoint.size;
    println!("published in {:?}", started.elapsed());

    // As the schedule puts it on record; that such an archive is sound is a test of its own, of fewer records.
    let mut checked = gap(&world.test, "unused");
    checked.draft.entry_type = EntryType::Verification;
    checked.draft.detail =
        detail(json!({ "failures": 0, "from": 0, "until": old, "result": "verified", "scope": "all" }));
    world.test.archive.append(checked).await.unwrap();
    let officer = world.officer(&["compliance", "legal", "auditor", "admin"]).await;
    let edited = case.edited.record.to_string();
    let looked = world.get(&format!("/v1/records/{edited}")).officer(&officer).send().await.json(200);
    assert_eq!(looked["communications"][0]["text"], case.firm.text(case.edited.number));
    world.project().await;
    let new = world.test.archive.publish(true).await.unwrap().unwrap().checkpoint.size;
    assert!(old < new && size < old);

    let (dir, started) = (tempfile::tempdir().unwrap(), Instant::now());
    let read_before = read_from_end_to_end(&world).await;
    let message = case.message.record.to_string();
    for id in [&edited, &message] {
        let dir = dir.path().join(id);
        std::fs::create_dir(&dir).unwrap();
        tokio::task::block_in_place(|| case.ask(&dir, &world, &officer.token, (old, new), id));
    }
    println!("asked twice in {:?}", started.elapsed());
    answers(&case, &dir.path().join(&edited), &officer.id.to_string(), (old, new));
    conversation(&case, &dir.path().join(&message));

    let started = Instant::now();
    let facets = world.test.archive.facets(&RecordFilter::default()).await.unwrap();
    println!("everything counted in {:?}", started.elapsed());
    assert_eq!((facets.total, facets.counted_from), (firm.records, None));
    let read = read_from_end_to_end(&world).await;
    let more: Vec<_> = read.iter().zip(&read_before).filter(|(now, before)| now.1 > before.1 + 100_000).collect();
    assert!(more.is_empty(), "tables that were read from end to end for a question: {more:?}");
}

/// Rows that were read by reading a whole table, by table; but for the counts, of which every row is wanted.
async fn read_from_end_to_end(world: &World) -> Vec<(String, i64)> {
    // Sessions report what they did within a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let mut connection = world.test.database.superuser().await;
    let text = "select relname::text, seq_tup_read from pg_stat_user_tables where schemaname = 'projection' and relname <> 'counts' order by relname";
    sqlx::query_as(text).fetch_all(&mut connection).await.unwrap()
}

fn answers(case: &Case, dir: &Path, officer: &str, (old, new): (u64, u64)) {
    let firm = case.firm;
    // 1. Everything sent to the client, and that it is everything.
    let mut lines = lines_of(dir, "sent.jsonl");
    let end: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    assert_eq!((&end["complete"], &end["count"], &end["as_of"]), (&json!(true), &json!(case.sent.len()), &json!(new)));
    let sent: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<(&str, Option<&str>)> =
        sent.iter().map(|one| (one["id"].as_str().unwrap(), one["communications"][0]["text"].as_str())).collect();
    let meant: Vec<(String, Option<String>)> = case
        .sent
        .iter()
        .map(|spec| (spec.record.to_string(), (spec.kind != "reaction").then(|| firm.text(spec.number))))
        .collect();
    let meant: Vec<(&str, Option<&str>)> = meant.iter().map(|(id, text)| (id.as_str(), text.as_deref())).collect();
    assert!(!meant.is_empty() && found == meant, "{found:?}\n{meant:?}");
    // 2. Who looked, and why.
    let looks = lines_of(dir, "who-looked.txt");
    assert!(looks.iter().any(|line| line.contains(officer) && line.contains("records.get")), "{looks:?}");
    // 3. Before the edit, and after.
    let before = lines_of(dir, "before.txt");
    let (first, second) = (firm.text(case.edited.number), firm.text(case.edit.number));
    assert_eq!(before[0], format!("sent\t{first}"));
    assert!(before.contains(&format!("edit\t{second}")), "{before:?}");
    // 4. What was not captured.
    let base = (0..firm.period).map(|number| firm.spec(number)).filter(|spec| spec.advisor == case.advisor);
    let causes: Vec<&str> = base.filter_map(|spec| spec.gap).collect();
    let told = lines_of(dir, "not-captured.txt");
    assert_eq!(told.len(), causes.len() * usize::try_from(PERIODS).unwrap());
    assert!(told.iter().all(|line| causes.iter().any(|cause| line.contains(cause))), "{}", told[0]);
    assert_eq!(json_of(dir, "devices-covered.json").as_array().unwrap().len(), 2);
    // 5. From one tree to the other.
    let grown = json_of(dir, "grown.json");
    let digest = |text: &Value| text.as_str().unwrap().parse::<Digest>().unwrap();
    let hashes: Vec<Digest> = grown["hashes"].as_array().unwrap().iter().map(digest).collect();
    let (before, after) = (digest(&grown["old"]["root"]), digest(&grown["new"]["root"]));
    verify_consistency((old, &before), (new, &after), &hashes).unwrap();
    // 6. Devices and accounts of that day.
    assert_eq!(json_of(dir, "devices-then.json").as_array().unwrap().len(), 2);
    let accounts = json_of(dir, "accounts-then.json");
    let handles: Vec<&str> = accounts.as_array().unwrap().iter().map(|one| one["handle"].as_str().unwrap()).collect();
    assert_eq!(handles.len(), 4);
    assert!(handles.contains(&account_handle(case.advisor, "mastodon").as_str()), "{handles:?}");
    // 7. What was in force.
    let settings = json_of(dir, "settings-then.json");
    assert_eq!(
        (&settings["software"], &settings["settings"]["archive.retention"]),
        (&json!("muniment-0.1.0"), &json!("6y"))
    );
    // 9. Everything of a day.
    let of_day = (0..firm.records).filter(|number| (micros(DAY)..micros(NEXT)).contains(&firm.at(*number))).count();
    assert_eq!(lines_of(dir, "how-many.txt"), [of_day.to_string()]);
    assert_eq!(lines_of(dir, "everything.jsonl").len(), of_day + 1);
    // 10. When it was verified.
    let verified = lines_of(dir, "verified.txt");
    assert!(verified[0].ends_with(&format!("all\t{old}\tverified\t0")), "{verified:?}");
    let state = json_of(dir, "state.json");
    assert_eq!(state["state"], "sound");
    assert!(state["published"].as_u64().unwrap() >= new, "{state}");
}

/// 8. The whole conversation, both sides of it.
fn conversation(case: &Case, dir: &Path) {
    let (firm, message) = (case.firm, &case.message);
    let all = (0..firm.records).map(|number| firm.spec(number));
    let meant: Vec<Spec> = all
        .filter(|spec| spec.network == message.network && spec.conversation() == message.conversation())
        .take(500)
        .collect();
    let whole = lines_of(dir, "whole.txt");
    let said: Vec<&str> = whole.iter().map(|line| line.rsplit('\t').next().unwrap()).collect();
    let texts: Vec<String> = meant.iter().map(|spec| firm.text(spec.number)).collect();
    assert!(texts.len() > 1);
    assert_eq!(said, texts);
}
