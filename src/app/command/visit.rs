//! What a command does to reach the archive, whether `serve` runs or not.

use std::sync::Arc;

use crate::access::{Operation, Seen, look_by_command};
use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::join::ArchiveBlobs;
use crate::app::{AppError, runtime};
use crate::archive::{Append as _, Archive};
use crate::ledger::Actor;
use crate::record::{AdvisorId, Word};
use crate::settings::Settings;

/// Opens everything, does it, and closes everything again.
pub(in crate::app) fn visit<T>(
    settings: Settings,
    work: impl AsyncFnOnce(&Context, &Archive) -> Result<T, AppError>,
) -> Result<T, AppError> {
    let context = Context::open(settings)?;
    runtime::block_on(async {
        let database = Database::visit(&context.settings).await?;
        let done = match context.archive(&database).await {
            Ok(archive) => {
                let done = work(&context, &archive).await;
                archive.close().await;
                done
            }
            Err(error) => Err(error),
        };
        database.close().await;
        done
    })
}

/// The same for a command that reads lists. They follow the ledger, and nobody may have followed it yet: `serve` does not run, or the
/// database was restored without them.
pub(in crate::app) fn visit_lists<T>(
    settings: Settings,
    work: impl AsyncFnOnce(&Context, &Archive) -> Result<T, AppError>,
) -> Result<T, AppError> {
    visit(settings, async |context, archive| {
        archive.catch_up().await?;
        work(context, archive).await
    })
}

/// Gives rows about people out once the look is on record (P5): a command shows the same names as the API does.
pub(in crate::app) async fn show<T>(
    context: &Context,
    archive: &Archive,
    operation: Operation,
    advisor: Option<AdvisorId>,
    rows: Vec<T>,
    subject: impl Fn(&T) -> uuid::Uuid,
) -> Result<Vec<T>, AppError> {
    let subjects = rows.iter().map(subject).collect();
    let seen = Seen { count: rows.len(), advisor, subjects, ..Seen::default() };
    let sealer = context.sealer(Arc::new(ArchiveBlobs(archive.blobs().clone())));
    archive.append(look_by_command(&*context.clock, &sealer, operator()?, operation, None, &seen)?).await?;
    Ok(rows)
}

/// Who causes what a command does: whoever may run it on this machine.
pub(in crate::app) fn operator() -> Result<Actor, AppError> {
    Ok(Actor::Service(Word::try_from("command")?))
}
