//! The real process, killed while it delivers, again and again: what was posted is named to the receiver, all of it, in order.

use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::{Act, Receiver, indices};
use crate::service::{Firm, HOST, Origin, TOKEN, eventually, text};

const MORE: &str = "[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\ntimeout = \"2s\"\nfirst_pause = \"100ms\"\nlongest_pause = \"500ms\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_while_it_delivers_goes_on_where_it_was() {
    let (origin, receiver) = (Origin::start(), Receiver::new().await);
    let firm = Firm::beside(&[(HOST.to_owned(), origin.address().to_string())], origin.root_pem(), MORE);
    let mut service = firm.serve();
    let (device, token) = (firm.add_device(&firm.add_advisor("Ada"), "laptop"), firm.add_officer("Olga", "compliance"));
    let officer = firm.officer(&token);
    let webhook = json!({ "url": receiver.url(), "events": ["record"] });
    let webhook = officer.clone().json(&webhook).send(&firm.api("/v1/webhooks")).unwrap().json(201);
    let secret = text(&webhook, "secret");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    for round in 0..3 {
        // Whatever is on its way when it is killed was sent and not answered.
        receiver.next([Act::Silent]);
        for number in 0..4 {
            let said = json!({ "status": format!("post {round} {number}") });
            curl.clone().json(&said).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
        }
        let came = receiver.got().len();
        receiver.wait(came.max(1)).await;
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        drop(service);
        service = firm.serve();
    }
    let records = eventually(|| {
        let page = officer.get(&firm.api("/v1/records?order=oldest&limit=500")).unwrap().json(200);
        let records: Vec<u64> =
            page["records"].as_array().unwrap().iter().map(|record| record["index"].as_u64().unwrap()).collect();
        (records.len() == 12).then_some(records)
    });
    assert_eq!(receiver.wait_for(&records).await, records);
    for got in receiver.got() {
        assert_eq!(got.signatures(), [got.signature(&secret)]);
    }
    // What came is what is on record as looked at. Lists follow the ledger a moment later.
    eventually(|| {
        let looks = officer.get(&firm.api("/v1/access?operation=webhooks.deliver&limit=500")).unwrap().json(200);
        let looks = looks.as_object().unwrap().values().find_map(Value::as_array).unwrap().clone();
        let said: Vec<&str> = looks.iter().filter_map(|look| look["query"].as_str()).collect();
        receiver.got().iter().all(|got| said.iter().any(|said| said.contains(&got.id()))).then_some(())
    });
    assert!(indices(&receiver.got()).len() == records.len());
    let listed = firm.ask(&["webhook", "list"]);
    assert_eq!((&listed["webhooks"][0]["id"], &listed["webhooks"][0]["state"]), (&webhook["id"], &json!("enabled")));
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    assert_eq!(service.stop(), 0);
}
