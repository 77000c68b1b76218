//! One request to a witness, or to the log that is audited.
//!
//! Invariant: all of it within one time limit, and of the answer no more is read than was said. A redirect leads nowhere. What the answer says
//! is not believed for where it came from: cosignatures and tiles are checked by whoever asked.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::Target;
use crate::proxy::{Dialler, Offer, Speak, TrustError};
use crate::settings;

/// Largest head of an answer.
const HEAD: usize = 16 * 1024;

/// Why there is no answer, as a word that stands in logs and metrics.
pub(super) type Unanswered = &'static str;

/// Reaches others.
pub(super) struct Client {
    dialler: Dialler,
}

/// What was said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Behind the target's prefix; begins with a slash.
    pub(super) path: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) body: Bytes,
    /// The largest answer that is read.
    pub(super) most: usize,
}

impl Client {
    /// Reaches others as origins are reached; private networks too, since whoever runs this has named the address.
    pub(super) fn new(upstream: &settings::Upstream) -> Result<Self, TrustError> {
        let everywhere = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|network| network.parse().ok()).collect();
        let upstream = settings::Upstream { allow_networks: everywhere, ..upstream.clone() };
        Ok(Self { dialler: Dialler::new(upstream, Vec::new())? })
    }

    pub(super) async fn ask(&self, target: &Target, limit: Duration, ask: Ask<'_>) -> Result<Said, Unanswered> {
        timeout(limit, self.exchange(target, ask)).await.unwrap_or(Err("timed_out"))
    }

    async fn exchange(&self, target: &Target, ask: Ask<'_>) -> Result<Said, Unanswered> {
        let speak = if target.tls { Speak::Tls(Offer::Http1) } else { Speak::Plain };
        let dialled = self.dialler.dial(&target.authority, speak).await.map_err(|refused| refused.why.as_str())?;
        // A token goes to nobody who has not proved a name; this machine aside.
        if ask.token.is_some() && !target.tls && !dialled.facts.address.ip().to_canonical().is_loopback() {
            return Err("token_in_the_clear");
        }
        let most = ask.most;
        let request = request(target, ask).map_err(|_source| "malformed")?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD);
        let broke = |_source| "broke_off";
        let (mut sender, connection) = builder.handshake(TokioIo::new(dialled.io)).await.map_err(broke)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(broke)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|_source| "answer_too_large_or_cut_off")?;
            Ok(Said { status: head.status, body: body.to_bytes() })
        };
        tokio::pin!(exchange, connection);
        let mut is_open = true;
        loop {
            tokio::select! {
                said = &mut exchange => return said,
                _ended = &mut connection, if is_open => is_open = false,
            }
        }
    }
}

fn request(target: &Target, ask: Ask<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::builder()
        .method(ask.method)
        .uri(format!("{}{}", target.prefix, ask.path))
        .header(header::HOST, &target.host)
        .header(header::USER_AGENT, concat!("muniment/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if let Some(token) = ask.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Full::new(ask.body))
}
