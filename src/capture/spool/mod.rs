//! The spool: where submissions wait, durable and encrypted, while the archive is away.

mod disk;
mod frame;
mod journal;
mod segment;

pub use disk::{Directory, Disk, SegmentFile, SegmentNumber};
pub use frame::{FrameError, SpoolKey};
pub use journal::{Backlog, Bounds, Journal, JournalError};
pub use segment::{Reading, Tail};
