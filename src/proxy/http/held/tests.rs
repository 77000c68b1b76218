//! Bodies kept in memory, on disk, and refused.

use std::future::poll_fn;

use super::*;

const TOTAL: u64 = 16 << 30;
const MEMORY: usize = 256 << 20;

async fn keep(directory: &std::path::Path, body: &[u8], memory: usize, limit: u64, beyond: Beyond) -> (Body, bool) {
    let mut keeper = Keeper::new(Scratch::new(directory.to_owned(), TOTAL, MEMORY), memory, limit, beyond);
    for piece in body.chunks(100_000) {
        keeper.push(piece);
        poll_fn(|cx| keeper.poll_settle(cx)).await.unwrap();
    }
    let over = keeper.is_over();
    (keeper.finish().await.unwrap(), over)
}

fn read(body: &Body) -> Vec<u8> {
    let mut all = Vec::new();
    body.reader().unwrap().read_to_end(&mut all).unwrap();
    all
}

#[tokio::test]
async fn a_body_is_read_back_as_it_was_kept_wherever_it_was_kept() {
    let directory = tempfile::tempdir().unwrap();
    for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77] {
        let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let (kept, over) = keep(directory.path(), &body, CHUNK, 1 << 30, Beyond::Refuse).await;
        assert!(!over);
        assert_eq!(kept.size(), size as u64);
        assert_eq!(read(&kept), body, "{size}");
        assert_eq!(read(&kept), body, "a second reader of {size}");
        let mut releasing = Releasing::new(&kept).unwrap();
        let mut released = Vec::new();
        while let Some(piece) = poll_fn(|cx| releasing.poll_next(cx)).await.unwrap() {
            released.extend_from_slice(&piece);
        }
        assert_eq!(released, body);
        assert!(releasing.is_ended());
    }
}

#[tokio::test]
async fn p3_nothing_readable_reaches_the_disk_and_nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let secret = b"planted secret ".repeat(100_000);
    let scratch = Scratch::new(directory.path().to_owned(), TOTAL, MEMORY);
    let mut keeper = Keeper::new(scratch.clone(), 0, 1 << 30, Beyond::Refuse);
    keeper.push(&secret);
    poll_fn(|cx| keeper.poll_settle(cx)).await.unwrap();
    let kept = keeper.finish().await.unwrap();
    assert!(matches!(kept, Body::Held(_)));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the file has no name");
    // The kernel still shows it under the process's descriptors.
    let mut seen = 0;
    for descriptor in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
        if target.starts_with(directory.path()) {
            let bytes = std::fs::read(descriptor.path()).unwrap();
            assert!(bytes.len() >= secret.len());
            assert!(memchr::memmem::find(&bytes, b"planted").is_none());
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
    assert!(scratch.used.load(Ordering::Relaxed) > 0);
    drop(kept);
    assert_eq!(scratch.used.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn many_bodies_at_once_go_to_the_disk_early_and_then_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(directory.path().to_owned(), TOTAL, MEMORY);
    let elsewhere = Charge { in_memory: Arc::clone(&scratch.in_memory), memory: MEMORY, bytes: 0 };
    let keeper = || Keeper::new(scratch.clone(), CHUNK, 1 << 30, Beyond::Refuse);
    let mut charged = elsewhere;
    charged.set(MEMORY + 1);
    let mut early = keeper();
    for piece in [[1; WORTH], [2; WORTH], [3; WORTH]] {
        early.push(&piece);
        poll_fn(|cx| early.poll_settle(cx)).await.unwrap();
    }
    let kept = early.finish().await.unwrap();
    assert!(matches!(kept, Body::Held(_)));
    assert_eq!(read(&kept), [[1; WORTH], [2; WORTH], [3; WORTH]].concat());
    charged.set(2 * MEMORY + 1);
    let mut refused = keeper();
    refused.push(b"small");
    assert!(poll_fn(|cx| refused.poll_settle(cx)).await.is_err());
    drop((charged, refused));
    let mut again = keeper();
    again.push(b"small");
    let body = again.finish().await.unwrap();
    assert_eq!(scratch.in_memory.load(Ordering::Relaxed), 5, "a body in memory counts as long as it lives");
    drop(body);
    assert_eq!(scratch.in_memory.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_limit_refuses_or_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let body = vec![7; 300_000];
    let (kept, over) = keep(directory.path(), &body, CHUNK, 250_000, Beyond::Cut).await;
    assert!(over);
    assert_eq!(read(&kept), vec![7; 250_000]);
    let (_, over) = keep(directory.path(), &body, CHUNK, 250_000, Beyond::Refuse).await;
    assert!(over);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_not_a_lost_body() {
    let scratch = Scratch::new("/nonexistent/held".into(), TOTAL, MEMORY);
    let mut keeper = Keeper::new(scratch, 0, 1 << 30, Beyond::Refuse);
    keeper.push(&vec![1; 3 * CHUNK]);
    let mut failed = poll_fn(|cx| keeper.poll_settle(cx)).await.is_err();
    failed |= keeper.finish().await.is_err();
    assert!(failed);
}

#[tokio::test]
async fn all_bodies_on_disk_stay_within_their_bound_and_make_room_when_they_go() {
    let directory = tempfile::tempdir().unwrap();
    // One byte beyond what stays in memory takes two chunks on disk.
    let room = 2 * (CHUNK + 1 + 2 * TAG) as u64;
    let scratch = Scratch::new(directory.path().to_owned(), room, MEMORY);
    let hold = async |size: usize| {
        let mut keeper = Keeper::new(scratch.clone(), 0, 1 << 30, Beyond::Refuse);
        keeper.push(&vec![7; size]);
        poll_fn(|cx| keeper.poll_settle(cx)).await?;
        keeper.finish().await
    };
    let first = hold(CHUNK + 1).await.unwrap();
    assert!(matches!(hold(2 * CHUNK).await, Err(error) if error.kind() == io::ErrorKind::StorageFull));
    let second = hold(CHUNK + 1).await.unwrap();
    assert!(hold(CHUNK + 1).await.is_err(), "not one byte more");
    assert_eq!(scratch.used.load(Ordering::Relaxed), room);
    drop((first, second));
    assert_eq!(scratch.used.load(Ordering::Relaxed), 0, "what was refused takes no room either");
    drop(hold(2 * CHUNK).await.unwrap());
}
