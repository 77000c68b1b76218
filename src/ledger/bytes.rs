//! Sorts of bytes, looked at eight or more at a time.
//!
//! Entries are read many thousand times a second, and most of their bytes stand in short strings of which only the sort of each byte matters.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * EACH;

const fn each(byte: u8) -> u64 {
    byte as u64 * EACH
}

/// Marks bytes from `low` to `high`, as far as no byte before them is above 127.
const fn within(word: u64, low: u8, high: u8) -> u64 {
    let from = word.wrapping_add(each(0x80 - low));
    let above = word.wrapping_add(each(0x7f - high));
    from & !above & HIGH
}

/// Marks bytes that no name of a field holds. Only the first mark counts.
const fn not_of_name(word: u64) -> u64 {
    let letter = within(word, b'a', b'z') | within(word, b'_', b'_');
    let other = within(word, b'0', b'9') | within(word, b'-', b'.');
    (!(letter | other) | word) & HIGH
}

/// How many bytes stand at the front that a name of a field may hold.
#[inline]
pub(super) fn of_name(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks();
    let mut count = 0;
    for word in words {
        let marked = not_of_name(u64::from_le_bytes(*word));
        if marked != 0 {
            return count + marked.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    let mut last = [0; 8];
    for (to, byte) in last.iter_mut().zip(tail) {
        *to = *byte;
    }
    // What fills up the last word is no character and thus marked.
    count + not_of_name(u64::from_le_bytes(last)).trailing_zeros() as usize / 8
}

/// Are all of them letters, digits, `-` or `_`?
pub(super) fn is_base64url(text: &[u8; 43]) -> bool {
    // Pieces of one size, of which the last two overlap.
    let (first, rest) = text.split_at(16);
    let whole = |piece: Option<&[u8; 16]>| piece.is_some_and(is_piece_of_base64url);
    whole(first.first_chunk()) && whole(rest.first_chunk()) && whole(text.last_chunk())
}

/// A function by itself and without an early end: the compiler takes all bytes as one.
#[inline(never)]
fn is_piece_of_base64url(piece: &[u8; 16]) -> bool {
    piece.iter().fold(true, |ok, b| ok & (b.is_ascii_alphanumeric() | (*b == b'-') | (*b == b'_')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::is_field_name;

    /// As simple as it can be said.
    fn count(bytes: &[u8]) -> usize {
        bytes.iter().take_while(|b| is_field_name(&[**b])).count()
    }

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for size in 1..20 {
            for place in 0..size {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; size];
                    bytes[place] = byte;
                    assert_eq!(of_name(&bytes), count(&bytes), "{bytes:?}");
                }
            }
        }
        assert_eq!(of_name(b""), 0);
    }

    #[test]
    fn every_byte_of_a_base64url_text_counts() {
        for place in 0..43 {
            for byte in 0..=u8::MAX {
                let mut text = [b'Z'; 43];
                text[place] = byte;
                assert_eq!(
                    is_base64url(&text),
                    byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
                    "{place} {byte}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_the_count_is_that_of_one_by_one(bytes: Vec<u8>, name in "[a-z0-9_.-]{0,40}") {
            for bytes in [&bytes, &[name.as_bytes(), &bytes].concat()] {
                prop_assert_eq!(of_name(bytes), count(bytes));
            }
        }
    }
}
