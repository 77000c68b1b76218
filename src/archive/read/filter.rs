//! Which records, as a question to the database: built of constant text and bound values, and of nothing that was not asked for.
//!
//! Invariant: a question as of a size sees what entries below that size say, and what was disposed of since as disposed of. So its
//! answer is the same whenever it is asked, but for that.

use std::ops::Range;

use sqlx::{Postgres, QueryBuilder};

use super::lists::{MOST, Slice};
use super::records::CommunicationRow;
use crate::archive::row::number;
use crate::archive::words::{self, Match, WordQuery};
use crate::record::{AccountId, AdvisorId, DeviceId, RecordId, Timestamp};

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
    /// Written by this party: its handle, or its id on the network. Where no author is named, the acting account wrote it.
    pub author: Option<String>,
    /// In this conversation, as the network has it.
    pub conversation: Option<String>,
    /// About this item, as the network has it.
    pub item: Option<String>,
    /// With this outcome; `none` for those without one.
    pub state: Option<String>,
    /// Bearing this flag, such as `off_channel`.
    pub flag: Option<String>,
    /// Of an exchange that a gap of this cause speaks of.
    pub gap: Option<String>,
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
    /// As things stood when the ledger had this many entries.
    pub as_of: Option<u64>,
}

/// Records as they stood: `all_advisors` are those of now. Where nothing came since, the row itself says it.
const AS_OF: [&str; 4] = [
    "(select s.record, s.entry_index, s.entry, s.last_index, s.type, s.at, s.captured_at, s.network, s.transport,
             s.direction, s.kinds, s.flags, s.rule, s.method, s.exchange, s.size, s.attachments, s.device, s.retry_of,
             s.derived_from, s.previous_version, s.disposed, s.content, s.advisors as all_advisors,
             case when s.last_index < ",
    " then s.advisors else
                  (select coalesce(array_agg(a order by a), '{}') from unnest(s.advisors) a
                    where not exists (select from projection.attributions t
                                       where t.record = s.record and t.advisor = a and t.entry_index >= ",
    ")) end as advisors,
             case when o.is_now then s.outcome else o.entry end as outcome,
             case when o.is_now then s.state else o.state end as state,
             case when o.is_now then s.status else o.status end as status
        from projection.records s
        left join lateral (
             select true as is_now, null::uuid as entry, null::text as state, null::bigint as status where s.last_index < ",
    "
             union all
             (select false, a.entry, a.state, a.status from projection.outcomes a
               where s.last_index >= ",
];

/// A query in the making.
pub(super) type Question = QueryBuilder<Postgres>;

impl RecordFilter {
    /// What to read from, as `r`.
    pub(super) fn push_source(&self, query: &mut Question) {
        push_source(query, self.as_of);
    }

    /// The question for records between two places, oldest first.
    pub(super) fn within(&self, range: &Range<u64>, limit: u32) -> Question {
        let after = range.start.checked_sub(1);
        let mut query = QueryBuilder::new("select r.* from ");
        self.push_source(&mut query);
        self.push_where(&mut query, &Slice { after, newest_first: false, limit });
        query.push(" and r.entry_index < ").push_bind(number(range.end));
        query.push(" order by r.entry_index limit ").push_bind(i64::from(limit.min(MOST)));
        query
    }

    /// The question for a run of records, in ledger order.
    pub(super) fn query(&self, slice: &Slice) -> Question {
        let mut query = QueryBuilder::new("select r.* from ");
        self.push_source(&mut query);
        self.push_where(&mut query, slice);
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

    /// All conditions.
    pub(super) fn push_where(&self, query: &mut Question, slice: &Slice) {
        let (lower, upper) = slice.bounds();
        let upper = self.as_of.map_or(upper, |size| upper.min(number(size)));
        query.push(" where r.entry_index > ").push_bind(lower).push(" and r.entry_index < ").push_bind(upper);
        self.push_facts(query);
        self.push_outcome(query);
        // Times rise with the index: as a bound on the index they cost one look each.
        for (time, than) in [(self.since, " >= "), (self.until, " < ")] {
            let Some(time) = time else { continue };
            query.push(" and r.entry_index").push(than);
            query.push("coalesce((select b.entry_index from projection.records b where b.at >= ");
            query.push_bind(time.date_time()).push(" order by b.at, b.entry_index limit 1), 9223372036854775807)");
        }
        self.push_parts(query);
    }

    fn push_facts(&self, query: &mut Question) {
        if let Some(advisor) = self.advisor {
            if self.as_of.is_some() {
                // So that the index of now finds those that may have been the advisor's then.
                query.push(" and r.all_advisors @> array[").push_bind(advisor.uuid()).push("]");
            }
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
        for (column, word) in [("r.network", &self.network), ("r.direction", &self.direction)] {
            if let Some(word) = word {
                query.push(" and ").push(column).push(" = ").push_bind(clean(word));
            }
        }
        if let Some(word) = &self.content {
            query.push(" and ");
            self.push_content(query);
            query.push(" = ").push_bind(clean(word));
        }
        if let Some(cause) = &self.gap {
            for (column, place) in [("r.entry", "capture"), ("r.exchange", "exchange")] {
                query.push(if place == "capture" { " and (" } else { " or " }).push(column);
                query.push(" in (select g.").push(place).push(" from projection.gaps g where g.cause = ");
                query.push_bind(clean(cause)).push(" and g.entry_index < ");
                query.push_bind(self.as_of.map_or(i64::MAX, number));
                query.push(" and g.").push(place).push(" is not null)");
            }
            query.push(")");
        }
    }

    /// What had become of the content: what was disposed of since was readable until then.
    pub(super) fn push_content(&self, query: &mut Question) {
        let Some(size) = self.as_of else {
            query.push("r.content");
            return;
        };
        query.push("case when r.content = 'disposed' and coalesce(r.disposed, 9223372036854775807) >= ");
        query.push_bind(number(size)).push(" then 'readable' else r.content end");
    }

    fn push_outcome(&self, query: &mut Question) {
        match self.state.as_deref() {
            // Only captures are answered.
            Some("none") => drop(query.push(" and r.type = 'capture' and r.state is null")),
            Some(state) => {
                if let Some(size) = self.as_of.filter(|_size| state != "accepted") {
                    // So that an index finds the few that were ever answered so.
                    query.push(" and r.entry in (select a.capture from projection.outcomes a where a.state <> 'accepted' and a.state = ");
                    query.push_bind(clean(state)).push(" and a.entry_index < ").push_bind(number(size)).push(")");
                }
                query.push(" and r.state = ").push_bind(clean(state));
            }
            None => {}
        }
    }

    /// Whether something is asked of a communication, and not of its record.
    pub(super) fn is_of_parts(&self) -> bool {
        let of_content = [&self.author, &self.conversation, &self.item, &self.text];
        self.account.is_some() || self.words.is_some() || of_content.iter().any(|condition| condition.is_some())
    }

    /// Conditions on communications are one `exists`, so that they hold of the same communication.
    fn push_parts(&self, query: &mut Question) {
        if self.is_of_parts() {
            query.push(" and exists (select from projection.communications c where c.record = r.record");
            self.push_part(query);
            query.push(")");
        }
    }

    /// What must hold of a communication `c` of a record `r`.
    pub(super) fn push_part(&self, query: &mut Question) {
        if let Some(kind) = &self.kind {
            query.push(" and c.kind = ").push_bind(clean(kind));
        }
        if let Some(account) = self.account {
            // The handle decides only where the network's id is not known: a handle can move to another account.
            query.push(" and exists (select from ");
            match self.as_of {
                None => drop(query.push("projection.accounts a")),
                Some(size) => {
                    query.push("(select v.* from projection.account_versions v where v.account = ");
                    query.push_bind(account.uuid()).push(" and v.entry_index < ").push_bind(number(size));
                    query.push(" order by v.entry_index desc limit 1) a");
                }
            }
            query.push(
                " where a.network = r.network
                    and (a.network_id = c.account_id
                         or a.network_id is null and lower(ltrim(a.handle, '@')) = lower(ltrim(c.account_handle, '@')))
                    and a.account = ",
            );
            query.push_bind(account.uuid()).push(")");
        }
        if let Some(author) = &self.author {
            push_author(query, &clean(author));
        }
        if let Some(conversation) = &self.conversation {
            query.push(" and c.conversation = ").push_bind(clean(conversation));
        }
        if let Some(item) = &self.item {
            self.push_item(query, &clean(item));
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
    }

    fn push_item(&self, query: &mut Question, item: &str) {
        let Some(size) = self.as_of else {
            query.push(" and (c.item = ").push_bind(item.to_owned());
            query.push(" or c.edited_from = ").push_bind(item.to_owned()).push(")");
            return;
        };
        // Those that bear it now or ever did, and of them those that bore it then.
        query.push(" and (c.item = ").push_bind(item.to_owned());
        query.push(" or c.edited_from = ").push_bind(item.to_owned());
        query.push(" or c.record in (select m.record from projection.made m where m.item = ");
        query.push_bind(item.to_owned()).push(")) and (c.edited_from = ").push_bind(item.to_owned()).push(" or ");
        push_made(query, "item", size);
        query.push(" = ").push_bind(item.to_owned()).push(")");
    }
}

/// Records as they are, or as they stood.
pub(super) fn push_source(query: &mut Question, as_of: Option<u64>) {
    let Some(size) = as_of else {
        query.push("projection.records r");
        return;
    };
    for text in AS_OF {
        query.push(text).push_bind(number(size));
    }
    query.push(" and a.capture = s.entry and a.entry_index < ").push_bind(number(size));
    query.push(" order by a.entry_index desc limit 1)) o on true) r");
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

fn push_author(query: &mut Question, author: &str) {
    for (begin, id, handle, and) in [
        (" and (", "c.author_id", "c.author_handle", ""),
        (" or ", "c.account_id", "c.account_handle", " and c.author_id is null and c.author_handle is null"),
    ] {
        query.push(begin).push("(").push(id).push(" = ").push_bind(author.to_owned());
        query.push(" or lower(ltrim(").push(handle).push(", '@')) = lower(ltrim(").push_bind(author.to_owned());
        query.push(", '@')))").push(and);
    }
    query.push(")");
}

/// Postgres text holds no zero byte, and neither does anything that is projected.
pub(super) fn clean(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_is_taken_literally() {
        assert_eq!(pattern("100%_a\\b"), "%100\\%\\_a\\\\b%");
    }
}
