//! Devices that ask as fast as they are answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Protocol;

/// How long an answer is waited for: no proxy here needs a second.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
pub enum Ask {
    /// For this many bytes.
    Get(usize),
    /// A post of 500 bytes, as a client of Mastodon sends it; over HTTP/1.1.
    Post,
}

#[derive(Clone)]
pub struct Load {
    pub proxy: u16,
    pub origin: u16,
    /// On the device leg.
    pub protocol: Protocol,
    pub ask: Ask,
    pub connections: usize,
    pub span: Duration,
    /// Name and secret of the device.
    pub login: Arc<str>,
}

pub struct Connection {
    leg: Leg,
    host: Arc<str>,
}

enum Leg {
    One { stream: Box<TlsStream<TcpStream>>, buffer: Vec<u8> },
    Two(SendRequest<Empty<Bytes>>),
}

impl Load {
    /// All of them, each used once: the upstream connection, too, is there before anything is measured. None where one had no answer.
    pub async fn connect(&self, ca: &Path) -> Option<Vec<Connection>> {
        let connector = self.connector(ca);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(self.fresh(&connector, "localhost").await?);
        }
        Some(connections)
    }

    /// What trusts the proxy. Sessions are not resumed: each connection stands for a device of its own.
    pub fn connector(&self, ca: &Path) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![self.protocol.alpn()];
        config.resumption = rustls::client::Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    }

    /// A connection to this host, through the proxy, on which one answer was had; none when it did not come.
    pub async fn fresh(&self, connector: &TlsConnector, host: &str) -> Option<Connection> {
        timeout(PATIENCE, self.make(connector, host)).await.ok()
    }

    async fn make(&self, connector: &TlsConnector, host: &str) -> Connection {
        let stream = self.tunnel(connector, host).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(self.protocol.alpn().as_slice()));
        let leg = match self.protocol {
            Protocol::Http1 => Leg::One { stream: Box::new(stream), buffer: vec![0; self.room()] },
            Protocol::Http2 => {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                Leg::Two(sender)
            }
        };
        let mut connection = Connection { leg, host: host.into() };
        self.ask(&mut connection).await;
        connection
    }

    /// For a whole answer with its head.
    fn room(&self) -> usize {
        match self.ask {
            Ask::Get(size) => size + (64 << 10),
            Ask::Post => 64 << 10,
        }
    }

    async fn tunnel(&self, connector: &TlsConnector, host: &str) -> TlsStream<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let login = base64::engine::general_purpose::STANDARD.encode(self.login.as_bytes());
        let head = format!(
            "CONNECT {host}:{0} HTTP/1.1\r\nHost: {host}:{0}\r\nProxy-Authorization: Basic {login}\r\n\r\n",
            self.origin
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        connector.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await.unwrap()
    }

    /// One request, with the fields that a library sends.
    fn request(&self, host: &str) -> String {
        let fields = format!(
            "Host: {host}:{}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\
             Authorization: Bearer 0123456789abcdef\r\n",
            self.origin
        );
        match self.ask {
            Ask::Get(size) => format!("GET /{size} HTTP/1.1\r\n{fields}\r\n"),
            Ask::Post => {
                let head = r#"{"visibility":"public","status":""#;
                let body = format!("{head}{}\"}}", "what an advisor says ".repeat(30).split_at(500 - head.len() - 2).0);
                assert_eq!(body.len(), 500);
                format!(
                    "POST /api/v1/statuses HTTP/1.1\r\n{fields}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        }
    }

    async fn ask(&self, connection: &mut Connection) {
        match &mut connection.leg {
            Leg::One { stream, buffer } => ask_one(stream, buffer, &self.request(&connection.host)).await,
            Leg::Two(sender) => {
                let Ask::Get(size) = self.ask else { panic!("posts are made over HTTP/1.1") };
                ask_two(sender, &format!("https://{}:{}/{size}", connection.host, self.origin), size).await;
            }
        }
    }

    /// Asks until the time is over; gives how long each answer took, of those that came. A connection whose answer does not come is
    /// given up.
    pub async fn run(self, connections: Vec<Connection>) -> Answers {
        let (load, over) = (Arc::new(self), Arc::new(AtomicBool::new(false)));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (load, over) = (Arc::clone(&load), Arc::clone(&over));
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        if timeout(PATIENCE, load.ask(&mut connection)).await.is_err() {
                            return (took, true);
                        }
                        took.push(asked.elapsed());
                    }
                    (took, false)
                })
            })
            .collect();
        tokio::time::sleep(load.span).await;
        over.store(true, Ordering::Relaxed);
        let mut all = Answers { took: Vec::new(), lost: 0 };
        for task in tasks {
            let (took, lost) = task.await.unwrap();
            all.took.extend(took);
            all.lost += usize::from(lost);
        }
        all
    }
}

/// What came of a load.
pub struct Answers {
    pub took: Vec<Duration>,
    /// Connections that were given up.
    pub lost: usize,
}

impl Answers {
    /// Of a proxy that must answer everything.
    pub fn all(self, who: &str) -> Vec<Duration> {
        assert!(self.lost == 0 || who != "muniment", "{} connections had no answer any more", self.lost);
        if self.lost > 0 {
            println!("{who}: {} connections had no answer any more within {} s", self.lost, PATIENCE.as_secs());
        }
        self.took
    }
}

async fn ask_one(stream: &mut TlsStream<TcpStream>, buffer: &mut [u8], request: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = 0;
    let mut wanted = None;
    while wanted.is_none_or(|wanted| read < wanted) {
        let count = stream.read(&mut buffer[read..]).await.unwrap();
        assert!(count > 0, "the proxy hung up");
        read += count;
        if wanted.is_none()
            && let Some(end) = buffer[..read].windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&buffer[..end]).unwrap().to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{head}");
            let size = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
            wanted = Some(end + 4 + size.parse::<usize>().unwrap());
        }
    }
    assert_eq!(Some(read), wanted);
}

async fn ask_two(sender: &mut SendRequest<Empty<Bytes>>, uri: &str, size: usize) {
    let request = hyper::Request::get(uri)
        .header("user-agent", "bench/1.0")
        .header("accept", "*/*")
        .header("accept-encoding", "gzip, deflate")
        .header("authorization", "Bearer 0123456789abcdef")
        .body(Empty::new())
        .unwrap();
    sender.ready().await.unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut read = 0;
    while let Some(frame) = response.body_mut().frame().await {
        read += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(read, size);
}
