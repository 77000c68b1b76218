//! Recognition workers as real processes: asked, killed, replaced; whatever a rule does, the proxy goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use muniment::capture::{
    Failure, MemoryJournal, Purpose, Question, Recognized, Recognizer, Recorder, ReloadError, WorkerCommand, Workers,
    WorkersSetting,
};
use muniment::ledger::EntryType;
use muniment::recognize::{RuleSet, Source};
use muniment::telemetry::Metrics;
use serde_json::json;

use super::world::{Ground, said};

/// What `serve` would load: a worker adds the rules built in to those of its directory.
fn sources() -> Vec<Source> {
    [Source::embedded(), super::world::sources()].concat()
}

fn setting(scratch: &Path, count: usize) -> WorkersSetting {
    WorkersSetting {
        command: WorkerCommand {
            program: PathBuf::from(env!("CARGO_BIN_EXE_muniment")),
            arguments: vec!["recognize-worker".into()],
        },
        count,
        memory: 512 << 20,
        run_timeout: Duration::from_secs(2),
        scratch: scratch.to_owned(),
    }
}

async fn workers(scratch: &Path, count: usize) -> Arc<Workers> {
    Arc::new(Workers::start(setting(scratch, count), &sources(), Arc::new(Metrics::new())).await.unwrap())
}

fn question(target: &str, body: &serde_json::Value) -> Question {
    let json = json!({
        "request": {"method": "POST", "scheme": "https", "host": "net.example", "port": 443, "path": target, "query": {},
                    "headers": {}, "size": 1, "json": body},
        "response": null, "session": {"accounts": [], "hints": {}},
    });
    Question { purpose: Purpose::Write, listed: false, doubtful: false, json: json.to_string().into_bytes() }
}

/// Process ids of the workers that read rules from below this directory.
fn process_ids(scratch: &Path) -> Vec<u32> {
    let of = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let wanted = scratch.as_os_str().as_encoded_bytes();
        line.windows(wanted.len()).any(|window| window == wanted).then_some(id)
    };
    let mut ids: Vec<u32> = std::fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.unwrap())).collect();
    ids.sort_unstable();
    ids
}

fn signal(id: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

fn kill(id: u32) {
    signal(id, rustix::process::Signal::KILL);
}

async fn until(what: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it comes to be");
}

async fn text_of(workers: &Workers, target: &str, body: &serde_json::Value) -> String {
    match workers.recognize(question(target, body)).await {
        Recognized::Said(said) => said.communications[0].text.clone().unwrap_or_default(),
        Recognized::Failed(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test]
async fn many_questions_share_few_workers() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 2).await;
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let workers = Arc::clone(&workers);
            tokio::spawn(async move { text_of(&workers, "/posts", &json!({"text": format!("words {number}")})).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("words {number}"));
    }
    assert_eq!(process_ids(scratch.path()).len(), 2);
    workers.shut_down().await;
    until(|| process_ids(scratch.path()).is_empty()).await;
}

#[tokio::test]
async fn p3_a_worker_gets_nothing_of_our_environment() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 1).await;
    let id = process_ids(scratch.path())[0];
    assert_eq!(std::fs::read(format!("/proc/{id}/environ")).unwrap(), b"");
    workers.shut_down().await;
}

#[tokio::test]
async fn a_large_exchange_crosses_the_pipe_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 1).await;
    let text = "words ".repeat(500_000);
    assert_eq!(text_of(&workers, "/posts", &json!({ "text": text })).await, text);
    workers.shut_down().await;
}

#[tokio::test]
async fn a_worker_that_was_killed_while_idle_costs_nobody_anything() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 2).await;
    for round in 0..4 {
        process_ids(scratch.path()).into_iter().for_each(kill);
        assert_eq!(text_of(&workers, "/posts", &json!({"text": round.to_string()})).await, round.to_string());
    }
    until(|| process_ids(scratch.path()).len() == 2).await;
    workers.shut_down().await;
}

#[tokio::test]
async fn a_rule_that_never_ends_is_killed_and_switched_off_and_the_others_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let short = WorkersSetting { run_timeout: Duration::from_millis(400), ..setting(scratch.path(), 2) };
    let workers = Arc::new(Workers::start(short, &sources(), Arc::new(Metrics::new())).await.unwrap());
    let before = process_ids(scratch.path());
    let stuck = tokio::spawn({
        let workers = Arc::clone(&workers);
        async move { workers.recognize(question("/never_ends", &json!({}))).await }
    });
    // Meanwhile another write is answered.
    assert_eq!(text_of(&workers, "/posts", &json!({"text": "meanwhile"})).await, "meanwhile");
    let Recognized::Failed(failure) = stuck.await.unwrap() else { panic!("it never ends") };
    assert_eq!(failure, Failure::Stopped { rule: Some("testnet/never_ends".to_owned()) });
    // Switched off: the next rule takes the request.
    let Recognized::Said(said) = workers.recognize(question("/never_ends", &json!({"text": "now"}))).await else {
        panic!("the rule is off")
    };
    assert_eq!(said.rule.as_deref(), Some("testnet/other"));
    until(|| process_ids(scratch.path()).len() == 2 && process_ids(scratch.path()) != before).await;
    workers.shut_down().await;
}

#[tokio::test]
async fn a_worker_that_gets_no_processor_costs_no_rule_its_place_and_nobody_waits_for_ever() {
    use rustix::process::Signal;
    let scratch = tempfile::tempdir().unwrap();
    let short = WorkersSetting { run_timeout: Duration::from_millis(100), ..setting(scratch.path(), 1) };
    let workers = Arc::new(Workers::start(short, &sources(), Arc::new(Metrics::new())).await.unwrap());
    let ask = |text: &'static str| {
        let workers = Arc::clone(&workers);
        tokio::spawn(async move { workers.recognize(question("/posts", &json!({"text": text}))).await })
    };
    let worker = process_ids(scratch.path())[0];
    signal(worker, Signal::STOP);
    let slow = ask("slow");
    tokio::time::sleep(Duration::from_millis(500)).await;
    signal(worker, Signal::CONT);
    let Recognized::Said(said) = slow.await.unwrap() else { panic!("it only took its time") };
    assert_eq!(said.communications[0].text.as_deref(), Some("slow"));
    // One that never comes to anything is given up, and its rule goes on.
    assert_eq!(process_ids(scratch.path()), [worker]);
    signal(worker, Signal::STOP);
    let given_up = tokio::time::timeout(Duration::from_secs(40), ask("lost")).await.expect("there is a bound");
    assert!(matches!(given_up.unwrap(), Recognized::Failed(Failure::Stopped { rule: None })));
    let Recognized::Said(said) = ask("after it").await.unwrap() else { panic!("another worker answers") };
    assert_eq!(said.rule.as_deref(), Some("testnet/post"));
    workers.shut_down().await;
}

#[tokio::test]
async fn a_worker_that_somebody_kills_in_the_middle_of_a_question_costs_no_rule_its_place() {
    use rustix::process::Signal;
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 1).await;
    let worker = process_ids(scratch.path())[0];
    signal(worker, Signal::STOP);
    let asked = tokio::spawn({
        let workers = Arc::clone(&workers);
        async move { workers.recognize(question("/posts", &json!({"text": "asked once"}))).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asked.is_finished());
    kill(worker);
    for said in [asked.await.unwrap(), workers.recognize(question("/posts", &json!({"text": "asked once"}))).await] {
        let Recognized::Said(said) = said else { panic!("another worker answers") };
        assert_eq!(
            (said.rule.as_deref(), said.communications[0].text.as_deref()),
            (Some("testnet/post"), Some("asked once"))
        );
    }
    workers.shut_down().await;
}

#[tokio::test]
async fn a_rule_that_eats_all_memory_ends_its_worker_only() {
    let scratch = tempfile::tempdir().unwrap();
    let small =
        WorkersSetting { memory: 192 << 20, run_timeout: Duration::from_secs(10), ..setting(scratch.path(), 1) };
    let workers = Workers::start(small, &sources(), Arc::new(Metrics::new())).await.unwrap();
    let Recognized::Failed(failure) = workers.recognize(question("/eats_memory", &json!({}))).await else {
        panic!("there is not so much memory")
    };
    assert_eq!(failure, Failure::Stopped { rule: Some("testnet/eats_memory".to_owned()) });
    assert_eq!(text_of(&workers, "/posts", &json!({"text": "still here"})).await, "still here");
    workers.shut_down().await;
}

#[tokio::test]
async fn a_bad_rule_file_leaves_the_old_rules_running_and_a_good_one_takes_over() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 2).await;
    let bad = vec![Source { file: "testnet/rules.toml".to_owned(), text: "name = \"testnet\"\nnonsense".to_owned() }];
    assert!(matches!(workers.reload(&bad).await, Err(ReloadError::Rules(_))));
    assert_eq!(text_of(&workers, "/posts", &json!({"text": "old"})).await, "old");
    let mut good = sources();
    let testnet = good.last_mut().unwrap();
    testnet.text = testnet.text.replace("if .reply_to then", "if true then");
    let old = RuleSet::load(&sources()).unwrap().digest();
    workers.reload(&good).await.unwrap();
    let Recognized::Said(said) = workers.recognize(question("/posts", &json!({"text": "new"}))).await else { panic!() };
    assert_eq!(said.communications[0].kind.as_str(), "reply");
    assert_ne!(said.rule_set.unwrap(), old);
    until(|| process_ids(scratch.path()).len() == 2).await;
    workers.shut_down().await;
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_no_worker_behind_in_mid_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers(scratch.path(), 1).await;
    for round in 0..5 {
        let asked = workers.recognize(question("/never_ends", &json!({})));
        assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
        assert_eq!(text_of(&workers, "/posts", &json!({"text": round.to_string()})).await, round.to_string());
    }
    until(|| process_ids(scratch.path()).len() == 1).await;
    workers.shut_down().await;
}

#[tokio::test]
async fn p1_a_write_whose_rule_never_ends_is_kept_unclassified_with_a_gap_and_released() {
    let scratch = tempfile::tempdir().unwrap();
    let short = WorkersSetting { run_timeout: Duration::from_millis(400), ..setting(scratch.path(), 2) };
    let workers = Arc::new(Workers::start(short, &sources(), Arc::new(Metrics::new())).await.unwrap());
    let world = Ground::new().start_with(Arc::clone(&workers) as Arc<_>).await;
    let exchange = world.exchange(Method::POST, "/never_ends", "{\"text\":\"hello\"}");
    let receipt = world.capture.write(exchange).await.unwrap();
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(said(capture, "kinds"), "[\"unclassified\"]");
    assert_eq!(world.text(capture, "request.body"), "{\"text\":\"hello\"}");
    world
        .until(|world| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "rule_switched_off"))
        .await;
    let gap = &world.entries(EntryType::Gap)[0];
    assert_eq!(said(gap, "network"), "testnet");
    world.answer(receipt, 200, &json!({"ok": true}));
    world.until_count(EntryType::Outcome, 1).await;
    // Reload switches it on again, and says so on record.
    world.capture.reload(&sources()).await.unwrap();
    world.until_count(EntryType::Settings, 1).await;
    world.end().await;
    workers.shut_down().await;
}

#[tokio::test]
async fn reads_of_a_rule_that_was_switched_off_are_a_gap_with_their_count() {
    let scratch = tempfile::tempdir().unwrap();
    let short = WorkersSetting { run_timeout: Duration::from_millis(400), ..setting(scratch.path(), 2) };
    let workers = Arc::new(Workers::start(short, &sources(), Arc::new(Metrics::new())).await.unwrap());
    let world = Ground::new().start_with(Arc::clone(&workers) as Arc<_>).await;
    let gaps = |ledger: &MemoryJournal| ledger.entries_of(EntryType::Gap);
    world.read("/endless_feed", &json!({"items": []}));
    world.until(|world| !world.entries(EntryType::Gap).is_empty()).await;
    for _ in 0..6 {
        world.read("/endless_feed", &json!({"items": []}));
    }
    let ground = world.end().await;
    let gaps = gaps(&ground.ledger);
    for gap in &gaps {
        assert_eq!((said(gap, "cause"), said(gap, "network")), ("rule_switched_off".to_owned(), "testnet".to_owned()));
    }
    assert_eq!(gaps.iter().map(|gap| said(gap, "count").parse::<u64>().unwrap()).sum::<u64>(), 7);
    assert!(gaps.len() <= 3, "counted together: {}", gaps.len());
    workers.shut_down().await;
}
