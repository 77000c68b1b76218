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
        let of_kind = |kind: &'static str| self.subjects.iter().filter(move |(_id, subject)| subject.kind == kind);
        let advisors: Vec<_> = of_kind("advisor")
            .map(|(id, subject)| {
                let of_it = |kind: &'static str| of_kind(kind).filter(move |(_id, other)| other.advisor == *id);
                let devices: Vec<_> = of_it("device").map(|(device, of)| self.device(device, of, query)).collect();
                let account = |(account, of): (&String, &Subject)| json!({"account": account, "handle": of.handle, "network": of.network});
                let accounts: Vec<_> = of_it("account").map(account).collect();
                let gaps = self.gaps_of(|gap| gap.device.is_empty() && gap.advisors.contains(id));
                json!({"accounts": accounts, "advisor": id, "devices": devices, "gaps": gaps, "name": subject.name})
            })
            .collect();
        let everybody = self.gaps_of(|gap| gap.device.is_empty() && gap.advisors.is_empty());
        let mut statement = json!({
            "advisors": advisors, "format": "muniment-coverage/1", "gaps_not_listed": self.uncounted, "gaps_of_everybody": everybody,
        });
        if let Some(object) = statement.as_object_mut() {
            bounds(query, object);
        }
        let text = canonical(&statement).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned() + "\n"
    }

    fn device(&self, id: &str, subject: &Subject, query: &BundleQuery) -> Value {
        let from = subject.added.max(query.from);
        let until = match (subject.revoked, query.until) {
            (Some(revoked), Some(until)) => Some(revoked.min(until)),
            (revoked, until) => revoked.or(until),
        };
        let gaps = self.gaps_of(|gap| gap.device == id);
        json!({"device": id, "from": from, "gaps": gaps, "name": subject.name, "until": until})
    }

    fn gaps_of(&self, is_of: impl Fn(&Gap) -> bool) -> Vec<Value> {
        let gap = |gap: &Gap| json!({"cause": gap.cause, "count": gap.count, "entry": gap.index, "from": gap.from, "until": gap.until});
        self.gaps.iter().filter(|gap| is_of(gap)).map(gap).collect()
    }
}

fn bounds(query: &BundleQuery, into: &mut Map<String, Value>) {
    for (name, time) in [("from", query.from), ("until", query.until)] {
        if let Some(time) = time {
            into.insert(name.to_owned(), json!(time));
        }
    }
}
