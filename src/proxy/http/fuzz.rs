//! What must hold of HTTP/1 whatever bytes arrive. For `crate::fuzzing` only.

use bytes::{Bytes, BytesMut};
use http::{Method, Version};

use super::decode::{Decoder, Piece};
use super::framing::Framing;
use super::head::{self, Progress};
use super::hop::{self, Asked, Release};
use super::http1::{absolute, one_host};
use super::message::{Answered, Incoming};
use super::shape::Shape;
use super::uncode::Uncoder;
use crate::exchange::{Authority, Scheme};
use crate::proxy::sse::{Cut, Splitter};

const LIMIT: usize = 4096;

/// One head, arriving by so many bytes.
fn take(data: &[u8], size: usize) -> Result<Option<Bytes>, Shape> {
    let (mut buffer, mut progress) = (BytesMut::new(), Progress::default());
    for part in data.chunks(size.max(1)) {
        buffer.extend_from_slice(part);
        if let Some(head) = head::take(&mut buffer, &mut progress, LIMIT)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn one_head(data: &[u8]) -> Option<Bytes> {
    let whole = take(data, data.len());
    for size in [1, 3] {
        // Which of two faults is met first may depend on the rhythm; whether there is one may not.
        assert_eq!(take(data, size).ok(), whole.clone().ok());
    }
    let head = whole.ok().flatten()?;
    assert!(head.len() <= LIMIT && head.ends_with(b"\r\n\r\n"));
    Some(head)
}

/// What is sent on is one request, and its body ends where we say: nothing can be smuggled past us.
pub(crate) fn http1_request(data: &[u8]) {
    let Some(head) = one_head(data) else { return };
    let Ok(start) = head::request(&head) else { return };
    if one_host(&start).is_err() {
        return;
    }
    let Ok(mine) = Authority::new("social.example", 443) else { return };
    let text = String::from_utf8_lossy(&start.target).into_owned();
    let target = match absolute(&text) {
        Some((_scheme, _authority, path)) => path,
        None if text.starts_with('/') => text,
        None => return,
    };
    let (method, framing) = (start.method.clone(), start.framing);
    let Ok(request) = Incoming::from_http1(start, Scheme::Https, mine, target.clone()) else { return };
    for (expectation_met, upgrade) in [(false, false), (true, false), (false, true)] {
        let mut queue = BytesMut::new();
        let upgrade = upgrade && request.upgrade().is_some();
        let said = hop::request_http1(&mut queue, &request, Release { expectation_met, upgrade });
        let sent = take(&queue, queue.len()).ok().flatten();
        assert_eq!(sent.as_deref(), Some(&queue[..]), "what leaves is one head");
        let again = head::request(&sent.unwrap_or_default());
        assert!(again.is_ok(), "what leaves can be read: {:?}", String::from_utf8_lossy(&queue));
        let Ok(again) = again else { return };
        assert_eq!((&again.method, again.framing, said), (&method, framing, framing));
        assert_eq!((again.target.as_ref(), again.version), (target.as_bytes(), Version::HTTP_11));
        assert!(again.signals.hosts == 1 && again.fields.iter().all(|(name, _value)| !is_ours(name)));
    }
    if let Ok(sent) = hop::request_http2(&request, Release::default()) {
        assert_eq!(sent.method(), method);
        assert!(sent.headers().keys().all(|name| !is_ours(name.as_str().as_bytes()) && name != "connection"));
    }
}

/// Fields between the device and the proxy, which no origin may see.
fn is_ours(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"proxy-authorization") || name.eq_ignore_ascii_case(b"proxy-connection")
}

/// What the device is given is one answer, whose body ends where we say.
pub(crate) fn http1_response(data: &[u8]) {
    let Some(head) = one_head(data) else { return };
    for method in [Method::GET, Method::HEAD, Method::CONNECT] {
        let Ok(start) = head::response(&head, &method) else { continue };
        let (status, answer) = (start.status, Answered::from_http1(start));
        for (version, persists) in [(Version::HTTP_11, true), (Version::HTTP_11, false), (Version::HTTP_10, true)] {
            let mut queue = BytesMut::new();
            let asked = Asked { version, is_head: method == Method::HEAD, persists };
            let said = hop::answer_http1(&mut queue, &answer, asked);
            let sent = take(&queue, queue.len()).ok().flatten();
            assert_eq!(sent.as_deref(), Some(&queue[..]), "what leaves is one head");
            let again = head::response(&sent.unwrap_or_default(), &method);
            assert!(again.is_ok(), "what leaves can be read: {:?}", String::from_utf8_lossy(&queue));
            let Ok(again) = again else { return };
            assert_eq!((again.status, again.framing), (status, said), "{:?}", String::from_utf8_lossy(&queue));
            assert!(again.fields.iter().all(|(name, _value)| !name.eq_ignore_ascii_case(b"alt-svc")));
        }
    }
}

type Taken = Result<(Vec<u8>, Option<http::HeaderMap>, bool, usize), Shape>;

/// A body, arriving by so many bytes: its data, trailers, whether it ended, and how many bytes were left.
fn body(data: &[u8], framing: Framing, size: usize) -> Taken {
    let (mut decoder, mut buffer) = (Decoder::new(framing), BytesMut::new());
    let (mut whole, mut trailers) = (Vec::new(), None);
    let mut left = data.len();
    for part in data.chunks(size.max(1)) {
        buffer.extend_from_slice(part);
        left -= part.len();
        while let Some(piece) = decoder.next(&mut buffer)? {
            match piece {
                Piece::Data(data) => whole.extend_from_slice(&data),
                Piece::Trailers(fields) => trailers = Some(fields),
                Piece::End => return Ok((whole, trailers, true, left + buffer.len())),
            }
        }
    }
    Ok((whole, trailers, false, left + buffer.len()))
}

/// Where a body ends does not depend on the rhythm of arrival, and no byte is given twice.
pub(crate) fn http1_body(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let framing = match choice % 4 {
        0 => Framing::Length(u64::from(choice / 4)),
        1 => Framing::UntilClose,
        _ => Framing::Chunked,
    };
    let whole = body(data, framing, data.len());
    for size in [1, 2, 5] {
        assert_eq!(body(data, framing, size).ok(), whole.clone().ok(), "by {size}");
    }
    let Ok((whole, trailers, ended, left)) = whole else { return };
    assert!(whole.len() + left <= data.len());
    if let Framing::Length(length) = framing {
        assert!(whole.len() as u64 <= length && ended == (length == whole.len() as u64 && !data.is_empty()));
    }
    let framing_trailer =
        |fields: &http::HeaderMap| fields.contains_key("content-length") || fields.contains_key("host");
    assert!(!trailers.is_some_and(|fields| framing_trailer(&fields)));
}

/// A coded event stream is cut into messages within the splitter's bounds, whatever it grows to; what was whole before a fault is
/// given.
pub(crate) fn uncode(data: &[u8]) {
    const CODINGS: [&[u8]; 5] = [b"gzip", b"deflate", b"br", b"zstd", b"identity"];
    let Some((choice, data)) = data.split_first() else { return };
    let coding = CODINGS.get(usize::from(*choice) % CODINGS.len()).copied();
    let Some(mut uncoder) = Uncoder::new(coding, Splitter::new(Cut::Events)) else { return };
    for part in data.chunks(64) {
        if uncoder.write(part).is_err() {
            break;
        }
    }
    let waiting: usize = std::iter::from_fn(|| uncoder.sink().take()).map(|piece| piece.data.len()).sum();
    assert!(waiting <= 8 << 20);
}
