//! What hangs together: the versions of an item, and the conversation around it.
//!
//! Links are the networks' own ids, so they hold within one network. They are followed in rounds, and both rounds and what is followed are
//! bounded: an answer that stopped at the bound says so.

use std::collections::BTreeSet;

use sqlx::types::Uuid;
use sqlx::{QueryBuilder, Row as _};

use super::as_of::{Question, push_made, push_source};
use super::lists::Slice;
use super::records::{CommunicationRow, RecordRow, record};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{EntryId, RecordId};

/// Rounds in which links are followed, and ids followed.
const ROUNDS: usize = 32;
const MOST_IDS: usize = 2_000;
/// Records of which versions are shown.
const MOST_VERSIONS: i64 = 500;

/// The ids by which a conversation hangs together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Conversations.
    pub conversations: BTreeSet<String>,
    /// Items that began a thread.
    pub roots: BTreeSet<String>,
    /// Items of the thread, and those they answer.
    pub items: BTreeSet<String>,
    /// Not all of it was followed.
    pub is_cut: bool,
}

impl Links {
    /// Does this communication belong to it?
    #[must_use]
    pub fn holds(&self, said: &CommunicationRow) -> bool {
        let among = |ids: &BTreeSet<String>, id: &Option<String>| id.as_ref().is_some_and(|id| ids.contains(id));
        among(&self.conversations, &said.conversation)
            || among(&self.roots, &said.root)
            || [&said.item, &said.parent, &said.edited_from].iter().any(|id| among(&self.items, id))
    }

    fn size(&self) -> usize {
        self.conversations.len() + self.roots.len() + self.items.len()
    }

    /// Takes the ids of a communication, and puts items that were not known before to the `fresh` ones.
    fn take(&mut self, ids: Ids, fresh: &mut BTreeSet<String>) {
        self.conversations.extend(ids.conversation);
        self.roots.extend(ids.root.clone());
        for id in [ids.item, ids.parent, ids.root, ids.edited_from].into_iter().flatten() {
            if self.items.insert(id.clone()) {
                fresh.insert(id);
            }
        }
    }
}

/// The ids of one communication by which it hangs together with others.
struct Ids {
    item: Option<String>,
    parent: Option<String>,
    root: Option<String>,
    conversation: Option<String>,
    edited_from: Option<String>,
}

impl From<CommunicationRow> for Ids {
    fn from(said: CommunicationRow) -> Self {
        let CommunicationRow { item, parent, root, conversation, edited_from, .. } = said;
        Self { item, parent, root, conversation, edited_from }
    }
}

/// The versions of an item.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    /// In ledger order: what each record says of it.
    pub versions: Vec<(RecordRow, CommunicationRow)>,
    /// There are more.
    pub is_cut: bool,
}

fn list(ids: &BTreeSet<String>) -> Vec<String> {
    ids.iter().cloned().collect()
}

/// Communications that bear one of these items, now or once: each way has an index.
fn push_bearing(query: &mut Question, items: &BTreeSet<String>, and: &'static str) {
    query.push("select c.record, c.number from projection.communications c where c.item = any (");
    query.push_bind(list(items)).push(")").push(and);
    query.push(
        " union select c.record, c.number from projection.made m join projection.communications c
                   on c.record = m.record and c.number = m.number where m.item = any (",
    );
    query.push_bind(list(items)).push(")").push(and);
}

fn push_by(query: &mut Question, column: &'static str, ids: &BTreeSet<String>, and: &'static str) {
    query
        .push(" union select c.record, c.number from projection.communications c where c.")
        .push(column)
        .push(" = any (");
    query.push_bind(list(ids)).push(")").push(and);
}

/// The item that a communication bears, or bore then.
fn push_item(query: &mut Question, as_of: Option<u64>) {
    match as_of {
        Some(size) => push_made(query, "item", size),
        None => drop(query.push("c.item")),
    }
}

/// Kinds that say something about an item without being a version of it.
const NO_VERSIONS: &str = " and c.kind not in ('reaction', 'poll_vote', 'moderation', 'connection_request')";

impl Archive {
    /// The ids by which a record's conversation hangs together: followed up to what is answered, and down to the answers.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn links(&self, of: &RecordRow, as_of: Option<u64>) -> Result<Links, ArchiveError> {
        let (mut links, mut fresh) = (Links::default(), BTreeSet::new());
        for said in self.communications_as_of(&[of.record], as_of).await? {
            links.take(said.into(), &mut fresh);
        }
        for _round in 0..ROUNDS {
            // Not by conversation: its messages are found by it, however many they are.
            for ids in self.linked(&std::mem::take(&mut fresh), &of.network, as_of).await? {
                if links.size() >= MOST_IDS {
                    links.is_cut = true;
                    return Ok(links);
                }
                // As of then it may have borne another.
                if [&ids.item, &ids.parent, &ids.edited_from].into_iter().flatten().any(|id| links.items.contains(id)) {
                    links.take(ids, &mut fresh);
                }
            }
            if fresh.is_empty() {
                return Ok(links);
            }
        }
        links.is_cut = true;
        Ok(links)
    }

    /// What bears, answers or replaces one of these items.
    async fn linked(
        &self,
        items: &BTreeSet<String>,
        network: &str,
        as_of: Option<u64>,
    ) -> Result<Vec<Ids>, ArchiveError> {
        let mut query = QueryBuilder::new("with near as (");
        push_bearing(&mut query, items, "");
        push_by(&mut query, "parent", items, "");
        push_by(&mut query, "edited_from", items, "");
        query.push(") select c.parent, c.root, c.conversation, c.edited_from, ");
        push_item(&mut query, as_of);
        query.push(
            " as item from near join projection.communications c on c.record = near.record and c.number = near.number
               join projection.records r on r.record = c.record where r.network = ",
        );
        query.push_bind(network.to_owned()).push(" and c.entry_index < ").push_bind(as_of.map_or(i64::MAX, number));
        query.push(" order by c.entry_index, c.number limit ").push_bind(i64::try_from(MOST_IDS).unwrap_or(i64::MAX));
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        let ids = rows.iter().map(|row| {
            Ok(Ids {
                item: row.try_get("item")?,
                parent: row.try_get("parent")?,
                root: row.try_get("root")?,
                conversation: row.try_get("conversation")?,
                edited_from: row.try_get("edited_from")?,
            })
        });
        ids.collect()
    }

    /// A run of a conversation, in ledger order: its records, and where the next run goes on.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn thread(
        &self,
        links: &Links,
        network: &str,
        slice: Slice,
        as_of: Option<u64>,
    ) -> Result<(Vec<(RecordRow, Vec<CommunicationRow>)>, Option<u64>), ArchiveError> {
        let (lower, upper) = slice.bounds();
        let upper = as_of.map_or(upper, |size| upper.min(number(size)));
        let mut query = QueryBuilder::new("with near as (");
        push_bearing(&mut query, &links.items, "");
        push_by(&mut query, "parent", &links.items, "");
        push_by(&mut query, "edited_from", &links.items, "");
        push_by(&mut query, "root", &links.roots, "");
        push_by(&mut query, "conversation", &links.conversations, "");
        query.push(
            ") select distinct r.entry_index, r.record from near join projection.records r on r.record = near.record
               where r.network = ",
        );
        query.push_bind(network.to_owned()).push(" and r.entry_index > ").push_bind(lower);
        query.push(" and r.entry_index < ").push_bind(upper).push(" order by r.entry_index limit ");
        query.push_bind(i64::from(slice.limit));
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        let places = rows.iter().map(|row| Ok((count(row.try_get("entry_index")?), row.try_get("record")?)));
        let places: Vec<(u64, Uuid)> = places.collect::<Result<_, ArchiveError>>()?;
        let is_full = u32::try_from(places.len()).is_ok_and(|found| found >= slice.limit);
        let next = places.last().filter(|_place| is_full).map(|(index, _)| *index);
        let ids: Vec<RecordId> = places.iter().map(|(_, id)| RecordId::new(*id)).collect();
        let mut said = self.communications_as_of(&ids, as_of).await?.into_iter().peekable();
        let mut thread = Vec::new();
        for row in self.records_of(&ids, as_of).await? {
            let mut of_record = Vec::new();
            while let Some(said) = said.next_if(|said| said.record == row.record) {
                of_record.extend(Some(said).filter(|said| links.holds(said)));
            }
            // As of then it may not have belonged to it.
            if !of_record.is_empty() {
                thread.push((row, of_record));
            }
        }
        Ok((thread, next))
    }

    /// These records, in ledger order.
    async fn records_of(&self, ids: &[RecordId], as_of: Option<u64>) -> Result<Vec<RecordRow>, ArchiveError> {
        let mut query = QueryBuilder::new("select r.* from ");
        push_source(&mut query, as_of);
        query.push(" where r.record = any (").push_bind(ids.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>());
        query.push(") order by r.entry_index");
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        rows.iter().map(record).collect()
    }

    /// Every version of what a record speaks of: the item before and after each edit and deletion, as it was seen, and as it was
    /// recognised again.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn versions(&self, of: &RecordRow, as_of: Option<u64>) -> Result<Versions, ArchiveError> {
        let mut items = BTreeSet::new();
        let mut records = BTreeSet::from([of.record]);
        // What the records say, and those of which it is not known yet.
        let (mut known, mut fresh) = (Vec::new(), vec![of.record]);
        let mut is_cut = false;
        for round in 0..=ROUNDS {
            let before = (items.len(), records.len());
            known.extend(self.communications_as_of(&std::mem::take(&mut fresh), as_of).await?);
            for said in &known {
                // Of this record all, of others what speaks of the same.
                let is_ours = said.record == of.record && !is_remark(&said.kind);
                let ids = [&said.item, &said.edited_from];
                if is_ours || ids.into_iter().flatten().any(|id| items.contains(id)) {
                    items.extend(ids.into_iter().flatten().cloned());
                }
            }
            for id in self.bearing(&items, &of.network, as_of).await? {
                fresh.extend(records.insert(id).then_some(id));
            }
            for id in self.derived(&records, as_of).await? {
                fresh.extend(records.insert(id).then_some(id));
            }
            is_cut = records.len() >= usize::try_from(MOST_VERSIONS).unwrap_or(usize::MAX) || round == ROUNDS;
            if is_cut || (items.len(), records.len()) == before {
                break;
            }
        }
        if !fresh.is_empty() {
            known.extend(self.communications_as_of(&fresh, as_of).await?);
        }
        known.sort_unstable_by_key(|said| (said.index, said.number));
        let ids: Vec<RecordId> = records.into_iter().collect();
        let mut said = known.into_iter().peekable();
        let mut versions = Vec::new();
        for row in self.records_of(&ids, as_of).await? {
            while let Some(said) = said.next_if(|said| said.record == row.record) {
                let speaks = [&said.item, &said.edited_from].into_iter().flatten().any(|id| items.contains(id));
                // What is disposed of says nothing any more, and was found by its place alone.
                let silent = said.item.is_none() && said.edited_from.is_none();
                if speaks && !is_remark(&said.kind) || silent {
                    versions.push((row.clone(), said));
                }
            }
        }
        Ok(Versions { versions, is_cut })
    }

    async fn bearing(
        &self,
        items: &BTreeSet<String>,
        network: &str,
        as_of: Option<u64>,
    ) -> Result<Vec<RecordId>, ArchiveError> {
        let mut query = QueryBuilder::new("with near as (");
        push_bearing(&mut query, items, NO_VERSIONS);
        push_by(&mut query, "edited_from", items, NO_VERSIONS);
        query.push(
            ") select distinct c.entry_index, c.record from near
                 join projection.communications c on c.record = near.record and c.number = near.number
                 join projection.records r on r.record = c.record where r.network = ",
        );
        query.push_bind(network.to_owned()).push(" and c.entry_index < ").push_bind(as_of.map_or(i64::MAX, number));
        query.push(" and (c.edited_from = any (").push_bind(list(items)).push(") or ");
        push_item(&mut query, as_of);
        query.push(" = any (").push_bind(list(items)).push(")) order by c.entry_index limit ").push_bind(MOST_VERSIONS);
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        rows.iter().map(|row| Ok(RecordId::new(row.try_get("record")?))).collect()
    }

    /// What was recognised again from these, or seen to replace them; and what they were made from.
    async fn derived(&self, of: &BTreeSet<RecordId>, as_of: Option<u64>) -> Result<Vec<RecordId>, ArchiveError> {
        let rows = sqlx::query_scalar(
            "with given as (select entry, derived_from, previous_version from projection.records where record = any ($1))
             select r.record from given join projection.records r on r.derived_from = given.entry where r.entry_index < $2
             union select r.record from given join projection.records r on r.previous_version = given.entry where r.entry_index < $2
             union select r.record from given join projection.records r on r.entry = given.derived_from where r.entry_index < $2
             union select r.record from given join projection.records r on r.entry = given.previous_version where r.entry_index < $2
             limit $3",
        )
        .bind(of.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>())
        .bind(as_of.map_or(i64::MAX, number))
        .bind(MOST_VERSIONS)
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(rows.into_iter().map(RecordId::new).collect())
    }

    /// The places of these entries.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn places(&self, entries: &[EntryId]) -> Result<Vec<(EntryId, u64)>, ArchiveError> {
        let rows = sqlx::query("select id, index from ledger.entries where id = any ($1)")
            .bind(entries.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>())
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(|row| Ok((EntryId::new(row.try_get("id")?), count(row.try_get("index")?)))).collect()
    }
}

/// Says something about an item without being a version of it.
fn is_remark(kind: &str) -> bool {
    matches!(kind, "reaction" | "poll_vote" | "moderation" | "connection_request")
}
