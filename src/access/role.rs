//! Roles, and what each may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an officer is to the archive. One officer may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Supervises: sees records, content, people, coverage; decides where events are sent.
    Compliance,
    /// Answers regulators and courts: sees records and content, and proofs; opens matters, places and releases holds.
    Legal,
    /// Checks that the archive is sound and who looked at it: proofs, checkpoints, integrity, the access log; no content.
    Auditor,
    /// Runs the service: people, devices, health; no content.
    Admin,
}

/// The text was not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; the roles are compliance, legal, auditor, admin")]
pub struct UnknownRole(String);

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = &[Self::Compliance, Self::Legal, Self::Auditor, Self::Admin];

    /// The word as written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compliance => "compliance",
            Self::Legal => "legal",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may do it.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Compliance => !matches!(permission, P::ManageHolds),
            Self::Legal => !matches!(permission, P::ManageWebhooks),
            Self::Auditor => matches!(permission, P::ReadLedger | P::ReadIntegrity | P::ReadAccess | P::ReadHolds),
            Self::Admin => matches!(permission, P::ReadPeople | P::ReadIntegrity),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.iter().find(|role| role.as_str() == text);
        found.copied().ok_or_else(|| UnknownRole(text.chars().take(64).collect()))
    }
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// List and filter records.
    ListRecords,
    /// Read text, attachments and raw exchanges.
    ReadContent,
    /// Read entries, checkpoints and proofs.
    ReadLedger,
    /// Read advisors, devices and accounts.
    ReadPeople,
    /// Read gaps and the state of verification.
    ReadIntegrity,
    /// Read who looked at what, and why.
    ReadAccess,
    /// Set up where events are sent by themselves.
    ManageWebhooks,
    /// Read matters and holds.
    ReadHolds,
    /// Open and change matters, place and release holds.
    ManageHolds,
}

impl Permission {
    /// Every permission.
    pub const ALL: &'static [Self] = &[
        Self::ListRecords,
        Self::ReadContent,
        Self::ReadLedger,
        Self::ReadPeople,
        Self::ReadIntegrity,
        Self::ReadAccess,
        Self::ManageWebhooks,
        Self::ReadHolds,
        Self::ManageHolds,
    ];

    /// The word as written in problems and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListRecords => "list-records",
            Self::ReadContent => "read-content",
            Self::ReadLedger => "read-ledger",
            Self::ReadPeople => "read-people",
            Self::ReadIntegrity => "read-integrity",
            Self::ReadAccess => "read-access",
            Self::ManageWebhooks => "manage-webhooks",
            Self::ReadHolds => "read-holds",
            Self::ManageHolds => "manage-holds",
        }
    }
}
