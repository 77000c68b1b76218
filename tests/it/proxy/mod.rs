//! The proxy, driven by devices of every kind against real origins.

mod authority;
mod certificates;
mod channel;
mod connect;
mod curl;
mod firm;
mod hold;
mod http1;
mod http2;
mod import;
mod life;
mod revoked;
mod shapes;
pub(crate) mod support;
mod targets;
mod unlisted;
