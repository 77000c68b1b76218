//! What the proxy is told to do with a request, from its head alone.

use std::sync::Arc;

/// The order to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing to keep: stream through untouched.
    Forward,
    /// A login, token or password request of a known network: stream through, keep no body in either direction.
    Credential,
    /// A write, or what has the shape of one: hold until its record is durable, then release and tee the response.
    Hold(Hold),
    /// A read that may carry items that must be kept: stream to the device, tee the response.
    Tee(Tee),
    /// A WebSocket or event stream: hand over its messages one by one. When the origin answers with neither, forward.
    Messages(Channel),
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The network whose rule matched; none for the catch-all of hosts without a rule.
    pub network: Option<Arc<str>>,
    /// How much is held back.
    pub release: Release,
    /// How much is kept.
    pub keep: Keep,
}

/// How a held request is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Head and body wait for the record.
    Whole,
    /// The body streams to the origin while it is kept; only its end waits for the record.
    Tail,
}

/// How much of a held request goes into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Head and body, credentials redacted.
    Whole,
    /// The head only: the path looks like a login on a host that no rule knows.
    Head,
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tee {
    /// The network whose rule matched.
    pub network: Arc<str>,
}

/// A message channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The network whose rule matched; none for the catch-all of hosts without a rule.
    pub network: Option<Arc<str>>,
    /// What becomes of messages from the device.
    pub outbound: Outbound,
    /// Messages from the origin may carry something to keep.
    pub inbound: bool,
    /// What the request is where the origin opens no channel: a read, whose response is teed.
    pub read: Option<Tee>,
}

/// What becomes of messages from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outbound {
    /// The network's rules say that they are control messages: relay at once.
    Relay,
    /// Each waits until it is recognised and, if it is a write, durable.
    Hold,
}
