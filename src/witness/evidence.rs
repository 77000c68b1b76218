//! Requests that a log signed and that contradict what it signed before: kept, because they prove it.
//!
//! Invariant: at most a thousand files of at most 64 KiB, so that nobody fills the disk with them. Losing one is no reason to stop.

use std::path::{Path, PathBuf};

use super::state::write;
use crate::ledger::AddCheckpoint;
use crate::record::Digest;

const MOST: usize = 1_000;

/// Keeps a request, by its digest; answers with where, unless there are too many.
pub(super) fn keep(state: &Path, request: &AddCheckpoint) -> Option<PathBuf> {
    let dir = state.join("evidence");
    let text = request.to_string();
    let path = dir.join(format!("{}.request", Digest::of(&[text.as_bytes()])));
    if path.exists() {
        return Some(path);
    }
    std::fs::create_dir_all(&dir).ok()?;
    let count = std::fs::read_dir(&dir).ok()?.take(MOST).count();
    (count < MOST && write(&path, &text).is_ok()).then_some(path)
}
