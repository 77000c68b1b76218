//! What changed when: the `identity` entries about an advisor, device or account.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive::IdentityRow;
use crate::record::{AdvisorId, Timestamp};

/// Changes told at most; nobody changes that often.
const MOST: u32 = 500;

/// One change.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Change {
    /// Index of its entry.
    index: u64,
    /// When it took effect.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// `added`, `changed` or `revoked`.
    #[schema(example = "added")]
    change: String,
    /// Who caused it: `service:command` is a command on the firm's own machine, `device:<id>` a device that acted as an account.
    #[schema(example = "service:command")]
    by: String,
    /// Whose it is from then on, where the change says so.
    advisor: Option<Uuid>,
    /// What it is called from then on, where the change says so and it was not disposed of.
    name: Option<String>,
    /// Its handle on the network from then on, likewise.
    handle: Option<String>,
    /// Its id on the network, likewise.
    network_id: Option<String>,
}

impl From<IdentityRow> for Change {
    fn from(row: IdentityRow) -> Self {
        Self {
            index: row.index,
            at: row.at,
            change: row.change,
            by: row.actor,
            advisor: row.advisor.map(AdvisorId::uuid),
            name: row.name,
            handle: row.handle,
            network_id: row.network_id,
        }
    }
}

/// Until when, and what changed before.
pub(in crate::api) struct History {
    /// Until when; none while it lasts.
    pub(in crate::api) until: Option<Timestamp>,
    /// Oldest first; the newest 500 of them.
    pub(in crate::api) changes: Vec<Change>,
}

impl Api {
    /// The history of somebody or something, or the problem that there is none.
    pub(in crate::api) async fn history(&self, id: Uuid) -> Result<History, Problem> {
        let mut rows = self.archive.identity_history(id, MOST).await?;
        rows.reverse();
        // Revoked once is revoked: what comes after changes nothing any more.
        let until = rows.iter().find(|row| row.change == "revoked").map(|row| row.at);
        Ok(History { until, changes: rows.into_iter().map(Into::into).collect() })
    }
}

/// For an id that nobody has.
pub(in crate::api) fn nobody() -> Problem {
    Problem::new(ProblemKind::NotFound)
}
