//! What a body is, told by its bytes: content types lie (JSON as text/plain, blobs as `*/*`).

use std::io::Read;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::coding::{self, Ending};
use super::multipart::{self, Parts};
use super::{Body, BodyError, Limits, form, json};

/// What a body turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    /// One valid JSON text within the depth.
    Json,
    /// Pairs.
    Form,
    Multipart(Parts),
    /// Characters.
    Text,
    /// Anything else, an image for instance.
    Binary,
    /// Not read, with the reason.
    Unread(Unread),
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Text beyond [`Limits::text`].
    TooLarge,
    /// A decompression bomb.
    Bomb,
    /// Not what its content coding says.
    Corrupt,
    /// More parts than are told apart, or a part that is too large to be searched, or no boundary where one should be.
    Parts,
}

/// A body, its coding undone as far as that went.
#[derive(Debug, Clone)]
pub(crate) struct ReadBody {
    pub(crate) content: Content,
    /// The bytes, content coding undone; empty for multipart without coding and for large binary bodies.
    pub(crate) bytes: Bytes,
    /// A content coding was undone: places are in `bytes`, not in the body as sent.
    pub(crate) undone: bool,
}

const PEEK: u64 = 4096;

impl ReadBody {
    pub(crate) fn read(headers: &HeaderMap, body: &Body, limits: &Limits) -> Result<Self, BodyError> {
        if body.size() == 0 {
            return Ok(Self { content: Content::Empty, bytes: Bytes::new(), undone: false });
        }
        if coding::is_coded(headers) {
            return Self::read_coded(headers, body, limits);
        }
        let mut peek = Vec::new();
        body.reader()?.take(PEEK).read_to_end(&mut peek)?;
        if let Some(boundary) = multipart::boundary(headers, &peek) {
            let parts = multipart::read(body.reader()?, &boundary, limits)?;
            return Ok(Self { content: Content::Multipart(parts), bytes: Bytes::new(), undone: false });
        }
        if says(headers, "multipart/") {
            return Ok(Self { content: Content::Multipart(Parts::unknown()), bytes: Bytes::new(), undone: false });
        }
        if body.size() > limits.text {
            let text = json::may_be_json(&peek)
                || says(headers, "application/x-www-form-urlencoded")
                || says(headers, "text/");
            let content = if text { Content::Unread(Unread::TooLarge) } else { Content::Binary };
            return Ok(Self { content, bytes: Bytes::new(), undone: false });
        }
        // An image or video on disk stays there.
        if matches!(body, Body::Held(_)) && !may_be_text(&peek) && !says(headers, "text/") && !says_json(headers) {
            return Ok(Self { content: Content::Binary, bytes: Bytes::new(), undone: false });
        }
        let bytes = body.bytes(limits.text)?;
        Ok(Self { content: classify(headers, &bytes, limits), bytes, undone: false })
    }

    fn read_coded(headers: &HeaderMap, body: &Body, limits: &Limits) -> Result<Self, BodyError> {
        let coded = match body.bytes(limits.text) {
            Ok(coded) => coded,
            Err(BodyError::TooLarge { .. }) => {
                return Ok(Self { content: Content::Unread(Unread::TooLarge), bytes: Bytes::new(), undone: false });
            }
            Err(error) => return Err(error),
        };
        let decoded = coding::decode(headers, &coded, limits);
        let bytes = Bytes::from(decoded.bytes);
        let content = match decoded.ending {
            Ending::Bomb => Content::Unread(Unread::Bomb),
            Ending::Corrupt => Content::Unread(Unread::Corrupt),
            Ending::Complete | Ending::Unknown => match multipart::boundary(headers, &bytes) {
                Some(boundary) => Content::Multipart(multipart::read(&*bytes, &boundary, limits)?),
                None if says(headers, "multipart/") => Content::Multipart(Parts::unknown()),
                None => classify(headers, &bytes, limits),
            },
        };
        Ok(Self { content, bytes, undone: decoded.ending != Ending::Unknown })
    }
}

/// UTF-8 as far as it goes; a character cut at the end is no fault.
fn may_be_text(peek: &[u8]) -> bool {
    std::str::from_utf8(peek).map_or_else(|bad| bad.error_len().is_none(), |_text| true) || json::may_be_json(peek)
}

/// What bytes in memory are.
pub(crate) fn classify(headers: &HeaderMap, bytes: &[u8], limits: &Limits) -> Content {
    let json_like = json::may_be_json(bytes) || says_json(headers);
    if json_like && json::check(bytes, limits.depth).is_ok() {
        return Content::Json;
    }
    if says(headers, "application/x-www-form-urlencoded") || form::may_be_form(bytes) {
        return Content::Form;
    }
    if std::str::from_utf8(bytes).is_ok() || says(headers, "text/") || says_json(headers) {
        return Content::Text;
    }
    Content::Binary
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

fn says(headers: &HeaderMap, start: &str) -> bool {
    content_type(headers).get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

fn says_json(headers: &HeaderMap) -> bool {
    let essence = content_type(headers).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_and_the_content_type_only_breaks_ties() {
        let headers = |text: &str| -> HeaderMap { [(CONTENT_TYPE, text.parse().unwrap())].into_iter().collect() };
        for (content_type, body, content) in [
            ("text/plain", &b" {\"a\":1}"[..], Content::Json),
            ("*/*", b"\xef\xbb\xbf[1]", Content::Json),
            ("application/json", b"\"word\"", Content::Json),
            ("text/plain", b"\"word\"", Content::Text),
            ("application/json", b"{\"a\":", Content::Text),
            ("text/plain", b"a=b&c=d", Content::Form),
            ("application/x-www-form-urlencoded;charset=UTF-8", b"a b", Content::Form),
            ("application/json", b"\xff\xfe", Content::Text),
            ("*/*", b"\x89PNG\xff", Content::Binary),
            ("*/*", b"{\"a\":\"\xff\"}", Content::Json),
        ] {
            let limits = Limits::default();
            assert_eq!(classify(&headers(content_type), body, &limits), content, "{content_type} {body:?}");
        }
        let deep = [b"[".repeat(200), b"]".repeat(200)].concat();
        assert_eq!(classify(&HeaderMap::new(), &deep, &Limits::default()), Content::Text);
    }
}
