//! Records, by filter; and one record with its communications and its history.

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::lists::{MOST, Slice, advisors, counted, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::archive::words::{self, Match, WordQuery};
use crate::record::{AccountId, AdvisorId, DeviceId, EntryId, ExchangeId, RecordId, Timestamp};

/// Which records. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// In this advisor's stream.
    pub advisor: Option<AdvisorId>,
    /// From this device.
    pub device: Option<DeviceId>,
    /// On this network.
    pub network: Option<String>,
    /// Holding a communication of this kind.
    pub kind: Option<String>,
    /// `outbound` or `inbound`.
    pub direction: Option<String>,
    /// By this account.
    pub account: Option<AccountId>,
    /// In this conversation, as the network has it.
    pub conversation: Option<String>,
    /// About this item, as the network has it.
    pub item: Option<String>,
    /// With this outcome; `none` for those without one.
    pub state: Option<String>,
    /// Bearing this flag, such as `off_channel`.
    pub flag: Option<String>,
    /// `none`, `readable`, `unreadable` or `disposed`.
    pub content: Option<String>,
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Holding these characters, in any case. Fewer than three read every text that the other conditions leave.
    pub text: Option<String>,
    /// Holding these words, in the text or in what is attached.
    pub words: Option<WordQuery>,
    /// In `text`, diacritics count.
    pub exact: bool,
    /// The best matches of `words` first, and no more than one slice of them; the slice's bounds and order do not count.
    pub by_relevance: bool,
}

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
}

fn record(row: &PgRow) -> Result<RecordRow, ArchiveError> {
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
        outcome: entry("outcome")?,
        state: row.try_get("state")?,
        status: counted(row, "status")?,
        disposed: counted(row, "disposed")?,
        content: row.try_get("content")?,
    })
}

fn communication(row: &PgRow) -> Result<CommunicationRow, ArchiveError> {
    Ok(CommunicationRow {
        record: RecordId::new(row.try_get("record")?),
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
    })
}

impl RecordFilter {
    /// The question, of constant text and bound values. Only what is asked for is in it, so that the database can begin with
    /// whichever condition leaves least.
    fn query(&self, slice: &Slice) -> QueryBuilder<Postgres> {
        let (lower, upper) = slice.bounds();
        let mut query = QueryBuilder::new("select r.* from projection.records r where r.entry_index > ");
        query.push_bind(lower).push(" and r.entry_index < ").push_bind(upper);
        self.push_facts(&mut query);
        // Times rise with the index: as a bound on the index they cost one look each.
        for (time, than) in [(self.since, " >= "), (self.until, " < ")] {
            let Some(time) = time else { continue };
            query.push(" and r.entry_index").push(than);
            query.push("coalesce((select b.entry_index from projection.records b where b.at >= ");
            query.push_bind(time.date_time()).push(" order by b.at, b.entry_index limit 1), 9223372036854775807)");
        }
        self.push_parts(&mut query);
        query.push(" order by ");
        if let Some(words) = self.words.as_ref().filter(|_words| self.by_relevance) {
            // Cover density, so that words close to each other count for more, over the logarithm of the length.
            query.push("(select max(ts_rank_cd(c.words, ").push_bind(words.to_tsquery());
            query.push("::tsquery, 1)) from projection.communications c where c.record = r.record) desc nulls last, ");
        }
        query.push("r.entry_index").push(if slice.newest_first { " desc" } else { "" });
        query.push(" limit ").push_bind(i64::from(slice.limit.min(MOST)));
        query
    }

    fn push_facts(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(advisor) = self.advisor {
            query.push(" and r.advisors @> array[").push_bind(advisor.uuid()).push("]");
        }
        if let Some(device) = self.device {
            query.push(" and r.device = ").push_bind(device.uuid());
        }
        if let Some(kind) = &self.kind {
            query.push(" and r.kinds @> array[").push_bind(clean(kind)).push("]");
        }
        if let Some(flag) = &self.flag {
            query.push(" and r.flags @> array[").push_bind(clean(flag)).push("]");
        }
        match self.state.as_deref() {
            // Only captures are answered.
            Some("none") => drop(query.push(" and r.type = 'capture' and r.state is null")),
            Some(state) => drop(query.push(" and r.state = ").push_bind(clean(state))),
            None => {}
        }
        let words = [("r.network", &self.network), ("r.direction", &self.direction), ("r.content", &self.content)];
        for (column, word) in words {
            if let Some(word) = word {
                query.push(" and ").push(column).push(" = ").push_bind(clean(word));
            }
        }
    }

    /// Conditions on communications are one `exists`, so that they hold of the same communication.
    fn push_parts(&self, query: &mut QueryBuilder<Postgres>) {
        let of_content = [&self.conversation, &self.item, &self.text];
        if self.account.is_none() && self.words.is_none() && of_content.iter().all(|condition| condition.is_none()) {
            return;
        }
        query.push(" and exists (select from projection.communications c where c.record = r.record");
        if let Some(kind) = &self.kind {
            query.push(" and c.kind = ").push_bind(clean(kind));
        }
        if let Some(account) = self.account {
            // The handle decides only where the network's id is not known: a handle can move to another account.
            query.push(
                " and exists (select from projection.accounts a where a.network = r.network
                                 and (a.network_id = c.account_id
                                      or a.network_id is null and lower(ltrim(a.handle, '@')) = lower(ltrim(c.account_handle, '@')))
                                 and a.account = ",
            );
            query.push_bind(account.uuid()).push(")");
        }
        if let Some(conversation) = &self.conversation {
            query.push(" and c.conversation = ").push_bind(clean(conversation));
        }
        if let Some(item) = &self.item {
            query.push(" and (c.item = ").push_bind(clean(item));
            query.push(" or c.edited_from = ").push_bind(clean(item)).push(")");
        }
        if let Some(words) = &self.words {
            query.push(" and c.words @@ ").push_bind(words.to_tsquery()).push("::tsquery");
        }
        if let Some(text) = &self.text {
            query.push(" and c.folded like ").push_bind(pattern(&words::folded(&clean(text))));
            if self.exact {
                query.push(" and concat_ws(chr(10), c.text, c.attached) ilike ").push_bind(pattern(&clean(text)));
            }
        }
        query.push(")");
    }
}

/// Postgres text holds no zero byte, and neither does anything that is projected.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The text as a pattern that finds it anywhere, and nothing else.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl RecordFilter {
    /// Why the filter finds a communication: where its text, or what is attached to it, holds what is looked for.
    #[must_use]
    pub fn explain(&self, communication: &CommunicationRow) -> Vec<(Within, Match)> {
        let within = [(Within::Text, &communication.text), (Within::Attachments, &communication.attached)];
        let texts = within.into_iter().filter_map(|(within, text)| Some((within, text.as_deref()?)));
        let matches = texts.flat_map(|(within, text)| {
            let words = self.words.iter().flat_map(|words| words.explain(text));
            let characters = self.text.iter().flat_map(|typed| words::substrings(text, typed));
            words.chain(characters).map(|found| (within, found)).collect::<Vec<_>>()
        });
        matches.collect()
    }
}

/// Where in a communication something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In what it says.
    Text,
    /// In names and descriptions of what is attached.
    Attachments,
}

impl Archive {
    /// Records that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn records(&self, filter: &RecordFilter, slice: Slice) -> Result<Vec<RecordRow>, ArchiveError> {
        // Planned for these values each time: which index is good depends on them.
        let rows = filter.query(&slice).build().persistent(false).fetch_all(&self.parts.reader).await?;
        rows.iter().map(record).collect()
    }

    /// One record.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record(&self, id: RecordId) -> Result<Option<RecordRow>, ArchiveError> {
        let row = sqlx::query("select * from projection.records where record = $1")
            .bind(id.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// The communications of these records, in order of record and number.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn communications(&self, records: &[RecordId]) -> Result<Vec<CommunicationRow>, ArchiveError> {
        let ids: Vec<Uuid> = records.iter().map(|record| record.uuid()).collect();
        let rows =
            sqlx::query("select * from projection.communications where record = any ($1) order by entry_index, number")
                .bind(ids)
                .fetch_all(&self.parts.reader)
                .await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_is_taken_literally() {
        assert_eq!(pattern("100%_a\\b"), "%100\\%\\_a\\\\b%");
    }
}
