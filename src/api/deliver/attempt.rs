//! One attempt: reach the receiver, send, and see what status it answers.
//!
//! Invariants: the address that is dialled is one that was judged; the receiver has proved its name before a byte is sent (this machine aside);
//! all of it within one time limit; of the answer nothing but the head is read, at most 16 KiB of it; a redirect leads nowhere.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{Target, Webhooks};
use crate::proxy::{Offer, Speak};

/// Largest head of an answer.
const HEAD: usize = 16 * 1024;

/// What is sent.
pub(super) struct Signed<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: i64,
    pub(super) signature: &'a str,
    pub(super) body: Bytes,
}

/// What a receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    /// When it wants to be asked again.
    pub(super) after: Option<Duration>,
}

impl Said {
    /// Why it has not taken it, as a word; none where it has.
    pub(super) fn cause(&self) -> Option<&'static str> {
        match self.status {
            status if status.is_success() => None,
            StatusCode::GONE => Some("gone"),
            status if status.is_redirection() => Some("redirected"),
            status if status.is_server_error() => Some("receiver_failed"),
            _ => Some("receiver_refused"),
        }
    }
}

impl Webhooks {
    /// Tries once; the error is a word.
    pub(super) async fn attempt(&self, target: &Target, signed: Signed<'_>) -> Result<Said, &'static str> {
        let tried = timeout(self.settings.timeout, self.exchange(target, signed)).await;
        tried.unwrap_or(Err("timed_out"))
    }

    async fn exchange(&self, target: &Target, signed: Signed<'_>) -> Result<Said, &'static str> {
        let speak = if target.tls { Speak::Tls(Offer::Http1) } else { Speak::Plain };
        let dialled = self.dialler.dial(&target.authority, speak).await.map_err(|refused| refused.why.as_str())?;
        // Whatever the name resolved to: unencrypted, nothing leaves this machine.
        if !target.tls && !dialled.facts.address.ip().to_canonical().is_loopback() {
            return Err("forbidden_address");
        }
        let request = request(target, signed).map_err(|_source| "malformed")?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD);
        let broke = |_source| "upstream_broke";
        let (mut sender, connection) = builder.handshake(TokioIo::new(dialled.io)).await.map_err(broke)?;
        let (answer, mut is_open) = (sender.send_request(request), true);
        tokio::pin!(answer, connection);
        let answer: Response<Incoming> = loop {
            tokio::select! {
                answer = &mut answer => break answer.map_err(broke)?,
                _ended = &mut connection, if is_open => is_open = false,
            }
        };
        let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        // A date would need clocks that agree: the usual pause does as well.
        let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        // What else it says is nothing to us: the connection is closed here.
        Ok(Said { status: answer.status(), after })
    }
}

fn request(target: &Target, signed: Signed<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(header::HOST, &target.host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("muniment/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header("webhook-id", signed.id)
        .header("webhook-timestamp", signed.timestamp)
        .header("webhook-signature", signed.signature)
        .body(Full::new(signed.body))
}
