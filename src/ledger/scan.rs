//! Reads the one form an entry may have, without copying: every other spelling is refused.
//!
//! An entry is RFC 8785 JSON cut down further: its keys are known, its strings are printable ASCII without `"` and `\`, its
//! numbers are integers from 0 to 2^53 - 1, its `detail` is flat. So there is nothing to unescape and nothing to sort, and
//! canonical form can be checked in one pass at the speed of reading. Does not check hashes or links.

use super::cursor::Cursor;
use super::detail::{self, Token};
use super::spelling::parse_uuid;
use super::{EntryError, EntryType, quick};
use crate::record::{Digest, is_word};

/// Longest entry in bytes (an entry bundle has room for 16 bits).
pub const ENTRY_MAX: usize = 65_535;
/// The most streams an entry belongs to.
pub const STREAMS_MAX: usize = 128;
/// The most elements of a list inside `detail`.
pub const LIST_MAX: usize = 512;
/// Largest integer that every reader of JSON reads alike.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What one pass over the bytes finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned<'a> {
    pub(crate) actor: &'a [u8],
    pub(crate) at: &'a [u8; 27],
    pub(crate) captured_at: &'a [u8; 27],
    /// The object, braces included.
    pub(crate) detail: &'a [u8],
    pub(crate) id: u128,
    pub(crate) index: u64,
    pub(crate) previous: Digest,
    pub(crate) record: Option<u128>,
    pub(crate) source: u128,
    pub(crate) source_index: u64,
    pub(crate) streams: ScannedStreams<'a>,
    pub(crate) entry_type: EntryType,
}

/// The streams of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScannedStreams<'a> {
    None,
    One(u128, u64),
    /// What stands between the brackets.
    Many(&'a [u8]),
}

impl<'a> ScannedStreams<'a> {
    /// All of them, in the order of their ids.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u128, u64)> + use<'a> {
        let (one, inside) = match self {
            Self::None => (None, &[][..]),
            Self::One(id, index) => (Some((id, index)), &[][..]),
            Self::Many(inside) => (None, inside),
        };
        one.into_iter().chain(Streams { cursor: Cursor::new(inside), first: true })
    }
}

/// The two ways to commit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScannedCommitted<'a> {
    /// What stands between the braces.
    Listed(&'a [u8]),
    Root {
        count: u64,
        root: &'a [u8; 43],
    },
}

/// `device:<uuid>`, `advisor:<uuid>`, `officer:<uuid>` or `service:<word>`.
fn is_actor(text: &[u8]) -> bool {
    let person = [&b"device:"[..], b"advisor:", b"officer:"].into_iter().find_map(|sort| text.strip_prefix(sort));
    match person {
        Some(id) => id.try_into().is_ok_and(|id| parse_uuid(id).is_some()),
        None => text.strip_prefix(b"service:").is_some_and(is_word),
    }
}

/// The type, which stands at the end, so that `detail` can be read with its type known.
pub(super) fn find_type(bytes: &[u8]) -> Option<EntryType> {
    let rest = bytes.strip_suffix(b"\",\"v\":1}")?;
    let word = rest.rsplit(|b| *b == b'"').next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Reads an entry: in one go where it looks like most, else with a look at what is wrong with it.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned<'_>, EntryError> {
    quick::scan(bytes, &mut ()).map_or_else(|| scan_strictly(bytes), Ok)
}

/// Reads any entry, and says what is wrong with what is none.
pub(super) fn scan_strictly(bytes: &[u8]) -> Result<Scanned<'_>, EntryError> {
    if bytes.len() > ENTRY_MAX {
        return Err(EntryError::TooLong(bytes.len()));
    }
    let mut cursor = Cursor::new(bytes);
    let c = &mut cursor;
    let entry_type = find_type(bytes)
        .ok_or(EntryError::Form { at: bytes.len(), expected: "a type of entry and version 1 before the end" })?;
    c.expect("{\"actor\":")?;
    let start = *c;
    let actor = c.string()?;
    if !is_actor(actor) {
        return Err(start.error("an actor"));
    }
    c.expect(",\"at\":")?;
    let at = c.time()?;
    c.expect(",\"captured_at\":")?;
    let captured_at = c.time()?;
    scan_committed(c)?;
    c.expect(",\"detail\":")?;
    let start = *c;
    let mut check = detail::Check::new(entry_type);
    c.members(|c, key| {
        let token = c.token()?;
        check.member(key, &token)
    })?;
    check.finish()?;
    let detail = c.since(&start);
    c.expect(",\"id\":")?;
    let id = c.uuid_v7()?;
    c.expect(",\"index\":")?;
    let index = c.integer()?;
    c.expect(",\"previous\":")?;
    let previous = c.digest()?;
    let record = if c.skip(",\"record\":") { Some(c.uuid_v7()?) } else { None };
    c.expect(",\"source\":")?;
    let source = c.uuid()?;
    c.expect(",\"source_index\":")?;
    let source_index = c.integer()?;
    c.expect(",\"streams\":[")?;
    let streams = scan_streams(c)?;
    c.expect("],\"type\":")?;
    // What was found from the end must be what stands here.
    let start = *c;
    if c.string()? != entry_type.as_str().as_bytes() {
        return Err(start.error("the type that stands before the end"));
    }
    c.expect(",\"v\":1}")?;
    if !c.is_at_end() {
        return Err(c.error("the end"));
    }
    Ok(Scanned {
        actor,
        at,
        captured_at,
        detail,
        id,
        index,
        previous,
        record,
        source,
        source_index,
        streams,
        entry_type,
    })
}

/// What an entry commits to, without reading what comes behind it: most who read an entry never ask.
pub(crate) fn committed(bytes: &[u8]) -> Result<ScannedCommitted<'_>, EntryError> {
    let mut cursor = Cursor::new(bytes);
    let c = &mut cursor;
    c.expect("{\"actor\":")?;
    c.string()?;
    c.expect(",\"at\":")?;
    c.time()?;
    c.expect(",\"captured_at\":")?;
    c.time()?;
    scan_committed(c)
}

fn scan_committed<'a>(c: &mut Cursor<'a>) -> Result<ScannedCommitted<'a>, EntryError> {
    if c.skip(",\"commitments_root\":{\"count\":") {
        let start = *c;
        let count = c.integer()?;
        if count <= super::LISTED_MAX as u64 {
            return Err(start.error("a count above 256"));
        }
        c.expect(",\"root\":")?;
        let root = c.commitment()?;
        c.expect("}")?;
        return Ok(ScannedCommitted::Root { count, root });
    }
    c.expect(",\"commitments\":")?;
    let start = *c;
    let count = c.members(|c, _field| c.commitment().map(|_commitment| ()))?;
    if count > super::LISTED_MAX {
        return Err(start.error("at most 256 commitments"));
    }
    let object = c.since(&start);
    Ok(ScannedCommitted::Listed(object.get(1..object.len().saturating_sub(1)).unwrap_or_default()))
}

fn scan_streams<'a>(c: &mut Cursor<'a>) -> Result<ScannedStreams<'a>, EntryError> {
    let start = *c;
    let mut streams = Streams { cursor: *c, first: true };
    let (mut count, mut before) = (0_usize, None);
    let mut scanned = ScannedStreams::None;
    while let Some((id, index)) = streams.read()? {
        count += 1;
        if before.is_some_and(|before| before >= id) || count > STREAMS_MAX {
            return Err(start.error("at most 128 streams in the order of their ids"));
        }
        before = Some(id);
        scanned = ScannedStreams::One(id, index);
    }
    *c = streams.cursor;
    Ok(if count > 1 { ScannedStreams::Many(c.since(&start)) } else { scanned })
}

/// The streams of an entry, one after the other.
struct Streams<'a> {
    cursor: Cursor<'a>,
    first: bool,
}

impl Streams<'_> {
    fn read(&mut self) -> Result<Option<(u128, u64)>, EntryError> {
        let c = &mut self.cursor;
        if c.is_at_end() || c.stands("]") {
            return Ok(None);
        }
        if !std::mem::take(&mut self.first) {
            c.expect(",")?;
        }
        c.expect("{\"id\":")?;
        let id = c.uuid()?;
        c.expect(",\"index\":")?;
        let index = c.integer()?;
        c.expect("}")?;
        Ok(Some((id, index)))
    }
}

impl Iterator for Streams<'_> {
    type Item = (u128, u64);

    /// Over bytes that were scanned before, so that nothing is lost here.
    fn next(&mut self) -> Option<(u128, u64)> {
        self.read().ok().flatten()
    }
}

/// Calls `each` for every member of a scanned `detail`.
pub(crate) fn each_detail<'a>(object: &'a [u8], mut each: impl FnMut(&'a [u8], Token<'a>)) -> Result<(), EntryError> {
    Cursor::new(object).members(|c, key| {
        each(key, c.token()?);
        Ok(())
    })?;
    Ok(())
}
