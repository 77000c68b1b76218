//! `muniment doctor`: whatever would keep `serve` from working, found before it does.
//!
//! Each check stands alone and says what it saw. Looking changes nothing: no directory, key or database is made.

mod authority;
mod database;
mod files;
mod machine;
mod ports;
mod spool;
mod witnesses;
mod workers;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{AppError, Output, Verdict};
use crate::settings::Settings;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing to do.
    Ok,
    /// `serve` works, but somebody should look.
    Warning,
    /// `serve` would not work, or would not keep what it promises.
    Wrong,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    state: State,
    saw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, saw: impl Into<String>) -> Self {
        Self { name, state: State::Ok, saw: saw.into(), hint: None }
    }

    pub(super) fn warning(name: &'static str, saw: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, state: State::Warning, saw: saw.into(), hint: Some(hint.into()) }
    }

    pub(super) fn wrong(name: &'static str, saw: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, state: State::Wrong, saw: saw.into(), hint: Some(hint.into()) }
    }
}

/// The nearest directory that is there already.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

#[derive(Serialize)]
struct Answer {
    state: State,
    checks: Vec<Check>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let mark = match check.state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Wrong => "WRONG  ",
            };
            writeln!(f, "{mark}  {:<20} {}", check.name, check.saw)?;
            if let Some(hint) = &check.hint {
                writeln!(f, "         {:<20} hint: {hint}", "")?;
            }
        }
        match self.state {
            State::Ok => write!(f, "\nNothing is in the way of `muniment serve`."),
            State::Warning => write!(f, "\n`muniment serve` will work; see the warnings."),
            State::Wrong => write!(f, "\n`muniment serve` would not work: see what is WRONG."),
        }
    }
}

pub(super) async fn run(settings: &Settings, output: Output) -> Result<Verdict, AppError> {
    let mut checks = Vec::new();
    checks.extend(files::checks(settings));
    checks.extend(machine::checks(settings));
    checks.extend(ports::checks(settings).await);
    checks.extend(database::checks(settings).await);
    checks.extend(authority::checks(settings));
    checks.push(spool::check(settings));
    checks.push(witnesses::check(settings));
    checks.push(workers::check(settings).await);
    let worst = |checks: &[Check], state| checks.iter().any(|check| check.state == state);
    let state = match () {
        () if worst(&checks, State::Wrong) => State::Wrong,
        () if worst(&checks, State::Warning) => State::Warning,
        () => State::Ok,
    };
    output.print(&Answer { state, checks })?;
    Ok(if state == State::Wrong { Verdict::Unsound } else { Verdict::Done })
}
