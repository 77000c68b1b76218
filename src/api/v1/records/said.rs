//! What a communication says, as it was projected: for lists of many. One record on its own is opened and checked instead.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::archive::CommunicationRow;

/// Somebody, as the network has them.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Party {
    /// Their id on the network.
    pub(super) id: Option<String>,
    /// Their handle.
    #[schema(example = "ada.example")]
    pub(super) handle: Option<String>,
    /// Their display name.
    pub(super) name: Option<String>,
}

/// One thing said, changed or taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Said {
    /// Its number in the record, from 0.
    pub(super) number: u32,
    /// What it is.
    #[schema(example = "reply")]
    pub(super) kind: String,
    /// The words; at most the first MiB of them.
    pub(super) text: Option<String>,
    /// Who wrote it.
    pub(super) author: Option<Party>,
    /// The account that acted.
    pub(super) account: Option<Party>,
    /// Who is addressed.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) recipients: Option<Value>,
    /// The item's id on the network.
    pub(super) item: Option<String>,
    /// The item it answers.
    pub(super) parent: Option<String>,
    /// The item that began the thread.
    pub(super) root: Option<String>,
    /// The conversation.
    pub(super) conversation: Option<String>,
    /// Where people find it.
    pub(super) permalink: Option<String>,
    /// When it happened, by the network's word.
    pub(super) occurred_at: Option<String>,
    /// The item whose earlier version this replaces.
    pub(super) edited_from: Option<String>,
    /// Who can see it, in the network's word.
    pub(super) visibility: Option<String>,
    /// What is attached.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) attachments: Option<Value>,
}

fn party(id: Option<String>, handle: Option<String>, name: Option<String>) -> Option<Party> {
    let is_known = id.is_some() || handle.is_some() || name.is_some();
    is_known.then_some(Party { id, handle, name })
}

/// Text that holds JSON; as the text it is where it does not.
fn json(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

impl From<CommunicationRow> for Said {
    fn from(row: CommunicationRow) -> Self {
        Self {
            number: row.number,
            kind: row.kind,
            text: row.text,
            author: party(row.author_id, row.author_handle, row.author_name),
            account: party(row.account_id, row.account_handle, None),
            recipients: row.recipients.map(json),
            item: row.item,
            parent: row.parent,
            root: row.root,
            conversation: row.conversation,
            permalink: row.permalink,
            occurred_at: row.occurred_at,
            edited_from: row.edited_from,
            visibility: row.visibility,
            attachments: row.attachments.map(json),
        }
    }
}
