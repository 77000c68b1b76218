//! The seam between capture and recognition: a question, and an answer that always comes.

use std::io;

use futures_util::future::BoxFuture;

use crate::recognize::{Recognition, RuleErrors, Source, Task};

/// What is asked about an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// What does this write say? A device waits.
    Write,
    /// What did the origin answer to a write?
    Answer,
    /// What does this read hold that concerns us?
    Read,
    /// What does this outbound message say? A device waits.
    Message,
    /// What does this inbound message hold that concerns us?
    Inbound,
}

impl Purpose {
    /// A device waits for the answer.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Write | Self::Message)
    }

    /// It stands back behind the others, so that a device always finds a worker. An answer does not: it is small, each post has one, and
    /// whoever posts as fast as it can is better held up than its outcomes left behind.
    #[must_use]
    pub const fn stands_back(self) -> bool {
        matches!(self, Self::Read | Self::Inbound)
    }

    /// As a worker is asked.
    pub(super) const fn task(self) -> Task {
        match self {
            Self::Write => Task::Write,
            Self::Answer => Task::Outcome,
            Self::Read => Task::Read,
            Self::Message | Self::Inbound => Task::Message,
        }
    }
}

/// One exchange or message, scrubbed.
pub struct Question {
    /// What is asked.
    pub purpose: Purpose,
    /// Settings list the host, so rules for any host apply.
    pub listed: bool,
    /// What was sent may be something else than it looks like without its credentials: no rule is believed that it is nothing.
    pub doubtful: bool,
    /// The exchange as JSON.
    pub json: Vec<u8>,
}

/// Why the rules did not speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The worker did not answer in time, or ended. The rule that it was running is switched off from now on.
    Stopped {
        /// The rule, as `network/rule`, where the worker had said which.
        rule: Option<String>,
    },
    /// No worker could be had in time, or the exchange is too large for one.
    NoWorker,
}

/// The answer.
#[derive(Debug)]
pub enum Recognized {
    /// The rules spoke.
    Said(Box<Recognition>),
    /// They did not; the exchange is kept raw.
    Failed(Failure),
}

/// New rules could not be taken over; the old ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They are not sound.
    #[error(transparent)]
    Rules(#[from] RuleErrors),
    /// They cannot be handed to the workers, or no worker starts.
    #[error("recognition workers cannot be started: {0}")]
    Start(#[from] io::Error),
    /// A worker that was started reads other rules than it was given.
    #[error("recognition workers read other rules than they were given; do they run another version of muniment?")]
    OtherRules,
    /// Earlier changes are not on record yet.
    #[error("earlier changes of the rules are not on record yet; try again when the archive takes entries")]
    NotOnRecord,
}

/// Recognises.
pub trait Recognizer: Send + Sync {
    /// Always answers, within a bounded time.
    fn recognize(&self, question: Question) -> BoxFuture<'_, Recognized>;

    /// Takes over new rules, all or nothing. Rules that were switched off are on again.
    ///
    /// # Errors
    /// See [`ReloadError`]: then nothing has changed.
    fn reload<'a>(&'a self, sources: &'a [Source]) -> BoxFuture<'a, Result<(), ReloadError>>;
}
