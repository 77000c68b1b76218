//! Clients of the audit API that know nothing but its document: one is generated from it, one makes up requests of it.

use std::collections::BTreeMap;

use muniment::ledger::{TlogProof, VerifyingKey};
use serde_json::{Value, json};

use super::parts::caller;
use crate::service::{Curl, Device, Firm, HOST, Origin, Service, TOKEN, eventually, text};

/// A firm whose advisor has said something.
struct Audited {
    origin: Origin,
    firm: Firm,
    service: Service,
    advisor: String,
    device: Device,
    /// Id on the network of the post that was answered and edited.
    item: String,
}

const POSTS: usize = 24;
/// What the network accepts: those, one more, its answer and its edit; and an upload, which it does not know.
const ACCEPTED: usize = POSTS + 3;
const RECORDS: usize = ACCEPTED + 1;
/// What the record to look at says, before it was edited.
const SAID: &str = "Guaranteed returns, <b>every</b> year; příliš žluťoučký kůň";
const EDITED: &str = "Returns are never guaranteed";
const ANSWER: &str = "I had meant to say that they are not";

impl Audited {
    fn new() -> Self {
        let origin = Origin::start();
        // Whatever webhook is set up, it leads to this machine.
        let settings = "[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n[witnessing]\npolicy = \"policy.txt\"\n";
        let firm = Firm::new(&origin, settings);
        // No witness is asked, and none is missing.
        std::fs::write(firm.dir().join("policy.txt"), "quorum none\n").unwrap();
        let service = firm.serve();
        let advisor = firm.add_advisor("Ada Advisor");
        firm.add_advisor("Berta Advisor");
        let device = firm.add_device(&advisor, "laptop");
        let mut audited = Self { origin, firm, service, advisor, device, item: String::new() };
        for number in 0..POSTS {
            audited.send("POST", "/api/v1/statuses", &json!({ "status": format!("Rates were held, {number}") }));
        }
        audited.item = text(&audited.send("POST", "/api/v1/statuses", &json!({ "status": SAID })), "id");
        audited.send("POST", "/api/v1/statuses", &json!({ "status": ANSWER, "in_reply_to_id": audited.item }));
        audited.send("PUT", &format!("/api/v1/statuses/{}", audited.item), &json!({ "status": EDITED }));
        let file = audited.firm.dir().join("chart.txt");
        std::fs::write(&file, "up and to the right").unwrap();
        let upload = audited.curl().option("--form", &format!("file=@{};type=text/plain", file.display()));
        assert_eq!(upload.send(&audited.origin.url("/api/v2/media")).unwrap().status, 404);
        audited
    }

    fn curl(&self) -> Curl {
        self.firm.device(&self.device).header("authorization", &format!("Bearer {TOKEN}"))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.curl().option("--request", method).json(body).send(&self.origin.url(path)).unwrap().json(200)
    }

    /// An officer in these roles, once everything that was said is there and closed; the token.
    fn officer(&self, roles: &[&str]) -> String {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        let arguments: Vec<&str> = ["officer", "add", "Olga Officer"].into_iter().chain(roles).collect();
        let token = text(&self.firm.ask(&arguments), "token");
        eventually(|| {
            let counts = self.firm.officer(&token).get(&self.firm.api("/v1/records/facets?outcome=accepted")).unwrap();
            // Whoever may not list records takes no part in the waiting.
            (counts.status == 403 || counts.json(200)["total"] == ACCEPTED).then_some(())
        });
        token
    }

    /// What stands in the places of paths where something is there.
    fn known(&self, token: &str) -> Value {
        let officer = self.firm.officer(token).header("muniment-purpose", "to know what is there");
        let read = |path: &str| officer.get(&self.firm.api(path)).unwrap().json(200);
        let id = text(&read("/v1/records?kind=upload")["records"][0], "id");
        let entry = &read(&format!("/v1/records/{id}"))["entries"][0];
        let first = |list: &str| text(&read(&format!("/v1/{list}"))[list][0], "id");
        let webhook = || {
            let url = json!({ "url": "https://127.0.0.1:9/hook", "events": ["alarm"] });
            json!({ "id": officer.clone().json(&url).send(&self.firm.api("/v1/webhooks")).unwrap().json(201)["id"] })
        };
        let looked_at = webhook();
        let made = |path: &str, body: &Value| json!({ "id": officer.clone().json(body).send(&self.firm.api(path)).unwrap().json(201)["id"] });
        let matter = || made("/v1/matters", &json!({ "name": "Smith" }));
        let (told, advisor) = (text(&matter(), "id"), first("advisors"));
        let tell = |what: &str, body: &Value| {
            officer.clone().json(body).send(&self.firm.api(&format!("/v1/matters/{told}/{what}"))).unwrap().json(200)
        };
        tell("custodians", &json!({ "advisor": advisor }));
        let notice = tell("notices", &json!({ "advisor": advisor, "text": "keep it" }))["notices"][0]["notice"].clone();
        let told = json!({ "id": told });
        let hold = || made("/v1/holds", &json!({ "reason": "subpoena", "custodians": [first("advisors")] }));
        json!({
            "/v1/matters/{id}": matter(), "PATCH /v1/matters/{id}": matter(), "/v1/matters/{id}/custodians": matter(),
            "/v1/matters/{id}/notices": told, "/v1/matters/{id}/notices/acknowledge": told,
            "bodies": { "advisor": advisor, "notice": notice },
            "/v1/holds/{id}": hold(), "/v1/holds/{id}/release": hold(),
            "/v1/webhooks/{id}": looked_at, "/v1/webhooks/{id}/deliveries": looked_at,
            "PATCH /v1/webhooks/{id}": webhook(), "DELETE /v1/webhooks/{id}": webhook(), "/v1/webhooks/{id}/secret": webhook(),
            "/v1/webhooks/{id}/ping": webhook(), "/v1/webhooks/{id}/replay": webhook(),
            "/v1/records/{id}": { "id": id }, "/v1/records/{id}/thread": { "id": id }, "/v1/records/{id}/versions": { "id": id },
            "/v1/records/{id}/fields/{index}/{name}": { "id": id, "index": entry["index"].to_string(), "name": "request.body" },
            "/v1/records/{id}/attachments/{number}/{position}": { "id": id, "number": "0", "position": "0" },
            "/v1/advisors/{id}": { "id": first("advisors") }, "/v1/devices/{id}": { "id": first("devices") },
            "/v1/accounts/{id}": { "id": first("accounts") }, "/problems/{name}": { "name": "not-found" },
            "/v1/entries/{index}": { "index": "0" }, "/v1/tile/{path}": { "path": "0/000.p/1" },
        })
    }

    fn api(&self) -> String {
        self.firm.api("")
    }
}

/// What a step of the client said, by step.
fn by_step(lines: Vec<Value>) -> BTreeMap<String, Value> {
    lines.into_iter().map(|line| (text(&line, "did"), line)).collect()
}

/// The generated classes give back what they read: nothing of it may be lost or turned on the way.
fn same_records(client: &Value, read: &Value) {
    let ids = |page: &Value| -> Vec<Value> { page.as_array().unwrap().iter().map(|it| it["id"].clone()).collect() };
    assert_eq!(ids(client), ids(read));
    for (client, read) in client.as_array().unwrap().iter().zip(read.as_array().unwrap()) {
        for (name, value) in read.as_object().unwrap() {
            let same = match (value.as_str(), client[name].as_str()) {
                // Python writes the same moment in another way.
                (Some(read), Some(client)) if name == "at" || name == "captured_at" => {
                    client.trim_end_matches("+00:00").trim_end_matches('0')
                        == read.trim_end_matches('Z').trim_end_matches('0')
                }
                _ => name == "outcome" || client.get(name).unwrap_or(&Value::Null) == value,
            };
            assert!(same, "{name}: {value} became {}", client[name]);
        }
    }
}

#[test]
fn a_client_generated_from_the_document_reads_what_is_in_the_archive() {
    let audited = Audited::new();
    let token = audited.officer(&["compliance"]);
    let officer = audited.firm.officer(&token).header("muniment-purpose", "beside the generated client");
    let said = by_step(caller("api/client.py", &token, &["--api", &audited.api(), "--text", "guaranteed RETURNS"]));

    // Every operation of the document, which the test of the document compares with the router, has a function.
    let document = audited.firm.officer(&token).get(&audited.firm.api("/openapi.json")).unwrap().json(200);
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(said["generate"]["operations"], json!(ids));

    let all = officer.get(&audited.firm.api("/v1/records?order=oldest&limit=500")).unwrap().json(200);
    assert_eq!(all["records"].as_array().unwrap().len(), RECORDS);
    same_records(&said["pages"]["records"], &all["records"]);

    let record = &said["record"]["record"];
    let communication = &record["communications"][0];
    assert_eq!(communication["text"], SAID);
    assert_eq!(communication["item"], format!("{HOST}/{}", audited.item));
    assert_eq!(record["outcome"]["state"], "accepted");
    assert_eq!(record["advisors"], json!([audited.advisor]));
    assert_eq!(record["device"], audited.device.id.as_str());
    assert_eq!(said["search"]["records"], json!([record["id"]]));
    assert_eq!(said["search"]["total"], 1);
    assert_eq!(said["fields"]["fields"]["0.text"], SAID);
    assert!(said["fields"]["fields"]["request.body"].as_str().unwrap().contains("Guaranteed"), "{}", said["fields"]);

    let thread: Vec<&str> = said["thread"]["texts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(thread.contains(&ANSWER), "{thread:?}");
    let versions = said["versions"]["versions"].as_array().unwrap();
    let texts: Vec<&str> = versions.iter().filter_map(|version| version[1].as_str()).collect();
    assert_eq!(texts, [SAID, EDITED], "{versions:?}");

    // The proof it was given leads to a checkpoint that the log signed.
    let key: VerifyingKey = text(&audited.firm.ask(&["checkpoint"]), "key").parse().unwrap();
    let proof = TlogProof::parse(said["proofs"]["inclusion"].as_str().unwrap()).unwrap();
    let (checkpoint, vouched) = proof.verify(&text(&said["proofs"], "leaf").parse().unwrap(), &[key]).unwrap();
    assert!(checkpoint.size > said["proofs"]["index"].as_u64().unwrap() && vouched.len() == 1);
    let sizes = said["checkpoints"]["sizes"].as_array().unwrap();
    assert!(sizes.len() > 1 && sizes.is_sorted_by(|a, b| a.as_u64() > b.as_u64()), "{sizes:?}");

    let names: Vec<&str> =
        said["people"]["advisors"].as_array().unwrap().iter().filter_map(|advisor| advisor["name"].as_str()).collect();
    assert_eq!(names, ["Berta Advisor", "Ada Advisor"]);
    for (what, count) in [("devices", 1), ("accounts", 1), ("officers", 1)] {
        assert_eq!(said["people"][what].as_array().unwrap().len(), count, "{what}");
    }
    // Its own looks at the record are there, with its purpose.
    let looks = said["looks"]["looks"].as_array().unwrap();
    for operation in ["records.get", "fields.get", "records.thread", "records.versions"] {
        let look = json!([operation, true, "a generated client looks"]);
        assert!(looks.contains(&look), "{operation}: {looks:?}");
    }
    let events = said["events"]["events"].as_array().unwrap();
    let of = |kind: &str| events.iter().filter(|event| event[0] == kind).count();
    assert_eq!((of("record"), of("outcome")), (RECORDS, RECORDS));
    assert_eq!(said["export"]["lines"], RECORDS + 1);
    assert_eq!(said["export"]["end"]["complete"], true);
    assert_eq!(said["system"]["version"], env!("CARGO_PKG_VERSION"));
    let types = ["purpose-required", "not-found", "not-authenticated"].map(|name| format!("/problems/{name}"));
    assert_eq!(said["refusals"]["types"], json!(types));
    assert_eq!(audited.service.stop(), 0);
}

#[test]
fn whoever_asks_whatever_the_answer_is_one_that_the_document_describes() {
    let audited = Audited::new();
    let everything = audited.officer(&["compliance", "legal", "auditor", "admin"]);
    let auditor = audited.officer(&["auditor"]);
    let (api, known) = (audited.api(), audited.known(&everything).to_string());
    let ask = |token: &str, more: &[&str]| {
        let lines = caller("api/specification.py", token, &[&["--api", &api, "--known", &known], more].concat());
        lines.into_iter().next().unwrap()["answered"].clone()
    };
    let brief = ["--phases", "examples,fuzzing", "--examples", "6"];
    let (whole, partly, nobody) = std::thread::scope(|scope| {
        let partly = scope.spawn(|| ask(&auditor, &brief));
        let nobody = scope.spawn(|| ask("", &brief));
        let whole = ask(&everything, &["--examples", "12"]);
        (whole, partly.join().unwrap(), nobody.join().unwrap())
    });
    let count = |answers: &Value| -> u64 { answers.as_object().unwrap().values().filter_map(Value::as_u64).sum() };
    let document = audited.firm.officer(&auditor).get(&audited.firm.api("/openapi.json")).unwrap().json(200);
    for item in document["paths"].as_object().unwrap().values() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let open = operation["x-muniment-access"]["open"] == true;
            // It is asked for the document once, and leaves it at that.
            if id == "openapi_json" {
                continue;
            }
            // Whoever may do everything got something else than refusals, too.
            let good: u64 = whole[id]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(status, _)| status.starts_with('2'))
                .map(|(_, n)| n.as_u64().unwrap())
                .sum();
            assert!(good > 0, "{method} {id}: {}", whole[id]);
            assert!(count(&partly[id]) > 0, "{id}");
            assert!(
                nobody[id].as_object().unwrap().keys().all(|status| open || status.starts_with('4')),
                "{id}: {}",
                nobody[id]
            );
        }
    }
    assert!(whole.as_object().unwrap().values().map(count).sum::<u64>() > 1_000, "{whole}");
    // Whatever was asked is on record, and the record holds.
    assert_eq!(audited.firm.ask(&["verify"])["sound"], true);
    assert_eq!(audited.service.stop(), 0);
}
