//! `muniment keys`: the master keys, and how many record keys each wraps; rotation, and forgetting what is not needed any more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::table::Table;
use super::visit::{operator, visit};
use crate::access::Purpose;
use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::join::ArchiveBlobs;
use crate::app::{AppError, Output, Verdict, master, runtime};
use crate::archive::{Append as _, Archive, Rewrapped, rewrap};
use crate::ledger::{Draft, EntryType};
use crate::record::{FieldName, MasterKey, MasterKeyId};
use crate::settings::Settings;

/// Time for a running `serve` to look at its key file, twice.
const TAKEN_UP: Duration = Duration::from_secs(4);

/// A write that began under a key is through by then.
const IN_FLIGHT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize)]
struct Key {
    name: String,
    /// `wraps`, `opens`, or `missing`.
    state: &'static str,
    records: u64,
    webhook_secrets: u64,
}

#[derive(Serialize)]
struct List {
    keys: Vec<Key>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["master key", "state", "record keys", "webhook secrets"]);
        for key in &self.keys {
            let (records, secrets) = (key.records.to_string(), key.webhook_secrets.to_string());
            table.row([key.name.clone(), key.state.to_owned(), records, secrets]);
        }
        table.fmt(f)
    }
}

async fn keys(context: &Context, archive: &Archive) -> Result<Vec<Key>, AppError> {
    let (current, former) = (context.master.id(), context.master.former());
    let mut keys: Vec<Key> = [(current, "wraps")]
        .into_iter()
        .chain(former.into_iter().map(|id| (id, "opens")))
        .map(|(id, state)| Key { name: id.to_string(), state, records: 0, webhook_secrets: 0 })
        .collect();
    for of in archive.wrapped_under().await? {
        match keys.iter_mut().find(|key| key.name == of.master) {
            Some(key) => (key.records, key.webhook_secrets) = (of.records, of.secrets),
            None => {
                keys.push(Key { name: of.master, state: "missing", records: of.records, webhook_secrets: of.secrets })
            }
        }
    }
    Ok(keys)
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let keys = visit(settings, async |context, archive| keys(context, archive).await)?;
    output.print(&List { keys })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Rotated {
    /// The master key that wraps now.
    master: String,
    /// Whether it was made by this.
    made: bool,
    records: u64,
    webhook_secrets: u64,
    /// Whether keys of the certificate authority were sealed again.
    authority: bool,
    /// Keys that none of the given master keys opens.
    unopened: u64,
    left: u64,
    former: Vec<String>,
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { master, records, webhook_secrets, left, unopened, .. } = self;
        writeln!(
            f,
            "master key {master} wraps; {records} record keys and {webhook_secrets} webhook secrets were wrapped again"
        )?;
        if self.made {
            writeln!(f, "it is new: back it up now, apart from the archive")?;
        }
        if *unopened > 0 {
            writeln!(f, "{unopened} keys open under none of the master keys given; `muniment keys list` names theirs")?;
        }
        match (left, self.former.is_empty()) {
            (0, true) => f.write_str("no other master key is given"),
            (0, false) => write!(
                f,
                "nothing is left under {}; once every proxy has the new key and its spool is empty: `muniment keys retire`",
                self.former.join(", ")
            ),
            (left, _) => write!(f, "{left} keys are still under another; run this again"),
        }
    }
}

/// The archive, opened, with its owner beside it.
fn with_owner<T>(
    settings: Settings,
    work: impl AsyncFnOnce(&Context, &Archive, &Database) -> Result<T, AppError>,
) -> Result<T, AppError> {
    let context = Context::open(settings)?;
    runtime::block_on(async {
        let database = Database::visit(&context.settings).await?;
        let done = match context.archive(&database).await {
            Ok(archive) => {
                let done = work(&context, &archive, &database).await;
                archive.close().await;
                done
            }
            Err(error) => Err(error),
        };
        database.close().await;
        done
    })
}

pub(in crate::app) fn rotate_master(settings: Settings, reason: &str, output: Output) -> Result<Verdict, AppError> {
    let purpose = Purpose::new(reason).map_err(AppError::Reason)?;
    let rotated = with_owner(settings, async |context, archive, database| {
        let _alone = master::keeper(&context.settings.master_key).alone()?;
        // What another rotation did that ended just now.
        context.master.refresh();
        let made = if context.master.former().is_empty() { begin(context, archive, &purpose).await? } else { false };
        let authority = context.authority()?.reseal()?;
        let mut shown = 0;
        let rewrapped = rewrap(database.owner(), &context.master, |done| {
            // A line for each fifty thousand, not for each round.
            if done / 50_000 > shown {
                shown = done / 50_000;
                output.note(format!("{done} record keys wrapped again"));
            }
        });
        let mut rewrapped = rewrapped.await?;
        if made {
            // Until each `serve` here has taken the new key up, it wraps under the old one.
            tokio::time::sleep(TAKEN_UP).await;
            let late = rewrap(database.owner(), &context.master, |_done| ()).await?;
            let (records, secrets) = (rewrapped.records + late.records, rewrapped.secrets + late.secrets);
            rewrapped = Rewrapped { records, secrets, ..late };
        }
        Ok(Rotated {
            master: context.master.id().to_string(),
            made,
            records: rewrapped.records,
            webhook_secrets: rewrapped.secrets,
            authority,
            unopened: rewrapped.unopened,
            left: rewrapped.left,
            former: context.master.former().iter().map(ToString::to_string).collect(),
        })
    })?;
    let verdict = if rotated.left == 0 { Verdict::Done } else { Verdict::Unsound };
    output.print(&rotated)?;
    Ok(verdict)
}

/// Makes another key the one that wraps, on record first: an entry that names a key which was never used says more than was done, and none is missing.
async fn begin(context: &Context, archive: &Archive, purpose: &Purpose) -> Result<bool, AppError> {
    let keeper = master::keeper(&context.settings.master_key);
    if !master::is_kept_here(&context.settings.master_key) {
        return Err(AppError::KeysElsewhere);
    }
    let fresh = master::fresh(&*context.entropy)?;
    note(context, archive, "added", MasterKey::new(*fresh).id(), purpose).await?;
    let begun = keeper.begin(&fresh)?;
    context.master.refresh();
    Ok(begun)
}

/// An `identity` entry about a master key, by its name.
async fn note(
    context: &Context,
    archive: &Archive,
    change: &str,
    key: MasterKeyId,
    purpose: &Purpose,
) -> Result<(), AppError> {
    let sealer = context.sealer(Arc::new(ArchiveBlobs(archive.blobs().clone())));
    let (secret, wrapped) = sealer.record()?;
    let mut envelope = sealer.envelope(&secret);
    envelope.put(FieldName::NAME, format!("master key {key}").as_bytes())?;
    envelope.put(FieldName::REASON, purpose.text().as_bytes())?;
    let actor = operator()?;
    let submission = envelope.close().submit(Some(wrapped), |id, commitments| Draft {
        id,
        entry_type: EntryType::Identity,
        actor,
        captured_at: context.clock.now(),
        record: None,
        streams: Vec::new(),
        commitments,
        detail: Map::from_iter([
            ("change".to_owned(), Value::from(change)),
            ("subject".to_owned(), Value::from("key")),
        ]),
    });
    archive.append(submission).await?;
    Ok(())
}

#[derive(Serialize)]
struct Retired {
    retired: Vec<String>,
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retired.as_slice() {
            [] => f.write_str("there is no former master key"),
            retired => write!(
                f,
                "forgotten: {}; destroy every copy of it, and no backup from before the rotation can be read any more",
                retired.join(", ")
            ),
        }
    }
}

pub(in crate::app) fn retire(
    settings: Settings,
    reason: &str,
    restarted: bool,
    output: Output,
) -> Result<Verdict, AppError> {
    let purpose = Purpose::new(reason).map_err(AppError::Reason)?;
    let retired = visit(settings, async |context, archive| {
        let keeper = master::keeper(&context.settings.master_key);
        let _alone = keeper.alone()?;
        context.master.refresh();
        let former = context.master.former();
        if former.is_empty() {
            return Ok(Retired { retired: Vec::new() });
        }
        if !master::is_kept_here(&context.settings.master_key) {
            return Err(AppError::KeysElsewhere);
        }
        // A write is wrapped when it begins and appended when all of it has come.
        if !restarted && keeper.former_for()?.is_none_or(|since| since < IN_FLIGHT) {
            let what = "what was begun under it less than a day ago may not be in the archive yet: wait, or start every `serve` again and say --restarted";
            return Err(AppError::KeyNeeded { what: what.to_owned() });
        }
        // Here too, where somebody else began the rotation.
        context.authority()?.reseal()?;
        let names: Vec<String> = former.iter().map(ToString::to_string).collect();
        let under = keys(context, archive).await?;
        let needed: u64 =
            under.iter().filter(|key| names.contains(&key.name)).map(|key| key.records + key.webhook_secrets).sum();
        if needed > 0 {
            return Err(AppError::KeyNeeded { what: format!("{needed} keys are still wrapped under it") });
        }
        let waiting = context.home.path("spool");
        let waits = std::fs::read_dir(&waiting).is_ok_and(|files| files.flatten().any(|file| is_segment(&file)));
        if waits {
            return Err(AppError::KeyNeeded { what: "the spool is not empty, and may be sealed under it".to_owned() });
        }
        for key in &former {
            note(context, archive, "revoked", *key, &purpose).await?;
        }
        keeper.retire(&former)?;
        Ok(Retired { retired: names })
    })?;
    output.print(&retired)?;
    Ok(Verdict::Done)
}

/// What waits to be appended, or to be looked into by somebody.
fn is_segment(file: &std::fs::DirEntry) -> bool {
    file.path().extension().is_some_and(|extension| extension == "spool" || extension == "damaged")
}
