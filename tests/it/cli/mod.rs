//! The command line as its users meet it: the real program in a process of its own.

mod check_config;
mod demo;
mod help;
mod looks;
mod run;

pub(crate) use run::Cli;
