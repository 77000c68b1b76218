//! What questions about records read from: the rows as they are, or as they stood when the ledger had so many entries.
//!
//! Invariant: as of a size, nothing that an entry at or above it says is seen.

use sqlx::{Postgres, QueryBuilder};

use crate::archive::row::number;
use crate::record::RecordId;

/// A query in the making.
pub(super) type Question = QueryBuilder<Postgres>;

/// What of a record may have been otherwise, and where to read how it was.
const CHANGING: [(&str, &str); 3] = [("outcome", "entry"), ("state", "state"), ("status", "status")];

/// Records as they are, or as they stood. Where nothing came since, the row itself says it.
pub(super) fn push_source(query: &mut Question, as_of: Option<u64>) {
    let Some(size) = as_of else {
        query.push("projection.records r");
        return;
    };
    let size = number(size);
    query.push(
        "(select s.record, s.entry_index, s.entry, s.last_index, s.type, s.at, s.captured_at, s.network, s.transport,
                 s.direction, s.kinds, s.flags, s.rule, s.method, s.exchange, s.size, s.attachments, s.device, s.retry_of,
                 s.derived_from, s.previous_version, s.disposed, s.content,
                 case when s.last_index < ",
    );
    query.push_bind(size).push(
        " then s.advisors else
                 (select coalesce(array_agg(a order by a), '{}') from unnest(s.advisors) a
                   where not exists (select from projection.attributions t
                                      where t.record = s.record and t.advisor = a and t.entry_index >= ",
    );
    query.push_bind(size).push(")) end as advisors");
    for (column, then) in CHANGING {
        query.push(", case when s.last_index < ").push_bind(size).push(" then s.").push(column);
        query
            .push(" else (select a.")
            .push(then)
            .push(" from projection.outcomes a where a.capture = s.entry and a.entry_index < ");
        query.push_bind(size).push(" order by a.entry_index desc limit 1) end as ").push(column);
    }
    query.push(" from projection.records s) r");
}

/// What was known of a communication `c` at a size: where an answer said something, the newest word below that size.
pub(super) fn push_made(query: &mut Question, column: &'static str, size: u64) {
    query.push(
        "case when exists (select from projection.made m where m.record = c.record and m.number = c.number) then ",
    );
    query
        .push("(select m.")
        .push(column)
        .push(" from projection.made m where m.record = c.record and m.number = c.number and m.");
    query.push(column).push(" is not null and m.entry_index < ").push_bind(number(size));
    query.push(" order by m.entry_index desc limit 1) else c.").push(column).push(" end");
}

/// One record.
pub(super) fn one(record: RecordId, as_of: Option<u64>) -> Question {
    let mut query = QueryBuilder::new("select r.* from ");
    push_source(&mut query, as_of);
    query.push(" where r.record = ").push_bind(record.uuid());
    if let Some(size) = as_of {
        query.push(" and r.entry_index < ").push_bind(number(size));
    }
    query
}
