//! The retention schedule: which classes of records there are, how long each is kept, from when, and by which rule.
//!
//! Invariant: a record stays until the latest of the ends that its classes give, so that whoever adds a class can only lengthen. Pure: what is
//! known of a record comes in as [`Facts`], and nothing here asks what time it is. Says nothing of holds nor of the archive's own floor.

mod calendar;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::ledger::{Entry, EntryType};
use crate::record::{AdvisorId, Direction, Kind, Timestamp, Word};

pub use calendar::{Length, YearEnd};
pub use file::ScheduleError;

/// The schedule that the program was built with.
const BUILT_IN: &str = include_str!("../../../config/retention.toml");
/// As it is called in errors.
const BUILT_IN_NAME: &str = "config/retention.toml";

/// From when a length is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsFrom {
    /// The record's last entry.
    LastEntry,
    /// The end of the fiscal year of that entry.
    FiscalYearEnd,
}

impl RunsFrom {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastEntry => "last_entry",
            Self::FiscalYearEnd => "fiscal_year_end",
        }
    }
}

/// Records of one kind, and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// As disposal entries name the rule.
    pub name: Word,
    /// The rule of law, in words.
    pub cites: String,
    /// How long.
    pub keep: Length,
    /// From when.
    pub runs_from: RunsFrom,
    matches: Conditions,
}

/// What a class asks of a record: of each list that is not empty, one must be true of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Conditions {
    types: Vec<EntryType>,
    kinds: Vec<Kind>,
    directions: Vec<Direction>,
    networks: Vec<Word>,
    advisors: Vec<AdvisorId>,
    flags: Vec<Word>,
}

/// What is known of a record, from its entries alone. Of a record with several versions, what any of them says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    types: BTreeSet<&'static str>,
    kinds: BTreeSet<String>,
    directions: BTreeSet<String>,
    networks: BTreeSet<String>,
    flags: BTreeSet<String>,
    /// In whose streams it stands.
    pub advisors: BTreeSet<AdvisorId>,
    /// When its last entry got its place.
    pub last_at: Timestamp,
}

impl Facts {
    /// From all entries of a record; none where there is none, or where the record is no communication.
    #[must_use]
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut facts = Self {
            types: BTreeSet::new(),
            kinds: BTreeSet::new(),
            directions: BTreeSet::new(),
            networks: BTreeSet::new(),
            flags: BTreeSet::new(),
            advisors: BTreeSet::new(),
            last_at: Timestamp::EPOCH,
        };
        for entry in entries {
            let detail = entry.detail();
            let one = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
            let many = |key: &str| {
                let listed = detail.get(key).and_then(Value::as_array).into_iter().flatten();
                listed.filter_map(Value::as_str).map(str::to_owned)
            };
            facts.last_at = facts.last_at.max(entry.at());
            facts.advisors.extend(entry.streams().iter().map(|stream| stream.id));
            if is_communication(entry.entry_type()) {
                facts.types.insert(entry.entry_type().as_str());
                facts.kinds.extend(many("kinds"));
                facts.flags.extend(many("flags"));
                facts.directions.extend(one("direction"));
                facts.networks.extend(one("network"));
            }
        }
        (!facts.types.is_empty()).then_some(facts)
    }
}

const fn is_communication(entry_type: EntryType) -> bool {
    matches!(entry_type, EntryType::Capture | EntryType::Observation)
}

impl Conditions {
    fn fit(&self, facts: &Facts) -> bool {
        fn any<T>(wanted: &[T], is_so: impl Fn(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(is_so)
        }
        any(&self.types, |wanted| facts.types.contains(wanted.as_str()))
            && any(&self.kinds, |wanted| facts.kinds.contains(wanted.as_str()))
            && any(&self.directions, |wanted| facts.directions.contains(wanted.as_str()))
            && any(&self.networks, |wanted| facts.networks.contains(wanted.as_str()))
            && any(&self.flags, |wanted| facts.flags.contains(wanted.as_str()))
            && any(&self.advisors, |wanted| facts.advisors.contains(wanted))
    }
}

/// Until when a record is kept, and by which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// The class whose end is the latest.
    pub class: &'a Class,
    /// From when its length was reckoned.
    pub from: Timestamp,
    /// The first moment at which the record may go.
    pub ends: Timestamp,
}

/// Classes, and what holds where none fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    year_end: YearEnd,
    classes: Vec<Class>,
    default: Class,
}

impl Schedule {
    /// The one that the program was built with.
    ///
    /// # Errors
    /// Never: a test reads it.
    pub fn built_in() -> Result<Self, ScheduleError> {
        Self::parse(BUILT_IN_NAME, BUILT_IN)
    }

    /// From the text of a file of this name.
    ///
    /// # Errors
    /// When it says something that cannot be meant; with its line, and what would be right.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScheduleError> {
        file::parse(name, text)
    }

    /// Every class, the default last.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().chain([&self.default])
    }

    /// Until when a record is kept: the latest end of all classes that it is in; of equal ones the first in the file.
    #[must_use]
    pub fn term(&self, facts: &Facts) -> Term<'_> {
        let fitting = self.classes.iter().filter(|class| class.matches.fit(facts)).map(|class| self.end(class, facts));
        let latest = fitting.reduce(|longest, term| if term.ends > longest.ends { term } else { longest });
        latest.unwrap_or_else(|| self.end(&self.default, facts))
    }

    fn end<'a>(&self, class: &'a Class, facts: &Facts) -> Term<'a> {
        let from = match class.runs_from {
            RunsFrom::LastEntry => facts.last_at,
            RunsFrom::FiscalYearEnd => self.year_end.of(facts.last_at),
        };
        Term { class, from, ends: class.keep.after(from) }
    }

    /// No record can be due whose first entry is not older than this.
    #[must_use]
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        let latest = self.classes().map(|class| class.keep.before(now)).max();
        latest.unwrap_or(Timestamp::EPOCH)
    }

    /// The whole of it, as the `settings` entry in force carries it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let names = |words: &[Word]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let class = |class: &Class| {
            let Conditions { types, kinds, directions, networks, advisors, flags } = &class.matches;
            json!({
                "name": class.name.as_str(), "cites": class.cites, "keep": class.keep.to_string(),
                "from": class.runs_from.as_str(),
                "match": {
                    "types": types.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
                    "kinds": kinds, "directions": directions, "networks": names(networks), "flags": names(flags),
                    "advisors": advisors.iter().map(ToString::to_string).collect::<Vec<_>>(),
                },
            })
        };
        json!({
            "fiscal_year_end": self.year_end.to_string(),
            "default": class(&self.default),
            "class": self.classes.iter().map(class).collect::<Vec<_>>(),
        })
    }
}
