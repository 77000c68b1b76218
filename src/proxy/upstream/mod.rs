//! The way to the origin.
//!
//! Invariants: no address is dialled that was not judged; no byte of a request leaves before the origin has proved who it is
//! (plain `http://` aside). A connection serves one device connection and is never shared between devices.

mod address;
mod dial;
mod parent;
mod pool;
mod tls;

pub(crate) use dial::{Dialled, Dialler, Speak};
pub(crate) use pool::{Drivers, Taken, Upstreams};
pub(crate) use tls::Offer;
pub use tls::TrustError;
