//! `muniment check-config`: the settings as `serve` would read them.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::app::{AppError, Output, Verdict};
use crate::record::{Digest, canonical};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer<'a> {
    file: Option<&'a Path>,
    digest: Digest,
    settings: &'a serde_json::Value,
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => writeln!(f, "# {} is sound. In force, defaults included:\n", file.display())?,
            None => writeln!(f, "# There is no settings file. In force, all defaults:\n")?,
        }
        let text = toml::to_string_pretty(&without_nulls(self.settings)).map_err(|_unwritable| fmt::Error)?;
        write!(f, "{text}\n# digest {}", self.digest)
    }
}

/// TOML has no null: a key that is not set is not there.
fn without_nulls(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let set = map.iter().filter(|(_, value)| !value.is_null());
            serde_json::Value::Object(set.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}

pub(in crate::app) fn run(settings: &Settings, file: Option<&Path>, output: Output) -> Result<Verdict, AppError> {
    let in_force = settings.in_force();
    let digest = Digest::of(&[&canonical(in_force)?]);
    output.print(&Answer { file, digest, settings: in_force })?;
    Ok(Verdict::Done)
}
