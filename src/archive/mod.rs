//! Where it stays: Postgres, append-only, and the files beside it.
//!
//! Invariant: what was answered as appended is durable, chained and in order, and there is one way to append
//! ([`Append::append`]). Readable copies (projections) follow the ledger and can be made again from it. This module does not
//! know HTTP, and decides nothing about what is kept.

mod append;
mod background;
mod blobs;
mod connect;
mod dispose;
pub mod embedded;
mod error;
mod examine;
mod hold;
mod migrate;
mod once;
mod open;
mod people;
mod pool;
mod project;
mod publish;
mod read;
mod retention;
mod rewrap;
mod roles;
mod row;
mod source;
mod submission;
mod turn;
mod verify;
mod webhook;
mod words;

pub use background::{Alarm, Background, OnAlarm, Schedule};
pub use blobs::{BlobStore, BlobWriter};
pub use dispose::Disposal;
pub use error::{AppendError, ArchiveError, Inconsistency};
pub use examine::{Examined, examine};
pub use hold::{
    Covering, CustodianRow, HoldEntryRow, HoldRow, HoldScope, HoldTerms, HoldWords, KeeperTurn, MatterChange,
    MatterEntryRow, MatterRow, MatterState, MatterTurn, MatterWords, NewMatterEntry, NoticeRow, Selecting, TARGETS_MAX,
};
pub use migrate::{Migrated, migrate};
pub use once::{Claim, Claimed};
pub use open::{Archive, Options};
pub use people::{Directory, KnownDevice, Limits, Password, PasswordError, Registered};
pub use project::{Comparison, Deviation, Difference, Followed, Follower, Rebuilt, rebuild};
pub use publish::{Consistency, Guard, Inclusion, Published, Witnessed};
pub use read::{
    AccountRow, AdvisorRow, CommunicationRow, Content, CoverageRow, DeviceRow, EventFilter, EventPage, EventRow,
    FacetCount, Facets, Field, GapOf, GapRow, Happened, IdentityRow, Inventory, ItemPlace, Links, LookFilter, LookRow,
    OfficerRow, OpenCapture, OwnedAccount, RecentCapture, RecordFilter, RecordRow, RulesRow, SettingsRow, Slice,
    SourceRow, VerificationRow, Versions, WholeRecord, Within,
};
pub use retention::{Floor, KeptRecord, set_floor};
pub use rewrap::{Rewrapped, WrappedUnder, rewrap};
pub use submission::{Append, Appended, BlobDigest, INLINE_MAX, INLINE_SUM_MAX, SealedField, Stored, Submission};
pub use turn::Turn;
pub use verify::{Finding, Progress, Scope, Verification, Verifier};
pub use webhook::{
    Delivery, DeliveryState, NewMessage, Outcome, SecretOf, Settled, Sort, Waiting, Webhook, WebhookChange,
    WebhookSecret, WebhookSettings, WebhookState, WebhookTurn,
};
pub use words::{How, Match, WordQuery, WordQueryError};
