//! Integration: the hashes of the tree, read from full tiles where there are some and from leaves where there are none yet.
//!
//! Only full tiles are stored. The tail of a level is made from the level below it, at most 256 hashes each.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;

use crate::archive::pool::in_time;
use crate::archive::row::{digest, number};
use crate::archive::{ArchiveError, Inconsistency, connect};
use crate::ledger::{Node, Proof, TILE_WIDTH, Tile, TileSet, root_of, tile_bytes};
use crate::record::Digest;

const WIDTH: u64 = TILE_WIDTH as u64;

/// Waits for the answer, but not for ever: whoever publishes, or proves, asks over a connection that may be cut off without a word. Each
/// statement by itself, since a first integration of much has many.
pub(super) async fn heard<T, E: From<sqlx::Error>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    in_time(connect::heard(connect::PUBLISH), answer).await
}

/// Reads tiles of the tree of a given size.
pub(super) struct Tiles<'a> {
    connection: &'a mut PgConnection,
    size: u64,
    read: BTreeMap<(u8, u64), Vec<Digest>>,
}

impl<'a> Tiles<'a> {
    pub(super) const fn new(connection: &'a mut PgConnection, size: u64) -> Self {
        Self { connection, size, read: BTreeMap::new() }
    }

    /// One tile of the tree, as wide as it is there.
    pub(super) async fn tile(&mut self, tile: Tile) -> Result<Vec<Digest>, ArchiveError> {
        if let Some(hashes) = self.read.get(&(tile.level, tile.index)) {
            return Ok(hashes.clone());
        }
        let hashes = match self.stored(tile).await? {
            Some(hashes) => hashes,
            None if tile.level == 0 => self.leaves(tile).await?,
            None => Box::pin(self.roots_below(tile)).await?,
        };
        self.read.insert((tile.level, tile.index), hashes.clone());
        Ok(hashes)
    }

    async fn stored(&mut self, tile: Tile) -> Result<Option<Vec<Digest>>, ArchiveError> {
        if !tile.is_full() {
            return Ok(None);
        }
        let hashes = sqlx::query_scalar("select hashes from ledger.tiles where level = $1 and index = $2")
            .bind(i16::from(tile.level))
            .bind(number(tile.index))
            .fetch_optional(&mut *self.connection);
        let bytes: Option<Vec<u8>> = heard(hashes).await?;
        let parsed = bytes.map(|bytes| tile.parse(&bytes)).transpose();
        parsed.map_err(|_source| ArchiveError::Row { table: "ledger.tiles", problem: "a tile has another size" })
    }

    async fn leaves(&mut self, tile: Tile) -> Result<Vec<Digest>, ArchiveError> {
        let first = tile.index.saturating_mul(WIDTH);
        let end = first.saturating_add(u64::from(tile.width));
        let rows = sqlx::query("select leaf from ledger.entries where index >= $1 and index < $2 order by index")
            .bind(number(first))
            .bind(number(end))
            .fetch_all(&mut *self.connection);
        let rows = heard(rows).await?;
        if rows.len() != usize::from(tile.width) {
            return Err(
                Inconsistency::Shorter { found: first.saturating_add(rows.len() as u64), had: self.size }.into()
            );
        }
        rows.iter().map(|row| digest(row, "leaf")).collect()
    }

    async fn roots_below(&mut self, tile: Tile) -> Result<Vec<Digest>, ArchiveError> {
        let mut hashes = Vec::with_capacity(usize::from(tile.width));
        for place in 0..u64::from(tile.width) {
            let index = tile.index.saturating_mul(WIDTH).saturating_add(place);
            let below = Tile { level: tile.level.saturating_sub(1), index, width: TILE_WIDTH };
            hashes.push(root_of(self.tile(below).await?));
        }
        Ok(hashes)
    }

    /// Everything a proof needs.
    pub(super) async fn hashes(&mut self, proof: &Proof) -> Result<Vec<Digest>, ArchiveError> {
        let size = self.size;
        let tiles: BTreeSet<Tile> = proof.nodes().filter_map(|node: Node| Tile::of(node, size)).collect();
        let mut set = TileSet::new();
        for tile in tiles {
            set.insert(tile, self.tile(tile).await?);
        }
        proof.hashes(&set).map_err(ArchiveError::Tile)
    }

    /// The root of the tree.
    pub(super) async fn root(&mut self) -> Result<Digest, ArchiveError> {
        let hashes = self.hashes(&Proof::root(self.size)).await?;
        Ok(hashes.first().copied().unwrap_or_else(|| Digest::of(&[])))
    }

    /// Stores every full tile that the tree of `before` entries did not have, made from leaves or from the level below. Somebody
    /// else may have stored it already; then it must be the same.
    ///
    /// # Errors
    /// [`Inconsistency::Tile`] where it is not: nothing may be signed over it.
    pub(super) async fn store_full(&mut self, before: u64) -> Result<(), ArchiveError> {
        for tile in Tile::between(before, self.size).filter(Tile::is_full) {
            let hashes = match tile.level {
                0 => self.leaves(tile).await?,
                _ => self.roots_below(tile).await?,
            };
            let bytes = tile_bytes(&hashes);
            let done = sqlx::query(
                "insert into ledger.tiles (level, index, hashes) values ($1, $2, $3) on conflict do nothing",
            )
            .bind(i16::from(tile.level))
            .bind(number(tile.index))
            .bind(&bytes)
            .execute(&mut *self.connection);
            let done = heard(done).await?;
            if done.rows_affected() == 0 && self.stored(tile).await? != Some(hashes) {
                return Err(Inconsistency::Tile { level: tile.level, index: tile.index }.into());
            }
            // A first integration meets every tile there is; none of them is needed again before the next level.
            self.read.clear();
        }
        Ok(())
    }
}
