//! What the witness remembers: of each log the checkpoint that it cosigned last, with its own cosignature.
//!
//! Invariant: the file is whole, and what was remembered is durable before [`State::remember`] returns. A file that is missing, damaged or
//! another witness's is never replaced by an empty one. One process at a time. What the file cannot show is that an older copy of itself was
//! put in its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::WitnessError;
use crate::ledger::{Checkpoint, CosigningKey, Note, VerifyingKey};
use crate::record::Digest;

const FORMAT: &str = "muniment-witness-state/1";
const FILE: &str = "witness.state";
const LOCK: &str = "witness.lock";
/// A thousand logs with long names fit many times.
const LARGEST: u64 = 64 << 20;

/// As it is written, behind a line with its digest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    /// The witness's verifier key.
    key: String,
    /// Cosigned checkpoints, one of each log.
    heads: Vec<String>,
}

/// What was cosigned last of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// When it was cosigned, in seconds since 1970.
    pub time: u64,
    /// The checkpoint with the log's signatures and the cosignature.
    pub note: String,
}

/// The state of a witness, locked.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    key: VerifyingKey,
    heads: BTreeMap<String, Head>,
    /// Held as long as the state is.
    _lock: File,
}

impl State {
    /// Makes an empty state, where there is none: for a key that has cosigned nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn create(dir: &Path, key: &CosigningKey) -> Result<Self, WitnessError> {
        let path = dir.join(FILE);
        let state = Self { key: key.verifying_key().clone(), heads: BTreeMap::new(), _lock: lock(dir)?, path };
        if state.path.exists() {
            return Err(WitnessError::Damaged { path: state.path, problem: "it is there already" });
        }
        write(&state.path, &state.text(&state.heads)?)?;
        Ok(state)
    }

    /// Whether there is any.
    pub(super) fn is_there(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Takes the lock and reads what was remembered.
    ///
    /// # Errors
    /// When it is lost, damaged, another witness's, or in use.
    pub fn open(dir: &Path, key: &CosigningKey) -> Result<Self, WitnessError> {
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let mut text = String::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(WitnessError::Lost { path }),
            Err(error) => return Err(WitnessError::io(&path)(error)),
            Ok(file) => {
                file.take(LARGEST).read_to_string(&mut text).map_err(WitnessError::io(&path))?;
            }
        }
        let key = key.verifying_key().clone();
        let heads = read(&text, &key).map_err(|problem| WitnessError::Damaged { path: path.clone(), problem })?;
        Ok(Self { path, key, heads, _lock: lock })
    }

    /// What was cosigned last of a log.
    #[must_use]
    pub fn head(&self, origin: &str) -> Option<&Head> {
        self.heads.get(origin)
    }

    /// Remembers a cosigned checkpoint; durable on return.
    ///
    /// # Errors
    /// When it could not be made durable. Then nothing is remembered, and the cosignature must not leave.
    pub(super) fn remember(&mut self, note: &Note) -> Result<(), WitnessError> {
        let damaged = |problem| WitnessError::Damaged { path: self.path.clone(), problem };
        let (origin, head) = head_of(&note.to_string(), &self.key).map_err(damaged)?;
        let mut heads = self.heads.clone();
        heads.insert(origin, head);
        write(&self.path, &self.text(&heads)?)?;
        self.heads = heads;
        Ok(())
    }

    fn text(&self, heads: &BTreeMap<String, Head>) -> Result<String, WitnessError> {
        let heads = heads.values().map(|head| head.note.clone()).collect();
        let written = Written { format: FORMAT.to_owned(), key: self.key.to_string(), heads };
        let json = serde_json::to_string(&written);
        let json = json.map_err(|error| WitnessError::io(&self.path)(io::Error::other(error)))?;
        Ok(format!("{}\n{json}\n", Digest::of(&[json.as_bytes()])))
    }
}

fn read(text: &str, key: &VerifyingKey) -> Result<BTreeMap<String, Head>, &'static str> {
    let (digest, json) = text.split_once('\n').ok_or("it is cut off")?;
    let json = json.strip_suffix('\n').ok_or("it is cut off")?;
    if Digest::of(&[json.as_bytes()]).to_string() != digest {
        return Err("its digest is another");
    }
    let written: Written = serde_json::from_str(json).map_err(|_source| "it is no state of a witness")?;
    if written.format != FORMAT || written.key != key.to_string() {
        return Err("it is another witness's");
    }
    let mut heads = BTreeMap::new();
    for note in written.heads {
        let (origin, head) = head_of(&note, key)?;
        if heads.insert(origin, head).is_some() {
            return Err("a log stands in it twice");
        }
    }
    Ok(heads)
}

/// Reads a checkpoint that this witness cosigned.
fn head_of(note: &str, key: &VerifyingKey) -> Result<(String, Head), &'static str> {
    const WRONG: &str = "it holds what this witness did not cosign";
    let read = Note::parse(note.as_bytes()).map_err(|_source| WRONG)?;
    let vouched = read.verify(std::slice::from_ref(key)).map_err(|_source| WRONG)?;
    let time = vouched.iter().filter_map(|by| by.time).max().ok_or(WRONG)?;
    let Checkpoint { origin, size, root, .. } = Checkpoint::parse(read.text()).map_err(|_source| WRONG)?;
    Ok((origin, Head { size, root, time, note: note.to_owned() }))
}

/// Takes the lock of a directory, or says that somebody else has it.
fn lock(dir: &Path) -> Result<File, WitnessError> {
    let path = dir.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(WitnessError::io(&path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(WitnessError::Busy { path }),
        Err(error) => Err(WitnessError::io(&path)(error.into())),
    }
}

/// Replaces a file; whole and durable on return.
pub(super) fn write(path: &Path, text: &str) -> Result<(), WitnessError> {
    let io = |error| WitnessError::io(path)(error);
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::Builder::new();
    beside.prefix(".new-").permissions(std::fs::Permissions::from_mode(0o600));
    let mut file = beside.tempfile_in(dir).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SigningKey;

    fn key(n: u8) -> CosigningKey {
        CosigningKey::new("w.example", &[n; 32]).unwrap()
    }

    fn cosigned(origin: &str, size: u64) -> Note {
        let log = SigningKey::new(origin, &[7; 32]).unwrap();
        let checkpoint = Checkpoint { origin: origin.into(), size, root: Digest([9; 32]), extensions: vec![] };
        let mut note = checkpoint.sign(&[&log]).unwrap();
        note.add(key(1).cosign(note.text(), 1_000 + size).unwrap());
        note
    }

    fn damaged(dir: &Path) -> bool {
        matches!(State::open(dir, &key(1)), Err(WitnessError::Damaged { .. }))
    }

    #[test]
    fn what_was_remembered_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::create(dir.path(), &key(1)).unwrap();
        for (origin, size) in [("a.example", 3), ("b.example", 4), ("a.example", 5)] {
            state.remember(&cosigned(origin, size)).unwrap();
        }
        drop(state);
        let state = State::open(dir.path(), &key(1)).unwrap();
        let sizes =
            ["a.example", "b.example", "c.example"].map(|origin| state.head(origin).map(|head| (head.size, head.time)));
        assert_eq!(sizes, [Some((5, 1_005)), Some((4, 1_004)), None]);
        assert_eq!(state.head("a.example").unwrap().note, cosigned("a.example", 5).to_string());
    }

    #[test]
    fn a_state_that_is_lost_damaged_or_anothers_is_not_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(State::open(dir.path(), &key(1)), Err(WitnessError::Lost { .. })));
        let mut state = State::create(dir.path(), &key(1)).unwrap();
        state.remember(&cosigned("a.example", 3)).unwrap();
        drop(state);
        assert!(State::create(dir.path(), &key(1)).is_err(), "a state is not made over another");
        assert!(matches!(State::open(dir.path(), &key(2)), Err(WitnessError::Damaged { .. })));
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(State::open(dir.path(), &key(1)).is_err(), "byte {at}");
        }
        for end in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(damaged(dir.path()), "cut off at {end}");
        }
        // Whoever can reckon a digest still cannot cosign.
        let json = String::from_utf8(whole.clone())
            .unwrap()
            .split_once('\n')
            .unwrap()
            .1
            .trim_end()
            .replace("\\n3\\n", "\\n2\\n");
        std::fs::write(&path, format!("{}\n{json}\n", Digest::of(&[json.as_bytes()]))).unwrap();
        assert!(damaged(dir.path()));
        std::fs::write(&path, &whole).unwrap();
        assert!(State::open(dir.path(), &key(1)).is_ok());
    }

    #[test]
    fn one_process_at_a_time_has_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::create(dir.path(), &key(1)).unwrap();
        assert!(matches!(State::open(dir.path(), &key(1)), Err(WitnessError::Busy { .. })));
        drop(state);
        assert!(State::open(dir.path(), &key(1)).is_ok());
    }

    #[test]
    fn what_cannot_be_made_durable_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::create(dir.path(), &key(1)).unwrap();
        state.remember(&cosigned("a.example", 3)).unwrap();
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(state.remember(&cosigned("a.example", 4)).is_err());
        assert_eq!(state.head("a.example").unwrap().size, 3);
    }
}
