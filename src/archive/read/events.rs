//! What happened, in ledger order: new records, answers, late attributions, gaps, alarms.
//!
//! Invariant: one event per entry at most, and what is answered as reached was looked at whole: rows and how far the projections are
//! come from one snapshot, so that a cursor skips nothing, also while projections lag or are made again.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use super::lists::{advisors, counted, some_time, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{clean, count, number};
use crate::record::{AdvisorId, DeviceId, EntryId, RecordId, Timestamp, WebhookId};

/// Entries looked at by one question at most, so that it stays quick however rare it is what is asked for.
const WINDOW: u64 = 20_000;

/// Which events. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// New records.
    pub records: bool,
    /// What origins answered.
    pub outcomes: bool,
    /// Records that turned out to be an advisor's.
    pub attributions: bool,
    /// Gaps.
    pub gaps: bool,
    /// Failed verifications, entries that cannot be read, webhooks that the service has disabled.
    pub alarms: bool,
    /// Of this advisor; alarms are nobody's.
    pub advisor: Option<AdvisorId>,
    /// On this network; alarms are on none.
    pub network: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its entry.
    pub index: u64,
    /// When it got its place; not known of an entry that cannot be read.
    pub at: Option<Timestamp>,
    /// The record concerned.
    pub record: Option<RecordId>,
    /// The network, where known.
    pub network: Option<String>,
    /// The device, where known.
    pub device: Option<DeviceId>,
    /// Whose it is, as far as is known now.
    pub advisors: Vec<AdvisorId>,
    /// What it is.
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Something was kept.
    Record {
        /// `capture` or `observation`.
        entry_type: String,
        /// `http`, `websocket` or `sse`.
        transport: String,
        /// `outbound` or `inbound`.
        direction: String,
        /// Kinds of its communications.
        kinds: Vec<String>,
        /// What else must be known.
        flags: Vec<String>,
        /// Bytes.
        size: u64,
        /// How many attachments.
        attachments: u64,
        /// The capture it repeats.
        retry_of: Option<EntryId>,
    },
    /// An origin answered, or will not.
    Outcome {
        /// The capture it closes.
        capture: EntryId,
        /// `accepted`, `refused` or `unknown`.
        state: String,
        /// HTTP status.
        status: Option<u64>,
        /// Why it is unknown.
        cause: Option<String>,
    },
    /// A record turned out to be an advisor's.
    Attribution,
    /// Something could not be kept, or not be read.
    Gap {
        /// Why.
        cause: String,
        /// How many.
        count: u64,
        /// First moment concerned.
        since: Timestamp,
        /// Last moment concerned.
        until: Timestamp,
    },
    /// A verification failed.
    VerificationFailed {
        /// How much was verified.
        scope: String,
        /// How many failures.
        failures: u64,
        /// The first index that failed.
        first_failure: Option<u64>,
    },
    /// The service has disabled a webhook.
    WebhookStopped {
        /// Which.
        webhook: WebhookId,
    },
    /// An entry cannot be read.
    EntryDamaged {
        /// What is wrong, as a word.
        problem: String,
    },
}

/// A run of events.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// In ledger order.
    pub events: Vec<EventRow>,
    /// Where to go on: everything before it was looked at.
    pub next: u64,
    /// How far the projections are: there is more before that.
    pub projected: u64,
}

/// `$1` is where to begin, `$2` the length of the window, `$3` the limit; then advisor, network, and one switch per kind. Each part
/// has the columns of the first; `word` and `words` are what the kind makes of them.
const EVENTS: &str = "
with place as (select coalesce((select next_index from projection.progress), 0) as projected),
     window_end as (select projected, least(projected, $1::bigint + $2::bigint) as until from place)
select w.projected, w.until, e.* from window_end w left join lateral (
    (select r.entry_index, 'record' as event, r.at, r.record, r.network, r.device, r.advisors, r.type as word, r.transport, r.direction,
            r.kinds, r.flags, r.size as counted, r.attachments as second, r.retry_of as entry, null::text as cause,
            null::timestamptz as since, null::timestamptz as upto
       from projection.records r
      where $6 and r.entry_index >= $1 and r.entry_index < w.until
        and ($4::uuid is null or r.advisors @> array[$4]) and ($5::text is null or r.network = $5)
      order by r.entry_index limit $3)
    union all
    (select o.entry_index, 'outcome', o.at, o.record, r.network, r.device, coalesce(r.advisors, '{}'), o.state, null, null,
            null, null, null, o.status, o.capture, o.cause, null, null
       from projection.outcomes o left join projection.records r on r.record = o.record
      where $7 and o.entry_index >= $1 and o.entry_index < w.until
        and ($4::uuid is null or r.advisors @> array[$4]) and ($5::text is null or r.network = $5)
      order by o.entry_index limit $3)
    union all
    (select a.entry_index, 'attribution', null, a.record, r.network, r.device, r.advisors, null, null, null,
            null, null, null, null, null, null, null, null
       from projection.record_entries a join projection.records r on r.record = a.record
      where $8 and a.type = 'attribution' and a.entry_index >= $1 and a.entry_index < w.until
        and ($4::uuid is null or r.advisors @> array[$4]) and ($5::text is null or r.network = $5)
      order by a.entry_index limit $3)
    union all
    (select g.entry_index, 'gap', g.at, null, g.network, g.device, g.advisors, g.cause, null, null,
            null, null, g.count, null, null, null, g.since, g.until
       from projection.gaps g
      where $9 and g.entry_index >= $1 and g.entry_index < w.until
        and ($4::uuid is null or g.advisors @> array[$4]) and ($5::text is null or g.network = $5)
      order by g.entry_index limit $3)
    union all
    (select v.entry_index, 'verification', v.at, null, null, null, '{}', v.scope, null, null,
            null, null, v.failures, v.first_failure, null, null, null, null
       from projection.verifications v
      where $10 and v.entry_index >= $1 and v.entry_index < w.until and v.result <> 'verified'
        and $4::uuid is null and $5::text is null
      order by v.entry_index limit $3)
    union all
    (select s.entry_index, 'webhook', s.at, null, null, null, '{}', null, null, null,
            null, null, null, null, s.record, null, null, null
       from projection.settings s
      where $10 and s.entry_index >= $1 and s.entry_index < w.until and s.change = 'webhook_stopped' and s.record is not null
        and $4::uuid is null and $5::text is null
      order by s.entry_index limit $3)
    union all
    -- What can be shown as something else is shown as that.
    (select f.entry_index, 'fault', null, null, null, null, '{}', f.problem, null, null,
            null, null, null, null, null, null, null, null
       from projection.faults f
      where $10 and f.entry_index >= $1 and f.entry_index < w.until and $4::uuid is null and $5::text is null
        and not exists (select from projection.records r where r.entry_index = f.entry_index)
        and not exists (select from projection.outcomes o where o.entry_index = f.entry_index)
        and not exists (select from projection.gaps g where g.entry_index = f.entry_index)
        and not exists (select from projection.verifications v where v.entry_index = f.entry_index)
        and not exists (select from projection.settings s where s.entry_index = f.entry_index and s.change = 'webhook_stopped')
        and not exists (select from projection.record_entries a
                         where a.entry_index = f.entry_index and a.type = 'attribution')
      order by f.entry_index limit $3)
    order by 1 limit $3
) e on true
order by e.entry_index";

fn event(row: &PgRow) -> Result<Option<EventRow>, ArchiveError> {
    let Some(index) = counted(row, "entry_index")? else { return Ok(None) };
    let text = |column| row.try_get::<Option<String>, _>(column);
    let words = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<Vec<String>>, _>(column)?.unwrap_or_default());
    let word = text("word")?.unwrap_or_default();
    let entry = row.try_get::<Option<Uuid>, _>("entry")?.map(EntryId::new);
    let (counted_first, second) = (counted(row, "counted")?, counted(row, "second")?);
    let kind: String = row.try_get("event")?;
    let missing = |problem| ArchiveError::Row { table: "projection", problem };
    let what = match kind.as_str() {
        "record" => Happened::Record {
            entry_type: word,
            transport: text("transport")?.unwrap_or_default(),
            direction: text("direction")?.unwrap_or_default(),
            kinds: words("kinds")?,
            flags: words("flags")?,
            size: counted_first.unwrap_or_default(),
            attachments: second.unwrap_or_default(),
            retry_of: entry,
        },
        "outcome" => Happened::Outcome {
            capture: entry.ok_or(missing("an outcome has no capture"))?,
            state: word,
            status: second,
            cause: text("cause")?,
        },
        "attribution" => Happened::Attribution,
        "gap" => Happened::Gap {
            cause: word,
            count: counted_first.unwrap_or_default(),
            since: time(row, "since")?,
            until: time(row, "upto")?,
        },
        "verification" => Happened::VerificationFailed {
            scope: word,
            failures: counted_first.unwrap_or_default(),
            first_failure: second,
        },
        "webhook" => Happened::WebhookStopped {
            webhook: entry.map(|id| WebhookId::new(id.uuid())).ok_or(missing("an alarm names no webhook"))?,
        },
        _ => Happened::EntryDamaged { problem: word },
    };
    Ok(Some(EventRow {
        index,
        at: some_time(row, "at")?,
        record: row.try_get::<Option<Uuid>, _>("record")?.map(RecordId::new),
        network: text("network")?,
        device: row.try_get::<Option<Uuid>, _>("device")?.map(DeviceId::new),
        advisors: advisors(row)?,
        what,
    }))
}

impl Archive {
    /// The next events at or after this place, at most so many, out of what is projected.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn events(&self, filter: &EventFilter, from: u64, limit: u32) -> Result<EventPage, ArchiveError> {
        let rows = sqlx::query(EVENTS)
            .bind(number(from))
            .bind(number(WINDOW))
            .bind(i64::from(limit))
            .bind(filter.advisor.map(AdvisorId::uuid))
            .bind(filter.network.as_deref().map(clean))
            .bind(filter.records)
            .bind(filter.outcomes)
            .bind(filter.attributions)
            .bind(filter.gaps)
            .bind(filter.alarms)
            .fetch_all(&self.parts.reader)
            .await?;
        let place = rows.first().ok_or(ArchiveError::Row { table: "projection.progress", problem: "no answer" })?;
        let (projected, until) = (count(place.try_get("projected")?), count(place.try_get("until")?));
        let events: Vec<EventRow> = rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<_, _>>()?;
        let is_full = u32::try_from(events.len()).is_ok_and(|count| count >= limit);
        let last = events.last().filter(|_| is_full).map(|last| last.index.saturating_add(1));
        // Projections that are made again may be behind: the cursor stays where it is.
        Ok(EventPage { events, next: last.unwrap_or(until).max(from), projected })
    }
}
