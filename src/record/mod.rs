//! What we keep: the nouns every other module shares.
//!
//! Ids, digests, times, kinds, canonical bytes, record keys, commitments and sealing. Pure: time and randomness are arguments
//! ([`Clock`] and [`Ids`] are the seams through which a service hands them in). Sealing and wrapping need the feature
//! `service`; a verifier opens nothing.

mod canonical;
mod clock;
mod commitment;
mod digest;
mod field;
mod id;
mod key;
mod kind;
mod master;
#[cfg(feature = "service")]
mod seal;
mod time;
#[cfg(feature = "service")]
mod wrap;

pub use canonical::{CanonicalError, canonical};
pub use clock::{Clock, Ids};
pub use commitment::{Commitment, CommitmentError, Committer};
pub use digest::{Digest, DigestError};
pub use field::{FieldName, FieldNameError, Part, Word, WordError};
pub(crate) use field::{is_field_name, is_word};
pub use id::{
    AccountId, AdvisorId, DeviceId, EntryId, ExchangeId, HoldId, IdError, MatterId, NoticeId, OfficerId, RecordId,
    SourceId, WebhookId,
};
pub use key::{MasterKeyId, RecordKey, Salt, SealingKey, WrappedKey, WrappedKeyError};
pub(crate) use kind::words;
pub use kind::{Direction, Kind, UnknownWord};
pub use master::{MasterKey, MasterSecrets, MasterSource};
#[cfg(feature = "service")]
pub use seal::{CHUNK, SealError, TAG, seal, seal_stream, sealed_size, unseal, unseal_stream};
pub use time::{Timestamp, TimestampError};
#[cfg(feature = "service")]
pub use wrap::WrapError;

#[cfg(test)]
#[cfg(feature = "service")]
mod tests;
