//! A rule as meant: parsed patterns and conditions, programs with their place in the file.

use std::sync::Arc;

use http::Method;

use super::decoder::Decoder;
use super::path::{PathPattern, decode};
use super::plan::{Channel, Hold, Keep, Outbound, Plan, Release, Tee};
use super::program::ProgramNumber;
use crate::exchange::RequestHead;

/// A jq program and where it begins in its file.
#[derive(Debug, Clone)]
pub(crate) struct ProgramText {
    /// The program.
    pub(crate) text: String,
    /// Line of its first character.
    pub(crate) line: usize,
}

impl ProgramText {
    /// The line in the file of an offset in the text.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        self.line.saturating_add(before)
    }
}

/// What a rule does with what matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Write(Release),
    Unclassified(Release),
    Read,
    Messages { inbound: bool, outbound: bool },
    Credential,
    Ignore,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `network/rule`.
    pub(crate) id: Arc<str>,
    /// Empty: every method.
    pub(crate) methods: Vec<Method>,
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) action: Action,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) decoder: Option<Decoder>,
    /// That the origin answered shows that it took the credential: what that claims is true.
    pub(crate) authenticated: bool,
    pub(crate) extract: Option<ProgramNumber>,
    pub(crate) outcome: Option<ProgramNumber>,
    pub(crate) account: Option<ProgramNumber>,
    pub(crate) session: Option<ProgramNumber>,
}

/// One place, one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) place: Place,
    pub(crate) test: Test,
}

/// Where a condition looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Query(String),
    Header(String),
    Form(String),
    /// Decoded segments of a JSON pointer.
    Json(Vec<String>),
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    Exists,
    Absent,
    OneOf(Vec<String>),
    StartsWith(String),
}

impl Test {
    /// Asks it of the values found at the place.
    pub(crate) fn holds<'a>(&self, mut values: impl Iterator<Item = &'a str>, ignore_case: bool) -> bool {
        let same = |a: &str, b: &str| if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
        let starts = |a: &str, b: &str| a.get(..b.len()).is_some_and(|head| same(head, b));
        match self {
            Self::Exists => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::OneOf(wanted) => values.any(|value| wanted.iter().any(|wanted| same(value, wanted))),
            Self::StartsWith(prefix) => values.any(|value| starts(value, prefix)),
        }
    }
}

impl Condition {
    /// Whether it needs the body.
    pub(crate) const fn needs_body(&self) -> bool {
        matches!(self.place, Place::Form(_) | Place::Json(_))
    }

    /// What the head alone says: true also where only the body can tell.
    fn head_allows(&self, head: &RequestHead) -> bool {
        match &self.place {
            Place::Query(name) => {
                let values: Vec<_> = query_pairs(head.query().unwrap_or(""))
                    .filter(|(key, _value)| decode_form(key) == *name)
                    .map(|(_key, value)| decode_form(value))
                    .collect();
                self.test.holds(values.iter().map(|value| &**value), false)
            }
            Place::Header(name) => {
                let values = head.headers.get_all(name.as_str()).into_iter();
                self.test.holds(values.filter_map(|value| value.to_str().ok()), true)
            }
            Place::Form(_) | Place::Json(_) => true,
        }
    }
}

fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " ")).into_owned()
}

impl Rule {
    /// Whether the head allows the rule to speak.
    pub(crate) fn head_allows(&self, head: &RequestHead) -> bool {
        (self.methods.is_empty() || self.methods.contains(&head.method))
            && self.conditions.iter().all(|condition| condition.head_allows(head))
    }

    /// The order to the proxy when this is the first rule that the head allows.
    pub(crate) fn plan(&self, network: &Arc<str>) -> Plan {
        let hold = |release| Plan::Hold(Hold { network: Some(Arc::clone(network)), release, keep: Keep::Whole });
        match self.action {
            Action::Write(release) | Action::Unclassified(release) => hold(release),
            Action::Read => Plan::Tee(Tee { network: Arc::clone(network) }),
            Action::Messages { inbound, outbound } => Plan::Messages(Channel {
                network: Some(Arc::clone(network)),
                outbound: if outbound { Outbound::Hold } else { Outbound::Relay },
                inbound,
                read: None,
            }),
            Action::Credential => Plan::Credential,
            // Only the body can tell whether there is nothing to keep, so it has to be seen before it leaves.
            Action::Ignore if self.conditions.iter().any(Condition::needs_body) => hold(Release::Whole),
            Action::Ignore => Plan::Forward,
        }
    }

    /// Whether every request that `later` takes under a shared path goes to this rule.
    pub(crate) fn shadows(&self, later: &Self) -> bool {
        let path = |a: &PathPattern, b: &PathPattern| {
            use super::path::Segment::{Capture, Fixed, Rest};
            a.segments.len() == b.segments.len()
                && a.segments.iter().zip(&b.segments).all(|pair| match pair {
                    (Fixed(a), Fixed(b)) => a == b,
                    (Capture(_), Capture(_)) | (Rest(_), Rest(_)) => true,
                    _ => false,
                })
        };
        let methods = self.methods.is_empty()
            || (!later.methods.is_empty() && later.methods.iter().all(|method| self.methods.contains(method)));
        let same = later.conditions.iter().filter(|condition| self.conditions.contains(condition)).count();
        // A rule whose every condition is also one of the later rule's is at least as wide.
        methods
            && same >= self.conditions.len()
            && later.paths.iter().any(|theirs| self.paths.iter().any(|ours| path(ours, theirs)))
    }
}
