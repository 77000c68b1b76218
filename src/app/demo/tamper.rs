//! Somebody with every right tampers with a copy of the archive, and the verifier names what was touched.

use std::path::Path;

use serde::Serialize;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::DemoError;
use super::stage::Stage;
use super::story::Story;
use crate::app::command::verify::verify;
use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::{AppError, Output};
use crate::settings::{self, Settings};

/// One attempt, and how it was found out.
#[derive(Debug, Serialize)]
pub(super) struct Caught {
    attempt: &'static str,
    /// The first bad index.
    index: u64,
    /// In the verifier's words.
    said: String,
}

pub(super) async fn show(stage: &mut Stage, story: &Story, output: Output) -> Result<Vec<Caught>, AppError> {
    stage.pause().await;
    let copy = stage.path.join("copy");
    copy_tree(&stage.path.join("data"), &copy).map_err(DemoError::from)?;
    std::fs::write(stage.path.join("held.txt"), &story.checkpoint).map_err(DemoError::from)?;
    let context = Context::open(settings_of(&stage.path)?)?;
    let database = Database::visit(&context.settings).await?;
    let caught = attempts(stage, story, &context, &database, output).await;
    database.close().await;
    let removed = std::fs::remove_dir_all(&copy).map_err(DemoError::from);
    let caught = caught?;
    removed?;
    Ok(caught)
}

async fn attempts(
    stage: &Stage,
    story: &Story,
    context: &Context,
    database: &Database,
    output: Output,
) -> Result<Vec<Caught>, AppError> {
    output.note("Now a database administrator changes a copy of the archive, triggers off:\n");
    let mut caught = Vec::new();
    let index = i64::try_from(story.index).unwrap_or(0);
    let held = [stage.path.join("held.txt")];
    let scripts: [(&'static str, &'static str); 2] = [
        (
            "the sealed words of Ada's first post are changed",
            "update content.sealed set ciphertexts = (select array_agg(overlay(c placing '\\xff'::bytea from 1 for 1)) \
             from unnest(ciphertexts) c) where entry_index = $1",
        ),
        ("the entry of Ada's first post is deleted", "delete from ledger.entries where index = $1"),
    ];
    for (attempt, script) in scripts {
        tamper(database, script, index).await?;
        let answer = verify(context, database, &held, output.quiet()).await?;
        let concerned =
            answer.findings.iter().filter(|finding| finding.from <= story.index && story.index <= finding.to);
        let new =
            concerned.filter(|finding| caught.iter().all(|earlier: &Caught| !earlier.said.ends_with(&finding.problem)));
        // Tables that merely count are the least of it.
        let finding = new.min_by_key(|finding| finding.check == "tables");
        let finding = finding.ok_or_else(|| DemoError::Unexpected(format!("{attempt}, and nobody noticed")))?;
        let said = format!("entry {}: {}: {}", finding.from, finding.check, finding.problem);
        output.note(format!("  {attempt}\n    muniment verify: {said}\n"));
        caught.push(Caught { attempt, index: finding.from, said });
    }
    Ok(caught)
}

async fn tamper(database: &Database, script: &'static str, index: i64) -> Result<(), DemoError> {
    let mut connection: PgConnection = database.owner().connect().await?;
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut connection).await?;
    sqlx::query(script).bind(index).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Settings like the demo's own, for the copy.
fn settings_of(path: &Path) -> Result<Settings, AppError> {
    let file = path.join("muniment.toml");
    let text = std::fs::read_to_string(&file).map_err(DemoError::from)?;
    let copy = path.join("copy.toml");
    std::fs::write(&copy, text.replacen("data_dir = \"data\"", "data_dir = \"copy\"", 1)).map_err(DemoError::from)?;
    Ok(settings::load(Some(&copy), &settings::Process)?)
}

/// Copies a directory with owners and modes: Postgres insists on both.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
    let found = std::fs::metadata(from)?;
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target)?;
            let found = entry.metadata()?;
            chown(&target, Some(found.uid()), Some(found.gid()))?;
        }
    }
    chown(to, Some(found.uid()), Some(found.gid()))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(found.mode() & 0o7777))
}
