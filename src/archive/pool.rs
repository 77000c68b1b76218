//! A pool of connections on which nobody waits for ever.
//!
//! A network that is cut says nothing, and a client that listens learns of it only when the kernel gives up, which takes a quarter of an hour and
//! more. The server ends what takes too long by itself, so whoever has heard nothing for a little longer never will. Invariants: a statement that
//! is run on the pool ends within its limit; a connection that did not answer is given to nobody again. What runs on a connection that was taken
//! out of the pool is not bounded here: [`in_time`] is for that.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Describe, Either, Execute, Executor, Postgres, SqlStr, Transaction};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::connect::CONNECT;

/// A connection says a word before it is given out, however lately it was used: what was cut in between would be somebody's error.
const GREETING: Duration = Duration::from_secs(1);
/// One that nobody used for so long is closed.
const UNUSED: Duration = Duration::from_secs(300);

/// The answer, or an error when there is none within this time. What has not answered then must not be used again.
pub(super) async fn in_time<T, E: From<sqlx::Error>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(limit, answer).await.unwrap_or_else(|_elapsed| Err(silence().into()))
}

fn silence() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer came in time; is the network to it cut?"))
}

/// Gives the connection back, unless it did not answer.
fn answered<T>(
    connection: PoolConnection<Postgres>,
    answer: Result<Result<T, sqlx::Error>, Elapsed>,
) -> Result<T, sqlx::Error> {
    answer.unwrap_or_else(|_elapsed| {
        drop(connection.detach());
        Err(silence())
    })
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: PgPool,
    limit: Duration,
}

impl Pool {
    /// At most so many connections, made when they are needed. A statement run on the pool has `limit`; one that was given up is still waited for
    /// so long as `longest`, since the server is at work on it, before its connection is.
    pub(super) fn new(options: PgConnectOptions, most: u32, limit: Duration, longest: Duration) -> Self {
        let connections = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(CONNECT)
            .idle_timeout(UNUSED)
            .test_before_acquire(false)
            .before_acquire(|connection, _known| {
                Box::pin(async move { in_time(GREETING, connection.ping()).await.map(|()| true) })
            })
            .after_release(move |connection, _known| {
                Box::pin(async move { in_time(longest, connection.ping()).await.map(|()| true) })
            })
            .connect_lazy_with(options);
        Self { connections, limit }
    }

    /// A connection, soon or not at all.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.connections.acquire().await
    }

    /// A transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        in_time(self.limit, self.connections.begin()).await
    }

    /// Lets go of every connection.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }
}

impl<'p> Executor<'p> for &Pool {
    type Database = Postgres;

    /// All at once: who wants one after the other takes a connection out of the pool.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let all = async move {
            let mut connection = pool.acquire().await?;
            let answer = timeout(pool.limit, connection.fetch_many(query).try_collect::<Vec<_>>()).await;
            answered(connection, answer).map(|all| stream::iter(all).map(Ok))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let answer = timeout(pool.limit, connection.fetch_optional(query)).await;
            answered(connection, answer)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let answer = timeout(pool.limit, connection.prepare_with(sql, parameters)).await;
            answered(connection, answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let answer = timeout(pool.limit, connection.describe(sql)).await;
            answered(connection, answer)
        })
    }
}
