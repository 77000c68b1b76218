//! `muniment demo`: the whole product on loopback, with a small social network and scripted advisors.

pub mod certificate;
pub mod device;
pub mod network;
#[expect(dead_code, reason = "`serve` lands next")]
mod officer;
mod statuses;
