//! The worker's side of the pipe: questions in on one, answers out on the other, nothing else.
//!
//! A jq program can run for ever or eat all memory, and neither can be stopped inside a thread. So recognition runs in
//! processes without keys or database, with a bound on memory; `capture::workers` owns, times and kills them. One question, one answer:
//! which rule speaks is asked on its own, of a fresh worker, when one died or was killed over a question.
//!
//! A question is `u32 length`, `u32 length of the ask`, the [`Ask`] as JSON, the exchange as JSON (the rest). An answer is
//! `u32 length` and one [`Reply`] as JSON. Lengths are big-endian and count what follows them.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::communication::Recognition;
use super::engine::{Ask, Engine};
use super::error::RuleErrors;
use super::set::RuleSet;
use crate::record::Digest;

/// Largest question: an exchange with two bodies within [`crate::exchange::Limits::text`], written as JSON.
pub const MAX_QUESTION: u32 = 160 << 20;
/// Largest answer.
pub const MAX_ANSWER: u32 = 64 << 20;

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What the rules say, and how long this process has run on a processor since it started, in microseconds.
    Done(Box<Recognition>, u64),
    /// Which rule would speak, as `network/rule`; none of its programs ran.
    Named(Option<String>),
    /// The question is about another rule set than this worker's, which is this: start a new worker.
    Stale(Digest),
}

/// A worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The pipe broke in mid-frame.
    #[error("the pipe to the proxy broke")]
    Io(#[from] io::Error),
    /// A frame is longer than the bound or shorter than its own parts.
    #[error("a frame on the pipe says a length that cannot be")]
    Frame,
    /// A frame's JSON is none.
    #[error("a frame on the pipe is not readable")]
    Json(#[source] serde_json::Error),
    /// The rule set does not compile.
    #[error(transparent)]
    Rules(#[from] RuleErrors),
}

/// A question as bytes.
///
/// # Errors
/// When it is longer than [`MAX_QUESTION`].
pub fn question(ask: &Ask, exchange: &[u8]) -> Result<Vec<u8>, WorkerError> {
    let ask = serde_json::to_vec(ask).map_err(WorkerError::Json)?;
    let length = u32::try_from(ask.len() + exchange.len() + 4).ok().filter(|length| *length <= MAX_QUESTION);
    let length = length.ok_or(WorkerError::Frame)?;
    let ask_length = u32::try_from(ask.len()).map_err(|_too_long| WorkerError::Frame)?;
    let mut frame = Vec::with_capacity(length as usize + 4);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&ask_length.to_be_bytes());
    frame.extend_from_slice(&ask);
    frame.extend_from_slice(exchange);
    Ok(frame)
}

/// One reply from the frame's bytes, without the length before it.
///
/// # Errors
/// When they are no reply.
pub fn reply(frame: &[u8]) -> Result<Reply, WorkerError> {
    serde_json::from_slice(frame).map_err(WorkerError::Json)
}

/// Answers questions until the input ends. `used` tells how long this process has run on a processor.
///
/// # Errors
/// When the pipe breaks or carries something else: the process then ends, and a new one is started.
pub fn serve(
    set: &RuleSet,
    mut input: impl Read,
    mut output: impl Write,
    used: impl Fn() -> Duration,
) -> Result<(), WorkerError> {
    let engine = Engine::new(set)?;
    while let Some(frame) = read_frame(&mut input, MAX_QUESTION)? {
        let (length, rest) = frame.split_at_checked(4).ok_or(WorkerError::Frame)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_short| WorkerError::Frame)?);
        let (ask, exchange) = rest.split_at_checked(length as usize).ok_or(WorkerError::Frame)?;
        let ask: Ask = serde_json::from_slice(ask).map_err(WorkerError::Json)?;
        if ask.rule_set != set.digest() {
            write_reply(&mut output, &Reply::Stale(set.digest()))?;
            continue;
        }
        let reply = if ask.naming {
            Reply::Named(engine.name(&ask, exchange))
        } else {
            let recognition = Box::new(engine.recognize(&ask, exchange));
            Reply::Done(recognition, u64::try_from(used().as_micros()).unwrap_or(u64::MAX))
        };
        write_reply(&mut output, &reply)?;
    }
    Ok(())
}

/// How long this process has run on a processor since it started.
#[must_use]
pub fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Bounds this process's memory, and lets it leave no core file with somebody's words in it. For `main` of a worker, first thing.
///
/// # Errors
/// When the system refuses.
pub fn confine(memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::As, Rlimit { current: Some(memory), maximum: Some(memory) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

fn read_frame(input: &mut impl Read, bound: u32) -> Result<Option<Vec<u8>>, WorkerError> {
    let mut length = [0; 4];
    let mut have = 0;
    while let Some(rest) = length.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            // Between questions the end of the input is how a worker is told to go.
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(WorkerError::Frame),
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(WorkerError::Io(error)),
        }
    }
    let length = u32::from_be_bytes(length);
    if length > bound {
        return Err(WorkerError::Frame);
    }
    let mut frame = Vec::new();
    let read = input.take(u64::from(length)).read_to_end(&mut frame)?;
    if read == length as usize { Ok(Some(frame)) } else { Err(WorkerError::Frame) }
}

fn write_reply(output: &mut impl Write, reply: &Reply) -> Result<(), WorkerError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, reply).map_err(WorkerError::Json)?;
    let length = u32::try_from(frame.len().saturating_sub(4)).ok().filter(|length| *length <= MAX_ANSWER);
    let length = length.ok_or(WorkerError::Frame)?;
    if let Some(start) = frame.get_mut(..4) {
        start.copy_from_slice(&length.to_be_bytes());
    }
    output.write_all(&frame)?;
    output.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
