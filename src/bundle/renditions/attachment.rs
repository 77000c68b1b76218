//! The bytes of what is attached, cut out of the request that carried them.
//!
//! Invariant: nothing is handed out whose digest is not the one that the record states. How requests are parted is looked at no closer than
//! that needs.

use std::str::FromStr as _;

use memchr::memmem;
use serde::Deserialize;

use crate::bundle::shown::ShownEntry;
use crate::record::{Digest, FieldName, Part};

/// Longest boundary of a multipart body that is looked for.
const BOUNDARY_MAX: usize = 200;
/// Parts that are told apart.
const PARTS_MAX: usize = 256;
/// Attachments of a communication that stand in renditions.
const LISTED_MAX: usize = 64;
/// Bytes of all attachments of a communication. What is larger stands in no rendition; it is in the bundle as it was sent.
pub(super) const ATTACHED_MAX: usize = 16 << 20;

/// Something attached.
pub(super) struct Attached<'a> {
    /// What the sender called it, or its number.
    pub(super) name: String,
    pub(super) media_type: Option<String>,
    /// None where the bytes were not in this exchange, are withheld, too large, or cannot be told from others.
    pub(super) bytes: Option<&'a [u8]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    Body,
    Part(u32),
}

#[derive(Deserialize)]
struct Said {
    name: Option<String>,
    media_type: Option<String>,
    source: Option<From>,
    digest: Option<String>,
}

/// What is attached to a communication, as far as that is shown.
pub(super) fn attached(shown: &ShownEntry, number: u32) -> Vec<Attached<'_>> {
    let listed = shown.value(&format!("{number}.{}", Part::Attachments));
    let listed = listed.and_then(|value| serde_json::from_slice::<Vec<Said>>(value).ok()).unwrap_or_default();
    let body = shown.value(FieldName::REQUEST_BODY.as_str()).unwrap_or_default();
    // Told apart once, however many lie in it.
    let is_in_part = |said: &Said| matches!(said.source, Some(From::Part(_)));
    let parts = if listed.iter().any(is_in_part) { parts(body) } else { Vec::new() };
    let with_place = listed.into_iter().take(LISTED_MAX).enumerate();
    // A body that is attached many times over is there once.
    let mut left = ATTACHED_MAX;
    with_place
        .map(|(place, said)| Attached {
            bytes: find(body, &parts, &said, &mut left),
            name: said.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("attachment-{place}")),
            media_type: said.media_type,
        })
        .collect()
}

fn find<'a>(body: &'a [u8], parts: &[&'a [u8]], said: &Said, left: &mut usize) -> Option<&'a [u8]> {
    let bytes = match said.source {
        Some(From::Body) => body,
        Some(From::Part(number)) => parts.get(usize::try_from(number).ok()?)?,
        None => return None,
    };
    let digest = said.digest.as_deref().and_then(|digest| Digest::from_str(digest).ok())?;
    // Looked at or handed out, it counts: both cost.
    *left = left.checked_sub(bytes.len())?;
    (Digest::of(&[bytes]) == digest).then_some(bytes)
}

/// The contents of the parts of a multipart body (RFC 2046 section 5.1.1), by the boundary that its first line shows.
fn parts(body: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let line = body.get(..body.len().min(BOUNDARY_MAX)).and_then(|begin| memchr::memchr(b'\n', begin));
    let Some((first, mut rest)) = line.and_then(|line| body.split_at_checked(line + 1)) else { return parts };
    let first = first.trim_ascii_end();
    if !first.starts_with(b"--") {
        return parts;
    }
    let between = [b"\r\n".as_slice(), first].concat();
    let finder = memmem::Finder::new(&between);
    while parts.len() < PARTS_MAX {
        // A part without a head begins with its empty line.
        let begin = if rest.starts_with(b"\r\n") { Some(2) } else { memmem::find(rest, b"\r\n\r\n").map(|at| at + 4) };
        let Some(content) = begin.and_then(|begin| rest.get(begin..)) else { break };
        let Some(end) = finder.find(content) else { break };
        let Some((part, behind)) = content.split_at_checked(end) else { break };
        parts.push(part);
        // The rest of the boundary's line.
        let Some(next) = memchr::memchr(b'\n', behind.get(between.len()..).unwrap_or_default()) else { break };
        rest = behind.get(between.len() + next + 1..).unwrap_or_default();
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--xyz\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n--xy\r\n--xyz--\r\n";

    #[test]
    fn a_part_is_what_stands_between_its_head_and_the_next_boundary() {
        assert_eq!(parts(BODY), [&b"one"[..], b"\x89PNG\r\n\r\n--xy"]);
        assert_eq!((parts(b""), parts(b"no parts\r\n")), (vec![], vec![]));
    }

    #[test]
    fn nothing_is_handed_out_under_another_digest() {
        let said = |digest: Digest| Said {
            name: None,
            media_type: None,
            source: Some(From::Part(1)),
            digest: Some(digest.to_string()),
        };
        let bytes: &[u8] = b"\x89PNG\r\n\r\n--xy";
        assert_eq!(find(BODY, &parts(BODY), &said(Digest::of(&[bytes])), &mut { ATTACHED_MAX }), Some(bytes));
        assert_eq!(find(BODY, &parts(BODY), &said(Digest::of(&[b"other"])), &mut { ATTACHED_MAX }), None);
        let mut left = bytes.len() + 1;
        assert_eq!(find(BODY, &parts(BODY), &said(Digest::of(&[bytes])), &mut left), Some(bytes));
        assert_eq!(
            find(BODY, &parts(BODY), &said(Digest::of(&[bytes])), &mut left),
            None,
            "no more than there is room for"
        );
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(prop::sample::select(b"-x\r\n:ab".to_vec()), 0..200)) {
            prop_assert!(parts(&body).len() <= body.len());
        }
    }
}
