//! What we keep: the nouns every other module shares.
//!
//! Ids, digests, times, kinds and canonical bytes. Pure: time and randomness are arguments ([`Clock`] and [`Ids`] are the
//! seams through which a service hands them in).

mod canonical;
mod clock;
mod digest;
mod id;
mod kind;
mod time;

pub use canonical::{CanonicalError, canonical};
pub use clock::{Clock, Ids};
pub use digest::{Digest, DigestError};
pub use id::{AccountId, AdvisorId, DeviceId, EntryId, ExchangeId, IdError, OfficerId, RecordId};
pub use kind::{Direction, Kind, UnknownWord};
pub use time::{Timestamp, TimestampError};
