//! One file a command.

pub(super) mod check_config;
pub(super) mod migrate;
pub(super) mod recognize_worker;
pub(super) mod rules;
