//! A proxy that was given up as lost comes back with an answer in its spool: what is known for certain counts, and not what was said meanwhile.

use std::time::Duration;

use serde_json::Value;

use super::house::House;
use super::{NAMES, advisor, post};
use crate::service::eventually;

const LOST: usize = 0;
const OTHER: usize = 1;

/// The one record of this text, as an officer sees it at the other proxy; none before it is projected.
fn seen(house: &House, token: &str, text: &str) -> Option<Value> {
    let found = house.read(OTHER, token, &format!("/v1/records?text={}", text.replace(' ', "%20")));
    let [record] = found["records"].as_array().unwrap().as_slice() else { return None };
    Some(house.read(OTHER, token, &format!("/v1/records/{}", record["id"].as_str().unwrap())))
}

fn state(record: &Value) -> &str {
    record["outcome"]["state"].as_str().unwrap_or_default()
}

#[test]
fn p1_an_answer_that_a_lost_proxy_brings_back_counts_and_not_what_was_said_of_it_meanwhile() {
    let mut house = House::start(2, "spool", "");
    let (_advisor, device) = advisor(&house);
    let token = house.nodes[OTHER].firm.add_officer("Olga", "compliance");
    let lost = house.source(LOST);
    let open = "select count(*) from projection.records where type = 'capture' and outcome is null";
    eventually(|| (house.one(open) == "0").then_some(()));

    // The post is on record and gets its answer; that is on its way to the archive when the network is cut, and goes to the spool.
    let line = &house.nodes[LOST].line;
    let cuts = line.cuts();
    line.stall_request(br#""type":"outcome""#);
    let text = format!("{}answered in time", NAMES[LOST].trim_end_matches(": "));
    post(&house, LOST, &device, &text, 200);
    eventually(|| (line.cuts() > cuts).then_some(()));
    line.close();
    eventually(|| {
        let metrics = house.metrics(LOST);
        let waiting = metrics.lines().find_map(|line| line.strip_prefix("spool_entries "))?.parse::<f64>().ok()?;
        (waiting > 0.0).then_some(())
    });
    house.kill(LOST);
    eventually(|| (house.one(open) == "1").then_some(()));
    let closed = house.nodes[OTHER].firm.ask(&["source", "close", &lost, "--silent-for", "0s"]);
    assert_eq!(closed["closed"], 1, "{closed}");
    let given_up = eventually(|| seen(&house, &token, &text).filter(|record| state(record) == "unknown"));
    assert_eq!(given_up["outcome"]["status"], Value::Null, "{given_up}");

    house.nodes[LOST].line.open();
    house.serve(LOST);
    let back = eventually(|| seen(&house, &token, &text).filter(|record| state(record) == "accepted"));
    assert_eq!(back["outcome"]["status"], 200, "{back}");
    assert!(back["communications"][0]["item"].is_string(), "what the origin made of it is known now: {back}");
    let outcomes = format!(
        "select state || ' ' || coalesce(cause, '-') from projection.outcomes where capture = '{}' order by entry_index",
        back["entry"].as_str().unwrap()
    );
    assert_eq!(house.rows(&outcomes), ["unknown source_lost", "accepted -"], "both are on record");
    let unknown = house.read(OTHER, &token, "/v1/records?outcome=unknown");
    assert_eq!(unknown["records"].as_array().unwrap().len(), 0, "{unknown}");
    // It has nothing left to close, and says nothing more of it.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(house.rows(&outcomes).len(), 2);
    house.assert_kept();

    // The projections say what the ledger says, and made again they say the same.
    let verified = house.nodes[OTHER].firm.ask(&["verify"]);
    assert_eq!(verified["sound"], true, "{verified}");
    house.kill(LOST);
    house.rebuild();
    let rebuilt = eventually(|| seen(&house, &token, &text));
    let of = |record: &Value| (record["outcome"].clone(), record["communications"].clone());
    assert_eq!(of(&rebuilt), of(&back));
    house.serve(LOST);
    house.stop();
}
