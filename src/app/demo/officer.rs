//! The demo's compliance officer: a client of the audit API, as anybody could write one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest any one question may take, and largest answer.
const STEP: Duration = Duration::from_secs(30);
const BODY_BOUND: usize = 16 * 1024 * 1024;

/// Why a question came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OfficerError {
    /// No connection, or it broke.
    #[error("connection to the api broke")]
    Io(#[from] io::Error),
    /// The exchange broke.
    #[error("the api's answer broke off")]
    Http(#[from] hyper::Error),
    /// The question could not be formed.
    #[error("the question is not well formed")]
    Request(#[from] http::Error),
    /// The answer is too large, cut off or not JSON.
    #[error("the api's answer could not be read")]
    Body,
    /// It was refused.
    #[error("the api answered {0}")]
    Refused(StatusCode),
    /// It took too long.
    #[error("the api did not answer within {} s", STEP.as_secs())]
    Late,
}

/// An officer with a token and a purpose.
pub(super) struct Officer {
    /// The API's listener.
    pub(super) api: SocketAddr,
    /// As `muniment officer add` printed it.
    pub(super) token: String,
    /// Why they look.
    pub(super) purpose: String,
}

impl Officer {
    /// Asks and reads the whole answer.
    pub(super) async fn get(&self, path: &str) -> Result<Value, OfficerError> {
        tokio::time::timeout(STEP, self.ask(path)).await.map_err(|_elapsed| OfficerError::Late)?
    }

    async fn ask(&self, path: &str) -> Result<Value, OfficerError> {
        let stream = TcpStream::connect(self.api).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(HOST, self.api.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header("muniment-purpose", &self.purpose)
            .body(Empty::<Bytes>::new())?;
        let asked = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), BODY_BOUND).collect().await;
            drop(sender);
            if !status.is_success() {
                return Err(OfficerError::Refused(status));
            }
            let bytes = body.map_err(|_source| OfficerError::Body)?.to_bytes();
            serde_json::from_slice(&bytes).map_err(|_source| OfficerError::Body)
        };
        // The connection future drives the socket; it ends by itself when the sender is dropped.
        let (answer, _closed) = tokio::join!(asked, connection);
        answer
    }
}
