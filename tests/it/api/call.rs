//! One request to the API over a connection of its own, and its answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any test waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request being put together.
#[derive(Clone)]
pub(super) struct Call {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn new(address: SocketAddr, path: &str) -> Self {
        let (method, path) = ("GET".to_owned(), path.to_owned());
        Self { address, method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// As this officer, with a purpose.
    pub(super) fn officer(self, officer: &super::world::Officer) -> Self {
        self.token(&officer.token).header("muniment-purpose", "a test looks")
    }

    pub(super) async fn send(&self) -> Answer {
        tokio::time::timeout(PATIENCE, self.exchange()).await.expect("an answer in time")
    }

    async fn exchange(&self) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path).header("host", "api.test");
        for (name, value) in &self.headers {
            request = request.header(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(self.body.clone()))).unwrap()).await;
        let (head, body) = answer.unwrap_or_else(|error| panic!("{}: {error}", self.path)).into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{}: {error}", self.path)).to_bytes();
        driving.abort();
        Answer { status: head.status, headers: head.headers, body }
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, after the status was checked.
    pub(super) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem, after everything that holds of every problem was checked.
    pub(super) fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.json(status);
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let id = self.header("x-request-id").expect("a request id");
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        problem
    }

    /// A problem that names this parameter; answers with what it says about it.
    pub(super) fn wrong(&self, parameter: &str) -> String {
        let problem = self.problem(400, "parameter-invalid");
        assert_eq!(problem["parameter"], parameter, "{problem}");
        problem["detail"].as_str().expect("what would be right").to_owned()
    }
}

/// Sends these bytes on a connection of its own and reads until it is closed; what came back, however it ended.
pub(super) async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Whoever is refused in the middle of sending may find the connection closed.
        let _cut = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the connection is closed in time")
}
