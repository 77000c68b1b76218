//! Who caused an entry, and what sort of entry it is.

use std::fmt;
use std::str::FromStr;

use crate::record::{AdvisorId, DeviceId, OfficerId, Word, words};

words! {
    /// What an entry says. The keys of its `detail` are fixed per type in [`super::detail`] and `docs/FORMAT.md`.
    EntryType {
        /// A write, durable before it left.
        Capture = "capture",
        /// What the origin answered to a capture.
        Outcome = "outcome",
        /// An item seen in a read, or made outside the proxy.
        Observation = "observation",
        /// Something seen that could not be kept or read.
        Gap = "gap",
        /// An earlier entry turns out to belong to one more advisor.
        Attribution = "attribution",
        /// An advisor, device, account, officer, source or key came, changed or went.
        Identity = "identity",
        /// A decision about a communication before it leaves (reserved).
        Decision = "decision",
        /// A supervisory review (reserved).
        Review = "review",
        /// A legal hold begins.
        Hold = "hold",
        /// A legal hold ends.
        Release = "release",
        /// Retention ended: keys and content were destroyed.
        Disposal = "disposal",
        /// Somebody looked.
        Access = "access",
        /// Something left the building (reserved).
        Export = "export",
        /// Settings or rules changed.
        Settings = "settings",
        /// The archive was re-read and checked.
        Verification = "verification",
        /// A checkpoint was vouched for from outside.
        Anchor = "anchor",
        /// A matter was opened, changed or closed, or its custodians or notices were.
        Matter = "matter",
    }
}

/// The text was not `device:<uuid>`, `advisor:<uuid>`, `officer:<uuid>` or `service:<word>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an actor is device:<uuid>, advisor:<uuid>, officer:<uuid> or service:<word>")]
pub struct ActorError;

/// Who caused an entry: ids, never names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A device sent it.
    Device(DeviceId),
    /// An advisor, without a known device.
    Advisor(AdvisorId),
    /// An officer, through the API or a command.
    Officer(OfficerId),
    /// muniment itself: `service:publisher` and the like.
    Service(Word),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Advisor(id) => write!(f, "advisor:{id}"),
            Self::Officer(id) => write!(f, "officer:{id}"),
            Self::Service(word) => write!(f, "service:{word}"),
        }
    }
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        let (sort, id) = text.split_once(':').ok_or(ActorError)?;
        let actor = match sort {
            "device" => Self::Device(id.parse().map_err(|_source| ActorError)?),
            "advisor" => Self::Advisor(id.parse().map_err(|_source| ActorError)?),
            "officer" => Self::Officer(id.parse().map_err(|_source| ActorError)?),
            "service" => Self::Service(id.parse().map_err(|_source| ActorError)?),
            _ => return Err(ActorError),
        };
        // A uuid can be spelled in other ways than the one that is hashed.
        if actor.to_string() == text { Ok(actor) } else { Err(ActorError) }
    }
}
