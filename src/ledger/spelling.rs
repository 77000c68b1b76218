//! The one spelling of ids, digests and times, checked and read many bytes at a time.

use crate::record::Digest;

/// Lower-case hex digits as bytes, and whether they are that. No early end, so that the compiler takes many at a time: an entry has hundreds.
fn unhex<const DIGITS: usize, const BYTES: usize>(digits: &[u8; DIGITS]) -> ([u8; BYTES], bool) {
    let mut values = [0; DIGITS];
    let mut fits = true;
    for (value, digit) in values.iter_mut().zip(digits) {
        let (low, high) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        fits &= (low < 10) | (high < 6);
        *value = if low < 10 { low } else { high.wrapping_add(10) };
    }
    let mut bytes = [0; BYTES];
    for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks().0) {
        *byte = high << 4 | low;
    }
    (bytes, fits)
}

/// A uuid as lower-case hex digits with hyphens.
pub(crate) fn parse_uuid(text: &[u8; 36]) -> Option<u128> {
    let [a0, a1, a2, a3, a4, a5, a6, a7, h0, rest @ ..] = *text;
    let [b0, b1, b2, b3, h1, c0, c1, c2, c3, h2, rest @ ..] = rest;
    let [d0, d1, d2, d3, h3, e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, ea, eb] = rest;
    let digits = [
        a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, e0, e1, e2, e3, e4, e5, e6, e7,
        e8, e9, ea, eb,
    ];
    let (bytes, fits) = unhex::<32, 16>(&digits);
    (fits & ([h0, h1, h2, h3] == *b"----")).then_some(u128::from_be_bytes(bytes))
}

/// A digest as 64 lower-case hex digits.
pub(crate) fn parse_digest(text: &[u8; 64]) -> Option<Digest> {
    let (bytes, fits) = unhex::<64, 32>(text);
    fits.then_some(Digest(bytes))
}

/// Version 7 of RFC 9562, with its variant.
pub(crate) const fn is_v7(uuid: u128) -> bool {
    uuid >> 76 & 0xf == 7 && uuid >> 62 & 0b11 == 0b10
}

/// `YYYY-MM-DDThh:mm:ss.ffffffZ`, a moment that exists (no leap seconds).
pub(crate) fn is_time(text: &[u8; 27]) -> bool {
    const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    // No early end: the compiler takes many bytes at a time.
    let more = |shape: u8| if shape == b'0' { 9 } else { 0 };
    let fits = text.iter().zip(SHAPE).fold(true, |ok, (b, shape)| ok & (b.wrapping_sub(*shape) <= more(*shape)));
    let [y0, y1, y2, y3, _, m0, m1, _, d0, d1, _, h0, h1, _, n0, n1, _, s0, s1, ..] = text;
    let number = |tens: &u8, ones: &u8| u32::from(tens & 0xf) * 10 + u32::from(ones & 0xf);
    let (year, month, day) = (number(y0, y1) * 100 + number(y2, y3), number(m0, m1), number(d0, d1));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    fits && (1..=days).contains(&day) && number(h0, h1) < 24 && number(n0, n1) < 60 && number(s0, s1) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_hex_number_counts() {
        for place in 0..32 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"0a9f1b2e33445566778899aabbccddee";
                digits[place] = byte;
                let text = std::str::from_utf8(&digits).ok();
                let lower = |text: &&str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let expected = text.filter(lower).and_then(|text| u128::from_str_radix(text, 16).ok());
                let (bytes, fits) = unhex(&digits);
                assert_eq!(fits.then_some(u128::from_be_bytes(bytes)), expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn a_uuid_is_read_as_it_is_written() {
        let text = b"0198c0de-1234-7abc-8def-00ad0f1e2d3c";
        assert_eq!(parse_uuid(text), Some(0x0198_c0de_1234_7abc_8def_00ad_0f1e_2d3c));
        for at in 0..36 {
            for wrong in [b'-', b'g', b'A', b'0' - 1, 0xff] {
                let mut other = *text;
                other[at] = wrong;
                assert_eq!(parse_uuid(&other).is_some(), other == *text, "{at}");
            }
        }
    }
}
