//! As of an earlier size: whatever happened since, the answer is the one that was given then.

use std::collections::{BTreeMap, BTreeSet};

use muniment::archive::{
    Append as _, CommunicationRow, Disposal, Facets, RecordFilter, RecordRow, Slice, Submission, WordQuery, rebuild,
};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{AccountId, Clock as _, EntryId, Ids as _, RecordId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::archive::{TestArchive, master};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, capture_detail, detail, gap, sealed};

const ALL: Slice = Slice { after: None, newest_first: false, limit: 500 };

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    Capture {
        advisor: u128,
        account: u8,
        text: u8,
        item: bool,
    },
    Observation {
        advisor: u128,
        item: u8,
    },
    Outcome {
        of: usize,
        state: u8,
        item: u8,
    },
    Attribution {
        of: usize,
        to: u128,
    },
    Account {
        which: usize,
        known_as: u8,
    },
    Gap {
        of: usize,
    },
    Disposal {
        of: usize,
    },
    /// Somebody asks.
    Question,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (1..4_u128, 0..3_u8, 0..3_u8, any::<bool>())
            .prop_map(|(advisor, account, text, item)| Event::Capture { advisor, account, text, item }),
        2 => (1..4_u128, 0..4_u8).prop_map(|(advisor, item)| Event::Observation { advisor, item }),
        5 => (any::<usize>(), 0..3_u8, 0..5_u8).prop_map(|(of, state, item)| Event::Outcome { of, state, item }),
        3 => (any::<usize>(), 1..4_u128).prop_map(|(of, to)| Event::Attribution { of, to }),
        2 => (0..2_usize, 0..3_u8).prop_map(|(which, known_as)| Event::Account { which, known_as }),
        1 => any::<usize>().prop_map(|of| Event::Gap { of }),
        1 => any::<usize>().prop_map(|of| Event::Disposal { of }),
        3 => Just(Event::Question),
    ]
}

/// A ledger that grows.
struct World {
    test: TestArchive,
    records: Vec<(NewRecord, EntryId, u64)>,
    captures: Vec<usize>,
    accounts: [AccountId; 2],
    account_records: Vec<RecordId>,
    disposed: BTreeMap<RecordId, u64>,
}

impl World {
    async fn new(run: u32) -> Self {
        let test = TestArchive::new().await;
        test.count_runs_of(run).await;
        test.database.tamper("update content.retention set minimum = '0'").await;
        let accounts = [AccountId::new(test.ids.fresh()), AccountId::new(test.ids.fresh())];
        let (records, captures, account_records) = (Vec::new(), Vec::new(), Vec::new());
        Self { test, records, captures, accounts, account_records, disposed: BTreeMap::new() }
    }

    async fn keep(&mut self, entry_type: EntryType, of: u128, facts: serde_json::Value, fields: &[(&str, Vec<u8>)]) {
        let record = NewRecord::new(&self.test);
        let mut all = capture_detail(self.test.ids.fresh());
        if entry_type == EntryType::Observation {
            all.remove("method");
        }
        all.extend(detail(facts));
        let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let submission = sealed(&self.test, &record, entry_type, all, &[advisor(of)], &fields);
        let entry = submission.draft.id;
        let submission = Submission { key: Some(record.wrapped()), ..submission };
        let index = self.test.archive.append(submission).await.unwrap().index;
        self.records.push((record, entry, index));
    }

    async fn happens(&mut self, event: &Event) {
        match *event {
            Event::Capture { advisor, account, text, item } => {
                let mut fields = vec![
                    ("0.text", format!("word{text} and more").into_bytes()),
                    (
                        "0.account",
                        json!({ "id": format!("did:{account}"), "handle": format!("h{account}") }).to_string().into(),
                    ),
                ];
                if item {
                    fields.push(("0.item", format!("item{text}").into_bytes()));
                }
                let flags = if text == 0 { json!(["redacted"]) } else { json!([]) };
                self.keep(EntryType::Capture, advisor, json!({ "flags": flags }), &fields).await;
                self.captures.push(self.records.len() - 1);
            }
            Event::Observation { advisor, item } => {
                let fields = [
                    ("0.text", b"word0 seen".to_vec()),
                    ("0.item", format!("item{item}").into_bytes()),
                    ("0.author", b"{\"id\":\"did:9\",\"handle\":\"Nine\"}".to_vec()),
                ];
                let facts = json!({ "direction": "inbound", "network": "mastodon", "kinds": ["reply"] });
                self.keep(EntryType::Observation, advisor, facts, &fields).await;
            }
            Event::Outcome { of, state, item } if !self.captures.is_empty() => {
                let (record, capture, _) = &self.records[self.captures[of % self.captures.len()]];
                let state = ["accepted", "refused", "unknown"][usize::from(state)];
                let mut facts = detail(json!({ "capture": capture.to_string(), "state": state, "items": 1 }));
                match state {
                    "unknown" => drop(facts.insert("cause".to_owned(), json!("no_answer"))),
                    _ => drop(facts.insert("status".to_owned(), json!(200))),
                }
                let said = format!("item{item}").into_bytes();
                let fields: &[(&str, &[u8])] = if item < 4 && !self.disposed.contains_key(&record.id) {
                    &[("0.item", &said), ("0.permalink", b"https://a.example/1")]
                } else {
                    &[]
                };
                let outcome = sealed(&self.test, record, EntryType::Outcome, facts, &[], fields);
                self.test.archive.append(outcome).await.unwrap();
            }
            Event::Attribution { of, to } if !self.records.is_empty() => {
                let (record, entry, index) = &self.records[of % self.records.len()];
                let facts = json!({ "cause": "account_learned", "account": self.accounts[0].to_string(),
                                    "entry": entry.to_string(), "index": index });
                let attribution =
                    sealed(&self.test, record, EntryType::Attribution, detail(facts), &[advisor(to)], &[]);
                self.test.archive.append(attribution).await.unwrap();
            }
            Event::Account { which, known_as } => {
                let named = NewRecord::new(&self.test);
                let facts = json!({ "subject": "account", "change": "added", "id": self.accounts[which].to_string(),
                                    "advisor": advisor(1).to_string(), "network": "bluesky" });
                let known = match known_as {
                    0 => ("handle", b"H1".to_vec()),
                    other => ("id", format!("did:{other}").into_bytes()),
                };
                let fields: &[(&str, &[u8])] = &[(known.0, &known.1)];
                let identity = sealed(&self.test, &named, EntryType::Identity, detail(facts), &[advisor(1)], fields);
                self.account_records.push(named.id);
                self.test.archive.append(Submission { key: Some(named.wrapped()), ..identity }).await.unwrap();
            }
            Event::Gap { of } if !self.records.is_empty() => {
                let entry = self.records[of % self.records.len()].1;
                let mut about = gap(&self.test, "read_capped");
                about.draft.detail.insert("capture".to_owned(), json!(entry.to_string()));
                self.test.archive.append(about).await.unwrap();
            }
            Event::Disposal { of } if !self.records.is_empty() => {
                let record = self.records[of % self.records.len()].0.id;
                if self.disposed.contains_key(&record) {
                    return;
                }
                let disposal = Disposal {
                    records: vec![record],
                    rule: "six_years".parse().unwrap(),
                    backups_expire_at: self.test.clock.now(),
                    by: Actor::Service("test".try_into().unwrap()),
                };
                let index = self.test.archive.dispose(&disposal).await.unwrap().index;
                self.disposed.insert(record, index);
            }
            _ => {}
        }
    }

    fn questions(&self) -> Vec<(&'static str, bool, RecordFilter)> {
        let all = RecordFilter::default;
        let text = |text: &str| Some(text.to_owned());
        let mut questions = vec![
            ("all", false, all()),
            ("kind", false, RecordFilter { kind: text("reply"), ..all() }),
            ("network", false, RecordFilter { network: text("bluesky"), direction: text("outbound"), ..all() }),
            ("flag", false, RecordFilter { flag: text("redacted"), ..all() }),
            ("gap", false, RecordFilter { gap: text("read_capped"), ..all() }),
            ("text", true, RecordFilter { text: text("WORD0"), ..all() }),
            ("words", true, RecordFilter { words: WordQuery::parse("word1", false).ok(), ..all() }),
            ("author", true, RecordFilter { author: text("@nine"), ..all() }),
            ("acted", true, RecordFilter { author: text("did:1"), ..all() }),
        ];
        for number in 1..4 {
            questions.push(("advisor", false, RecordFilter { advisor: Some(advisor(number)), ..all() }));
        }
        for state in ["accepted", "refused", "unknown", "none"] {
            questions.push(("state", false, RecordFilter { state: text(state), ..all() }));
        }
        for content in ["none", "readable", "unreadable", "disposed"] {
            questions.push(("content", false, RecordFilter { content: text(content), ..all() }));
        }
        for item in ["item0", "item1", "item2", "item3"] {
            questions.push(("item", true, RecordFilter { item: text(item), ..all() }));
        }
        for account in self.accounts {
            questions.push(("account", true, RecordFilter { account: Some(account), ..all() }));
        }
        questions
    }

    /// Spans of time, which may begin and end within runs of what is counted.
    async fn ask_of_spans(&self, as_of: Option<u64>, all: &[RecordRow]) {
        for (from, to) in [(0, all.len() / 2), (all.len() / 3, all.len()), (all.len() / 4, all.len() / 4 * 3)] {
            let at = |place: usize| all.get(place).map(|row| row.at);
            let span = RecordFilter { since: at(from), until: at(to), as_of, ..RecordFilter::default() };
            let rows = self.test.archive.records(&span, ALL).await.unwrap();
            counted("span", false, as_of, &rows, &self.test.archive.facets(&span).await.unwrap());
        }
    }

    /// Everything that is asked, with the answers.
    async fn ask(&self, as_of: Option<u64>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (name, by_content, filter) in self.questions() {
            let filter = RecordFilter { as_of, ..filter };
            let rows = self.test.archive.records(&filter, ALL).await.unwrap();
            let facets = self.test.archive.facets(&filter).await.unwrap();
            let ids: Vec<RecordId> = rows.iter().map(|row| row.record).collect();
            assert_eq!(facets.total, rows.len() as u64, "{name}: the count is that of the list");
            let said = self.test.archive.communications_as_of(&ids, as_of).await.unwrap();
            for row in &rows {
                assert_eq!(
                    self.test.archive.record_as_of(row.record, as_of).await.unwrap().as_ref(),
                    Some(row),
                    "{name}"
                );
            }
            counted(name, by_content, as_of, &rows, &facets);
            answers.push(Answer { name, by_content, rows, said, facets });
        }
        self.ask_of_spans(as_of, &answers[0].rows).await;
        answers
    }
}

/// The counts are what the rows say.
fn counted(name: &str, by_content: bool, as_of: Option<u64>, rows: &[RecordRow], facets: &Facets) {
    let mut expected: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut put = |facet, values: BTreeSet<String>| {
        values.into_iter().for_each(|value| *expected.entry((facet, value)).or_default() += 1);
    };
    let one = |value: &str| BTreeSet::from([value.to_owned()]);
    for row in rows {
        put("network", one(&row.network));
        put("direction", one(&row.direction));
        // Rows show what was disposed of since as disposed; it counts as what it was.
        let since = as_of.zip(row.disposed).is_some_and(|(size, disposed)| disposed >= size);
        put("content", one(if since { "readable" } else { &row.content }));
        put("month", one(&row.at.to_string()[..7]));
        put("flag", row.flags.iter().cloned().collect());
        put("advisor", row.advisors.iter().map(ToString::to_string).collect());
        if row.entry_type == "capture" {
            put("outcome", one(row.state.as_deref().unwrap_or("none")));
        }
        if !by_content {
            put("kind", row.kinds.iter().cloned().collect());
        }
    }
    let mut found = BTreeMap::new();
    for (facet, counts) in &facets.by {
        let left_out = facet == "account" || facet == "kind" && by_content;
        found.extend(counts.iter().filter(|_| !left_out).map(|one| ((facet.as_str(), one.value.clone()), one.count)));
    }
    assert_eq!(found, expected, "{name}");
    assert_eq!((facets.total, facets.counted_from), (rows.len() as u64, None), "{name}");
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    name: &'static str,
    /// Asked by what was said.
    by_content: bool,
    rows: Vec<RecordRow>,
    said: Vec<CommunicationRow>,
    facets: Facets,
}

impl Answer {
    /// The answer of then, with what was disposed of since shown as disposed, and no longer found by what it said.
    fn since(mut self, disposed: &BTreeMap<RecordId, u64>, size: u64) -> Self {
        let gone = |record: &RecordId| disposed.get(record).copied().filter(|place| *place >= size);
        if self.by_content {
            self.rows.retain(|row| gone(&row.record).is_none());
        }
        self.said.retain(|said| gone(&said.record).is_none());
        for row in &mut self.rows {
            if let Some(place) = gone(&row.record) {
                (row.disposed, row.content) = (Some(place), "disposed".to_owned());
            }
        }
        self.plain()
    }

    /// Without what a question as of a size does not tell.
    fn plain(mut self) -> Self {
        self.rows.iter_mut().for_each(|row| row.last_index = 0);
        self
    }
}

fn histories() -> Vec<Vec<Event>> {
    let mut runner = TestRunner::deterministic();
    let history = prop::collection::vec(event(), 60..90);
    (0..3).map(|_| history.new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test]
async fn the_answer_as_of_a_size_is_the_one_that_was_given_at_that_size() {
    // Counted one by one; from runs that end between any two events; and both.
    for (history, run) in histories().into_iter().zip([16_384, 1, 5]) {
        let mut world = World::new(run).await;
        let mut given: Vec<(u64, Vec<Answer>)> = Vec::new();
        for event in &history {
            if !matches!(event, Event::Question) {
                world.happens(event).await;
                continue;
            }
            let size = world.test.archive.head_size().await.unwrap();
            world.test.archive.project(size).await.unwrap();
            given.push((size, world.ask(None).await));
        }
        world.test.archive.catch_up().await.unwrap();
        assert!(given.len() > 3, "only {} questions", given.len());
        check(&world, &given).await;
        // Made again in other steps, the projections give the same answers.
        let blobs = world.test.archive.blobs().clone();
        rebuild(&world.test.database.owner(), master(), blobs, |_at, _of| ()).await.unwrap();
        check(&world, &given).await;
        assert_sound(&world.test).await;
    }
}

async fn check(world: &World, given: &[(u64, Vec<Answer>)]) {
    for (size, answers) in given {
        let now = world.ask(Some(*size)).await;
        for (then, now) in answers.iter().zip(now) {
            let facets = now.facets.clone();
            let (mut expected, mut now) = (then.clone().since(&world.disposed, *size), now.plain());
            now.said.retain(|said| world.disposed.get(&said.record).is_none_or(|place| place < size));
            // Counts stay as they were, but for what is found by what it said.
            if !then.by_content {
                expected.facets.by.remove("account");
                now.facets.by.remove("account");
            } else if expected.rows.len() != then.rows.len() {
                expected.facets = facets.clone();
            }
            assert_eq!(now, expected, "{} as of {size}", then.name);
        }
    }
}
