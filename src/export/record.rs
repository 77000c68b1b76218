//! One record on its way into a bundle: what is shown with its salts, what is withheld with its reason.

use super::ExportError;
use super::ask::{Withhold, is_of_bytes, reason_for_bytes};
use crate::archive::{Archive, Content, Field, WholeRecord};
use crate::bundle::{Disclosed, Reasons, ShownField};
use crate::ledger::{Commitments, Committed, Entry, TlogProof};
use crate::record::{Commitment, Digest, FieldName, RecordId, RecordKey};

/// The most of one record that a bundle shows, in bytes: what is larger is withheld, and said to be.
const SHOWN_MAX: u64 = 256 << 20;
const DISPOSED: &str = "disposed of: the archive no longer has the content nor its keys";
const DAMAGED: &str = "the archive cannot open the content";
const TOO_LARGE: &str = "too large for a bundle";

/// The checkpoint that proofs lead to.
pub(super) struct Proofs {
    pub(super) checkpoint: String,
    pub(super) size: u64,
}

impl Proofs {
    pub(super) fn of(&self, entry: &Entry, hashes: Vec<Digest>) -> TlogProof {
        TlogProof { extra: None, index: entry.index(), hashes, checkpoint: self.checkpoint.clone() }
    }
}

/// Disclosed entries, each with the reasons for what is not shown.
pub(super) type Taken = Vec<(Disclosed, Reasons)>;

/// Takes a record.
pub(super) async fn take(
    archive: &Archive,
    whole: WholeRecord,
    hashes: &mut impl Iterator<Item = Vec<Digest>>,
    proofs: &Proofs,
    withhold: &[Withhold],
) -> Result<Taken, ExportError> {
    let WholeRecord { id, key, entries } = whole;
    let mut left = SHOWN_MAX;
    let mut opened = Vec::with_capacity(entries.len());
    for (entry, content) in entries {
        let proof = proofs.of(&entry, hashes.next().unwrap_or_default());
        let (shown, commitments, why) = match (&key, content) {
            (None, _) => (Vec::new(), None, DISPOSED),
            (Some(_), Err(_error)) => (Vec::new(), None, DAMAGED),
            (Some(key), Ok(content)) => {
                let (shown, commitments) = open(archive, &entry, key, content, &mut left).await?;
                (shown, commitments, TOO_LARGE)
            }
        };
        let all = match (entry.committed(), &commitments) {
            (Committed::Listed(listed), _) => listed.clone(),
            (Committed::Root(_), Some(all)) => all.clone(),
            (Committed::Root(_), None) => return Err(ExportError::Undisclosable(id)),
        };
        let commitments = commitments.filter(|_all| matches!(entry.committed(), Committed::Root(_)));
        opened.push((entry, proof, shown, commitments, all, why));
    }
    // What is withheld of one entry may stand in the bytes of another: an answer repeats what was sent.
    let names: Vec<_> = opened.iter().flat_map(|(.., all, _why)| all.iter().map(|(name, _commitment)| name)).collect();
    let of_bytes = reason_for_bytes(withhold, id, &names);
    drop(names);
    let taken = opened.into_iter().map(|(entry, proof, shown, commitments, all, why)| {
        let (shown, reasons) = part(id, &all, shown, withhold, of_bytes, why);
        (Disclosed { entry, proof, shown, commitments }, reasons)
    });
    Ok(taken.collect())
}

/// Parts what is shown from what is withheld.
fn part(
    record: RecordId,
    all: &Commitments,
    opened: Vec<ShownField>,
    withhold: &[Withhold],
    of_bytes: Option<&str>,
    why: &str,
) -> (Vec<ShownField>, Reasons) {
    let mut reasons = Reasons::new();
    for (name, _commitment) in all.iter() {
        let asked = withhold.iter().find_map(|withhold| withhold.of(record, name));
        let asked = asked.or_else(|| of_bytes.filter(|_reason| is_of_bytes(name)));
        let is_there = opened.iter().any(|field| field.name == *name);
        if let Some(reason) = asked.or((!is_there).then_some(why)) {
            reasons.insert(name.clone(), reason.to_owned());
        }
    }
    let shown = opened.into_iter().filter(|field| !reasons.contains_key(&field.name)).collect();
    (shown, reasons)
}

/// The values of an entry, as far as they fit; and what all of them commit to.
async fn open(
    archive: &Archive,
    entry: &Entry,
    key: &RecordKey,
    content: Content,
    left: &mut u64,
) -> Result<(Vec<ShownField>, Option<Commitments>), ExportError> {
    let mut shown = Vec::with_capacity(content.0.len());
    let mut commitments = Commitments::new();
    for (name, field) in content.0 {
        let value = match field {
            Field::Value(value) => Some(value),
            Field::Blob { size, .. } if size <= *left => read_blob(archive, entry, &name).await,
            Field::Blob { .. } => None,
        };
        let salt = key.salt(entry.id(), &name);
        let Some(value) = value else { continue };
        commitments.insert(name.clone(), Commitment::to(&salt, &value));
        *left = left.saturating_sub(value.len() as u64);
        shown.push(ShownField { name, salt, value });
    }
    Ok((shown, Some(commitments).filter(|all| entry.committed().is_to(all))))
}

/// What is in the blob store; none where it cannot be opened.
async fn read_blob(archive: &Archive, entry: &Entry, name: &FieldName) -> Option<Vec<u8>> {
    match archive.read_blob(entry, name, Vec::new()).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, entry.index = entry.index(), "a field is withheld from a bundle, because it cannot be opened");
            None
        }
    }
}
