//! What was said: the numbered parts of a record, from the opened fields.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::archive::{Content, Field};

/// One thing said, changed or taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Communication {
    /// Its number in the record, from 0.
    number: u16,
    /// What it is.
    #[schema(example = "post")]
    kind: String,
    /// The words.
    text: Option<String>,
    /// Who wrote it: `{id, handle, name, url}` as the network has it, or its id alone.
    author: Option<Value>,
    /// The acting account, likewise.
    account: Option<Value>,
    /// Who is addressed.
    #[schema(value_type = Option<Vec<Object>>)]
    recipients: Option<Value>,
    /// The item's id on the network; for a new item, as the origin's answer says.
    item: Option<String>,
    /// The item it answers.
    parent: Option<String>,
    /// The item that began the thread.
    root: Option<String>,
    /// The conversation.
    conversation: Option<String>,
    /// Where people find it; for a new item, as the origin's answer says.
    permalink: Option<String>,
    /// When it happened, by the network's word.
    occurred_at: Option<String>,
    /// The item whose earlier version this replaces.
    edited_from: Option<String>,
    /// Who can see it, in the network's word.
    visibility: Option<String>,
    /// The audience the network reported.
    followers: Option<u64>,
    /// What is attached. Those with `href` were in the exchange and can be read there.
    #[schema(value_type = Vec<Object>)]
    attachments: Vec<Value>,
    /// What else the rule kept.
    detail: Option<Value>,
}

/// A field as text; bytes that are no UTF-8 are marked where they stood. None when it is too large to show here.
pub(super) fn text(content: &Content, name: &str) -> Option<String> {
    match content.0.get(name)? {
        Field::Value(value) => Some(String::from_utf8_lossy(value).into_owned()),
        Field::Blob { .. } => None,
    }
}

/// A field that holds JSON; one that does not is shown as the text it is.
pub(super) fn json(content: &Content, name: &str) -> Option<Value> {
    let text = text(content, name)?;
    Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The communications of a record. `answered` is the content of its outcome, which may know ids that the request did not.
pub(super) fn all(
    record: uuid::Uuid,
    kinds: &[String],
    content: &Content,
    answered: Option<&Content>,
) -> Vec<Communication> {
    (0..).zip(kinds).map(|(number, kind)| one(record, number, kind, content, answered)).collect()
}

fn one(record: uuid::Uuid, number: u16, kind: &str, content: &Content, answered: Option<&Content>) -> Communication {
    let said = |part: &str| text(content, &format!("{number}.{part}"));
    let value = |part: &str| json(content, &format!("{number}.{part}"));
    let later = |part: &str| answered.and_then(|answered| text(answered, &format!("{number}.{part}")));
    Communication {
        number,
        kind: kind.to_owned(),
        text: said("text"),
        author: value("author"),
        account: value("account"),
        recipients: value("recipients"),
        item: said("item").or_else(|| later("item")),
        parent: said("parent"),
        root: said("root"),
        conversation: said("conversation"),
        permalink: said("permalink").or_else(|| later("permalink")),
        occurred_at: said("occurred_at").or_else(|| later("occurred_at")),
        edited_from: said("edited_from"),
        visibility: said("visibility"),
        followers: said("followers").and_then(|text| text.parse().ok()),
        attachments: attachments(record, number, value("attachments")),
        detail: value("detail"),
    }
}

/// Adds where the bytes can be read, to those whose bytes were in the exchange.
fn attachments(record: uuid::Uuid, number: u16, listed: Option<Value>) -> Vec<Value> {
    let Some(Value::Array(mut listed)) = listed else { return Vec::new() };
    for (position, attachment) in listed.iter_mut().enumerate() {
        if let Some(object) = attachment.as_object_mut()
            && object.contains_key("source")
        {
            let href = format!("/v1/records/{record}/attachments/{number}/{position}");
            object.insert("href".to_owned(), Value::String(href));
        }
    }
    listed
}
