//! What tests of several subjects share: a real Postgres, archives in it, a scripted clock, drafts to append.

pub(crate) mod archive;
pub(crate) mod clock;
pub(crate) mod large;
pub(crate) mod postgres;
pub(crate) mod relay;
pub(crate) mod sound;
pub(crate) mod submissions;
