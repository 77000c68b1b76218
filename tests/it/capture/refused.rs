//! What cannot be kept: the write is refused before anything leaves, and that is on record.

use http::Method;
use muniment::capture::{Recorder, RefusalReason};
use muniment::ledger::EntryType;
use muniment::settings::WhenUnavailable;
use serde_json::json;

use super::support::{ArchiveFault, assert_sound};
use super::world::{Ground, header, said, world};

#[tokio::test]
async fn p1_each_way_an_append_fails_ends_in_one_capture_or_in_a_refusal_on_record() {
    use ArchiveFault::{NotPersisted, PersistedAndHangs, PersistedButReportedFailed, Pushback, Refused};
    for fault in [NotPersisted, PersistedButReportedFailed, PersistedAndHangs, Pushback, Refused] {
        let world = world().await;
        world.ground.archive.fail_at(0, fault);
        let written = world.post(json!({"text": "hello"})).await;
        let (expected, gaps) = match fault {
            Pushback | Refused => (0, 1),
            _ => (1, 0),
        };
        assert_eq!(written.is_ok(), expected == 1, "{fault:?}");
        let reason = written.as_ref().err().map(muniment::capture::Refusal::reason);
        match fault {
            Pushback => assert_eq!(reason, Some(RefusalReason::Overloaded)),
            Refused => assert_eq!(reason, Some(RefusalReason::Rejected)),
            _ => {}
        }
        drop(written);
        let ground = world.end().await;
        let world = ground.start().await;
        world.until(|world| world.entries(EntryType::Outcome).len() == expected).await;
        assert_eq!(world.entries(EntryType::Capture).len(), expected, "{fault:?}");
        let refused = world.entries(EntryType::Gap).iter().filter(|gap| said(gap, "cause") == "write_refused").count();
        assert_eq!(refused, gaps, "{fault:?}");
        assert_sound(&world.ground.ledger);
        world.end().await;
    }
}

#[tokio::test]
async fn with_refuse_and_the_archive_away_a_write_is_refused_and_that_is_on_record_later() {
    let world = Ground { when_unavailable: WhenUnavailable::Refuse, ..Ground::new() }.start().await;
    world.ground.archive.set_away(true);
    for _ in 0..5 {
        let refusal = world.post(json!({"text": "hello"})).await.unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::ArchiveUnavailable);
        assert!(refusal.may_pass());
    }
    world.ground.archive.set_away(false);
    let ground = world.end().await;
    let world = ground.start().await;
    let refused = |world: &super::world::World| -> u64 {
        let gaps = world.entries(EntryType::Gap);
        let refused = gaps.iter().filter(|gap| said(gap, "cause") == "write_refused");
        refused.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum()
    };
    world.until(|world| refused(world) == 5).await;
    assert_eq!(world.entries(EntryType::Capture).len(), 0);
    let gap = &world.entries(EntryType::Gap).into_iter().find(|gap| said(gap, "cause") == "write_refused").unwrap();
    assert_eq!(world.text(gap, "host"), "net.example");
    assert!(!String::from_utf8_lossy(gap.bytes()).contains("net.example"), "a host is a commitment");
    world.end().await;
}

#[tokio::test]
async fn p1_a_full_blob_store_refuses_what_needs_it_and_nothing_else() {
    let world = world().await;
    // A file where the store's directory should be: no blob can be begun, whoever runs this test.
    let unfinished = world.ground.blobs.path().join("unfinished");
    std::fs::remove_dir_all(&unfinished).unwrap();
    std::fs::write(&unfinished, b"").unwrap();
    let large = world.exchange(Method::POST, "/media", &"x".repeat(1 << 20));
    let refusal = world.capture.write(large).await.unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::StorageUnavailable);
    assert!(refusal.may_pass());
    drop(world.post(json!({"text": "small"})).await.unwrap());
    let ground = world.end().await;
    assert_eq!(ground.ledger.entries_of(EntryType::Capture).len(), 1);
    assert!(ground.ledger.entries_of(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "write_refused"));
}

#[tokio::test]
async fn p1_a_write_whose_body_cannot_be_kept_is_refused_and_the_gap_says_why() {
    use std::io::Write as _;
    let world = world().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(json!({"access_token": "a-token-that-shows", "text": "cut ".repeat(4000)}).to_string().as_bytes())
        .unwrap();
    let mut coded = gzip.finish().unwrap();
    coded.truncate(coded.len() - 20);
    let mut corrupt = world.exchange(Method::POST, "/posts", "");
    header(&mut corrupt, "content-encoding", "gzip");
    corrupt.request.body = bytes::Bytes::from(coded).into();
    let large = json!({"text": "x".repeat(33 << 20)}).to_string();
    let large = world.exchange(Method::POST, "/posts", &large);
    let login = {
        let mut login = world.exchange(Method::POST, "/oauth/token", &"x".repeat(33 << 20));
        login.request.head.authority = "other.example:443".parse().unwrap();
        login
    };
    let part = "--b\r\ncontent-disposition: form-data; name=access_token\r\n\r\na-token-that-shows\r\n";
    let mut parts = world.exchange(Method::POST, "/posts", &part.repeat(300));
    parts.request.head.headers.insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
    let refused = [
        (corrupt, RefusalReason::BodyUndecodable),
        (parts, RefusalReason::BodyUndecodable),
        (large, RefusalReason::BodyTooLarge),
    ];
    for (exchange, reason) in refused {
        let refusal = world.capture.write(exchange).await.unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert!(!refusal.may_pass(), "the same body again is refused again");
    }
    drop(world.capture.write(login).await.unwrap());
    world.until_count(EntryType::Gap, 2).await;
    let ground = world.end().await;
    let captures = ground.ledger.entries_of(EntryType::Capture);
    assert_eq!(captures.len(), 1, "of a login the head is all that is kept anyway");
    let gaps = ground.ledger.entries_of(EntryType::Gap);
    let causes: std::collections::BTreeSet<String> = gaps.iter().map(|gap| said(gap, "cause")).collect();
    assert_eq!(causes, ["unreadable_coding", "write_too_large"].map(str::to_owned).into());
}

/// A held body whose file is gone.
struct Gone;

impl muniment::exchange::BodySource for Gone {
    fn size(&self) -> u64 {
        10
    }

    fn reader(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

#[tokio::test]
async fn p4_an_answer_that_cannot_be_read_back_is_a_gap() {
    let world = world().await;
    let receipt = world.post(json!({"text": "answered into nothing"})).await.unwrap();
    let mut response = world.response(200, &json!({}));
    response.body = muniment::exchange::Body::Held(std::sync::Arc::new(Gone));
    world.capture.outcome(receipt, muniment::capture::Answer::Response(response));
    world.until(|world| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "answer_dropped")).await;
    world.until_count(EntryType::Outcome, 1).await;
    assert_eq!(said(&world.entries(EntryType::Outcome)[0], "status"), "200", "what is known is kept");
    let ground = world.end().await;
    assert_sound(&ground.ledger);
}
