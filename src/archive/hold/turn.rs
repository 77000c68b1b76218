//! Turns: who changes a matter or a hold reads how it stands first, and one process at a time looks for what holds select.

use sqlx::{Postgres, Transaction};
use tokio::sync::MutexGuard;

use crate::archive::open::Archive;
use crate::archive::pool::in_time;
use crate::archive::turn::{Duty, Turn};
use crate::archive::{ArchiveError, connect};

/// Keeps changes of matters and holds apart, also between processes: the four letters `matt`.
const LOCK: i64 = 0x6d61_7474;

/// Nobody else changes a matter or a hold while this is held.
pub struct MatterTurn<'a> {
    /// Within this process first, so that those who wait hold no connection.
    _process: MutexGuard<'a, ()>,
    /// The lock goes with the transaction, which changes nothing.
    _database: Transaction<'static, Postgres>,
}

impl std::fmt::Debug for MatterTurn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MatterTurn")
    }
}

/// No other process looks for what holds select while this is held.
#[derive(Debug)]
pub struct KeeperTurn(Turn);

impl KeeperTurn {
    /// Returns when the turn is lost, with why: what is under way is to be given up.
    pub async fn lost(&mut self) -> ArchiveError {
        self.0.lost().await
    }
}

impl Archive {
    /// Waits for a turn. Everything that others changed before is projected then.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter_turn(&self) -> Result<MatterTurn<'_>, ArchiveError> {
        let process = self.parts.matters.lock().await;
        let mut database = self.parts.reader.begin().await?;
        let locked = sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *database);
        in_time(connect::heard(connect::STATEMENT), locked).await?;
        self.catch_up().await?;
        Ok(MatterTurn { _process: process, _database: database })
    }

    /// Takes the keeper's turn; none where another process has it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn keeper_turn(&self) -> Result<Option<KeeperTurn>, ArchiveError> {
        Ok(self.turn(Duty::Hold).await?.map(KeeperTurn))
    }
}
