//! Whose turn it is: what one process at a time does for all that share an archive.
//!
//! Invariant: of any number of processes at most one has the turn, and it loses it with its connection: who dies, or is cut off, is
//! followed by another within about half a minute. What is done in a turn may be done twice without harm; it would only be a waste.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use super::ArchiveError;
use super::connect::{self, Role};
use super::open::Archive;
use super::pool::in_time;

/// What is done in turns. The number is the key of an advisory lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum Duty {
    /// Reading everything again and checking it.
    Verify = 0x7665_7269,
    /// Deleting the files of what was disposed of.
    Sweep = 0x7377_6570,
    /// Looking for what holds select.
    Hold = 0x686f_6c64,
    /// Asking witnesses to cosign.
    Witness = 0x7769_746e,
}

/// The turn; over when it is dropped. The lock is the connection's, for as long as it is open.
#[derive(Debug)]
pub struct Turn(PgConnection);

const STATEMENT: Duration = Duration::from_secs(5);
/// How often to ask whether the turn is still ours, and how long the answer may take.
const ASK: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

impl Turn {
    /// Returns when the turn is lost, with why. Whoever is cut off without a word learns of nothing else, and another has the turn by then: what
    /// is under way is to be given up.
    pub async fn lost(&mut self) -> ArchiveError {
        loop {
            tokio::time::sleep(ASK).await;
            if let Err(error) = in_time(ANSWER, self.0.ping()).await {
                return ArchiveError::Database(error);
            }
        }
    }
}

impl Archive {
    /// Takes the turn at asking witnesses; none where another process has it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn witness_turn(&self) -> Result<Option<Turn>, ArchiveError> {
        self.turn(Duty::Witness).await
    }

    /// Takes the turn; none where another process has it.
    pub(super) async fn turn(&self, duty: Duty) -> Result<Option<Turn>, ArchiveError> {
        let options = connect::options(&self.parts.options.service, Role::Append, STATEMENT);
        let mut connection = in_time(connect::CONNECT, options.connect()).await?;
        let taken = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(duty as i64).fetch_one(&mut connection);
        let taken: bool = in_time(ANSWER, taken).await?;
        Ok(taken.then_some(Turn(connection)))
    }
}
