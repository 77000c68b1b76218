//! How it is seen: the forward proxy.
//!
//! ```text
//! listener ─▶ connect ─▶ device      which device is it
//!                     ─▶ decide      intercept, pass through, refuse
//!                     ─▶ upstream    the origin, reached and proved
//!                        │
//!                        ├─ tunnel       unread (and, once a day, its host asked whether it is a social server: unlisted)
//!                        └─ intercept ─▶ http1, http2 ─▶ exchange ─┬─ relay (tap)   what streams through
//!                                                                  ├─ hold (tail)   what waits for its record (P1)
//!                                                                  └─ websocket     messages, one by one
//! ```
//! Invariants: nothing that a plan holds leaves before its record is durable; nothing is decrypted that is not listed (P3); every wait has
//! a bound, every buffer too; every connection ends with a reason as a type. It knows no network's rules and no database: it asks
//! [`Recorder`](crate::capture::Recorder).

mod connect;
mod decide;
mod device;
mod end;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
pub mod intercept;
mod io;
mod listener;
mod patience;
mod refuse;
mod serve;
mod shared;
mod spare;
mod sse;
mod tunnel;
mod unlisted;
mod upstream;
mod websocket;

pub use decide::{Decision, InterceptedHosts, PassThrough};
pub use device::{Credential, Device, Devices, DevicesError};
pub use end::End;
pub use http::shape::Shape;
pub use refuse::{Blame, Refuse, Refused};
pub use serve::{Parts, Proxy, ProxyError};
pub use upstream::TrustError;
pub(crate) use upstream::{Dialler, Offer, Speak};
