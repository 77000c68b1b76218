//! What each address gives away, and so what it asks for and what it leaves in the ledger: decided for every route, in one list.
//!
//! Invariant (P5): an address that shows records, people or content, or searches them, names the operations it is written down
//! as. One that is not written down is here because somebody decided so. Tests compare this list with the document, with what the
//! handlers do for every role, and with what turns up in the ledger.

use axum::http::Method;
use serde_json::{Value, json};

use crate::access::{Operation, Permission};

/// What an address asks for and leaves behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    /// The path template.
    pub(super) path: &'static str,
    /// The method, as the document writes it; `get` answers HEAD too.
    pub(super) method: &'static str,
    /// For what is not written down: the permission it needs; none where it is open to whoever reaches the listener.
    unwritten: Option<Permission>,
    /// What it is written down as; several where parameters decide.
    written: &'static [Operation],
}

const GET: &str = "get";

/// Open to whoever reaches the listener: nothing there says what was kept.
const fn open(path: &'static str) -> Decision {
    Decision { path, method: GET, unwritten: None, written: &[] }
}

/// For officers, and not written down: digests, sizes and counts say nothing about anybody.
const fn unwritten(path: &'static str, permission: Permission) -> Decision {
    Decision { path, method: GET, unwritten: Some(permission), written: &[] }
}

/// For officers, and every look is an entry.
const fn written(path: &'static str, operations: &'static [Operation]) -> Decision {
    Decision { path, method: GET, unwritten: None, written: operations }
}

/// For officers, and changes something: who did is an entry before it is done.
const fn changes(method: &'static str, path: &'static str, operations: &'static [Operation]) -> Decision {
    Decision { path, method, unwritten: None, written: operations }
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
    written("/v1/webhooks", &[Operation::WebhooksList]),
    changes("post", "/v1/webhooks", &[Operation::WebhooksCreate]),
    written("/v1/webhooks/{id}", &[Operation::WebhooksGet]),
    changes("patch", "/v1/webhooks/{id}", &[Operation::WebhooksUpdate]),
    changes("delete", "/v1/webhooks/{id}", &[Operation::WebhooksDelete]),
    changes("post", "/v1/webhooks/{id}/secret", &[Operation::WebhooksRotate]),
    changes("post", "/v1/webhooks/{id}/ping", &[Operation::WebhooksPing]),
    written("/v1/webhooks/{id}/deliveries", &[Operation::WebhooksDeliveries]),
    changes("post", "/v1/webhooks/{id}/replay", &[Operation::WebhooksReplay]),
    written("/v1/matters", &[Operation::MattersList]),
    changes("post", "/v1/matters", &[Operation::MattersCreate]),
    written("/v1/matters/{id}", &[Operation::MattersGet]),
    changes("patch", "/v1/matters/{id}", &[Operation::MattersUpdate]),
    changes("post", "/v1/matters/{id}/custodians", &[Operation::MattersCustodians]),
    changes("post", "/v1/matters/{id}/notices", &[Operation::MattersNotices]),
    changes("post", "/v1/matters/{id}/notices/acknowledge", &[Operation::MattersAcknowledge]),
    written("/v1/holds", &[Operation::HoldsList]),
    changes("post", "/v1/holds", &[Operation::HoldsCreate]),
    written("/v1/holds/{id}", &[Operation::HoldsGet]),
    changes("post", "/v1/holds/{id}/release", &[Operation::HoldsRelease]),
    // Hashes are not written down, entries are.
    Decision {
        path: "/v1/tile/{*path}",
        method: GET,
        unwritten: Some(Permission::ReadLedger),
        written: &[Operation::EntriesTile],
    },
    unwritten("/v1/checkpoint", Permission::ReadLedger),
    unwritten("/v1/checkpoints", Permission::ReadLedger),
    unwritten("/v1/checkpoints/latest", Permission::ReadLedger),
    unwritten("/v1/checkpoints/wait", Permission::ReadLedger),
    unwritten("/v1/checkpoints/witnessed", Permission::ReadLedger),
    unwritten("/v1/proofs/inclusion", Permission::ReadLedger),
    unwritten("/v1/proofs/consistency", Permission::ReadLedger),
    unwritten("/v1/integrity", Permission::ReadIntegrity),
    unwritten("/v1/verifications", Permission::ReadIntegrity),
    // Versions, ids of keys and digests of rules.
    unwritten("/v1/system", Permission::ReadIntegrity),
];

impl Decision {
    /// The decision on a path template and a method; for a method that is not served, the one on the template.
    pub(super) fn on(template: &str, method: &Method) -> Option<&'static Self> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_path = || DECISIONS.iter().filter(|decision| decision.path == template);
        of_path().find(|decision| method.as_str().eq_ignore_ascii_case(decision.method)).or_else(|| of_path().next())
    }

    /// The path template by its text; none where there is no such one.
    pub(super) fn path(template: &str) -> Option<&'static str> {
        DECISIONS.iter().map(|decision| decision.path).find(|path| *path == template)
    }

    /// Whether it changes something.
    pub(super) fn changes(&self) -> bool {
        self.method != GET
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
