//! The proxy, driven by devices of every kind against real origins.

mod connect;
mod support;
