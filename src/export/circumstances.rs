//! What goes along with the records: who the people are, what could not be kept of them, who was shown the records, the matter, the checks.
//!
//! Invariant: of people, only what they are called is shown; what officers searched for and why they looked stays closed.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::ExportError;
use super::ask::{Asked, hides_names};
use super::record::Proofs;
use super::run::Writer;
use super::select::Selected;
use crate::archive::{Archive, Field, WholeRecord};
use crate::bundle::{Circumstance, ShownField};
use crate::ledger::Entry;
use crate::record::{AdvisorId, FieldName, MatterId, RecordId, Timestamp};

/// Records asked after, and entries read, at once.
const GROUP: usize = 500;
/// Checks of the archive that go along.
const CHECKS: u32 = 20;

/// Whom and when the records concern.
pub(super) struct Concerned {
    advisors: BTreeSet<AdvisorId>,
    is_asked: bool,
    times: Option<(Timestamp, Timestamp)>,
}

impl Concerned {
    pub(super) fn of(asked: &Asked) -> Self {
        let advisors: BTreeSet<_> = asked.advisors.iter().copied().collect();
        Self { is_asked: !advisors.is_empty(), advisors, times: None }
    }

    /// Of whom was asked, where somebody was; else those of whose device a record came, and not all who ever saw it.
    pub(super) fn add(&mut self, record: &WholeRecord) {
        if let Some((first, _content)) = record.entries.first().filter(|_first| !self.is_asked) {
            self.advisors.extend(first.streams().iter().map(|stream| stream.id));
        }
        for (entry, _content) in &record.entries {
            let at = entry.at();
            let (from, until) = self.times.unwrap_or((at, at));
            self.times = Some((from.min(at), until.max(at)));
        }
    }
}

/// What is told, and of what.
pub(super) struct Scope<'a> {
    pub(super) asked: &'a Asked,
    pub(super) selected: &'a Selected,
    pub(super) concerned: &'a Concerned,
    /// What the ranges show.
    pub(super) of_ranges: &'a BTreeSet<(Circumstance, u64)>,
    pub(super) as_of: u64,
}

/// Adds all of it.
pub(super) async fn tell(
    archive: &Archive,
    writer: &mut Writer,
    scope: &Scope<'_>,
    proofs: &Proofs,
) -> Result<(), ExportError> {
    let Scope { asked, concerned, as_of, .. } = *scope;
    let advisors: Vec<_> = concerned.advisors.iter().copied().collect();
    let (first, last) = concerned.times.unzip();
    let times = (
        asked.from.or(first.filter(|_first| !concerned.is_asked)),
        asked.until.or(last.filter(|_last| !concerned.is_asked)),
    );
    let records: HashSet<RecordId> = scope.selected.records.iter().copied().collect();
    for of in Circumstance::ALL {
        let found = match of {
            Circumstance::Identity => archive.identity_places(&advisors, as_of).await?,
            Circumstance::Gaps => archive.gap_places(&advisors, times, as_of).await?,
            Circumstance::Access => looks(archive, scope.selected, as_of).await?,
            Circumstance::Matter => match asked.matter {
                Some(matter) => archive.matter_places(matter, as_of).await?,
                None => Vec::new(),
            },
            Circumstance::Integrity => archive.verification_places(CHECKS, as_of).await?,
        };
        let mut places: BTreeSet<u64> = found.into_iter().collect();
        places.extend(scope.of_ranges.iter().filter(|(other, _index)| *other == of).map(|(_of, index)| *index));
        let places: Vec<_> = places.into_iter().collect();
        for group in places.chunks(GROUP) {
            let mut entries = archive.entries_at(group).await?;
            entries.retain(|entry| is_ours(entry, of, &advisors, &records, asked.matter));
            let indices: Vec<_> = entries.iter().map(Entry::index).collect();
            let hashes = archive.inclusion_hashes(&indices, proofs.size).await?;
            for (entry, hashes) in entries.into_iter().zip(hashes) {
                let is_named = of == Circumstance::Identity && !hides_names(&asked.withhold);
                let shown = if is_named { names(archive, &entry).await? } else { Vec::new() };
                writer.circumstance(of, entry, hashes, shown)?;
            }
        }
    }
    Ok(())
}

/// Does an entry name nobody and nothing but what the bundle is about? Ids of others' records, of other custodians and matters, and lists of
/// records that counsel chose, stay here.
fn is_ours(
    entry: &Entry,
    of: Circumstance,
    advisors: &[AdvisorId],
    records: &HashSet<RecordId>,
    matter: Option<MatterId>,
) -> bool {
    let text = |key: &str| entry.detail().get(key).and_then(Value::as_str);
    let listed =
        |key: &str| entry.detail().get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let is_advisor = |id: &str| id.parse().is_ok_and(|id| advisors.contains(&id));
    match of {
        Circumstance::Access => listed("records").all(|id| id.parse().is_ok_and(|id| records.contains(&id))),
        Circumstance::Matter => {
            let of_matter = text("matter").is_none_or(|id| id.parse().ok() == matter);
            of_matter && text("advisor").is_none_or(is_advisor) && listed("targets").all(is_advisor)
        }
        Circumstance::Identity | Circumstance::Gaps | Circumstance::Integrity => true,
    }
}

async fn looks(archive: &Archive, selected: &Selected, as_of: u64) -> Result<Vec<u64>, ExportError> {
    let mut places = BTreeSet::new();
    for group in selected.records.chunks(GROUP) {
        places.extend(archive.look_places(group, as_of).await?);
    }
    Ok(places.into_iter().collect())
}

/// What somebody or something is called; nothing where that was disposed of or cannot be read.
async fn names(archive: &Archive, entry: &Entry) -> Result<Vec<ShownField>, ExportError> {
    let Some(record) = entry.record() else { return Ok(Vec::new()) };
    let (key, content) = match (archive.record_key(record).await, archive.content(entry).await) {
        (Ok(Some(key)), Ok(Some(content))) => (key, content),
        (Ok(_), Ok(_)) => return Ok(Vec::new()),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, entry.index = entry.index(), "a name is left out of a bundle, because it cannot be opened");
            return Ok(Vec::new());
        }
    };
    let shown = content.0.into_iter().filter_map(|(name, field)| match field {
        Field::Value(value) if is_a_name(&name) && std::str::from_utf8(&value).is_ok() => {
            Some(ShownField { salt: key.salt(entry.id(), &name), name, value: value.to_vec() })
        }
        _ => None,
    });
    Ok(shown.collect())
}

fn is_a_name(field: &FieldName) -> bool {
    [FieldName::NAME, FieldName::HANDLE, FieldName::ID].contains(field)
}
