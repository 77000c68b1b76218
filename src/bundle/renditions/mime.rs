//! How mail spells headers and bodies (RFC 5322, 2045, 2047, 2231): so that nothing that a record says ends a header or begins a part.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Rfc2822;

use crate::record::{Digest, Timestamp};

/// Longest value of a header in characters; the whole stands in the record.
const VALUE_MAX: usize = 500;
/// Bytes of the name of a file.
const NAME_BYTES: usize = 300;
/// Bytes of an encoded word's text that always fit into its 75 characters.
const WORD_BYTES: usize = 42;

/// A header. What is not plain ASCII goes into encoded words.
pub(super) fn header(name: &str, value: &str, into: &mut String) {
    into.push_str(name);
    into.push_str(": ");
    into.push_str(&unstructured(value));
    into.push_str("\r\n");
}

/// A header whose value is spelled already.
pub(super) fn raw_header(name: &str, value: &str, into: &mut String) {
    for piece in [name, ": ", value, "\r\n"] {
        into.push_str(piece);
    }
}

fn is_plain(value: &str) -> bool {
    // `=?` would begin an encoded word. Lines may be 998 characters long.
    value.len() <= 60
        && !value.contains("=?")
        && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        && value.trim() == value
}

/// On one line, and no longer than a header should be: a reader that decodes a line break may take what follows for another header.
fn tidy(value: &str) -> String {
    value.chars().take(VALUE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unstructured(value: &str) -> String {
    let value = tidy(value);
    if is_plain(&value) { value } else { words(&value) }
}

/// Encoded words (RFC 2047), each on a line of its own.
fn words(value: &str) -> String {
    let mut all = String::new();
    let mut piece = String::new();
    let mut end = |piece: &mut String| {
        if !all.is_empty() {
            all.push_str("\r\n ");
        }
        all.push_str("=?utf-8?B?");
        all.push_str(&STANDARD.encode(std::mem::take(piece)));
        all.push_str("?=");
    };
    for c in value.chars() {
        if piece.len() + c.len_utf8() > WORD_BYTES {
            end(&mut piece);
        }
        piece.push(c);
    }
    end(&mut piece);
    all
}

/// A mailbox: a name, and an address that leads nowhere (`.invalid`, RFC 2606).
pub(super) fn mailbox(name: &str, account: &str, network: &str) -> String {
    let account = account.strip_prefix('@').unwrap_or(account);
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+'))
    };
    let is_local = account.len() <= 64 && account.split('.').all(plain);
    let local = match account {
        "" => "unknown".to_owned(),
        account if is_local => account.to_owned(),
        // Told apart, and no more: the account itself is in the headers of its own.
        account => short_digest(&[account.as_bytes()]),
    };
    let network = if network.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !network.is_empty() {
        network
    } else {
        "network"
    };
    let name = tidy(name);
    let phrase = if !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
        && name.trim() == name
        && name.len() <= 60
    {
        name
    } else {
        words(&name)
    };
    format!("{phrase}\r\n <{local}@{network}.invalid>")
}

/// The beginning of a digest, in hex: tells names apart, and is no proof.
pub(super) fn short_digest(parts: &[&[u8]]) -> String {
    Digest::of(parts).to_string().chars().take(24).collect()
}

/// A moment as mail writes it.
pub(super) fn date(at: Timestamp) -> String {
    at.date_time().format(&Rfc2822).unwrap_or_default()
}

/// Bytes in base64, in lines of 76.
pub(super) fn body(bytes: &[u8], into: &mut String) {
    for line in bytes.chunks(57) {
        STANDARD.encode_string(line, into);
        into.push_str("\r\n");
    }
}

/// A media type, if it is spelled as one; else that of any bytes.
pub(super) fn media_type(said: Option<&str>) -> &str {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.' | b'_'))
    };
    let fits =
        |said: &&str| said.len() <= 70 && said.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub));
    // A message or another multipart would be read as more than bytes.
    let inert = |said: &&str| !said.starts_with("message/") && !said.starts_with("multipart/");
    said.filter(fits).filter(inert).unwrap_or("application/octet-stream")
}

/// The head of an attached part. Its name is spelled in percent (RFC 2231).
pub(super) fn attachment_head(name: &str, media_type: &str, into: &mut String) {
    raw_header("Content-Type", media_type, into);
    raw_header("Content-Transfer-Encoding", "base64", into);
    into.push_str("Content-Disposition: attachment;\r\n filename*=utf-8''");
    // So many bytes fit into a line, each spelled with three.
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += c.len_utf8();
        bytes <= NAME_BYTES
    };
    for byte in name.chars().filter(|c| !c.is_control()).take_while(fits).collect::<String>().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
    into.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_plain_stays_so_and_the_rest_is_encoded() {
        let of = |value: &str| {
            let mut text = String::new();
            header("Subject", value, &mut text);
            text
        };
        assert_eq!(of("post on bluesky"), "Subject: post on bluesky\r\n");
        assert_eq!(of("a\r\nBcc: all"), "Subject: a  Bcc: all\r\n");
        assert_eq!(mailbox("Ada", "@ada.example", "bluesky"), "Ada\r\n <ada.example@bluesky.invalid>");
        assert!(mailbox("", "did:plc:x", "x y").ends_with("@network.invalid>"));
    }

    proptest! {
        #[test]
        fn no_value_ends_its_header(value in "\\PC{0,700}|.{0,40}", account in any::<String>()) {
            let mut text = String::new();
            header("X-Test", &value, &mut text);
            raw_header("From", &mailbox(&value, &account, &account), &mut text);
            attachment_head(&value, media_type(Some(&account)), &mut text);
            for line in text.split("\r\n").filter(|line| !line.is_empty()) {
                prop_assert!(line.len() <= 998 && line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line:?}");
                prop_assert!(line.starts_with(' ') || line.starts_with("X-Test: ") || line.starts_with("From: ") || line.starts_with("Content-"), "{line:?}");
            }
        }
    }
}
