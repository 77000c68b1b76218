//! Signed checkpoints: what the ledger was, at which size.

pub(in crate::api) mod latest;
pub(in crate::api) mod list;
pub(in crate::api) mod wait;
pub(in crate::api) mod witnessed;
