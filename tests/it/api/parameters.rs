//! Parameters that cannot be meant: each is named, with what would be right.

use super::routes::{ROUTES, Shown};
use super::world::World;

#[tokio::test]
async fn a_wrong_parameter_is_named_with_what_would_be_right() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    let (long, longer) = ("x".repeat(1_001), "x".repeat(2_001));
    for (query, parameter, hint) in [
        ("limit=0", "limit", "1 to 500"),
        ("limit=501", "limit", "1 to 500"),
        ("limit=99999999999999999999", "limit", "1 to 500"),
        ("limit=-1", "limit", "1 to 500"),
        ("limit=ten", "limit", "1 to 500"),
        ("limit=1.5", "limit", "1 to 500"),
        ("after=-1", "after", "`next`"),
        ("after=x", "after", "`next`"),
        ("after=9223372036854775808", "after", "`next`"),
        ("order=up", "order", "`newest` or `oldest`"),
        ("order=NEWEST", "order", "`newest` or `oldest`"),
        ("kind=poem", "kind", "reply"),
        ("direction=sideways", "direction", "outbound or inbound"),
        ("advisor=ada", "advisor", "0198c0de"),
        ("device=1", "device", "0198c0de"),
        ("account=%00", "account", "0198c0de"),
        ("from=yesterday", "from", "2026-11-21"),
        ("from=2026-13-01", "from", "2026-11-21"),
        ("from=2026-11-21T25:00:00Z", "from", "2026-11-21"),
        ("to=9999-12-31T23:59:59-23:59", "to", "2026-11-21"),
        ("from=0000-01-01T00:00:00%2B01:00", "from", "2026-11-21"),
        ("from=2026-02-02&to=2026-02-01", "to", "later than `from`"),
        ("from=2026-02-02&to=2026-02-02", "to", "later than `from`"),
        ("outcome=maybe", "outcome", "accepted, refused, unknown or none"),
        ("content=gone", "content", "readable"),
        ("flag=Not+A+Flag", "flag", "off_channel"),
        ("gap=Not+A+Cause", "gap", "read_capped"),
        ("as_of=-1", "as_of", "/v1/checkpoints"),
        ("as_of=x", "as_of", "/v1/checkpoints"),
        (&format!("author={longer}"), "author", "at most 2000"),
        (&format!("text={long}"), "text", "at most 1000"),
        (&format!("words={long}"), "words", "at most 1000"),
        (&format!("conversation={longer}"), "conversation", "at most 2000"),
        (&format!("item={longer}"), "item", "at most 2000"),
        (&format!("network={long}"), "network", "at most 100"),
        ("text=", "text", "is empty"),
        ("advisor=", "advisor", "is empty"),
        ("text=%ff", "text", "utf-8"),
        ("text=%c3%28", "text", "utf-8"),
        ("limit=1&limit=2", "limit", "twice"),
        ("advisr=x", "query", "did you mean `advisor`"),
        ("q=x", "query", "known here: network, kind"),
        ("Text=x", "query", "did you mean `text`"),
        ("&&=", "query", "unknown parameter"),
    ] {
        let answer = world.get(&format!("/v1/records?{query}")).officer(&officer).send().await;
        let detail = answer.wrong(parameter);
        assert!(detail.contains(hint), "{query}: {detail}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before, "nobody looked at anything");
}

#[tokio::test]
async fn a_wrong_parameter_of_an_export_or_a_thread_is_named_too() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    let thread = format!("/v1/records/{}/thread", shown.kept.id());
    for (path, query, parameter, hint) in [
        ("/v1/records/export", "format=xml", "format", "jsonl or csv"),
        ("/v1/records/export", "after=12", "after", "`cursor`"),
        ("/v1/records/export", "after=12@3", "after", "`cursor`"),
        ("/v1/records/export", "after=-1@3", "after", "`cursor`"),
        ("/v1/records/export", "after=1@3&as_of=4", "after", "another export"),
        ("/v1/records/export", "limit=5", "query", "known here"),
        ("/v1/records/facets", "after=5", "query", "known here"),
        (thread.as_str(), "limit=0", "limit", "1 to 500"),
        (thread.as_str(), "after=-1", "after", "`next`"),
        (thread.as_str(), "as_of=x", "as_of", "/v1/checkpoints"),
    ] {
        let answer = world.get(&format!("{path}?{query}")).officer(&officer).send().await;
        let detail = answer.wrong(parameter);
        assert!(detail.contains(hint), "{path}?{query}: {detail}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before, "nobody looked at anything");
}

#[tokio::test]
async fn odd_texts_are_looked_for_and_not_obeyed() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    for odd in [
        "%00",
        "a%00b",
        "%27",
        "%22",
        "%5C",
        "%25",
        "_",
        "%26%7C!",
        "a:*b)(",
        "%F4%8F%BF%BF",
        "-",
        "or+or",
        "%E2%80%AE",
    ] {
        for name in ["network", "author", "recipient", "conversation", "item", "text", "words"] {
            let answer = world.get(&format!("/v1/records?{name}={odd}")).officer(&officer).send().await;
            // Signs are no words, and are said not to be.
            if name == "words" && answer.status == 400 {
                answer.wrong("words");
            } else {
                assert_eq!(answer.status, 200, "{name}={odd}: {}", answer.text());
            }
        }
    }
    // What was asked stands in the ledger and in its projection, zero bytes and all.
    world.project().await;
    assert_eq!(
        world.get(&shown.address("/v1/records", Some("records.search"))).officer(&officer).send().await.status,
        200
    );
}

#[tokio::test]
async fn a_parameter_nobody_knows_is_refused_by_every_operation() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    for route in ROUTES.iter().filter(|route| !route.roles.is_empty()) {
        let path = shown.address(route.template, route.written.first().copied());
        let odd = format!("{path}{}adviser=1", if path.contains('?') { '&' } else { '?' });
        let detail = world.get(&odd).officer(&officer).send().await.wrong("query");
        assert!(detail.contains("`adviser`") && detail.contains("known here"), "{odd}: {detail}");
    }
}

#[tokio::test]
async fn a_path_that_names_nothing_says_what_it_should_name() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let (id, index) = (shown.kept.id(), shown.kept.index);
    for (path, parameter, hint) in [
        ("/v1/records/42".to_owned(), "id", "0198c0de"),
        ("/v1/records/%ff".to_owned(), "path", "utf-8"),
        (format!("/v1/records/{id}?proof=yes"), "proof", "0 or 1"),
        (format!("/v1/records/{id}?proof=2"), "proof", "0 or 1"),
        (format!("/v1/records/{id}/fields/x/0.text"), "index", "a number from 0"),
        (format!("/v1/records/{id}/fields/-1/0.text"), "index", "a number from 0"),
        (format!("/v1/records/{id}/fields/{index}/%ff"), "path", "utf-8"),
        (format!("/v1/records/{id}/attachments/x/0"), "number", "a number from 0"),
        (format!("/v1/records/{id}/attachments/0/65536"), "position", "a number from 0"),
        ("/v1/entries/first".to_owned(), "index", "a number from 0"),
        ("/v1/entries/%2B1".to_owned(), "index", "a number from 0"),
        ("/v1/entries/18446744073709551616".to_owned(), "index", "a number from 0"),
        ("/v1/tile/%ff".to_owned(), "path", "utf-8"),
    ] {
        let detail = world.get(&path).officer(&officer).send().await.wrong(parameter);
        assert!(detail.contains(hint), "{path}: {detail}");
    }
    for path in [
        format!("/v1/records/{id}/fields/{index}/NO%00PE"),
        format!("/v1/records/{id}/fields/{index}/..%2F..%2Fetc"),
        format!("/v1/records/{id}/fields/18446744073709551615/0.text"),
        // Another record's entry.
        format!("/v1/records/{id}/fields/0/0.text"),
        format!("/v1/records/{id}/attachments/65535/65535"),
        "/v1/entries/18446744073709551615".to_owned(),
    ] {
        world.get(&path).officer(&officer).send().await.problem(404, "not-found");
    }
    world.project().await;
}
