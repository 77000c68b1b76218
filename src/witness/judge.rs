//! Whether a checkpoint may be cosigned: it is the log's, and it continues what was cosigned last.
//!
//! Invariant: what passes here is consistent with everything this witness has cosigned of the log. The checks stand in the order in which
//! C2SP `tlog-witness` answers for them. Pure: neither time nor disk.

use std::collections::BTreeMap;

use crate::ledger::{AddCheckpoint, Checkpoint, CheckpointError, VerifyingKey, verify_consistency};
use crate::record::Digest;

/// Why a checkpoint is not cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request, or its checkpoint, cannot be read; or the old size is above the new one.
    Malformed(&'static str),
    /// A log that is not watched here.
    UnknownLog,
    /// No signature by a key of the log, or a wrong one.
    NotSigned,
    /// Something else was cosigned last: its size.
    Conflict(u64),
    /// It does not continue what was cosigned last.
    Inconsistent,
}

/// What the log signed, and why it is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Two roots of one size: whoever holds both notes can show that the log forked.
    Fork,
    /// It was not shown to continue what was cosigned last. A wrong proof may be anybody's.
    Unproved,
}

/// What was refused, and what it is evidence of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: Refusal,
    pub(super) evidence: Option<Evidence>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, evidence: None }
    }
}

/// Decides. `last` is the size and root that were cosigned last of a log.
pub(super) fn judge<'a>(
    logs: &'a BTreeMap<String, Vec<VerifyingKey>>,
    last: impl FnOnce(&str) -> Option<(u64, Digest)>,
    request: &AddCheckpoint,
) -> Result<(Checkpoint, &'a [VerifyingKey]), Refused> {
    let checkpoint = Checkpoint::parse(request.note.text());
    let checkpoint = checkpoint.map_err(|_source| Refusal::Malformed("the note is no checkpoint"))?;
    let keys = logs.get(&checkpoint.origin).ok_or(Refusal::UnknownLog)?;
    check_signed(request, keys)?;
    if request.old > checkpoint.size {
        return Err(Refusal::Malformed("the old size is above the new one").into());
    }
    let (size, root) = last(&checkpoint.origin).unwrap_or_else(|| (0, Digest::of(&[])));
    // Two roots of one size, both signed: whatever the request says of the old size, this is a fork.
    let fork = (size == checkpoint.size && root != checkpoint.root).then_some(Evidence::Fork);
    if request.old != size {
        return Err(Refused { why: Refusal::Conflict(size), evidence: fork });
    }
    let new = (checkpoint.size, &checkpoint.root);
    match verify_consistency((size, &root), new, &request.proof) {
        Ok(()) => Ok((checkpoint, keys)),
        Err(_refuted) => Err(Refused { why: Refusal::Inconsistent, evidence: fork.or(Some(Evidence::Unproved)) }),
    }
}

/// One signature by a key of the log, and no wrong one.
fn check_signed(request: &AddCheckpoint, keys: &[VerifyingKey]) -> Result<(), Refusal> {
    match Checkpoint::open(request.note.to_string().as_bytes(), keys) {
        Ok(_opened) => Ok(()),
        Err(CheckpointError::Form(problem)) => Err(Refusal::Malformed(problem)),
        Err(CheckpointError::Note(_) | CheckpointError::Origin { .. }) => Err(Refusal::NotSigned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Node, Proof, SigningKey, leaf_hash, root_of};

    fn log(n: u8) -> SigningKey {
        SigningKey::new("log.example", &[n; 32]).unwrap()
    }

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn proof(old: u64, new: u64) -> Vec<Digest> {
        let all = leaves(new);
        let read =
            |node: Node| root_of(all.iter().copied().skip((node.index << node.level) as usize).take(1 << node.level));
        let proof = Proof::consistency(old, new).unwrap();
        let hashes: std::collections::HashMap<_, _> = proof.nodes().map(|node| (node, read(node))).collect();
        proof.hashes(&hashes).unwrap()
    }

    fn request(old: u64, new: u64, proof: Vec<Digest>, key: &SigningKey) -> AddCheckpoint {
        let origin = key.verifying_key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: new, root: root_of(leaves(new)), extensions: vec![] };
        AddCheckpoint { old, proof, note: checkpoint.sign(&[key]).unwrap() }
    }

    fn judged(last: Option<u64>, request: &AddCheckpoint) -> Result<u64, Refused> {
        let logs = BTreeMap::from([("log.example".to_owned(), vec![log(1).verifying_key().clone()])]);
        let last = last.map(|size| (size, root_of(leaves(size))));
        judge(&logs, |_origin| last, request).map(|(checkpoint, _keys)| checkpoint.size)
    }

    #[test]
    fn what_continues_the_last_is_granted_whatever_the_sizes() {
        for old in 0..20 {
            for new in old..20 {
                let last = (old > 0).then_some(old);
                assert_eq!(judged(last, &request(old, new, proof(old, new), &log(1))), Ok(new), "{old} {new}");
            }
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let why = |last, request: AddCheckpoint| judged(last, &request).unwrap_err();
        assert_eq!(why(None, request(0, 5, vec![], &log(2))).why, Refusal::NotSigned);
        let other = SigningKey::new("other.example", &[1; 32]).unwrap();
        assert_eq!(why(None, request(0, 5, vec![], &other)).why, Refusal::UnknownLog);
        assert!(matches!(why(None, request(6, 5, vec![], &log(1))).why, Refusal::Malformed(_)));
        assert_eq!(why(Some(3), request(0, 5, vec![], &log(1))), Refusal::Conflict(3).into());
        assert_eq!(why(Some(8), request(3, 5, proof(3, 5), &log(1))), Refusal::Conflict(8).into());
        assert_eq!(why(None, request(3, 5, proof(3, 5), &log(1))), Refusal::Conflict(0).into());
        let inconsistent = Refused { why: Refusal::Inconsistent, evidence: Some(Evidence::Unproved) };
        assert_eq!(why(Some(3), request(3, 5, proof(2, 5), &log(1))), inconsistent);
        assert_eq!(why(Some(3), request(3, 5, vec![], &log(1))), inconsistent);
        assert_eq!(why(None, request(0, 5, proof(2, 5), &log(1))), inconsistent);
        // A checkpoint of nothing has the root of nothing.
        let empty = Checkpoint { origin: "log.example".into(), size: 0, root: Digest([1; 32]), extensions: vec![] };
        let empty = AddCheckpoint { old: 0, proof: vec![], note: empty.sign(&[&log(1)]).unwrap() };
        let forked = Refused { why: Refusal::Inconsistent, evidence: Some(Evidence::Fork) };
        assert_eq!(why(None, empty), forked);
    }

    #[test]
    fn a_fork_is_evidence_whatever_old_size_is_claimed() {
        let mut forked = request(0, 5, vec![], &log(1));
        let checkpoint =
            Checkpoint { origin: "log.example".into(), size: 5, root: Digest([1; 32]), extensions: vec![] };
        forked.note = checkpoint.sign(&[&log(1)]).unwrap();
        assert_eq!(
            judged(Some(5), &forked),
            Err(Refused { why: Refusal::Conflict(5), evidence: Some(Evidence::Fork) })
        );
        forked.old = 5;
        assert_eq!(
            judged(Some(5), &forked),
            Err(Refused { why: Refusal::Inconsistent, evidence: Some(Evidence::Fork) })
        );
    }

    #[test]
    fn a_signature_of_the_log_that_is_wrong_beside_a_right_one_is_refused() {
        let mut spoiled = request(0, 5, vec![], &log(1));
        let mut line = spoiled.note.signatures()[0].clone();
        line.bytes[3] ^= 1;
        spoiled.note.add(line);
        assert_eq!(judged(None, &spoiled).unwrap_err().why, Refusal::NotSigned);
    }
}
