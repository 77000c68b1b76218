//! What goes along with the records: who the people are, what could not be kept of them, who was shown the records, the matter, the checks.
//!
//! Invariant: of people, only what they are called is shown; what officers searched for and why they looked stays closed.

use std::collections::BTreeSet;

use super::ExportError;
use super::ask::Asked;
use super::record::Proofs;
use super::run::Writer;
use super::select::Selected;
use crate::archive::{Archive, Field};
use crate::bundle::{Circumstance, ShownField};
use crate::ledger::Entry;
use crate::record::{AdvisorId, FieldName};

/// Records asked after, and entries read, at once.
const GROUP: usize = 500;
/// Checks of the archive that go along.
const CHECKS: u32 = 20;

/// Adds all of it.
pub(super) async fn tell(
    archive: &Archive,
    writer: &mut Writer,
    asked: &Asked,
    selected: &Selected,
    advisors: &BTreeSet<AdvisorId>,
    as_of: u64,
    proofs: &Proofs,
) -> Result<(), ExportError> {
    let advisors: Vec<_> = advisors.iter().copied().collect();
    for of in Circumstance::ALL {
        let places = match of {
            Circumstance::Identity => archive.identity_places(&advisors, as_of).await?,
            Circumstance::Gaps => archive.gap_places(&advisors, (asked.from, asked.until), as_of).await?,
            Circumstance::Access => looks(archive, selected, as_of).await?,
            Circumstance::Matter => match asked.matter {
                Some(matter) => archive.matter_places(matter, as_of).await?,
                None => Vec::new(),
            },
            Circumstance::Integrity => archive.verification_places(CHECKS, as_of).await?,
        };
        for group in places.chunks(GROUP) {
            let entries = archive.entries_at(group).await?;
            let indices: Vec<_> = entries.iter().map(Entry::index).collect();
            let hashes = archive.inclusion_hashes(&indices, proofs.size).await?;
            for (entry, hashes) in entries.into_iter().zip(hashes) {
                let shown = if of == Circumstance::Identity { names(archive, &entry).await? } else { Vec::new() };
                writer.circumstance(of, entry, hashes, shown)?;
            }
        }
    }
    Ok(())
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
    let (key, content) = match (archive.record_key(record).await?, archive.content(entry).await) {
        (Some(key), Ok(Some(content))) => (key, content),
        (_, Ok(None)) | (None, Ok(Some(_))) => return Ok(Vec::new()),
        (_, Err(error)) => {
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
