//! The proxy, driven by devices of every kind against real origins.

mod authority;
mod certificates;
mod connect;
mod curl;
mod firm;
mod hold;
#[expect(dead_code, reason = "what the next tests need is here already")]
mod support;
