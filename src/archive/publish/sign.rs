//! Signing: what was published last is looked up, the new tree is proved to continue it, and only then signed.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::integrate::{Tiles, heard};
use super::last::Guard;
use super::prove::{Published, published};
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::archive::{ArchiveError, Inconsistency};
use crate::ledger::{Checkpoint, Proof, VerifyingKey, verify_consistency};
use crate::record::{Digest, Timestamp};

/// Times a publisher tries when others publish at the same moment.
const TRIES: u32 = 8;

/// The last row of the checkpoints.
struct Last {
    number: i64,
    published: Published,
}

/// The last checkpoint, if it is ours: what somebody else put there is not continued.
async fn last(connection: &mut PgConnection, key: &VerifyingKey) -> Result<Option<Last>, ArchiveError> {
    let row = sqlx::query("select number, size, root, note, at from ledger.checkpoints order by number desc limit 1")
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Last { number: row.try_get("number")?, published: published(&row, key)? })).transpose()
}

/// The tree of `size` entries must continue this one.
async fn check_continues(
    tiles: &mut Tiles<'_>,
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
) -> Result<(), ArchiveError> {
    if new < old {
        return Err(Inconsistency::Shorter { found: new, had: old }.into());
    }
    let forked = Inconsistency::Forked { size: old };
    let proof = Proof::consistency(old, new).map_err(|_source| forked)?;
    let hashes = tiles.hashes(&proof).await?;
    verify_consistency((old, old_root), (new, new_root), &hashes).map_err(|_source| forked)?;
    Ok(())
}

impl Archive {
    /// The file that holds what we signed last.
    pub(in crate::archive) fn guard(&self) -> Guard {
        let options = &self.parts.options;
        Guard::new(&options.data_dir, options.signing.verifying_key().clone())
    }

    /// Is the database at least what we signed last? Asked when the archive is opened.
    pub(in crate::archive) async fn check_guard(&self) -> Result<(), ArchiveError> {
        let Some(kept) = self.guard().load()? else { return Ok(()) };
        let mut connection = self.parts.publisher.acquire().await?;
        let head = heard(head_size(&mut connection)).await?;
        if head < kept.size {
            return Err(Inconsistency::Shorter { found: head, had: kept.size }.into());
        }
        let root = Tiles::new(&mut connection, kept.size).root().await?;
        if root == kept.root { Ok(()) } else { Err(Inconsistency::Forked { size: kept.size }.into()) }
    }

    /// Publishes a checkpoint over everything there is; the last one again when there is nothing new, unless `anyway`: an
    /// `anchor` entry alone is nothing new.
    ///
    /// # Errors
    /// [`ArchiveError::Inconsistent`] when the tree does not continue what was signed before: nothing is signed then.
    pub async fn publish(&self, anyway: bool) -> Result<Option<Published>, ArchiveError> {
        for _try in 0..TRIES {
            let mut connection = self.parts.publisher.acquire().await?;
            if let Some(published) = self.publish_once(&mut connection, anyway).await? {
                return Ok(published);
            }
        }
        // Whoever was faster every time has published what we wanted to publish.
        self.checkpoint(None).await
    }

    /// `None` when somebody else published in between.
    async fn publish_once(
        &self,
        connection: &mut PgConnection,
        anyway: bool,
    ) -> Result<Option<Option<Published>>, ArchiveError> {
        let guard = self.guard();
        let kept = guard.load()?;
        let last = heard(last(connection, self.parts.options.signing.verifying_key())).await?;
        let size = heard(head_size(connection)).await?;
        let from = last.as_ref().map_or(0, |last| last.published.checkpoint.size);

        let floor = kept.as_ref().map_or(0, |kept| kept.size).max(from);
        if size < floor {
            return Err(Inconsistency::Shorter { found: size, had: floor }.into());
        }
        let nothing_new = size == from || (!anyway && !heard(is_new(connection, from, size)).await?);
        let metrics = &self.parts.options.metrics;
        metrics.ledger_size(size);
        if let Some(last) = &last {
            // Whoever signed it: where several processes publish, most of them find that it was done.
            metrics.checkpoint_published(last.published.at);
        }
        if nothing_new && last.is_some() || size == 0 {
            return Ok(Some(last.map(|last| last.published)));
        }
        let mut tiles = Tiles::new(connection, size);
        tiles.store_full(from).await?;
        let root = tiles.root().await?;
        if let Some(last) = &last {
            let Checkpoint { size: old, root: old_root, .. } = &last.published.checkpoint;
            check_continues(&mut tiles, (*old, old_root), (size, &root)).await?;
        }
        if let Some(kept) = &kept {
            check_continues(&mut tiles, (kept.size, &kept.root), (size, &root)).await?;
        }

        let signing = &self.parts.options.signing;
        let origin = signing.verifying_key().name().to_owned();
        let checkpoint = Checkpoint { origin, size, root, extensions: Vec::new() };
        let note = checkpoint.sign(&[signing]).map_err(ArchiveError::Checkpoint)?.to_string();
        // First where no restore of the database reaches. A crash right here leaves a checkpoint that nobody was shown, over
        // entries that are durable: the next one continues it.
        guard.store(&note)?;
        let at = self.parts.options.clock.now();
        let number = last.as_ref().map_or(0, |last| last.number.saturating_add(1));
        if !heard(swap(connection, number, &checkpoint, &note, at)).await? {
            return Ok(None);
        }
        metrics.checkpoint_published(at);
        Ok(Some(Some(Published { checkpoint, note, at })))
    }
}

async fn head_size(connection: &mut PgConnection) -> Result<u64, ArchiveError> {
    Ok(count(sqlx::query_scalar("select size from ledger.head").fetch_one(connection).await?))
}

/// Is any entry of the range more than an anchor?
async fn is_new(connection: &mut PgConnection, from: u64, until: u64) -> Result<bool, ArchiveError> {
    let new = sqlx::query_scalar(
        "select exists (select from ledger.entries where index >= $1 and index < $2
                           and convert_from(body, 'UTF8')::json ->> 'type' <> 'anchor')",
    )
    .bind(number(from))
    .bind(number(until))
    .fetch_one(connection)
    .await?;
    Ok(new)
}

/// Writes the checkpoint unless somebody else has taken its number; true when it was ours.
async fn swap(
    connection: &mut PgConnection,
    place: i64,
    checkpoint: &Checkpoint,
    note: &str,
    at: Timestamp,
) -> Result<bool, ArchiveError> {
    let mut transaction = connection.begin().await?;
    let done = sqlx::query(
        "insert into ledger.checkpoints (number, size, root, note, at) values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(place)
    .bind(number(checkpoint.size))
    .bind(checkpoint.root.as_bytes().as_slice())
    .bind(note)
    .bind(at.date_time())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}
