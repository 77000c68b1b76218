//! The roles the running service works in. They belong to the whole Postgres server, so migrations can only grant to them;
//! here they are made beforehand, or the operator is told exactly what to run.

use sqlx::PgConnection;

/// A role and the statement that makes it.
const ROLES: &[(&str, &str)] = &[
    ("muniment_append", "create role muniment_append nologin"),
    ("muniment_publish", "create role muniment_publish nologin"),
    ("muniment_project", "create role muniment_project nologin"),
];

/// The statements that make the roles this server lacks.
pub(super) async fn missing(connection: &mut PgConnection) -> Result<Vec<&'static str>, sqlx::Error> {
    let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
    let found: Vec<String> = sqlx::query_scalar("select rolname::text from pg_roles where rolname = any ($1)")
        .bind(names)
        .fetch_all(connection)
        .await?;
    Ok(ROLES.iter().filter(|(name, _)| !found.iter().any(|other| other == name)).map(|(_, make)| *make).collect())
}
