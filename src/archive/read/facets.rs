//! Counts of what a filter finds, by what it may be narrowed by. One statement on one snapshot: the parts agree with the total.
//!
//! Invariant: what is counted is counted exactly, as of a size; what would take too long is not counted, and the answer says so.
//! All records, and those of a span of time, are added up from what was kept of each run of entries ([`project::counts`]); of
//! what any other filter finds the newest [`COUNTED_MOST`] are counted.
//!
//! [`project::counts`]: crate::archive::project

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::as_of::Question;
use super::begin::Named;
use super::filter::{Acting, RecordFilter};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::project::{COUNTED, KINDS, changed};
use crate::archive::row::{count, number};

/// Values of one facet at most, the most frequent first.
const MOST: i64 = 1_000;
/// Records that are counted one by one at most: what a second is enough for.
const COUNTED_MOST: i64 = 50_000;

/// How many records of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCount {
    /// The value.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

/// How many records, and how many of each value of each facet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Records found.
    pub total: u64,
    /// By facet: `network`, `kind`, `direction`, `advisor`, `account`, `outcome`, `flag`, `content`, `month`; the most frequent values
    /// first, at most 1,000 of them.
    pub by: BTreeMap<String, Vec<FacetCount>>,
    /// Values of a facet that are not among them.
    pub others: BTreeMap<String, u64>,
    /// There are older ones: those from this place on were counted.
    pub counted_from: Option<u64>,
}

/// Where something is asked of its communications, a record counts by those that fit.
const KINDS_OF_PARTS: &str = "select kind as value, count(distinct record) as n from said group by kind";

/// Which account it is that a key names, and the most frequent values of each facet.
const RANKED: &str = "
), named (facet, value, n) as (
    select s.facet, a.account::text, s.n from summed s join account a on ledger.account_key(a.network, a.network_id, a.handle) = s.value
     where s.facet = 'account'
    union all select facet, value, n from summed where facet <> 'account'
), ranked as (
    select facet, value, n, row_number() over (partition by facet order by n desc, value) as place,
           count(*) over (partition by facet) as members from named
)
select facet, value, n, members from ranked where place <= ";

/// Places of the records that are counted, as of a size; and which of them stand in whole runs that are complete.
struct Places {
    size: i64,
    from: i64,
    until: i64,
    /// Places of the first and behind the last whole run; the same where there is none.
    first: i64,
    last: i64,
    run: i64,
}

/// The columns that are counted by.
fn push_hit(query: &mut Question, filter: &RecordFilter) {
    query.push(
        "select r.entry_index, r.record, r.network, r.direction, r.kinds, r.flags, r.advisors,
                case when r.type = 'capture' then coalesce(r.state, 'none') end as state,
                to_char(r.at at time zone 'UTC', 'YYYY-MM') as month, ",
    );
    filter.push_content(query);
    query.push(" as content from ");
    filter.push_source(query);
}

impl RecordFilter {
    /// Whether nothing but time is asked for.
    fn is_of_places(&self) -> bool {
        let facts = [&self.network, &self.kind, &self.direction, &self.state, &self.flag, &self.gap, &self.content];
        self.advisor.is_none()
            && self.device.is_none()
            && facts.iter().all(|fact| fact.is_none())
            && !self.is_of_parts()
    }

    /// The question for counts of what this finds, one by one.
    fn counts(&self, named: Named, acting: Option<&Acting>) -> Question {
        let mut query = QueryBuilder::new("with ");
        push_accounts(&mut query, self.as_of);
        query.push(", found as materialized (");
        push_hit(&mut query, self);
        self.push_where(&mut query, &(0..self.as_of.unwrap_or(u64::MAX)), named, acting);
        query.push(" order by r.entry_index desc limit ").push_bind(COUNTED_MOST + 1);
        query
            .push("), hit as materialized (select * from found order by entry_index desc limit ")
            .push_bind(COUNTED_MOST);
        query.push(
            "), said as (
                 select c.record, r.network, c.kind, c.account_id, c.account_handle
                   from hit r join projection.communications c on c.record = r.record where true",
        );
        self.push_part(&mut query, acting);
        query.push("), by_kind as (").push(if self.is_of_parts() { KINDS_OF_PARTS } else { KINDS });
        query.push("), summed as (").push(COUNTED).push(
            " union all select 'from', min(entry_index)::text, 1 from hit having (select count(*) from found) > ",
        );
        query.push_bind(COUNTED_MOST).push(RANKED).push_bind(MOST).push(" order by facet, place");
        query
    }

    /// The question for counts of everything between two places: whole runs from what was kept of them, the rest one by one.
    fn counts_of(&self, places: &Places) -> Question {
        let Places { size, from, until, first, last, run } = places;
        let mut query = QueryBuilder::new("with ");
        push_accounts(&mut query, self.as_of);
        query.push(", hit as materialized (");
        for (union, from, until) in [("", *from, *first), (" union all ", *last, *until)] {
            query.push(union);
            push_hit(&mut query, self);
            query.push(" where r.entry_index >= ").push_bind(from).push(" and r.entry_index < ").push_bind(until);
        }
        // Our own numbers: as text, so that they can stand in several places.
        let since = size / run * run;
        let range = [since, *size, *first, *last].map(|place| place.to_string());
        let range = [&*range[0], &*range[1], &*range[2], &*range[3]];
        query.push(
            "), said as (
                 select c.record, r.network, c.account_id, c.account_handle
                   from hit r join projection.communications c on c.record = r.record
             ), by_kind as (",
        );
        query.push(KINDS).push("), counted as (").push(COUNTED);
        query.push("), changed as (").push(changed("projection.", range));
        query.push("), summed as (select facet, value, sum(n)::bigint as n from (");
        query.push("select facet, value, n from counted union all select facet, value, n from changed");
        query.push(" union all select facet, value, n from projection.counts where of_run >= ").push_bind(first / run);
        query.push(" and of_run < ").push_bind(last / run).push(" and by_run < ").push_bind(size / run);
        query.push(") parts group by facet, value having sum(n) <> 0 or facet = 'total'");
        query.push(RANKED).push_bind(MOST).push(" order by facet, place");
        query
    }
}

fn push_accounts(query: &mut Question, as_of: Option<u64>) {
    query.push("account as (");
    match as_of {
        None => {
            query.push(
                "select account, network, network_id, handle from projection.accounts where revoked_index is null",
            );
        }
        Some(size) => {
            query.push("select distinct on (account) account, network, network_id, handle from projection.account_versions where entry_index < ");
            query.push_bind(number(size)).push(" order by account, entry_index desc");
        }
    }
    query.push(")");
}

impl Archive {
    /// Counts the records that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`]; a statement that takes too long is ended by the database.
    pub async fn facets(&self, filter: &RecordFilter) -> Result<Facets, ArchiveError> {
        let mut query = if filter.is_of_places() {
            let places = self.places_of(filter).await?;
            // How things stand now is how they stand as of what is projected: what is projected while we count is not in it.
            let size = Some(count(places.size));
            RecordFilter { as_of: size, ..RecordFilter::default() }.counts_of(&places)
        } else {
            let acting = self.acting(filter).await?;
            filter.counts(self.places_named(filter, acting.as_ref()).await?, acting.as_ref())
        };
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        let mut facets = Facets::default();
        for row in rows {
            let (facet, value): (String, String) = (row.try_get("facet")?, row.try_get("value")?);
            let found = count(row.try_get("n")?);
            match facet.as_str() {
                "total" => facets.total = found,
                "from" => facets.counted_from = value.parse().ok(),
                _ => {
                    let members = count(row.try_get("members")?);
                    let others = members.saturating_sub(count(MOST));
                    if others > 0 {
                        facets.others.insert(facet.clone(), others);
                    }
                    facets.by.entry(facet).or_default().push(FacetCount { value, count: found });
                }
            }
        }
        Ok(facets)
    }

    /// Which places a span of time means, and how far what is asked about is projected.
    async fn places_of(&self, filter: &RecordFilter) -> Result<Places, ArchiveError> {
        // Times rise with the index.
        let row = sqlx::query(
            "select p.size, ledger.counted_run() as run,
                    least(p.size, case when $2::timestamptz is null then 0 else coalesce((select b.entry_index
                          from projection.records b where b.at >= $2 order by b.at, b.entry_index limit 1), p.size) end) as since,
                    least(p.size, case when $3::timestamptz is null then p.size else coalesce((select b.entry_index
                          from projection.records b where b.at >= $3 order by b.at, b.entry_index limit 1), p.size) end) as until
               from (select least($1, coalesce((select next_index from projection.progress), 0)) as size) p",
        )
        .bind(filter.as_of.map_or(i64::MAX, number))
        .bind(filter.since.map(|time| time.date_time()))
        .bind(filter.until.map(|time| time.date_time()))
        .fetch_one(&self.parts.reader)
        .await?;
        let run = row.try_get::<i64, _>("run")?.max(1);
        let (from, until): (i64, i64) = (row.try_get("since")?, row.try_get("until")?);
        let until = until.max(from);
        // From the first end of a run that is not before it, to the last.
        let first = from.saturating_add(run - 1) / run * run;
        let last = until / run * run;
        let (first, last) = if first < last { (first, last) } else { (until, until) };
        Ok(Places { size: row.try_get("size")?, from, until, first, last, run })
    }
}
