//! Whose turn it is: what one process at a time does for all that share an archive.
//!
//! Invariant: of any number of processes at most one has the turn, and it loses it with its connection: who dies, or is cut off, is
//! followed by another within about half a minute. What is done in a turn may be done twice without harm; it would only be a waste.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnection;

use super::ArchiveError;
use super::connect::{self, Role};
use super::open::Archive;

/// What is done in turns. The number is the key of an advisory lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum Duty {
    /// Reading everything again and checking it.
    Verify = 0x7665_7269,
    /// Deleting the files of what was disposed of.
    Sweep = 0x7377_6570,
}

/// The turn; over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(
    #[expect(dead_code, reason = "the lock is the connection's, for as long as it is open")] PgConnection,
);

const STATEMENT: Duration = Duration::from_secs(5);

impl Archive {
    /// Takes the turn; none where another process has it.
    pub(super) async fn turn(&self, duty: Duty) -> Result<Option<Turn>, ArchiveError> {
        let options = connect::options(&self.parts.options.service, Role::Append, STATEMENT);
        let connected = tokio::time::timeout(connect::CONNECT, options.connect()).await;
        let mut connection = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(duty as i64).fetch_one(&mut connection).await?;
        Ok(taken.then_some(Turn(connection)))
    }
}
