//! Records, by filter; and one record with its communications and its history.

use std::collections::HashMap;
use std::ops::Range;

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{QueryBuilder, Row as _};

use super::as_of::{Question, one, push_made};
use super::begin::Run;
use super::filter::RecordFilter;
use super::lists::{MOST, Slice, advisors, counted, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{AdvisorId, DeviceId, EntryId, ExchangeId, RecordId, Timestamp};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Which.
    pub record: RecordId,
    /// The place of its capture or observation.
    pub index: u64,
    /// The id of that entry.
    pub entry: EntryId,
    /// The place of its newest entry.
    pub last_index: u64,
    /// `capture` or `observation`.
    pub entry_type: String,
    /// When it got its place.
    pub at: Timestamp,
    /// When it was seen, by the raw clock of whoever saw it.
    pub captured_at: Timestamp,
    /// Network.
    pub network: String,
    /// `http`, `websocket` or `sse`.
    pub transport: String,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// Kinds of its communications.
    pub kinds: Vec<String>,
    /// What else must be known.
    pub flags: Vec<String>,
    /// The rule that recognised it.
    pub rule: Option<String>,
    /// Class of the HTTP method.
    pub method: Option<String>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Bytes of the request body, message or fragment.
    pub size: u64,
    /// How many attachments.
    pub attachments: u64,
    /// The device.
    pub device: Option<DeviceId>,
    /// Whose streams it stands in.
    pub advisors: Vec<AdvisorId>,
    /// The capture it repeats.
    pub retry_of: Option<EntryId>,
    /// The entry that this one is a newer recognition of.
    pub derived_from: Option<EntryId>,
    /// The entry of the version seen before.
    pub previous_version: Option<EntryId>,
    /// The outcome entry.
    pub outcome: Option<EntryId>,
    /// `accepted`, `refused` or `unknown`.
    pub state: Option<String>,
    /// HTTP status.
    pub status: Option<u64>,
    /// The place of the entry that disposed of it.
    pub disposed: Option<u64>,
    /// `none`, `readable`, `unreadable` or `disposed`: what became of the sealed fields.
    pub content: String,
}

/// One communication of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommunicationRow {
    /// Whose.
    pub record: RecordId,
    /// The place of the entry that holds it.
    pub index: u64,
    /// Number within the record.
    pub number: u32,
    /// Kind.
    pub kind: String,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// What it says.
    pub text: Option<String>,
    /// The author's id on the network.
    pub author_id: Option<String>,
    /// The author's handle.
    pub author_handle: Option<String>,
    /// The author's display name.
    pub author_name: Option<String>,
    /// The acting account's id.
    pub account_id: Option<String>,
    /// The acting account's handle.
    pub account_handle: Option<String>,
    /// The item's id.
    pub item: Option<String>,
    /// What it answers.
    pub parent: Option<String>,
    /// What began the thread.
    pub root: Option<String>,
    /// The conversation.
    pub conversation: Option<String>,
    /// Where it can be seen.
    pub permalink: Option<String>,
    /// When the network says it happened.
    pub occurred_at: Option<String>,
    /// What it changes.
    pub edited_from: Option<String>,
    /// Who can see it.
    pub visibility: Option<String>,
    /// What is attached, as JSON.
    pub attachments: Option<String>,
    /// Names and descriptions of what is attached.
    pub attached: Option<String>,
    /// Who is addressed, as JSON.
    pub recipients: Option<String>,
    /// Changes when its content does: hex of a digest.
    pub version: Option<String>,
}

pub(super) fn record(row: &PgRow) -> Result<RecordRow, ArchiveError> {
    let entry = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<Uuid>, _>(column)?.map(EntryId::new));
    Ok(RecordRow {
        record: RecordId::new(row.try_get("record")?),
        index: count(row.try_get("entry_index")?),
        entry: EntryId::new(row.try_get("entry")?),
        last_index: count(row.try_get("last_index")?),
        entry_type: row.try_get("type")?,
        at: time(row, "at")?,
        captured_at: time(row, "captured_at")?,
        network: row.try_get("network")?,
        transport: row.try_get("transport")?,
        direction: row.try_get("direction")?,
        kinds: row.try_get("kinds")?,
        flags: row.try_get("flags")?,
        rule: row.try_get("rule")?,
        method: row.try_get("method")?,
        exchange: ExchangeId::new(row.try_get("exchange")?),
        size: count(row.try_get("size")?),
        attachments: count(row.try_get("attachments")?),
        device: row.try_get::<Option<Uuid>, _>("device")?.map(DeviceId::new),
        advisors: advisors(row)?,
        retry_of: entry("retry_of")?,
        derived_from: entry("derived_from")?,
        previous_version: entry("previous_version")?,
        outcome: entry("outcome")?,
        state: row.try_get("state")?,
        status: counted(row, "status")?,
        disposed: counted(row, "disposed")?,
        content: row.try_get("content")?,
    })
}

/// The columns of a communication `c`, as they are or as they stood.
pub(super) fn push_communication(query: &mut Question, size: Option<u64>) {
    query.push(
        "c.record, c.entry_index, c.number, c.kind, c.direction, c.text, c.author_id, c.author_handle, c.author_name,
         c.account_id, c.account_handle, c.parent, c.root, c.conversation, c.edited_from, c.visibility, c.attachments,
         c.recipients, c.version, c.attached",
    );
    for column in ["item", "permalink", "occurred_at"] {
        query.push(", ");
        match size {
            Some(size) => push_made(query, column, size),
            None => drop(query.push("c.").push(column)),
        }
        query.push(" as ").push(column);
    }
}

pub(super) fn communication(row: &PgRow) -> Result<CommunicationRow, ArchiveError> {
    Ok(CommunicationRow {
        record: RecordId::new(row.try_get("record")?),
        index: count(row.try_get("entry_index")?),
        number: u32::try_from(row.try_get::<i32, _>("number")?).unwrap_or(0),
        kind: row.try_get("kind")?,
        direction: row.try_get("direction")?,
        text: row.try_get("text")?,
        author_id: row.try_get("author_id")?,
        author_handle: row.try_get("author_handle")?,
        author_name: row.try_get("author_name")?,
        account_id: row.try_get("account_id")?,
        account_handle: row.try_get("account_handle")?,
        item: row.try_get("item")?,
        parent: row.try_get("parent")?,
        root: row.try_get("root")?,
        conversation: row.try_get("conversation")?,
        permalink: row.try_get("permalink")?,
        occurred_at: row.try_get("occurred_at")?,
        edited_from: row.try_get("edited_from")?,
        visibility: row.try_get("visibility")?,
        attachments: row.try_get("attachments")?,
        attached: row.try_get("attached")?,
        recipients: row.try_get("recipients")?,
        version: row.try_get("version")?,
    })
}

impl Archive {
    /// Records that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn records(&self, filter: &RecordFilter, slice: Slice) -> Result<Vec<RecordRow>, ArchiveError> {
        let rows = self.run(filter, &Run::of(&slice, filter.as_of)).await?;
        rows.iter().map(record).collect()
    }

    /// The best matches of the filter's words, and the place of the oldest record that was ranked where older ones were not.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn best_records(
        &self,
        filter: &RecordFilter,
        slice: Slice,
    ) -> Result<(Vec<RecordRow>, Option<u64>), ArchiveError> {
        let filter = RecordFilter { by_relevance: filter.words.is_some(), ..filter.clone() };
        let rows = self.run(&filter, &Run::of(&slice, filter.as_of)).await?;
        let ranked_from = match rows.first().filter(|_row| filter.by_relevance) {
            Some(row) => counted(row, "ranked_from")?,
            None => None,
        };
        Ok((rows.iter().map(record).collect::<Result<_, _>>()?, ranked_from))
    }

    /// Records of a range of places that fit the filter, oldest first.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn records_within(
        &self,
        filter: &RecordFilter,
        range: Range<u64>,
        limit: u32,
    ) -> Result<Vec<RecordRow>, ArchiveError> {
        let places = range.start..filter.as_of.map_or(range.end, |size| range.end.min(size));
        let rows = self.run(filter, &Run { places, newest_first: false, limit: limit.min(MOST) }).await?;
        rows.iter().map(record).collect()
    }

    /// Bytes of what these records say, so that it can be read in parts that fit into memory.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn text_sizes(&self, records: &[RecordId]) -> Result<HashMap<RecordId, u64>, ArchiveError> {
        let rows = sqlx::query(
            "select record, sum(coalesce(octet_length(text), 0) + coalesce(octet_length(attachments), 0)
                                + coalesce(octet_length(recipients), 0) + 1000)::bigint as size
               from projection.communications where record = any ($1) group by record",
        )
        .bind(records.iter().map(|record| record.uuid()).collect::<Vec<Uuid>>())
        .fetch_all(&self.parts.reader)
        .await?;
        rows.iter().map(|row| Ok((RecordId::new(row.try_get("record")?), count(row.try_get("size")?)))).collect()
    }

    /// One record.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record(&self, id: RecordId) -> Result<Option<RecordRow>, ArchiveError> {
        self.record_as_of(id, None).await
    }

    /// One record as it stood when the ledger had this many entries.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record_as_of(&self, id: RecordId, size: Option<u64>) -> Result<Option<RecordRow>, ArchiveError> {
        let row = one(id, size).build().fetch_optional(&self.parts.reader).await?;
        row.as_ref().map(record).transpose()
    }

    /// The communications of these records, in order of record and number.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn communications(&self, records: &[RecordId]) -> Result<Vec<CommunicationRow>, ArchiveError> {
        self.communications_as_of(records, None).await
    }

    /// The same as they stood when the ledger had this many entries: an answer that came later has not named the item yet.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn communications_as_of(
        &self,
        records: &[RecordId],
        size: Option<u64>,
    ) -> Result<Vec<CommunicationRow>, ArchiveError> {
        let mut query = QueryBuilder::new("select ");
        push_communication(&mut query, size);
        query.push(" from projection.communications c where c.record = any (");
        query.push_bind(records.iter().map(|record| record.uuid()).collect::<Vec<Uuid>>()).push(")");
        if let Some(size) = size {
            query.push(" and c.entry_index < ").push_bind(number(size));
        }
        query.push(" order by c.entry_index, c.number");
        let rows = query.build().fetch_all(&self.parts.reader).await?;
        rows.iter().map(communication).collect()
    }

    /// The places of all entries of a record, oldest first.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record_entries(&self, record: RecordId) -> Result<Vec<u64>, ArchiveError> {
        let places: Vec<i64> = sqlx::query_scalar(
            "select entry_index from projection.record_entries where record = $1 order by entry_index",
        )
        .bind(record.uuid())
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(places.into_iter().map(count).collect())
    }
}
