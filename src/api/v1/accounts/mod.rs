//! The social-network accounts seen at work.

pub(in crate::api) mod get;
pub(in crate::api) mod list;
