//! What a hold selects: the filters of `/v1/records`, but for those that ask how things stood or what has become of content.
//!
//! Invariant: what was taken when the hold was placed is read the same from its entry ever after.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::archive::{RecordFilter, WordQuery};
use crate::record::{Direction, Kind, Timestamp};

/// A text of a condition at most, in characters.
const LONGEST: usize = 500;

/// Conditions, as they are written: all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// By this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// In this advisor's stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisor: Option<String>,
    /// Written by this party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// In this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// From this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `exact`: diacritics count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diacritics: Option<String>,
    /// `outbound` or `inbound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Bearing this flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// At or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// About this item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Holding a communication of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// On this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Sent to this party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Holding these characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Holding these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// A condition that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {problem}")]
pub struct SelectionError {
    /// Which.
    pub condition: &'static str,
    /// What would be right.
    pub problem: String,
}

fn wrong(condition: &'static str, problem: impl Into<String>) -> SelectionError {
    SelectionError { condition, problem: problem.into() }
}

fn read<T: FromStr>(condition: &'static str, text: Option<&String>, write: &str) -> Result<Option<T>, SelectionError> {
    text.map(|text| text.parse().map_err(|_source| wrong(condition, format!("write {write}")))).transpose()
}

impl Selection {
    /// As the hold's entry keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A struct of texts always has a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As the hold's entry has it.
    ///
    /// # Errors
    /// When it is none, or one of a newer program.
    pub fn from_json(text: &str) -> Result<Self, SelectionError> {
        let conditions = serde_json::from_str(text).map_err(|error| wrong("query", error.to_string()))?;
        Self::from_conditions(conditions)
    }

    /// As somebody writes it.
    ///
    /// # Errors
    /// When it has a condition that is not known, or is no text.
    pub fn from_conditions(conditions: Map<String, Value>) -> Result<Self, SelectionError> {
        // Not from any JSON: a list of texts would be taken for the members in their order.
        serde_json::from_value(Value::Object(conditions)).map_err(|error| wrong("query", error.to_string()))
    }

    fn conditions(&self) -> [(&'static str, Option<&String>); 16] {
        [
            ("account", self.account.as_ref()),
            ("advisor", self.advisor.as_ref()),
            ("author", self.author.as_ref()),
            ("conversation", self.conversation.as_ref()),
            ("device", self.device.as_ref()),
            ("diacritics", self.diacritics.as_ref()),
            ("direction", self.direction.as_ref()),
            ("flag", self.flag.as_ref()),
            ("from", self.from.as_ref()),
            ("item", self.item.as_ref()),
            ("kind", self.kind.as_ref()),
            ("network", self.network.as_ref()),
            ("recipient", self.recipient.as_ref()),
            ("text", self.text.as_ref()),
            ("to", self.to.as_ref()),
            ("words", self.words.as_ref()),
        ]
    }

    /// What it asks of records.
    ///
    /// # Errors
    /// When a condition cannot be meant, or there is none.
    pub fn filter(&self) -> Result<RecordFilter, SelectionError> {
        const UUID: &str = "a uuid such as 0198c0de-0000-7000-8000-000000000000";
        const TIME: &str = "a time such as 2026-11-21T20:00:00.000000Z";
        let mut given = self.conditions().into_iter().filter_map(|(name, text)| Some((name, text?))).peekable();
        if given.peek().is_none() {
            return Err(wrong("query", "give a condition; `everything` holds everything"));
        }
        for (name, text) in given {
            if text.trim().is_empty() || text.chars().nth(LONGEST).is_some() || text.contains('\0') {
                return Err(wrong(name, format!("write 1 to {LONGEST} characters")));
            }
        }
        let exact = match self.diacritics.as_deref() {
            None | Some("folded") => false,
            Some("exact") => true,
            Some(_other) => return Err(wrong("diacritics", "write `folded` or `exact`")),
        };
        if self.diacritics.is_some() && self.words.is_none() && self.text.is_none() {
            return Err(wrong("diacritics", "means nothing without `words` or `text`"));
        }
        let words = self.words.as_ref().map(|words| WordQuery::parse(words, exact)).transpose();
        let (since, until) = (read("from", self.from.as_ref(), TIME)?, read("to", self.to.as_ref(), TIME)?);
        if since.zip(until).is_some_and(|(since, until): (Timestamp, Timestamp)| since >= until) {
            return Err(wrong("to", "must be later than `from`"));
        }
        let kind: Option<Kind> = read("kind", self.kind.as_ref(), "a kind such as post or message")?;
        let direction: Option<Direction> = read("direction", self.direction.as_ref(), "outbound or inbound")?;
        Ok(RecordFilter {
            advisor: read("advisor", self.advisor.as_ref(), UUID)?,
            device: read("device", self.device.as_ref(), UUID)?,
            account: read("account", self.account.as_ref(), UUID)?,
            network: self.network.clone(),
            kind: kind.map(|kind| kind.as_str().to_owned()),
            direction: direction.map(|direction| direction.as_str().to_owned()),
            author: self.author.clone(),
            recipient: self.recipient.clone(),
            conversation: self.conversation.clone(),
            item: self.item.clone(),
            flag: self.flag.clone(),
            since,
            until,
            text: self.text.clone(),
            words: words.map_err(|error| wrong("words", error.to_string()))?,
            exact,
            ..RecordFilter::default()
        })
    }

    /// The same of records whose content cannot be read, where content is asked for at all: whether they are selected nobody knows, so
    /// they are held.
    ///
    /// # Errors
    /// As [`Self::filter`].
    pub(super) fn unreadable(&self) -> Result<Option<RecordFilter>, SelectionError> {
        let filter = self.filter()?;
        let of_content = filter.account.is_some()
            || filter.words.is_some()
            || [&filter.author, &filter.recipient, &filter.conversation, &filter.item, &filter.text]
                .iter()
                .any(|condition| condition.is_some());
        Ok(of_content.then(|| RecordFilter {
            content: Some("unreadable".to_owned()),
            account: None,
            words: None,
            author: None,
            recipient: None,
            conversation: None,
            item: None,
            text: None,
            exact: false,
            ..filter
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_read_from_its_entry_as_it_was_taken() {
        let text = r#"{"network":"mastodon","text":"zanzibar","to":"2026-11-22T00:00:00.000000Z"}"#;
        let selection = Selection::from_json(text).unwrap();
        assert_eq!(selection.to_json(), text);
        let filter = selection.filter().unwrap();
        assert_eq!((filter.network.as_deref(), filter.text.as_deref()), (Some("mastodon"), Some("zanzibar")));
        let unreadable = selection.unreadable().unwrap().unwrap();
        assert_eq!((unreadable.network.as_deref(), unreadable.text), (Some("mastodon"), None));
        let plain = Selection { network: Some("x".to_owned()), ..Selection::default() };
        assert!(plain.unreadable().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, condition) in [
            ("{}", "query"),
            (r#"{"network":""}"#, "network"),
            (r#"{"kind":"song"}"#, "kind"),
            (r#"{"advisor":"me"}"#, "advisor"),
            (r#"{"diacritics":"exact"}"#, "diacritics"),
            (r#"{"from":"2026-11-22T00:00:00.000000Z","to":"2026-11-22T00:00:00.000000Z"}"#, "to"),
            (r#"{"to":"tomorrow"}"#, "to"),
        ] {
            let error = Selection::from_json(text).unwrap().filter().unwrap_err();
            assert_eq!(error.condition, condition, "{text}");
        }
        for text in [r#"{"content":"disposed"}"#, r#"{"as_of":"3"}"#, r#"{"network":1}"#, "[]", ""] {
            assert!(Selection::from_json(text).is_err(), "{text}");
        }
    }
}
