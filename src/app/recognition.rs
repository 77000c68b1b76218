//! Rules and workers as settings say: what is intercepted, and by what it is understood.

use std::path::PathBuf;
use std::sync::Arc;

use super::AppError;
use super::context::Context;
use crate::api::InstalledRules;
use crate::capture::{WorkerCommand, Workers, WorkersSetting};
use crate::proxy::InterceptedHosts;
use crate::recognize::{HostPattern, ListedHosts, RuleSet, Source};
use crate::settings::Settings;
use crate::telemetry::Metrics;

/// The rules, and the files they are made of.
pub(super) fn load(settings: &Settings) -> Result<(RuleSet, Vec<Source>), AppError> {
    let sources = match &settings.recognition.rules {
        Some(directory) => Source::with_directory(directory)
            .map_err(|source| AppError::RulesUnreadable { directory: directory.clone(), source })?,
        None => Source::embedded(),
    };
    Ok((RuleSet::load(&sources)?, sources))
}

/// Hosts that settings list.
pub(super) fn listed(settings: &Settings) -> Result<ListedHosts, AppError> {
    let patterns = settings.intercept.extra_hosts.iter().map(|host| host.as_str().parse::<HostPattern>());
    Ok(patterns.collect::<Result<ListedHosts, _>>()?)
}

/// Every host that is decrypted: what rules claim by name, and what settings list; without those settings exempt.
pub(super) fn hosts(rules: &RuleSet, listed: &ListedHosts, settings: &Settings) -> InterceptedHosts {
    let listed: Vec<HostPattern> = listed.patterns().collect();
    let never = settings.intercept.never.iter().map(crate::settings::HostName::as_str);
    InterceptedHosts::new(rules.hosts().chain(&listed), never)
}

/// Starts the workers: this program again, without keys, settings or database.
pub(super) async fn workers(context: &Context, sources: &[Source]) -> Result<Workers, AppError> {
    let count = context.settings.recognition.workers;
    start(&context.settings, count, context.home.dir("rules")?, sources, Arc::clone(&context.metrics)).await
}

/// Starts so many workers with their copies of the rules in `scratch`.
pub(super) async fn start(
    settings: &Settings,
    count: usize,
    scratch: PathBuf,
    sources: &[Source],
    metrics: Arc<Metrics>,
) -> Result<Workers, AppError> {
    let recognition = &settings.recognition;
    let setting = WorkersSetting {
        command: WorkerCommand {
            program: std::env::current_exe().map_err(AppError::System)?,
            arguments: vec!["recognize-worker".into()],
        },
        count,
        memory: recognition.memory,
        run_timeout: recognition.run_timeout,
        scratch,
    };
    Ok(Workers::start(setting, sources, metrics).await?)
}

/// The rules as the system's inventory names them.
pub(super) fn installed(rules: &RuleSet) -> Vec<InstalledRules> {
    let networks = rules.networks().map(|(network, title, digest)| InstalledRules {
        network: network.to_owned(),
        title: title.to_owned(),
        digest,
    });
    networks.collect()
}
