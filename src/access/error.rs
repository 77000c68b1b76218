//! Why somebody may not look, or could not be written down.

use super::Operation;
use crate::archive::AppendError;
use crate::capture::SealingError;

/// The look did not go ahead.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No role of the officer allows it.
    #[error("no role of the officer allows {}", .operation.as_str())]
    RoleMissing {
        /// What was asked.
        operation: Operation,
    },
    /// The token does not reach the operation, or whom it is about.
    #[error("the token does not reach {}", .operation.as_str())]
    OutOfScope {
        /// What was asked.
        operation: Operation,
        /// It reaches the operation, and not everybody.
        by_advisor: bool,
    },
    /// It shows content, and nobody said why.
    #[error("{} needs a purpose", .operation.as_str())]
    PurposeMissing {
        /// What was asked.
        operation: Operation,
    },
    /// The entry is not durable, so nothing is shown.
    #[error("the look could not be written down")]
    Append(#[from] AppendError),
    /// The purpose could not be sealed.
    #[error("the purpose could not be sealed")]
    Seal(#[from] SealingError),
}
