//! What was covered of the people in the bundle, and what was not: their devices, from when until when each was let in, and the gaps.
//!
//! That a period is covered says that the device was registered and nothing is known to have gone past the archive; not that it was used, nor
//! that its owner used no other.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::bundle::circumstance::{Circumstance, Told};
use crate::bundle::query::BundleQuery;
use crate::bundle::shown::detail_of;
use crate::record::{Timestamp, canonical};

/// Gaps that are listed; further ones are counted, and stand in `gaps.jsonl`.
const GAPS_MAX: usize = 100_000;

#[derive(Default)]
struct Subject {
    kind: String,
    name: String,
    handle: String,
    network: String,
    advisor: String,
    added: Option<Timestamp>,
    revoked: Option<Timestamp>,
}

struct Gap {
    index: u64,
    cause: String,
    count: u64,
    from: String,
    until: String,
    device: String,
    advisors: Vec<String>,
}

/// Collects what the circumstances say.
#[derive(Default)]
pub(super) struct Coverage {
    subjects: BTreeMap<String, Subject>,
    gaps: Vec<Gap>,
    uncounted: u64,
}

impl Coverage {
    pub(super) fn add(&mut self, of: Circumstance, told: &Told) {
        match of {
            Circumstance::Identity => self.identity(told),
            Circumstance::Gaps if self.gaps.len() >= GAPS_MAX => self.uncounted += 1,
            Circumstance::Gaps => self.gap(told),
            Circumstance::Access | Circumstance::Matter | Circumstance::Integrity => {}
        }
    }

    fn identity(&mut self, told: &Told) {
        let detail = |key: &str| detail_of(&told.entry, key);
        let id = detail("id");
        if id.is_empty() {
            return;
        }
        let subject = self.subjects.entry(id).or_default();
        subject.kind = detail("subject");
        for (held, said) in [(&mut subject.network, detail("network")), (&mut subject.advisor, detail("advisor"))] {
            if !said.is_empty() {
                *held = said;
            }
        }
        for (held, field) in [(&mut subject.name, "name"), (&mut subject.handle, "handle")] {
            if let Some(said) = told.text(field) {
                said.clone_into(held);
            }
        }
        match detail("change").as_str() {
            "added" => subject.added = subject.added.or(Some(told.entry.at())),
            "revoked" => subject.revoked = Some(told.entry.at()),
            _ => {}
        }
    }

    fn gap(&mut self, told: &Told) {
        let detail = |key: &str| detail_of(&told.entry, key);
        self.gaps.push(Gap {
            index: told.entry.index(),
            cause: detail("cause"),
            count: told.entry.detail().get("count").and_then(Value::as_u64).unwrap_or_default(),
            from: detail("from"),
            until: detail("until"),
            device: detail("device"),
            advisors: told.entry.streams().iter().map(|stream| stream.id.to_string()).collect(),
        });
    }

    /// The name that an advisor, a device or an account goes by.
    pub(super) fn name<'a>(&'a self, id: &'a str) -> &'a str {
        let subject = self.subjects.get(id);
        let named = subject.map(|subject| if subject.name.is_empty() { &subject.handle } else { &subject.name });
        named.filter(|name| !name.is_empty()).map_or(id, String::as_str)
    }

    /// The statement, as JSON in one spelling.
    pub(super) fn json(&self, query: &BundleQuery) -> String {
        // Grouped once: there may be many of each.
        let mut owned: BTreeMap<(&str, &str), Vec<(&str, &Subject)>> = BTreeMap::new();
        for (id, subject) in &self.subjects {
            owned.entry((&subject.kind, &subject.advisor)).or_default().push((id, subject));
        }
        let mut of_device: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut of_advisor: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for gap in &self.gaps {
            let said = || json!({"cause": gap.cause, "count": gap.count, "entry": gap.index, "from": gap.from, "until": gap.until});
            if !gap.device.is_empty() {
                of_device.entry(&gap.device).or_default().push(said());
            } else if gap.advisors.is_empty() {
                of_advisor.entry("").or_default().push(said());
            }
            for advisor in gap.advisors.iter().filter(|_advisor| gap.device.is_empty()) {
                of_advisor.entry(advisor).or_default().push(said());
            }
        }
        let everybody = of_advisor.remove("").unwrap_or_default();
        let of_it = |kind: &str, id: &str| owned.get(&(kind, id)).cloned().unwrap_or_default();
        let mut advisors = Vec::new();
        for (id, subject) in self.subjects.iter().filter(|(_id, subject)| subject.kind == "advisor") {
            let device = |(device, of): (&str, &Subject)| {
                // One of which the registration is not here, or that was none in this time, covers nothing.
                let is_there = of.added.is_some() && of.until(query).is_none_or(|until| of.from(query) < Some(until));
                is_there.then_some(())?;
                let gaps = of_device.remove(device).unwrap_or_default();
                Some(
                    json!({"device": device, "from": of.from(query), "gaps": gaps, "name": of.name, "until": of.until(query)}),
                )
            };
            let devices: Vec<_> = of_it("device", id).into_iter().filter_map(device).collect();
            let account = |(account, of): (&str, &Subject)| json!({"account": account, "handle": of.handle, "network": of.network, "until": of.revoked});
            let accounts: Vec<_> = of_it("account", id).into_iter().map(account).collect();
            let gaps = of_advisor.remove(id.as_str()).unwrap_or_default();
            advisors.push(
                json!({"accounts": accounts, "advisor": id, "devices": devices, "gaps": gaps, "name": subject.name}),
            );
        }
        let mut statement = json!({
            "advisors": advisors, "format": "muniment-coverage/1", "gaps_not_listed": self.uncounted, "gaps_of_everybody": everybody,
        });
        if let Some(object) = statement.as_object_mut() {
            bounds(query, object);
        }
        let text = canonical(&statement).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned() + "\n"
    }
}

impl Subject {
    /// From when on it was let in, as far as that is asked about.
    fn from(&self, query: &BundleQuery) -> Option<Timestamp> {
        self.added.max(query.from)
    }

    /// Until when it was let in, as far as that is asked about.
    fn until(&self, query: &BundleQuery) -> Option<Timestamp> {
        match (self.revoked, query.until) {
            (Some(revoked), Some(until)) => Some(revoked.min(until)),
            (revoked, until) => revoked.or(until),
        }
    }
}

fn bounds(query: &BundleQuery, into: &mut Map<String, Value>) {
    for (name, time) in [("from", query.from), ("until", query.until)] {
        if let Some(time) = time {
            into.insert(name.to_owned(), json!(time));
        }
    }
}
