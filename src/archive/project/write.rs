//! Writes the rows of a run of entries. Names of tables carry no schema: a rebuild writes the same rows elsewhere.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::counts;
use super::rows::{Attributed, Rows};
use crate::archive::row::number;

/// A table and how its rows go in: JSON, whose members are named as its columns.
const RECORDS: &str = "
with added as (
    insert into records select * from jsonb_populate_recordset(null::records, $1) on conflict (record) do nothing
    returning advisors, entry_index, record),
by_advisor as (
    insert into advised (advisor, entry_index, record)
    select distinct a, r.entry_index, r.record from added r cross join unnest(r.advisors) a)
select count(*) from added";
const COMMUNICATIONS: &str = "
insert into communications (record, entry_index, number, kind, direction, text, author_id, author_handle, author_name,
                            account_id, account_handle, item, parent, root, conversation, permalink, occurred_at,
                            edited_from, visibility, attachments, version, recipients, addressed, followers, detail,
                            attached, words, folded)
select record, entry_index, number, kind, direction, text, author_id, author_handle, author_name,
       account_id, account_handle, item, parent, root, conversation, permalink, occurred_at, edited_from, visibility,
       attachments, version, recipients, addressed, followers, detail, attached, words, folded
  from jsonb_populate_recordset(null::communications, $1) on conflict (record, number) do nothing";
const ATTACHMENTS: &str = "
insert into attachments select * from jsonb_populate_recordset(null::attachments, $1)
    on conflict (record, number, position) do nothing";
const ANSWERS: &str =
    "insert into outcomes select * from jsonb_populate_recordset(null::outcomes, $1) on conflict do nothing";
const DISPOSALS: &str =
    "insert into disposals select * from jsonb_populate_recordset(null::disposals, $1) on conflict do nothing";
const FAULTS: &str =
    "insert into faults select * from jsonb_populate_recordset(null::faults, $1) on conflict do nothing";
const RECORD_ENTRIES: &str = "
insert into record_entries select * from jsonb_populate_recordset(null::record_entries, $1)";
const GAPS: &str = "insert into gaps select * from jsonb_populate_recordset(null::gaps, $1)";
/// Whom a look concerns follows from the records it shows, as they stand now: what is attributed or disposed of later changes it below.
const LOOKS: &str = "
insert into looks (entry_index, at, officer, operation, allowed, count, advisor, records, purpose, query, record, advisors,
                   accounts, subjects)
select l.entry_index, l.at, l.officer, l.operation, l.allowed, l.count, l.advisor, l.records, l.purpose, l.query, l.record,
       coalesce((select array_agg(distinct a.advisor order by a.advisor)
                   from (select l.advisor union all
                         select unnest(r.advisors) from records r where r.record = any (l.records)) a (advisor)
                  where a.advisor is not null), '{}'),
       coalesce((select array_agg(distinct a.account order by a.account)
                   from records r join communications c using (record)
                        cross join lateral (values (ledger.account_key(r.network, c.account_id, null)),
                                                   (ledger.account_key(r.network, null, c.account_handle))) a (account)
                  where r.record = any (l.records) and a.account is not null), '{}'),
       l.subjects
  from jsonb_populate_recordset(null::looks, $1) l";
const IDENTITIES: &str = "insert into identities select * from jsonb_populate_recordset(null::identities, $1)";
const SETTINGS: &str = "insert into settings select * from jsonb_populate_recordset(null::settings, $1)";
const VERIFICATIONS: &str = "insert into verifications select * from jsonb_populate_recordset(null::verifications, $1)";

/// Later entries about records that are there already. After the outcomes, which say so themselves: a row that is changed twice is written
/// twice, with all its places in indexes.
const LAST: &str = "
update records r set last_index = greatest(r.last_index, e.last)
  from (select record, max(entry_index) as last from jsonb_populate_recordset(null::record_entries, $1) group by record) e
 where r.record = e.record and r.last_index < e.last";
const OUTCOMES: &str = "
update records r set outcome = o.outcome, state = o.state, status = o.status, last_index = greatest(r.last_index, o.entry_index)
  from jsonb_to_recordset($1) as o (capture uuid, entry_index bigint, outcome uuid, state text, status bigint)
 where r.entry = o.capture";
/// What the communications themselves said, before the first answer that says something else.
const SAID: &str = "
insert into made (record, entry_index, number, item, permalink, occurred_at)
select distinct c.record, c.entry_index, c.number, c.item, c.permalink, c.occurred_at
  from jsonb_to_recordset($1) as m (record uuid, number integer)
  join communications c on c.record = m.record and c.number = m.number
    on conflict do nothing";
const MADE: &str = "insert into made select * from jsonb_populate_recordset(null::made, $1) on conflict do nothing";
/// The newest word counts.
const NEWEST: &str = "
update communications c
   set item = coalesce(m.item, c.item), permalink = coalesce(m.permalink, c.permalink),
       occurred_at = coalesce(m.occurred_at, c.occurred_at)
  from (select record, number, (array_agg(item order by entry_index desc) filter (where item is not null))[1] as item,
               (array_agg(permalink order by entry_index desc) filter (where permalink is not null))[1] as permalink,
               (array_agg(occurred_at order by entry_index desc) filter (where occurred_at is not null))[1] as occurred_at
          from jsonb_populate_recordset(null::made, $1) group by record, number) m
 where c.record = m.record and c.number = m.number";
/// Since when, for those whose it was not from the start.
const ATTRIBUTED_SINCE: &str = "
insert into attributions (record, advisor, entry_index)
select r.record, a, $3 from records r cross join unnest($2) a where r.record = $1 and not r.advisors @> array[a]
    on conflict do nothing";
const ATTRIBUTED: &str = "
update records set advisors = (select array_agg(distinct a order by a) from unnest(advisors || $2) a) where record = $1";
const ADVISED: &str = "
insert into advised (advisor, entry_index, record)
select a, r.entry_index, r.record from records r cross join unnest($2) a where r.record = $1 on conflict do nothing";
const LOOKS_ATTRIBUTED: &str = "
update looks set advisors = (select array_agg(distinct a order by a) from unnest(advisors || $2) a) where records @> array[$1]";
const DISPOSED: &[&str] = &[
    "update records
        set disposed = $2, last_index = greatest(last_index, $2),
            content = case content when 'none' then content else 'disposed' end where record = any ($1)",
    "delete from faults where $2 >= 0 and entry_index in (select entry_index from record_entries where record = any ($1))",
    "delete from attachments where record = any ($1) and $2 >= 0",
    "delete from made where record = any ($1) and $2 >= 0",
    "update outcomes set reason = null where record = any ($1) and $2 >= 0",
    "update communications
        set text = null, author_id = null, author_handle = null, author_name = null, account_id = null,
            account_handle = null, item = null, parent = null, root = null, conversation = null, permalink = null,
            occurred_at = null, edited_from = null, visibility = null, attachments = null, recipients = null, addressed = null,
            followers = null, version = null, detail = null, attached = null, words = null, folded = null
      where record = any ($1) and $2 >= 0",
    "update gaps set host = null where record = any ($1) and $2 >= 0",
    "update looks set purpose = null, query = null, subjects = '{}' where record = any ($1) and $2 >= 0",
    "update advisors set name = null where record = any ($1) and $2 >= 0",
    "update devices set name = null where record = any ($1) and $2 >= 0",
    "update accounts set name = null, handle = null, network_id = null where record = any ($1) and $2 >= 0",
    "update officers set name = null, expires_at = null, operations = '{}', advisors = '{}' where record = any ($1) and $2 >= 0",
    "update identities set name = null, handle = null, network_id = null where record = any ($1) and $2 >= 0",
    "update matters set name = null, description = null, external = null where record = any ($1) and $2 >= 0",
    "update matter_entries set name = null, description = null, external = null, reason = null, text = null
      where record = any ($1) and $2 >= 0",
    "update holds set name = null, reason = null, query = null, release_reason = null where record = any ($1) and $2 >= 0",
    "update hold_entries set reason = null where record = any ($1) and $2 >= 0",
    // After the communications have lost them: what other records of the same look say stays.
    "update looks l
        set accounts = coalesce((select array_agg(distinct a.account order by a.account)
                   from records r join communications c using (record)
                        cross join lateral (values (ledger.account_key(r.network, c.account_id, null)),
                                                   (ledger.account_key(r.network, null, c.account_handle))) a (account)
                  where r.record = any (l.records) and a.account is not null), '{}')
      where l.records && $1 and $2 >= 0",
    "update account_versions set handle = null, network_id = null where record = any ($1) and $2 >= 0",
];

/// Answers with how many rows were written.
async fn put<T: Serialize>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    Ok(sqlx::query(statement).bind(Json(rows)).execute(connection).await?.rows_affected())
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// A record that is new by its entry is there already: what was folded into its row would be lost with the row. Nothing may be kept
    /// of what was written.
    Clash,
}

pub(super) async fn write(connection: &mut PgConnection, rows: Rows) -> Result<Written, sqlx::Error> {
    let mut added = 0;
    if !rows.records.is_empty() {
        let count: i64 = sqlx::query_scalar(RECORDS).bind(Json(&rows.records)).fetch_one(&mut *connection).await?;
        added = count.unsigned_abs();
    }
    added += put(connection, COMMUNICATIONS, &rows.communications).await?;
    let is_folded = !rows.folded.records.is_empty();
    if is_folded && added < (rows.records.len() + rows.communications.len()) as u64 {
        return Ok(Written::Clash);
    }
    put(connection, ATTACHMENTS, &rows.attachments_of).await?;
    put(connection, RECORD_ENTRIES, &rows.record_entries).await?;
    put(connection, GAPS, &rows.gaps).await?;
    put(connection, LOOKS, &rows.looks).await?;
    put(connection, SETTINGS, &rows.settings).await?;
    let of_people = rows.identities.iter().filter(|identity| identity.is_of_people());
    put(connection, IDENTITIES, &of_people.collect::<Vec<_>>()).await?;
    put(connection, VERIFICATIONS, &rows.verifications).await?;
    put(connection, FAULTS, &rows.faults).await?;
    put(connection, DISPOSALS, &rows.disposals).await?;
    put(connection, ANSWERS, &rows.answers).await?;
    put(connection, OUTCOMES, &rows.outcomes.into_values().collect::<Vec<_>>()).await?;
    let earlier = rows.record_entries.iter().filter(|entry| !rows.folded.records.contains(&entry.record));
    put(connection, LAST, &earlier.collect::<Vec<_>>()).await?;
    put(connection, MADE, &rows.folded.made).await?;
    for statement in [SAID, MADE, NEWEST] {
        put(connection, statement, &rows.made).await?;
    }
    for Attributed { record, advisors, entry_index } in rows.attributed {
        let since = sqlx::query(ATTRIBUTED_SINCE).bind(record).bind(&advisors).bind(number(entry_index));
        since.execute(&mut *connection).await?;
        for statement in [ATTRIBUTED, ADVISED, LOOKS_ATTRIBUTED] {
            sqlx::query(statement).bind(record).bind(&advisors).execute(&mut *connection).await?;
        }
    }
    for identity in &rows.identities {
        identity.write(connection).await?;
    }
    for webhook in &rows.webhooks {
        webhook.write(connection).await?;
    }
    for matter in &rows.matters {
        matter.write(connection).await?;
    }
    for hold in &rows.holds {
        hold.write(connection).await?;
    }
    for (records, index) in &rows.disposed {
        counts::forget(connection, records).await?;
        for statement in DISPOSED {
            sqlx::query(*statement).bind(records).bind(number(*index)).execute(&mut *connection).await?;
        }
    }
    Ok(Written::All)
}
