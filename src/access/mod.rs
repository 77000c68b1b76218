//! Who may look, and that they looked.
//!
//! Invariant (P5): content is answered only after an `access` entry with officer, operation and purpose is durable.
//! A token names an officer, roles say what the officer may ask, its scope what of that it reaches, the [`Desk`] writes the look down and hands out.

mod desk;
mod error;
mod officer;
mod operation;
mod purpose;
mod role;
mod scope;
mod token;

pub use desk::{Admission, Begun, Desk, Seen, Withheld};
pub(crate) use desk::{NAMED, look_by_command};
pub use error::AccessError;
pub use officer::{Ended, Officer};
pub use operation::Operation;
pub use purpose::{Purpose, PurposeError};
pub use role::{Permission, Role, UnknownRole};
pub use scope::{Scope, ScopeWord, UnknownScope};
pub use token::Token;
