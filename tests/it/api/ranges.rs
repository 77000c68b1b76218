//! Bytes in parts: one range at a time, and nothing twice that the caller has.

use muniment::ledger::EntryType;
use muniment::record::Digest;
use serde_json::json;

use super::document::assert_documented;
use super::kept::keep_with;
use super::routes::document;
use super::world::World;
use crate::support::submissions::advisor;

const FIELD: &str = "/v1/records/{id}/fields/{index}/{name}";

#[tokio::test]
async fn a_part_of_a_value_is_exactly_that_part_wherever_the_value_is_kept() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    let document = document(&world).await;
    for size in [1_000_u64, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let listed = serde_json::to_vec(&json!([{ "source": "body" }])).unwrap();
        let small: &[(&str, &[u8])] = &[("0.attachments", &listed), ("request.body", &body)];
        let (fields, large) = if size > 200_000 { (&small[..1], &small[1..]) } else { (small, &small[2..]) };
        let kept = keep_with(&world.test, &[advisor(1)], &[("attachments", json!(1))], fields, large).await;
        world.project().await;
        let tag = format!("\"sha256-{}\"", Digest::of(&[&body]));
        for path in [
            format!("/v1/records/{}/fields/{}/request.body", kept.id(), kept.index),
            format!("/v1/records/{}/attachments/0/0", kept.id()),
        ] {
            let get = || world.get(&path).officer(&officer);
            let whole = get().send().await;
            assert_eq!((whole.status.as_u16(), whole.header("etag")), (200, Some(tag.as_str())));
            assert_eq!(whole.header("accept-ranges"), Some("bytes"));
            assert_eq!(whole.header("content-length"), Some(size.to_string().as_str()));
            assert!(whole.body == body);
            for (from, until) in [(0, 1), (0, size), (10, 999), (size - 1, size), (size / 2, size / 2 + 77)] {
                let answer = get().header("range", &format!("bytes={from}-{}", until - 1)).send().await;
                assert_eq!(answer.status, 206, "{from}..{until}");
                let said = format!("bytes {from}-{}/{size}", until - 1);
                assert_eq!(answer.header("content-range"), Some(said.as_str()));
                assert_eq!(answer.header("etag"), Some(tag.as_str()));
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                assert!(answer.header("content-disposition").unwrap().starts_with("attachment; filename="));
                let part = usize::try_from(from).unwrap()..usize::try_from(until).unwrap();
                assert!(answer.body == body[part], "{from}..{until} of {size}");
                assert_documented(&document, FIELD, &path, &answer);
            }
            // Put together, the parts are the whole.
            let first = get().header("range", "bytes=0-499").send().await;
            let rest = get().header("range", "bytes=500-").header("if-range", &tag).send().await;
            assert_eq!((first.status.as_u16(), rest.status.as_u16()), (206, 206));
            assert!([first.body, rest.body].concat() == body);
            let suffix = get().header("range", "bytes=-5").send().await;
            assert!(suffix.body == body[body.len() - 5..]);
            let head = get().method("HEAD").header("range", "bytes=0-0").send().await;
            assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
            assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
        }
    }
}

#[tokio::test]
async fn conditions_are_kept_and_every_answer_to_them_is_a_look_on_record() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let document = document(&world).await;
    let kept = keep_with(&world.test, &[], &[], &[("0.text", b"zanzibar"), ("0.item", b"")], &[]).await;
    world.project().await;
    let path = format!("/v1/records/{}/fields/{}/0.text", kept.id(), kept.index);
    let tag = format!("\"sha256-{}\"", Digest::of(&[b"zanzibar"]));
    let weak = format!("W/{tag}");
    let other = format!("\"a\", {tag}");
    let date = "Sun, 22 Nov 2026 00:00:00 GMT";
    for (headers, status, body) in [
        (vec![("if-none-match", tag.as_str())], 304, ""),
        (vec![("if-none-match", weak.as_str())], 304, ""),
        (vec![("if-none-match", other.as_str())], 304, ""),
        (vec![("if-none-match", "*"), ("range", "bytes=0-1")], 304, ""),
        (vec![("if-none-match", "\"a\"")], 200, "zanzibar"),
        (vec![("if-none-match", "\"a\""), ("range", "bytes=0-1")], 206, "za"),
        (vec![("if-range", tag.as_str()), ("range", "bytes=0-1")], 206, "za"),
        // Only a strong tag says that the parts fit together.
        (vec![("if-range", weak.as_str()), ("range", "bytes=0-1")], 200, "zanzibar"),
        (vec![("if-range", "\"a\""), ("range", "bytes=0-1")], 200, "zanzibar"),
        (vec![("if-range", date), ("range", "bytes=0-1")], 200, "zanzibar"),
        (vec![("range", "bytes=0-1,4-5")], 200, "zanzibar"),
        (vec![("range", "bytes=2-1")], 200, "zanzibar"),
        (vec![("range", "characters=0-1")], 200, "zanzibar"),
    ] {
        let before = world.test.archive.head_size().await.unwrap();
        let call =
            headers.iter().fold(world.get(&path).officer(&officer), |call, (name, value)| call.header(name, value));
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{headers:?}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()), "{headers:?}");
        let looks = world.test.archive.entries(before..before + 9).await.unwrap();
        assert_eq!(looks.len(), 1, "{headers:?}");
        assert_eq!((looks[0].entry_type(), &looks[0].detail()["operation"]), (EntryType::Access, &json!("fields.get")));
        let said = world.test.archive.content(&looks[0]).await.unwrap().unwrap().text("query").unwrap().to_owned();
        let range = headers.iter().find(|(name, _)| *name == "range");
        assert_eq!(said.contains("&range="), range.is_some(), "{said}");
    }
    for (range, name, size) in [("bytes=8-", "0.text", 8), ("bytes=-0", "0.text", 8), ("bytes=0-", "0.item", 0)] {
        let path = format!("/v1/records/{}/fields/{}/{name}", kept.id(), kept.index);
        let before = world.test.archive.head_size().await.unwrap();
        let answer = world.get(&path).officer(&officer).header("range", range).send().await;
        let problem = answer.problem(416, "range-not-satisfiable");
        assert_eq!(problem["size"], size);
        assert_eq!(answer.header("content-range"), Some(format!("bytes */{size}").as_str()));
        assert_documented(&document, FIELD, &path, &answer);
        assert_eq!(world.test.archive.head_size().await.unwrap(), before + 1, "how long it is tells something");
    }
}
