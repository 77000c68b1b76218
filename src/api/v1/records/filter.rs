//! Which records: the filters of lists, counts and exports, as typed and as meant.

use std::str::FromStr;

use utoipa::IntoParams;
use uuid::Uuid;

use crate::api::as_of::as_of;
use crate::api::moment::Moment;
use crate::api::page::Page;
use crate::api::problem::Problem;
use crate::api::query::Parameters;
use crate::archive::{RecordFilter, WordQuery};
use crate::record::{Direction, Kind, Word};

/// Longest name of a network, id on a network, and search, in characters.
const NAME: usize = 100;
const NETWORK_ID: usize = 2_000;
const SEARCH: usize = 1_000;

/// Which records. Everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Filters {
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
    /// Written by this party: its handle, or its id on the network. Where nobody is named as the author, the account that acted
    #[param(max_length = 2000, example = "ada.example")]
    pub(super) author: Option<String>,
    /// Sent to this party: its handle, or its id on the network, as the network was told whom it is for
    #[param(max_length = 2000, example = "client.example")]
    pub(super) recipient: Option<String>,
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
    /// Of an exchange about which a gap of this cause is on record
    #[param(value_type = Option<String>, example = "read_capped")]
    pub(super) gap: Option<Word>,
    /// What became of its content: `none` (there was none), `readable`, `unreadable`, `disposed`
    #[param(value_type = Option<String>, example = "readable")]
    pub(super) content: Option<ContentWord>,
    /// Holding these characters, whatever stands around them, in any case. Needs the permission to read content, and a purpose
    #[param(max_length = 1000)]
    pub(super) text: Option<String>,
    /// Holding these words, in any order and inflected as in Czech, English, Polish or Russian: `"quoted phrases"` as they are,
    /// `or`, `-without`, `begin*`. Needs the same
    #[param(max_length = 1000, example = "guaranteed returns")]
    pub(super) words: Option<String>,
    /// `folded` (the default): diacritics do not count in `text` and `words`; `exact`: they do, and words are found as written only
    #[param(value_type = Option<String>)]
    pub(super) diacritics: Option<Diacritics>,
    /// What `words` means.
    #[param(ignore)]
    pub(super) word_query: Option<WordQuery>,
    /// As things stood when the ledger had this many entries: the size of a published checkpoint, see /v1/checkpoints. The same
    /// question then has the same answer for ever; what was disposed of since is shown as disposed
    #[param(value_type = Option<u64>)]
    pub(super) as_of: Option<u64>,
}

/// How a list shows what it finds.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Showing {
    /// `ledger` (the default) or `relevance`: the best matches of `words` among the newest 10,000 records that fit, on one page
    #[param(value_type = Option<String>)]
    pub(super) sort: Option<Sort>,
    /// `true`: each record says where it holds what `text` and `words` look for. Needs either of them
    #[param(value_type = Option<bool>)]
    pub(super) explain: bool,
}

impl Showing {
    /// Takes both; refuses what means nothing.
    pub(super) fn take(parameters: &mut Parameters, filters: &Filters, page: &Page) -> Result<Self, Problem> {
        let explain = parameters.take_as("explain", "true or false")?.unwrap_or(false);
        let showing = Self { sort: parameters.take("sort")?, explain };
        if explain && !filters.searches() {
            return Err(Problem::parameter("explain", "means nothing without `words` or `text`"));
        }
        if showing.by_relevance() && filters.words.is_none() {
            return Err(Problem::parameter("sort", "relevance is about `words`: give some, or sort by ledger"));
        }
        if showing.by_relevance() && page.after.is_some() {
            return Err(Problem::parameter("after", "the best matches are one page; to read all, sort by ledger"));
        }
        Ok(showing)
    }

    /// The best matches first.
    pub(super) fn by_relevance(&self) -> bool {
        self.sort == Some(Sort::Relevance)
    }
}

/// The names of the filters, and of what else an operation takes.
macro_rules! names {
    ($($more:literal),*) => {
        &[
            "network", "kind", "direction", "advisor", "device", "account", "author", "recipient", "conversation", "item",
            "from", "to", "outcome", "flag", "gap", "content", "text", "words", "diacritics", "as_of", $($more),*
        ]
    };
}
pub(super) use names;

impl Filters {
    /// Takes every filter.
    pub(super) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        const UUID: &str = "a uuid such as 0198c0de-0000-7000-8000-000000000000";
        let [from, to] = Moment::take_span(parameters, ["from", "to"])?;
        let mut query = Self {
            network: parameters.take_text("network", NAME, "the name of a network's rules, such as mastodon")?,
            kind: parameters.take_as("kind", &words(Kind::ALL.iter().map(|kind| kind.as_str())))?,
            direction: parameters.take_as("direction", "outbound or inbound")?,
            advisor: parameters.take_as("advisor", UUID)?,
            device: parameters.take_as("device", UUID)?,
            account: parameters.take_as("account", UUID)?,
            author: parameters.take_text("author", NETWORK_ID, "a handle, or the network's id of an account")?,
            recipient: parameters.take_text("recipient", NETWORK_ID, "a handle, or the network's id of an account")?,
            conversation: parameters.take_text("conversation", NETWORK_ID, "the network's id of a conversation")?,
            item: parameters.take_text("item", NETWORK_ID, "the network's id of an item")?,
            from,
            to,
            outcome: parameters.take("outcome")?,
            flag: parameters.take_as("flag", "a flag such as off_channel")?,
            gap: parameters.take_as("gap", "a cause such as read_capped; docs/FORMAT.md has all of them")?,
            content: parameters.take("content")?,
            text: parameters.take_text("text", SEARCH, "what to look for")?,
            words: parameters.take_text("words", SEARCH, "what to look for")?,
            diacritics: parameters.take("diacritics")?,
            word_query: None,
            as_of: as_of(parameters)?,
        };
        query.word_query = query.read_words()?;
        Ok(query)
    }
}

impl Filters {
    /// Whether it finds by what was said, so that the answer tells what was said.
    pub(super) const fn searches(&self) -> bool {
        self.text.is_some() || self.words.is_some()
    }

    /// What `words` means; refuses what means nothing without it.
    fn read_words(&self) -> Result<Option<WordQuery>, Problem> {
        if !self.searches() && self.diacritics.is_some() {
            return Err(Problem::parameter("diacritics", "means nothing without `words` or `text`"));
        }
        let exact = self.diacritics == Some(Diacritics::Exact);
        let read = self.words.as_ref().map(|words| WordQuery::parse(words, exact)).transpose();
        read.map_err(|error| Problem::parameter("words", error.to_string()))
    }
}

impl From<&Filters> for RecordFilter {
    fn from(query: &Filters) -> Self {
        Self {
            advisor: query.advisor.map(crate::record::AdvisorId::new),
            device: query.device.map(crate::record::DeviceId::new),
            network: query.network.clone(),
            kind: query.kind.map(|kind| kind.as_str().to_owned()),
            direction: query.direction.map(|direction| direction.as_str().to_owned()),
            account: query.account.map(crate::record::AccountId::new),
            author: query.author.clone(),
            recipient: query.recipient.clone(),
            gap: query.gap.as_ref().map(|cause| cause.as_str().to_owned()),
            as_of: query.as_of,
            conversation: query.conversation.clone(),
            item: query.item.clone(),
            state: query.outcome.map(|OutcomeWord(word)| word.to_owned()),
            since: query.from.map(|moment| moment.0),
            until: query.to.map(|moment| moment.0),
            text: query.text.clone(),
            words: query.word_query.clone(),
            exact: query.diacritics == Some(Diacritics::Exact),
            by_relevance: false,
            flag: query.flag.as_ref().map(|flag| flag.as_str().to_owned()),
            content: query.content.map(|ContentWord(word)| word.to_owned()),
        }
    }
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", all.collect::<Vec<_>>().join(", "))
}

/// Whether diacritics count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Diacritics {
    /// They do not.
    Folded,
    /// They do.
    Exact,
}

impl FromStr for Diacritics {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "folded" => Ok(Self::Folded),
            "exact" => Ok(Self::Exact),
            _ => Err("write `folded` or `exact`"),
        }
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Sort {
    /// In ledger order.
    Ledger,
    /// The best match first.
    Relevance,
}

impl FromStr for Sort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "ledger" => Ok(Self::Ledger),
            "relevance" => Ok(Self::Relevance),
            _ => Err("write `ledger` or `relevance`"),
        }
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
