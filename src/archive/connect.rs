//! How the service connects: one login, which takes one of three roles for each purpose, with bounds on every wait.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Postgres, Row as _};

use super::pool::Pool;
use super::{ArchiveError, migrate};

/// The roles of design: see `migrations/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Appends; also reads.
    Append,
    /// Publishes checkpoints.
    Publish,
    /// Fills projections.
    Project,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Append => "muniment_append",
            Self::Publish => "muniment_publish",
            Self::Project => "muniment_project",
        }
    }
}

/// How long a statement may take on the server; and how long a transaction may stand idle, so that a process that hangs cannot
/// keep what it has locked. Those at the door wait less, and the publisher's statements are all short.
pub(super) const STATEMENT: Duration = Duration::from_secs(30);
pub(super) const DOOR: Duration = Duration::from_secs(4);
pub(super) const PUBLISH: Duration = Duration::from_secs(8);
/// Who has heard nothing so long after the server ended a statement never will.
const SPARE: Duration = Duration::from_secs(1);
/// What a projector asks besides projecting takes a look at two rows, and whether anybody was revoked depends on it.
const GLANCE: Duration = Duration::from_secs(3);
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// The same of the writer, as a part of its patience. All who append wait for the head, so this has to be well below what they wait:
/// whoever hangs or is cut off with the head locked delays the others, and makes none of them refuse. Between two statements of the
/// writer's there is nothing but putting a group together; should that ever take longer, it begins again on another connection.
const IDLE: f32 = 0.25;
const SHORTEST_IDLE: Duration = Duration::from_millis(250);
const LONGEST_IDLE_WRITER: Duration = Duration::from_millis(2500);
/// The same of a projector: while one is silent in the middle of a step, nobody's projections move, and no revocation is noticed. Half of
/// the two seconds within which it has to be.
const LONGEST_IDLE_PROJECTOR: Duration = Duration::from_secs(1);
/// A connection attempt that takes longer than this has failed.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// The login, working as `role`. The role is taken as the session starts, so it costs no round trip. Nothing is compiled: that takes
/// longer than most questions, which only look as if they cost much. The server notices by itself when the machine at the other end has
/// gone without a word.
pub(super) fn options(login: &PgConnectOptions, role: Role, statement: Duration) -> PgConnectOptions {
    login.clone().application_name(&format!("muniment {}", role.name())).options([
        ("role", role.name()),
        ("timezone", "UTC"),
        ("statement_timeout", &statement.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", &IDLE_IN_TRANSACTION.as_millis().to_string()),
        ("jit", "off"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "25000"),
    ])
}

/// A pool of connections in one role.
pub(super) fn pool(login: &PgConnectOptions, role: Role, statement: Duration, most: u32) -> Pool {
    Pool::new(options(login, role, statement), most, heard(statement), heard(statement))
}

/// Until when the answer to a statement has come, if it ever does.
pub(super) const fn heard(statement: Duration) -> Duration {
    statement.saturating_add(SPARE)
}

/// The pool of projectors. Their statements name no schema, so that a rebuild can use them elsewhere. One that is cut off while the server
/// has something to tell it holds what it has locked no longer than one that says nothing.
pub(super) fn projectors(login: &PgConnectOptions, patience: Duration, most: u32) -> Pool {
    let idle = idle(patience, LONGEST_IDLE_PROJECTOR).as_millis().to_string();
    let options = projecting(options(login, Role::Project, STATEMENT), "projection")
        .options([("idle_in_transaction_session_timeout", &idle), ("tcp_user_timeout", &idle)]);
    Pool::new(options, most, GLANCE, heard(STATEMENT))
}

/// Lets a projector stand idle as long as a session that nobody waits for. It ends when it is given back.
pub(super) async fn unhurried(connection: &mut PoolConnection<Postgres>) -> Result<(), sqlx::Error> {
    connection.close_on_drop();
    let text = "select set_config('idle_in_transaction_session_timeout', $1, false)";
    let idle = IDLE_IN_TRANSACTION.as_millis().to_string();
    sqlx::query(text).bind(idle).execute(&mut **connection).await.map(drop)
}

/// How long a transaction may stand idle that others wait for.
fn idle(patience: Duration, longest: Duration) -> Duration {
    patience.mul_f32(IDLE).clamp(SHORTEST_IDLE, longest)
}

/// For whoever writes projections into this schema. They are looked up by key, a few rows at a time, in tables that were small when the
/// statements were planned and when anybody last counted their rows: nothing is read from end to end, and plans are made once. A commit does
/// not wait for the disk: what a crash takes away is read off the ledger again, which is ahead of it in the same log.
pub(super) fn projecting(options: PgConnectOptions, schema: &str) -> PgConnectOptions {
    options.options([
        ("search_path", schema),
        ("enable_seqscan", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("synchronous_commit", "off"),
    ])
}

/// One connection for the writer. Its statements are planned once: planning them for each set of values would cost more than
/// running them. Tables that were small then may be large now, so nothing is planned to be read from end to end. A statement ends
/// before the patience of those who wait for it does.
pub(super) async fn writer(login: &PgConnectOptions, patience: Duration) -> Result<PgConnection, sqlx::Error> {
    let idle = idle(patience, LONGEST_IDLE_WRITER);
    let options = options(login, Role::Append, patience.mul_f32(0.8)).options([
        ("idle_in_transaction_session_timeout", idle.as_millis().to_string().as_str()),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
    ]);
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Makes sure that the login may take every role, that the schema is ours, and (where asked) that the server does not lose
/// what it acknowledges.
pub(super) async fn check(login: &PgConnectOptions, durable: bool) -> Result<(), ArchiveError> {
    for role in [Role::Append, Role::Publish, Role::Project] {
        let wanted = options(login, role, STATEMENT);
        // A server that stands still takes connections and never answers.
        let connected = tokio::time::timeout(CONNECT, wanted.connect()).await;
        let mut connection = match connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => connection,
            // 22023: no such role; 42501: not a member of it.
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("22023")) => {
                return Err(ArchiveError::NotMigrated);
            }
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42501")) => {
                let login = login.get_username();
                let statements = format!("grant muniment_append, muniment_publish, muniment_project to \"{login}\"");
                return Err(ArchiveError::Grants { login: login.to_owned(), statements });
            }
            Err(error) => return Err(error.into()),
        };
        if role == Role::Append {
            migrate::check(&mut connection).await?;
            if durable {
                check_durable(&mut connection).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn check_durable(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let row = sqlx::query(
        "select current_setting('fsync') <> 'off', current_setting('full_page_writes') <> 'off',
                current_setting('synchronous_commit') <> 'off'",
    )
    .fetch_one(connection)
    .await?;
    for (at, setting) in ["fsync = off", "full_page_writes = off", "synchronous_commit = off"].into_iter().enumerate() {
        if !row.try_get::<bool, _>(at)? {
            return Err(ArchiveError::NotDurable { setting });
        }
    }
    Ok(())
}
