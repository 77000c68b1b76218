//! One listed host, an origin whose every byte the test writes, and a device that speaks HTTP/1.1 to it.

use super::{Peer, RawOrigin, World, WorldBuilder};

/// The proxy, and the origin of `social.test`, which speaks HTTP/1.1.
pub(crate) async fn world() -> (World, RawOrigin) {
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    (builder.listed("social.test", origin.address).start().await, origin)
}

/// A device and the origin it reaches.
pub(crate) async fn pair(world: &World, origin: &RawOrigin) -> (Peer, Peer) {
    tokio::join!(world.device("social.test"), origin.accept())
}
