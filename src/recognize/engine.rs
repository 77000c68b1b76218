//! Running rules over one exchange: choose, decode, extract, check.
//!
//! Runs inside a worker process. Not thread-safe on purpose (jq values are reference-counted): one engine, one thread.
//! A rule that fails never loses a write: what cannot be classified is `unclassified`, and the problem is named.

mod input;

use jaq_json::{Map, Val, read};
use serde::{Deserialize, Serialize};

use self::input::{get, holds, set, set_params, text_at};
use super::communication::{Communication, Outcome, Party, Problem, ProblemKind, Recognition, Verdict};
use super::draft::{self, Draft};
use super::error::RuleErrors;
use super::path::is_doubtful;
use super::program::{OutputLimits, Outputs, ProgramFault, ProgramNumber, Programs, to_json};
use super::rule::{Action, ProgramText, Rule};
use super::set::{Network, RuleSet};
use crate::exchange::{DIGESTED, Step, check_json, locate_json};
use crate::record::{Digest, Direction, Kind};

/// Communications of one exchange, and their bytes together.
const OUTPUTS: OutputLimits = OutputLimits { count: 512, size: 8 << 20 };
/// Of `outcome` and `account`: one object.
const SINGLE: OutputLimits = OutputLimits { count: 1, size: 1 << 20 };
/// A body within [`crate::exchange::Limits::depth`], and the exchange around it.
const MAX_DEPTH: usize = 160;

/// What is asked about an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A held request: what does it say?
    Write,
    /// The same with its response: how did the origin take it?
    Outcome,
    /// A teed read: what of it must be kept?
    Read,
    /// One message of a channel.
    Message,
}

/// One question to a worker; the exchange travels beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The rule set that planned the exchange; a worker with another one answers that it is stale.
    pub rule_set: Digest,
    /// What is asked.
    pub task: Task,
    /// Settings list the host, so rules for any host apply.
    pub listed: bool,
    /// What was sent may be something else than it looks like without its credentials ([`RuleSet::is_doubtful`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// Rules that are switched off, as `network/rule`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Only the rule that would speak is asked for; no program of it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub naming: bool,
}

/// A rule set's programs, compiled.
pub struct Engine<'r> {
    set: &'r RuleSet,
    programs: Vec<Programs>,
    words: Programs,
}

/// The words of a request that no rule knows, wherever networks like to put them: for search, beside the raw bytes.
const WORDS: &str = r#"
{text: 1, status: 1, message: 1, body: 1, content: 1, comment: 1, title: 1, caption: 1, description: 1, subject: 1, note: 1} as $names
| [ (.request, .message) | (.json?, .form?, .query?) | .. | objects | to_entries[]
    | select($names[.key | ascii_downcase]) | .value | if type == "array" then .[] else . end | strings | select(. != "") ]
| reduce .[] as $word ([]; if index($word) then . else . + [$word] end)
| join("\n\n") | select(. != "") | .[:20000]
"#;

/// The chosen rule, ready to run.
struct Chosen<'e> {
    network: &'e Network,
    programs: &'e Programs,
    rule: &'e Rule,
    path: String,
}

impl<'r> Engine<'r> {
    /// Compiles every program of the set.
    ///
    /// # Errors
    /// None for a set that was loaded: loading compiles the same programs.
    pub fn new(set: &'r RuleSet) -> Result<Self, RuleErrors> {
        let compile = |library, texts: Vec<&ProgramText>| {
            Programs::compile(library, &texts).map_err(|_faults: Vec<ProgramFault>| RuleErrors(Vec::new()))
        };
        let programs =
            set.networks.iter().map(|network| compile(network.library.as_ref(), network.programs.iter().collect()));
        let words = ProgramText { text: WORDS.to_owned(), line: 1 };
        Ok(Self { set, programs: programs.collect::<Result<_, _>>()?, words: compile(None, vec![&words])? })
    }

    /// Which rule would speak of an exchange, as `network/rule`, so that whoever had to end a run knows whose it was.
    pub fn name(&self, ask: &Ask, exchange: &[u8]) -> Option<String> {
        let chosen = self.choose(&read(exchange)?, ask, &mut None)?;
        Some(chosen.rule.id.to_string())
    }

    /// Answers one question about an exchange as JSON ([`crate::exchange::Scrubbed::json`]).
    pub fn recognize(&self, ask: &Ask, exchange: &[u8]) -> Recognition {
        let mut recognition = Recognition { rule_set: Some(self.set.digest()), ..Recognition::default() };
        let Some(mut input) = read(exchange) else {
            recognition.problems.push(Problem { rule: String::new(), what: ProblemKind::BadInput });
            return recognition;
        };
        let mut off = None;
        let chosen = self.choose(&input, ask, &mut off);
        // What the origin may read as something else is not dropped by a rule about what we see of it, nor is what belongs to a
        // rule that is switched off dropped by the next.
        let doubtful = ask.doubtful || off.is_some() || chosen.as_ref().is_some_and(|chosen| is_doubtful(&chosen.path));
        let action = chosen.as_ref().map(|chosen| chosen.rule.action);
        let action = action.filter(|action| !doubtful || matches!(action, Action::Write(_) | Action::Read));
        if let Some(rule) = off {
            recognition.problems.push(Problem { rule, what: ProblemKind::SwitchedOff });
        }
        if let Some(chosen) = &chosen {
            recognition.network = Some(chosen.network.name.to_string());
            recognition.rule = Some(chosen.rule.id.to_string());
            set_params(&mut input, chosen.rule, &chosen.path);
            // Anybody can make up a token that names somebody else, and endpoints that need none take it or leave it.
            if matches!(ask.task, Task::Read | Task::Message) && !chosen.rule.authenticated {
                set(&mut input, &["session", "hints"], Val::obj(Map::default()));
            }
        }
        let mut run = Run { exchange, decoded: None, recognition };
        match (ask.task, action) {
            (Task::Write, Some(Action::Ignore | Action::Credential)) => run.recognition.ignored = true,
            (Task::Write, Some(Action::Write(_))) => run.write(chosen.as_ref(), &input),
            (Task::Outcome, _) => run.outcome(chosen.as_ref(), &input),
            (Task::Read, Some(Action::Read)) => run.read(chosen.as_ref(), input.clone()),
            (Task::Message, Some(Action::Messages { .. })) => run.message(chosen.as_ref(), &input),
            (Task::Write | Task::Read | Task::Message, _) => {}
        }
        let kept_anyway = match (ask.task, action) {
            (Task::Write, _) => !run.recognition.ignored,
            // A message program that failed must not lose an outbound message either.
            (Task::Message, Some(Action::Messages { outbound, .. })) => {
                outbound && is_outbound(&input) && !run.recognition.problems.is_empty()
            }
            // No rule speaks of its messages, or none any more since the channel was opened.
            (Task::Message, _) => is_outbound(&input),
            _ => false,
        };
        if kept_anyway && run.recognition.communications.is_empty() {
            run.recognition.communications.push(self.unclassified(&input));
        }
        run.recognition
    }

    /// The rule that speaks; `off` is told of one that would have spoken if it were not switched off.
    fn choose(&self, input: &Val, ask: &Ask, off: &mut Option<String>) -> Option<Chosen<'_>> {
        let (method, host, path) = (
            text_at(input, &["request", "method"])?,
            text_at(input, &["request", "host"])?,
            text_at(input, &["request", "path"])?,
        );
        let mut speaks = |rule: &Rule| {
            let would = (rule.methods.is_empty() || rule.methods.iter().any(|known| known.as_str() == method))
                && rule.conditions.iter().all(|condition| holds(condition, input));
            let is_off = would && ask.skip.iter().any(|off| **off == *rule.id);
            if is_off {
                *off = Some(rule.id.to_string());
            }
            would && !is_off
        };
        self.set.networks_of(&host, ask.listed).find_map(|network| {
            let rule = network
                .tree
                .find(&path, &mut |number| network.rules.get(number as usize).filter(|rule| speaks(rule)))?;
            let place = self.set.networks.iter().position(|other| other.name == network.name)?;
            Some(Chosen { network, programs: self.programs.get(place)?, rule, path: path.clone() })
        })
    }

    fn unclassified(&self, input: &Val) -> Communication {
        let outputs = self.words.run(ProgramNumber(0), input.clone(), SINGLE);
        let text = outputs.values.into_iter().find_map(|value| value.as_str().map(str::to_owned));
        Communication { text, ..Communication::bare(Kind::Unclassified, Direction::Outbound) }
    }
}

/// One run over one exchange.
struct Run<'a> {
    exchange: &'a [u8],
    /// What the decoder made of the response.
    decoded: Option<Vec<u8>>,
    recognition: Recognition,
}

impl Run<'_> {
    fn problem(&mut self, rule: &Rule, what: ProblemKind) {
        let problem = Problem { rule: rule.id.to_string(), what };
        if !self.recognition.problems.contains(&problem) {
            self.recognition.problems.push(problem);
        }
    }

    fn run(
        &mut self,
        chosen: &Chosen<'_>,
        program: Option<ProgramNumber>,
        input: &Val,
        limits: OutputLimits,
    ) -> Outputs {
        let Some(program) = program else { return Outputs::default() };
        let outputs = chosen.programs.run(program, input.clone(), limits);
        if outputs.failed {
            self.problem(chosen.rule, ProblemKind::ProgramFailed);
        }
        if outputs.too_much && limits.count > 1 {
            self.problem(chosen.rule, ProblemKind::TooMuchOutput);
        }
        outputs
    }

    fn account(&mut self, chosen: &Chosen<'_>, input: &Val) -> Option<Party> {
        let outputs = self.run(chosen, chosen.rule.account, input, SINGLE);
        outputs.values.into_iter().filter(|value| !value.is_null()).find_map(|value| {
            let party = draft::party(value);
            if party.is_none() {
                self.problem(chosen.rule, ProblemKind::BadOutput);
            }
            party
        })
    }

    fn write(&mut self, chosen: Option<&Chosen<'_>>, input: &Val) {
        let Some(chosen) = chosen else { return };
        self.recognition.account = self.account(chosen, input);
        for value in self.run(chosen, chosen.rule.extract, input, OUTPUTS).values {
            match Draft::parse(value) {
                Some(draft) => {
                    self.recognition.communications.push(draft.communication(Direction::Outbound, None));
                }
                None => self.problem(chosen.rule, ProblemKind::BadOutput),
            }
        }
    }

    fn outcome(&mut self, chosen: Option<&Chosen<'_>>, input: &Val) {
        let status = get(input, &["response", "status"]).and_then(|status| to_json(status, &mut 64, 1)?.as_u64());
        let by_status = Outcome {
            verdict: match status {
                Some(200..=299) => Verdict::Accepted,
                Some(400..=499) => Verdict::Refused,
                _ => Verdict::Unknown,
            },
            reason: None,
            items: Vec::new(),
        };
        let mut outcome = None;
        if let Some(chosen) = chosen.filter(|_chosen| status.is_some()) {
            self.recognition.account = self.account(chosen, input);
            for value in self.run(chosen, chosen.rule.outcome, input, SINGLE).values {
                outcome = draft::outcome(value);
                if outcome.is_none() {
                    self.problem(chosen.rule, ProblemKind::BadOutput);
                }
            }
        }
        self.recognition.outcome = Some(outcome.unwrap_or(by_status));
    }

    fn read(&mut self, chosen: Option<&Chosen<'_>>, mut input: Val) {
        let Some(chosen) = chosen else { return };
        let status = get(&input, &["response", "status"]).and_then(|status| to_json(status, &mut 64, 1)?.as_u64());
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        if let Some(decoder) = chosen.rule.decoder {
            let decoded = text_at(&input, &["response", "text"]).and_then(|text| decoder.decode(&text));
            let json = decoded.as_ref().and_then(|bytes| read::parse_single(bytes).ok());
            match json {
                Some(json) => set(&mut input, &["response", "json"], json),
                None => self.problem(chosen.rule, ProblemKind::DecoderFailed),
            }
            self.decoded = decoded;
        }
        self.recognition.account = self.account(chosen, &input);
        if self.recognition.account.is_some() {
            let outputs = self.run(chosen, chosen.rule.session, &input, SINGLE);
            // A token that was not redacted would be a secret: it goes no further.
            let token = outputs.values.into_iter().find_map(|value| value.as_str().map(str::to_owned));
            self.recognition.session = token.filter(|token| token.starts_with(DIGESTED));
        }
        let outputs = self.run(chosen, chosen.rule.extract, &input, OUTPUTS);
        self.received(chosen, outputs, Direction::Inbound);
    }

    fn message(&mut self, chosen: Option<&Chosen<'_>>, input: &Val) {
        let Some(chosen) = chosen else { return };
        let Action::Messages { inbound, outbound } = chosen.rule.action else { return };
        let sent = is_outbound(input);
        if (sent && !outbound) || (!sent && !inbound) {
            self.recognition.ignored = true;
            return;
        }
        let outputs = self.run(chosen, chosen.rule.extract, input, OUTPUTS);
        let direction = if sent { Direction::Outbound } else { Direction::Inbound };
        self.received(chosen, outputs, direction);
    }

    /// Items out of a response or message, each with its own bytes.
    fn received(&mut self, chosen: &Chosen<'_>, outputs: Outputs, direction: Direction) {
        let mut drafts = Vec::new();
        for value in outputs.values {
            match Draft::parse(value) {
                Some(draft) => drafts.push(draft),
                None => self.problem(chosen.rule, ProblemKind::BadOutput),
            }
        }
        let paths: Vec<_> = drafts.iter().map(Draft::fragment_path).collect();
        let fragments = self.fragments(&paths);
        for (draft, fragment) in drafts.into_iter().zip(fragments) {
            if fragment.is_none() {
                self.problem(chosen.rule, ProblemKind::NoFragment);
            }
            self.recognition.communications.push(draft.communication(direction, Some(fragment)));
        }
    }

    /// The bytes at each path; those of a string without its quotes and escapes, since that is a text inside the text.
    fn fragments(&self, paths: &[Option<Vec<Step>>]) -> Vec<Option<String>> {
        let decoded_root = [Step::Key("response".to_owned()), Step::Key("json".to_owned())];
        let of_source = |source: &[u8], is_decoded: bool| {
            // What does not stand in this source is looked for nowhere in it.
            let nowhere = || vec![Step::Key(String::new()), Step::Index(0)];
            let inside: Vec<_> = paths
                .iter()
                .map(|path| match path {
                    Some(path) if self.decoded.is_some() && path.starts_with(&decoded_root) => {
                        if is_decoded {
                            path.get(2..).unwrap_or_default().to_vec()
                        } else {
                            nowhere()
                        }
                    }
                    Some(path) if !is_decoded => path.clone(),
                    _ => nowhere(),
                })
                .collect();
            let spans = locate_json(source, &inside, MAX_DEPTH).unwrap_or_default();
            spans.into_iter().map(|span| text_of(source.get(span?)?)).collect::<Vec<_>>()
        };
        let mut found = of_source(self.exchange, false);
        if let Some(decoded) = &self.decoded {
            for (slot, in_decoded) in found.iter_mut().zip(of_source(decoded, true)) {
                *slot = slot.take().or(in_decoded);
            }
        }
        found.resize(paths.len(), None);
        found
    }
}

/// The exchange as a program sees it; none where it is not what it should be.
fn read(exchange: &[u8]) -> Option<Val> {
    check_json(exchange, MAX_DEPTH).ok()?;
    read::parse_single(exchange).ok()
}

/// Whether a message comes from the device.
fn is_outbound(input: &Val) -> bool {
    text_at(input, &["message", "direction"]).as_deref() == Some("outbound")
}

fn text_of(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\"") {
        return serde_json::from_slice(bytes).ok();
    }
    Some(String::from_utf8_lossy(bytes).into_owned())
}
