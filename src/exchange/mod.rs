//! What passed by: one exchange as the proxy saw it, before anybody says what it means.
//!
//! Invariant: credentials are redacted before an exchange leaves this module for recognition or storage ([`Scrub`] is the
//! only way out). Pure: no socket, no clock, no randomness.

mod body;
mod coding;
mod connection;
mod content;
mod credential;
mod edit;
mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod head;
mod json;
mod limits;
mod look_alikes;
mod message;
mod multipart;
mod path;
mod redact;
mod scrub;
mod view;

pub use body::{Body, BodyError, BodySource};
pub use coding::{Decoded, Ending, decode, is_coded};
pub use connection::{Authority, AuthorityError, Connection, Protocol, UpstreamFacts};
pub use content::Unread;
pub use credential::{DIGESTED, DROPPED, Hints, ScrubKey, SessionKey, looks_like_login};
pub use head::{RequestHead, ResponseHead, Scheme};
pub use json::{JsonError, Step, check as check_json, locate as locate_json};
pub use limits::Limits;
pub use message::{Message, MessageData, Opcode};
pub(crate) use multipart::{boundary as multipart_boundary, read as read_multipart};
pub use redact::Redaction;
pub use scrub::{Scrub, Scrubbed, ScrubbedBody, ScrubbedMessage, ScrubbedRequest, ScrubbedResponse};

use crate::record::{Direction, ExchangeId, Timestamp};

/// A request, with its response where there is one.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Made by the proxy when the head arrived.
    pub id: ExchangeId,
    /// When the request head was read, by the proxy's raw clock.
    pub seen_at: Timestamp,
    /// Who sent it, over what.
    pub connection: std::sync::Arc<Connection>,
    /// The request.
    pub request: Request,
    /// The response, for reads and outcomes.
    pub response: Option<Response>,
}

/// A request head and its whole body.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method, target, headers.
    pub head: RequestHead,
    /// The body as sent (content coding not undone), in memory or held on disk.
    pub body: Body,
    /// Trailers, if any came.
    pub trailers: Option<http::HeaderMap>,
}

/// A response head and what of its body was taken.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status and headers.
    pub head: ResponseHead,
    /// The body as received (content coding not undone).
    pub body: Body,
    /// The body ended as its framing says; false when it was cut off or passed the bound.
    pub complete: bool,
    /// When the last byte was read.
    pub ended_at: Timestamp,
}

/// Which leg a message came in on.
#[must_use]
pub const fn direction_of(from_device: bool) -> Direction {
    if from_device { Direction::Outbound } else { Direction::Inbound }
}
