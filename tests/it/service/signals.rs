//! Signals and ends of the real process: drained, stopped at once, killed, and stopped because its ledger was tampered with.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;

use super::{Curl, Firm, HOST, Origin, Phone, TOKEN, eventually};
use crate::promises::power::{postmaster, psql};
use crate::proxy::support::RawOrigin;
use crate::proxy::support::origin::OriginRoot;
use crate::proxy::support::peer::{Peer, status};

const ANSWER: &str = r#"{"id":"7","url":"https://social.test/@ada/7","created_at":"2026-11-21T20:00:00Z","account":{"id":"1","acct":"ada"}}"#;

/// A firm whose one host is an origin that answers when the test says so.
struct Stage {
    firm: Firm,
    service: super::Service,
    phone: Phone,
    origin: RawOrigin,
}

impl Stage {
    async fn new(drain: &str) -> Self {
        let root = OriginRoot::new();
        let origin = RawOrigin::start(Some(root.config(&[HOST], &["http/1.1"]))).await;
        let more = format!("[proxy.limits]\ndrain_timeout = \"{drain}\"");
        let firm = Firm::beside(&[(HOST.to_owned(), origin.address.to_string())], &root.pem, &more);
        let service = firm.serve();
        let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
        let phone = Phone::new(&firm, &device, &[]);
        Self { firm, service, phone, origin }
    }

    /// A post that was recorded and released: both ends of the exchange, open.
    async fn post(&self, text: &str) -> (Peer, Peer) {
        let (mut device, mut origin) = tokio::join!(self.phone.peer(HOST), self.origin.accept());
        let body = json!({ "status": text }).to_string();
        device
            .send(format!(
                "POST /api/v1/statuses HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        let head = origin.head().await;
        assert!(head.starts_with("POST /api/v1/statuses"), "{head}");
        assert_eq!(origin.bytes(body.len()).await, body.as_bytes());
        (device, origin)
    }

    /// Outcome of the record with this text, in a service that runs.
    fn outcome(&self, text: &str) -> String {
        let query = format!(
            "select r.state from projection.records r join projection.communications c using (record) \
             where c.text = '{text}' and r.type = 'capture' and r.state is not null"
        );
        eventually(|| {
            let rows = psql(&self.firm.data(), &query);
            assert!(rows.lines().count() < 2, "recorded once: {rows}");
            rows.lines().next().map(str::to_owned)
        })
    }

    async fn refuses_connections(&self) {
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", self.firm.proxy)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("new connections are still taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_what_is_open_finish_takes_nothing_new_and_leaves_nothing_running() {
    let mut stage = Stage::new("60s").await;
    let (mut idle, mut unused) = tokio::join!(stage.phone.peer(HOST), stage.origin.accept());
    let (mut device, mut origin) = stage.post("said while the service is asked to stop").await;
    // Its head alone has come: it is held, and may still finish.
    let (mut half, mut half_origin) = tokio::join!(stage.phone.peer(HOST), stage.origin.accept());
    let body = json!({ "status": "half said when the service is asked to stop" }).to_string();
    let head = format!(
        "POST /api/v1/statuses HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    half.send(head).await;
    half.send(&body[..10]).await;
    // Until the proxy has read it there is nothing to finish.
    tokio::time::sleep(Duration::from_millis(500)).await;

    stage.service.signal("TERM");
    idle.expect_end().await;
    unused.expect_end().await;
    stage.refuses_connections().await;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    half.send(&body[10..]).await;
    half_origin.head().await;
    assert_eq!(half_origin.bytes(body.len()).await, body.as_bytes());
    half_origin.send(&answer).await;
    origin.send(&answer).await;
    for device in [&mut device, &mut half] {
        let (head, body) = device.answer().await;
        assert_eq!((status(&head), body.as_str()), (200, ANSWER));
        device.expect_end().await;
    }
    assert_eq!(stage.service.wait(), 0, "{:#?}", stage.service.lines());
    assert_eq!(postmaster(&stage.firm.data()), None, "its postgres was stopped in order");
    let log = std::fs::read_to_string(stage.firm.data().join("postgres/postgres.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");

    stage.service = stage.firm.serve();
    assert_eq!(stage.outcome("said while the service is asked to stop"), "accepted");
    assert_eq!(stage.outcome("half said when the service is asked to stop"), "accepted");
    let log = std::fs::read_to_string(stage.firm.data().join("postgres/postgres.log")).unwrap();
    assert!(!log.contains("was not properly shut down"), "{log}");
    assert_eq!(stage.firm.ask(&["verify"])["sound"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_in_the_drain_timeout_is_cut_and_closed_and_the_end_is_orderly_all_the_same() {
    let mut stage = Stage::new("1s").await;
    let (mut device, _origin) = stage.post("never answered").await;
    stage.service.signal("TERM");
    drop(device.rest().await);
    assert_eq!(stage.service.wait(), 0, "{:#?}", stage.service.lines());
    assert_eq!(postmaster(&stage.firm.data()), None);
    stage.service = stage.firm.serve();
    assert_eq!(stage.outcome("never answered"), "unknown");
    assert_eq!(stage.firm.ask(&["verify"])["sound"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_stops_at_once_and_the_next_start_closes_what_was_open() {
    let mut stage = Stage::new("10m").await;
    let (mut device, _origin) = stage.post("cut short by a second signal").await;
    stage.service.signal("TERM");
    stage.refuses_connections().await;
    stage.service.signal("TERM");
    assert_eq!(stage.service.wait(), 1, "{:#?}", stage.service.lines());
    let log = stage.service.lines().join("\n");
    assert!(log.contains("stopped by a second signal"), "{log}");
    drop(device.rest().await);

    stage.service = stage.firm.serve();
    assert_eq!(stage.outcome("cut short by a second signal"), "unknown");
    assert_eq!(stage.firm.ask(&["verify"])["sound"], true);
    stage.service.signal("TERM");
    assert_eq!(stage.service.wait(), 0);
}

/// Posts as an ordinary client would; the status, or what curl says.
fn post(curl: &Curl, origin: &Origin, text: &str) -> Result<u16, String> {
    let curl = curl.clone().header("authorization", &format!("Bearer {TOKEN}"));
    curl.json(&json!({ "status": text })).send(&origin.url("/api/v1/statuses")).map(|answer| answer.status)
}

#[test]
fn a_killed_service_starts_again_though_its_former_postgres_still_runs() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let curl = firm.device(&device);
    assert_eq!(post(&curl, &origin, "before the kill"), Ok(200));
    let former = postmaster(&firm.data()).unwrap();
    service.signal("KILL");
    service.wait();
    assert!(std::path::Path::new(&format!("/proc/{former}")).exists(), "nobody was there to stop it");

    let service = firm.serve();
    let now = postmaster(&firm.data()).unwrap();
    assert_ne!(now, former, "one of its own");
    assert_eq!(post(&curl, &origin, "after the kill"), Ok(200));
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    assert_eq!(service.stop(), 0);
    assert!(!std::path::Path::new(&format!("/proc/{now}")).exists());
}

#[test]
fn a_tampered_head_stops_the_service_loudly_and_nothing_goes_out_any_more() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "[proxy.limits]\ndrain_timeout = \"2s\"");
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let curl = firm.device(&device);
    assert_eq!(post(&curl, &origin, "kept and sent"), Ok(200));
    drop(service.lines());
    // What a database administrator could do: another leaf in the head, as if the last entry were another one.
    let tamper = "set session_replication_role = replica; \
                  update ledger.head set leaf = sha256(leaf), size = size";
    psql(&firm.data(), tamper);
    let answered = post(&curl, &origin, "must not go out");
    assert!(!matches!(answered, Ok(200)), "{answered:?}");
    assert_eq!(origin.statuses().len(), 1, "{answered:?}");
    assert_eq!(service.wait(), 1, "a code that no supervisor takes for success");
    let log = service.lines().join("\n");
    assert!(log.contains("the service cannot go on and stops") && log.contains("head"), "{log}");
    assert_eq!(origin.statuses().len(), 1, "nor was it kept for later and sent then");

    // It does not start on such a ledger either, and says why.
    let mut again = firm.start();
    assert_eq!(again.wait(), 1);
    let said = again.lines().join("\n");
    assert!(said.contains("the head row says"), "{said}");
    assert_eq!(postmaster(&firm.data()), None, "and leaves nothing running");
}
