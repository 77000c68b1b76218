//! How a bundle's zip spells its headers: files as they are (nothing compressed), one after the other, then the directory.
//!
//! Invariant: there is one spelling. Names, sizes, checksums and order say every byte that is not content, so a reader makes the
//! headers again and compares; what a lenient reader would skip (gaps, comments, extra fields, a second directory) cannot be there.
//! Files larger than 4 GiB, and more than 65,534 of them, take the fields of zip64.

/// Longest name of a file, with the bag's own folder.
pub(super) const NAME_MAX: usize = 255;
/// Sizes of the fixed part of each header.
pub(super) const LOCAL: usize = 30;
pub(super) const CENTRAL: usize = 46;
pub(super) const END: usize = 22;
pub(super) const END_64: usize = 56;
pub(super) const LOCATOR: usize = 20;
/// The most that zip64 adds to a header.
const EXTRA_MAX: usize = 4 + 24;

const U32: u64 = u32::MAX as u64;
const U16: u64 = u16::MAX as u64;
/// 1980-01-01T00:00:00, the first moment there is in a zip.
const DATE: u16 = 0x21;
/// An ordinary file that everybody may read, as Unix says it.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// A file as the headers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// With the bag's own folder.
    pub(super) name: String,
    pub(super) crc: u32,
    pub(super) size: u64,
    /// Where its local header begins.
    pub(super) offset: u64,
}

/// A name of ours: folders and a file of plain characters, none of which stands for another place.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=NAME_MAX).contains(&name.len())
        && name.split('/').all(|part| !part.is_empty() && !matches!(part, "." | "..") && part.bytes().all(plain))
}

fn put16(into: &mut Vec<u8>, value: u64) {
    into.extend_from_slice(&u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes());
}

fn put32(into: &mut Vec<u8>, value: u64) {
    into.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

/// Version, flags, method, time and date: the same everywhere.
fn put_fixed(into: &mut Vec<u8>, has_extra: bool) {
    put16(into, if has_extra { 45 } else { 10 });
    for value in [0, 0, 0, u64::from(DATE)] {
        put16(into, value);
    }
}

fn put_extra(into: &mut Vec<u8>, values: &[u64]) {
    if !values.is_empty() {
        put16(into, 1);
        put16(into, values.len() as u64 * 8);
        values.iter().for_each(|value| into.extend_from_slice(&value.to_le_bytes()));
    }
}

/// What stands before a file.
pub(super) fn local_header(member: &Member) -> Vec<u8> {
    let large = [member.size, member.size];
    let extra: &[u64] = if member.size >= U32 { &large } else { &[] };
    let mut bytes = Vec::with_capacity(LOCAL + member.name.len() + EXTRA_MAX);
    bytes.extend_from_slice(b"PK\x03\x04");
    put_fixed(&mut bytes, !extra.is_empty());
    put32(&mut bytes, u64::from(member.crc));
    put32(&mut bytes, member.size);
    put32(&mut bytes, member.size);
    put16(&mut bytes, member.name.len() as u64);
    put16(&mut bytes, if extra.is_empty() { 0 } else { 20 });
    bytes.extend_from_slice(member.name.as_bytes());
    put_extra(&mut bytes, extra);
    bytes
}

/// What stands for a file in the directory.
pub(super) fn central_header(member: &Member) -> Vec<u8> {
    let mut extra = Vec::new();
    if member.size >= U32 {
        extra.extend([member.size, member.size]);
    }
    if member.offset >= U32 {
        extra.push(member.offset);
    }
    let mut bytes = Vec::with_capacity(CENTRAL + member.name.len() + EXTRA_MAX);
    bytes.extend_from_slice(b"PK\x01\x02");
    // Made on Unix.
    put16(&mut bytes, 3 << 8 | 45);
    put_fixed(&mut bytes, !extra.is_empty());
    put32(&mut bytes, u64::from(member.crc));
    put32(&mut bytes, member.size);
    put32(&mut bytes, member.size);
    put16(&mut bytes, member.name.len() as u64);
    put16(&mut bytes, if extra.is_empty() { 0 } else { extra.len() as u64 * 8 + 4 });
    // No comment, the first disk, nothing inside.
    for value in [0, 0, 0] {
        put16(&mut bytes, value);
    }
    put32(&mut bytes, u64::from(ATTRIBUTES));
    put32(&mut bytes, member.offset);
    bytes.extend_from_slice(member.name.as_bytes());
    put_extra(&mut bytes, &extra);
    bytes
}

/// What stands behind the directory: how many files, and where it begins.
pub(super) fn end(count: u64, size: u64, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(END_64 + LOCATOR + END);
    if count >= U16 || size >= U32 || offset >= U32 {
        bytes.extend_from_slice(b"PK\x06\x06");
        bytes.extend_from_slice(&(END_64 as u64 - 12).to_le_bytes());
        put16(&mut bytes, 3 << 8 | 45);
        put16(&mut bytes, 45);
        put32(&mut bytes, 0);
        put32(&mut bytes, 0);
        for value in [count, count, size, offset] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(b"PK\x06\x07");
        put32(&mut bytes, 0);
        bytes.extend_from_slice(&offset.saturating_add(size).to_le_bytes());
        put32(&mut bytes, 1);
    }
    bytes.extend_from_slice(b"PK\x05\x06");
    for value in [0, 0, count, count] {
        put16(&mut bytes, value);
    }
    put32(&mut bytes, size);
    put32(&mut bytes, offset);
    put16(&mut bytes, 0);
    bytes
}

/// A zip of files that stand in memory, spelled as a bundle's is. What is no name of a bundle is left out.
pub(in crate::bundle) fn stored(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut zip, mut central, mut count) = (Vec::new(), Vec::new(), 0);
    for (name, bytes) in files.iter().filter(|(name, _bytes)| is_name(name)) {
        let crc = crc32fast::hash(bytes);
        let member = Member { name: name.clone(), crc, size: bytes.len() as u64, offset: zip.len() as u64 };
        zip.extend(local_header(&member));
        zip.extend_from_slice(bytes);
        central.extend(central_header(&member));
        count += 1;
    }
    let (offset, size) = (zip.len() as u64, central.len() as u64);
    zip.extend(central);
    zip.extend(end(count, size, offset));
    zip
}

/// A number at a place of a header.
pub(super) fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut all = [0; 8];
    for (to, from) in all.iter_mut().zip(bytes.iter().skip(at).take(N)) {
        *to = *from;
    }
    u64::from_le_bytes(all)
}

/// Reads a member from its place in the directory: the fixed part, and what follows it. None where our spelling would be another.
pub(super) fn read_central(header: &[u8]) -> Option<Member> {
    let name_size = usize::try_from(number::<2>(header, 28)).ok()?;
    let rest = header.get(CENTRAL..)?;
    let (name, extra) = rest.split_at_checked(name_size)?;
    let name = std::str::from_utf8(name).ok().filter(|name| is_name(name))?.to_owned();
    let mut values = (4..extra.len()).step_by(8).map(|at| number::<8>(extra, at));
    let mut size = number::<4>(header, 20);
    if size == U32 {
        size = values.next()?;
        values.next()?;
    }
    let mut offset = number::<4>(header, 42);
    if offset == U32 {
        offset = values.next()?;
    }
    let crc = u32::try_from(number::<4>(header, 16)).ok()?;
    let member = Member { name, crc, size, offset };
    (central_header(&member) == header).then_some(member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_a_place_inside_and_nothing_else() {
        for good in ["a", "data/records/x/1.0.text", "a-b_c.d", "1..", "x/..y"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(NAME_MAX + 1);
        for bad in
            ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "C:a", "a b", "\u{e9}", "a\0", &long]
        {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_directory_reads_back_and_every_other_byte_is_refused(
            name in "[a-z0-9]{1,9}(/[a-z0-9.]{0,3}[a-z0-9]){0,3}", crc: u32,
            size in prop_oneof![0..9_u64, U32 - 2..U32 + 3, any::<u64>()],
            offset in prop_oneof![0..9_u64, U32 - 2..U32 + 3, any::<u64>()], at: prop::sample::Index, bit in 0..8_u32,
        ) {
            let member = Member { name, crc, size, offset };
            let mut header = central_header(&member);
            prop_assert_eq!(read_central(&header), Some(member.clone()));
            let at = at.index(header.len());
            header[at] ^= 1_u8 << bit;
            prop_assert_ne!(read_central(&header), Some(member));
        }
    }
}
