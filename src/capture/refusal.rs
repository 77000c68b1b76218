//! Why a write may not leave.

use super::GapCause;
use crate::exchange::Unread;
use crate::record::words;

words! {
    /// The refusal in one word, for metrics and for the page the device gets.
    RefusalReason {
        /// The archive is away, and settings say to refuse then.
        ArchiveUnavailable = "archive_unavailable",
        /// The archive is away and the spool cannot take it.
        SpoolUnavailable = "spool_unavailable",
        /// The archive will not take this entry.
        Rejected = "rejected",
        /// The held body cannot be read back.
        BodyUnreadable = "body_unreadable",
        /// The body is larger than what can be checked for credentials.
        BodyTooLarge = "body_too_large",
        /// The body cannot be decoded, or taken apart, to take credentials out.
        BodyUndecodable = "body_undecodable",
        /// The store for large content cannot be written, or a held body not be read: is a disk full?
        StorageUnavailable = "storage_unavailable",
        /// The content could not be sealed.
        SealingFailed = "sealing_failed",
        /// More than can be worked on at once.
        Overloaded = "overloaded",
        /// The service is being shut down.
        Stopping = "stopping",
    }
}

/// A write was not made durable, so it must not leave. Our fault, but for a body that cannot be read: that is how it was sent.
///
/// It may turn out to be durable later (a commit whose answer was lost); then it is a record of something that was not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not recorded, so not sent ({reason}): {detail}")]
pub struct Refusal {
    reason: RefusalReason,
    detail: String,
}

impl Refusal {
    /// A refusal with its cause in words for the operator; never holds content.
    #[must_use]
    pub fn new(reason: RefusalReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(crate) fn of(reason: RefusalReason, error: &dyn std::error::Error) -> Self {
        Self::new(reason, error.to_string())
    }

    /// Of a body that cannot be kept as it is, and not without its credentials either.
    pub(crate) fn of_lost(why: Unread) -> Self {
        match why {
            Unread::TooLarge => Self::new(RefusalReason::BodyTooLarge, "the body is too large to take credentials out"),
            Unread::Bomb | Unread::Corrupt => {
                Self::new(RefusalReason::BodyUndecodable, "the body cannot be decoded to take credentials out")
            }
            Unread::Parts => Self::new(
                RefusalReason::BodyUndecodable,
                "the parts of the body are too many or cannot be told apart to take credentials out",
            ),
        }
    }

    /// In one word.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// Trying again in a while may help (503 with `Retry-After`); otherwise somebody has to look (500).
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(
            self.reason,
            RefusalReason::Rejected
                | RefusalReason::SealingFailed
                | RefusalReason::BodyTooLarge
                | RefusalReason::BodyUndecodable
        )
    }

    /// What is missing from the record.
    pub(crate) const fn gap(&self) -> GapCause {
        match self.reason {
            RefusalReason::BodyTooLarge => GapCause::WriteTooLarge,
            RefusalReason::BodyUndecodable => GapCause::UnreadableCoding,
            _ => GapCause::WriteRefused,
        }
    }
}
