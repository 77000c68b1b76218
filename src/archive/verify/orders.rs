//! What entries order about records: holds, releases, attributions, disposals. The tables that the database keeps of them must
//! say the same, and a disposal must have been allowed where it stands.
//!
//! Kept in memory: holds, and the places and times of the entries of each record that was ever disposed of. Whether retention had ended is a question of
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
    Terms(Terms),
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

/// A time as entries spell it; such texts compare as times do.
pub(super) type At = [u8; 27];

/// What one entry of a hold says besides whom or what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Terms {
    pub(super) hold: Uuid,
    pub(super) matter: Option<Uuid>,
    pub(super) is_all: bool,
    pub(super) since: Option<At>,
    pub(super) until: Option<At>,
    /// Up to where records were looked for that the hold selects; never beyond the entry itself.
    pub(super) evaluated: Option<u64>,
}

impl What {
    const fn table(self) -> &'static str {
        match self {
            Self::Hold { .. } => "ledger.holds",
            Self::Terms(_) => "ledger.hold_terms",
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
    at: At,
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
    let at = |key: &str| text(key).as_bytes().try_into().ok();
    match entry.entry_type() {
        EntryType::Hold => {
            if let Some(hold) = id("hold") {
                let scope = text("scope");
                let evaluated = detail.get("evaluated").and_then(serde_json::Value::as_u64);
                order.notes.push(What::Terms(Terms {
                    hold,
                    matter: id("matter"),
                    is_all: scope == "all",
                    since: at("from"),
                    until: at("until"),
                    evaluated: evaluated.map(|evaluated| evaluated.min(row.index)),
                }));
                let target = |id| if scope == "stream" { Target::Stream(id) } else { Target::Record(id) };
                let targets = ids("targets").into_iter().filter(|_id| scope != "all").map(target);
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
    /// Its entries: where, when.
    entries: Vec<(u64, At)>,
    streams: BTreeSet<AdvisorId>,
}

/// What a hold covers by one of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Covering {
    hold: Uuid,
    since: Option<At>,
    until: Option<At>,
}

impl Covering {
    const fn always(hold: Uuid) -> Self {
        Self { hold, since: None, until: None }
    }

    /// Whether the record has an entry of these dates; one that names none is of any.
    fn dates(&self, known: &Known) -> bool {
        let is_within =
            |at: &At| self.since.is_none_or(|since| *at >= since) && self.until.is_none_or(|until| *at < until);
        known.entries.iter().any(|(_index, at)| is_within(at))
    }
}

/// Follows orders in the order of their entries.
pub(super) struct Orders {
    doomed: HashMap<RecordId, Known>,
    /// By what they name. Of records, those only that are disposed of at some time: nobody asks for others.
    named: HashMap<Target, Vec<Covering>>,
    /// Those that cover everything, at their dates.
    everything: Vec<Covering>,
    /// Those that select, and up to where they have looked.
    selecting: HashMap<Uuid, u64>,
    released: HashSet<Uuid>,
    findings: Findings,
}

impl Orders {
    /// `doomed`: every record that the table of disposals names.
    pub(super) fn new(doomed: Vec<RecordId>, findings: Findings) -> Self {
        let doomed = doomed.into_iter().map(|record| (record, Known::default())).collect();
        Self {
            doomed,
            named: HashMap::new(),
            everything: Vec::new(),
            selecting: HashMap::new(),
            released: HashSet::new(),
            findings,
        }
    }

    /// Takes note of an entry.
    pub(super) fn entry(&mut self, index: u64, link: &Link, noted: &mut BTreeSet<Noted>) {
        let Some(record) = link.record else { return };
        // The first entry of a record has its key; of later ones there is nothing to take.
        noted.remove(&Noted { index, what: What::Key { record: record.uuid() } });
        if let Some(known) = self.doomed.get_mut(&record) {
            known.entries.push((index, link.at));
            known.streams.extend(link.streams.iter().map(|stream| stream.id));
        }
    }

    /// Takes the order of an entry that was taken note of, and its rows off the tables.
    pub(super) fn order(&mut self, order: Order, noted: &mut BTreeSet<Noted>, questions: &mut Vec<Question>) {
        let Order { index, at, notes, destroys } = order;
        // Of one entry: dates hold for all that it names, and stand before it in the notes.
        let mut terms = None;
        for what in notes {
            let is_there = noted.remove(&Noted { index, what });
            let is_new = match what {
                What::Terms(said) => {
                    terms = Some(said);
                    self.terms(said);
                    true
                }
                What::Hold { hold, target } => {
                    let dates = terms.filter(|_terms| matches!(target, Target::Stream(_)));
                    let (since, until) = dates.map_or((None, None), |terms| (terms.since, terms.until));
                    self.cover(target, Covering { hold, since, until });
                    true
                }
                // The same release again changes nothing.
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

    fn terms(&mut self, terms: Terms) {
        let Terms { hold, matter, is_all, since, until, evaluated } = terms;
        self.cover(Target::Record(hold), Covering::always(hold));
        if let Some(matter) = matter {
            self.cover(Target::Record(matter), Covering::always(hold));
        }
        if is_all {
            self.everything.push(Covering { hold, since, until });
        }
        if let Some(evaluated) = evaluated {
            let known = self.selecting.entry(hold).or_default();
            *known = evaluated.max(*known);
        }
    }

    fn cover(&mut self, target: Target, covering: Covering) {
        if let Target::Record(record) = target
            && !self.doomed.contains_key(&RecordId::new(record))
        {
            return;
        }
        let holds = self.named.entry(target).or_default();
        if !holds.contains(&covering) {
            holds.push(covering);
        }
    }

    /// A hold in force that covers a record.
    fn covered(&self, record: RecordId, known: &Known) -> Option<Uuid> {
        let streams = known.streams.iter().map(|stream| Target::Stream(stream.uuid()));
        let targets = streams.chain([Target::Record(record.uuid())]);
        let named = targets.filter_map(|target| self.named.get(&target)).flatten();
        let covering = named.chain(&self.everything);
        let last = known.entries.last().map_or(0, |(index, _at)| *index);
        let unseen = self.selecting.iter().filter(|(_hold, evaluated)| last >= **evaluated).map(|(hold, _)| *hold);
        let holds = covering.filter(|covering| covering.dates(known)).map(|covering| covering.hold).chain(unseen);
        holds.filter(|hold| !self.released.contains(hold)).min()
    }

    fn disposal(&self, index: u64, at: &At, record: RecordId, questions: &mut Vec<Question>) {
        // Where the table does not name the record, that is what is told.
        let Some(known) = self.doomed.get(&record) else { return };
        let Some(last) = known.entries.iter().map(|(_index, at)| at).max() else {
            self.findings.at(CHECK, index, format!("record {record} was disposed of, and no entry before is of it"));
            return;
        };
        let text = |at: &At| String::from_utf8_lossy(at).into_owned();
        questions.push(Question { index, record, last: text(last), at: text(at) });
        if let Some(hold) = self.covered(record, known) {
            self.findings.at(CHECK, index, format!("record {record} was disposed of under a hold ({hold})"));
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
