//! Counts of records by run of entries, kept when a run is complete, so that nobody has to count millions of rows again.
//!
//! Invariant: what is kept for a run follows from the rows as they stood at its end, and is what counting those rows as of that
//! place gives; `read::facets` adds it up, and counts the rest in the same words.

use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Row as _};

use crate::archive::row::number;

/// Counts of `hit` (records) and `said` (their communications), as rows of facet, value and number. A record that has a value several
/// times counts once. `by_kind` says how kinds are counted.
pub(in crate::archive) const COUNTED: &str = "
    select 'total' as facet, '' as value, count(*) as n from hit
    union all select 'network', network, count(*) from hit group by network
    union all select 'direction', direction, count(*) from hit group by direction
    union all select 'outcome', state, count(*) from hit where state is not null group by state
    union all select 'content', content, count(*) from hit group by content
    union all select 'month', month, count(*) from hit group by month
    union all select 'kind', value, n from by_kind
    union all select 'flag', v, count(*) from hit, lateral (select distinct unnest(flags)) as u (v) group by v
    union all select 'advisor', v::text, count(*) from hit, lateral (select distinct unnest(advisors)) as u (v) group by v
    union all select 'account', k.account, count(distinct c.record) from said c
      cross join lateral (values (ledger.account_key(c.network, c.account_id, null)),
                                 (ledger.account_key(c.network, null, c.account_handle))) k (account)
     where k.account is not null group by k.account";
/// A record counts by the kinds it is made of.
pub(in crate::archive) const KINDS: &str =
    "select v as value, count(*) as n from hit, lateral (select distinct unnest(kinds)) as u (v) group by v";

/// What the entries of a range changed of earlier records: as rows of the record's run, facet, value and number. The marks stand for
/// where the tables are, and for expressions: the range, and the places of the records. What was changed is looked up record by record
/// (`offset 0` keeps the planner from doing otherwise): it knows neither the range nor the places when it plans, and would read all records.
const CHANGED: &str = "
    select r.entry_index / ledger.counted_run() as of_run, 'outcome' as facet, then_and_now.value, then_and_now.n
      from (select distinct o.capture from {schema}outcomes o where o.entry_index >= {from} and o.entry_index < {until}) answered
     cross join lateral (select r.entry, r.entry_index, r.type from {schema}records r where r.entry = answered.capture offset 0) r
     cross join lateral (values
           (coalesce((select a.state from {schema}outcomes a where a.capture = r.entry and a.entry_index < {from}
                       order by a.entry_index desc limit 1), 'none'), -1),
           (coalesce((select a.state from {schema}outcomes a where a.capture = r.entry and a.entry_index < {until}
                       order by a.entry_index desc limit 1), 'none'), 1)) then_and_now (value, n)
     where r.type = 'capture' and r.entry_index >= {first} and r.entry_index < {last}
    union all
    select r.entry_index / ledger.counted_run(), 'advisor', t.advisor::text, 1
      from {schema}attributions t
     cross join lateral (select r.entry_index from {schema}records r where r.record = t.record offset 0) r
     where t.entry_index >= {from} and t.entry_index < {until} and r.entry_index >= {first} and r.entry_index < {last}
    union all
    select r.entry_index / ledger.counted_run(), 'content', then_and_now.value, then_and_now.n
      from {schema}disposals d
     cross join lateral (select r.entry_index, r.disposed, r.content from {schema}records r where r.record = d.record offset 0) r
     cross join (values ('readable', -1), ('disposed', 1)) then_and_now (value, n)
     where d.entry_index >= {from} and d.entry_index < {until} and r.disposed = d.entry_index and r.content = 'disposed'
       and r.entry_index >= {first} and r.entry_index < {last}";

/// The text of [`CHANGED`] for tables in this schema: what the entries `from` to `until` changed of the records `first` to `last`.
pub(in crate::archive) fn changed(schema: &str, [from, until, first, last]: [&str; 4]) -> String {
    let marks = [("{schema}", schema), ("{from}", from), ("{until}", until), ("{first}", first), ("{last}", last)];
    marks.into_iter().fold(CHANGED.to_owned(), |text, (mark, stands)| text.replace(mark, stands))
}

/// Content whose key is gone before its disposal is projected was readable until then, to whoever asks.
fn keep() -> String {
    let changed = changed("", ["$1", "$2", "0", "$1"]);
    format!(
        "insert into counts (of_run, by_run, facet, value, n)
         with hit as materialized (
             select r.record, r.network, r.direction, r.kinds, r.flags, r.advisors,
                    case when r.type = 'capture' then coalesce(r.state, 'none') end as state,
                    to_char(r.at at time zone 'UTC', 'YYYY-MM') as month,
                    case when r.content = 'disposed' and r.disposed is null then 'readable' else r.content end as content
               from records r where r.entry_index >= $1 and r.entry_index < $2
         ), said as (
             select c.record, r.network, c.account_id, c.account_handle from hit r join communications c on c.record = r.record
         ), by_kind as ({KINDS}), counted as ({COUNTED}), changed as ({changed})
         select $1 / ledger.counted_run(), $1 / ledger.counted_run(), facet, value, n from counted where n <> 0
         union all
         select of_run, $1 / ledger.counted_run(), facet, value, sum(n) from changed
          group by of_run, facet, value having sum(n) <> 0"
    )
}

/// Keeps the counts of the run that ends here, if one does; everything below is projected, and nothing else.
pub(super) async fn complete(connection: &mut PgConnection, end: u64, run: u64) -> Result<(), sqlx::Error> {
    let Some(from) = end.checked_sub(run).filter(|_start| end.is_multiple_of(run)) else { return Ok(()) };
    sqlx::query(AssertSqlSafe(keep())).bind(number(from)).bind(number(end)).execute(connection).await?;
    Ok(())
}

/// What disposal takes away from the counts of runs that are complete: whose accounts the records were of; and that what could not be
/// read before can be told from what could. Before the rows themselves lose it.
const FORGET: &str = "
with gone as materialized (
    select r.record, r.network, r.content, r.entry_index / ledger.counted_run() as run
      from records r
     where r.record = any ($1)
       and r.entry_index / ledger.counted_run() < (select p.next_index / ledger.counted_run() from progress p)
), less as (
    select g.run, 'account' as facet, k.account as value, -count(distinct g.record) as n
      from gone g join communications c on c.record = g.record
     cross join lateral (values (ledger.account_key(g.network, c.account_id, null)),
                                (ledger.account_key(g.network, null, c.account_handle))) k (account)
     where k.account is not null group by g.run, k.account
    union all select g.run, 'content', 'unreadable', -count(*) from gone g where g.content = 'unreadable' group by g.run
    union all select g.run, 'content', 'readable', count(*) from gone g where g.content = 'unreadable' group by g.run
)
insert into counts as c (of_run, by_run, facet, value, n) select run, run, facet, value, n from less
    on conflict (of_run, by_run, facet, value) do update set n = c.n + excluded.n
returning c.of_run";
const NOTHING_LEFT: &str = "delete from counts where n = 0 and of_run = any ($1)";

/// Takes what these records lose out of the counts.
pub(super) async fn forget(connection: &mut PgConnection, records: &[Uuid]) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(FORGET).bind(records).fetch_all(&mut *connection).await?;
    let mut runs: Vec<i64> = rows.iter().map(|row| row.try_get("of_run")).collect::<Result<_, _>>()?;
    runs.dedup();
    if !runs.is_empty() {
        sqlx::query(NOTHING_LEFT).bind(runs).execute(connection).await?;
    }
    Ok(())
}
