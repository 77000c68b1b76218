//! Which records: the filters of the list, as typed and as meant.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::api::page::Page;
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters};
use crate::archive::RecordFilter;
use crate::record::{Direction, Kind, Timestamp, Word};

/// Longest name of a network, id on a network, and search, in characters.
const NAME: usize = 100;
const NETWORK_ID: usize = 2_000;
const SEARCH: usize = 1_000;

/// Which records. Everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RecordsQuery {
    /// Only this network, by the name of its rules
    #[param(example = "mastodon", max_length = 100)]
    pub(super) network: Option<String>,
    /// Holding a communication of this kind
    #[param(value_type = Option<String>, example = "reply")]
    pub(super) kind: Option<Kind>,
    /// `outbound` or `inbound`, seen from the advisor
    #[param(value_type = Option<String>)]
    pub(super) direction: Option<Direction>,
    /// Of this advisor
    pub(super) advisor: Option<Uuid>,
    /// Through this device
    pub(super) device: Option<Uuid>,
    /// By this account (ours, see /v1/accounts)
    pub(super) account: Option<Uuid>,
    /// In this conversation, by the network's own id
    #[param(max_length = 2000)]
    pub(super) conversation: Option<String>,
    /// About this item, by the network's own id
    #[param(max_length = 2000)]
    pub(super) item: Option<String>,
    /// At or after this time: RFC 3339, or a date (its first moment, UTC)
    #[param(value_type = Option<String>, example = "2026-11-21")]
    pub(super) from: Option<Moment>,
    /// Before this time
    #[param(value_type = Option<String>, example = "2026-11-22")]
    pub(super) to: Option<Moment>,
    /// `accepted`, `refused`, `unknown`, or `none` for those without one
    #[param(value_type = Option<String>)]
    pub(super) outcome: Option<OutcomeWord>,
    /// Bearing this flag
    #[param(value_type = Option<String>, example = "off_channel")]
    pub(super) flag: Option<Word>,
    /// What became of its content: `none` (there was none), `readable`, `unreadable`, `disposed`
    #[param(value_type = Option<String>, example = "readable")]
    pub(super) content: Option<ContentWord>,
    /// Holding exactly this text, in any case. Needs the permission to read content, and a purpose
    #[param(max_length = 1000)]
    pub(super) text: Option<String>,
    /// Holding these words, in any order: `"quoted phrases"`, `or`, `-without`. Fast in a large archive. Needs the same
    #[param(max_length = 1000, example = "guaranteed returns")]
    pub(super) words: Option<String>,
    #[param(ignore)]
    pub(super) page: Page,
}

impl FromParameters for RecordsQuery {
    const NAMES: &'static [&'static str] = &[
        "network",
        "kind",
        "direction",
        "advisor",
        "device",
        "account",
        "conversation",
        "item",
        "from",
        "to",
        "outcome",
        "flag",
        "content",
        "text",
        "words",
        "limit",
        "after",
        "order",
    ];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        const UUID: &str = "a uuid such as 0198c0de-0000-7000-8000-000000000000";
        let query = Self {
            network: parameters.take_text("network", NAME, "the name of a network's rules, such as mastodon")?,
            kind: parameters.take_as("kind", &words(Kind::ALL.iter().map(|kind| kind.as_str())))?,
            direction: parameters.take_as("direction", "outbound or inbound")?,
            advisor: parameters.take_as("advisor", UUID)?,
            device: parameters.take_as("device", UUID)?,
            account: parameters.take_as("account", UUID)?,
            conversation: parameters.take_text("conversation", NETWORK_ID, "the network's id of a conversation")?,
            item: parameters.take_text("item", NETWORK_ID, "the network's id of an item")?,
            from: parameters.take("from")?,
            to: parameters.take("to")?,
            outcome: parameters.take("outcome")?,
            flag: parameters.take_as("flag", "a flag such as off_channel")?,
            content: parameters.take("content")?,
            text: parameters.take_text("text", SEARCH, "what to look for")?,
            words: parameters.take_text("words", SEARCH, "what to look for")?,
            page: Page::take(parameters)?,
        };
        if let (Some(from), Some(to)) = (&query.from, &query.to)
            && from.0 >= to.0
        {
            return Err(Problem::parameter("to", "must be later than `from`"));
        }
        Ok(query)
    }
}

impl From<&RecordsQuery> for RecordFilter {
    fn from(query: &RecordsQuery) -> Self {
        Self {
            advisor: query.advisor.map(crate::record::AdvisorId::new),
            device: query.device.map(crate::record::DeviceId::new),
            network: query.network.clone(),
            kind: query.kind.map(|kind| kind.as_str().to_owned()),
            direction: query.direction.map(|direction| direction.as_str().to_owned()),
            account: query.account.map(crate::record::AccountId::new),
            conversation: query.conversation.clone(),
            item: query.item.clone(),
            state: query.outcome.map(|OutcomeWord(word)| word.to_owned()),
            since: query.from.map(|moment| moment.0),
            until: query.to.map(|moment| moment.0),
            text: query.text.clone(),
            words: query.words.clone(),
            flag: query.flag.as_ref().map(|flag| flag.as_str().to_owned()),
            content: query.content.map(|ContentWord(word)| word.to_owned()),
        }
    }
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", all.collect::<Vec<_>>().join(", "))
}

/// A time as people write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(Timestamp);

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "write a time such as 2026-11-21T20:00:00Z, or a date such as 2026-11-21";
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self(Timestamp::new(date.midnight().assume_utc())));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_source| wrong)?;
        // In UTC it may lie outside the years that can be written.
        let utc = time.checked_to_offset(UtcOffset::UTC).filter(|utc| utc.year() >= 0).ok_or(wrong)?;
        Ok(Self(Timestamp::new(utc)))
    }
}

/// What became of the content, as a filter.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct ContentWord(&'static str);

impl ContentWord {
    /// Every word.
    pub(in crate::api) const ALL: &'static [&'static str] = &["none", "readable", "unreadable", "disposed"];
}

impl FromStr for ContentWord {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let known = Self::ALL.iter().find(|word| **word == text);
        known.map(|word| Self(word)).ok_or("write none, readable, unreadable or disposed")
    }
}

/// How the origin took it, as a filter.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct OutcomeWord(&'static str);

impl OutcomeWord {
    /// Every word.
    pub(in crate::api) const ALL: &'static [&'static str] = &["accepted", "refused", "unknown", "none"];
}

impl FromStr for OutcomeWord {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let known = Self::ALL.iter().find(|word| **word == text);
        known.map(|word| Self(word)).ok_or("write accepted, refused, unknown or none")
    }
}
