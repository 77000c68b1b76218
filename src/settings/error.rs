//! What is wrong with the settings, where, and what would be right.

use std::fmt;
use std::path::PathBuf;

/// A place in the settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Settings that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("settings file {} cannot be read; check --config and MUNIMENT_CONFIG", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key or value is wrong.
    #[error("{place}: {wrong}")]
    Wrong {
        /// Where it stands.
        place: Place,
        /// What is wrong, and what would be right.
        wrong: String,
    },
    /// A variable is wrong. Its value is never shown.
    #[error("environment variable {name}: {wrong}")]
    Variable {
        /// Which.
        name: &'static str,
        /// What is wrong, and what would be right.
        wrong: String,
    },
    /// No place for data is known.
    #[error("there is no HOME to put data under; set `data_dir` in the settings file")]
    NoDataDir,
}
