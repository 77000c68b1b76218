//! Attachments and fields: the bytes that were sent, never run, never guessed, in bounded memory.

use muniment::record::Digest;
use serde_json::{Value, json};

use super::call::Answer;
use super::kept::{Kept, keep_with};
use super::world::{Officer, World};
use crate::support::submissions::advisor;

const HTML: &[u8] = b"<html><script>fetch('/v1/records')</script></html>";

/// A multipart body with a field, a page and a picture of this size; and where the parts stand.
fn form(size: usize) -> (Vec<u8>, Vec<u8>) {
    let picture: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let mut body = Vec::new();
    body.extend_from_slice(b"--XyZ\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nhello\r\n");
    body.extend_from_slice(b"--XyZ\r\nContent-Disposition: form-data; name=\"page\"; filename=\"p.html\"\r\nContent-Type: text/html\r\n\r\n");
    body.extend_from_slice(HTML);
    body.extend_from_slice(b"\r\n--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.png\"\r\n\r\n");
    body.extend_from_slice(&picture);
    body.extend_from_slice(b"\r\n--XyZ--\r\n");
    (body, picture)
}

/// A record with this body and these attachments, the body in a file where it is large.
async fn upload(world: &World, attachments: Value, body: &[u8]) -> Kept {
    let attachments = serde_json::to_vec(&attachments).unwrap();
    let head: &[u8] = b"POST /media HTTP/1.1\r\nHost: a.example\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n";
    let mut fields: Vec<(&str, &[u8])> = vec![("0.attachments", &attachments), ("request.head", head)];
    let mut large = Vec::new();
    if body.len() > 200_000 {
        large.push(("request.body", body))
    } else {
        fields.push(("request.body", body))
    }
    let kept = keep_with(&world.test, &[advisor(1)], &[("attachments", json!(1))], &fields, &large).await;
    world.project().await;
    kept
}

async fn attachment(world: &World, officer: &Officer, kept: &Kept, position: usize) -> Answer {
    world.get(&format!("/v1/records/{}/attachments/0/{position}", kept.id())).officer(officer).send().await
}

fn assert_safe(answer: &Answer, filename: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("content-disposition"), Some(format!("attachment; filename=\"{filename}\"").as_str()));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_attachment_is_the_bytes_that_were_sent_wherever_they_stand() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    for size in [1_000, 3_000_000] {
        let (body, picture) = form(size);
        let listed = json!([
            { "media_type": "text/html", "source": { "part": 1 }, "digest": Digest::of(&[HTML]).to_string() },
            { "media_type": "image/png", "source": { "part": 2 }, "digest": Digest::of(&[&picture]).to_string() },
            { "source": "body", "digest": Digest::of(&[&body]).to_string() },
            { "source": { "part": 2 }, "digest": Digest::of(&[b"something else"]).to_string() },
            { "source": { "part": 9 } },
            { "url": "https://cards.example/1" },
        ]);
        let kept = upload(&world, listed, &body).await;
        for (position, bytes, declared) in
            [(0, HTML, Some("text/html")), (1, picture.as_slice(), Some("image/png")), (2, body.as_slice(), None)]
        {
            let answer = attachment(&world, &officer, &kept, position).await;
            assert_safe(&answer, &format!("{}.0.{position}", kept.id()));
            assert!(answer.body == bytes, "attachment {position} of a body of {size}");
            assert_eq!(answer.header("muniment-media-type"), declared);
        }
        for position in [3, 4, 5, 6] {
            attachment(&world, &officer, &kept, position).await.problem(404, "not-found");
        }
        let whole = world.get(&format!("/v1/records/{}/fields/{}/request.body", kept.id(), kept.index));
        let whole = whole.officer(&officer).send().await;
        assert_safe(&whole, &format!("{}.request.body", kept.id()));
        assert!(whole.body == body);
    }
}

#[tokio::test]
async fn what_a_network_says_of_an_attachment_becomes_no_header_of_its_choice() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let listed = json!([
        { "media_type": "text/html\r\nset-cookie: a=b", "source": "body" },
        { "media_type": "text/html; charset=\u{fc}", "source": "body" },
        { "media_type": 7, "source": "body" },
        { "source": { "part": -1 } },
        { "source": { "part": 99_999_999_999_u64 } },
        "not an object",
    ]);
    let kept = upload(&world, listed, HTML).await;
    let answer = attachment(&world, &officer, &kept, 0).await;
    assert_safe(&answer, &format!("{}.0.0", kept.id()));
    assert_eq!(answer.header("muniment-media-type"), None);
    assert!(answer.headers.get("set-cookie").is_none());
    assert_eq!(attachment(&world, &officer, &kept, 1).await.status, 200);
    for position in 2..6 {
        attachment(&world, &officer, &kept, position).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_large_field_is_streamed_whole_and_its_damage_is_noticed_before_a_byte_is_shown() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let body: Vec<u8> = (0..20_000_000_u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
    let kept = upload(&world, json!([{ "source": "body" }]), &body).await;
    let path = format!("/v1/records/{}/fields/{}/request.body", kept.id(), kept.index);
    let answer = world.get(&path).officer(&officer).send().await;
    assert!(answer.status == 200 && answer.body == body);
    // One bit near the end of the file.
    let blobs = world.test.dir.path().join("blobs");
    let file = files(&blobs).into_iter().find(|file| file.metadata().unwrap().len() > 1_000_000).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 1_000;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.get(&path).officer(&officer).send().await.problem(500, "unreadable");
    attachment(&world, &officer, &kept, 0).await.problem(500, "unreadable");
    std::fs::remove_file(&file).unwrap();
    world.get(&path).officer(&officer).send().await.problem(500, "unreadable");
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
