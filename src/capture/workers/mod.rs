//! The pool of recognition workers: started, timed, killed and replaced here.
//!
//! A jq program can run for ever or eat all memory, and neither can be stopped inside a thread, so rules run in processes of
//! their own. Invariant: a question is answered within [`WorkersSetting::run_timeout`] of processor time, and within a bound where
//! the machine has none to give (and a bounded wait for a free worker), whatever a rule does; a rule that does not end, or ends
//! its worker twice, is switched off for as long as these rules are in force. That a machine is slow is no rule's fault.

mod generation;
mod process;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use generation::Generation;
pub use process::WorkerCommand;
use process::{Ended, Worker};

use super::recognizer::{Failure, Question, Recognized, Recognizer, ReloadError};
use crate::recognize::worker::{WorkerError, question};
use crate::recognize::{Ask, Source, Task};
use crate::telemetry::Metrics;

/// Longest wait for a worker to be free, while a device waits.
const WAIT: Duration = Duration::from_secs(5);
/// The same where no device waits: an answer read late beats one not read.
const BACKGROUND_WAIT: Duration = Duration::from_secs(60);
/// Longest time for one question on a machine that gives the worker no processor, where [`WorkersSetting::run_timeout`] is less
/// than a tenth of it.
const STARVED: Duration = Duration::from_secs(10);
/// Longest time for a process to start and compile its rules.
const START: Duration = Duration::from_secs(20);

/// How to run workers.
#[derive(Debug, Clone)]
pub struct WorkersSetting {
    /// How to start one.
    pub command: WorkerCommand,
    /// How many.
    pub count: usize,
    /// Most memory of one, in bytes.
    pub memory: u64,
    /// Longest time for one question, on a processor.
    pub run_timeout: Duration,
    /// Where copies of the rules are put for them to read.
    pub scratch: PathBuf,
}

/// See the module.
pub struct Workers {
    pool: Arc<Pool>,
}

struct Pool {
    setting: WorkersSetting,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// One permit per worker.
    free: Semaphore,
    /// Fewer by one: what stands back never takes the last worker.
    free_for_background: Semaphore,
    tasks: TaskTracker,
}

struct State {
    generation: Arc<Generation>,
    idle: Vec<Worker>,
}

impl Workers {
    /// Starts the pool with these rules, and waits until every worker answers.
    ///
    /// # Errors
    /// When the rules are not sound, or workers cannot be started.
    pub async fn start(
        setting: WorkersSetting,
        sources: &[Source],
        metrics: Arc<Metrics>,
    ) -> Result<Self, ReloadError> {
        let count = setting.count.max(1);
        let generation = Arc::new(Generation::new(&setting.scratch, sources)?);
        let pool = Arc::new(Pool {
            free: Semaphore::new(count),
            free_for_background: Semaphore::new((count - 1).max(1)),
            state: Mutex::new(State { generation: Arc::clone(&generation), idle: Vec::new() }),
            setting: WorkersSetting { count, ..setting },
            metrics,
            tasks: TaskTracker::new(),
        });
        pool.state.lock().idle = Vec::with_capacity(count);
        let idle = pool.start_all(&generation).await?;
        pool.state.lock().idle = idle;
        Ok(Self { pool })
    }

    /// Ends every worker.
    pub async fn shut_down(&self) {
        self.pool.free.close();
        self.pool.free_for_background.close();
        self.pool.tasks.close();
        if timeout(START, self.pool.tasks.wait()).await.is_err() {
            tracing::error!("a recognition worker is still being started at shutdown");
        }
        self.pool.state.lock().idle.clear();
    }
}

impl Pool {
    async fn start_all(&self, generation: &Generation) -> Result<Vec<Worker>, ReloadError> {
        let starting = (0..self.setting.count).map(|_| self.start_one(generation));
        futures_util::future::try_join_all(starting).await
    }

    /// A worker that has compiled its rules and says that they are these.
    async fn start_one(&self, generation: &Generation) -> Result<Worker, ReloadError> {
        let WorkersSetting { command, memory, .. } = &self.setting;
        let mut worker = Worker::spawn(command, generation.snapshot.path(), *memory)?;
        let ask = Ask {
            rule_set: generation.rules,
            task: Task::Message,
            listed: false,
            doubtful: false,
            skip: Vec::new(),
            naming: false,
        };
        let hello = question(&ask, b"{}")?;
        match timeout(START, worker.ask(&hello)).await {
            Ok(Ok(Ended::Done(_) | Ended::Named(_))) => Ok(worker),
            Ok(Ok(Ended::Stale)) => Err(ReloadError::OtherRules),
            Ok(Err(error)) => Err(error.into()),
            Err(_elapsed) => Err(ReloadError::Start(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The same, where a question waits for it; that there is none is in the log.
    async fn started(&self, generation: &Generation) -> Option<Worker> {
        let started = self.start_one(generation).await;
        started.inspect_err(|error| tracing::error!(%error, "a recognition worker could not be started")).ok()
    }

    /// Starts one for a worker that is gone, so that the next question finds it ready.
    fn replace(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        self.tasks.spawn(async move {
            let generation = Arc::clone(&pool.state.lock().generation);
            match pool.start_one(&generation).await {
                Ok(worker) => pool.give_back(&generation, worker),
                Err(error) => tracing::error!(%error, "a recognition worker could not be replaced"),
            }
        });
    }

    fn give_back(&self, generation: &Arc<Generation>, worker: Worker) {
        let mut state = self.state.lock();
        if state.idle.len() >= self.setting.count {
            state.idle.retain_mut(Worker::is_alive);
        }
        let is_current = Arc::ptr_eq(&state.generation, generation) && !self.free.is_closed();
        if is_current && state.idle.len() < self.setting.count {
            state.idle.push(worker);
        }
    }

    /// A living idle worker, if there is one; those that somebody killed are replaced.
    fn take_idle(self: &Arc<Self>) -> (Arc<Generation>, Option<Worker>) {
        let mut state = self.state.lock();
        let mut dead = 0;
        let living = loop {
            let Some(mut worker) = state.idle.pop() else { break None };
            if worker.is_alive() {
                break Some(worker);
            }
            dead += 1;
        };
        let generation = Arc::clone(&state.generation);
        drop(state);
        // One that is about to be started for this question counts.
        let started_now = usize::from(living.is_none());
        (started_now..dead).for_each(|_| self.replace());
        (generation, living)
    }

    async fn recognize(self: Arc<Self>, asked: Question) -> Recognized {
        let urgent = asked.purpose.is_urgent();
        let permits = async {
            let stands_back = asked.purpose.stands_back();
            let behind = if stands_back { Some(self.free_for_background.acquire().await?) } else { None };
            Ok::<_, tokio::sync::AcquireError>((behind, self.free.acquire().await?))
        };
        let Ok(Ok(_permits)) = timeout(if urgent { WAIT } else { BACKGROUND_WAIT }, permits).await else {
            tracing::warn!("no recognition worker is free");
            return Recognized::Failed(Failure::NoWorker);
        };
        let (generation, idle) = self.take_idle();
        let worker = match idle {
            Some(worker) => Some(worker),
            None => self.started(&generation).await,
        };
        let Some(worker) = worker else { return Recognized::Failed(Failure::NoWorker) };
        let mut ask = Ask {
            rule_set: generation.rules,
            task: asked.purpose.task(),
            listed: asked.listed,
            doubtful: asked.doubtful,
            skip: generation.off.lock().clone(),
            naming: false,
        };
        let frame = match question(&ask, &asked.json) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "an exchange is too large to be recognised");
                self.give_back(&generation, worker);
                return Recognized::Failed(Failure::NoWorker);
            }
        };
        let mut ran = self.run(&generation, worker, &frame).await;
        if matches!(ran, Ran::Dead) {
            // Somebody may have killed it, or the machine was out of memory: not the question's fault, unless it happens again.
            let Some(worker) = self.started(&generation).await else { return Recognized::Failed(Failure::NoWorker) };
            ran = self.run(&generation, worker, &frame).await;
        }
        drop(frame);
        if let Ran::Said(recognition) = ran {
            return Recognized::Said(recognition);
        }
        self.metrics.recognition_killed();
        if matches!(ran, Ran::Starved) {
            return Recognized::Failed(Failure::Stopped { rule: None });
        }
        ask.naming = true;
        match (self.name(&generation, &ask, &asked.json).await, ran) {
            // It was not a rule that ended it.
            (None, Ran::Dead) => Recognized::Failed(Failure::NoWorker),
            (rule, _) => {
                let mut off = generation.off.lock();
                if let Some(rule) = rule.as_ref().filter(|rule| !off.contains(rule)) {
                    off.push(rule.clone());
                }
                Recognized::Failed(Failure::Stopped { rule })
            }
        }
    }

    /// The rule that a question is about, from a fresh worker, which runs nothing of it.
    async fn name(self: &Arc<Self>, generation: &Arc<Generation>, ask: &Ask, json: &[u8]) -> Option<String> {
        let frame = question(ask, json).ok()?;
        let mut busy = Busy { pool: self, worker: Some(self.started(generation).await?) };
        let Ok(Ok(Ended::Named(rule))) = self.ask(busy.worker.as_mut()?, &frame).await else { return None };
        if let Some(worker) = busy.worker.take() {
            self.give_back(generation, worker);
        }
        rule
    }

    /// One question, for as long as [`WorkersSetting::run_timeout`] of the worker's own time.
    async fn ask(&self, worker: &mut Worker, frame: &[u8]) -> Result<Result<Ended, WorkerError>, Late> {
        let (allowed, begun, used) = (self.setting.run_timeout, Instant::now(), worker.stopwatch());
        let longest = STARVED.max(allowed * 10);
        let mut wait = allowed;
        let mut asking = std::pin::pin!(worker.ask(frame));
        loop {
            if let Ok(ended) = timeout(wait, &mut asking).await {
                return Ok(ended);
            }
            // Where nobody says, the wall clock has to do.
            let left = allowed.saturating_sub(used().unwrap_or(allowed));
            if left.is_zero() {
                return Err(Late { starved: false });
            }
            if begun.elapsed() >= longest {
                return Err(Late { starved: true });
            }
            wait = left.max(Duration::from_millis(20)).min(longest.saturating_sub(begun.elapsed()));
        }
    }

    async fn run(self: &Arc<Self>, generation: &Arc<Generation>, worker: Worker, frame: &[u8]) -> Ran {
        let mut busy = Busy { pool: self, worker: Some(worker) };
        let Some(worker) = &mut busy.worker else { return Ran::Dead };
        match self.ask(worker, frame).await {
            Ok(Ok(Ended::Done(recognition))) => {
                if let Some(worker) = busy.worker.take() {
                    self.give_back(generation, worker);
                }
                Ran::Said(recognition)
            }
            Ok(Ok(Ended::Named(_) | Ended::Stale)) => {
                tracing::error!("a recognition worker answers as if it had other rules than it should");
                Ran::Dead
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a recognition worker ended");
                Ran::Dead
            }
            Err(Late { starved }) => {
                tracing::warn!(starved, "a recognition worker did not answer in time");
                if starved { Ran::Starved } else { Ran::Late }
            }
        }
    }
}

/// No answer came in time.
struct Late {
    /// The worker had too little of the processor to tell what it would have done.
    starved: bool,
}

/// How one run ended.
enum Ran {
    Said(Box<crate::recognize::Recognition>),
    /// A rule of the question's took longer than a rule may.
    Late,
    /// There was no processor for it.
    Starved,
    /// Its worker ended.
    Dead,
}

/// A worker at work: unless it is given back it is killed, also when whoever asked stops waiting, and replaced.
struct Busy<'a> {
    pool: &'a Arc<Pool>,
    worker: Option<Worker>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.worker.take().is_some() {
            self.pool.replace();
        }
    }
}

impl Recognizer for Workers {
    fn recognize(&self, question: Question) -> BoxFuture<'_, Recognized> {
        Box::pin(Arc::clone(&self.pool).recognize(question))
    }

    fn reload<'a>(&'a self, sources: &'a [Source]) -> BoxFuture<'a, Result<(), ReloadError>> {
        Box::pin(async move {
            let generation = Arc::new(Generation::new(&self.pool.setting.scratch, sources)?);
            // Only a generation that answers takes over.
            let idle = self.pool.start_all(&generation).await?;
            let old = {
                let mut state = self.pool.state.lock();
                state.generation = generation;
                std::mem::replace(&mut state.idle, idle)
            };
            drop(old);
            Ok(())
        })
    }
}

impl From<WorkerError> for ReloadError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Rules(errors) => Self::Rules(errors),
            WorkerError::Io(error) => Self::Start(error),
            WorkerError::Frame | WorkerError::Json(_) => Self::Start(io::ErrorKind::InvalidData.into()),
        }
    }
}
