//! Advisors, devices, officers: who they are is in the ledger, by what they are known is beside it.
//!
//! Invariant: nobody is let in who is not registered, and not revoked, in the ledger. Names are commitments, sealed under a
//! record of their own, so a person's name can be disposed of like any other content.

mod credential;
mod directory;
mod limits;
mod register;

pub use credential::{Password, PasswordError};
pub use directory::{Directory, KnownDevice};
pub use limits::Limits;
pub use register::Registered;
