//! Many connections on one proxy, and more than there are files for: what cannot be taken is refused, in words or by closing, what is taken
//! is kept, and nothing is lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::power::psql;
use crate::proxy::support::Choice;
use crate::proxy::support::device::{basic, client_config};
use crate::service::{Device, Firm, HOST, Origin, Service, TOKEN, eventually};

const PLAIN: &str = "plain.test";
const TUNNELS: usize = 9_000;
const IDLE: usize = 1_000;
const ACTIVE: usize = 1_000;
const POSTS: usize = 2;
/// Connections that are being made at once.
const AT_ONCE: usize = 48;

/// A device that may be refused.
struct Client {
    proxy: u16,
    credential: String,
    tls: TlsConnector,
}

impl Client {
    fn new(firm: &Firm, device: &Device) -> Self {
        let root = std::fs::read_to_string(firm.root()).unwrap();
        let tls = TlsConnector::from(client_config(&[root], Choice::Http1));
        Self { proxy: firm.proxy, credential: basic(&device.id, &device.secret), tls }
    }

    /// A tunnel; else the status that it was refused with, 0 where the connection was closed without a word.
    async fn connect(&self, host: &str) -> Result<TcpStream, u16> {
        let made = async {
            let mut tcp = TcpStream::connect(("127.0.0.1", self.proxy)).await?;
            let head = format!(
                "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {}\r\n\r\n",
                self.credential
            );
            tcp.write_all(head.as_bytes()).await?;
            let status = status(&head_of(&mut tcp).await?);
            Ok::<_, io::Error>((tcp, status))
        };
        match made.await {
            Ok((tcp, 200)) => Ok(tcp),
            Ok((_tcp, status)) => Err(status),
            Err(_closed) => Err(0),
        }
    }

    /// The same, with TLS inside.
    async fn intercepted(&self) -> Result<TlsStream<TcpStream>, u16> {
        let tcp = self.connect(HOST).await?;
        let name = ServerName::try_from(HOST).unwrap();
        self.tls.connect(name, tcp).await.map_err(|_closed| 0)
    }
}

/// One request and its answer's status; 0 where there was none.
async fn ask(stream: &mut TlsStream<TcpStream>, line: &str, body: &str) -> u16 {
    let asked = async {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        // Who refuses a body need not read it to its end.
        let _taken = stream.write_all(format!("{head}{body}").as_bytes()).await;
        let _sent = stream.flush().await;
        let head = head_of(stream).await?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut rest = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut rest).await?;
        Ok::<_, io::Error>(status(&head))
    };
    asked.await.unwrap_or_else(|error| {
        println!("{line}: {error}");
        0
    })
}

fn post(text: &str) -> String {
    json!({ "status": text }).to_string()
}

async fn head_of(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Raises this process's limit, which the service inherits; answers with what it is then.
fn files(wanted: u64) -> usize {
    let before = getrlimit(Resource::Nofile);
    let maximum = before.maximum.map(|maximum| maximum.max(wanted));
    // Only root may raise the hard limit.
    if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }).unwrap();
    }
    usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap()
}

/// Resident memory of the service, in KiB.
fn memory(service: &Service) -> u64 {
    let said = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// An origin that sends back what it is sent.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _from)) = listener.accept().await {
            tokio::spawn(async move {
                let mut word = [0; 5];
                while stream.read_exact(&mut word).await.is_ok() && stream.write_all(&word).await.is_ok() {}
            });
        }
    });
    address
}

/// As many as are asked for, some at once.
async fn all<T, F: Future<Output = T>>(count: usize, make: impl FnMut(usize) -> F) -> Vec<T> {
    stream::iter(0..count).map(make).buffer_unordered(AT_ONCE).collect().await
}

/// What the network accepted is archived, once; every capture is closed; the archive verifies. Where recognition had no time, a post is
/// kept without being understood: that many may have no text.
fn assert_kept(firm: &Firm, origin: &Origin) {
    let number = |query: &str| psql(&firm.data(), query).trim().parse::<usize>().unwrap();
    let size = number("select size from ledger.head");
    eventually(|| (number("select next_index from projection.progress") >= size).then_some(()));
    eventually(|| {
        (number("select count(*) from projection.records where type = 'capture' and outcome is null") == 0)
            .then_some(())
    });
    let query = "select c.text from projection.records r join projection.communications c using (record) \
                 where r.type = 'capture' and c.text is not null";
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for text in psql(&firm.data(), query).lines() {
        *times.entry(text.to_owned()).or_default() += 1;
    }
    let accepted: Vec<String> = origin.statuses().into_iter().map(|status| status.text).collect();
    let missing = accepted.iter().filter(|text| !times.contains_key(*text)).count();
    let raw = number("select count(*) from projection.records where type = 'capture' and 'unclassified' = any (kinds)");
    assert!(missing <= raw, "{missing} of {} accepted are not archived, {raw} were not understood", accepted.len());
    let captures = number("select count(*) from projection.records where type = 'capture'");
    assert!(captures >= accepted.len(), "{captures} captures of {} accepted", accepted.len());
    let twice: Vec<&String> = times.iter().filter(|(_, times)| **times != 1).map(|(text, _)| text).collect();
    assert!(twice.is_empty(), "captured more than once: {twice:?}");
    assert_eq!(firm.ask(&["verify"])["sound"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_ten_thousand_idle_connections_leave_room_for_a_thousand_that_post() {
    let limit = files(26_000);
    let tunnels = TUNNELS.min((limit.saturating_sub(1_000) / 2).saturating_sub(IDLE + ACTIVE));
    if tunnels < TUNNELS {
        println!("{limit} open files and no right to more: {tunnels} tunnels instead of {TUNNELS}");
    }
    assert!(tunnels > 100, "too few open files to show anything: {limit}");
    let origin = Origin::start();
    let listed = [(HOST.to_owned(), origin.address().to_string())];
    let more = "ask_unlisted = false\n[proxy.limits]\nconnections = 12000";
    let unlisted = [(PLAIN.to_owned(), echo().await.to_string())];
    let firm = Firm::beside_unlisted(&listed, &unlisted, origin.root_pem(), more);
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let client = Client::new(&firm, &device);
    let warm = ask(&mut client.intercepted().await.unwrap(), "POST /api/v1/statuses", &post("to begin with")).await;
    assert_eq!(warm, 200);

    let before = memory(&service);
    let mut open = all(tunnels, |_| async { client.connect(PLAIN).await.unwrap() }).await;
    let tunnelled = memory(&service);
    let mut idle = all(IDLE, |_| async {
        let mut stream = client.intercepted().await.unwrap();
        let status = ask(&mut stream, "GET /api/v1/instance", "").await;
        assert_eq!(status, 200);
        stream
    })
    .await;
    let intercepted = memory(&service);
    let mut active = all(ACTIVE, |_| async { client.intercepted().await.unwrap() }).await;
    let each = |from: u64, to: u64, count: usize| to.saturating_sub(from) / u64::try_from(count).unwrap();
    let (tunnel, decrypted) = (each(before, tunnelled, tunnels), each(tunnelled, intercepted, IDLE));
    println!(
        "{before} KiB to begin with; {tunnel} KiB for a tunnel, {decrypted} KiB for an idle intercepted connection"
    );

    // All of them at once.
    let posts = active.iter_mut().enumerate().map(async |(number, stream)| {
        for post_number in 0..POSTS {
            let text = post(&format!("connection {number} says {post_number}"));
            assert_eq!(ask(stream, "POST /api/v1/statuses", &text).await, 200);
        }
    });
    let began = std::time::Instant::now();
    futures_util::future::join_all(posts).await;
    println!("{} posts on {ACTIVE} connections in {:?}", ACTIVE * POSTS, began.elapsed());
    assert_eq!(origin.statuses().len(), ACTIVE * POSTS + 1);

    // Whoever was idle still gets through.
    for tunnel in open.iter_mut().step_by(97) {
        tunnel.write_all(b"hello").await.unwrap();
        let mut word = [0; 5];
        tunnel.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"hello");
    }
    for stream in idle.iter_mut().step_by(97) {
        assert_eq!(ask(stream, "GET /api/v1/instance", "").await, 200);
    }
    let metrics = crate::service::Curl::new().get(&firm.api("/metrics")).unwrap();
    let connections = format!("proxy_connections {}", tunnels + IDLE + ACTIVE);
    assert!(metrics.text().lines().any(|line| line == connections), "{connections}");
    drop((open, idle, active));
    assert_kept(&firm, &origin);
    // In a build for tests.
    assert!(tunnel <= 96 && decrypted <= 192, "{tunnel} KiB for a tunnel, {decrypted} KiB for an idle connection");
    assert_eq!(service.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_with_too_few_files_writes_are_refused_and_on_record_and_the_service_goes_on() {
    const FILES: usize = 300;
    const DEVICES: usize = 100;
    let origin = Origin::start();
    // Bodies are held in files, one each, and kept in files, one each.
    let firm = Firm::new(&origin, "[proxy.limits]\nbody_memory = \"4 KiB\"");
    let service = firm.serve_with_files(FILES);
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let client = Arc::new(Client::new(&firm, &device));
    let mut said: BTreeMap<u16, usize> = BTreeMap::new();
    for round in 0..2 {
        let mut streams = Vec::new();
        for made in all(DEVICES, |_| client.intercepted()).await {
            match made {
                Ok(stream) => streams.push(stream),
                // Closed, or told that there are too many.
                Err(status) => *said.entry(status).or_default() += 1,
            }
        }
        let posts = streams.iter_mut().enumerate().map(async |(number, stream)| {
            let small = format!("round {round}, device {number}");
            let first = ask(stream, "POST /api/v1/statuses", &post(&small)).await;
            let large = json!({ "status": format!("{small}, with a file"), "padding": "x".repeat(600_000) });
            [first, ask(stream, "POST /api/v1/statuses", &large.to_string()).await]
        });
        for status in futures_util::future::join_all(posts).await.into_iter().flatten() {
            *said.entry(status).or_default() += 1;
        }
    }
    println!("answers: {said:?}");
    let known = [0, 200, 502, 503, 507];
    assert!(said.keys().all(|status| known.contains(status)), "{said:?}");
    let refused: usize = said.iter().filter(|(status, _)| matches!(status, 0 | 502 | 503 | 507)).map(|(_, n)| n).sum();
    assert!(refused > 0 && said.get(&200).is_some_and(|taken| *taken > 50), "{said:?}");
    // There are files again: it goes on by itself.
    let mut taken = 0;
    for _attempt in 0..100 {
        if let Ok(mut stream) = client.intercepted().await {
            taken = ask(&mut stream, "POST /api/v1/statuses", &post("there are files again")).await;
            if taken == 200 {
                break;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(taken, 200, "{said:?}");
    assert_kept(&firm, &origin);
    if said.keys().any(|status| matches!(status, 503 | 507)) {
        let gaps = "select coalesce(sum(count), 0) from projection.gaps where cause in ('write_refused', 'write_cut')";
        eventually(|| (psql(&firm.data(), gaps).trim() != "0").then_some(()));
    }
    let metrics = crate::service::Curl::new().get(&firm.api("/metrics")).unwrap();
    let refusals: Vec<&str> = metrics.text().lines().filter(|line| line.starts_with("refused_total")).collect();
    println!("{refusals:#?}");
    assert!(!refusals.is_empty(), "whoever was refused is counted");
    assert_eq!(service.stop(), 0);
}
