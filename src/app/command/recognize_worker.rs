//! `muniment recognize-worker`: runs rules for `serve`, in a process that has nothing to lose.
//!
//! It gets no settings, no keys and no database: exchanges come in on standard input, what they mean goes out on standard
//! output. It ends when the pipe does.

use std::path::Path;

use super::rules;
use crate::app::{AppError, Verdict};
use crate::recognize::worker;

pub(in crate::app) fn run(directory: Option<&Path>, memory: u64) -> Result<Verdict, AppError> {
    worker::confine(memory).map_err(AppError::System)?;
    let rules = rules::load(directory)?;
    worker::serve(&rules, std::io::stdin().lock(), std::io::stdout().lock(), worker::processor_time)?;
    Ok(Verdict::Done)
}
