//! An officer who is let in, and why one is not any more.

use super::{Operation, Permission, Role, Scope};
use crate::archive::OfficerRow;
use crate::record::{OfficerId, Timestamp};

/// An officer whose token was shown, or on whose behalf something is shown.
#[derive(Debug, Clone)]
pub struct Officer {
    /// Who.
    pub id: OfficerId,
    /// What they are to the archive.
    pub roles: Vec<Role>,
    /// What of that the token reaches.
    pub scope: Scope,
}

/// Why a token lets nobody in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The officer was revoked.
    Revoked,
    /// It was given until then.
    Expired(Timestamp),
}

impl Ended {
    /// Whether the token of this officer has ended by now.
    #[must_use]
    pub fn of(row: &OfficerRow, now: Timestamp) -> Option<Self> {
        if row.revoked_index.is_some() {
            return Some(Self::Revoked);
        }
        row.limits.expires_at.filter(|end| *end <= now).map(Self::Expired)
    }
}

impl Officer {
    /// Whom the token of this officer lets in now.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of(row: OfficerRow, now: Timestamp) -> Result<Self, Ended> {
        if let Some(ended) = Ended::of(&row, now) {
            return Err(ended);
        }
        // A role that an older or newer program gave means nothing here, and so allows nothing.
        let roles = row.roles.iter().filter_map(|role| role.parse::<Role>().ok()).collect();
        let scope = Scope { operations: row.limits.operations, advisors: row.limits.advisors };
        Ok(Self { id: row.officer, roles, scope })
    }

    /// Whether one of the roles may do it.
    #[must_use]
    pub fn may(&self, operation: Operation) -> bool {
        self.holds(operation.permission()) && self.scope.reaches(operation)
    }

    /// Whether one of the roles has the permission, whatever the token reaches.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.may(permission))
    }
}
