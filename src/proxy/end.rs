//! How a device connection ended: a type, logged once and counted, never a text in the middle of nowhere.

use super::refuse::Refuse;

/// How a device connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides were done.
    Closed,
    /// The device connected, or shook hands, and asked for nothing.
    NoRequest,
    /// The device left in the middle of something.
    DeviceGone,
    /// The device did nothing for too long.
    DeviceStalled,
    /// The origin left in the middle of something.
    UpstreamGone,
    /// Nothing moved in either direction for too long.
    Idle,
    /// The device does not accept our leaf: pinned, or the firm CA is not installed.
    LeafRefused,
    /// What was asked was refused.
    Refused(Refuse),
    /// A peer broke the WebSocket protocol.
    WebSocketBroken,
    /// The service stopped.
    Stopped,
}

impl End {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NoRequest => "no_request",
            Self::DeviceGone => "device_gone",
            Self::DeviceStalled => "device_stalled",
            Self::UpstreamGone => "upstream_gone",
            Self::Idle => "idle",
            Self::LeafRefused => "leaf_refused",
            Self::Refused(why) => why.as_str(),
            Self::WebSocketBroken => "websocket_broken",
            Self::Stopped => "stopped",
        }
    }
}
