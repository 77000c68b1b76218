//! From what was recognised to what an entry says: details in the clear (ours), fields sealed (theirs).
//!
//! How each field is written: `text`, ids, `permalink`, times and `visibility` as UTF-8 text; `author` and `account` as one JSON
//! party, `recipients` as a list of them, `attachments` and `detail` as JSON; `followers` in decimal, `version` as hex
//! digits, `raw` as received.

use std::collections::BTreeSet;

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::seal::{Envelope, SealingError};
use crate::exchange::Connection;
use crate::recognize::{Communication, Party, Recognition};
use crate::record::{Digest, Direction, ExchangeId, FieldName, Kind, Part};

/// A network that no rule speaks for.
const NO_NETWORK: &str = "unknown";

/// How it travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    WebSocket,
    EventStream,
}

impl Transport {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::EventStream => "sse",
        }
    }
}

/// Words that qualify an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flag {
    /// Credentials were taken out of what is kept.
    Redacted,
    /// The content coding of the body was undone to take them out.
    Decoded,
    /// It looks like a login: the head alone is kept.
    HeadOnly,
    /// A rule failed on it; it is kept raw.
    RecognitionFailed,
    /// The account is what the request says; whether the origin took its credential, the outcome says.
    AccountClaimed,
    /// An own item that no capture accounts for.
    OffChannel,
    /// The response was cut off.
    Incomplete,
}

impl Flag {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Redacted => "redacted",
            Self::Decoded => "decoded",
            Self::HeadOnly => "head_only",
            Self::RecognitionFailed => "recognition_failed",
            Self::AccountClaimed => "account_claimed",
            Self::OffChannel => "off_channel",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What the details of a capture and of an observation have in common.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) exchange: ExchangeId,
    pub(crate) communications: &'a [Communication],
    pub(crate) network: Option<&'a str>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) rules: Digest,
    pub(crate) size: u64,
    pub(crate) transport: Transport,
    pub(crate) flags: BTreeSet<Flag>,
}

impl Facts<'_> {
    /// The details.
    pub(crate) fn detail(&self) -> Map<String, Value> {
        let attachments: usize = self.communications.iter().map(|one| one.attachments.len()).sum();
        let inbound = self.communications.iter().all(|one| one.direction == Direction::Inbound);
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        let mut detail = Map::new();
        let mut put = |name: &str, value: Value| detail.insert(name.to_owned(), value);
        put("attachments", attachments.into());
        put("direction", direction.as_str().into());
        put("exchange", self.exchange.to_string().into());
        if !self.flags.is_empty() {
            put("flags", self.flags.iter().map(|flag| flag.as_str()).collect());
        }
        put("kinds", self.communications.iter().map(|one| one.kind.as_str()).collect());
        put("network", self.network.unwrap_or(NO_NETWORK).into());
        if let Some(rule) = self.rule {
            // `network/rule`: the network stands beside it.
            put("rule", rule.rsplit_once('/').map_or(rule, |(_network, rule)| rule).into());
        }
        put("rules", self.rules.to_string().into());
        put("size", self.size.into());
        put("transport", self.transport.as_str().into());
        detail
    }
}

/// A method as entries write it.
pub(crate) const fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// Seals everything a communication says. `acting` is the account that the session acts as, `attachments` what is known of its
/// attachments.
pub(crate) fn put_communication(
    envelope: &mut Envelope<'_>,
    number: u16,
    one: &Communication,
    acting: Option<&Party>,
    attachments: &[Value],
) -> Result<(), SealingError> {
    let mut put = |part: Part, value: &[u8]| envelope.put(FieldName::part(number, part), value);
    let texts = [
        (Part::Text, &one.text),
        (Part::Item, &one.item),
        (Part::Parent, &one.parent),
        (Part::Root, &one.root),
        (Part::Conversation, &one.conversation),
        (Part::Permalink, &one.permalink),
        (Part::OccurredAt, &one.occurred_at),
        (Part::EditedFrom, &one.edited_from),
        (Part::Visibility, &one.visibility),
        (Part::Raw, &one.fragment),
    ];
    for (part, text) in texts {
        if let Some(text) = text {
            put(part, text.as_bytes())?;
        }
    }
    for (part, party) in [(Part::Author, one.author.as_ref()), (Part::Account, acting)] {
        if let Some(party) = party {
            put(part, &in_json(party))?;
        }
    }
    if !one.recipients.is_empty() {
        put(Part::Recipients, &in_json(&one.recipients))?;
    }
    if !attachments.is_empty() {
        put(Part::Attachments, &in_json(&attachments))?;
    }
    if let Some(followers) = one.followers {
        put(Part::Followers, followers.to_string().as_bytes())?;
    }
    if !one.detail.is_empty() {
        put(Part::Detail, &in_json(&one.detail))?;
    }
    if let Some(version) = one.version {
        put(Part::Version, version.to_string().as_bytes())?;
    }
    Ok(())
}

/// Facts about the connection and the origin's handshake.
pub(crate) fn connection_json(connection: &Connection) -> Vec<u8> {
    let upstream = connection.upstream.as_ref().map(|upstream| {
        json!({
            "address": upstream.address.to_string(),
            "tls": upstream.tls_version,
            "protocol": protocol(upstream.protocol),
            "chain": upstream.chain_digest,
        })
    });
    in_json(&json!({
        "device_address": connection.device_address.to_string(),
        "authority": connection.authority.to_string(),
        "protocol": protocol(connection.protocol),
        "upstream": upstream,
    }))
}

const fn protocol(protocol: crate::exchange::Protocol) -> &'static str {
    match protocol {
        crate::exchange::Protocol::Http1 => "http/1",
        crate::exchange::Protocol::Http2 => "h2",
    }
}

/// Plain data of ours always has a JSON form.
pub(crate) fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Plain data of ours always serialises.
pub(crate) fn in_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a value could not be written as JSON");
        b"null".to_vec()
    })
}

/// What stands for a write whose rule failed: kept raw.
pub(crate) fn unclassified(rules: Digest) -> Recognition {
    let raw = Communication::bare(Kind::Unclassified, Direction::Outbound);
    Recognition { rule_set: Some(rules), communications: vec![raw], ..Recognition::default() }
}
