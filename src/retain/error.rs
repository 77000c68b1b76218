//! Why a matter or a hold cannot be changed so.

use crate::archive::ArchiveError;
use crate::record::{AdvisorId, RecordId};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// There is no such matter.
    #[error("there is no such matter")]
    NoSuchMatter,
    /// There is no such hold.
    #[error("there is no such hold")]
    NoSuchHold,
    /// The matter has no such notice.
    #[error("the matter has no such notice")]
    NoSuchNotice,
    /// There is no such advisor.
    #[error("there is no advisor {0}")]
    NoSuchAdvisor(AdvisorId),
    /// There is no such record, or its content was disposed of.
    #[error("there is no record {0} that could be held: its content is not there")]
    NoSuchRecord(RecordId),
    /// The advisor is no custodian of the matter.
    #[error("advisor {0} is no custodian of the matter; add them first")]
    NoCustodian(AdvisorId),
    /// The matter is closed.
    #[error("the matter is closed; reopen it first")]
    MatterClosed,
    /// The matter has holds in force.
    #[error("{count} of its holds are in force; release them first")]
    HoldsInForce {
        /// How many.
        count: u64,
    },
    /// The hold was released.
    #[error("the hold was released")]
    Released,
    /// There is no disposal that this names.
    #[error("{0} is neither a record that was disposed of nor a disposal")]
    NotDisposed(uuid::Uuid),
    /// No checkpoint covers it.
    #[error("no checkpoint could be published that covers the disposal; try again")]
    NotPublished,
    /// Nobody knows what may go.
    #[error("there is no retention schedule")]
    NoSchedule,
    /// Nobody knows what holds select.
    #[error("another process is looking for what holds select and does not end; try again")]
    HoldsBusy,
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}
