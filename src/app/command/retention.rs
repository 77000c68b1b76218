//! `muniment retention`: how long the archive keeps everything at least, whatever a schedule says.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::visit::operator;
use crate::access::Purpose;
use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::join::ArchiveBlobs;
use crate::app::{AppError, Output, Verdict, runtime};
use crate::archive::{Append as _, Archive, set_floor};
use crate::ledger::{Draft, EntryType};
use crate::record::FieldName;
use crate::retain::schedule::Length;
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    floor: String,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.before {
            Some(before) => {
                write!(f, "the archive keeps everything for {} at least; before, it was {before}", self.floor)
            }
            None => write!(f, "the archive keeps everything for {} at least, whatever the schedule says", self.floor),
        }
    }
}

pub(in crate::app) fn floor(
    settings: Settings,
    length: Option<Length>,
    reason: Option<&str>,
    output: Output,
) -> Result<Verdict, AppError> {
    let purpose = reason.map(Purpose::new).transpose().map_err(AppError::Reason)?;
    let context = Context::open(settings)?;
    let answer = runtime::block_on(async {
        let database = Database::visit(&context.settings).await?;
        let done = match context.archive(&database).await {
            Ok(archive) => {
                let done = match (length, &purpose) {
                    (Some(length), Some(purpose)) => change(&context, &database, &archive, length, purpose).await,
                    _ => show(&archive).await,
                };
                archive.close().await;
                done
            }
            Err(error) => Err(error),
        };
        database.close().await;
        done
    })?;
    output.print(&answer)?;
    Ok(Verdict::Done)
}

async fn show(archive: &Archive) -> Result<Answer, AppError> {
    Ok(Answer { floor: archive.floor().await?.to_string(), before: None })
}

/// On record first: an entry that says more than was done is seen, one that is missing is not.
async fn change(
    context: &Context,
    database: &Database,
    archive: &Archive,
    length: Length,
    purpose: &Purpose,
) -> Result<Answer, AppError> {
    let before = archive.floor().await?.to_string();
    let sealer = context.sealer(Arc::new(ArchiveBlobs(archive.blobs().clone())));
    let (secret, key) = sealer.record()?;
    let mut envelope = sealer.envelope(&secret);
    let said = serde_json::json!({ "floor": length.to_string(), "before": before });
    envelope.put(FieldName::SETTINGS, said.to_string().as_bytes())?;
    envelope.put(FieldName::REASON, purpose.text().as_bytes())?;
    let actor = operator()?;
    let submission = envelope.close().submit(Some(key), |id, commitments| Draft {
        id,
        entry_type: EntryType::Settings,
        actor,
        captured_at: context.clock.now(),
        record: None,
        streams: Vec::new(),
        commitments,
        detail: Map::from_iter([("change".to_owned(), Value::from("retention_floor"))]),
    });
    archive.append(submission).await?;
    let (months, days) = length.parts();
    set_floor(database.owner(), months, days).await?;
    Ok(Answer { floor: archive.floor().await?.to_string(), before: Some(before) })
}
