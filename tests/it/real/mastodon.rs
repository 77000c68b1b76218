//! Mastodon: Mastodon.py on an independent, stateful server of its API, over HTTP, server-sent events and WebSocket.

use serde_json::Value;

use super::archive::{Wanted, assert_captured, assert_received};
use super::parts::{Certificates, Server, client, stranger};
use crate::service::Firm;

pub(super) const ALICE: &str = "planted-token-of-alice";

pub(super) struct Network {
    certificates: Certificates,
    server: Server,
}

impl Network {
    pub(super) fn start() -> Self {
        let certificates = Certificates::make(&["masto.test"]);
        let alice = format!("alice:{ALICE}");
        let accounts = ["--account", &alice, "--account", "bob:bob-token"];
        let server = Server::start("mastodon/server.py", &certificates, &accounts);
        Self { certificates, server }
    }

    pub(super) fn firm(&self) -> Firm {
        Firm::beside(&self.server.resolve(), &self.certificates.root_pem(), "")
    }

    /// Bob is nobody's advisor: he goes straight to the network.
    fn bob(&self, arguments: &[&str]) -> Vec<Value> {
        let address = format!("masto.test={}", self.server.ready["resolve"]["masto.test"].as_str().unwrap());
        let who = ["--token", "bob-token", "--resolve", &address];
        stranger("mastodon/client.py", &self.certificates, &[&who, arguments].concat())
    }
}

/// How what a client did must stand in the archive.
pub(super) fn wanted(line: &Value) -> Vec<Wanted> {
    let text = |kinds| vec![Wanted::new(kinds, "text", &line["text"])];
    // Ids are a server's own: the archive names the server with them.
    let id = || Value::String(format!("masto.test/{}", line["id"].as_str().unwrap()));
    let item = |kinds| vec![Wanted::new(kinds, "item", &id())];
    match line["did"].as_str().unwrap() {
        "post" | "media" | "poll" => [item(&["post"]), text(&["post"])].concat(),
        "scheduled" => text(&["post"]),
        "reply" => [item(&["reply"]), text(&["reply"])].concat(),
        "direct" if line["skipped"].is_null() => text(&["message"]),
        "favourite" => vec![Wanted::new(&["reaction"], "parent", &id())],
        "edit" => text(&["edit"]),
        "delete" => item(&["deletion"]),
        "profile" => text(&["profile_change"]),
        _ => Vec::new(),
    }
}

#[test]
fn all_that_mastodon_py_does_is_archived_and_what_comes_in_by_stream_and_socket_too() {
    let network = Network::start();
    let firm = network.firm();
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Alice Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");
    let alice = |arguments: &[&str]| {
        let who = ["--token", ALICE, "--other", "@bob"];
        client("mastodon/client.py", &firm, &device, &[&who, arguments].concat())
    };

    let lines = alice(&[]);
    let all: Vec<Wanted> = lines.iter().flat_map(wanted).collect();
    assert_captured(&firm, &token, &all);
    let post = lines.iter().find(|line| line["did"] == "post").unwrap()["id"].as_str().unwrap().to_owned();

    // Bob answers from elsewhere; Alice's client hears of it while it listens, and by asking.
    for (way, text) in
        [("listen:15", "@alice I heard it on the stream"), ("socket:15", "@alice I heard it on the socket")]
    {
        std::thread::scope(|scope| {
            let listening = scope.spawn(|| alice(&["--steps", way, "--until", &text[7..]]));
            std::thread::sleep(std::time::Duration::from_secs(4));
            network.bob(&["--steps", "reply", "--parent", &post, "--text", text]);
            let heard = listening.join().unwrap();
            assert!(heard.iter().any(|line| line["did"] == "heard"), "{way}: {heard:?}");
        });
        assert_received(&firm, &token, &Wanted::new(&["reply"], "text", &text.into()));
    }
    let asked = "@alice And what about my pension?";
    network.bob(&["--steps", "reply", "--parent", &post, "--text", asked]);
    alice(&["--steps", "notifications"]);
    assert_received(&firm, &token, &Wanted::new(&["reply"], "text", &asked.into()));

    firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0);
}
