//! The program: what can be typed, and the one place that builds every part and joins them.
//!
//! The only module that names all others; nothing names it. One file a command in [`command`].

mod arguments;
mod command;
mod context;
mod database;
pub mod demo;
mod descriptors;
mod doctor;
mod error;
mod expiry;
mod home;
mod in_force;
mod join;
mod lifecycle;
mod master;
mod moment;
mod output;
mod recognition;
mod runtime;
mod schedule;
mod service;
mod system;
mod tasks;
mod tls;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Account, Advisor, Ca, Device, Hold, Keys, Matter, Officer, Retention, Source, Webhook};
pub use arguments::{Arguments, Command};
pub use error::AppError;
pub use home::{Home, HomeError};
use output::Output;
pub use system::{SystemClock, SystemIds};

use crate::settings::{self, Environment};

/// Runs the program: parses, loads the settings, does what was asked, and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>, environment: &dyn Environment) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return output::usage(&error, arguments.iter().any(|a| a == "--json")),
    };
    let output = Output::new(parsed.json);
    match run(&parsed, environment, output) {
        Ok(code) => code.into(),
        Err(error) => output.error(&error).into(),
    }
}

/// How a command ended when nothing stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, and nothing is wrong.
    Done,
    /// Done, and what was checked is wrong.
    Unsound,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::SUCCESS,
            Verdict::Unsound => Self::from(3),
        }
    }
}

fn run(arguments: &Arguments, environment: &dyn Environment, output: Output) -> Result<Verdict, AppError> {
    let settings = || settings::load(arguments.config.as_deref(), environment);
    match &arguments.command {
        Command::CheckConfig => command::check_config::run(&settings()?, arguments.config.as_deref(), output),
        Command::Doctor => runtime::block_on(doctor::run(&settings()?, output)),
        Command::Rules(arguments::Rules::Check { directory }) => {
            command::rules::check(&settings()?, directory.as_deref(), output)
        }
        Command::Rules(arguments::Rules::Test { directory, fixtures, update }) => {
            command::rules::test(directory, fixtures, *update, output)
        }
        Command::RecognizeWorker(worker) => command::recognize_worker::run(worker.rules.as_deref(), worker.memory),
        Command::Migrate => runtime::block_on(command::migrate::run(&settings()?, output)),
        Command::Ca(Ca::Export { form, out }) => command::ca::export(settings()?, *form, out.as_deref(), output),
        Command::Ca(Ca::Import { certificate, key }) => command::ca::import(settings()?, certificate, key, output),
        Command::Ca(Ca::Rotate) => command::ca::rotate(settings()?, output),
        Command::Verify(verify) => command::verify::run(settings()?, &verify.against, output),
        Command::Serve => command::serve::run(settings()?),
        Command::Witness(witness) => command::witness::run(witness, environment, output),
        Command::Advisor(Advisor::Add { name }) => command::advisor::add(settings()?, name, output),
        Command::Advisor(Advisor::List) => command::advisor::list(settings()?, output),
        Command::Device(Device::Add { advisor, name }) => command::device::add(settings()?, *advisor, name, output),
        Command::Device(Device::List { advisor }) => command::device::list(settings()?, *advisor, output),
        Command::Device(Device::Revoke { device }) => command::device::revoke(settings()?, *device, output),
        Command::Matter(Matter::List) => command::matter::list(settings()?, output),
        Command::Hold(Hold::List) => command::hold::list(settings()?, output),
        Command::Hold(Hold::Evaluate) => command::hold::evaluate(settings()?, output),
        Command::Webhook(Webhook::List) => command::webhook::list(settings()?, output),
        Command::Account(Account::List) => command::account::list(settings()?, output),
        Command::Officer(Officer::Add { name, roles, expires, scope }) => {
            command::officer::add(settings()?, name, roles, *expires, scope, output)
        }
        Command::Officer(Officer::List) => command::officer::list(settings()?, output),
        Command::Officer(Officer::Revoke { officer }) => command::officer::revoke(settings()?, *officer, output),
        Command::Source(Source::Close { source, silent_for }) => {
            command::source::close(settings()?, *source, *silent_for, output)
        }
        Command::Keys(Keys::List) => command::keys::list(settings()?, output),
        Command::Keys(Keys::RotateMaster { reason }) => command::keys::rotate_master(settings()?, reason, output),
        Command::Keys(Keys::Retire { reason, restarted }) => {
            command::keys::retire(settings()?, reason, *restarted, output)
        }
        Command::Dispose(dispose) => command::dispose::run(settings()?, dispose, output),
        Command::Retention(Retention::Floor { length, reason }) => {
            command::retention::floor(settings()?, *length, reason.as_deref(), output)
        }
        Command::Export(export) => command::export::run(settings()?, export, output),
        Command::Checkpoint => command::checkpoint::run(settings()?, output),
        Command::Rebuild => command::rebuild::run(settings()?, output),
        Command::Demo(arguments) => demo::run(arguments.keep.as_deref(), output),
    }
}
