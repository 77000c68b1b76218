//! The system as it is installed.

pub(in crate::api) mod get;
