//! A person at a real web client: headless Chromium through the proxy.

use super::archive::{Wanted, assert_captured};
use super::mastodon::{ALICE, Network, wanted};
use super::parts::client;

#[test]
fn what_is_typed_and_clicked_in_a_browser_is_archived_and_verifies() {
    let network = Network::start();
    let firm = network.firm();
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Alice Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");
    let (root, picture) = (firm.root(), firm.dir().join("page.png"));
    let arguments = [
        "--token",
        ALICE,
        "--ca",
        root.to_str().unwrap(),
        "--other",
        "@bob",
        "--screenshot",
        picture.to_str().unwrap(),
    ];

    let lines = client("chromium/web.mjs", &firm, &device, &arguments);
    let all: Vec<Wanted> = lines.iter().flat_map(wanted).collect();
    assert_captured(&firm, &token, &all);
    assert!(std::fs::metadata(&picture).unwrap().len() > 10_000, "the page was not drawn");

    firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0);
}
