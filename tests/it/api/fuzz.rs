//! Whatever is asked, the answer is one of the document's, and never a fault of ours.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::document::assert_documented;
use super::routes::{ROUTES, Shown, document};
use super::world::World;

/// Texts that parsers stumble over, among them some that are right.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "0", "1", "-1", "2", "256", "500", "501", "65535", "65536", "9223372036854775807", "9223372036854775808",
            "18446744073709551615", "18446744073709551616", "1e9", "0x10", "007", "+1", " 1", "NaN", "true", "null",
            "newest", "oldest", "post", "inbound", "accepted", "none", "off_channel", "bluesky", "readable", "2026-11-21",
            "2026-11-21T20:00:00Z", "0000-01-01", "9999-12-31T23:59:59.999999999+00:00", "2024-02-30", "0.text", "request.body",
            "00000000-0000-0000-0000-00000000004d", "000", "0/000", "entries/000.p/1", "x999/999", "..", ".", "a/b", "\0", "\u{1}",
            "'", "\"", "\\", "%", "%25", "_", ";", "--", "*", "$1", "{}", "[]", "\u{202e}", "\u{fffd}", "\u{10ffff}", "İ", "",
        ]).prop_map(ToOwned::to_owned),
        1 => ".{0,40}",
        1 => "[a-z0-9]{1,2500}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known = vec![
        "limit",
        "after",
        "order",
        "network",
        "kind",
        "direction",
        "advisor",
        "device",
        "account",
        "recipient",
        "conversation",
        "item",
        "from",
        "to",
        "outcome",
        "flag",
        "text",
        "words",
        "content",
        "proof",
        "as_of",
        "format",
        "author",
        "gap",
        "index",
        "size",
        "old",
        "new",
    ];
    prop_oneof![9 => prop::sample::select(known).prop_map(ToOwned::to_owned), 1 => odd()]
}

/// Escaped, or partly not: what a careless client sends.
fn escaped(text: &str, raw: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b @ (b'-' | b'.' | b'_' | b'~') => char::from(b).to_string(),
            b @ (b'/' | b':' | b'+' | b'=' | b'*' | b'\'' | b';' | b'$') if raw => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[derive(Debug, Clone)]
struct Question {
    route: usize,
    /// What stands in the places of the path; none for what is there.
    places: Vec<Option<String>>,
    query: Vec<(String, String)>,
    raw: bool,
    /// Bytes that are no text at all.
    broken: bool,
}

fn question() -> impl Strategy<Value = Question> {
    let places = prop::collection::vec(prop::option::of(odd()), 3);
    let query = prop::collection::vec((name(), odd()), 0..4);
    (0..ROUTES.len(), places, query, any::<bool>(), prop::bool::weighted(0.05))
        .prop_map(|(route, places, query, raw, broken)| Question { route, places, query, raw, broken })
}

#[test]
fn no_question_is_answered_with_a_fault_of_ours() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (world, shown, officer, document) = runtime.block_on(async {
        let world = World::new().await;
        let shown = Shown::new(&world).await;
        let officer = world.officer(&["compliance"]).await;
        let document = document(&world).await;
        (world, shown, officer, document)
    });
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let (answered, refused) = (Cell::new(0), Cell::new(0));
    let result = runner.run(&question(), |asked| {
        let template = ROUTES[asked.route].template;
        let good = shown.address(template, ROUTES[asked.route].written.first().copied());
        let fixed: Vec<&str> = template.split('/').collect();
        let mut places = asked.places.iter();
        let path: Vec<String> = good
            .split('?')
            .next()
            .unwrap()
            .splitn(fixed.len(), '/')
            .zip(&fixed)
            .map(|(part, place)| match place.starts_with('{').then(|| places.next()).flatten() {
                // An empty place would be another address.
                Some(Some(odd)) if !odd.is_empty() => escaped(odd, false),
                _ => part.to_owned(),
            })
            .collect();
        let mut pairs: Vec<String> = asked
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name, asked.raw), escaped(value, asked.raw)))
            .collect();
        if asked.broken {
            pairs.push("text=%ff%c3".to_owned());
        }
        let path = if pairs.is_empty() { path.join("/") } else { format!("{}?{}", path.join("/"), pairs.join("&")) };
        let answer = runtime.block_on(world.get(&path).officer(&officer).send());
        prop_assert!(!answer.status.is_server_error(), "{path}: {}", answer.text());
        assert_documented(&document, template, &path, &answer);
        let count = if answer.status == 200 { &answered } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(answered.get() > 40 && refused.get() > 100, "{} answered, {} refused", answered.get(), refused.get());
    runtime.block_on(async {
        // Whatever was asked is in the ledger and can be projected.
        world.project().await;
        let size = world.test.archive.head_size().await.unwrap();
        assert_eq!(world.test.archive.projected().await.unwrap(), size);
        let mut connection = world.test.database.superuser().await;
        let faults: i64 =
            sqlx::query_scalar("select count(*) from projection.faults").fetch_one(&mut connection).await.unwrap();
        assert_eq!(faults, 0);
    });
}
