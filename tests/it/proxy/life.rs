//! Start, change, drain, and what a large upload costs.

use std::sync::Arc;
use std::time::Duration;

use muniment::proxy::InterceptedHosts;

use super::support::device::{PASSWORD, USER};
use super::support::peer::status;
use super::support::{Origin, Peer, RawOrigin, World, WorldBuilder};

async fn world() -> (World, RawOrigin) {
    let mut builder = WorldBuilder::new();
    builder.proxy.limits.drain_timeout = muniment::settings::Span(Duration::from_millis(800));
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    (builder.listed("social.test", origin.address).start().await, origin)
}

async fn pair(world: &World, origin: &RawOrigin) -> (Peer, Peer) {
    tokio::join!(world.device("social.test"), origin.accept())
}

#[tokio::test]
async fn a_drain_ends_idle_connections_at_once_and_lets_exchanges_end() {
    let (mut world, origin) = world().await;
    let (mut busy, mut upstream) = pair(&world, &origin).await;
    let (mut idle, _idle_upstream) = pair(&world, &origin).await;
    let mut fresh = world.connection().await;
    busy.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi").await;
    upstream.head().await;
    world.stop.cancel();
    idle.expect_end().await;
    fresh.expect_end().await;
    upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(&busy.head().await), 201);
    world.running.take().unwrap().await.unwrap();
    assert!(tokio::net::TcpStream::connect(world.proxy).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let (mut world, origin) = world().await;
    let (mut busy, mut upstream) = pair(&world, &origin).await;
    busy.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    world.stop.cancel();
    // Without the cut this would wait for an answer that never comes.
    world.running.take().unwrap().await.unwrap();
    busy.rest().await;
    upstream.expect_end().await;
}

#[tokio::test]
async fn the_list_of_hosts_may_change_while_the_proxy_runs() {
    let origin_one = RawOrigin::start(None).await;
    let builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&["later.test"], &["h2", "http/1.1"])).await;
    let world = builder.reachable("later.test", origin.address).listed("social.test", origin_one.address).start().await;
    let generation = world.authority.export_pem();
    let patterns = ["later.test", "social.test"].map(|host| host.parse().unwrap());
    world.hosts.send_replace(Arc::new(InterceptedHosts::new(&patterns, [])));
    // The issuing certificate has to be made anew for the new name before a leaf below it is accepted.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut device = world.device("later.test").await;
    device.send("POST /post HTTP/1.1\r\nHost: later.test\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(status(&device.head().await), 201);
    assert_eq!(world.recorder.writes().len(), 1);
    assert_eq!(world.authority.export_pem(), generation, "devices need no change");
}

#[tokio::test]
async fn a_leaf_is_minted_once_however_many_devices_ask_at_the_same_moment() {
    let builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&["social.test"], &["http/1.1"])).await;
    let world = builder.listed("social.test", origin.address).start().await;
    let devices = futures_util::future::join_all((0..20).map(|_| world.device("social.test"))).await;
    for mut device in devices {
        device.send("GET /forward/none HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
        device.head().await;
    }
    assert!(world.counts("leaves_minted_total 1"));
    assert!(world.counts("intercepted_total 20"));
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// curl is another process; origin and recorder, which live in this one, count the bytes and keep none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_200_mb_is_held_on_disk_and_memory_stays_flat() {
    const SIZE: u64 = 200 << 20;
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    let world = builder.listed("social.test", origin.address).start().await;
    let file = world.directory.path().join("upload");
    std::fs::File::create(&file).unwrap().set_len(SIZE).unwrap();
    world.recorder.forget_bodies();
    let counting = tokio::spawn(async move {
        let mut peer = origin.accept().await;
        peer.head().await;
        let mut left = SIZE;
        while left > 0 {
            let piece = usize::try_from(left.min(1 << 20)).unwrap();
            peer.bytes(piece).await;
            left -= piece as u64;
        }
        peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
        peer
    });
    let before = resident_kib();
    let watching = tokio::spawn(async {
        let mut peak = 0;
        loop {
            peak = peak.max(resident_kib());
            tokio::time::sleep(Duration::from_millis(20)).await;
            if peak == u64::MAX {
                return;
            }
            PEAK.fetch_max(peak, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "120", "--write-out", "%{http_code}", "--proxy"])
        .arg(format!("http://{USER}:{PASSWORD}@{}", world.proxy))
        .arg("--cacert")
        .arg(&world.ca_file)
        .arg("--data-binary")
        .arg(format!("@{}", file.display()))
        .args(["--header", "Expect:", "https://social.test/post"])
        .env_clear()
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "201", "{}", String::from_utf8_lossy(&output.stderr));
    watching.abort();
    drop(counting.await.unwrap());
    let grown = PEAK.load(std::sync::atomic::Ordering::Relaxed).saturating_sub(before);
    assert!(grown < 40 * 1024, "memory grew by {grown} KiB");
    let (exchange, _) = world.recorder.writes().remove(0);
    assert_eq!(exchange.request.body.size(), SIZE);
}

static PEAK: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
