//! What holds, searches and exports are for.

pub(in crate::api) mod acknowledge;
pub(in crate::api) mod create;
pub(in crate::api) mod custodians;
pub(in crate::api) mod get;
pub(in crate::api) mod list;
pub(in crate::api) mod notices;
pub(in crate::api) mod shown;
pub(in crate::api) mod update;
pub(in crate::api) mod wanted;
