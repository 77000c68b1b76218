//! The communications of a record, from its opened fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::archive::read::{Content, Field};
use crate::archive::row::clean;
use crate::archive::words;
use crate::record::Part;

/// Communications shown of one record.
const MOST: usize = 512;
/// More than a `bigint` holds is no number of people.
const MOST_FOLLOWERS: u64 = i64::MAX as u64;

/// A row of `communications`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Communication {
    pub(super) record: Uuid,
    pub(super) entry_index: u64,
    pub(super) number: usize,
    pub(super) kind: String,
    pub(super) direction: String,
    pub(super) text: Option<String>,
    pub(super) author_id: Option<String>,
    pub(super) author_handle: Option<String>,
    pub(super) author_name: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) account_handle: Option<String>,
    pub(super) item: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) root: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) permalink: Option<String>,
    pub(super) occurred_at: Option<String>,
    pub(super) edited_from: Option<String>,
    pub(super) visibility: Option<String>,
    pub(super) attachments: Option<String>,
    pub(super) version: Option<String>,
    pub(super) recipients: Option<String>,
    /// By what the recipients are found.
    addressed: Option<Vec<String>>,
    pub(super) followers: Option<u64>,
    pub(super) detail: Option<String>,
    /// Set by [`super::attachment`].
    pub(super) attached: Option<String>,
    /// Set by [`Self::make_searchable`].
    words: Option<String>,
    folded: Option<String>,
}

impl Communication {
    /// Writes down what it is found by, when all of it is there.
    pub(super) fn make_searchable(&mut self) {
        let said: Vec<&str> = self.text.iter().chain(&self.attached).map(String::as_str).collect();
        if said.is_empty() {
            return;
        }
        self.words = Some(words::vector(&said));
        self.folded = Some(words::folded(&said.join("\n")));
    }
}

/// Who somebody is to a network: written as JSON, or as plain text where only an id is known.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Party {
    id: String,
    handle: Option<String>,
    name: Option<String>,
}

impl Party {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_not_json| Self { id: text.to_owned(), ..Self::default() })
    }

    fn id(&self) -> Option<String> {
        Some(clean(&self.id)).filter(|id| !id.is_empty())
    }
}

/// Recipients of one communication that are found at most.
const MOST_RECIPIENTS: usize = 1_000;

/// By what somebody is found whom something was sent to: as given, and as a handle, which is the same in any case and with or without `@`.
pub(in crate::archive) fn addressed(party: &str) -> [String; 2] {
    [party.to_owned(), format!("@{}", party.trim_start_matches('@').to_lowercase())]
}

/// A list of parties as they were sealed; what is none is nobody.
fn addressed_to(recipients: &str) -> Vec<String> {
    let parties: Vec<Party> = serde_json::from_str(recipients).unwrap_or_default();
    let mut all = Vec::new();
    for party in parties.into_iter().take(MOST_RECIPIENTS) {
        all.extend(party.id());
        all.extend(
            party.handle.as_deref().map(|handle| addressed(&clean(handle))).into_iter().map(|[_, handle]| handle),
        );
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// A field as text; bytes that are no UTF-8 are marked where they stood.
pub(super) fn text(content: &Content, field: &str) -> Option<String> {
    match content.0.get(field)? {
        Field::Value(value) => Some(clean(&String::from_utf8_lossy(value))),
        Field::Blob { .. } => None,
    }
}

/// Fields whose names begin with a number, by that number.
pub(super) fn by_number(content: &Content) -> BTreeMap<usize, BTreeMap<&str, String>> {
    let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (name, field) in &content.0 {
        let Some((number, part)) = name.as_str().split_once('.') else { continue };
        let Some(number) = number.parse().ok().filter(|number| *number < MOST) else { continue };
        if let Field::Value(value) = field {
            all.entry(number).or_default().insert(part, clean(&String::from_utf8_lossy(value)));
        }
    }
    all
}

/// The rows of one record. A record without readable content still shows what kinds it was made of.
pub(super) fn communications(
    record: Uuid,
    entry_index: u64,
    kinds: &[String],
    direction: &str,
    content: &Content,
) -> Vec<Communication> {
    let mut parts = by_number(content);
    let most = parts.keys().next_back().map_or(0, |number| number + 1).max(kinds.len()).min(MOST);
    let row = |number| {
        let mut fields = parts.remove(&number).unwrap_or_default();
        let mut take = |part: Part| fields.remove(part.as_str());
        let party = |text: Option<String>| text.as_deref().map(Party::read).unwrap_or_default();
        let recipients = take(Part::Recipients);
        let (author, account) = (party(take(Part::Author)), party(take(Part::Account)));
        Communication {
            record,
            entry_index,
            number,
            kind: kinds.get(number).or(kinds.last()).cloned().unwrap_or_default(),
            direction: direction.to_owned(),
            text: take(Part::Text),
            author_id: author.id(),
            author_handle: author.handle.as_deref().map(clean),
            author_name: author.name.as_deref().map(clean),
            account_id: account.id(),
            account_handle: account.handle.as_deref().map(clean),
            addressed: recipients.as_deref().map(addressed_to),
            recipients,
            followers: take(Part::Followers)
                .and_then(|text| text.parse().ok())
                .filter(|count| *count <= MOST_FOLLOWERS),
            detail: take(Part::Detail),
            item: take(Part::Item),
            parent: take(Part::Parent),
            root: take(Part::Root),
            conversation: take(Part::Conversation),
            permalink: take(Part::Permalink),
            occurred_at: take(Part::OccurredAt),
            edited_from: take(Part::EditedFrom),
            visibility: take(Part::Visibility),
            attachments: take(Part::Attachments),
            version: take(Part::Version),
            ..Communication::default()
        }
    };
    (0..most).map(row).collect()
}
