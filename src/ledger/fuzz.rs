//! What must hold of the ledger's formats whatever bytes arrive. For `crate::fuzzing` only.

use serde_json::Value;

use super::leaf::scan_with_leaf;
use super::scan::scan_strictly;
use super::{
    AddCheckpoint, Attestation, Checkpoint, Entry, HashReader, Node, Note, Policy, Proof, SigningKey, Tile, TilePath,
    TlogProof, VerifyingKey, bundle_bytes, leaf_hash, parse_bundle, quick, root_of, tile_bytes, verify_consistency,
    verify_inclusion,
};
use crate::record::Digest;

/// A key that signed nothing the fuzzer has seen.
pub(crate) fn verifier() -> Option<VerifyingKey> {
    Some(SigningKey::new("log.example", &[9; 32]).ok()?.verifying_key().clone())
}

/// What is an entry is canonical: no other bytes say the same; and what is read quickly is what the strict reader reads.
pub(crate) fn entry(data: &[u8]) {
    if let Some(quick) = quick::scan(data, &mut ()) {
        assert_eq!(Some(quick), scan_strictly(data).ok(), "{}", String::from_utf8_lossy(data));
    }
    assert_eq!(scan_with_leaf(data).1, leaf_hash(data));
    let Ok(entry) = Entry::parse(data) else { return };
    assert_eq!(entry.bytes(), data);
    assert_eq!(entry.leaf(), leaf_hash(data));
    let value: Option<Value> = serde_json::from_slice(data).ok();
    let canonical = value.and_then(|value| serde_json_canonicalizer::to_vec(&value).ok());
    assert_eq!(canonical.as_deref(), Some(data), "{}", String::from_utf8_lossy(data));
    assert!(entry.at() >= crate::record::Timestamp::EPOCH || entry.index() < u64::MAX);
}

/// Notes and checkpoints have one spelling, and none that we did not sign is vouched for.
pub(crate) fn checkpoint(data: &[u8]) {
    let key = verifier();
    assert!(key.is_some());
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        assert!(note.verify(key.as_slice()).is_err());
    }
    assert!(Checkpoint::open(data, key.as_slice()).is_err(), "nobody signed this");
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = text.parse::<VerifyingKey>()
    {
        assert_eq!(key.to_string(), text);
    }
}

/// Policies: whoever cosigned more meets at least as much, and nobody who signed nothing vouches.
pub(crate) fn policy(data: &[u8]) {
    let Ok(policy) = Policy::parse(data) else { return };
    let all: Vec<_> = policy.witnesses().iter().map(vouched).collect();
    assert!(policy.is_met(&all), "every witness cosigned");
    assert!(!policy.is_met(&[]) || !policy.needs_witnesses(), "a quorum needs a cosignature");
    let mut met = false;
    for count in 0..=all.len() {
        let now = all.get(..count).is_some_and(|by| policy.is_met(by));
        assert!(now || !met, "one more cosignature takes nothing away");
        met = now;
    }
    assert!(policy.open(data, &[]).is_err());
}

fn vouched(key: &VerifyingKey) -> super::Vouched {
    super::Vouched { name: key.name().to_owned(), id: key.id(), time: Some(1) }
}

/// Requests to witnesses, their answers and attestations have one spelling.
pub(crate) fn add_checkpoint(data: &[u8]) {
    if let Ok(request) = AddCheckpoint::parse(data) {
        assert_eq!(request.to_string().as_bytes(), data);
    }
    if let Ok(lines) = super::parse_signature_lines(data) {
        assert_eq!(lines.iter().map(ToString::to_string).collect::<String>().as_bytes(), data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(attestation) = Attestation::parse(text)
    {
        assert_eq!(attestation.to_string(), text);
        assert!(Checkpoint::parse(text).is_err(), "an attestation is no checkpoint");
    }
}

/// Proofs of a real tree hold, and none that was changed does. The first bytes choose the tree and the change.
pub(crate) fn proof(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(proof) = TlogProof::parse(text)
    {
        assert_eq!(proof.to_string(), text);
        assert!(proof.verify(&leaf_hash(b"x"), verifier().as_slice()).is_err());
    }
    let [size, index, kind, at, change, rest @ ..] = data else { return };
    let (size, index) = (u64::from(*size % 65) + 1, u64::from(*index));
    let leaves: Vec<Digest> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let tree = Leaves(&leaves);
    let root = tree.root(size);
    let inclusion = kind % 2 == 0;
    let old = index % size + 1;
    let place = index % size;
    let proof = if inclusion { Proof::inclusion(place, size) } else { Proof::consistency(old, size) };
    let Some(mut hashes) = proof.ok().and_then(|proof| proof.hashes(&tree).ok()) else { return };
    let holds = |hashes: &[Digest]| {
        if inclusion {
            let leaf = leaves.get(place as usize).copied().unwrap_or(root);
            verify_inclusion(&leaf, place, size, &root, hashes).is_ok()
        } else {
            verify_consistency((old, &tree.root(old)), (size, &root), hashes).is_ok()
        }
    };
    assert!(holds(&hashes), "a true proof holds: {place} {old} {size}");
    let whole = hashes.clone();
    let count = hashes.len().max(1);
    if let Some(hash) = hashes.get_mut(usize::from(*at) % count) {
        let mut bytes = *hash.as_bytes();
        if let Some(byte) = bytes.get_mut(usize::from(*at) % 32) {
            *byte ^= *change;
        }
        *hash = Digest(bytes);
    }
    if let Some(extra) = rest.first_chunk::<32>() {
        hashes.push(Digest(*extra));
    }
    assert!(hashes == whole || !holds(&hashes), "a changed proof does not hold: {place} {old} {size}");
}

/// The tree over a few leaves, by its definition.
struct Leaves<'a>(&'a [Digest]);

impl Leaves<'_> {
    fn root(&self, size: u64) -> Digest {
        root_of(self.0.iter().copied().take(size as usize))
    }
}

impl HashReader for Leaves<'_> {
    type Error = std::convert::Infallible;

    fn hash(&self, node: Node) -> Result<Digest, Self::Error> {
        let width = 1_usize << node.level;
        let first = (node.index as usize).saturating_mul(width);
        Ok(root_of(self.0.iter().copied().skip(first).take(width)))
    }
}

/// Paths of tiles have one spelling, and bundles and tiles are read back as they are written.
pub(crate) fn tile(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(path) = text.parse::<TilePath>()
    {
        assert_eq!(path.to_string(), text);
    }
    let Some((width, data)) = data.split_first() else { return };
    let width = u16::from(*width) + 1;
    if let Ok(entries) = parse_bundle(data, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(bundle_bytes(&entries).ok().as_deref(), Some(data));
    }
    if let Ok(hashes) = (Tile { level: 0, index: 0, width }).parse(data) {
        assert_eq!(tile_bytes(&hashes), data);
    }
}
