//! Hosts that are tunnelled unread are asked whether they are social servers, and never anything else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muniment::capture::GapCause;
use muniment::settings::Span;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::support::origin::OriginRoot;
use super::support::peer::SOON;
use super::support::{World, WorldBuilder};

const DISCOVERY: &str = r#"{"links":[{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"https://social.test/nodeinfo/2.0"}]}"#;

/// A server that gives everybody the same bytes, and remembers what it was asked.
struct StandIn {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    async fn start(config: Arc<ServerConfig>, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (into, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, into, answer) = (acceptor.clone(), Arc::clone(&into), Arc::clone(&answer));
                connections.spawn(async move {
                    // A tunnel in which nobody speaks waits here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    into.lock().push(String::from_utf8(head).unwrap());
                    if stream.write_all(&answer).await.is_ok() && stream.flush().await.is_ok() {
                        // Open until the other side is content, or has had enough.
                        drop(tokio::time::timeout(SOON, stream.read_u8()).await);
                    }
                });
            }
        });
        Self { address, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

fn ok(content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

async fn world(builder: WorldBuilder, stand_in: &StandIn) -> World {
    let mut builder = builder.reachable("social.test", stand_in.address);
    builder.ask_unlisted = true;
    builder.proxy.limits.head_timeout = Span::seconds(1);
    builder.start().await
}

/// Waits until so many hosts have been asked and have answered, or not.
async fn until_asked(world: &World, line: &str) {
    tokio::time::timeout(SOON, async {
        while !world.counts(line) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the host was not asked");
}

#[tokio::test]
async fn a_tunnel_to_an_unlisted_social_server_is_a_gap_and_the_server_is_asked_once() {
    let builder = WorldBuilder::new();
    let config = builder.root.config(&["social.test"], &["http/1.1"]);
    let server = StandIn::start(config, ok("application/json", DISCOVERY)).await;
    let world = world(builder, &server).await;
    for _ in 0..3 {
        assert_eq!(world.connect("social.test:443").await.1, 200);
    }
    world.recorder.until_gap(GapCause::UnlistedSocialHost).await;
    for _ in 0..3 {
        assert_eq!(world.connect("social.test:443").await.1, 200);
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("GET /.well-known/nodeinfo HTTP/1.1\r\nHost: social.test\r\n"), "{}", asked[0]);
    assert_eq!(world.recorder.gaps(), [GapCause::UnlistedSocialHost], "the one device is one gap");
    let gap = world.recorder.last_gap().unwrap();
    assert_eq!((gap.host.as_deref(), gap.device.is_some(), gap.advisor.is_some()), (Some("social.test"), true, true));
    assert!(world.counts("unlisted_hosts_asked_total{reason=\"social\"} 1"));
}

#[tokio::test]
async fn an_answer_in_chunks_after_an_interim_one_is_read() {
    let builder = WorldBuilder::new();
    let config = builder.root.config(&["social.test"], &[]);
    let (one, two) = DISCOVERY.split_at(20);
    let answer = format!(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let server = StandIn::start(config, answer.into_bytes()).await;
    let world = world(builder, &server).await;
    world.connect("social.test:443").await;
    world.recorder.until_gap(GapCause::UnlistedSocialHost).await;
}

#[tokio::test]
async fn what_is_no_social_server_or_a_hostile_one_is_no_gap_and_holds_nobody_up() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let private = elsewhere.local_addr().unwrap();
    let endless = |head: &str, filler: u8| [head.as_bytes(), &vec![filler; 4 << 20]].concat();
    for (what, answer) in [
        ("not found", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a page", ok("text/html", "<html>nodeinfo.diaspora.software/ns/schema/2.0</html>")),
        ("another document", ok("application/json", r#"{"links":[{"rel":"self","href":"/"}]}"#)),
        (
            "a redirect",
            format!("HTTP/1.1 302 Found\r\nLocation: https://{private}/\r\nContent-Length: 0\r\n\r\n").into(),
        ),
        ("a body that is too large", endless("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n", b' ')),
        ("a body that does not end", endless("HTTP/1.1 200 OK\r\n\r\n", b'[')),
        ("a head that does not end", endless("HTTP/1.1 200 OK\r\nX: ", b'x')),
        ("a coded body", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_vec()),
        ("another protocol", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec()),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"links\":[]}".to_vec()),
        ("silence", Vec::new()),
        ("noise", vec![0xff; 5000]),
    ] {
        let builder = WorldBuilder::new();
        let config = builder.root.config(&["social.test"], &["http/1.1"]);
        let server = StandIn::start(config, answer).await;
        let world = world(builder, &server).await;
        let (mut device, status) = world.connect("social.test:443").await;
        assert_eq!(status, 200, "{what}");
        // The tunnel is there meanwhile.
        device.send(b"\x16\x03").await;
        until_asked(&world, "unlisted_hosts_asked_total{reason=\"silent\"} 1").await;
        assert_eq!((server.asked().len(), world.recorder.gaps()), (1, Vec::new()), "{what}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(nobody.is_err(), "a redirect is followed nowhere");
}

#[tokio::test]
async fn a_host_that_does_not_prove_its_name_is_not_believed() {
    let builder = WorldBuilder::new();
    let forged = OriginRoot::new().config(&["social.test"], &["http/1.1"]);
    let server = StandIn::start(forged, ok("application/json", DISCOVERY)).await;
    let world = world(builder, &server).await;
    assert_eq!(world.connect("social.test:443").await.1, 200);
    until_asked(&world, "unlisted_hosts_asked_total{reason=\"silent\"} 1").await;
    assert!(server.asked().is_empty() && world.recorder.gaps().is_empty());
}

#[tokio::test]
async fn listed_and_exempted_hosts_other_ports_and_everything_where_settings_say_so_are_not_asked() {
    let builder = WorldBuilder::new();
    let config = builder.root.config(&["social.test", "listed.test", "never.test"], &["http/1.1"]);
    let server = StandIn::start(config.clone(), ok("application/json", DISCOVERY)).await;
    let port = server.address.port();
    let builder =
        builder.listed("listed.test", server.address).reachable("never.test", server.address).never("never.test");
    let world = world(builder, &server).await;
    for target in ["listed.test:443".to_owned(), "never.test:443".to_owned(), format!("social.test:{port}")] {
        assert_eq!(world.connect(&target).await.1, 200, "{target}");
    }
    // Hosts are asked one after the other, so this answer comes after any that the tunnels above had caused.
    assert_eq!(world.connect("social.test:443").await.1, 200);
    world.recorder.until_gap(GapCause::UnlistedSocialHost).await;
    assert_eq!(server.asked().len(), 1);

    let mut off = WorldBuilder::new().reachable("social.test", server.address);
    off.ask_unlisted = false;
    let world = off.start().await;
    assert_eq!(world.connect("social.test:443").await.1, 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((server.asked().len(), world.recorder.gaps()), (1, Vec::new()));
}
