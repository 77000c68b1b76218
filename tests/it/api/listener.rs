//! The API's listener: TLS where it is set, nothing in the clear there, and an end that cuts nobody off.

use std::sync::Arc;
use std::time::Duration;

use muniment::app::demo::certificate::Identity;

use super::call::raw;
use super::limits::{end, short, stall, until};
use super::world::{Setting, World};
use crate::service::Curl;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn officers_are_answered_over_tls_in_both_versions_and_not_in_the_clear() {
    let identity = Identity::fresh("127.0.0.1").unwrap();
    let world = World::with(Setting { tls: Some(Arc::clone(&identity.server)), ..short() }).await;
    let officer = world.officer(&["compliance"]).await;
    let (address, dir) = (world.instance.address, tempfile::tempdir().unwrap());
    let root = dir.path().join("root.pem");
    std::fs::write(&root, &identity.root).unwrap();
    let curl = Curl::new().header("authorization", &format!("Bearer {}", officer.token));
    let trusting = curl.clone().option("--cacert", root.to_str().unwrap());
    let url = format!("https://{address}/v1/records");
    let asking = tokio::task::spawn_blocking(move || {
        for version in ["--http1.1", "--http2"] {
            trusting.clone().flag(version).get(&url).unwrap().json(200);
        }
        let stranger = curl.get(&url).unwrap_err();
        assert!(stranger.contains("certificate"), "{stranger}");
    });
    asking.await.unwrap();
    // What is not TLS is not answered; a handshake that does not go on is ended.
    for begun in [&b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b""] {
        let answer = raw(address, begun).await;
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn at_the_end_open_requests_are_answered_and_new_ones_are_not_taken() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let other = stall(&world).await;
    let call = world.get("/v1/records").officer(&officer);
    let asked = call.clone();
    let open = tokio::spawn(async move { asked.send().await.status.as_u16() });
    until("the request is under way", || world.instance.slots.available_permits() == 63).await;
    world.instance.stop.cancel();
    let mut refused = false;
    while !refused && !world.instance.serving.is_finished() {
        refused = tokio::net::TcpStream::connect(world.instance.address).await.is_err();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused, "nobody new is let in while the last are answered");
    end(other).await;
    assert_eq!(open.await.unwrap(), 200);
    until("the listener ends", || world.instance.serving.is_finished()).await;
}
