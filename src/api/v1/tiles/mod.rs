//! The tree as static tiles (C2SP tlog-tiles), with `/v1` as the log's prefix.

pub(in crate::api) mod checkpoint;
pub(in crate::api) mod get;
