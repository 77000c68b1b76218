//! `muniment check-config`: the settings as `serve` would read them.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::app::{AppError, Output, Verdict, schedule};
use crate::record::{Digest, canonical};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer<'a> {
    file: Option<&'a Path>,
    digest: Digest,
    settings: &'a serde_json::Value,
    /// The retention schedule.
    retention: serde_json::Value,
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => writeln!(f, "# {} is sound. In force, defaults included:\n", file.display())?,
            None => writeln!(f, "# There is no settings file. In force, all defaults:\n")?,
        }
        let text = toml::to_string_pretty(&without_nulls(self.settings)).map_err(|_unwritable| fmt::Error)?;
        writeln!(f, "{text}\n# Records are kept by the longest of the classes they are in:")?;
        let text = |class: &serde_json::Value, key| {
            class.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let listed = self.retention.get("class").and_then(|classes| classes.as_array()).into_iter().flatten();
        for class in listed.chain(self.retention.get("default")) {
            let (name, keep, from) = (text(class, "name"), text(class, "keep"), text(class, "from"));
            writeln!(f, "#   {name}: {keep} from {from} ({})", text(class, "cites"))?;
        }
        write!(f, "# digest {}", self.digest)
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
    let retention = schedule::load(settings)?.to_json();
    output.print(&Answer { file, digest, settings: in_force, retention })?;
    Ok(Verdict::Done)
}
