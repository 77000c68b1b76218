//! The spool: where submissions wait, durable and encrypted, while the archive is away.

mod codec;
mod disk;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod journal;
mod keep;
mod replay;
mod segment;

pub use codec::CodecError;
pub use disk::{Directory, Disk, SegmentFile, SegmentNumber};
pub use frame::{FrameError, SpoolKey};
pub use journal::{Backlog, Bounds, Journal, JournalError};
pub use keep::{KeepError, Kept, Spool, SpoolParts};
pub use segment::{Reading, Tail};
