//! Recognition in a thread of this process, for tests and benches: the real engine, and nothing to stop a rule that does not
//! end.

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::recognizer::{Failure, Question, Recognized, Recognizer, ReloadError};
use crate::recognize::{Ask, Engine, RuleSet, Source};

type Asked = (Question, oneshot::Sender<Recognized>);

/// See the module.
pub struct InlineRecognizer(Mutex<mpsc::UnboundedSender<Asked>>);

impl InlineRecognizer {
    /// With these rules.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(rules: RuleSet) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(thread(rules)?)))
    }
}

/// Ends when its sender does. An engine cannot move between threads, and compiling one takes longer than running it.
fn thread(rules: RuleSet) -> std::io::Result<mpsc::UnboundedSender<Asked>> {
    let (sender, mut questions) = mpsc::unbounded_channel::<Asked>();
    std::thread::Builder::new().name("recognize".to_owned()).spawn(move || {
        let Ok(engine) = Engine::new(&rules) else { return };
        while let Some((Question { purpose, listed, doubtful, json }, answer)) = questions.blocking_recv() {
            let ask = Ask {
                rule_set: rules.digest(),
                task: purpose.task(),
                listed,
                doubtful,
                skip: Vec::new(),
                naming: false,
            };
            let recognition = engine.recognize(&ask, &json);
            drop(answer.send(Recognized::Said(Box::new(recognition))));
        }
    })?;
    Ok(sender)
}

impl Recognizer for InlineRecognizer {
    fn recognize(&self, question: Question) -> BoxFuture<'_, Recognized> {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.lock().send((question, answer));
        Box::pin(async move {
            match asked {
                Ok(()) => answered.await.unwrap_or(Recognized::Failed(Failure::NoWorker)),
                Err(_gone) => Recognized::Failed(Failure::NoWorker),
            }
        })
    }

    fn reload<'a>(&'a self, sources: &'a [Source]) -> BoxFuture<'a, Result<(), ReloadError>> {
        let reloaded = RuleSet::load(sources).map_err(ReloadError::from).and_then(|rules| Ok(thread(rules)?));
        let reloaded = reloaded.map(|sender| *self.0.lock() = sender);
        Box::pin(async move { reloaded })
    }
}
