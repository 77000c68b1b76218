//! A rule file as typed: `config/networks/<name>/rules.toml`. The doc comments here are its reference.
//!
//! Serde refuses unknown keys, so a misspelt condition cannot silently widen a rule.

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// One network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkFile {
    /// Lower-case name, as in provenance and in the API.
    pub(crate) name: Spanned<String>,
    /// Name for people.
    pub(crate) title: String,
    /// Hosts it claims: `social.example`, `*.social.example`.
    #[serde(default)]
    pub(crate) hosts: Vec<Spanned<String>>,
    /// Its rules also apply to hosts that settings list in `intercept.extra_hosts`.
    #[serde(default)]
    pub(crate) any_host: bool,
    /// Cookies whose value is an account id and no secret: handed to rules as `.session.hints.cookies`.
    #[serde(default)]
    pub(crate) account_cookies: Vec<String>,
    /// jq definitions that every program of this file can use.
    #[serde(default)]
    pub(crate) library: Option<Spanned<String>>,
    /// The rules. The most specific path speaks first; among equal paths the first whose conditions hold.
    #[serde(default, rename = "rule")]
    pub(crate) rules: Vec<Spanned<RuleFile>>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// Lower-case id, unique in the file.
    pub(crate) id: Spanned<String>,
    /// One method or several; every method when left out.
    #[serde(default)]
    pub(crate) method: Option<Spanned<OneOrMany>>,
    /// One path pattern or several.
    pub(crate) path: Spanned<OneOrMany>,
    /// What to do with what matches.
    pub(crate) plan: Spanned<PlanWord>,
    /// With `plan = "write"`: `tail` lets a large body stream and holds its end only.
    #[serde(default)]
    pub(crate) hold: Option<Spanned<HoldWord>>,
    /// With `plan = "messages"`: which messages the program sees.
    #[serde(default)]
    pub(crate) direction: Option<Spanned<DirectionWord>>,
    /// All of these must hold.
    #[serde(default)]
    pub(crate) when: Vec<Spanned<ConditionFile>>,
    /// With `plan = "read"`: turns a response that is no JSON into JSON, before programs see it.
    #[serde(default)]
    pub(crate) decoder: Option<Spanned<String>>,
    /// jq: exchange → communications.
    #[serde(default)]
    pub(crate) extract: Option<Spanned<String>>,
    /// jq: exchange with response → how the origin took it, item ids, permalinks.
    #[serde(default)]
    pub(crate) outcome: Option<Spanned<String>>,
    /// Of a read or a channel: the origin answers 2xx, or opens it, only to who is logged in.
    #[serde(default)]
    pub(crate) authenticated: bool,
    /// jq: exchange → the acting account.
    #[serde(default)]
    pub(crate) account: Option<Spanned<String>>,
    /// jq: response → the redacted token that it hands out, under which the account will act from now on.
    #[serde(default)]
    pub(crate) session: Option<Spanned<String>>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanWord {
    /// Hold, record, release.
    Write,
    /// Hold, record raw, release: the network's catch-all.
    Unclassified,
    /// Let through, look at the response.
    Read,
    /// A WebSocket or event stream.
    Messages,
    /// A login: let through, keep no body.
    Credential,
    /// Nothing to keep.
    Ignore,
}

/// How much is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldWord {
    /// Head and body.
    Whole,
    /// The end of the body.
    Tail,
}

/// Which messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectionWord {
    /// From the origin.
    Inbound,
    /// From the device; each is held.
    Outbound,
    /// Both.
    Both,
}

/// `{ query = "act", equals = "post" }`: one place, one test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionFile {
    /// A query parameter.
    #[serde(default)]
    pub(crate) query: Option<String>,
    /// A header; values are compared without regard to case.
    #[serde(default)]
    pub(crate) header: Option<String>,
    /// A form or multipart field.
    #[serde(default)]
    pub(crate) form: Option<String>,
    /// A JSON pointer into the request's JSON, such as `/record/reply`.
    #[serde(default)]
    pub(crate) json: Option<String>,
    /// It is there (true) or not (false).
    #[serde(default)]
    pub(crate) exists: Option<bool>,
    /// It is this text.
    #[serde(default)]
    pub(crate) equals: Option<String>,
    /// It is one of these texts.
    #[serde(default)]
    pub(crate) one_of: Option<Vec<String>>,
    /// It begins with this text.
    #[serde(default)]
    pub(crate) starts_with: Option<String>,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug)]
pub(crate) struct OneOrMany(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                if words.is_empty() {
                    return Err(de::Error::custom("the list is empty"));
                }
                Ok(OneOrMany(words))
            }
        }
        deserializer.deserialize_any(Words)
    }
}
