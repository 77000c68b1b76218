//! The audit API: find, read and prove what was kept.
//!
//! Every route stands in one list ([`router`]), with its OpenAPI description made from the same line. Handlers are one operation a
//! file under `v1/`. Nothing here writes but through [`crate::access`], and nothing shows content but through its desk.

#[expect(dead_code, reason = "the handlers land next")]
mod problem;
mod request;
mod router;
#[expect(dead_code, reason = "the handlers land next")]
mod serve;
mod service;
mod state;

pub use problem::ProblemKind;
pub use router::{document, router};
pub use serve::Listening;
pub use state::Api;
