//! A network nobody wrote rules for: tweepy against a stand-in origin. Nothing is understood, nothing is lost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::parts::{Certificates, Server, client};
use crate::service::Firm;

#[test]
fn every_write_to_a_network_without_rules_is_kept_raw_as_unclassified() {
    let certificates = Certificates::make(&["api.twitter.com", "upload.twitter.com"]);
    let server = Server::start("twitter/origin.py", &certificates, &[]);
    let firm = Firm::beside(&server.resolve(), &certificates.root_pem(), "");
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Alice Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");

    client("twitter/client.py", &firm, &device, &[]);
    let accepted: Vec<Value> = server.said().into_iter().filter(|line| line["accepted"].is_object()).collect();
    assert!(accepted.len() >= 7, "{accepted:?}");

    let officer = firm.officer(&token).header("muniment-purpose", "test of the main job");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let records = loop {
        let page = officer.get(&firm.api("/v1/records?kind=unclassified&order=oldest&limit=500")).unwrap().json(200);
        let records = page["records"].as_array().unwrap().clone();
        let closed = records.iter().all(|record| record["outcome"]["state"] == "accepted");
        if (records.len() >= accepted.len() && closed) || std::time::Instant::now() > deadline {
            break records;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    // By method, because the same call may be made twice: as many of each in the archive as the origin accepted.
    let count = |methods: Vec<String>| {
        let mut all = BTreeMap::<String, usize>::new();
        for method in methods {
            *all.entry(method.to_lowercase()).or_default() += 1;
        }
        all
    };
    let sent = count(accepted.iter().map(|it| it["accepted"]["method"].as_str().unwrap().to_owned()).collect());
    let kept = count(records.iter().map(|record| record["method"].as_str().unwrap().to_owned()).collect());
    assert_eq!(kept, sent, "the origin accepted {accepted:#?}");

    firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0);
}
