//! Migrations: what the owner runs before the service may start, and how the service sees that it was done.

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::{ArchiveError, roles};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// What `migrate` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations applied before.
    pub before: usize,
    /// Migrations applied now in all.
    pub after: usize,
}

/// Makes the roles if they are missing, brings the schema up to date, and lets the service's login take the roles. Run as the
/// owner of the database; harmless to run again.
///
/// # Errors
/// [`ArchiveError::Roles`] or [`ArchiveError::Grants`] say what a superuser has to run first.
pub async fn migrate(owner: &PgConnectOptions, service_login: &str) -> Result<Migrated, ArchiveError> {
    let mut connection = owner.connect().await?;
    let missing = roles::missing(&mut connection).await?;
    for statement in &missing {
        match sqlx::raw_sql(*statement).execute(&mut connection).await {
            Ok(_done) => {}
            // Another `migrate` on another database of this server made it in the meantime.
            Err(error) if is(&error, &["42710", "23505"]) => {}
            Err(error) if is(&error, &["42501"]) => {
                return Err(ArchiveError::Roles { statements: missing.join("; ") });
            }
            Err(error) => return Err(error.into()),
        }
    }
    let before = applied(&mut connection).await?.len();
    MIGRATIONS.run(&mut connection).await?;
    // So that the service can see which schema it meets.
    sqlx::raw_sql("grant select on _sqlx_migrations to muniment_append").execute(&mut connection).await?;
    no_temporary_tables(&mut connection).await?;
    grant(&mut connection, service_login).await?;
    let after = applied(&mut connection).await?.len();
    connection.close().await?;
    Ok(Migrated { before, after })
}

/// Nothing of ours makes temporary tables, so nobody else need: one less way to stand in the place of something else. Only the
/// owner of the database can say so; another owner of the schema does without.
async fn no_temporary_tables(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let text = "do $$ begin
                    execute format('revoke temporary on database %I from public', current_database());
                end $$";
    match sqlx::raw_sql(text).execute(connection).await {
        Err(error) if !is(&error, &["42501"]) => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The service's login becomes a member of the roles, unless it is one or needs no membership.
async fn grant(connection: &mut PgConnection, login: &str) -> Result<(), ArchiveError> {
    let member: bool = sqlx::query_scalar(
        "select coalesce(bool_and(pg_has_role($1, role, 'member')), false)
           from unnest(array['muniment_append', 'muniment_publish', 'muniment_project']) role",
    )
    .bind(login)
    .fetch_one(&mut *connection)
    .await?;
    if member {
        return Ok(());
    }
    let quoted = login.replace('"', "\"\"");
    let statements = format!("grant muniment_append, muniment_publish, muniment_project to \"{quoted}\"");
    match sqlx::raw_sql(AssertSqlSafe(statements.clone())).execute(connection).await {
        Ok(_done) => Ok(()),
        Err(error) if is(&error, &["42501"]) => Err(ArchiveError::Grants { login: login.to_owned(), statements }),
        Err(error) => Err(error.into()),
    }
}

fn is(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| codes.contains(&&*code))
}

/// Versions applied, lowest first; none where there is no table or no right to read it.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let found = sqlx::query_scalar("select version from _sqlx_migrations where success order by version")
        .fetch_all(connection)
        .await;
    match found {
        Err(error) if is(&error, &["42P01", "42501"]) => Ok(Vec::new()),
        other => other,
    }
}

/// Is the schema exactly the one this program was built with?
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let applied = applied(connection).await?;
    let ours: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    if ours.iter().any(|version| !applied.contains(version)) {
        return Err(ArchiveError::NotMigrated);
    }
    if applied.iter().any(|version| !ours.contains(version)) {
        return Err(ArchiveError::Newer);
    }
    Ok(())
}
