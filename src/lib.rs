//! **muniment**: a compliance archiving proxy. No record, no send.
//!
//! The life of one post, and the module that owns each step:
//!
//! ```text
//! device ──CONNECT──▶ proxy        decides: intercept, pass through, refuse (each with a reason)
//!                       │
//!                       ▼ Exchange  what passed by: request, response, messages (credentials redacted)
//!                     recognize     what it means: a network rule turns it into communications
//!                       │
//!                       ▼ Record    what must be kept
//!                     capture       seals it, hands it to the archive, answers with a Receipt
//!                       │
//!                       ▼ Entry     its commitments, chained and put in the Merkle tree (ledger)
//!                     archive       Postgres, append-only: durable
//!                       │
//! origin ◀──released────┘           only now does the post leave
//! ```
//!
//! Dependencies point one way, and `tests/it/architecture.rs` proves it:
//!
//! `main, bin > app > api > export, retain, access > witness > proxy > capture > archive > bundle > recognize > exchange > ledger > record`,
//! with `settings` and `telemetry` as leaves.
//!
//! [`record`], [`ledger`] and [`bundle`] build without the feature `service`: no runtime, no socket, no database, no TLS.
//! `muniment-verify` is made of them alone. Formats are fixed in `docs/FORMAT.md`, promises P1–P6 and trust in `docs/TRUST.md`.

pub mod bundle;
pub mod ledger;
pub mod record;

#[cfg(feature = "service")]
pub mod access;
#[cfg(feature = "service")]
pub mod api;
#[cfg(feature = "service")]
pub mod app;
#[cfg(feature = "service")]
pub mod archive;
#[cfg(feature = "service")]
pub mod capture;
#[cfg(feature = "service")]
pub mod exchange;
#[cfg(feature = "service")]
pub mod export;
#[cfg(all(feature = "service", any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "service")]
pub mod proxy;
#[cfg(feature = "service")]
pub mod recognize;
#[cfg(feature = "service")]
pub mod retain;
#[cfg(feature = "service")]
pub mod settings;
#[cfg(feature = "service")]
pub mod telemetry;
#[cfg(feature = "service")]
pub mod witness;
