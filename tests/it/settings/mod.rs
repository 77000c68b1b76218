//! Settings: what is refused and in what words, and that the example file is the whole truth.

mod example;
mod refused;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use muniment::settings::{self, Settings, SettingsError};

/// A settings file in a directory of its own, with an environment of its own.
struct Given {
    dir: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Given {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("muniment.toml"), text).unwrap();
        let environment = BTreeMap::from([("HOME".to_owned(), "/home/firm".to_owned())]);
        Self { dir, environment }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("muniment.toml")
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        settings::load(Some(&self.file()), &self.environment)
    }

    /// The error's text, with the directory cut off.
    fn refusal(&self) -> String {
        let shown = self.load().unwrap_err().to_string();
        shown.replace(&format!("{}/", self.dir.path().display()), "")
    }
}
