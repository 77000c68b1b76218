//! P4: every cause of a gap that the code declares has a fault that produces it, and the entry is there within a minute.
//!
//! The table names, for each cause, the test that injects its fault; a new cause does not compile without a line. That whatever is
//! noted is on record in time is proved for all causes in `capture::gaps`; here it is seen on the real product as well.

use std::collections::BTreeMap;
use std::path::Path;

use muniment::capture::GapCause;
use serde_json::json;

use super::p3::network::{Answers, Network, OTHER, SOCIAL};
use super::power::{Freezer, psql};
use crate::proxy::support::device::{basic, client_config};
use crate::proxy::support::origin::OriginRoot;
use crate::proxy::support::peer::{Peer, status};
use crate::proxy::support::{Choice, RawOrigin};
use crate::service::{Firm, Phone, eventually};

/// The file and the test in which a fault produces the gap.
const fn fault(cause: GapCause) -> (&'static str, &'static str) {
    const FILE: &str = "tests/it/promises/p4_gaps.rs";
    // Its faults are made on the real product by the test below.
    const HERE: (&str, &str) = (FILE, "make_faults");
    match cause {
        GapCause::LeafRefused
        | GapCause::PassedThrough
        | GapCause::ClearTextAfterConnect
        | GapCause::UnknownProtocol
        | GapCause::OriginUnproved
        | GapCause::UnknownUpgrade
        | GapCause::MalformedExchange
        | GapCause::UnreadableCoding
        | GapCause::WriteTooLarge
        | GapCause::ReadCut => HERE,
        GapCause::WriteRefused => (FILE, "p4_each_fault_on_the_real_product_is_on_record_within_a_minute"),
        GapCause::ArchiveUnavailable => (
            "tests/it/capture/postgres.rs",
            "p1_a_network_cut_again_and_again_loses_no_released_write_and_doubles_none",
        ),
        GapCause::WriteCut => {
            ("tests/it/proxy/hold.rs", "p1_a_held_tail_that_is_refused_leaves_the_origin_without_its_end")
        }
        GapCause::UnlistedSocialHost => (
            "tests/it/proxy/unlisted.rs",
            "a_tunnel_to_an_unlisted_social_server_is_a_gap_and_the_server_is_asked_once",
        ),
        GapCause::ReadCapped => ("tests/it/proxy/hold.rs", "a_read_that_is_cut_off_or_too_large_is_a_gap"),
        GapCause::ReadDropped => {
            ("tests/it/capture/observe.rs", "reads_that_come_too_fast_become_counted_gaps_and_are_never_silent")
        }
        GapCause::MessageDropped => (
            "src/proxy/websocket/way/tests.rs",
            "an_inbound_message_too_large_to_keep_goes_through_is_counted_and_the_next_one_is_heard",
        ),
        GapCause::AnswerDropped => ("tests/it/capture/refused.rs", "p4_an_answer_that_cannot_be_read_back_is_a_gap"),
        GapCause::AccountDropped => (
            "tests/it/capture/learned.rs",
            "p4_accounts_beyond_the_room_to_wait_are_gaps_and_are_learned_again_when_archive_and_spool_are_back",
        ),
        GapCause::RecognitionFailed => {
            ("tests/it/capture/write.rs", "a_rule_that_fails_leaves_the_write_unclassified_and_a_gap")
        }
        GapCause::RuleSwitchedOff => (
            "tests/it/capture/workers.rs",
            "p1_a_write_whose_rule_never_ends_is_kept_unclassified_with_a_gap_and_released",
        ),
        GapCause::SourceLost => (
            "tests/it/promises/several/lost.rs",
            "p4_a_proxy_that_is_lost_with_its_disk_is_given_up_on_record_and_what_it_left_open_is_closed",
        ),
        GapCause::SpoolDamaged => {
            ("tests/it/capture/damage.rs", "damage_in_the_spool_is_a_gap_and_what_follows_is_replayed")
        }
        GapCause::SpoolRejected => {
            ("tests/it/capture/damage.rs", "what_the_archive_never_takes_is_a_gap_and_does_not_hold_up_the_rest")
        }
    }
}

#[test]
fn p4_every_declared_cause_has_a_test_whose_fault_produces_it() {
    for cause in GapCause::ALL {
        let (file, name) = fault(*cause);
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let from = text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{cause}: no test {name} in {file}"));
        let rest = text.get(from..).unwrap();
        // To the end of the function: what follows it in the file proves nothing.
        let body = rest.get(..rest.find("\n}\n").unwrap_or(rest.len())).unwrap();
        let named = format!("GapCause::{cause:?}");
        assert!(body.contains(&named) || body.contains(&format!("\"{cause}\"")), "{file} {name} never names {cause}");
    }
}

/// A tunnel to a listed host in which no TLS has begun.
async fn bare_tunnel(phone: &Phone, host: &str) -> Peer {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", phone.proxy)).await.unwrap();
    let mut peer = Peer::new("device", stream);
    let credential = basic(&phone.credential.0, &phone.credential.1);
    peer.send(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {credential}\r\n\r\n"))
        .await;
    assert!(status(&peer.head().await) < 500 || host == "forged.test");
    peer
}

async fn make_faults(phone: &Phone, cut: &RawOrigin) -> BTreeMap<GapCause, u64> {
    let json = ("Content-Type", "application/json");
    let mut made = BTreeMap::new();
    let mut fault = |cause| *made.entry(cause).or_default() += 1;

    // An app that trusts one certificate, and it is not ours.
    let pinned = tokio_rustls::TlsConnector::from(client_config(&[], Choice::Http1));
    let name = rustls::pki_types::ServerName::try_from(SOCIAL).unwrap();
    assert!(pinned.connect(name, bare_tunnel(phone, SOCIAL).await.stream).await.is_err());
    fault(GapCause::LeafRefused);
    drop(bare_tunnel(phone, "never.test").await);
    fault(GapCause::PassedThrough);
    let mut clear = bare_tunnel(phone, SOCIAL).await;
    clear.send(format!("POST /api/v1/statuses HTTP/1.1\r\nHost: {SOCIAL}\r\nContent-Length: 0\r\n\r\n")).await;
    drop(clear.rest().await);
    fault(GapCause::ClearTextAfterConnect);
    let mut unknown = bare_tunnel(phone, SOCIAL).await;
    unknown.send("SSH-2.0-client\r\n").await;
    drop(unknown.rest().await);
    fault(GapCause::UnknownProtocol);
    drop(bare_tunnel(phone, "forged.test").await);
    fault(GapCause::OriginUnproved);
    let mut malformed = phone.peer(SOCIAL).await;
    malformed
        .send(format!("POST / HTTP/1.1\r\nHost: {SOCIAL}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"))
        .await;
    drop(malformed.rest().await);
    fault(GapCause::MalformedExchange);
    let large = json!({ "status": "x".repeat(2 << 20) }).to_string();
    assert_eq!(phone.send(SOCIAL, "POST /api/v1/statuses", &[json], large).await, 413);
    fault(GapCause::WriteTooLarge);
    // Compressed, cut off, and it shows a credential: what follows it cannot be known.
    let whole =
        super::p3::gzip(&json!({ "access_token": "a-token-that-is-shown", "status": "cut ".repeat(4000) }).to_string());
    let coded = [json, ("Content-Encoding", "gzip")];
    assert!(phone.send(SOCIAL, "POST /api/v1/statuses", &coded, &whole[..whole.len() - 20]).await >= 400);
    fault(GapCause::UnreadableCoding);

    // A host whose every byte the test writes.
    let (mut device, mut origin) = tokio::join!(phone.peer("raw.test"), cut.accept());
    device.send("GET /api/v1/timelines/home HTTP/1.1\r\nHost: raw.test\r\n\r\n").await;
    origin.head().await;
    origin.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[{\"id\":").await;
    drop(origin);
    drop(device.rest().await);
    fault(GapCause::ReadCut);
    let (mut device, mut origin) = tokio::join!(phone.peer("raw.test"), cut.accept());
    device.send("GET /odd HTTP/1.1\r\nHost: raw.test\r\nConnection: upgrade\r\nUpgrade: odd/1\r\n\r\n").await;
    origin.head().await;
    origin.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: odd/1\r\n\r\n").await;
    assert_eq!(status(&device.head().await), 400);
    fault(GapCause::UnknownUpgrade);
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn p4_each_fault_on_the_real_product_is_on_record_within_a_minute() {
    let root = OriginRoot::new();
    let nothing = || "unused".to_owned();
    let answers = Answers { access: nothing(), refresh: nothing(), cookie: nothing(), unlisted: nothing() };
    let network = Network::start(&root, answers).await;
    let cut = RawOrigin::start(Some(root.config(&["raw.test"], &["http/1.1"]))).await;
    let (at, raw) = (network.address.to_string(), cut.address.to_string());
    let listed: Vec<(String, String)> =
        [(SOCIAL, &at), (OTHER, &at), ("never.test", &at), ("forged.test", &at), ("raw.test", &raw)]
            .map(|(host, at)| (host.to_owned(), at.clone()))
            .to_vec();
    let more = "never = [\"never.test\"]\n[archive]\nwhen_unavailable = \"refuse\"\nappend_timeout = \"1s\"\n\
                [proxy.limits]\nbody = \"1 MiB\"";
    let firm = Firm::beside(&listed, &root.pem, more);
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "phone");
    let phone = Phone::new(&firm, &device, &[]);
    let mut made = make_faults(&phone, &cut).await;

    // A refused write is one gap: proxy and capture both see it, one of them notes it.
    let freezer = Freezer::freeze(&firm.data());
    let body = json!({ "status": "refused, and noted once" }).to_string();
    let refused = phone.send(SOCIAL, "POST /api/v1/statuses", &[("Content-Type", "application/json")], body).await;
    assert_eq!(refused, 503);
    made.insert(GapCause::WriteRefused, 1);
    drop(freezer);

    for (cause, count) in &made {
        let query = format!("select coalesce(sum(count), 0) from projection.gaps where cause = '{cause}'");
        // Longer than a minute it does not wait.
        eventually(|| (psql(&firm.data(), &query).trim() == count.to_string()).then_some(()));
    }
    let metrics = String::from_utf8(crate::service::Curl::new().get(&firm.api("/metrics")).unwrap().body).unwrap();
    for (cause, count) in &made {
        let line = format!("capture_gap_total{{cause=\"{cause}\"}} {count}");
        assert!(metrics.lines().any(|other| other == line), "{line} is not in\n{metrics}");
    }
    let count = |cause| psql(&firm.data(), &format!("select count(*) from projection.gaps where cause = '{cause}'"));
    assert_ne!(count(GapCause::WriteRefused).trim(), "0");
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    service.signal("TERM");
    assert_eq!(service.wait(), 0);
}
