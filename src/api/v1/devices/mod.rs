//! The browsers and phones advisors use.

pub(in crate::api) mod get;
pub(in crate::api) mod list;
