//! Newtypes for every identifier, so that no bare `Uuid` crosses a module.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text was not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a uuid such as 0198c0de-0000-7000-8000-000000000000")]
pub struct IdError(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_source| IdError(text.chars().take(64).collect()))
            }
        }
    };
}

id!(
    /// One ledger entry (UUIDv7), made by whoever asks for the append: what makes a repeated append harmless.
    EntryId
);
id!(
    /// One record (UUIDv7): what must be kept of one exchange or one observed item.
    RecordId
);
id!(
    /// One exchange seen by the proxy (UUIDv7).
    ExchangeId
);
id!(
    /// One advisor: the supervised person. Also the id of the advisor's stream in the ledger.
    AdvisorId
);
id!(
    /// One device of an advisor.
    DeviceId
);
id!(
    /// One account on a social network.
    AccountId
);
id!(
    /// One officer: compliance, legal, auditor or admin.
    OfficerId
);
id!(
    /// One webhook. Also the id of the record under which its settings are sealed.
    WebhookId
);
id!(
    /// One matter. Also the id of the record under which its words are sealed.
    MatterId
);
id!(
    /// One legal hold. Also the id of the record under which its words are sealed.
    HoldId
);
id!(
    /// One notice to a custodian.
    NoticeId
);
id!(
    /// One writer (a proxy, a command) that stamps drafts with its own gap-free count.
    SourceId
);
