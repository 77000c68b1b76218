//! The rows a run of entries becomes: first what is new, then what changes.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::attachment::{AttachmentOf, attachments};
use super::communication::{Communication, communications, text};
use super::facts::Facts;
use super::fold::Folded;
use super::hold::Hold;
use super::matter::Matter;
use super::outcome::{Answer, Made, Outcome};
use super::people::Identity;
use super::read::{ContentState, Item, Problem};
use super::webhook::Webhook;
use crate::archive::read::Content;
use crate::ledger::{Entry, EntryType};

#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) record: Uuid,
    entry_index: u64,
    pub(super) entry: Uuid,
    pub(super) last_index: u64,
    #[serde(rename = "type")]
    entry_type: &'static str,
    at: String,
    captured_at: String,
    network: String,
    transport: String,
    direction: String,
    kinds: Vec<String>,
    flags: Vec<String>,
    rule: Option<String>,
    method: Option<String>,
    exchange: Option<Uuid>,
    size: Option<u64>,
    attachments: Option<u64>,
    device: Option<Uuid>,
    advisors: Vec<Uuid>,
    retry_of: Option<Uuid>,
    derived_from: Option<Uuid>,
    previous_version: Option<Uuid>,
    source: Uuid,
    content: ContentState,
    /// Set by [`super::fold`].
    pub(super) outcome: Option<Uuid>,
    pub(super) state: Option<String>,
    pub(super) status: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RecordEntry {
    pub(super) record: Uuid,
    pub(super) entry_index: u64,
    #[serde(rename = "type")]
    entry_type: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Gap {
    entry_index: u64,
    at: String,
    cause: String,
    count: Option<u64>,
    since: String,
    until: String,
    network: Option<String>,
    device: Option<Uuid>,
    exchange: Option<Uuid>,
    capture: Option<Uuid>,
    size: Option<u64>,
    step: Option<String>,
    step_us: Option<u64>,
    host: Option<String>,
    advisors: Vec<Uuid>,
    record: Option<Uuid>,
}

#[derive(Debug, Serialize)]
pub(super) struct Look {
    entry_index: u64,
    at: String,
    officer: Option<Uuid>,
    operation: String,
    allowed: bool,
    count: Option<u64>,
    advisor: Option<Uuid>,
    records: Vec<Uuid>,
    subjects: Vec<Uuid>,
    purpose: Option<String>,
    query: Option<String>,
    record: Option<Uuid>,
}

/// From here on these settings were in force.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    entry_index: u64,
    at: String,
    change: String,
    rules: Option<String>,
    software: Option<String>,
    source: Uuid,
    record: Option<Uuid>,
}

#[derive(Debug, Serialize)]
pub(super) struct Verification {
    entry_index: u64,
    at: String,
    scope: String,
    result: String,
    failures: Option<u64>,
    first_failure: Option<u64>,
    from_index: Option<u64>,
    until_index: Option<u64>,
}

/// The end of one record's content.
#[derive(Debug, Serialize)]
pub(super) struct Disposal {
    record: Uuid,
    entry_index: u64,
    at: String,
    rule: String,
    backups_expire_at: String,
}

/// An entry that could not be projected whole.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    entry_index: u64,
    problem: Problem,
}

/// An earlier record belongs to more advisors.
#[derive(Debug)]
pub(super) struct Attributed {
    pub(super) record: Uuid,
    pub(super) advisors: Vec<Uuid>,
    pub(super) entry_index: u64,
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) records: Vec<Record>,
    pub(super) communications: Vec<Communication>,
    pub(super) attachments_of: Vec<AttachmentOf>,
    pub(super) record_entries: Vec<RecordEntry>,
    pub(super) answers: Vec<Answer>,
    pub(super) disposals: Vec<Disposal>,
    pub(super) faults: Vec<Fault>,
    pub(super) gaps: Vec<Gap>,
    pub(super) looks: Vec<Look>,
    pub(super) verifications: Vec<Verification>,
    pub(super) settings: Vec<Settings>,
    pub(super) outcomes: BTreeMap<Uuid, Outcome>,
    pub(super) made: Vec<Made>,
    pub(super) attributed: Vec<Attributed>,
    /// Records, entry index.
    pub(super) disposed: Vec<(Vec<Uuid>, u64)>,
    pub(super) identities: Vec<Identity>,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) matters: Vec<Matter>,
    pub(super) holds: Vec<Hold>,
    pub(super) folded: Folded,
}

impl Rows {
    pub(super) fn take(&mut self, item: &Item) {
        if let Some(problem) = item.problem {
            self.faults.push(Fault { entry_index: item.index, problem });
        }
        let Some(entry) = &item.entry else { return };
        let facts = Facts(entry);
        if let Some(record) = facts.record() {
            let entry_type = entry.entry_type().as_str();
            self.record_entries.push(RecordEntry { record, entry_index: entry.index(), entry_type });
        }
        match entry.entry_type() {
            EntryType::Capture | EntryType::Observation => self.take_record(entry, item),
            EntryType::Outcome => self.take_outcome(entry, item),
            EntryType::Gap => self.gaps.push(gap(&facts, item)),
            EntryType::Access => self.looks.push(look(&facts, item)),
            EntryType::Verification => self.verifications.push(verification(&facts)),
            EntryType::Attribution => {
                let (advisors, entry_index) = (facts.advisors(), entry.index());
                self.attributed.extend(facts.record().map(|record| Attributed { record, advisors, entry_index }));
            }
            EntryType::Disposal if facts.word("phase") == "destroyed" => self.take_disposal(&facts),
            EntryType::Identity => self.identities.push(Identity::read(&facts, &item.content)),
            EntryType::Settings => {
                self.settings.push(settings(entry));
                self.webhooks.extend(Webhook::read(&facts));
            }
            EntryType::Matter => self.matters.extend(Matter::read(&facts, &item.content)),
            EntryType::Hold => self.holds.extend(Hold::read(&facts, false, &item.content)),
            EntryType::Release => self.holds.extend(Hold::read(&facts, true, &item.content)),
            EntryType::Disposal | EntryType::Decision | EntryType::Review | EntryType::Export | EntryType::Anchor => {}
        }
    }

    fn take_record(&mut self, entry: &Entry, item: &Item) {
        let facts = Facts(entry);
        let Some(record) = facts.record() else { return };
        let (kinds, direction) = (facts.list("kinds"), facts.word("direction"));
        let attached = attachments(record, item);
        let mut parts = communications(record, entry.index(), &kinds, &direction, &item.content);
        for part in &mut parts {
            part.attached = attached.words(part.number);
            part.make_searchable();
        }
        self.communications.append(&mut parts);
        self.attachments_of.extend(attached.rows);
        self.records.push(Record {
            record,
            entry_index: entry.index(),
            entry: entry.id().uuid(),
            last_index: entry.index(),
            entry_type: entry.entry_type().as_str(),
            at: facts.at(),
            captured_at: entry.captured_at().to_string(),
            network: facts.word("network"),
            transport: facts.word("transport"),
            direction,
            kinds,
            flags: facts.list("flags"),
            rule: facts.text("rule"),
            method: facts.text("method"),
            exchange: facts.id("exchange"),
            source: entry.source().uuid(),
            size: facts.count("size"),
            attachments: facts.count("attachments"),
            device: facts.device(),
            advisors: facts.advisors(),
            retry_of: facts.id("retry_of"),
            derived_from: facts.id("derived_from"),
            previous_version: facts.id("previous_version"),
            content: item.state,
            outcome: None,
            state: None,
            status: None,
        });
    }

    fn take_disposal(&mut self, facts: &Facts<'_>) {
        let mut records = facts.ids("records");
        records.sort_unstable();
        records.dedup();
        self.disposals.extend(records.iter().map(|record| Disposal {
            record: *record,
            entry_index: facts.index(),
            at: facts.at(),
            rule: facts.word("rule"),
            backups_expire_at: facts.word("backups_expire_at"),
        }));
        self.disposed.push((records, facts.index()));
    }
}

fn gap(facts: &Facts<'_>, item: &Item) -> Gap {
    Gap {
        entry_index: facts.index(),
        at: facts.at(),
        cause: facts.word("cause"),
        count: facts.count("count"),
        since: facts.word("from"),
        until: facts.word("until"),
        network: facts.text("network"),
        device: facts.id("device"),
        exchange: facts.id("exchange"),
        capture: facts.id("capture"),
        size: facts.count("size"),
        step: facts.text("step"),
        step_us: facts.count("step_us"),
        host: text(&item.content, "host"),
        advisors: facts.advisors(),
        record: facts.record(),
    }
}

fn look(facts: &Facts<'_>, item: &Item) -> Look {
    Look {
        entry_index: facts.index(),
        at: facts.at(),
        officer: facts.officer(),
        operation: facts.word("operation"),
        allowed: facts.flag("allowed"),
        count: facts.count("count"),
        advisor: facts.id("advisor"),
        records: facts.ids("records"),
        subjects: ids(&item.content, "subjects"),
        purpose: text(&item.content, "purpose"),
        query: text(&item.content, "query"),
        record: facts.record(),
    }
}

/// A field that is a JSON array of ids; what is none is no id.
fn ids(content: &Content, field: &str) -> Vec<Uuid> {
    text(content, field).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn settings(entry: &Entry) -> Settings {
    let facts = Facts(entry);
    Settings {
        entry_index: facts.index(),
        at: facts.at(),
        change: facts.word("change"),
        rules: facts.text("rules"),
        software: facts.text("software"),
        source: entry.source().uuid(),
        record: facts.record(),
    }
}

fn verification(facts: &Facts<'_>) -> Verification {
    Verification {
        entry_index: facts.index(),
        at: facts.at(),
        scope: facts.word("scope"),
        result: facts.word("result"),
        failures: facts.count("failures"),
        first_failure: facts.count("first_failure"),
        from_index: facts.count("from"),
        until_index: facts.count("until"),
    }
}
