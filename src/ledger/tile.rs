//! Tiles (C2SP `tlog-tiles`): the tree in pieces of 256 hashes, the entries in bundles of 256.
//!
//! Invariant: a full tile never changes; a partial one is the beginning of the full one.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::checkpoint::parse_decimal;
use super::proof::HashReader;
use super::tree::{Node, root_of};
use crate::record::Digest;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree a tile spans.
const TILE_HEIGHT: u8 = 8;
const LEVEL_MAX: u8 = 63;

/// A tile or bundle could not be named, read or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not a path of tlog-tiles.
    #[error("not the path of a tile, such as tile/0/x001/234 or tile/entries/000.p/7")]
    Path,
    /// Bytes of another size than the tile's width asks for.
    #[error("tile {0} has another size")]
    Size(Tile),
    /// A bundle that is cut off, or holds another number of entries.
    #[error("entry bundle is cut off or holds another number of entries")]
    Bundle,
    /// An entry that does not fit a bundle.
    #[error("entry of {0} bytes does not fit an entry bundle")]
    TooLong(usize),
    /// A tile that was not fetched before it was needed.
    #[error("tile {0} is missing")]
    Missing(Tile),
}

/// One tile of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Tile level: its hashes are of subtrees of height `8 × level`.
    pub level: u8,
    /// Position among the tiles of this level.
    pub index: u64,
    /// Number of hashes, 1 to 256.
    pub width: u16,
}

/// What can be asked for below `tile/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilePath {
    /// A tile of hashes.
    Hashes(Tile),
    /// An entry bundle: position and number of entries.
    Entries {
        /// Position among the bundles.
        index: u64,
        /// Number of entries, 1 to 256.
        width: u16,
    },
}

impl Tile {
    /// The tile at this place in the tree of `size` entries, as wide as it is there.
    #[must_use]
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0);
        let first = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = u16::try_from(hashes.saturating_sub(first).min(u64::from(TILE_WIDTH))).ok()?;
        if width > 0 && level <= LEVEL_MAX { Some(Self { level, index, width }) } else { None }
    }

    /// The tile of the tree of `size` entries in which a perfect subtree's hash is found or made.
    #[must_use]
    pub fn of(node: Node, size: u64) -> Option<Self> {
        let level = node.level / TILE_HEIGHT;
        Self::at(level, node.index >> (TILE_HEIGHT - node.level % TILE_HEIGHT), size)
    }

    /// Every tile of the tree of `size` entries that the tree of `before` entries did not have in this width.
    pub fn between(before: u64, size: u64) -> impl Iterator<Item = Self> {
        (0..=LEVEL_MAX / TILE_HEIGHT).flat_map(move |level| {
            let shift = u32::from(level) * u32::from(TILE_HEIGHT);
            let (had, has) = (before.checked_shr(shift).unwrap_or(0), size.checked_shr(shift).unwrap_or(0));
            let width = u64::from(TILE_WIDTH);
            let (from, until) = if had < has { (had / width, has.div_ceil(width)) } else { (0, 0) };
            (from..until).filter_map(move |index| Self::at(level, index, size))
        })
    }

    /// Is it as wide as a tile gets?
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Reads a tile's bytes.
    ///
    /// # Errors
    /// When their number does not fit.
    pub fn parse(self, bytes: &[u8]) -> Result<Vec<Digest>, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if rest.is_empty() && hashes.len() == usize::from(self.width) {
            Ok(hashes.iter().map(|hash| Digest(*hash)).collect())
        } else {
            Err(TileError::Size(self))
        }
    }
}

/// A tile's bytes.
#[must_use]
pub fn tile_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// An entry bundle: each entry after its size in two bytes, most significant first.
///
/// # Errors
/// When an entry is longer than 65,535 bytes.
pub fn bundle_bytes<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::with_capacity(entries.iter().map(|entry| entry.as_ref().len() + 2).sum());
    for entry in entries.iter().map(AsRef::as_ref) {
        let size = u16::try_from(entry.len()).map_err(|_source| TileError::TooLong(entry.len()))?;
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The `width` entries of a bundle.
///
/// # Errors
/// When it is cut off or holds another number of entries.
pub fn parse_bundle(mut bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    while let Some((size, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size))).ok_or(TileError::Bundle)?;
        entries.push(entry);
        bytes = rest;
    }
    if bytes.is_empty() && entries.len() == usize::from(width) { Ok(entries) } else { Err(TileError::Bundle) }
}

/// Tiles that were fetched; reads every subtree they hold.
#[derive(Debug, Clone, Default)]
pub struct TileSet(HashMap<(u8, u64), Vec<Digest>>);

impl TileSet {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tile.
    pub fn insert(&mut self, tile: Tile, hashes: Vec<Digest>) {
        self.0.insert((tile.level, tile.index), hashes);
    }
}

impl HashReader for TileSet {
    type Error = TileError;

    fn hash(&self, node: Node) -> Result<Digest, TileError> {
        let height = node.level % TILE_HEIGHT;
        let (level, index) = (node.level / TILE_HEIGHT, node.index >> (TILE_HEIGHT - height));
        let count = 1_usize << height;
        let position = node.index.wrapping_shl(u32::from(height)) & u64::from(TILE_WIDTH - 1);
        let first = usize::try_from(position).unwrap_or(usize::MAX);
        let hashes = self.0.get(&(level, index)).and_then(|tile| tile.get(first..first.saturating_add(count)));
        match hashes {
            Some(hashes) => Ok(root_of(hashes.iter().copied())),
            None => Err(TileError::Missing(Tile { level, index, width: TILE_WIDTH })),
        }
    }
}

/// Writes `x001/x234/067` and, for a partial tile, `.p/<width>`.
fn write_place(f: &mut impl fmt::Write, index: u64, width: u16) -> fmt::Result {
    let mut groups = String::new();
    let digits = index.to_string();
    let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    for (at, digit) in padded.chars().enumerate() {
        if at % 3 == 0 {
            // All groups but the last begin with an x.
            groups.push_str(if at == 0 { "" } else { "/" });
            groups.push_str(if at + 3 < padded.len() { "x" } else { "" });
        }
        groups.push(digit);
    }
    f.write_str(&groups)?;
    if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_place(f, self.index, self.width)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => tile.fmt(f),
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                write_place(f, *index, *width)
            }
        }
    }
}

fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (groups, width) = match text.split_once(".p/") {
        Some((groups, width)) => {
            let width = parse_decimal(width).and_then(|width| u16::try_from(width).ok())?;
            (groups, Some(width).filter(|width| (1..TILE_WIDTH).contains(width))?)
        }
        None => (text, TILE_WIDTH),
    };
    let digits: String = groups.split('/').map(|group| group.trim_start_matches('x')).collect();
    let index = digits.parse().ok()?;
    // One spelling only: what we would write ourselves.
    let mut again = String::new();
    write_place(&mut again, index, width).ok()?;
    if again == text { Some((index, width)) } else { None }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        // The longest there is: tile/63/ and 2^64 in groups of three.
        let place = text.strip_prefix("tile/").filter(|text| text.len() <= 64).and_then(|rest| rest.split_once('/'));
        let (level, place) = place.ok_or(TileError::Path)?;
        let (index, width) = parse_place(place).ok_or(TileError::Path)?;
        if level == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = parse_decimal(level).and_then(|level| u8::try_from(level).ok()).filter(|level| *level <= LEVEL_MAX);
        Ok(Self::Hashes(Tile { level: level.ok_or(TileError::Path)?, index, width }))
    }
}
