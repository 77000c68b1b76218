//! Which records, as a question to the database: built of constant text and bound values, and of nothing that was not asked for.
//!
//! Invariant: a question as of a size sees what entries below that size say, and what was disposed of since as disposed of. So its
//! answer is the same whenever it is asked, but for that.

use std::ops::Range;

use sqlx::postgres::PgRow;
use sqlx::{QueryBuilder, Row as _};

use super::as_of::{Question, push_made, push_source};
use super::begin::{Named, Run};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::project::addressed;
use crate::archive::row::{clean, number};
use crate::archive::words::{self, WordQuery};
use crate::record::{AccountId, AdvisorId, DeviceId, Timestamp};

/// Records that are ranked at most, which is what a second is enough for.
const RANKED_MOST: i64 = 10_000;

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
    /// Sent to this party: its handle, or its id on the network.
    pub recipient: Option<String>,
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
    /// The best matches of `words` among the newest 10,000 that fit first, and no more than one slice of them.
    pub by_relevance: bool,
    /// As things stood when the ledger had this many entries.
    pub as_of: Option<u64>,
}

/// Who an account is to its network.
#[derive(Debug)]
pub(super) struct Acting {
    network: String,
    network_id: Option<String>,
    handle: Option<String>,
}

impl Acting {
    /// Its id on the network, which a condition can be about without more.
    pub(super) fn id(&self) -> Option<&str> {
        self.network_id.as_deref()
    }
}

impl RecordFilter {
    /// What to read from, as `r`; an advisor's records in their order, `a`.
    pub(super) fn push_source(&self, query: &mut Question) {
        push_source(query, self.as_of);
        if self.advisor.is_some() {
            query.push(" join projection.advised a on a.entry_index = r.entry_index");
        }
    }

    /// The question for a run of records, in ledger order or the best matches first; about these places only, where they are given.
    pub(super) fn query(&self, run: &Run, places: Named, acting: Option<&Acting>) -> Question {
        if let Some(words) = self.words.as_ref().filter(|_words| self.by_relevance) {
            return self.ranked(words, run, places, acting);
        }
        let mut query = QueryBuilder::new("select r.* from ");
        self.push_source(&mut query);
        self.push_where(&mut query, &run.places, places, acting);
        query.push(" order by ").push(self.place()).push(if run.newest_first { " desc" } else { "" });
        query.push(" limit ").push_bind(i64::from(run.limit));
        query
    }

    /// The question for the best matches among the newest [`RANKED_MOST`] that fit.
    fn ranked(&self, words: &WordQuery, run: &Run, places: Named, acting: Option<&Acting>) -> Question {
        let mut query = QueryBuilder::new("with found as materialized (select r.* from ");
        self.push_source(&mut query);
        self.push_where(&mut query, &run.places, places, acting);
        query.push(" order by ").push(self.place()).push(" desc limit ").push_bind(RANKED_MOST + 1);
        query
            .push("), hit as materialized (select * from found order by entry_index desc limit ")
            .push_bind(RANKED_MOST);
        query.push(") select r.*, (select min(entry_index) from hit having (select count(*) from found) > ");
        query.push_bind(RANKED_MOST).push(") as ranked_from from hit r order by ");
        // Cover density, so that words close to each other count for more, over the logarithm of the length.
        query.push("(select max(ts_rank_cd(c.words, ").push_bind(words.to_tsquery());
        query.push("::tsquery, 1)) from projection.communications c where c.record = r.record) desc nulls last, ");
        query.push("r.entry_index").push(if run.newest_first { " desc" } else { "" });
        query.push(" limit ").push_bind(i64::from(run.limit));
        query
    }

    /// The place of a record: an advisor's are walked in their own order.
    const fn place(&self) -> &'static str {
        if self.advisor.is_some() { "a.entry_index" } else { "r.entry_index" }
    }

    /// All conditions, on records of these places; those of them that are given, where they are.
    pub(super) fn push_where(&self, query: &mut Question, range: &Range<u64>, places: Named, acting: Option<&Acting>) {
        let place = self.place();
        query.push(" where ").push(place).push(" >= ").push_bind(number(range.start));
        query.push(" and ").push(place).push(" < ").push_bind(number(range.end));
        // Times rise with the index: as a bound on the index they cost one look each.
        for (time, than) in [(self.since, " >= "), (self.until, " < ")] {
            let Some(time) = time else { continue };
            query.push(" and ").push(place).push(than);
            query.push("coalesce((select b.entry_index from projection.records b where b.at >= ");
            query.push_bind(time.date_time()).push(" order by b.at, b.entry_index limit 1), 9223372036854775807)");
        }
        if let Some(places) = places {
            query.push(" and ").push(place).push(" = any (").push_bind(places).push(")");
        }
        self.push_facts(query);
        self.push_outcome(query);
        self.push_bearing(query);
        self.push_parts(query, acting);
    }

    fn push_facts(&self, query: &mut Question) {
        if let Some(advisor) = self.advisor {
            query.push(" and a.advisor = ").push_bind(advisor.uuid());
            if self.as_of.is_some() {
                // Of those that are the advisor's now, some were not yet.
                query.push(" and r.advisors @> array[").push_bind(advisor.uuid()).push("]");
            }
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
            if word != "readable" {
                // So that an index finds the few; of those that are disposed of by now, some were readable then.
                query.push(" and r.content <> 'readable'");
            }
            query.push(" and ");
            self.push_content(query);
            query.push(" = ").push_bind(clean(word));
        }
        if let Some(cause) = &self.gap {
            // From the gaps, each way by an index: there are fewer of them than of records.
            for (begin, column, place) in
                [(" and r.record in (", "b.entry", "capture"), (" union all ", "b.exchange", "exchange")]
            {
                query
                    .push(begin)
                    .push("select b.record from projection.gaps g join projection.records b on ")
                    .push(column);
                query.push(" = g.").push(place).push(" where g.cause = ").push_bind(clean(cause));
                query.push(" and g.entry_index < ").push_bind(self.as_of.map_or(i64::MAX, number));
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
        let of_content = [&self.author, &self.recipient, &self.conversation, &self.item, &self.text];
        self.account.is_some() || self.words.is_some() || of_content.iter().any(|condition| condition.is_some())
    }

    /// Conditions on communications are one `exists`, so that they hold of the same communication.
    fn push_parts(&self, query: &mut Question, acting: Option<&Acting>) {
        if self.is_of_parts() {
            query.push(" and exists (select from projection.communications c where c.record = r.record");
            self.push_part(query, acting);
            query.push(")");
        }
    }

    /// What must hold of a communication `c` of a record `r`.
    pub(super) fn push_part(&self, query: &mut Question, acting: Option<&Acting>) {
        if let Some(kind) = &self.kind {
            query.push(" and c.kind = ").push_bind(clean(kind));
        }
        if let Some(acting) = acting {
            query.push(" and r.network = ").push_bind(acting.network.clone());
            // The handle decides only where the network's id is not known: a handle can move to another account.
            match (&acting.network_id, &acting.handle) {
                (Some(id), _) => drop(query.push(" and c.account_id = ").push_bind(id.clone())),
                (None, Some(handle)) => {
                    query
                        .push(" and lower(ltrim(c.account_handle, '@')) = lower(ltrim(")
                        .push_bind(handle.clone())
                        .push(", '@'))");
                }
                (None, None) => drop(query.push(" and false")),
            }
        } else if self.account.is_some() {
            // Nobody was known by it.
            query.push(" and false");
        }
        if let Some(author) = &self.author {
            push_author(query, &clean(author));
        }
        if let Some(recipient) = &self.recipient {
            query.push(" and c.addressed && ").push_bind(addressed(&clean(recipient)));
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

    /// As of then: first those that bear the item now or ever did, each by an index.
    fn push_bearing(&self, query: &mut Question) {
        let Some((item, _size)) = self.item.as_ref().zip(self.as_of) else { return };
        query
            .push(" and r.record in (select b.record from projection.communications b where b.item = ")
            .push_bind(clean(item));
        query
            .push(" union all select b.record from projection.communications b where b.edited_from = ")
            .push_bind(clean(item));
        query
            .push(" union all select m.record from projection.made m where m.item = ")
            .push_bind(clean(item))
            .push(")");
    }

    fn push_item(&self, query: &mut Question, item: &str) {
        let Some(size) = self.as_of else {
            query.push(" and (c.item = ").push_bind(item.to_owned());
            query.push(" or c.edited_from = ").push_bind(item.to_owned()).push(")");
            return;
        };
        query.push(" and (c.edited_from = ").push_bind(item.to_owned()).push(" or ");
        push_made(query, "item", size);
        query.push(" = ").push_bind(item.to_owned()).push(")");
    }
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

impl Archive {
    /// Who the account of a filter is to its network, or was: asked first, so that the question itself names what an index has.
    pub(super) async fn acting(&self, filter: &RecordFilter) -> Result<Option<Acting>, ArchiveError> {
        let Some(account) = filter.account else { return Ok(None) };
        let row = sqlx::query(
            "select network, network_id, handle from projection.accounts where account = $1 and $2::bigint is null and network is not null
             union all
             (select network, network_id, handle from projection.account_versions
               where account = $1 and entry_index < $2 and network is not null order by entry_index desc limit 1)",
        )
        .bind(account.uuid())
        .bind(filter.as_of.map(number))
        .fetch_optional(&self.parts.reader)
        .await?;
        let read = |row: &PgRow| {
            Ok(Acting {
                network: row.try_get("network")?,
                network_id: row.try_get("network_id")?,
                handle: row.try_get("handle")?,
            })
        };
        row.as_ref().map(read).transpose()
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
