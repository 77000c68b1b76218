//! What a command does to reach the archive, whether `serve` runs or not.

use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::{AppError, runtime};
use crate::archive::Archive;
use crate::ledger::Actor;
use crate::record::Word;
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

/// Who causes what a command does: whoever may run it on this machine.
pub(in crate::app) fn operator() -> Result<Actor, AppError> {
    Ok(Actor::Service(Word::try_from("command")?))
}
