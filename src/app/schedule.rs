//! The retention schedule as settings name it.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::AppError;
use crate::retain::schedule::Schedule;
use crate::settings::Settings;

/// More than a schedule may have: what is longer is refused as that, and not cut off.
const LARGEST: u64 = 1 << 20;

/// The schedule in force: the file that settings name, or the one built in.
pub(super) fn load(settings: &Settings) -> Result<Arc<Schedule>, AppError> {
    let Some(path) = &settings.schedule else { return Ok(Arc::new(Schedule::built_in()?)) };
    let unreadable = |source| AppError::Unreadable { path: path.clone(), source };
    let mut text = String::new();
    File::open(path).map_err(unreadable)?.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Arc::new(Schedule::parse(&path.display().to_string(), &text)?))
}

/// The settings in force with the whole schedule in them: what the ledger keeps is what was meant, and no name of a file.
pub(super) fn in_force(settings: &Settings, schedule: &Schedule) -> Value {
    let mut value = settings.in_force().clone();
    if let Some(settings) = value.as_object_mut() {
        let retention = json!({ "schedule": settings.get("retention").and_then(|set| set.get("schedule")), "in_force": schedule.to_json() });
        settings.insert("retention".to_owned(), retention);
    }
    value
}
