//! What entries order about records: holds, releases, attributions, disposals. The tables that the database keeps of them must
//! say the same, and a disposal must have been allowed where it stands.
//!
//! Kept in memory: holds, and one line for each record that was ever disposed of. Whether retention had ended is a question of
//! calendars and is asked of the database ([`super::disposals`]).

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::types::Uuid;

use super::content::Checked;
use super::finding::Findings;
use crate::bundle::Row;
use crate::ledger::{Entry, EntryType, Link};
use crate::record::{AdvisorId, RecordId};

/// The check's name in findings.
const CHECK: &str = "disposals";
const TABLES: &str = "tables";

/// A row of a table beside the entries, by the entry it was read off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Noted {
    pub(super) index: u64,
    pub(super) what: What,
}

/// What the row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Hold { hold: Uuid, target: Target },
    Release { hold: Uuid },
    Attribution { record: Uuid, stream: Uuid },
    Plain { record: Uuid },
    Key { record: Uuid },
}

/// What a hold covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    Record(Uuid),
    Stream(Uuid),
}

impl What {
    const fn table(self) -> &'static str {
        match self {
            Self::Hold { .. } => "ledger.holds",
            Self::Release { .. } => "ledger.releases",
            Self::Attribution { .. } => "ledger.attributions",
            Self::Plain { .. } => "ledger.plain_entries",
            Self::Key { .. } => "content.keys",
        }
    }
}

/// What one entry orders.
#[derive(Debug)]
pub(super) struct Order {
    index: u64,
    at: [u8; 27],
    notes: Vec<What>,
    /// Records that it destroys.
    destroys: Vec<RecordId>,
}

impl Order {
    pub(super) const fn index(&self) -> u64 {
        self.index
    }
}

/// A disposal whose record ended at a time: had its retention ended?
#[derive(Debug)]
pub(super) struct Question {
    pub(super) index: u64,
    pub(super) record: RecordId,
    pub(super) last: String,
    pub(super) at: String,
}

/// Reads an order off a row; nothing for nearly all of them, which their first or last bytes tell.
pub(super) fn note(row: &Row<'_>, checked: &mut Checked) {
    let ends = |end: &[u8]| row.body.ends_with(end);
    let orders = [
        &b"\"type\":\"hold\",\"v\":1}"[..],
        b"\"type\":\"release\",\"v\":1}",
        b"\"type\":\"attribution\",\"v\":1}",
        b"\"type\":\"disposal\",\"v\":1}",
    ];
    let is_plain = commits_to_nothing(row.body) && memchr::memmem::find(row.body, b"\",\"record\":\"").is_some();
    if !is_plain && !orders.into_iter().any(ends) {
        return;
    }
    // Bytes that are no entry are named already.
    let Ok(entry) = Entry::parse(row.body) else { return };
    let mut order = Order { index: row.index, at: entry.at().text(), notes: Vec::new(), destroys: Vec::new() };
    if let Some(record) = entry.record().filter(|_| is_plain) {
        order.notes.push(What::Plain { record: record.uuid() });
    }
    let detail = entry.detail();
    let id = |key: &str| detail.get(key).and_then(|id| id.as_str()).and_then(|id| id.parse::<Uuid>().ok());
    let text = |key: &str| detail.get(key).and_then(|text| text.as_str()).unwrap_or_default();
    let ids = |key: &str| {
        let list = detail.get(key).and_then(|list| list.as_array()).into_iter().flatten();
        list.filter_map(|id| id.as_str()?.parse::<Uuid>().ok()).collect::<BTreeSet<_>>()
    };
    match entry.entry_type() {
        EntryType::Hold => {
            let target = |id| if text("scope") == "stream" { Target::Stream(id) } else { Target::Record(id) };
            if let Some(hold) = id("hold") {
                let targets = ids("targets").into_iter().map(target);
                order.notes.extend(targets.map(|target| What::Hold { hold, target }));
            }
        }
        EntryType::Release => order.notes.extend(id("hold").map(|hold| What::Release { hold })),
        EntryType::Attribution => {
            if let Some(record) = entry.record().map(RecordId::uuid) {
                let streams = entry.streams().iter().map(|stream| stream.id.uuid());
                order.notes.extend(streams.map(|stream| What::Attribution { record, stream }));
            }
        }
        EntryType::Disposal if text("phase") == "destroyed" => {
            order.destroys = ids("records").into_iter().map(RecordId::new).collect();
            checked.disposals.push((row.index, order.destroys.clone()));
        }
        _ => {}
    }
    checked.orders.push(order);
}

/// Whether an entry commits to nothing, told by the one place where it can say so.
fn commits_to_nothing(body: &[u8]) -> bool {
    const TIMES: &[u8] = br#"","at":"0000-00-00T00:00:00.000000Z","captured_at":"0000-00-00T00:00:00.000000Z","#;
    let behind_times = || {
        let actor = body.strip_prefix(br#"{"actor":""#)?;
        actor.get(memchr::memchr(b'"', actor)? + TIMES.len()..)
    };
    behind_times().is_some_and(|rest| rest.starts_with(br#""commitments":{}"#))
}

/// What is known of a record that was disposed of, or will be.
#[derive(Debug, Default)]
struct Known {
    last: Option<[u8; 27]>,
    streams: BTreeSet<AdvisorId>,
}

/// Follows orders in the order of their entries.
pub(super) struct Orders {
    doomed: HashMap<RecordId, Known>,
    holds: HashMap<Target, Vec<Uuid>>,
    released: HashSet<Uuid>,
    findings: Findings,
}

impl Orders {
    /// `doomed`: every record that the table of disposals names.
    pub(super) fn new(doomed: Vec<RecordId>, findings: Findings) -> Self {
        let doomed = doomed.into_iter().map(|record| (record, Known::default())).collect();
        Self { doomed, holds: HashMap::new(), released: HashSet::new(), findings }
    }

    /// Takes note of an entry.
    pub(super) fn entry(&mut self, index: u64, link: &Link, noted: &mut BTreeSet<Noted>) {
        let Some(record) = link.record else { return };
        // The first entry of a record has its key; of later ones there is nothing to take.
        noted.remove(&Noted { index, what: What::Key { record: record.uuid() } });
        if let Some(known) = self.doomed.get_mut(&record) {
            known.last = known.last.max(Some(link.at));
            known.streams.extend(link.streams.iter().map(|stream| stream.id));
        }
    }

    /// Takes the order of an entry that was taken note of, and its rows off the tables.
    pub(super) fn order(&mut self, order: Order, noted: &mut BTreeSet<Noted>, questions: &mut Vec<Question>) {
        let Order { index, at, notes, destroys } = order;
        for what in notes {
            let is_there = noted.remove(&Noted { index, what });
            // The same hold or release again changes nothing.
            let is_new = match what {
                What::Hold { hold, target } => {
                    let holds = self.holds.entry(target).or_default();
                    let is_new = !holds.contains(&hold);
                    holds.extend(is_new.then_some(hold));
                    is_new
                }
                What::Release { hold } => self.released.insert(hold),
                What::Attribution { .. } | What::Plain { .. } | What::Key { .. } => true,
            };
            if is_new && !is_there {
                self.findings.at(TABLES, index, format!("{} does not say what the entry says", what.table()));
            }
        }
        for record in destroys {
            self.disposal(index, &at, record, questions);
        }
    }

    fn disposal(&self, index: u64, at: &[u8; 27], record: RecordId, questions: &mut Vec<Question>) {
        // Where the table does not name the record, that is what is told.
        let Some(known) = self.doomed.get(&record) else { return };
        let Some(last) = known.last else {
            self.findings.at(CHECK, index, format!("record {record} was disposed of, and no entry before is of it"));
            return;
        };
        let text = |at: &[u8; 27]| String::from_utf8_lossy(at).into_owned();
        questions.push(Question { index, record, last: text(&last), at: text(at) });
        let streams = known.streams.iter().map(|stream| Target::Stream(stream.uuid()));
        let mut targets = streams.chain([Target::Record(record.uuid())]);
        let is_in_force = |target: Target| {
            self.holds.get(&target).is_some_and(|holds| holds.iter().any(|hold| !self.released.contains(hold)))
        };
        if targets.any(is_in_force) {
            self.findings.at(CHECK, index, format!("record {record} was disposed of under a hold"));
        }
    }

    /// Rows of a run that no entry of it stands for.
    pub(super) fn rest(&self, noted: BTreeSet<Noted>) {
        for Noted { index, what } in noted {
            let check = if matches!(what, What::Key { .. }) { super::content::CHECK } else { TABLES };
            self.findings.at(check, index, format!("a row of {} is not what the entry says", what.table()));
        }
    }
}
