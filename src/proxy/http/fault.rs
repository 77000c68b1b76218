//! What can go wrong on one leg while a message is read or written.

use std::io;

use super::shape::Shape;

/// A leg failed in the middle of something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The peer sent what no careful reader takes.
    #[error("the peer sent a malformed message: {0}")]
    Shape(#[from] Shape),
    /// The connection ended inside a message.
    #[error("the connection ended inside a message")]
    Truncated,
    /// The body is not as long as its head says.
    #[error("the body is not as long as its head says")]
    WrongLength,
    /// The peer did nothing for too long.
    #[error("the peer did nothing for too long")]
    Stalled,
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(io::Error),
    /// HTTP/2 failed, for the stream or the whole connection.
    #[error("http/2 failed: {0}")]
    Http2(h2::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A peer that drops TLS without close_notify cut the message off (RFC 9112 §9.8).
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::TimedOut => Self::Stalled,
            _ => Self::Io(error),
        }
    }
}

impl From<h2::Error> for Fault {
    fn from(error: h2::Error) -> Self {
        if error.is_io() { error.into_io().map_or(Self::Truncated, Self::from) } else { Self::Http2(error) }
    }
}

impl Fault {
    /// The peer said that it never looked at the request (RFC 9113 §8.7), so sending it again does no harm.
    pub(crate) fn is_refused_stream(&self) -> bool {
        matches!(self, Self::Http2(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM))
    }
}
