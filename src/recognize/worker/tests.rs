//! The pipe, and that a program which eats memory dies with its process.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::recognize::{Problem, ProblemKind, Source, Task, Verdict};
use crate::record::Kind;

fn set(rules: &str) -> RuleSet {
    let text = format!("name = \"n\"\ntitle = \"N\"\nhosts = [\"n.example\"]\n{rules}");
    RuleSet::load(&[Source { file: "rules.toml".to_owned(), text }]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn write_rule(extract: &str) -> String {
    format!(
        "[[rule]]\nid = \"say\"\nmethod = \"POST\"\npath = \"/say/{{who}}\"\nplan = \"write\"\nextract = '''{extract}'''\n"
    )
}

fn exchange(request: Value, response: Value) -> Vec<u8> {
    let mut all =
        json!({"request": {"method": "POST", "host": "n.example", "path": "/say/bob%21", "query": {}, "headers": {}}});
    for (name, value) in request.as_object().unwrap() {
        all["request"][name] = value.clone();
    }
    all["response"] = response;
    all["session"] = json!({"accounts": [], "hints": {}});
    serde_json::to_vec(&all).unwrap()
}

fn ask(set: &RuleSet, task: Task) -> Ask {
    Ask { rule_set: set.digest(), task, listed: false, doubtful: false, skip: Vec::new(), naming: false }
}

/// Everything a worker says to these questions.
fn replies(set: &RuleSet, questions: &[(Ask, Vec<u8>)]) -> Vec<Reply> {
    let input: Vec<u8> = questions.iter().flat_map(|(ask, exchange)| question(ask, exchange).unwrap()).collect();
    let mut output = Vec::new();
    serve(set, &input[..], &mut output, processor_time).unwrap();
    frames(&output)
}

fn frames(mut output: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(frame) = read_frame(&mut output, MAX_ANSWER).unwrap() {
        replies.push(reply(&frame).unwrap());
    }
    replies
}

fn done(set: &RuleSet, task: Task, exchange: &[u8]) -> Recognition {
    match replies(set, &[(ask(set, task), exchange.to_vec())]).pop() {
        Some(Reply::Done(recognition, _)) => *recognition,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_rule_is_named_without_running_and_captures_reach_it() {
    let set = set(&write_rule("{kind: \"message\", text: .request.json.text, conversation: .request.params.who}"));
    let exchange = exchange(json!({"json": {"text": "hi"}}), Value::Null);
    let naming = Ask { naming: true, ..ask(&set, Task::Write) };
    let all = replies(&set, &[(naming, exchange.clone()), (ask(&set, Task::Write), exchange)]);
    let [Reply::Named(Some(rule)), Reply::Done(recognition, used)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(rule, "n/say");
    assert!(*used > 0, "it says how long it has run");
    let [said] = &recognition.communications[..] else { panic!("{recognition:?}") };
    assert_eq!(
        (said.kind, said.text.as_deref(), said.conversation.as_deref()),
        (Kind::Message, Some("hi"), Some("bob!"))
    );
}

#[test]
fn what_a_token_claims_reaches_a_read_only_where_the_origin_must_have_taken_it() {
    let rule = |id: &str, more: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nmethod = \"GET\"\npath = \"/{id}\"\nplan = \"read\"\n{more}\
             extract = '{{kind: \"post\", text: (.session.hints.subject // \"nobody\"), fragment: [\"response\", \"json\"]}}'\n"
        )
    };
    let own = "authenticated = true\naccount = '{id: .session.hints.subject}'\n";
    let set = set(&format!("{}{}", rule("public", ""), rule("own", own)));
    let read = |path: &str| {
        let exchange = exchange(json!({"method": "GET", "path": path}), json!({"status": 200, "json": {}}));
        let mut exchange: Value = serde_json::from_slice(&exchange).unwrap();
        exchange["session"]["hints"]["subject"] = "did:plc:chief".into();
        done(&set, Task::Read, &serde_json::to_vec(&exchange).unwrap())
    };
    let (public, own) = (read("/public"), read("/own"));
    assert_eq!((public.communications[0].text.as_deref(), public.account), (Some("nobody"), None));
    assert_eq!(own.communications[0].text.as_deref(), Some("did:plc:chief"));
    assert_eq!(own.account.unwrap().id, "did:plc:chief");
}

#[test]
fn a_question_about_another_rule_set_is_told_to_be_stale() {
    let set = set(&write_rule("empty"));
    let other = Ask { rule_set: Digest::ZERO, ..ask(&set, Task::Write) };
    assert_eq!(replies(&set, &[(other, exchange(json!({}), Value::Null))]), [Reply::Stale(set.digest())]);
}

#[test]
fn a_write_that_cannot_be_classified_is_kept_with_its_words() {
    let body =
        json!({"json": {"text": "the words", "nested": [{"title": "and a title"}]}, "form": {"status": ["in a form"]}});
    for (extract, problem) in [
        ("error(\"no\")", Some(ProblemKind::ProgramFailed)),
        ("{kind: \"nonsense\"}", Some(ProblemKind::BadOutput)),
        ("{kind: \"post\", txt: 1}", Some(ProblemKind::BadOutput)),
        ("empty", None),
    ] {
        let set = set(&write_rule(extract));
        let recognition = done(&set, Task::Write, &exchange(body.clone(), Value::Null));
        let [kept] = &recognition.communications[..] else { panic!("{extract}: {recognition:?}") };
        assert_eq!(kept.kind, Kind::Unclassified);
        assert_eq!(kept.text.as_deref(), Some("the words\n\nand a title\n\nin a form"), "{extract}");
        let problems: Vec<_> = recognition.problems.iter().map(|problem| problem.what).collect();
        assert_eq!(problems, problem.into_iter().collect::<Vec<_>>(), "{extract}");
    }
    let set = set(&write_rule("{kind: \"post\"}"));
    let off = Ask { skip: vec!["n/say".to_owned()], ..ask(&set, Task::Write) };
    let all = replies(&set, &[(off, exchange(body, Value::Null))]);
    let [Reply::Done(recognition, _)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((recognition.rule.as_deref(), recognition.communications[0].kind), (None, Kind::Unclassified));
}

#[test]
fn p1_what_a_rule_that_is_switched_off_would_keep_is_not_ignored_by_the_next() {
    let next = "[[rule]]\nid = \"rest\"\nmethod = \"POST\"\npath = \"/{rest...}\"\nplan = \"ignore\"\n";
    let set = set(&format!("{}{next}", write_rule("{kind: \"post\"}")));
    let off = Ask { skip: vec!["n/say".to_owned()], ..ask(&set, Task::Write) };
    let all = replies(&set, &[(off.clone(), exchange(json!({}), Value::Null))]);
    let [Reply::Done(recognition, _)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((recognition.ignored, recognition.communications[0].kind), (false, Kind::Unclassified));
    let all = replies(&set, &[(off, exchange(json!({"path": "/other"}), Value::Null))]);
    let [Reply::Done(recognition, _)] = &all[..] else { panic!("{all:?}") };
    assert!(recognition.ignored, "what the next rule alone speaks of is");
}

#[test]
fn outputs_beyond_the_limit_are_dropped_and_reported() {
    let set = set(&write_rule("range(1000) | {kind: \"post\", text: tostring}"));
    let recognition = done(&set, Task::Write, &exchange(json!({}), Value::Null));
    assert_eq!(recognition.communications.len(), 512);
    assert_eq!(recognition.problems, [Problem { rule: "n/say".to_owned(), what: ProblemKind::TooMuchOutput }]);
}

#[test]
fn without_a_word_of_the_rule_the_status_tells_the_outcome() {
    let set = set(&write_rule("{kind: \"post\"}"));
    for (response, verdict) in [
        (json!({"status": 200}), Verdict::Accepted),
        (json!({"status": 422}), Verdict::Refused),
        (json!({"status": 503}), Verdict::Unknown),
        (Value::Null, Verdict::Unknown),
    ] {
        let recognition = done(&set, Task::Outcome, &exchange(json!({}), response));
        assert_eq!(recognition.outcome.map(|outcome| outcome.verdict), Some(verdict));
    }
}

#[test]
fn a_fragment_is_the_bytes_received_and_a_version_ignores_counters() {
    let rules = "[[rule]]\nid = \"look\"\nmethod = \"GET\"\npath = \"/feed\"\nplan = \"read\"\nextract = '''\npath(.response.json.feed[] | select(.mine)) as $p | getpath($p) | {kind: \"post\", text, fragment: $p}'''\n";
    let set = set(rules);
    let view = |likes: &str| {
        let feed = format!(r#"{{"feed":[{{"mine":false}}, {{"mine" : true,"text":"\u00fc", "likes":{likes}}}]}}"#);
        format!(
            r#"{{"request":{{"method":"GET","host":"n.example","path":"/feed"}},"response":{{"status":200,"json":{feed}}}}}"#
        )
    };
    let one = done(&set, Task::Read, view("1").as_bytes());
    let two = done(&set, Task::Read, view("2e0").as_bytes());
    assert_eq!(one.communications[0].fragment.as_deref(), Some(r#"{"mine" : true,"text":"\u00fc", "likes":1}"#));
    assert_eq!(two.communications[0].fragment.as_deref(), Some(r#"{"mine" : true,"text":"\u00fc", "likes":2e0}"#));
    assert_eq!(one.communications[0].version, two.communications[0].version);
    assert_eq!(one.problems, []);
}

#[test]
fn a_broken_frame_ends_the_worker() {
    let set = set(&write_rule("empty"));
    for bytes in [
        &[0, 0, 0, 9, 1][..],
        &[255, 255, 255, 255],
        &[0, 0],
        &[0, 0, 0, 4, 0, 0, 0, 9],
        &[0, 0, 0, 5, 0, 0, 0, 1, b'x'],
    ] {
        assert!(serve(&set, bytes, &mut Vec::new(), processor_time).is_err(), "{bytes:?}");
    }
    assert!(serve(&set, &[][..], &mut Vec::new(), processor_time).is_ok());
}

#[test]
fn no_exchange_makes_it_panic() {
    let set = RuleSet::embedded().unwrap_or_else(|errors| panic!("{errors}"));
    let engine = Engine::new(&set).unwrap();
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..80);
    let json = "[{}\\[\\]\":,a-c0-9 -]{0,40}";
    let call = proptest::sample::select(vec![
        ("POST", "bsky.social", "/xrpc/com.atproto.repo.applyWrites"),
        ("POST", "bsky.social", "/xrpc/com.atproto.repo.createRecord"),
        ("GET", "bsky.social", "/xrpc/app.bsky.feed.getTimeline"),
        ("POST", "social.example", "/api/v1/statuses"),
        ("GET", "social.example", "/api/v1/streaming"),
        ("GET", "social.example", "/api/v1/statuses/1/context"),
    ]);
    proptest::test_runner::TestRunner::default()
        .run(&(bytes, json, call), |(bytes, json, (method, host, path))| {
            let view = format!(
                r#"{{"request":{{"method":"{method}","host":"{host}","path":"{path}","json":{json}}},"response":{{"status":200,"json":{json}}},"message":{{"direction":"inbound","json":{json}}}}}"#
            );
            for exchange in [&bytes[..], view.as_bytes()] {
                for task in [Task::Write, Task::Outcome, Task::Read, Task::Message] {
                    engine.recognize(&Ask { listed: true, ..ask(&set, task) }, exchange);
                }
            }
            Ok(())
        })
        .unwrap();
}

/// Set in a child that is to be the worker itself.
const CHILD: &str = "MUNIMENT_TEST_WORKER";

const BOMB: &str = "[limit(1000000000; repeat(\"x\" * 1000))] | {kind: \"post\", text: (length | tostring)}";

#[test]
fn a_program_that_eats_memory_dies_with_its_process_and_is_named_by_another() {
    let set = set(&write_rule(BOMB));
    if std::env::var_os(CHILD).is_some() {
        confine(512 << 20).unwrap();
        serve(&set, io::stdin().lock(), io::stderr().lock(), processor_time).unwrap();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "recognize::worker::tests::a_program_that_eats_memory_dies_with_its_process_and_is_named_by_another",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let exchange = exchange(json!({}), Value::Null);
    stdin.write_all(&question(&ask(&set, Task::Write), &exchange).unwrap()).unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "it must not have survived: {status}");
    drop(stdin);
    let naming = Ask { naming: true, ..ask(&set, Task::Write) };
    assert_eq!(replies(&set, &[(naming, exchange)]), [Reply::Named(Some("n/say".to_owned()))]);
}

#[test]
fn p1_an_outbound_message_is_kept_under_a_rule_that_does_not_speak_of_messages() {
    let rules = [("read", "GET", "extract = \"empty\""), ("ignore", "GET", ""), ("credential", "GET", "")];
    for (plan, method, more) in rules {
        let text = format!(
            "[[rule]]\nid = \"it\"\nmethod = \"{method}\"\npath = \"/say/{{who}}\"\nplan = \"{plan}\"\n{more}\n"
        );
        let set = set(&text);
        for (direction, kept) in [("outbound", 1), ("inbound", 0)] {
            let mut question: Value = serde_json::from_slice(&exchange(json!({"method": "GET"}), Value::Null)).unwrap();
            question["message"] = json!({"direction": direction, "json": {"text": "words"}});
            let recognition = done(&set, Task::Message, &serde_json::to_vec(&question).unwrap());
            assert_eq!(recognition.communications.len(), kept, "{plan} {direction}");
            assert!(!recognition.ignored);
            assert!(recognition.communications.iter().all(|one| one.kind == Kind::Unclassified));
        }
    }
}

#[test]
fn p1_a_write_is_not_ignored_where_the_origin_may_read_another_path() {
    let set = set("[[rule]]\nid = \"it\"\nmethod = \"POST\"\npath = \"/say/{who}\"\nplan = \"ignore\"\n");
    for (path, ignored) in [("/say/bob", true), ("/say/..", false), ("/say/a%2Fb", false), ("/say/a#b", false)] {
        let recognition = done(&set, Task::Write, &exchange(json!({"path": path}), Value::Null));
        assert_eq!(recognition.ignored, ignored, "{path}");
        assert_eq!(recognition.communications.len(), usize::from(!ignored), "{path}");
    }
}
