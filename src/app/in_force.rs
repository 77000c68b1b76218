//! The settings in force, on record: an entry at each start with other settings, rules or software than at the last.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::context::Context;
use super::{AppError, schedule};
use crate::archive::{Append as _, Archive};
use crate::capture::Blobs;
use crate::ledger::{Actor, Draft, EntryType};
use crate::record::{Digest, FieldName, Word, canonical};
use crate::retain::schedule::Schedule;

/// What the last entry said, beside the archive. Only spares an entry that would say the same; losing it costs one more.
const LAST: &str = "settings.last";

/// Appends a `settings` entry when something changed, or always, where what follows rests on it. Values of secrets are no part of it; what is, is sealed.
pub(super) async fn note(
    context: &Context,
    archive: &Archive,
    blobs: Arc<dyn Blobs>,
    rules: Digest,
    schedule: &Schedule,
    always: bool,
) -> Result<(), AppError> {
    let in_force = canonical(&schedule::in_force(&context.settings, schedule))?;
    let software = concat!("muniment-", env!("CARGO_PKG_VERSION"));
    let state = Digest::of(&[&in_force, rules.as_bytes(), software.as_bytes()]).to_string();
    let last = context.home.path(LAST);
    if !always && fs::read_to_string(&last).is_ok_and(|text| text.trim() == state) {
        return Ok(());
    }
    let sealer = context.sealer(blobs);
    let (secret, key) = sealer.record()?;
    let mut envelope = sealer.envelope(&secret);
    envelope.put(FieldName::SETTINGS, &in_force)?;
    let actor = Actor::Service(Word::try_from("service")?);
    let detail = Map::from_iter([
        ("change".to_owned(), Value::from("in_force")),
        ("rules".to_owned(), Value::from(rules.to_string())),
        ("software".to_owned(), Value::from(software)),
    ]);
    let submission = envelope.close().submit(Some(key), |id, commitments| Draft {
        id,
        entry_type: EntryType::Settings,
        actor,
        captured_at: context.clock.now(),
        record: None,
        streams: Vec::new(),
        commitments,
        detail,
    });
    archive.append(submission).await?;
    // Written after the entry is durable: a crash in between repeats the entry, never loses it.
    if let Err(error) = fs::File::create(&last).and_then(|mut file| file.write_all(state.as_bytes())) {
        tracing::warn!(error = %error, "the next start will note the settings again");
    }
    Ok(())
}
