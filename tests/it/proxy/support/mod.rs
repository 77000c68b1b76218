//! What the proxy's tests share: origins with certificates of their own, a recorder that remembers, devices, and the proxy between them.

pub(crate) mod device;
pub(crate) mod origin;
pub(crate) mod pair;
pub(crate) mod peer;
pub(crate) mod recorder;
pub(crate) mod world;

pub(crate) use device::Choice;
pub(crate) use origin::{Origin, RawOrigin};
pub(crate) use peer::Peer;
pub(crate) use recorder::Note;
pub(crate) use world::{World, WorldBuilder};
