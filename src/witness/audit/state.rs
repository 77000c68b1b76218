//! How far an audit came: the edge of the tree, the last leaf and time, and where each stream and each source goes on.
//!
//! Invariant: one that is damaged or another log's is not gone on from. It is read again from the first entry then, which says the same.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state_file;
use super::walk::Walk;
use crate::ledger::{Chain, Frontier, SourceId};
use crate::record::{AdvisorId, Digest};
use crate::witness::WitnessError;
use crate::witness::state::write;

const FORMAT: &str = "muniment-audit-state/1";
/// Counts of some millions of streams.
const LARGEST: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    origin: String,
    size: u64,
    /// Roots of the perfect subtrees, largest first.
    peaks: Vec<Digest>,
    /// Of the last entry.
    leaf: Digest,
    at: String,
    /// How many entries each has.
    streams: BTreeMap<AdvisorId, u64>,
    sources: BTreeMap<SourceId, u64>,
}

/// A log as far as it was read, which is kept.
pub(super) struct AuditState {
    origin: String,
    walk: Walk,
}

impl AuditState {
    /// What is kept of this log; none where nothing is, or nothing sound.
    pub(super) fn load(dir: &Path, origin: &str) -> Result<Option<Self>, WitnessError> {
        let path = state_file(dir, origin);
        let mut text = String::new();
        match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(WitnessError::io(&path)(error)),
            Ok(file) => {
                file.take(LARGEST).read_to_string(&mut text).map_err(WitnessError::io(&path))?;
            }
        }
        Ok(read(&text, origin))
    }

    pub(super) fn new(origin: String, walk: Walk) -> Self {
        Self { origin, walk }
    }

    /// Entries that were read.
    pub(super) const fn size(&self) -> u64 {
        self.walk.size()
    }

    pub(super) fn into_walk(self) -> Walk {
        self.walk
    }

    /// Keeps it; durable on return. The state of nothing is not kept.
    pub(super) fn store(&self, dir: &Path) -> Result<(), WitnessError> {
        let Some(written) = written(&self.origin, &self.walk) else { return Ok(()) };
        let path = state_file(dir, &written.origin);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(WitnessError::io(folder))?;
        }
        let json = serde_json::to_string(&written);
        let json = json.map_err(|error| WitnessError::io(&path)(std::io::Error::other(error)))?;
        write(&path, &format!("{}\n{json}\n", Digest::of(&[json.as_bytes()])))
    }
}

fn written(origin: &str, walk: &Walk) -> Option<Written> {
    let (leaf, at) = walk.chain.last()?;
    Some(Written {
        format: FORMAT.to_owned(),
        origin: origin.to_owned(),
        size: walk.size(),
        peaks: walk.frontier.peaks().to_vec(),
        leaf,
        at: String::from_utf8_lossy(&at).into_owned(),
        streams: walk.chain.streams().collect(),
        sources: walk.chain.sources().collect(),
    })
}

fn read(text: &str, origin: &str) -> Option<AuditState> {
    let (digest, json) = text.split_once('\n')?;
    let json = json.strip_suffix('\n')?;
    if Digest::of(&[json.as_bytes()]).to_string() != digest {
        return None;
    }
    let written: Written = serde_json::from_str(json).ok()?;
    if written.format != FORMAT || written.origin != origin {
        return None;
    }
    let frontier = Frontier::resume(written.size, written.peaks).ok()?;
    let at = <[u8; 27]>::try_from(written.at.as_bytes()).ok()?;
    let chain = Chain::resume(written.leaf, at, written.streams, written.sources);
    Some(AuditState { origin: written.origin, walk: Walk { frontier, chain } })
}
