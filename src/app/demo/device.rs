//! A scripted person's device: an ordinary HTTPS client. An advisor's is set to use the proxy and trusts the firm's root.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest any one step may take.
const STEP: Duration = Duration::from_secs(30);
/// Longest answer to CONNECT, and largest body taken, in bytes.
const HEAD_BOUND: usize = 16 * 1024;
const BODY_BOUND: usize = 4 * 1024 * 1024;

/// Why a request of the device came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No connection, or it broke.
    #[error("connection to the proxy broke: {0}")]
    Io(#[from] io::Error),
    /// The proxy answered CONNECT with something else than 200.
    #[error("the proxy refused the tunnel: {0}")]
    Refused(String),
    /// The exchange inside the tunnel broke.
    #[error("the exchange broke: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is too large or was cut off.
    #[error("the answer could not be read")]
    Body,
    /// The request could not be formed.
    #[error("the request is not well formed: {0}")]
    Request(#[from] http::Error),
    /// The host is not a name.
    #[error("{0}")]
    Name(#[from] InvalidDnsNameError),
    /// It took too long.
    #[error("no answer within {} s", STEP.as_secs())]
    Late,
}

/// How a device reaches the network.
#[derive(Clone)]
pub enum Route {
    /// Through the firm's proxy: its listener, and the device's name and secret as `muniment device add` printed them.
    Proxy(SocketAddr, String, String),
    /// Straight to the network: somebody who is not of the firm.
    Direct(SocketAddr),
}

/// One device with its way to the network and its account there.
#[derive(Clone)]
pub struct Device {
    /// How it gets there.
    pub route: Route,
    /// Trusts one root and nothing else: the firm's behind the proxy.
    pub tls: Arc<rustls::ClientConfig>,
    /// Host and port of the network.
    pub host: String,
    /// Port of the network, as the device names it.
    pub port: u16,
    /// Bearer token of the account.
    pub token: String,
}

impl Device {
    /// Sends one request and reads its whole answer, on a connection of its own.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), DeviceError> {
        tokio::time::timeout(STEP, self.exchange(method, path, body)).await.map_err(|_elapsed| DeviceError::Late)?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), DeviceError> {
        let stream = match &self.route {
            Route::Proxy(proxy, user, secret) => self.tunnel(*proxy, user, secret).await?,
            Route::Direct(address) => TcpStream::connect(address).await?,
        };
        let name = ServerName::try_from(self.host.clone())?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(USER_AGENT, "muniment-demo")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |value| Bytes::from(value.to_string()))))?;
        let asked = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let bytes =
                Limited::new(answer.into_body(), BODY_BOUND).collect().await.map_err(|_source| DeviceError::Body)?;
            // A refusal page may be HTML: then there is no JSON to show.
            let value = serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null);
            drop(sender);
            Ok::<_, DeviceError>((status, value))
        };
        // The connection future drives the socket; it ends by itself when the sender is dropped.
        let (answer, _closed) = tokio::join!(asked, connection);
        answer
    }

    async fn tunnel(&self, proxy: SocketAddr, user: &str, secret: &str) -> Result<TcpStream, DeviceError> {
        let mut stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let basic = STANDARD.encode(format!("{user}:{secret}"));
        let target = format!("{}:{}", self.host, self.port);
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {basic}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte, so that nothing of the TLS handshake is swallowed; it is one short head per connection.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= HEAD_BOUND {
                return Err(DeviceError::Refused("its answer is longer than a head may be".to_owned()));
            }
            answer.push(stream.read_u8().await?);
        }
        let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        if first.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(DeviceError::Refused(first)) }
    }
}
