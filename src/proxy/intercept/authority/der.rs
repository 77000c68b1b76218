//! DER, as much of it as a certificate needs: writing only.
//!
//! Why by hand: the names of a firm's own CA must be repeated byte for byte (a directory service's names hold the same attribute
//! several times, which certificate builders keep in a map and lose), and a leaf is minted on the path of a connection.
//! Invariant: lengths are definite and minimal (X.690 §10.1). Reading is left to a parser library.

use time::OffsetDateTime;

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `[number]`, primitive.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// `[number]`, constructed.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Tag, length, and the parts one after the other.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(size + 6);
    bytes.push(tag);
    // Below 128 the length is one byte; above, the number of its bytes and then those without leading zeros.
    match u8::try_from(size) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let length = size.to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let count = length.len().saturating_sub(zeros);
            bytes.push(0x80 | u8::try_from(count).unwrap_or_default());
            bytes.extend(length.iter().skip(zeros));
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A sequence.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

/// A bit string of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

/// An object identifier from its content bytes.
pub(super) fn oid(content: &[u8]) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[content])
}

/// A moment as RFC 5280 §4.1.2.5 wants it: `UTCTime` through 2049, `GeneralizedTime` from 2050; no fractions.
pub(super) fn moment(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(time::UtcOffset::UTC);
    let rest =
        format!("{:02}{:02}{:02}{:02}{:02}Z", u8::from(at.month()), at.day(), at.hour(), at.minute(), at.second());
    if (1950..2050).contains(&at.year()) {
        element(UTC_TIME, &[format!("{:02}", at.year().rem_euclid(100)).as_bytes(), rest.as_bytes()])
    } else {
        element(GENERALIZED_TIME, &[format!("{:04}", at.year()).as_bytes(), rest.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn lengths_are_minimal() {
        for (size, head) in [
            (0, vec![0x30, 0]),
            (127, vec![0x30, 0x7f]),
            (128, vec![0x30, 0x81, 0x80]),
            (256, vec![0x30, 0x82, 1, 0]),
            (65_536, vec![0x30, 0x83, 1, 0, 0]),
        ] {
            let bytes = sequence(&[&vec![7; size]]);
            assert_eq!(bytes[..head.len()], head);
            assert_eq!(bytes.len(), head.len() + size);
        }
    }

    #[test]
    fn times_change_their_form_in_2050() {
        assert_eq!(moment(datetime!(2026-11-21 20:01:02.5 UTC)), b"\x17\x0d261121200102Z");
        assert_eq!(moment(datetime!(2049-12-31 23:59:59 UTC)), b"\x17\x0d491231235959Z");
        assert_eq!(moment(datetime!(2050-01-01 00:00:00 UTC)), b"\x18\x0f20500101000000Z");
        assert_eq!(moment(datetime!(2026-11-21 22:01:02 +2)), b"\x17\x0d261121200102Z");
    }
}
