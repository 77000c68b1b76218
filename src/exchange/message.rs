//! Messages inside a connection that stays open: WebSocket messages and server-sent events.

use bytes::Bytes;

use crate::record::{Direction, ExchangeId, Timestamp};

/// What a WebSocket message is made of (RFC 6455 §5.6), or an SSE event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// WebSocket text.
    Text,
    /// WebSocket binary.
    Binary,
    /// One server-sent event (its `data`, lines joined with LF).
    Event,
}

/// A message's payload, whole and decompressed.
#[derive(Clone)]
pub struct MessageData(pub Bytes);

// The content stays out of logs.
impl std::fmt::Debug for MessageData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageData({} bytes)", self.0.len())
    }
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Of the exchange that opened the channel (the upgrade or the SSE request).
    pub exchange: ExchangeId,
    /// Position in its direction, from 0.
    pub number: u64,
    /// Which way it goes.
    pub direction: Direction,
    /// What it is.
    pub opcode: Opcode,
    /// SSE event name, where there is one.
    pub event: Option<String>,
    /// The payload.
    pub data: MessageData,
    /// When its last byte was read.
    pub seen_at: Timestamp,
}
