//! Where events are sent by themselves.

pub(in crate::api) mod create;
pub(in crate::api) mod delete;
pub(in crate::api) mod deliveries;
pub(in crate::api) mod get;
pub(in crate::api) mod list;
pub(in crate::api) mod ping;
pub(in crate::api) mod replay;
pub(in crate::api) mod rotate;
mod shown;
pub(in crate::api) mod update;
mod wanted;
