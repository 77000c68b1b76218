//! A receiver of webhooks on loopback, that answers as it is told and remembers what it got; and what checks signatures: not our code.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answers with a status.
    Status(u16),
    /// Answers with these bytes.
    Raw(Vec<u8>),
    /// Answers nothing.
    Silent,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

#[derive(Default)]
struct Told {
    got: Vec<Got>,
    next: VecDeque<Act>,
    usual: Option<Act>,
    /// Connections, also those that never said anything.
    connections: usize,
}

/// The receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    told: Arc<Mutex<Told>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// One that takes everything.
    pub(super) async fn new() -> Self {
        Self::with(None).await
    }

    /// The same over TLS.
    pub(super) async fn with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told: Arc<Mutex<Told>> = Arc::default();
        let (remembers, acceptor) = (Arc::clone(&told), tls.map(TlsAcceptor::from));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _peer) = listener.accept().await.unwrap();
                let (told, acceptor) = (Arc::clone(&remembers), acceptor.clone());
                told.lock().connections += 1;
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, told).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, told).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, told, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    /// What it does from now on.
    pub(super) fn usually(&self, act: Act) {
        self.told.lock().usual = Some(act);
    }

    /// What it does with the next requests.
    pub(super) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.told.lock().next.extend(acts);
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.told.lock().got.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.told.lock().connections
    }

    /// Waits until so many requests have come.
    pub(super) async fn wait(&self, count: usize) -> Vec<Got> {
        super::limits::until(&format!("{count} requests"), || self.told.lock().got.len() >= count).await;
        self.got()
    }

    /// Waits until these entries were named in what came, each once at least; answers with the places in the order in which they came.
    pub(super) async fn wait_for(&self, wanted: &[u64]) -> Vec<u64> {
        let there = || wanted.iter().all(|index| indices(&self.told.lock().got).contains(index));
        super::limits::until(&format!("events {wanted:?}"), there).await;
        indices(&self.got())
    }
}

/// The places of the events in what came, in that order, repeated messages once.
pub(super) fn indices(got: &[Got]) -> Vec<u64> {
    let (mut seen, mut places) = (Vec::new(), Vec::new());
    for one in got {
        if !seen.contains(&one.id()) {
            seen.push(one.id());
            places.extend(one.events().iter().map(|event| event["index"].as_u64().unwrap()));
        }
    }
    places
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, told: Arc<Mutex<Told>>) {
    let Some(got) = read(&mut stream).await else { return };
    let act = {
        let mut told = told.lock();
        told.got.push(got);
        let next = told.next.pop_front();
        next.or_else(|| told.usual.clone()).unwrap_or(Act::Status(204))
    };
    match act {
        Act::Silent => tokio::time::sleep(Duration::from_secs(60)).await,
        Act::Status(status) => {
            let answer = format!("HTTP/1.1 {status} As told\r\ncontent-length: 0\r\n\r\n");
            let _left = stream.write_all(answer.as_bytes()).await;
        }
        Act::Raw(bytes) => {
            let _left = stream.write_all(&bytes).await;
        }
    }
    let _left = stream.shutdown().await;
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Got> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16_384]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let line = lines.next().unwrap().to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
            let length: usize = length.parse().unwrap();
            if bytes.len() >= end + 4 + length {
                return Some(Got { line, headers, body: bytes[end + 4..end + 4 + length].to_vec() });
            }
        }
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    pub(super) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The events in it.
    pub(super) fn events(&self) -> Vec<Value> {
        self.json()["data"]["events"].as_array().cloned().unwrap_or_default()
    }

    /// The signatures over it that this secret makes, by OpenSSL, as the standard has it.
    pub(super) fn signature(&self, secret: &str) -> String {
        use base64::Engine as _;
        let standard = base64::engine::general_purpose::STANDARD;
        let key = standard.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp"));
        std::fs::write(dir.path().join("signed"), [signed.as_bytes(), &self.body].concat()).unwrap();
        let output = Command::new("openssl")
            .args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{}", hex::encode(key)), "-binary"])
            .arg(dir.path().join("signed"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("v1,{}", standard.encode(output.stdout))
    }

    /// The signatures that came with it.
    pub(super) fn signatures(&self) -> Vec<String> {
        self.header("webhook-signature").split(' ').map(str::to_owned).collect()
    }
}
