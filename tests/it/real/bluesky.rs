//! Bluesky: the official JavaScript client and Python's `atproto` on a real network (data server, directory, AppView, chat).

use serde_json::Value;

use super::archive::{Wanted, assert_captured, assert_received};
use super::parts::{Certificates, Server, client, stranger};
use crate::service::Firm;

const PASSWORD: &str = "planted-password-of-alice";

struct Network {
    certificates: Certificates,
    server: Server,
}

impl Network {
    fn start() -> Self {
        let certificates = Certificates::make(&["pds.test"]);
        let alice = format!("alice.test:{PASSWORD}");
        let accounts = ["--account", &alice, "--account", "bob.test:bob-pw"];
        let server = Server::start("bluesky/network.mjs", &certificates, &accounts);
        Self { certificates, server }
    }

    fn firm(&self) -> Firm {
        Firm::beside(&self.server.resolve(), &self.certificates.root_pem(), "")
    }

    /// Bob is nobody's advisor: he goes straight to the network.
    fn bob(&self, arguments: &[&str]) -> Vec<Value> {
        let address = format!("pds.test={}", self.server.ready["resolve"]["pds.test"].as_str().unwrap());
        let who = ["--handle", "bob.test", "--password", "bob-pw", "--resolve", &address];
        stranger("bluesky/client.mjs", &self.certificates, &[&who, arguments].concat())
    }
}

/// How what a client did must stand in the archive.
fn wanted(line: &Value) -> Vec<Wanted> {
    let item = |kinds| vec![Wanted::new(kinds, "item", &line["uri"])];
    let text = |kinds| vec![Wanted::new(kinds, "text", &line["text"])];
    match line["did"].as_str().unwrap() {
        "post" | "quote" | "image" => [item(&["post"]), text(&["post"])].concat(),
        "reply" => [item(&["reply"]), text(&["reply"])].concat(),
        "batch" => {
            let items = line["items"].as_array().unwrap();
            items.iter().map(|item| Wanted::new(&["post", "reply"], "item", &item["uri"])).collect()
        }
        "like" => item(&["reaction"]),
        "repost" => item(&["share"]),
        "follow" => item(&["connection_request"]),
        "edit" => text(&["edit"]),
        "delete" => item(&["deletion"]),
        "profile" => text(&["profile_change"]),
        "dm" => text(&["message"]),
        _ => Vec::new(),
    }
}

fn all_of(lines: &[Value]) -> Vec<Wanted> {
    lines.iter().flat_map(wanted).collect()
}

#[test]
fn all_that_the_official_javascript_client_does_on_bluesky_is_archived_and_verifies() {
    let network = Network::start();
    let firm = network.firm();
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Alice Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");
    let alice = |arguments: &[&str]| {
        let who = ["--handle", "alice.test", "--password", PASSWORD, "--other", "bob.test"];
        client("bluesky/client.mjs", &firm, &device, &[&who, arguments].concat())
    };

    let lines = alice(&[]);
    assert_captured(&firm, &token, &all_of(&lines));

    // Bob answers from elsewhere; his answer is archived once Alice's client has loaded it.
    let post = lines.iter().find(|line| line["did"] == "post").unwrap()["uri"].as_str().unwrap();
    let said = network.bob(&["--steps", "reply", "--parent", post, "--text", "Where can I complain?"]);
    let reply = said.iter().find(|line| line["did"] == "reply").unwrap();
    // The AppView follows the data server by a moment.
    let shown = |line: &Value| line["items"].as_array().is_some_and(|items| !items.is_empty());
    let loaded = (0..20).any(|_try| alice(&["--steps", "notifications"]).iter().any(shown));
    assert!(loaded, "the network never tells alice of bob's reply");
    assert_received(&firm, &token, &Wanted::new(&["reply"], "item", &reply["uri"]));

    firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0);
}

#[test]
fn all_that_the_python_client_does_on_bluesky_is_archived_and_verifies() {
    let network = Network::start();
    let firm = network.firm();
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Alice Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");

    let who = ["--handle", "alice.test", "--password", PASSWORD, "--other", "bob.test"];
    assert_captured(&firm, &token, &all_of(&client("bluesky/client.py", &firm, &device, &who)));

    firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0);
}
