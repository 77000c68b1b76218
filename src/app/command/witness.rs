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
use crate::telemetry::{self, LogFormat};
use crate::witness::{self, Witness, WitnessSettings};

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

pub(in crate::app) fn run(asked: &Asked, output: Output) -> Result<Verdict, AppError> {
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
