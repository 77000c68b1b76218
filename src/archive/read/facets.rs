//! Counts of what a filter finds, by what it may be narrowed by. One statement on one snapshot: the parts agree with the total.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::filter::RecordFilter;
use super::lists::Slice;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};

/// Values of one facet at most, the most frequent first.
const MOST: i64 = 1_000;

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
}

/// A record counts by the kinds it is made of; where something is asked of its communications, by those that fit.
const KINDS: &str = "select v, count(*) from hit, lateral (select distinct unnest(kinds)) as u (v) group by v";
const KINDS_OF_PARTS: &str = "select kind, count(distinct record) from said group by kind";

/// A record that has a value several times counts once.
const COUNTS: &str = "
), by_kind (value, n) as (";
const COUNTED: &str = "
), counted (facet, value, n) as (
    select 'total', '', count(*) from hit
    union all select 'network', network, count(*) from hit group by network
    union all select 'direction', direction, count(*) from hit group by direction
    union all select 'outcome', state, count(*) from hit where state is not null group by state
    union all select 'content', content, count(*) from hit group by content
    union all select 'month', month, count(*) from hit group by month
    union all select 'kind', value, n from by_kind
    union all select 'flag', v, count(*) from hit, lateral (select distinct unnest(flags)) as u (v) group by v
    union all select 'advisor', v::text, count(*) from hit, lateral (select distinct unnest(advisors)) as u (v) group by v
    union all select 'account', account::text, count(*) from (
        select a.account, c.record from said c join account a on a.network = c.network and a.network_id = c.account_id
        union
        select a.account, c.record from said c
          join account a on a.network = c.network and a.network_id is null
                        and lower(ltrim(a.handle, '@')) = lower(ltrim(c.account_handle, '@'))) of_account group by account
), ranked as (
    select facet, value, n, row_number() over (partition by facet order by n desc, value) as place,
           count(*) over (partition by facet) as members from counted
)
select facet, value, n, members from ranked where place <= ";

impl Archive {
    /// Counts the records that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`]; a statement that takes too long is ended by the database.
    pub async fn facets(&self, filter: &RecordFilter) -> Result<Facets, ArchiveError> {
        let acting = self.acting(filter).await?;
        let mut query = QueryBuilder::new("with account as (");
        match filter.as_of {
            None => drop(query.push("select account, network, network_id, handle from projection.accounts")),
            Some(size) => {
                query.push("select distinct on (account) account, network, network_id, handle from projection.account_versions where entry_index < ");
                query.push_bind(number(size)).push(" order by account, entry_index desc");
            }
        }
        query.push(
            "), hit as materialized (
                 select r.record, r.network, r.direction, r.kinds, r.flags, r.advisors,
                        case when r.type = 'capture' then coalesce(r.state, 'none') end as state,
                        to_char(r.at at time zone 'UTC', 'YYYY-MM') as month, ",
        );
        filter.push_content(&mut query);
        query.push(" as content from ");
        filter.push_source(&mut query);
        filter.push_where(&mut query, &Slice { after: None, newest_first: false, limit: 0 }, acting.as_ref());
        query.push(
            "), said as (
                 select c.record, r.network, c.kind, c.account_id, c.account_handle
                   from hit r join projection.communications c on c.record = r.record where true",
        );
        filter.push_part(&mut query, acting.as_ref());
        query
            .push(COUNTS)
            .push(if filter.is_of_parts() { KINDS_OF_PARTS } else { KINDS })
            .push(COUNTED)
            .push_bind(MOST)
            .push(" order by facet, place");
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        let mut facets = Facets::default();
        for row in rows {
            let (facet, value): (String, String) = (row.try_get("facet")?, row.try_get("value")?);
            let found = count(row.try_get("n")?);
            if facet == "total" {
                facets.total = found;
                continue;
            }
            let members = count(row.try_get("members")?);
            let others = members.saturating_sub(count(MOST));
            if others > 0 {
                facets.others.insert(facet.clone(), others);
            }
            facets.by.entry(facet).or_default().push(FacetCount { value, count: found });
        }
        Ok(facets)
    }
}
