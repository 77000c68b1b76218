//! Recognition in this very thread, for tests and benches: the real engine, and nothing to stop a rule that does not end.

use futures_util::future::BoxFuture;
use parking_lot::RwLock;

use super::recognizer::{Failure, Purpose, Question, Recognized, Recognizer, ReloadError};
use crate::recognize::{Ask, Engine, RuleSet, Source, Task};

/// See the module.
pub struct InlineRecognizer(RwLock<RuleSet>);

impl InlineRecognizer {
    /// With these rules.
    #[must_use]
    pub const fn new(rules: RuleSet) -> Self {
        Self(RwLock::new(rules))
    }
}

impl Purpose {
    /// As a worker is asked.
    pub(super) const fn task(self) -> Task {
        match self {
            Self::Write => Task::Write,
            Self::Answer => Task::Outcome,
            Self::Read => Task::Read,
            Self::Message => Task::Message,
        }
    }
}

impl Recognizer for InlineRecognizer {
    fn recognize(&self, question: Question) -> BoxFuture<'_, Recognized> {
        let Question { purpose, listed, json } = question;
        let rules = self.0.read();
        let ask = Ask { rule_set: rules.digest(), task: purpose.task(), listed, skip: Vec::new() };
        let recognized = Engine::new(&rules).map_or(Recognized::Failed(Failure::NoWorker), |engine| {
            Recognized::Said(Box::new(engine.recognize(&ask, &json, &mut |_rule| {})))
        });
        Box::pin(async move { recognized })
    }

    fn reload<'a>(&'a self, sources: &'a [Source]) -> BoxFuture<'a, Result<(), ReloadError>> {
        let loaded = RuleSet::load(sources).map(|rules| *self.0.write() = rules);
        Box::pin(async move { Ok(loaded?) })
    }
}
