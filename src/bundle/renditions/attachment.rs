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
/// What is larger stands in no rendition; it is in the bundle as it was sent.
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
    let body = shown.value(FieldName::REQUEST_BODY.as_str());
    let with_place = listed.into_iter().enumerate();
    with_place
        .map(|(place, said)| Attached {
            bytes: body.and_then(|body| cut(body, &said)),
            name: said.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("attachment-{place}")),
            media_type: said.media_type,
        })
        .collect()
}

fn cut<'a>(body: &'a [u8], said: &Said) -> Option<&'a [u8]> {
    let bytes = match said.source {
        Some(From::Body) => body,
        Some(From::Part(number)) => part(body, number)?,
        None => return None,
    };
    let digest = said.digest.as_deref().and_then(|digest| Digest::from_str(digest).ok())?;
    (bytes.len() <= ATTACHED_MAX && Digest::of(&[bytes]) == digest).then_some(bytes)
}

/// The content of a part of a multipart body (RFC 2046 section 5.1.1), by the boundary that its first line shows.
fn part(body: &[u8], number: u32) -> Option<&[u8]> {
    let line = memchr::memchr(b'\n', body.get(..body.len().min(BOUNDARY_MAX))?)?;
    let first = body.get(..line)?.trim_ascii_end();
    if !first.starts_with(b"--") || usize::try_from(number).ok()? >= PARTS_MAX {
        return None;
    }
    let between = [b"\r\n".as_slice(), first].concat();
    let mut rest = body.get(line + 1..)?;
    for _ in 0..number {
        rest = rest.get(memmem::find(rest, &between)? + between.len()..)?;
        rest = rest.get(memchr::memchr(b'\n', rest)? + 1..)?;
    }
    // A part without a head begins with its empty line.
    let begin = if rest.starts_with(b"\r\n") { 2 } else { memmem::find(rest, b"\r\n\r\n")? + 4 };
    let content = rest.get(begin..)?;
    content.get(..memmem::find(content, &between)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--xyz\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n--xy\r\n--xyz--\r\n";

    #[test]
    fn a_part_is_what_stands_between_its_head_and_the_next_boundary() {
        assert_eq!(part(BODY, 0), Some(&b"one"[..]));
        assert_eq!(part(BODY, 1), Some(&b"\x89PNG\r\n\r\n--xy"[..]));
        assert_eq!((part(BODY, 2), part(b"", 0), part(b"no parts\r\n", 0)), (None, None, None));
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
        assert_eq!(cut(BODY, &said(Digest::of(&[bytes]))), Some(bytes));
        assert_eq!(cut(BODY, &said(Digest::of(&[b"other"]))), None);
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(prop::sample::select(b"-x\r\n:ab".to_vec()), 0..200), number in 0..5_u32) {
            let _part = part(&body, number);
        }
    }
}
