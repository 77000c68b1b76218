//! Recognition workers: one is started with the rules, answers, and is ended.

use std::sync::Arc;

use super::Check;
use crate::app::recognition;
use crate::settings::Settings;
use crate::telemetry::Metrics;

pub(super) async fn check(settings: &Settings) -> Check {
    const NAME: &str = "recognition workers";
    const HINT: &str = "without a worker writes are kept unrecognised; check recognition.memory, and limits on processes (`ulimit -u -v`)";
    // Rules that are wrong are said by their own line.
    let Ok((_rules, sources)) = recognition::load(settings) else {
        return Check::warning(NAME, "not tried: the rules are wrong", "mend the rules first");
    };
    // Not in the data directory: looking changes nothing there.
    let scratch = match tempfile::tempdir() {
        Ok(scratch) => scratch,
        Err(error) => return Check::wrong(NAME, error.to_string(), "make room for temporary files (TMPDIR)"),
    };
    let started = recognition::start(settings, 1, scratch.path().to_owned(), &sources, Arc::new(Metrics::new())).await;
    match started {
        Ok(workers) => {
            workers.shut_down().await;
            Check::ok(NAME, "one started, took the rules and answered")
        }
        Err(error) => Check::wrong(NAME, error.to_string(), HINT),
    }
}
