//! One set of rules, as the workers that run it read it.

use std::path::Path;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::capture::recognizer::ReloadError;
use crate::recognize::{RuleSet, Source};
use crate::record::Digest;

/// One set of rules and the workers that run it.
pub(super) struct Generation {
    pub(super) rules: Digest,
    /// What the workers read when they start: a copy, so that one that is started later still reads the same.
    pub(super) snapshot: TempDir,
    /// Rules that are switched off.
    pub(super) off: Mutex<Vec<String>>,
}

impl Generation {
    /// Checks the rules and copies them into `scratch`.
    pub(super) fn new(scratch: &Path, sources: &[Source]) -> Result<Self, ReloadError> {
        let rules = RuleSet::load(sources)?.digest();
        std::fs::create_dir_all(scratch)?;
        let snapshot = TempDir::with_prefix_in("rules-", scratch)?;
        for (number, source) in sources.iter().enumerate() {
            let name = Path::new(&source.file).parent().and_then(Path::file_name);
            let directory =
                name.map_or_else(|| snapshot.path().join(number.to_string()), |name| snapshot.path().join(name));
            std::fs::create_dir_all(&directory)?;
            std::fs::write(directory.join("rules.toml"), &source.text)?;
        }
        Ok(Self { rules, snapshot, off: Mutex::new(Vec::new()) })
    }
}
