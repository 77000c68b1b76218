//! `muniment witness`: for somebody elsewhere; touches no archive and none of the firm's keys.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::api::{Listening, Patience};
use crate::app::arguments::Witness as Asked;
use crate::app::lifecycle::Signals;
use crate::app::{AppError, Output, SystemClock, Verdict, descriptors, runtime, tls};
use crate::capture::SystemEntropy;
use crate::ledger::VerifyingKey;
use crate::settings::Environment;
use crate::telemetry::{self, LogFormat};
use crate::witness::{self, AuditError, LogEntry, LogReader, Mismatch, Witness, WitnessSettings};

/// Time for one request: it is small, and answered from memory but for one file.
const REQUEST: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Key {
    /// What its cosignatures are checked with.
    key: String,
}

impl Key {
    fn of(key: &VerifyingKey) -> Self {
        Self { key: key.to_string() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// What an audit came to.
#[derive(Serialize)]
struct Attested {
    /// The signed note.
    attestation: String,
    /// Entries that it speaks of.
    size: u64,
    /// Of these, read this time.
    read: u64,
}

impl fmt::Display for Attested {
    /// The note alone, byte for byte: this is redirected into a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attestation)
    }
}

fn audit(
    file: &Path,
    log: Option<&str>,
    checkpoint: Option<&Path>,
    token: Option<String>,
    output: Output,
) -> Result<(), AppError> {
    let settings = WitnessSettings::load(file)?;
    let key = witness::read_key(&settings)?;
    let name = |entry: &LogEntry| entry.vkey.split('+').next().unwrap_or_default().to_owned();
    let mut readable = settings.entries.iter().filter(|entry| entry.url.is_some());
    let mut wanted = readable.by_ref().filter(|entry| log.is_none_or(|log| name(entry) == log));
    let (Some(entry), None) = (wanted.next(), wanted.next()) else { return Err(AuditError::NoLog.into()) };
    let keys = settings.logs.get(&name(entry)).cloned().unwrap_or_default();
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| AuditError::File { path, source }
    };
    let note = checkpoint.map(|path| std::fs::read(path).map_err(unreadable(path))).transpose()?;
    let reader = LogReader::new(entry, token)?;
    let audited = runtime::block_on(async {
        let told = |mismatch: &Mismatch| output.note(mismatch);
        Ok(witness::audit(&reader, &keys, &key, &settings.state, &SystemClock, note, told).await?)
    })?;
    output.note(format!("{} entries hold, {} of them read now", audited.size, audited.read));
    output.print(&Attested { attestation: audited.attestation, size: audited.size, read: audited.read })
}

pub(in crate::app) fn run(asked: &Asked, environment: &dyn Environment, output: Output) -> Result<Verdict, AppError> {
    match asked {
        Asked::Init { name, file } => {
            witness::begin(file, name)?;
            let settings = WitnessSettings::load(file)?;
            let key = witness::init(&settings, &SystemEntropy)?;
            if settings.name != *name {
                output.note(format!("the settings were there already; this is {}", settings.name));
            }
            output.print(&Key::of(key.verifying_key()))?;
        }
        Asked::Key { file } => {
            let key = witness::read_key(&WitnessSettings::load(file)?)?;
            output.print(&Key::of(key.verifying_key()))?;
        }
        Asked::Run { file } => serve(file)?,
        Asked::Audit { file, log, checkpoint } => {
            let token = environment.get("MUNIMENT_TOKEN");
            audit(file, log.as_deref(), checkpoint.as_deref(), token, output)?;
        }
    }
    Ok(Verdict::Done)
}

fn serve(file: &Path) -> Result<(), AppError> {
    telemetry::start("info", LogFormat::Json)?;
    descriptors::raise();
    let settings = WitnessSettings::load(file)?;
    let key = witness::read_key(&settings)?;
    let tls = settings.tls.as_ref().map(|(certificate, key)| tls::server(certificate, key)).transpose()?;
    let (address, logs) = (settings.listen, settings.logs.len());
    let witness = Witness::open(settings, key, Arc::new(SystemClock))?;
    runtime::block_on(async {
        let mut signals = Signals::listen().map_err(AppError::System)?;
        let listening = Listening::bind(address).await;
        let listening = listening.map_err(|source| AppError::Bind { key: "listen", address, source })?;
        tracing::info!(witness = %listening.address(), logs, "ready");
        let stop = CancellationToken::new();
        let served = listening.serve(witness::router(Arc::new(witness)), tls, Patience::beside(REQUEST), stop.clone());
        let stopped = async {
            signals.next().await;
            stop.cancel();
        };
        tokio::join!(served, stopped);
        Ok(())
    })
}
