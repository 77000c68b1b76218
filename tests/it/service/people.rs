//! Accounts, officers and devices from the command line, while the service runs.

use serde_json::{Value, json};

use super::{Firm, HOST, Origin, Phone, TOKEN, eventually, text};
use crate::proxy::support::peer::status;

#[test]
fn an_account_that_a_device_acted_as_is_listed_with_its_advisor() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    assert_eq!(firm.ask(&["account", "list"])["accounts"], json!([]));
    let advisor = firm.add_advisor("Ada Advisor");
    let device = firm.add_device(&advisor, "laptop");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    curl.clone().send(&origin.url("/api/v1/accounts/verify_credentials")).unwrap().json(200);
    let account = eventually(|| {
        let listed = firm.ask(&["account", "list"]);
        listed["accounts"].as_array().unwrap().first().cloned()
    });
    assert_eq!(account["advisor"], advisor.as_str(), "{account}");
    assert_eq!(account["network"], "mastodon", "{account}");
    assert!(account.to_string().contains("ada@social.test"), "{account}");
    // Read it once more: it is the same account.
    curl.send(&origin.url("/api/v1/accounts/verify_credentials")).unwrap().json(200);
    assert_eq!(service.stop(), 0);
    assert_eq!(firm.ask(&["account", "list"])["accounts"].as_array().unwrap().len(), 1, "also when nothing runs");
}

#[test]
fn a_revoked_officer_is_refused_at_the_next_request_and_listed_as_revoked() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let added = firm.ask(&["officer", "add", "Olga", "--role", "compliance"]);
    let other = firm.add_officer("Oskar", "compliance");
    let (id, token) = (text(&added, "id"), text(&added, "token"));
    let ask = |token: &str| {
        let officer = firm.officer(token).header("muniment-purpose", "test");
        officer.send(&firm.api("/v1/advisors")).unwrap().status
    };
    assert_eq!((ask(&token), ask(&other)), (200, 200));
    firm.ask(&["officer", "revoke", &id]);
    eventually(|| (ask(&token) == 401).then_some(()));
    assert_eq!(ask(&other), 200, "nobody else is");
    let listed = firm.ask(&["officer", "list"]);
    let olga: &Value = listed["officers"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap();
    assert_eq!(olga["revoked"], true, "{olga}");
    let again = firm.command(&["--json", "officer", "revoke", &id]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("revoked already"), "{again:?}");
    assert_eq!(service.stop(), 0);
}

/// One request on an open connection; none when the connection has ended instead.
async fn ask(peer: &mut crate::proxy::support::Peer) -> Option<u16> {
    let head = format!("GET /api/v1/instance HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    if !peer.try_send(head).await {
        return None;
    }
    let answer = String::from_utf8_lossy(&peer.until_head().await).into_owned();
    (!answer.is_empty()).then(|| status(&answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_revoked_while_connected_has_its_next_request_refused() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let advisor = firm.add_advisor("Ada Advisor");
    let (device, other) = (firm.add_device(&advisor, "laptop"), firm.add_device(&advisor, "phone"));
    let host = HOST;
    let (phone, kept) = (Phone::new(&firm, &device, &[]), Phone::new(&firm, &other, &[]));
    let (mut open, mut bystander) = (phone.peer(host).await, kept.peer(host).await);
    assert_eq!((ask(&mut open).await, ask(&mut bystander).await), (Some(200), Some(200)));
    firm.ask(&["device", "revoke", &device.id]);
    // The proxy has it within a second; until then it may still answer, after that never again.
    let mut last = Some(200);
    for _ in 0..200 {
        last = ask(&mut open).await;
        if last != Some(200) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(last, Some(403));
    assert_eq!(ask(&mut bystander).await, Some(200), "the advisor's other device goes on");
    let refused = firm.device(&device).send(&origin.url("/api/v1/instance"));
    assert!(refused.unwrap_err().contains("407"), "nor does it get a new tunnel");
    assert_eq!(service.stop(), 0);
}
