//! Where rule files come from: built in, and a directory of the operator's.

use std::io;
use std::path::Path;

/// One rule file's text.
#[derive(Debug, Clone)]
pub struct Source {
    /// How errors name it.
    pub file: String,
    /// TOML.
    pub text: String,
}

const EMBEDDED: &[(&str, &str)] = &[
    ("bluesky", include_str!("../../config/networks/bluesky/rules.toml")),
    ("mastodon", include_str!("../../config/networks/mastodon/rules.toml")),
];

impl Source {
    /// The files that are built in.
    #[must_use]
    pub fn embedded() -> Vec<Self> {
        EMBEDDED.iter().map(|(name, text)| Self { file: file_name(name), text: (*text).to_owned() }).collect()
    }

    /// The files that are built in, with those of a directory (`<directory>/<network>/rules.toml`) added or put in their place.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn with_directory(directory: &Path) -> io::Result<Vec<Self>> {
        let mut sources = Self::embedded();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.path().join("rules.toml").is_file() {
                names.push(entry.file_name());
            }
        }
        names.sort();
        for name in names {
            let path = directory.join(&name).join("rules.toml");
            let text = std::fs::read_to_string(&path)?;
            let replaced = file_name(&name.to_string_lossy());
            sources.retain(|source| source.file != replaced);
            sources.push(Self { file: path.display().to_string(), text });
        }
        Ok(sources)
    }
}

fn file_name(network: &str) -> String {
    format!("config/networks/{network}/rules.toml")
}
