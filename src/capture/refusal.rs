//! Why a write may not leave.

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

/// A write was not made durable, so it must not leave. Always our fault: neither the device's nor the origin's.
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

    /// In one word.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// Trying again in a while may help (503 with `Retry-After`); otherwise somebody has to look (500).
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(self.reason, RefusalReason::Rejected | RefusalReason::SealingFailed)
    }
}
