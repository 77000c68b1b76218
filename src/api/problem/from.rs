//! What failed inside, as what the caller may know of it.
//!
//! Invariant: an answer says whose turn it is (ask differently, try again, call the operator) and nothing of the inside; the cause
//! is in the log, under the request's id.

use super::{Problem, ProblemKind};
use crate::access::{AccessError, Operation, Permission, Role};
use crate::archive::{AppendError, ArchiveError};
use crate::retain::RetainError;

impl Problem {
    /// Ours: the log says what, the answer does not.
    pub(in crate::api) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(error), "api request failed");
        Self::new(ProblemKind::Internal)
    }

    fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %chain(error), "the archive does not answer the api");
        Self::new(ProblemKind::ArchiveUnavailable)
    }

    /// What is stored is not what was kept. Loud in the log: somebody has to look.
    fn unreadable(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(error), "stored content is not what the ledger commits to");
        Self::new(ProblemKind::Unreadable)
    }

    /// No role of the officer has the permission.
    pub(in crate::api) fn role_missing(permission: Permission) -> Self {
        let mut problem = Self::new(ProblemKind::RoleMissing);
        problem.facts.permission = Some(permission.as_str());
        problem.facts.roles = permission.roles().map(Role::as_str).collect();
        problem
    }

    /// It shows content, and nobody said why.
    fn purpose_required(operation: Operation) -> Self {
        let mut problem = Self::new(ProblemKind::PurposeRequired).detail(format!(
            "{} shows what people wrote: send the header `Muniment-Purpose` with why you look, in 3 to 500 characters",
            operation.as_str()
        ));
        problem.facts.parameter = Some("Muniment-Purpose");
        problem
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::RoleMissing { operation } => Self::role_missing(operation.permission()),
            AccessError::OutOfScope { operation, by_advisor } => {
                let problem = Self::new(ProblemKind::OutOfScope);
                let operation = operation.as_str();
                problem.detail(if by_advisor {
                    format!(
                        "the token reaches some advisors only, and {operation} as asked here is not about them alone; name one with \
                         `advisor`, where there is that parameter"
                    )
                } else {
                    format!("the token was not given for {operation}")
                })
            }
            AccessError::PurposeMissing { operation } => Self::purpose_required(operation),
            AccessError::Append(error) => error.into(),
            AccessError::Seal(_) => Self::internal(&error),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Pushback => Self::new(ProblemKind::Busy),
            AppendError::Unavailable
            | AppendError::ClockAhead { .. }
            | AppendError::Closed
            | AppendError::Stopped(_) => Self::unavailable(&error),
            AppendError::Draft { .. } | AppendError::Content { .. } | AppendError::Refused { .. } => {
                Self::internal(&error)
            }
        }
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Append(error) => error.into(),
            // What is stored of the content does not open, or is not there.
            ArchiveError::Entry { .. }
            | ArchiveError::Sealed { .. }
            | ArchiveError::Key { .. }
            | ArchiveError::Blob { .. }
            | ArchiveError::Row { table: "content" | "content.sealed" | "content.blobs" | "content.keys", .. } => {
                Self::unreadable(&error)
            }
            ArchiveError::Database(sqlx::Error::Database(ref said)) => match said.code().as_deref() {
                // The statement took longer than a statement may.
                Some("57014") => Self::new(ProblemKind::TimedOut),
                // Connection exceptions, no resources, shutting down or starting up: nothing is wrong with the question.
                Some(code) if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => {
                    Self::unavailable(&error)
                }
                // A query of ours is wrong, or what it asks is not allowed: the log says which.
                _ => Self::internal(&error),
            },
            ArchiveError::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_)) => {
                Self::internal(&error)
            }
            ArchiveError::Database(_) => Self::unavailable(&error),
            other => Self::internal(&other),
        }
    }
}

impl From<RetainError> for Problem {
    fn from(error: RetainError) -> Self {
        let detail = error.to_string();
        match error {
            RetainError::NoSuchMatter | RetainError::NoSuchHold | RetainError::NoSuchNotice => {
                Self::new(ProblemKind::NotFound).detail(detail)
            }
            RetainError::NoSuchAdvisor(_) | RetainError::NoCustodian(_) => Self::parameter("advisor", detail),
            RetainError::NoSuchRecord(_) => Self::parameter("records", detail),
            RetainError::MatterClosed => Self::new(ProblemKind::MatterClosed),
            RetainError::HoldsInForce { .. } => Self::new(ProblemKind::HoldsInForce).detail(detail),
            RetainError::Released => Self::new(ProblemKind::HoldReleased),
            error @ (RetainError::HoldsBusy
            | RetainError::NoSchedule
            | RetainError::NotDisposed(_)
            | RetainError::NotPublished) => Self::internal(&error),
            RetainError::Archive(error) => error.into(),
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
