//! What happens, as it happens.

pub(in crate::api) mod event;
pub(in crate::api) mod follow;
pub(in crate::api) mod portion;
mod stream;
