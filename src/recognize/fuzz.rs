//! What must hold of recognition whatever bytes it meets. For `crate::fuzzing` only.

use serde_json::json;

use super::decoder::Decoder;
use super::{Ask, Engine, ListedHosts, RuleSet, Source, Task, fixtures, html as page, worker};
use crate::exchange::{Limits, Scrub, ScrubKey, check_json};

/// Programs that meet bytes hold to account: they are compiled once.
fn with_engine(go: impl FnOnce(&RuleSet, &Engine<'static>)) {
    static SET: std::sync::OnceLock<Option<RuleSet>> = std::sync::OnceLock::new();
    thread_local! {
        static ENGINE: Option<Engine<'static>> =
            SET.get_or_init(|| RuleSet::embedded().ok()).as_ref().and_then(|set| Engine::new(set).ok());
    }
    ENGINE.with(|engine| {
        let set = SET.get().and_then(Option::as_ref);
        assert!(engine.is_some() && set.is_some(), "the rules that are built in load");
        if let (Some(engine), Some(set)) = (engine, set) {
            go(set, engine);
        }
    });
}

/// A write (a file as the fixtures are) is recognised as something, or its rule says that it is nothing; and what is said of it is the
/// same each time.
pub(crate) fn recognize(data: &[u8]) {
    let Ok(exchange) = fixtures::exchange(data) else { return };
    let (key, limits) = (ScrubKey::new([0; 32]), Limits::default());
    let Ok(scrubbed) = (Scrub { key: &key, account_cookies: &[], limits: &limits }).exchange(&exchange) else { return };
    let view = scrubbed.json(&json!([]), &limits);
    with_engine(|set, engine| {
        let head = &exchange.request.head;
        let listed: ListedHosts = head.authority.host().parse().into_iter().collect();
        let _plan = set.plan(head, &listed);
        let doubtful = set.is_doubtful(head, &scrubbed.request.head, &listed) || scrubbed.request.body.repeats;
        let ask = |task| Ask { rule_set: set.digest(), task, listed: true, doubtful, skip: Vec::new(), naming: false };
        let write = engine.recognize(&ask(Task::Write), &view);
        assert!(write.ignored || !write.communications.is_empty(), "a write that is not ignored is something");
        assert!(!(doubtful && write.ignored), "what may be something else is never ignored");
        let again = engine.recognize(&ask(Task::Write), &view);
        assert_eq!(serde_json::to_string(&write).ok(), serde_json::to_string(&again).ok());
        for task in [Task::Read, Task::Outcome, Task::Message] {
            engine.recognize(&ask(task), &view);
        }
    });
}

/// A rule file is taken whole or refused in words, and the same file is the same set.
pub(crate) fn rule_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Source { file: "rules.toml".to_owned(), text: text.to_owned() };
    match (RuleSet::load(std::slice::from_ref(&source)), RuleSet::load(&[source])) {
        (Ok(set), Ok(again)) => {
            assert_eq!(set.digest(), again.digest());
            assert!(Engine::new(&set).is_ok(), "what was loaded runs");
        }
        (Err(error), Err(_)) => assert!(!error.to_string().is_empty()),
        _ => assert_eq!(0, 1, "the same file was taken once and refused once"),
    }
}

/// A page's text is no longer than the page, and its JSON is JSON.
pub(crate) fn html(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(page::text(&text).len() <= 2 * text.len() + 16);
    if let Some(json) = Decoder::HtmlJson.decode(&text) {
        assert!(check_json(&json, 140).is_ok(), "{}", String::from_utf8_lossy(&json));
    }
}

/// A worker that is told nonsense ends with an error or answers; it does not stand still.
pub(crate) fn worker_pipe(data: &[u8]) {
    let _reply = worker::reply(data);
    with_engine(|set, _engine| {
        let ask = Ask {
            rule_set: set.digest(),
            task: Task::Write,
            listed: true,
            doubtful: false,
            skip: Vec::new(),
            naming: false,
        };
        // A sound question first, so that what follows it is met in the middle of work.
        let mut pipe = worker::question(&ask, b"{}").unwrap_or_default();
        pipe.extend_from_slice(data);
        let mut answers = Vec::new();
        let _served = worker::serve(set, pipe.as_slice(), &mut answers, || std::time::Duration::ZERO);
        let length = answers.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        let first = length.and_then(|length| answers.get(4..4 + length));
        assert!(first.is_some_and(|first| worker::reply(first).is_ok()));
    });
}
