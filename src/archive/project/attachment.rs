//! What communications carry or link, from the sealed lists of attachments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::communication::by_number;
use super::read::Item;
use crate::archive::row::clean;
use crate::recognize::{Attachment, AttachmentSource};
use crate::record::{FieldName, Part};

/// Attachments shown of one communication.
const MOST: usize = 512;
/// What a `bigint` holds.
const MOST_BYTES: u64 = i64::MAX as u64;

/// A row of `attachments`.
#[derive(Debug, Serialize)]
pub(super) struct AttachmentOf {
    record: Uuid,
    entry_index: u64,
    number: usize,
    position: usize,
    field: Option<String>,
    part: Option<u32>,
    media_type: Option<String>,
    name: Option<String>,
    description: Option<String>,
    reference: Option<String>,
    url: Option<String>,
    size: Option<u64>,
    digest: Option<String>,
}

/// One as sealed: what was recognised, and what was found out when it was kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sealed {
    #[serde(flatten)]
    attachment: Attachment,
    size: Option<u64>,
    digest: Option<String>,
}

/// All attachments of one record.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) rows: Vec<AttachmentOf>,
    words: BTreeMap<usize, String>,
}

impl Attached {
    /// Names and descriptions of what one communication carries.
    pub(super) fn words(&self, number: usize) -> Option<String> {
        self.words.get(&number).cloned()
    }
}

/// Reads every list. One that is not such a list is left out: it stands in the content all the same.
pub(super) fn attachments(record: Uuid, item: &Item) -> Attached {
    let mut all = Attached::default();
    for (number, fields) in by_number(&item.content) {
        let list =
            fields.get(Part::Attachments.as_str()).and_then(|text| serde_json::from_str::<Vec<Sealed>>(text).ok());
        for (position, sealed) in list.into_iter().flatten().take(MOST).enumerate() {
            all.take(record, item, (number, position), sealed);
        }
    }
    all
}

impl Attached {
    fn take(&mut self, record: Uuid, item: &Item, (number, position): (usize, usize), sealed: Sealed) {
        let Sealed { attachment, size, digest } = sealed;
        let (field, part) = place(item, number, position, attachment.source);
        // The size of the whole body says nothing of one part of it.
        let whole = field.as_ref().filter(|_field| part.is_none()).and_then(|field| item.sizes.get(field).copied());
        let column = |text: Option<String>| text.as_deref().map(clean);
        let (name, description) = (column(attachment.name), column(attachment.description));
        for words in name.iter().chain(&description) {
            let all = self.words.entry(number).or_default();
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(words);
        }
        self.rows.push(AttachmentOf {
            record,
            entry_index: item.index,
            number,
            position,
            field: field.map(|field| field.to_string()),
            part,
            media_type: column(attachment.media_type),
            name,
            description,
            reference: column(attachment.reference),
            url: column(attachment.url),
            size: size.filter(|size| *size <= MOST_BYTES).or(whole),
            digest: column(digest),
        });
    }
}

/// Which sealed field holds the bytes: one of its own, or the request's body, whole or a part of it.
fn place(
    item: &Item,
    number: usize,
    position: usize,
    source: Option<AttachmentSource>,
) -> (Option<FieldName>, Option<u32>) {
    let own = match (u16::try_from(number), u16::try_from(position)) {
        (Ok(number), Ok(position)) => Some(FieldName::attachment(number, position)),
        _ => None,
    };
    match (own.filter(|name| item.sizes.contains_key(name)), source) {
        (Some(own), _) => (Some(own), None),
        (None, Some(AttachmentSource::Body)) => (Some(FieldName::REQUEST_BODY), None),
        (None, Some(AttachmentSource::Part(part))) => (Some(FieldName::REQUEST_BODY), Some(part)),
        (None, None) => (None, None),
    }
}
