//! Every route of the OpenAPI document, with what was decided about it and an address at which it has something to show.
//!
//! What is decided stands here a second time on purpose: a route that is new, or that asks for less than before, or is no longer
//! written down, fails the tests until somebody decides so here too.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::kept::{Kept, keep};
use super::world::World;
use crate::support::submissions::gap;
use muniment::archive::Append as _;

/// Compliance, legal, auditor, admin: who may.
pub(super) const ROLES: [&str; 4] = ["compliance", "legal", "auditor", "admin"];

/// One route.
pub(super) struct Route {
    /// As the document has it.
    pub(super) template: &'static str,
    /// Who may; nobody needs a role for an open one.
    pub(super) roles: &'static [&'static str],
    /// What it is written down as; nothing for what shows digests, sizes and counts only.
    pub(super) written: &'static [&'static str],
    /// Whether it asks why.
    pub(super) purpose: bool,
}

const fn open(template: &'static str) -> Route {
    Route { template, roles: &[], written: &[], purpose: false }
}

const fn officers(template: &'static str, roles: &'static [&'static str], written: &'static [&'static str]) -> Route {
    Route { template, roles, written, purpose: false }
}

const fn content(template: &'static str, written: &'static [&'static str]) -> Route {
    Route { template, roles: &["compliance", "legal"], written, purpose: true }
}

const LEDGER: &[&str] = &["compliance", "legal", "auditor"];
const ACCESS: &[&str] = &["compliance", "legal", "auditor"];
const PEOPLE: &[&str] = &["compliance", "legal", "admin"];

/// The decisions.
pub(super) const ROUTES: &[Route] = &[
    open("/health"),
    open("/metrics"),
    open("/openapi.json"),
    open("/problems/{name}"),
    open("/ready"),
    officers("/v1/access", ACCESS, &["access.list"]),
    officers("/v1/accounts", PEOPLE, &["accounts.list"]),
    officers("/v1/accounts/{id}", PEOPLE, &["accounts.get"]),
    officers("/v1/advisors", PEOPLE, &["advisors.list"]),
    officers("/v1/advisors/{id}", PEOPLE, &["advisors.get"]),
    officers("/v1/checkpoint", LEDGER, &[]),
    officers("/v1/checkpoints", LEDGER, &[]),
    officers("/v1/checkpoints/latest", LEDGER, &[]),
    officers("/v1/checkpoints/wait", LEDGER, &[]),
    officers("/v1/checkpoints/witnessed", LEDGER, &[]),
    officers("/v1/coverage", &ROLES, &["coverage.list"]),
    officers("/v1/devices", PEOPLE, &["devices.list"]),
    officers("/v1/devices/{id}", PEOPLE, &["devices.get"]),
    officers("/v1/entries/{index}", LEDGER, &["entries.get"]),
    officers("/v1/events", &["compliance", "legal"], &["events.follow"]),
    officers("/v1/gaps", &ROLES, &["gaps.list"]),
    officers("/v1/holds", LEDGER, &["holds.list"]),
    officers("/v1/holds/{id}", LEDGER, &["holds.get"]),
    officers("/v1/integrity", &ROLES, &[]),
    officers("/v1/matters", LEDGER, &["matters.list"]),
    officers("/v1/matters/{id}", LEDGER, &["matters.get"]),
    officers("/v1/officers", PEOPLE, &["officers.list"]),
    officers("/v1/proofs/consistency", LEDGER, &[]),
    officers("/v1/proofs/inclusion", LEDGER, &[]),
    officers("/v1/records", &["compliance", "legal"], &["records.list", "records.search"]),
    content("/v1/records/export", &["records.export"]),
    officers("/v1/records/facets", &["compliance", "legal"], &["facets.list", "facets.search"]),
    content("/v1/records/{id}", &["records.get"]),
    content("/v1/records/{id}/attachments/{number}/{position}", &["fields.get"]),
    content("/v1/records/{id}/fields/{index}/{name}", &["fields.get"]),
    officers("/v1/settings", &ROLES, &["settings.list"]),
    officers("/v1/system", &ROLES, &[]),
    content("/v1/records/{id}/thread", &["records.thread"]),
    content("/v1/records/{id}/versions", &["records.versions"]),
    officers("/v1/tile/{path}", LEDGER, &["entries.tile"]),
    officers("/v1/verifications", &ROLES, &[]),
    officers("/v1/webhooks", &ROLES, &["webhooks.list"]),
    officers("/v1/webhooks/{id}", &ROLES, &["webhooks.get"]),
    officers("/v1/webhooks/{id}/deliveries", &ROLES, &["webhooks.deliveries"]),
];

/// What finds by what was said, and so asks why.
pub(super) const SEARCHES: [&str; 2] = ["records.search", "facets.search"];

/// Words that only content holds.
pub(super) const SAID: &str = "zanzibar guaranteed";

/// Something to show at every address.
pub(super) struct Shown {
    pub(super) kept: Kept,
    pub(super) advisor: muniment::record::AdvisorId,
    pub(super) device: muniment::record::DeviceId,
    pub(super) account: String,
    pub(super) webhook: String,
    pub(super) matter: String,
    pub(super) hold: String,
}

impl Shown {
    /// A record with an outcome and an attachment, a gap, people; all projected and under a checkpoint.
    pub(super) async fn new(world: &World) -> Self {
        let test = &world.test;
        let advisor = test.archive.add_advisor(super::world::by(), "Ada Advisor").await.unwrap().id;
        let attachments = serde_json::to_vec(&json!([{ "media_type": "text/html", "source": "body" }])).unwrap();
        let fields: &[(&str, &[u8])] = &[
            ("0.text", SAID.as_bytes()),
            ("0.account", b"{\"id\":\"did:plc:ada\"}"),
            ("0.attachments", &attachments),
            ("request.head", b"POST /upload HTTP/1.1\r\ncontent-type: text/html\r\n"),
            ("request.body", b"<script>alert('zanzibar')</script>"),
        ];
        let kept = keep(test, &[advisor], &[("attachments", json!(1))], fields).await.accepted(test).await;
        let password = muniment::archive::Password::given("only tests know it");
        let device = test.archive.add_device(super::world::by(), advisor, "Ada's phone", password).await.unwrap().id;
        let account = super::kept::account(test, advisor, "did:plc:ada").await;
        test.archive.append(gap(test, "outage")).await.unwrap();
        let webhook = webhook(world).await;
        let (matter, hold) = matter_and_hold(world, advisor).await;
        test.archive.publish(true).await.unwrap();
        world.project().await;
        Self { kept, advisor, device, account, webhook, matter, hold }
    }

    /// An address of the route that shows something, and is written down as `operation` where it is written down.
    pub(super) fn address(&self, template: &str, operation: Option<&str>) -> String {
        let (id, index) = (self.kept.id(), self.kept.index);
        match (template, operation) {
            ("/problems/{name}", _) => "/problems/not-found".to_owned(),
            ("/v1/records", Some("records.search")) => "/v1/records?text=zanzibar".to_owned(),
            ("/v1/records/facets", Some("facets.search")) => "/v1/records/facets?text=zanzibar".to_owned(),
            ("/v1/records/{id}", _) => format!("/v1/records/{id}?proof=1"),
            ("/v1/records/{id}/thread", _) => format!("/v1/records/{id}/thread"),
            ("/v1/records/{id}/versions", _) => format!("/v1/records/{id}/versions"),
            ("/v1/records/{id}/fields/{index}/{name}", _) => format!("/v1/records/{id}/fields/{index}/0.text"),
            ("/v1/records/{id}/attachments/{number}/{position}", _) => format!("/v1/records/{id}/attachments/0/0"),
            ("/v1/advisors/{id}", _) => format!("/v1/advisors/{}", self.advisor),
            ("/v1/devices/{id}", _) => format!("/v1/devices/{}", self.device),
            ("/v1/accounts/{id}", _) => format!("/v1/accounts/{}", self.account),
            ("/v1/webhooks/{id}", _) => format!("/v1/webhooks/{}", self.webhook),
            ("/v1/webhooks/{id}/deliveries", _) => format!("/v1/webhooks/{}/deliveries", self.webhook),
            ("/v1/matters/{id}", _) => format!("/v1/matters/{}", self.matter),
            ("/v1/holds/{id}", _) => format!("/v1/holds/{}", self.hold),
            ("/v1/events", _) => "/v1/events?after=0&wait=false".to_owned(),
            ("/v1/entries/{index}", _) => format!("/v1/entries/{index}"),
            ("/v1/tile/{path}", Some("entries.tile")) => "/v1/tile/entries/000.p/2".to_owned(),
            ("/v1/tile/{path}", _) => "/v1/tile/0/000.p/2".to_owned(),
            ("/v1/proofs/inclusion", _) => format!("/v1/proofs/inclusion?index={index}"),
            ("/v1/checkpoints/wait", _) => "/v1/checkpoints/wait?index=0".to_owned(),
            ("/v1/proofs/consistency", _) => format!("/v1/proofs/consistency?old=1&new={index}"),
            (plain, _) => {
                assert!(!plain.contains('{'), "{plain}: say here at which address it has something to show");
                plain.to_owned()
            }
        }
    }
}

/// A matter with a custodian who was told, and its hold.
async fn matter_and_hold(world: &World, advisor: muniment::record::AdvisorId) -> (String, String) {
    use muniment::record::{EntryId, Ids as _};
    use muniment::retain::{NewHold, NewMatter, Retain, What};
    let (test, by) = (&world.test, super::world::by);
    let retain = Retain::new(test.archive.clone(), std::sync::Arc::clone(&test.ids) as std::sync::Arc<_>);
    let entry = || EntryId::new(test.ids.fresh());
    let new = NewMatter { name: "Smith".to_owned(), description: None, external: None };
    let matter = retain.open(entry(), by(), new).await.unwrap();
    retain.custodian(entry(), by(), matter, advisor, true).await.unwrap();
    retain.issue_notice(entry(), by(), matter, advisor, "keep it".to_owned()).await.unwrap();
    let what = What::Custodians(vec![advisor]);
    let reason = "subpoena".to_owned();
    // Of dates of which there is nothing, so that what is shown can be disposed of.
    let until = Some("1999-01-01T00:00:00.000000Z".parse().unwrap());
    let new = NewHold { matter: Some(matter), name: None, reason, what, since: None, until };
    let hold = retain.place(entry(), by(), new).await.unwrap();
    (matter.to_string(), hold.to_string())
}

/// A webhook that is there and delivers nothing.
async fn webhook(world: &World) -> String {
    use muniment::archive::{WebhookChange, WebhookSettings, WebhookState};
    use muniment::record::{EntryId, Ids as _, OfficerId, WebhookId};
    let fresh = || world.test.ids.fresh();
    let settings = WebhookSettings {
        webhook: WebhookId::new(fresh()),
        state: WebhookState::Enabled,
        cause: None,
        owner: OfficerId::new(fresh()),
        url: "https://hooks.test/".to_owned(),
        events: vec!["gap".to_owned()],
        advisor: None,
        network: None,
        description: None,
        from: 0,
        secrets: Vec::new(),
    };
    let by = super::world::by();
    world.test.archive.set_webhook(by, WebhookChange::Added, EntryId::new(fresh()), &settings).await.unwrap();
    settings.webhook.to_string()
}

/// The document, as anybody gets it.
pub(super) async fn document(world: &World) -> Value {
    world.get("/openapi.json").send().await.json(200)
}

#[tokio::test]
async fn every_route_of_the_document_was_decided_upon_and_does_what_was_decided() {
    let world = World::new().await;
    let document = document(&world).await;
    let readable = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item.get("get").is_some());
    let documented: BTreeSet<&str> = readable.map(|(template, _)| template.as_str()).collect();
    assert_eq!(documented, ROUTES.iter().map(|route| route.template).collect(), "decide on the new route in ROUTES");
    for route in ROUTES {
        let item = document["paths"][route.template].as_object().unwrap();
        // What changes something is decided upon in `WRITES`.
        let access = &item["get"]["x-muniment-access"];
        assert_eq!(access["open"], route.roles.is_empty(), "{}: {access}", route.template);
        let written = access["written"].as_array().unwrap();
        let words: Vec<&str> = written.iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
        assert_eq!(words, route.written, "{}", route.template);
        let purposes: Vec<bool> = written.iter().map(|entry| entry["purpose"].as_bool().unwrap()).collect();
        let expected: Vec<bool> = route.written.iter().map(|word| route.purpose || SEARCHES.contains(word)).collect();
        assert_eq!(purposes, expected, "{}", route.template);
        assert_eq!(item["get"]["security"].is_array(), !route.roles.is_empty(), "{}", route.template);
    }
}
