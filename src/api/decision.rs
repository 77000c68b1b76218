//! What each address gives away, and so what it asks for and what it leaves in the ledger: decided for every route, in one list.
//!
//! Invariant (P5): an address that shows records, people or content, or searches them, names the operations it is written down
//! as. One that is not written down is here because somebody decided so. Tests compare this list with the document, with what the
//! handlers do for every role, and with what turns up in the ledger.

use serde_json::{Value, json};

use crate::access::{Operation, Permission};

/// What an address asks for and leaves behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    /// The path template.
    pub(super) path: &'static str,
    /// For what is not written down: the permission it needs; none where it is open to whoever reaches the listener.
    unwritten: Option<Permission>,
    /// What it is written down as; several where parameters decide.
    written: &'static [Operation],
}

/// Open to whoever reaches the listener: nothing there says what was kept.
const fn open(path: &'static str) -> Decision {
    Decision { path, unwritten: None, written: &[] }
}

/// For officers, and not written down: digests, sizes and counts say nothing about anybody.
const fn unwritten(path: &'static str, permission: Permission) -> Decision {
    Decision { path, unwritten: Some(permission), written: &[] }
}

/// For officers, and every look is an entry.
const fn written(path: &'static str, operations: &'static [Operation]) -> Decision {
    Decision { path, unwritten: None, written: operations }
}

/// Every route.
pub(super) const DECISIONS: &[Decision] = &[
    open("/health"),
    open("/ready"),
    open("/metrics"),
    open("/openapi.json"),
    open("/problems/{name}"),
    written("/v1/records", &[Operation::RecordsList, Operation::RecordsSearch]),
    written("/v1/records/facets", &[Operation::FacetsList, Operation::FacetsSearch]),
    written("/v1/records/export", &[Operation::RecordsExport]),
    written("/v1/records/{id}", &[Operation::RecordsGet]),
    written("/v1/records/{id}/versions", &[Operation::RecordsVersions]),
    written("/v1/records/{id}/thread", &[Operation::RecordsThread]),
    written("/v1/records/{id}/fields/{index}/{name}", &[Operation::FieldsGet]),
    written("/v1/records/{id}/attachments/{number}/{position}", &[Operation::FieldsGet]),
    written("/v1/entries/{index}", &[Operation::EntriesGet]),
    written("/v1/advisors", &[Operation::AdvisorsList]),
    written("/v1/advisors/{id}", &[Operation::AdvisorsGet]),
    written("/v1/devices", &[Operation::DevicesList]),
    written("/v1/devices/{id}", &[Operation::DevicesGet]),
    written("/v1/accounts", &[Operation::AccountsList]),
    written("/v1/accounts/{id}", &[Operation::AccountsGet]),
    written("/v1/officers", &[Operation::OfficersList]),
    // An entry when it begins, one before each run of events is shown, one when it ends.
    written("/v1/events", &[Operation::EventsFollow]),
    written("/v1/gaps", &[Operation::GapsList]),
    written("/v1/coverage", &[Operation::CoverageList]),
    written("/v1/settings", &[Operation::SettingsList]),
    written("/v1/access", &[Operation::AccessList]),
    // Hashes are not written down, entries are.
    Decision { path: "/v1/tile/{*path}", unwritten: Some(Permission::ReadLedger), written: &[Operation::EntriesTile] },
    unwritten("/v1/checkpoint", Permission::ReadLedger),
    unwritten("/v1/checkpoints", Permission::ReadLedger),
    unwritten("/v1/checkpoints/latest", Permission::ReadLedger),
    unwritten("/v1/checkpoints/wait", Permission::ReadLedger),
    unwritten("/v1/proofs/inclusion", Permission::ReadLedger),
    unwritten("/v1/proofs/consistency", Permission::ReadLedger),
    unwritten("/v1/integrity", Permission::ReadIntegrity),
    unwritten("/v1/verifications", Permission::ReadIntegrity),
    // Versions, ids of keys and digests of rules.
    unwritten("/v1/system", Permission::ReadIntegrity),
];

impl Decision {
    /// The decision on a path template.
    pub(super) fn on(template: &str) -> Option<&'static Self> {
        DECISIONS.iter().find(|decision| decision.path == template)
    }

    /// The path template as OpenAPI writes it, which knows no wildcard.
    pub(super) fn documented(template: &str) -> String {
        template.replace("{*", "{")
    }

    /// Whether it needs no token.
    pub(super) const fn is_open(&self) -> bool {
        self.unwritten.is_none() && self.written.is_empty()
    }

    /// Whether it says nothing about anybody, whatever is asked: then its length tells nothing either.
    pub(super) const fn is_unwritten(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether it asks why, always or for some parameters.
    pub(super) fn needs_purpose(&self) -> bool {
        self.written.iter().any(|operation| operation.shows_content())
    }

    /// As the document shows it, under `x-muniment-access`.
    pub(super) fn describe(&self) -> Value {
        let written = self.written.iter().map(|operation| {
            json!({
                "operation": operation.as_str(),
                "permission": operation.permission().as_str(),
                "purpose": operation.shows_content(),
            })
        });
        json!({
            "open": self.is_open(),
            "unwritten": self.unwritten.map(Permission::as_str),
            "written": written.collect::<Vec<_>>(),
        })
    }
}
