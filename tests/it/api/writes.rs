//! Every operation that changes something, with what was decided about it; each takes an idempotency key, answers those who may, and is on record.
//!
//! As with [`super::routes::ROUTES`], what is decided stands here a second time on purpose.

use muniment::ledger::{Actor, EntryType};
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::document::assert_documented_as;
use super::routes::{ROLES, document};
use super::webhooks::{delivering, path_of, set_up};
use super::world::{Officer, Setting, World};
use crate::support::sound::assert_sound;

/// One of them.
pub(super) struct Write {
    pub(super) method: &'static str,
    pub(super) template: &'static str,
    pub(super) roles: &'static [&'static str],
    pub(super) written: &'static str,
    /// How it is answered.
    pub(super) status: u16,
    /// A body that is right; none where it takes none.
    pub(super) body: Option<&'static str>,
}

const fn webhooks(
    method: &'static str,
    template: &'static str,
    written: &'static str,
    status: u16,
    body: Option<&'static str>,
) -> Write {
    Write { method, template, roles: &["compliance"], written, status, body }
}

const fn holds(
    method: &'static str,
    template: &'static str,
    written: &'static str,
    status: u16,
    body: &'static str,
) -> Write {
    Write { method, template, roles: &["legal"], written, status, body: Some(body) }
}

/// The decisions.
pub(super) const WRITES: &[Write] = &[
    webhooks("post", "/v1/webhooks", "webhooks.create", 201, Some(r#"{"url":"https://hooks.test/new"}"#)),
    webhooks("patch", "/v1/webhooks/{id}", "webhooks.update", 200, Some(r#"{"description":"other"}"#)),
    webhooks("delete", "/v1/webhooks/{id}", "webhooks.delete", 204, None),
    webhooks("post", "/v1/webhooks/{id}/secret", "webhooks.rotate", 200, Some("{}")),
    webhooks("post", "/v1/webhooks/{id}/ping", "webhooks.ping", 202, None),
    webhooks("post", "/v1/webhooks/{id}/replay", "webhooks.replay", 202, Some("{}")),
    holds("post", "/v1/matters", "matters.create", 201, r#"{"name":"Smith"}"#),
    holds("patch", "/v1/matters/{id}", "matters.update", 200, r#"{"description":"other"}"#),
    holds("post", "/v1/matters/{id}/custodians", "matters.custodians", 200, r#"{"advisor":"ADVISOR"}"#),
    holds("post", "/v1/matters/{id}/notices", "matters.notices", 200, r#"{"advisor":"ADVISOR","text":"keep it"}"#),
    holds("post", "/v1/matters/{id}/notices/acknowledge", "matters.acknowledge", 200, r#"{"notice":"NOTICE"}"#),
    holds("post", "/v1/holds", "holds.create", 201, r#"{"reason":"subpoena","everything":true}"#),
    holds("post", "/v1/holds/{id}/release", "holds.release", 200, r#"{"reason":"settled"}"#),
];

impl Write {
    /// A request that is right, at something that is there.
    async fn call(&self, world: &World, owner: &Officer) -> Call {
        if self.roles != ["compliance"] {
            let there = There::new(world).await;
            let path = match self.template.strip_prefix("/v1/holds/{id}") {
                Some(rest) => format!("/v1/holds/{}{rest}", there.hold),
                None => self.template.replace("{id}", &there.matter.to_string()),
            };
            let call = self.at(world, &path);
            let body = self.body.unwrap_or_default().replace("ADVISOR", &there.advisor.to_string());
            return call.body(body.replace("NOTICE", &there.notice.to_string()).into_bytes());
        }
        let webhook = set_up(world, owner, json!({ "url": "https://hooks.test/there" })).await;
        let path = self.template.replace("/v1/webhooks/{id}", &path_of(&webhook));
        self.at(world, &path)
    }

    fn at(&self, world: &World, path: &str) -> Call {
        let call = world.get(path).method(&self.method.to_uppercase());
        let somebody = "01890000-0000-7000-8000-000000000000";
        match self.body {
            Some(body) => {
                let body = body.replace("ADVISOR", somebody).replace("NOTICE", somebody);
                call.header("content-type", "application/json").body(body.into_bytes())
            }
            None => call,
        }
    }

    fn documented(&self, document: &Value, answer: &Answer) {
        assert_documented_as(document, self.method, self.template, self.template, answer);
    }
}

/// A matter with a custodian who was told, and a hold.
struct There {
    matter: muniment::record::MatterId,
    advisor: muniment::record::AdvisorId,
    notice: muniment::record::NoticeId,
    hold: muniment::record::HoldId,
}

impl There {
    async fn new(world: &World) -> Self {
        use muniment::record::{EntryId, Ids as _};
        use muniment::retain::{NewHold, NewMatter, Retain, What};
        let (test, by) = (&world.test, super::world::by);
        let retain = Retain::new(test.archive.clone(), std::sync::Arc::clone(&test.ids) as std::sync::Arc<_>);
        let entry = || EntryId::new(test.ids.fresh());
        let advisor = test.archive.add_advisor(by(), "Ada").await.unwrap().id;
        let new = NewMatter { name: "Smith".to_owned(), description: None, external: None };
        let matter = retain.open(entry(), by(), new).await.unwrap();
        retain.custodian(entry(), by(), matter, advisor, true).await.unwrap();
        let notice = retain.issue_notice(entry(), by(), matter, advisor, "keep it".to_owned()).await.unwrap();
        let (what, reason) = (What::Custodians(vec![advisor]), "subpoena".to_owned());
        let new = NewHold { matter: Some(matter), name: None, reason, what, since: None, until: None };
        let hold = retain.place(entry(), by(), new).await.unwrap();
        Self { matter, advisor, notice, hold }
    }
}

#[tokio::test]
async fn every_write_of_the_document_was_decided_upon_and_takes_a_key() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut documented = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            documented.push((method.clone(), template.clone()));
            let write = WRITES.iter().find(|write| write.template == template && write.method == method);
            let write = write.unwrap_or_else(|| panic!("{method} {template}: decide on the new write in WRITES"));
            let access = &operation["x-muniment-access"];
            assert_eq!(access["written"][0]["operation"], write.written, "{method} {template}");
            assert_eq!(access["open"], false, "{method} {template}");
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(
                parameters.iter().any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header"),
                "{template}"
            );
            assert!(operation["security"].is_array() && operation["summary"].as_str().unwrap().len() > 10);
            assert_eq!(operation["requestBody"].is_object(), write.body.is_some(), "{method} {template}");
        }
    }
    assert_eq!(documented.len(), WRITES.len(), "{documented:?}");
}

#[tokio::test]
async fn each_write_is_done_for_those_who_may_and_is_on_record_before_it_is_done() {
    let world = World::with(delivering()).await;
    let document = document(&world).await;
    let owner = world.officer(&["compliance"]).await;
    for write in WRITES {
        for role in ROLES {
            let officer = world.officer(&[role]).await;
            let call = write.call(&world, &owner).await;
            let before = world.test.archive.head_size().await.unwrap();
            let answer = call.officer(&officer).send().await;
            let size = world.test.archive.head_size().await.unwrap();
            let entries = world.test.archive.entries(before..size).await.unwrap();
            let by = Actor::Officer(officer.id);
            let look = entries.iter().find(|entry| entry.actor() == &by && entry.entry_type() == EntryType::Access);
            let look = look.unwrap_or_else(|| panic!("{role} {}: nobody wrote it down", write.written));
            assert_eq!(look.detail()["operation"], write.written);
            assert_eq!(look.detail()["allowed"], write.roles.contains(&role), "{role} {}", write.written);
            let changes = [EntryType::Settings, EntryType::Matter, EntryType::Hold, EntryType::Release];
            let changed = entries.iter().find(|entry| changes.contains(&entry.entry_type()) && entry.actor() == &by);
            assert!(changed.is_none_or(|changed| changed.index() > look.index()), "{}", write.written);
            write.documented(&document, &answer);
            if write.roles.contains(&role) {
                assert_eq!(answer.status.as_u16(), write.status, "{role} {}: {}", write.written, answer.text());
                continue;
            }
            assert_eq!(changed.map(muniment::ledger::Entry::index), None, "{role} {}: refused and done", write.written);
            let problem = answer.problem(403, "role-missing");
            assert_eq!(problem["roles"], json!(write.roles), "{role} {}", write.written);
        }
        // Room for the next ones.
        for webhook in world.get("/v1/webhooks").officer(&owner).send().await.json(200)["webhooks"].as_array().unwrap()
        {
            world.get(&path_of(webhook)).method("DELETE").officer(&owner).send().await;
        }
    }
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_write_is_refused_to_strangers_and_with_anything_that_nobody_knows() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let document = document(&world).await;
    let owner = world.officer(&["compliance", "legal"]).await;
    for write in WRITES {
        let call = write.call(&world, &owner).await;
        let before = world.test.archive.head_size().await.unwrap();
        for stranger in [call.clone(), call.clone().token("muniment_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
            let answer = stranger.send().await;
            answer.problem(401, "not-authenticated");
            write.documented(&document, &answer);
        }
        let nobody = write.template.replace("{id}", "01890000-0000-7000-8000-000000000000");
        for (path, parameter) in
            [(format!("{nobody}?nonsense=1"), "query"), (write.template.replace("{id}", "x"), "id")]
        {
            if parameter == "id" && !write.template.contains("{id}") {
                continue;
            }
            let answer = write.at(&world, &path).officer(&owner).send().await;
            answer.wrong(parameter);
            write.documented(&document, &answer);
        }
        for key in ["", "\"", "\u{fc}"] {
            let answer = call.clone().officer(&owner).header("idempotency-key", key).send().await;
            answer.wrong("Idempotency-Key");
        }
        if write.body.is_some() {
            let odd = call.clone().officer(&owner).body(b"{\"nonsense\":1}".to_vec()).send().await;
            assert!(odd.wrong("body").contains("nonsense"), "{}", write.written);
            if write.method == "patch" {
                assert!(call.clone().officer(&owner).body(Vec::new()).send().await.wrong("body").contains("missing"));
            }
            for broken in ["{", "[null,null]", "[]", "null", "1", "{} {}"] {
                call.clone().officer(&owner).body(broken.as_bytes().to_vec()).send().await.wrong("body");
            }
        }
        assert_eq!(world.test.archive.head_size().await.unwrap(), before, "{}: nobody did anything", write.written);
        if write.template.contains("{id}") {
            let answer = write.at(&world, &nobody).officer(&owner).send().await;
            answer.problem(404, "not-found");
            write.documented(&document, &answer);
            assert_eq!(world.test.archive.head_size().await.unwrap(), before + 1, "asking is on record");
        }
    }
}

#[tokio::test]
async fn a_token_for_some_operations_or_advisors_writes_nothing_beyond_them() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let ada = world.test.archive.add_advisor(super::world::by(), "Ada").await.unwrap().id;
    let limits = |operations: &[&str], advisors: &[muniment::record::AdvisorId]| muniment::archive::Limits {
        operations: operations.iter().map(|word| (*word).to_owned()).collect(),
        advisors: advisors.to_vec(),
        expires_at: None,
    };
    let owner = world.officer(&["compliance"]).await;
    let create = |body: Value| {
        let call = world.get("/v1/webhooks").method("POST").header("content-type", "application/json");
        call.body(body.to_string().into_bytes())
    };
    // Setting one up is vouching for what it delivers.
    let halfway = world.officer_within(&["compliance"], &limits(&["webhooks.create"], &[])).await;
    let url = "https://hooks.test/";
    create(json!({ "url": url })).officer(&halfway).send().await.problem(403, "out-of-scope");
    let hers = world.officer_within(&["compliance"], &limits(&[], &[ada])).await;
    create(json!({ "url": url })).officer(&hers).send().await.problem(403, "out-of-scope");
    let webhook = create(json!({ "url": url, "advisor": ada })).officer(&hers).send().await.json(201);
    let everybody = json!({ "advisor": null }).to_string().into_bytes();
    let patch =
        world.get(&path_of(&webhook)).method("PATCH").header("content-type", "application/json").body(everybody);
    patch.clone().officer(&hers).send().await.problem(403, "out-of-scope");
    assert_eq!(patch.officer(&owner).send().await.json(200)["advisor"], Value::Null);
    let path = path_of(&webhook);
    for call in [world.get(&path), world.get(&path).method("DELETE"), world.get("/v1/webhooks")] {
        call.officer(&hers).send().await.problem(403, "out-of-scope");
    }
}
