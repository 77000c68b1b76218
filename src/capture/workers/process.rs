//! One worker process: its pipes, and one question at a time.
//!
//! Invariant: a worker that did not answer whole and in time is never asked again; dropping it kills it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::recognize::Recognition;
use crate::recognize::worker::{self, Reply, WorkerError};

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program: this one.
    pub program: PathBuf,
    /// Its first arguments; the rules and the bound on memory come after.
    pub arguments: Vec<OsString>,
}

/// How an attempt to get an answer ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With an answer.
    Done(Box<Recognition>),
    /// With the name of the rule that would speak.
    Named(Option<String>),
    /// The worker has other rules than those the question is about.
    Stale,
}

/// How long a process has run on a processor so far; none where the system does not say. In steps of 10 ms.
fn processor_time(id: Option<u32>) -> Option<Duration> {
    /// `USER_HZ`, which Linux has fixed for what it shows.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id?)).ok()?;
    // Behind the name, which may hold anything: state is the first field, `utime` the 12th, `stime` the 13th (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()?.saturating_add(fields.next()?.parse().ok()?);
    Some(Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND)))
}

pub(super) struct Worker {
    /// Held so that dropping the worker kills the process; its exit is collected by the runtime.
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// How long it had run on a processor when it last answered, as it said itself.
    used: Duration,
}

impl Worker {
    /// Starts a process that gets nothing of ours: no environment (it may hold keys), no file but its pipes.
    pub(super) fn spawn(command: &WorkerCommand, rules: &Path, memory: u64) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .arg("--rules")
            .arg(rules)
            .arg("--memory")
            .arg(memory.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A jq program can print what it sees there.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { child, input, output: BufReader::new(output), used: Duration::ZERO })
    }

    /// Tells how long it has run on a processor since it last answered; none where the system does not say.
    pub(super) fn stopwatch(&self) -> impl Fn() -> Option<Duration> + use<> {
        let (id, before) = (self.child.id(), self.used);
        move || Some(processor_time(id)?.saturating_sub(before))
    }

    /// The process has not ended, as far as one can tell.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// One question; answers when the worker does. The caller bounds the time.
    pub(super) async fn ask(&mut self, question: &[u8]) -> Result<Ended, WorkerError> {
        self.input.write_all(question).await?;
        self.input.flush().await?;
        let length = self.output.read_u32().await?;
        if length > worker::MAX_ANSWER {
            return Err(WorkerError::Frame);
        }
        let mut frame = Vec::new();
        let read = (&mut self.output).take(u64::from(length)).read_to_end(&mut frame).await?;
        if read < length as usize {
            return Err(WorkerError::Frame);
        }
        Ok(match worker::reply(&frame)? {
            Reply::Done(recognition, used) => {
                self.used = Duration::from_micros(used);
                Ended::Done(recognition)
            }
            Reply::Named(rule) => Ended::Named(rule),
            Reply::Stale(_) => Ended::Stale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_time_of_a_process_grows_with_what_it_does() {
        let own = Some(std::process::id());
        let before = processor_time(own).unwrap();
        let mut turns = 0_u64;
        while processor_time(own).unwrap() < before + Duration::from_millis(20) {
            turns += 1;
            assert!(turns < 100_000_000);
        }
        assert_eq!(processor_time(None), None);
    }
}
