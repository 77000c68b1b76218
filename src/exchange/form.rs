//! `application/x-www-form-urlencoded`, as body and as query: pairs with the place of each value.

use std::ops::Range;

/// One `name=value`, both decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    /// Decoded; invalid UTF-8 is kept as bytes.
    pub(crate) value: Vec<u8>,
    /// Where the raw value stands.
    pub(crate) span: Range<usize>,
}

/// The pairs of a query or form body, at most `limit` of them.
pub(crate) fn pairs(raw: &[u8], limit: usize) -> Vec<Pair> {
    each(raw).take(limit).collect()
}

/// Every pair, one at a time: a search for credentials must not end before the body does.
pub(crate) fn each(raw: &[u8]) -> impl Iterator<Item = Pair> {
    let mut at = 0;
    raw.split(|byte| *byte == b'&').filter_map(move |piece| {
        let begin = at;
        at += piece.len() + 1;
        if piece.is_empty() {
            return None;
        }
        let name_length = piece.iter().position(|byte| *byte == b'=');
        let (name, value) = match name_length {
            Some(length) => (piece.get(..length), piece.get(length + 1..)),
            None => (Some(piece), None),
        };
        let value_begin = begin + name_length.map_or(piece.len(), |length| length + 1);
        let (name, _origins) = decode(name.unwrap_or_default());
        let (value, _origins) = decode(value.unwrap_or_default());
        Some(Pair { name: String::from_utf8_lossy(&name).into_owned(), value, span: value_begin..begin + piece.len() })
    })
}

/// Undoes percent-encoding and `+`; `origins[i]` is the offset in `raw` of what made byte `i`, and one more stands for the end.
pub(crate) fn decode(raw: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut origins = Vec::with_capacity(raw.len() + 1);
    let mut at = 0;
    while let Some(byte) = raw.get(at).copied() {
        origins.push(u32::try_from(at).unwrap_or(u32::MAX));
        let escaped = (byte == b'%').then(|| Some((hex(raw.get(at + 1)?)?, hex(raw.get(at + 2)?)?))).flatten();
        let (made, used) = match (escaped, byte) {
            (Some((high, low)), _) => (high << 4 | low, 3),
            (None, b'+') => (b' ', 1),
            (None, byte) => (byte, 1),
        };
        bytes.push(made);
        at += used;
    }
    origins.push(u32::try_from(at).unwrap_or(u32::MAX));
    (bytes, origins)
}

const fn hex(byte: &u8) -> Option<u8> {
    match *byte {
        b @ b'0'..=b'9' => Some(b - b'0'),
        b @ b'a'..=b'f' => Some(b - b'a' + 10),
        b @ b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// Whether bytes without a telling content type are nothing but pairs: `name=value&…` in the letters that the coding leaves.
pub(crate) fn may_be_form(bytes: &[u8]) -> bool {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'*' | b'+' | b'%' | b'[' | b']');
    let mut names = 0;
    let all = bytes.split(|byte| *byte == b'&').all(|piece| {
        let mut halves = piece.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        names += usize::from(!name.is_empty());
        !name.is_empty() && name.iter().all(|b| plain(*b)) && halves.next().is_some_and(|v| v.iter().all(|b| plain(*b)))
    });
    all && names > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_their_values_are_placed() {
        let raw = b"status=toot+%C3%BC%zz&media_ids[]=1&&media_ids%5B%5D=2&flag&e=";
        let found = pairs(raw, 10);
        let read: Vec<_> = found
            .iter()
            .map(|pair| (pair.name.as_str(), String::from_utf8_lossy(&pair.value), &raw[pair.span.clone()]))
            .collect();
        assert_eq!(
            read,
            [
                ("status", "toot ü%zz".into(), &b"toot+%C3%BC%zz"[..]),
                ("media_ids[]", "1".into(), b"1"),
                ("media_ids[]", "2".into(), b"2"),
                ("flag", "".into(), b""),
                ("e", "".into(), b""),
            ]
        );
        assert_eq!(pairs(raw, 2).len(), 2);
    }

    #[test]
    fn a_sentence_is_no_form() {
        assert!(may_be_form(b"a=1&b%5B%5D=x+y"));
        for text in [&b"a sentence with a=b"[..], b"", b"word", b"{\"a\":\"b=c\"}", b"a=b\n"] {
            assert!(!may_be_form(text), "{}", String::from_utf8_lossy(text));
        }
    }
}
