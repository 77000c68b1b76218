//! `muniment rules`: the network rules, checked before `serve` meets them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::{AppError, Output, Verdict};
use crate::recognize::{self, RuleSet, Source};
use crate::record::Digest;
use crate::settings::Settings;

#[derive(Serialize)]
struct Network {
    network: String,
    title: String,
    digest: Digest,
}

#[derive(Serialize)]
struct Checked {
    /// What every record's provenance names.
    digest: Digest,
    networks: Vec<Network>,
    hosts: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for network in &self.networks {
            writeln!(f, "{:<16} {}  {}", network.network, network.digest, network.title)?;
        }
        writeln!(f, "\nclaimed hosts: {}", self.hosts.join(", "))?;
        write!(f, "rule set {}", self.digest)
    }
}

/// Loads what `serve` would load, all or nothing.
pub(in crate::app) fn load(directory: Option<&Path>) -> Result<RuleSet, AppError> {
    let sources = match directory {
        Some(directory) => Source::with_directory(directory)
            .map_err(|source| AppError::RulesUnreadable { directory: directory.to_owned(), source })?,
        None => Source::embedded(),
    };
    Ok(RuleSet::load(&sources)?)
}

pub(in crate::app) fn check(
    settings: &Settings,
    directory: Option<&Path>,
    output: Output,
) -> Result<Verdict, AppError> {
    let rules = load(directory.or(settings.recognition.rules.as_deref()))?;
    let networks = rules.networks().map(|(network, title, digest)| Network {
        network: network.to_owned(),
        title: title.to_owned(),
        digest,
    });
    let hosts = rules.hosts().map(ToString::to_string).collect();
    output.print(&Checked { digest: rules.digest(), networks: networks.collect(), hosts })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Tested {
    passed: usize,
    failed: Vec<Failure>,
    /// Rules that no case is about.
    without_fixture: Vec<String>,
}

#[derive(Serialize)]
struct Failure {
    case: PathBuf,
    what: String,
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failed {
            writeln!(f, "FAILED {}\n{}\n", failure.case.display(), failure.what)?;
        }
        for rule in &self.without_fixture {
            writeln!(f, "UNTESTED rule {rule}: no case in the fixtures is about it")?;
        }
        write!(f, "{} passed, {} failed, {} rules untested", self.passed, self.failed.len(), self.without_fixture.len())
    }
}

pub(in crate::app) fn test(
    directory: &Path,
    fixtures: &Path,
    update: bool,
    output: Output,
) -> Result<Verdict, AppError> {
    let rules = load(Some(directory))?;
    let report = recognize::fixtures::test(&rules, fixtures, update)
        .map_err(|source| AppError::RulesUnreadable { directory: fixtures.to_owned(), source })?;
    let sound = report.is_sound();
    let failed = report.failed.into_iter().map(|failure| Failure { case: failure.case, what: failure.what });
    output.print(&Tested {
        passed: report.passed,
        failed: failed.collect(),
        without_fixture: report.without_fixture,
    })?;
    Ok(if sound { Verdict::Done } else { Verdict::Unsound })
}
