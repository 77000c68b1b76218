//! The first bytes after CONNECT: what does the device speak?

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::BytesMut;

use crate::proxy::io::BoxIo;
use crate::proxy::patience::Patience;

/// Room for the first read: a ClientHello with a post-quantum key share fits.
const ROOM: usize = 4096;
/// Longest method that is still taken for HTTP.
const METHOD: usize = 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What the first bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Tls,
    Http1,
    Http2,
    Unknown,
    /// Nothing came.
    Nothing,
}

/// Reads until it is clear what comes, and gives the bytes back with the verdict.
pub(super) async fn first_bytes(io: &mut BoxIo, mut read: BytesMut, patience: &mut Patience) -> (Spoken, BytesMut) {
    let spoken = poll_fn(|cx| {
        loop {
            if let Some(spoken) = classify(&read) {
                return Poll::Ready(spoken);
            }
            if patience.poll(cx).is_ready() || (read.is_empty() && patience.poll_stop(cx).is_ready()) {
                return Poll::Ready(if read.is_empty() { Spoken::Nothing } else { Spoken::Unknown });
            }
            read.reserve(ROOM);
            match tokio_util::io::poll_read_buf(Pin::new(&mut *io), cx, &mut read) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => {
                    return Poll::Ready(if read.is_empty() { Spoken::Nothing } else { Spoken::Unknown });
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    (spoken, read)
}

/// None while it is not clear yet.
fn classify(bytes: &[u8]) -> Option<Spoken> {
    match bytes {
        [] => None,
        // RFC 8446 §5.1: a handshake record, of any TLS version.
        [0x16] => None,
        [0x16, 0x03, ..] => Some(Spoken::Tls),
        _ if PREFACE.starts_with(bytes) => None,
        _ if bytes.starts_with(PREFACE) => Some(Spoken::Http2),
        _ => {
            let method = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
            match bytes.get(method) {
                Some(b' ') if method > 0 && method <= METHOD => Some(Spoken::Http1),
                None if method <= METHOD => None,
                _ => Some(Spoken::Unknown),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_http_and_anything_else_are_told_apart_by_their_first_bytes() {
        for (bytes, spoken) in [
            (&b""[..], None),
            (b"\x16", None),
            (b"\x16\x03\x01\x02", Some(Spoken::Tls)),
            (b"\x16\x02", Some(Spoken::Unknown)),
            (b"PO", None),
            (b"POST / HTTP/1.1\r\n", Some(Spoken::Http1)),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(Spoken::Http1)),
            (b"PRI * HT", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Some(Spoken::Http2)),
            (b"PRI / HTTP/1.1\r\n", Some(Spoken::Http1)),
            (b"SSH-2.0-OpenSSH", Some(Spoken::Unknown)),
            (b"ABCDEFGHIJKLMNOPQRSTUVW", Some(Spoken::Unknown)),
            (b"\x80\x2e\x01", Some(Spoken::Unknown)),
            (b"get / HTTP/1.1", Some(Spoken::Unknown)),
        ] {
            assert_eq!(classify(bytes), spoken, "{bytes:?}");
        }
    }
}
