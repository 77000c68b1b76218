//! Memory stays bounded: a body many times larger than what may be held in memory goes through from disk to blob store.
//!
//! The one who is measured is this test binary itself, in a process of its own.

use std::io::{self, Read};
use std::process::Command;
use std::sync::Arc;

use http::Method;
use muniment::archive::BlobStore;
use muniment::capture::Recorder;
use muniment::exchange::{Body, BodySource};
use muniment::ledger::EntryType;

use super::world::{said, world};

const ROLE: &str = "MUNIMENT_TEST_LARGE_BODY";
const SIZE: u64 = 192 << 20;
/// What the process may take at its highest: far below the body.
const BOUND_KIB: u64 = 120 << 10;

/// A held body of so many bytes that are nowhere.
struct Endless(u64);

impl BodySource for Endless {
    fn size(&self) -> u64 {
        self.0
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::repeat(0xa7).take(self.0)))
    }
}

async fn keep_a_large_body() {
    let world = world().await;
    let mut exchange = world.exchange(Method::POST, "/media", "");
    exchange.request.head.headers.insert("content-type", "video/mp4".parse().unwrap());
    exchange.request.body = Body::Held(Arc::new(Endless(SIZE)));
    let receipt = world.capture.write(exchange).await.unwrap();
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(said(capture, "size"), SIZE.to_string());
    let fields = world.ground.ledger.sealed(capture.id());
    let blob = fields.iter().find_map(|field| match &field.ciphertext {
        muniment::archive::Stored::Blob { digest, size } => Some((*digest, *size)),
        muniment::archive::Stored::Inline(_) => None,
    });
    let (digest, size) = blob.expect("the body is a blob");
    BlobStore::open(world.ground.blobs.path()).unwrap().check(digest, size).unwrap();
    assert!(size > SIZE);
    drop(receipt);
    world.end().await;
}

fn highest_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn a_body_larger_than_memory_goes_through_in_pieces() {
    if std::env::var_os(ROLE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(keep_a_large_body());
        let highest = highest_kib();
        assert!(highest < BOUND_KIB, "{highest} KiB were taken for a body of {} KiB", SIZE >> 10);
        return;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "capture::memory::a_body_larger_than_memory_goes_through_in_pieces"])
        .env(ROLE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "see above for how much memory it took");
}
