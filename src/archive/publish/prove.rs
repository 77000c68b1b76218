//! Checkpoints, proofs and tiles for whoever asks.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::integrate::Tiles;
use crate::archive::open::Archive;
use crate::archive::read::{Ordered, Slice, ordered};
use crate::archive::row::{count, digest, number};
use crate::archive::{ArchiveError, Inconsistency};
use crate::ledger::{Checkpoint, Proof, Tile, TlogProof, VerifyingKey};
use crate::record::{Digest, Timestamp};

/// A checkpoint as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note, verbatim.
    pub note: String,
    /// When it was published, by our clock.
    pub at: Timestamp,
}

/// A proof that an entry is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The entry's leaf.
    pub leaf: Digest,
    /// Index, hashes, and the checkpoint they lead to.
    pub proof: TlogProof,
    /// The checkpoint's size.
    pub size: u64,
}

/// A proof that the tree only grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Size and root before.
    pub old: (u64, Digest),
    /// Size and root after.
    pub new: (u64, Digest),
    /// The proof.
    pub hashes: Vec<Digest>,
}

/// Reads a row; one that our key did not sign, or whose columns say something else, is named and not believed.
pub(super) fn published(row: &PgRow, key: &VerifyingKey) -> Result<Published, ArchiveError> {
    let (size, root) = (count(row.try_get("size")?), digest(row, "root")?);
    let note: String = row.try_get("note")?;
    let opened = Checkpoint::open(note.as_bytes(), std::slice::from_ref(key)).ok();
    let ours = opened.map(|(checkpoint, _vouched)| checkpoint).filter(|it| it.size == size && it.root == root);
    let checkpoint = ours.ok_or(Inconsistency::Checkpoint { size })?;
    let at: sqlx::types::time::OffsetDateTime = row.try_get("at")?;
    Ok(Published { checkpoint, note, at: Timestamp::new(at) })
}

impl Archive {
    /// The newest checkpoint, or the first that covers this many entries.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn checkpoint(&self, covering: Option<u64>) -> Result<Option<Published>, ArchiveError> {
        let row = match covering {
            Some(size) => {
                sqlx::query(
                    "select size, root, note, at from ledger.checkpoints where size >= $1 order by size limit 1",
                )
                .bind(number(size))
                .fetch_optional(&self.parts.reader)
                .await?
            }
            None => {
                sqlx::query("select size, root, note, at from ledger.checkpoints order by number desc limit 1")
                    .fetch_optional(&self.parts.reader)
                    .await?
            }
        };
        row.as_ref().map(|row| published(row, self.parts.options.signing.verifying_key())).transpose()
    }

    /// Checkpoints; a slice goes on after a tree size.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn checkpoints(&self, slice: Slice) -> Result<Vec<Published>, ArchiveError> {
        const LIST: Ordered =
            ordered!("select size, root, note, at from ledger.checkpoints where size > $1 and size < $2" by "size");
        let (lower, upper) = slice.bounds();
        let rows = sqlx::query(LIST.of(&slice))
            .bind(lower)
            .bind(upper)
            .bind(i64::from(slice.limit))
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(|row| published(row, self.parts.options.signing.verifying_key())).collect()
    }

    /// The root of the tree of `size` entries.
    ///
    /// # Errors
    /// When there are fewer entries.
    pub async fn root(&self, size: u64) -> Result<Digest, ArchiveError> {
        let mut connection = self.parts.reader.acquire().await?;
        Tiles::new(&mut connection, size).root().await
    }

    /// That an entry is in the tree of the first checkpoint that covers it (or in that of the one of `size`); none while no
    /// checkpoint does.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn inclusion(&self, index: u64, size: Option<u64>) -> Result<Option<Inclusion>, ArchiveError> {
        let Some(published) = self.checkpoint(Some(size.unwrap_or(index.saturating_add(1)))).await? else {
            return Ok(None);
        };
        let tree = published.checkpoint.size;
        if index >= tree || size.is_some_and(|size| size != tree) {
            return Ok(None);
        }
        let mut connection = self.parts.reader.acquire().await?;
        let leaf = sqlx::query("select leaf from ledger.entries where index = $1")
            .bind(number(index))
            .fetch_optional(&mut *connection)
            .await?;
        let leaf = leaf.as_ref().map(|row| digest(row, "leaf")).transpose()?;
        let leaf = leaf.ok_or(Inconsistency::OtherEntry { index })?;
        let proof = Proof::inclusion(index, tree).map_err(|_source| Inconsistency::OtherEntry { index })?;
        let hashes = Tiles::new(&mut connection, tree).hashes(&proof).await?;
        let proof = TlogProof { extra: None, index, hashes, checkpoint: published.note };
        Ok(Some(Inclusion { leaf, proof, size: tree }))
    }

    /// That each of these entries is in the tree of `size` entries, which a checkpoint speaks of: the hashes of each proof.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn inclusion_hashes(&self, indices: &[u64], size: u64) -> Result<Vec<Vec<Digest>>, ArchiveError> {
        let mut connection = self.parts.reader.acquire().await?;
        // Neighbours share their tiles, which are read once.
        let mut tiles = Tiles::new(&mut connection, size);
        let mut all = Vec::with_capacity(indices.len());
        for index in indices.iter().copied() {
            let proof = Proof::inclusion(index, size).map_err(|_source| Inconsistency::OtherEntry { index })?;
            all.push(tiles.hashes(&proof).await?);
        }
        Ok(all)
    }

    /// That the tree of `new` entries continues the tree of `old`; none when there are not that many entries.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Option<Consistency>, ArchiveError> {
        let mut connection = self.parts.reader.acquire().await?;
        let head = count(sqlx::query_scalar("select size from ledger.head").fetch_one(&mut *connection).await?);
        let Some(proof) = Proof::consistency(old, new).ok().filter(|_proof| new <= head) else { return Ok(None) };
        let old_root = Tiles::new(&mut connection, old).root().await?;
        let mut tiles = Tiles::new(&mut connection, new);
        let hashes = tiles.hashes(&proof).await?;
        Ok(Some(Consistency { old: (old, old_root), new: (new, tiles.root().await?), hashes }))
    }

    /// One tile of the published tree, with exactly the width asked for; none where the published tree has no such tile.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn tile(&self, tile: Tile) -> Result<Option<Vec<Digest>>, ArchiveError> {
        let Some(published) = self.checkpoint(None).await? else { return Ok(None) };
        let size = published.checkpoint.size;
        let Some(there) = Tile::at(tile.level, tile.index, size).filter(|there| there.width >= tile.width) else {
            return Ok(None);
        };
        let mut connection = self.parts.reader.acquire().await?;
        let mut hashes = Tiles::new(&mut connection, size).tile(there).await?;
        hashes.truncate(usize::from(tile.width));
        Ok(Some(hashes))
    }
}
