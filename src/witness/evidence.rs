//! What a log signed and this witness did not cosign, each with what it had cosigned last of the log: kept for whoever looks into it.
//!
//! Invariant: two sets of files of at most 128 KiB. Forks, which nobody but the log can make, are kept up to a thousand. What came without a proof that holds
//! may be sent by anybody: of that a few are kept, and the oldest goes. Losing one is no reason to stop.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::judge::Evidence;
use super::state::write;
use crate::ledger::AddCheckpoint;
use crate::record::Digest;

impl Evidence {
    const fn extension(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Unproved => "unproved",
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Fork => 1_000,
            Self::Unproved => 64,
        }
    }
}

/// Keeps a request with the note that it was held against, by what the log signed; answers with where, unless there are too many.
pub(super) fn keep(state: &Path, request: &AddCheckpoint, head: Option<&str>, of: Evidence) -> Option<PathBuf> {
    let dir = state.join("evidence");
    let digest = Digest::of(&[request.note.text().as_bytes()]);
    let path = dir.join(format!("{digest}.{}", of.extension()));
    if path.exists() {
        return Some(path);
    }
    std::fs::create_dir_all(&dir).ok()?;
    let mut there: Vec<(SystemTime, PathBuf)> = Vec::new();
    for file in std::fs::read_dir(&dir).ok()?.flatten().take(4_096) {
        if file.path().extension().is_some_and(|extension| extension == of.extension()) {
            let since = file.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            there.push((since, file.path()));
        }
    }
    if there.len() >= of.most() {
        let oldest = there.into_iter().min().filter(|_oldest| of == Evidence::Unproved)?;
        std::fs::remove_file(oldest.1).ok()?;
    }
    let text = format!("{request}\n\nwhat was cosigned last:\n\n{}", head.unwrap_or("nothing\n"));
    write(&path, &text).is_ok().then_some(path)
}
