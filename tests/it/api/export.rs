//! Exports: everything a search finds, whole or known to be cut, in bounded memory, and on record from before the first byte.

use std::time::Duration;

use futures_util::StreamExt as _;
use muniment::archive::Append as _;
use muniment::ledger::{Entry, EntryType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::kept::{dispose, keep};
use super::limits::{short, until};
use super::world::{Officer, World};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, outcome, post_of};

/// Waits for the entry that says how far an export came; the entry before it says that it began.
pub(super) async fn ended(world: &World, from: u64) -> Entry {
    for _ in 0..1_000 {
        let size = world.test.archive.head_size().await.unwrap();
        let entries = world.test.archive.entries(from..size).await.unwrap();
        let end = entries.iter().find(|entry| entry.detail().get("operation") == Some(&json!("records.exported")));
        if let Some(end) = end {
            assert_eq!(entries[0].detail()["operation"], "records.export", "it began before");
            assert_eq!(end.actor(), entries[0].actor());
            return end.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing says how far the export came");
}

async fn said(world: &World, entry: &Entry, field: &str) -> String {
    world.test.archive.content(entry).await.unwrap().unwrap().text(field).unwrap().to_owned()
}

/// The lines of an export, after it was checked that it is complete.
async fn lines(world: &World, officer: &Officer, query: &str) -> (Vec<Value>, Value) {
    let answer = world.get(&format!("/v1/records/export?{query}")).officer(officer).send().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/jsonl"));
    let mut lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    assert_eq!(end["complete"], true, "{end}");
    assert_eq!(end["count"], lines.len());
    let place = |line: Option<&Value>| line.map_or(Value::Null, |line| line["index"].clone());
    assert_eq!((&end["from"], &end["to"]), (&place(lines.first()), &place(lines.last())));
    (lines, end)
}

async fn many(world: &World, count: usize) {
    let appending = futures_util::stream::iter(0..count).map(|number| async move {
        let record = NewRecord::new(&world.test);
        world
            .test
            .archive
            .append(post_of(&world.test, &record, &[advisor(1)], &format!("number {number}")))
            .await
            .unwrap();
    });
    appending.buffer_unordered(256).collect::<Vec<_>>().await;
    world.project().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_holds_everything_the_search_finds_in_order_and_goes_on_after_any_line() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    many(&world, 1_500).await;
    let before = world.test.archive.head_size().await.unwrap();
    let (all, end) = lines(&world, &officer, "").await;
    assert_eq!(all.len(), 1_500);
    assert!(all.iter().map(|line| line["index"].as_u64().unwrap()).is_sorted());
    let size = end["as_of"].as_u64().unwrap();
    assert_eq!(size, before, "all there was when it began");
    assert_eq!(all[0]["cursor"], format!("{}@{size}", all[0]["index"]));
    // What came meanwhile is in another export, and not in the rest of this one.
    many(&world, 20).await;
    for at in [0, 7, 199, 200, 201, 1_498, 1_499] {
        let cursor = all[at]["cursor"].as_str().unwrap();
        let (rest, end) = lines(&world, &officer, &format!("after={cursor}")).await;
        assert!(rest == all[at + 1..], "after {at}");
        assert_eq!((end["as_of"].as_u64(), end["after"].as_str()), (Some(size), Some(cursor)));
    }
    let (again, _) = lines(&world, &officer, &format!("as_of={size}")).await;
    assert!(again == all, "the same question has the same answer");
    // Every filter of the list is one of the export.
    for query in ["text=number+7", "words=1499", "kind=reply", "kind=post&text=99"] {
        let (found, _) = lines(&world, &officer, &format!("{query}&as_of={size}")).await;
        let mut listed = Vec::new();
        let mut next = Some(format!("/v1/records?{query}&as_of={size}&order=oldest&limit=500"));
        while let Some(path) = next {
            let page = world.get(&path).officer(&officer).send().await.json(200);
            listed.extend(page["records"].as_array().unwrap().iter().map(|record| record["id"].clone()));
            next = page["next_page"].as_str().map(ToOwned::to_owned);
        }
        assert_eq!(found.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), listed, "{query}");
    }
}

#[tokio::test]
async fn an_export_shows_what_was_said_as_it_stood() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["compliance"]).await);
    let facts = [("kinds", json!(["post", "reply"])), ("flags", json!(["redacted"]))];
    let fields: &[(&str, &[u8])] = &[
        ("0.text", b"=cmd()"),
        ("0.author", b"{\"id\":\"7\",\"handle\":\"ada\"}"),
        ("1.text", "say \"no\", and\r\n+more".as_bytes()),
    ];
    let kept = keep(test, &[advisor(1)], &facts, fields).await;
    let gone = keep(test, &[], &[], &[("0.text", b"secret")]).await;
    world.project().await;
    let (first, end) = lines(&world, &officer, "").await;
    let size = end["as_of"].as_u64().unwrap();
    assert_eq!(first[0]["communications"][0]["text"], "=cmd()");
    assert_eq!(first[0]["communications"][0]["author"]["handle"], "ada");
    assert_eq!(first[1]["communications"][0]["text"], "secret");
    test.archive.append(outcome(test, &kept.record, kept.entry, &kept.advisors)).await.unwrap();
    let disposal = dispose(test, &[gone.id()]).await;
    world.project().await;
    let (then, _) = lines(&world, &officer, &format!("as_of={size}")).await;
    assert_eq!(then[0], first[0], "the answer that came later is not in it");
    assert_eq!((&then[1]["content"], &then[1]["disposed"]), (&json!("disposed"), &json!(disposal)));
    assert!(then[1]["communications"][0]["text"].is_null());
    let (now, _) = lines(&world, &officer, "").await;
    assert_eq!(now[0]["outcome"]["state"], "accepted");

    let csv = world.get(&format!("/v1/records/export?format=csv&as_of={size}")).officer(&officer).send().await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let name = format!("attachment; filename=\"records-{size}.csv\"");
    assert_eq!(csv.header("content-disposition"), Some(name.as_str()));
    let text = csv.text();
    let table = table(&text);
    assert_eq!(table.len(), 4, "a header, two communications, one disposed of: {text}");
    let column = |name: &str| table[0].iter().position(|cell| cell == name).unwrap();
    assert!(table.iter().all(|row| row.len() == table[0].len()));
    assert_eq!(table[1][column("text")], "'=cmd()", "no formula");
    assert_eq!(table[2][column("text")], "say \"no\", and\r\n+more");
    assert_eq!((table[1][column("cursor")].as_str(), table[1][column("kind")].as_str()), ("", "post"));
    assert_eq!(table[2][column("cursor")], then[0]["cursor"].as_str().unwrap(), "on the last line of the record");
    assert_eq!((table[1][column("author_handle")].as_str(), table[1][column("flags")].as_str()), ("ada", "redacted"));
    assert_eq!(table[3][column("disposed")], disposal.to_string());
    let cursor = &table[2][column("cursor")];
    let rest = world.get(&format!("/v1/records/export?format=csv&after={cursor}")).officer(&officer).send().await;
    assert_eq!(rest.header("content-type"), Some("text/csv; charset=utf-8; header=absent"));
    assert!(text.ends_with(&rest.text()), "the parts make one file");
    assert_sound(test).await;
}

/// Reads RFC 4180.
fn table(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (false, '"') => quoted = true,
            (true, '"') if chars.peek() == Some(&'"') => cell.extend(chars.next()),
            (true, '"') => quoted = false,
            (true, c) => cell.push(c),
            (false, ',') => row.push(std::mem::take(&mut cell)),
            (false, '\r') => {}
            (false, '\n') => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (false, c) => panic!("{c:?} outside of quotes"),
        }
    }
    assert!(!quoted && row.is_empty());
    rows
}

#[tokio::test]
async fn p5_an_export_is_on_record_before_its_first_byte_and_how_far_it_came_after_its_last() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await;
    world.project().await;
    let before = world.test.archive.head_size().await.unwrap();
    let query = format!("text=zanzibar&advisor={}", advisor(1));
    let (found, _) = lines(&world, &officer, &query).await;
    let end = ended(&world, before).await;
    let begin = world.test.archive.entry(before).await.unwrap().unwrap();
    for entry in [&begin, &end] {
        assert_eq!((entry.entry_type(), &entry.detail()["allowed"]), (EntryType::Access, &json!(true)));
        assert_eq!(entry.detail()["advisor"], advisor(1).to_string());
        assert_eq!(said(&world, entry, "purpose").await, "a test looks");
    }
    assert_eq!(said(&world, &begin, "query").await, query);
    assert_eq!((&end.detail()["count"], &end.detail()["records"]), (&json!(1), &json!([kept.id().to_string()])));
    let how = said(&world, &end, "query").await;
    assert!(
        how.contains("; complete;") && how.ends_with(&format!("last={}", found[0]["cursor"].as_str().unwrap())),
        "{how}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_or_does_not_read_ends_the_export_and_that_is_on_record() {
    let world = World::with(short()).await;
    let officer = world.officer(&["compliance"]).await;
    let many = serde_json::to_vec(&vec!["somebody"; 8_000]).unwrap();
    for _ in 0..200 {
        keep(&world.test, &[], &[], &[("0.recipients", &many)]).await;
    }
    world.project().await;
    for leaves in [true, false] {
        let before = world.test.archive.head_size().await.unwrap();
        let mut stream = TcpStream::connect(world.instance.address).await.unwrap();
        let request = format!(
            "GET /v1/records/export HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nmuniment-purpose: slow\r\n\r\n",
            officer.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut begun = [0; 1_000];
        stream.read_exact(&mut begun).await.unwrap();
        assert!(begun.starts_with(b"HTTP/1.1 200"));
        assert_eq!(world.instance.slots.available_permits(), 63, "what is still being sent is still work");
        let mut held = Some(stream);
        if leaves {
            held = None;
        }
        until("slot given back", || world.instance.slots.available_permits() == 64).await;
        let end = ended(&world, before).await;
        let count = end.detail()["count"].as_u64().unwrap();
        assert!(count < 200, "it was cut: {count}");
        assert!(said(&world, &end, "query").await.contains("; the officer left;"));
        if let Some(mut stream) = held.take() {
            let mut rest = Vec::new();
            let _cut = stream.read_to_end(&mut rest).await;
            assert!(!String::from_utf8_lossy(&rest).contains("\"complete\""), "a cut download is known as such");
        }
    }
}

#[tokio::test]
async fn an_export_that_breaks_off_has_no_last_line() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    keep(&world.test, &[], &[], &[("0.text", b"a")]).await;
    world.project().await;
    world.test.archive.publish(true).await.unwrap();
    // What it would read is gone.
    world.test.database.tamper("alter table projection.communications rename to elsewhere").await;
    let before = world.test.archive.head_size().await.unwrap();
    let mut stream = TcpStream::connect(world.instance.address).await.unwrap();
    let request = format!(
        "GET /v1/records/export HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nmuniment-purpose: cut\r\n\r\n",
        officer.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _cut = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(!answer.contains("complete") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(said(&world, &ended(&world, before).await, "query").await.contains("; broken off;"));
}
