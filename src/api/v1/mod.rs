//! Version 1: one folder a resource, one file an operation.

pub(super) mod access;
pub(super) mod accounts;
pub(super) mod advisors;
pub(super) mod checkpoints;
pub(super) mod coverage;
pub(super) mod devices;
pub(super) mod entries;
pub(super) mod events;
pub(super) mod gaps;
pub(super) mod history;
pub(super) mod holds;
pub(super) mod integrity;
pub(super) mod matters;
pub(super) mod officers;
pub(super) mod proofs;
pub(super) mod records;
pub(super) mod settings;
pub(super) mod system;
pub(super) mod tiles;
pub(super) mod verifications;
pub(super) mod webhooks;
