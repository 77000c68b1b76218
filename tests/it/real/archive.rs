//! What the archive holds, as an officer finds it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::{Curl, Firm};

/// Longest until the archive has caught up with what was accepted.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every communication in the archive, with its record beside it.
#[derive(Default)]
struct Archive {
    /// Record id → what the API shows of it.
    records: BTreeMap<String, Value>,
}

impl Archive {
    /// Reads it again and again until `whole` says that everything is there, or gives what is there after a while.
    fn read(firm: &Firm, officer: &Curl, whole: impl Fn(&Self) -> bool) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let mut found = Self::default();
        loop {
            found.refresh(firm, officer);
            if whole(&found) || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Looks at every record that is new or was still open.
    fn refresh(&mut self, firm: &Firm, officer: &Curl) {
        let mut after = String::new();
        loop {
            let page = officer.get(&firm.api(&format!("/v1/records?order=oldest&limit=500{after}"))).unwrap().json(200);
            for record in page["records"].as_array().unwrap() {
                let id = record["id"].as_str().unwrap();
                if self.records.get(id).is_none_or(|known| known["outcome"] != record["outcome"]) {
                    let shown = officer.get(&firm.api(&format!("/v1/records/{id}"))).unwrap().json(200);
                    self.records.insert(id.to_owned(), shown);
                }
            }
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => return,
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.records
            .values()
            .flat_map(|record| record["communications"].as_array().unwrap().iter().map(move |it| (record, it)))
    }

    /// The records of communications that are such as this says.
    fn such(&self, wanted: &Wanted) -> impl Iterator<Item = &Value> {
        self.all().filter(|(_record, it)| wanted.fits(it)).map(|(record, _it)| record)
    }

    /// Is there one that was sent through the proxy and that the network accepted?
    fn has_captured(&self, wanted: &Wanted) -> bool {
        self.such(wanted).any(|record| {
            record["type"] == "capture" && record["direction"] == "outbound" && record["outcome"]["state"] == "accepted"
        })
    }

    /// Is there one that came in?
    fn has_received(&self, wanted: &Wanted) -> bool {
        self.such(wanted).any(|record| record["type"] == "observation" && record["direction"] == "inbound")
    }

    /// Kinds and texts, for the message of a test that fails.
    fn summary(&self) -> String {
        let line = |(record, it): (&Value, &Value)| {
            let state = &record["outcome"]["state"];
            format!("{} {} {} {} {} {state}", record["type"], record["direction"], it["kind"], it["text"], it["item"])
        };
        self.all().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// What a communication in the archive must say.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) kinds: &'static [&'static str],
    pub(super) field: &'static str,
    pub(super) value: Value,
}

impl Wanted {
    pub(super) fn new(kinds: &'static [&'static str], field: &'static str, value: &Value) -> Self {
        assert!(value.is_string(), "a client said nothing about {field} of a {kinds:?}");
        Self { kinds, field, value: value.clone() }
    }

    fn fits(&self, communication: &Value) -> bool {
        let said = &communication[self.field];
        // A text may have more around it (a name before a biography, the options after a poll); an id has not.
        let found = match (self.field, said.as_str(), self.value.as_str()) {
            ("text", Some(said), Some(wanted)) => said.contains(wanted),
            _ => said == &self.value,
        };
        found && self.kinds.iter().any(|kind| communication["kind"] == *kind)
    }
}

/// All of these were sent, accepted, and are archived as such.
pub(super) fn assert_captured(firm: &Firm, token: &str, all: &[Wanted]) {
    assert!(!all.is_empty(), "the client did nothing");
    let officer = firm.officer(token).header("muniment-purpose", "test of the main job");
    let archive = Archive::read(firm, &officer, |archive| all.iter().all(|wanted| archive.has_captured(wanted)));
    let lacking: Vec<_> = all.iter().filter(|wanted| !archive.has_captured(wanted)).collect();
    assert!(lacking.is_empty(), "accepted, not archived: {lacking:#?}\nthe archive holds:\n{}", archive.summary());
}

/// This came in and is archived as such.
pub(super) fn assert_received(firm: &Firm, token: &str, wanted: &Wanted) {
    let officer = firm.officer(token).header("muniment-purpose", "test of the main job");
    let archive = Archive::read(firm, &officer, |archive| archive.has_received(wanted));
    assert!(archive.has_received(wanted), "not archived: {wanted:?}\nthe archive holds:\n{}", archive.summary());
}
