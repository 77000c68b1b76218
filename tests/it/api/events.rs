//! Events as they come: in ledger order, none twice, none left out, whatever is cut, restarted or appended elsewhere; nobody's words;
//! and every look is on record before anything is seen.

use std::time::Duration;

use muniment::archive::Append as _;
use muniment::ledger::{Entry, EntryType};
use serde_json::json;

use super::document::assert_documented;
use super::kept::keep;
use super::reader::{Reader, ended, following, looks};
use super::routes::{SAID, Shown, document};
use super::schema::check;
use super::world::{Setting, World};
use crate::service::Curl;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, detail, gap, post};

/// The places of the entries that are events, as the ledger has them.
async fn expected(world: &World, after: u64) -> Vec<u64> {
    let size = world.test.archive.head_size().await.unwrap();
    let entries = world.test.archive.entries(after + 1..size).await.unwrap();
    use EntryType::{Attribution, Capture, Gap, Observation, Outcome};
    let shown = |entry: &&Entry| matches!(entry.entry_type(), Capture | Observation | Outcome | Attribution | Gap);
    entries.iter().filter(shown).map(Entry::index).collect()
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
