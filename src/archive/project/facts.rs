//! Reads the plain parts of an entry: words, counts and ids of its detail.

use uuid::Uuid;

use crate::ledger::{Actor, Entry};

/// A short way to the detail of an entry, whose shapes were checked when it was read.
pub(super) struct Facts<'a>(pub(super) &'a Entry);

impl Facts<'_> {
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.detail().get(key)?.as_str().map(str::to_owned)
    }

    pub(super) fn word(&self, key: &str) -> String {
        self.text(key).unwrap_or_default()
    }

    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.0.detail().get(key)?.as_u64()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.0.detail().get(key).and_then(serde_json::Value::as_bool).unwrap_or_default()
    }

    pub(super) fn id(&self, key: &str) -> Option<Uuid> {
        self.0.detail().get(key)?.as_str()?.parse().ok()
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let list = self.0.detail().get(key).and_then(|list| list.as_array());
        list.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }

    pub(super) fn ids(&self, key: &str) -> Vec<Uuid> {
        self.list(key).iter().filter_map(|id| id.parse().ok()).collect()
    }

    pub(super) fn index(&self) -> u64 {
        self.0.index()
    }

    pub(super) fn at(&self) -> String {
        self.0.at().to_string()
    }

    pub(super) fn record(&self) -> Option<Uuid> {
        self.0.record().map(crate::record::RecordId::uuid)
    }

    pub(super) fn advisors(&self) -> Vec<Uuid> {
        self.0.streams().iter().map(|stream| stream.id.uuid()).collect()
    }

    /// The device that caused it.
    pub(super) fn device(&self) -> Option<Uuid> {
        match self.0.actor() {
            Actor::Device(device) => Some(device.uuid()),
            Actor::Advisor(_) | Actor::Officer(_) | Actor::Service(_) => None,
        }
    }

    /// The officer who caused it.
    pub(super) fn officer(&self) -> Option<Uuid> {
        match self.0.actor() {
            Actor::Officer(officer) => Some(officer.uuid()),
            Actor::Advisor(_) | Actor::Device(_) | Actor::Service(_) => None,
        }
    }
}
