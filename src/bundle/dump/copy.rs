//! PostgreSQL's two escapes: that of `copy` text, and that of `encode(bytea, 'escape')`.

/// The columns of a line, if it has `N` of them.
pub(super) fn fields<const N: usize>(line: &[u8]) -> Option<[&[u8]; N]> {
    let mut columns = [line; N];
    let mut rest = Some(line);
    for column in &mut columns {
        let current = rest?;
        (*column, rest) = match memchr::memchr(b'\t', current).and_then(|at| current.split_at_checked(at)) {
            Some((column, after)) => (column, after.get(1..)),
            None => (current, None),
        };
    }
    if rest.is_none() { Some(columns) } else { None }
}

/// Undoes the escapes of `copy` text.
pub(super) fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(plain)
}

/// Undoes `encode(…, 'escape')`: `\\` and `\ooo`.
pub(super) fn unescape_bytea(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                high => {
                    let octal = |digit: u8| matches!(digit, b'0'..=b'7').then(|| u16::from(digit - b'0'));
                    let (high, middle, low) = (octal(high)?, octal(rest.next()?)?, octal(rest.next()?)?);
                    u8::try_from(high * 64 + middle * 8 + low).ok()?
                }
            },
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_exactly_its_columns() {
        assert_eq!(fields::<2>(b"a\tb"), Some([&b"a"[..], b"b"]));
        assert_eq!(fields::<2>(b"\t"), Some([&b""[..], b""]));
        assert_eq!(fields::<1>(b""), Some([&b""[..]]));
        for bad in [&b"a"[..], b"a\tb\tc", b""] {
            assert_eq!(fields::<2>(bad), None);
        }
    }

    #[test]
    fn escapes_are_undone_as_the_server_makes_them() {
        assert_eq!(unescape(b"a\\tb\\\\303\\n").unwrap(), b"a\tb\\303\n");
        assert_eq!(unescape_bytea(b"a\\303\\\\\\000").unwrap(), b"a\xc3\\\0");
        for bad in [&b"\\"[..], b"\\x", b"\\N"] {
            assert_eq!(unescape(bad), None);
        }
        for bad in [&b"\\"[..], b"\\1", b"\\12", b"\\128", b"\\400", b"\\n"] {
            assert_eq!(unescape_bytea(bad), None);
        }
    }

    proptest! {
        #[test]
        fn what_has_no_backslash_stays_as_it_is(bytes: Vec<u8>) {
            let bytes: Vec<u8> = bytes.into_iter().filter(|b| *b != b'\\').collect();
            prop_assert_eq!(unescape(&bytes), Some(bytes.clone()));
            prop_assert_eq!(unescape_bytea(&bytes), Some(bytes));
        }
    }
}
