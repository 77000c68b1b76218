//! A communication as the renditions for review tools see it: who, to whom, when, what, and what is attached.
//!
//! Invariant: it says what the record shows and nothing else; who or what is withheld is said to be withheld.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attachment::{Attached, attached};
use crate::bundle::shown::{ShownEntry, ShownRecord};
use crate::ledger::EntryType;
use crate::record::{Part, Timestamp};

/// Somebody, as the network has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Person {
    /// The network's stable id; may be empty.
    #[serde(default)]
    pub(super) id: String,
    /// What people type.
    #[serde(default)]
    pub(super) handle: Option<String>,
    /// Display name.
    #[serde(default)]
    pub(super) name: Option<String>,
}

impl Person {
    fn is_known(&self) -> bool {
        !self.id.is_empty() || self.handle.is_some() || self.name.is_some()
    }

    /// What a reader should see.
    pub(super) fn display(&self) -> &str {
        let named = self.name.as_deref().or(self.handle.as_deref()).filter(|text| !text.trim().is_empty());
        named.unwrap_or(&self.id)
    }

    /// What tells them from others on their network.
    pub(super) fn account(&self) -> &str {
        if self.id.is_empty() { self.handle.as_deref().or(self.name.as_deref()).unwrap_or_default() } else { &self.id }
    }
}

/// One communication of a record.
pub(super) struct Message<'a> {
    pub(super) record: &'a ShownRecord,
    pub(super) shown: &'a ShownEntry,
    pub(super) number: u32,
    pub(super) kind: String,
    pub(super) network: String,
    /// `outbound` or `inbound`, seen from the advisor.
    pub(super) direction: String,
    /// What the network made of it, where that is known.
    pub(super) outcome: String,
    pub(super) author: Option<Person>,
    pub(super) recipients: Vec<Person>,
    pub(super) attached: Vec<Attached<'a>>,
}

impl<'a> Message<'a> {
    /// All of a record, in the order of its entries.
    pub(super) fn all(record: &'a ShownRecord) -> impl Iterator<Item = Self> {
        let of_people =
            |shown: &&ShownEntry| matches!(shown.entry.entry_type(), EntryType::Capture | EntryType::Observation);
        record.entries.iter().filter(of_people).flat_map(|shown| {
            let numbers = shown.numbers();
            numbers.into_iter().map(|number| Self::new(record, shown, number))
        })
    }

    fn new(record: &'a ShownRecord, shown: &'a ShownEntry, number: u32) -> Self {
        let kinds = shown.detail("kinds");
        let kind = kinds.split(' ').nth(number as usize).unwrap_or_default().to_owned();
        let json = |part: Part| shown.value(&format!("{number}.{part}"));
        let person = |part| json(part).and_then(|value| serde_json::from_slice::<Person>(value).ok());
        let recipients = json(Part::Recipients).and_then(|value| serde_json::from_slice::<Vec<Person>>(value).ok());
        // Who acts wrote what leaves, where nobody else is named. Of what comes in, the acting account is who read it.
        let is_named = shown.commits_to(&format!("{number}.{}", Part::Author));
        let acting = || if is_named || shown.detail("direction") != "outbound" { None } else { person(Part::Account) };
        let author = person(Part::Author).or_else(acting).filter(Person::is_known);
        let mut message = Self {
            record,
            shown,
            number,
            kind,
            network: shown.detail("network"),
            direction: shown.detail("direction"),
            outcome: record.outcome_of(shown),
            author,
            recipients: recipients.unwrap_or_default().into_iter().filter(Person::is_known).collect(),
            attached: Vec::new(),
        };
        message.attached = attached(shown, number);
        message
    }

    /// Its own name in all renditions.
    pub(super) fn id(&self) -> String {
        format!("{}.{}.{}", self.record.id, self.shown.entry.index(), self.number)
    }

    /// What is shown of a part, as text.
    pub(super) fn part(&self, part: Part) -> Option<String> {
        self.shown.text(&format!("{}.{part}", self.number)).filter(|text| !text.is_empty())
    }

    /// Is a part withheld?
    pub(super) fn is_withheld(&self, part: Part) -> bool {
        let name = format!("{}.{part}", self.number);
        self.shown.withheld.keys().any(|field| field.as_str() == name)
    }

    /// The words; or that there are none, or that they are withheld and why.
    pub(super) fn words(&self) -> String {
        if let Some(text) = self.part(Part::Text) {
            return text;
        }
        let name = format!("{}.{}", self.number, Part::Text);
        match self.shown.withheld.iter().find(|(field, _reason)| field.as_str() == name) {
            Some((_field, reason)) => format!("[withheld: {reason}]"),
            None => format!("[{}: no text]", self.kind),
        }
    }

    /// Who wrote it, as a reader should see it.
    pub(super) fn by(&self) -> &str {
        match &self.author {
            Some(author) => author.display(),
            None if self.is_withheld(Part::Author) || self.is_withheld(Part::Account) => "[withheld]",
            None => "[unknown]",
        }
    }

    /// When it was written, by the network's word; else when it was seen.
    pub(super) fn sent_at(&self) -> Timestamp {
        let said = self.part(Part::OccurredAt).and_then(|said| OffsetDateTime::parse(&said, &Rfc3339).ok());
        said.map_or_else(|| self.shown.entry.captured_at(), Timestamp::new)
    }

    /// What it belongs together with: the conversation, or the item that began the thread, or itself.
    pub(super) fn thread(&self) -> String {
        let said =
            [Part::Conversation, Part::Root, Part::Parent, Part::Item].into_iter().find_map(|part| self.part(part));
        said.unwrap_or_else(|| self.id())
    }

    /// Names of the fields that are withheld of it, and of the whole exchange.
    pub(super) fn withheld(&self) -> String {
        let number = self.number.to_string();
        let of_it = |name: &&str| match name.split_once('.') {
            Some((first, _rest)) => first == number || !first.bytes().all(|b| b.is_ascii_digit()),
            None => true,
        };
        let names: Vec<_> = self.shown.withheld.keys().map(|name| name.as_str()).filter(of_it).collect();
        names.join(" ")
    }
}
