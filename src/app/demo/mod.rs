//! `muniment demo`: the whole product on loopback, with a small social network and scripted advisors.

pub mod device;
pub mod network;
mod statuses;
