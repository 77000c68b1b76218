//! The audit API: find, read and prove what was kept.
//!
//! Every route stands in one list ([`router`]), with its OpenAPI description made from the same line. Handlers are one operation a
//! file under `v1/`. Nothing here writes but through [`crate::access`], and nothing shows content but through its desk.

mod accept;
mod as_of;
mod body;
mod caller;
mod decision;
mod deliver;
mod document;
mod header;
mod installed;
mod moment;
mod once;
mod page;
mod path;
mod problem;
mod query;
mod rate;
mod request;
mod router;
mod serve;
mod service;
mod stall;
mod state;
mod streams;
mod unchanged;
mod v1;

pub use deliver::{Webhooks, deliver};
pub use installed::{Installed, InstalledRules};
pub use problem::ProblemKind;
pub use rate::RateLimits;
pub use router::{document, router};
pub use serve::{Listening, Patience};
pub use state::Api;
pub use streams::{StreamBounds, Streams};
