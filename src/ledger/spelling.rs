//! The one spelling of ids, digests and times, checked and read many bytes at a time.

use crate::record::Digest;

/// Eight lower-case hex digits as a number, and whether they are that. All eight at once, because an entry has hundreds.
const fn unhex(digits: [u8; 8]) -> (u32, bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits);
    // A letter has the bit 40; its low half counts from 1, which stands for ten.
    let letters = text >> 6 & EACH;
    let values = (text & (0x0f * EACH)).wrapping_add(letters.wrapping_mul(9));
    // Whatever was not a digit does not come out again as it went in.
    let above_nine = values.wrapping_add(6 * EACH) >> 4 & EACH;
    let again = values.wrapping_add(0x30 * EACH).wrapping_add(above_nine.wrapping_mul(0x27));
    let fits = again == text && values & (0xf0 * EACH) == 0;
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, fits)
}

/// A uuid as lower-case hex digits with hyphens.
pub(crate) fn parse_uuid(text: &[u8; 36]) -> Option<u128> {
    let [a0, a1, a2, a3, a4, a5, a6, a7, h0, rest @ ..] = *text;
    let [b0, b1, b2, b3, h1, c0, c1, c2, c3, h2, rest @ ..] = rest;
    let [d0, d1, d2, d3, h3, e0, e1, e2, e3, f @ ..] = rest;
    let (a, a_fits) = unhex([a0, a1, a2, a3, a4, a5, a6, a7]);
    let (b, b_fits) = unhex([b0, b1, b2, b3, c0, c1, c2, c3]);
    let (d, d_fits) = unhex([d0, d1, d2, d3, e0, e1, e2, e3]);
    let (f, f_fits) = unhex(f);
    let fits = a_fits & b_fits & d_fits & f_fits & ([h0, h1, h2, h3] == *b"----");
    fits.then_some(u128::from(a) << 96 | u128::from(b) << 64 | u128::from(d) << 32 | u128::from(f))
}

/// A digest as 64 lower-case hex digits.
pub(crate) fn parse_digest(text: &[u8; 64]) -> Option<Digest> {
    let (groups, _rest) = text.as_chunks::<8>();
    let mut bytes = [0; 32];
    let mut fits = true;
    for (to, digits) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
        let (value, good) = unhex(*digits);
        *to = value.to_be_bytes();
        fits &= good;
    }
    fits.then_some(Digest(bytes))
}

/// Version 7 of RFC 9562, with its variant.
pub(crate) const fn is_v7(uuid: u128) -> bool {
    uuid >> 76 & 0xf == 7 && uuid >> 62 & 0b11 == 0b10
}

/// `YYYY-MM-DDThh:mm:ss.ffffffZ`, a moment that exists (no leap seconds).
pub(crate) fn is_time(text: &[u8; 27]) -> bool {
    const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    let fits =
        text.iter().zip(SHAPE).fold(true, |ok, (b, s)| ok & if *s == b'0' { b.is_ascii_digit() } else { b == s });
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
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"0a9f1b2e";
                digits[place] = byte;
                let text = std::str::from_utf8(&digits).ok();
                let lower = |text: &&str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let expected = text.filter(lower).and_then(|text| u32::from_str_radix(text, 16).ok());
                let (value, fits) = unhex(digits);
                assert_eq!(fits.then_some(value), expected, "{byte:#x} at {place}");
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
