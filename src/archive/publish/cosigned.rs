//! Checkpoints that witnesses cosigned: kept as evidence, each time with an `anchor` entry.
//!
//! Invariant: a line is kept only after whoever asked for it has checked it, and nothing that was kept is lost to somebody who keeps another at
//! the same moment. What is handed out is read back under the log's key: a note that somebody else put there is none.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::Row as _;
use uuid::Builder;

use super::prove::{Published, published};
use crate::archive::open::{Archive, service_word};
use crate::archive::pool::in_time;
use crate::archive::row::number;
use crate::archive::submission::{Append as _, Submission};
use crate::archive::{AppendError, ArchiveError, Inconsistency, connect};
use crate::ledger::{Actor, EntryType, Note, NoteSignature, Policy, Vouched};
use crate::record::{Digest, EntryId};

/// Times to try when others keep cosignatures of the same checkpoint at the same moment.
const TRIES: u32 = 8;
/// Cosigned checkpoints that are looked through for one that meets a policy, newest first.
const LOOK_BACK: i64 = 1_000;
/// The newest state of a size is the one with the most cosignatures.
const NEWEST: &str =
    "select c.size, p.root, c.note, p.at, c.cosignatures from ledger.cosigned c join ledger.checkpoints p using (size)
     where c.size >= $1 and c.cosignatures = (select max(cosignatures) from ledger.cosigned o where o.size = c.size)
     order by c.size desc limit $2";

/// A checkpoint that meets a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The checkpoint; its note has the cosignatures.
    pub published: Published,
    /// Who vouched, of those whom the policy names, and the log.
    pub vouched: Vec<Vouched>,
}

impl Archive {
    /// Keeps cosignatures of a published checkpoint; durable on return, with an anchor in the ledger. Answers with the note that has all of them.
    ///
    /// # Errors
    /// See [`ArchiveError`]. When it is that the anchor could not be appended, the cosignatures are kept all the same.
    pub async fn keep_cosignatures(&self, of: &Published, lines: &[NoteSignature]) -> Result<Published, ArchiveError> {
        for _try in 0..TRIES {
            let known = self.cosigned(of).await?;
            let note = joined(&known, lines)?;
            if note == known.note {
                return Ok(known);
            }
            if self.insert_cosigned(of, &note).await? {
                self.append(self.anchor(of, &note)?).await?;
                return Ok(Published { note, ..of.clone() });
            }
        }
        Err(AppendError::Unavailable.into())
    }

    async fn insert_cosigned(&self, of: &Published, note: &str) -> Result<bool, ArchiveError> {
        let count = Note::parse(note.as_bytes()).map_or(0, |note| note.signatures().len().saturating_sub(1));
        let insert = sqlx::query(
            "insert into ledger.cosigned (size, cosignatures, note, at) values ($1, $2, $3, $4) on conflict do nothing",
        )
        .bind(number(of.checkpoint.size))
        .bind(i32::try_from(count).unwrap_or(i32::MAX))
        .bind(note)
        .bind(self.parts.options.clock.now().date_time());
        let mut connection = self.parts.publisher.acquire().await?;
        let done = in_time(connect::heard(connect::PUBLISH), insert.execute(&mut *connection)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Appends the anchor of what was cosigned last, unless it is there: a crash between keeping a note and its anchor leaves one without.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn anchor_cosigned(&self) -> Result<(), ArchiveError> {
        let row = sqlx::query(
            "select c.size, p.root, c.note, p.at from ledger.cosigned c join ledger.checkpoints p using (size)
              order by c.size desc, c.cosignatures desc limit 1",
        )
        .fetch_optional(&self.parts.reader)
        .await?;
        if let Some(row) = row {
            let kept = published(&row, self.parts.options.signing.verifying_key())?;
            self.append(self.anchor(&kept, &kept.note)?).await?;
        }
        Ok(())
    }

    /// The anchor of a note. Its id follows from the note, so that it is appended once, however often it is asked for.
    fn anchor(&self, of: &Published, note: &str) -> Result<Submission, ArchiveError> {
        let digest = Digest::of(&[note.as_bytes()]);
        let detail = Map::from_iter([
            ("by".to_owned(), Value::from("witness")),
            ("evidence".to_owned(), Value::from(digest.to_string())),
            ("root".to_owned(), Value::from(of.checkpoint.root.to_string())),
            ("size".to_owned(), Value::from(of.checkpoint.size)),
        ]);
        let mut draft = self.draft(EntryType::Anchor, Actor::Service(service_word()?), detail);
        let millis = u64::try_from(of.at.unix_micros() / 1_000).unwrap_or(0);
        if let Some(bytes) = digest.as_bytes().first_chunk::<10>() {
            draft.id = EntryId::new(Builder::from_unix_timestamp_millis(millis, bytes).into_uuid());
        }
        Ok(Submission::plain(draft))
    }

    /// A checkpoint with all the cosignatures that there are of it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn cosigned(&self, of: &Published) -> Result<Published, ArchiveError> {
        let row = sqlx::query(
            "select c.size, p.root, c.note, p.at from ledger.cosigned c join ledger.checkpoints p using (size)
              where c.size = $1 order by c.cosignatures desc limit 1",
        )
        .bind(number(of.checkpoint.size))
        .fetch_optional(&self.parts.reader)
        .await?;
        let kept = row.as_ref().map(|row| published(row, self.parts.options.signing.verifying_key())).transpose()?;
        match kept {
            Some(kept) if kept.checkpoint != of.checkpoint => {
                Err(Inconsistency::Checkpoint { size: of.checkpoint.size }.into())
            }
            Some(kept) => Ok(kept),
            None => Ok(of.clone()),
        }
    }

    /// The newest checkpoint that meets a policy and covers so many entries; none where there is none among the last thousand.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn witnessed(&self, policy: &Policy, covering: u64) -> Result<Option<Witnessed>, ArchiveError> {
        let log = self.parts.options.signing.verifying_key();
        if !policy.needs_witnesses() {
            let newest = self.checkpoint(None).await?.filter(|newest| newest.checkpoint.size >= covering);
            return Ok(newest.map(|published| Witnessed { published, vouched: Vec::new() }));
        }
        let rows = sqlx::query(NEWEST).bind(number(covering)).bind(LOOK_BACK).fetch_all(&self.parts.reader).await?;
        for row in &rows {
            let published = published(row, log)?;
            if let Ok((_checkpoint, vouched)) = policy.open(published.note.as_bytes(), std::slice::from_ref(log)) {
                return Ok(Some(Witnessed { published, vouched }));
            }
        }
        Ok(None)
    }

    /// How far each witness, by key name and id, has cosigned, as far as the last thousand cosigned checkpoints say: size and time.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn cosigned_by(&self) -> Result<BTreeMap<(String, String), u64>, ArchiveError> {
        let rows = sqlx::query(NEWEST).bind(0_i64).bind(LOOK_BACK).fetch_all(&self.parts.reader).await?;
        let mut sizes = BTreeMap::new();
        for row in &rows {
            let (size, note): (i64, String) = (row.try_get("size")?, row.try_get("note")?);
            let Ok(note) = Note::parse(note.as_bytes()) else { continue };
            for line in note.signatures() {
                // Newest first: what is there is larger.
                let by = (line.name.clone(), line.id.to_string());
                sizes.entry(by).or_insert(u64::try_from(size).unwrap_or(0));
            }
        }
        Ok(sizes)
    }
}

/// The note with these lines as well, behind the log's own, in the order of names and ids; of two by one key the later.
fn joined(known: &Published, lines: &[NoteSignature]) -> Result<String, ArchiveError> {
    let wrong = |source| ArchiveError::Checkpoint(crate::ledger::CheckpointError::Note(source));
    let note = Note::parse(known.note.as_bytes()).map_err(wrong)?;
    let is_logs = |line: &NoteSignature| line.name == known.checkpoint.origin;
    let mut all: BTreeMap<(String, String), NoteSignature> = BTreeMap::new();
    for line in note.signatures().iter().chain(lines).filter(|line| !is_logs(line)) {
        // What is kept stays: one cosignature of a key is as good as another.
        all.entry((line.name.clone(), line.id.to_string())).or_insert_with(|| line.clone());
    }
    let mut joined = note.with_only(is_logs);
    for line in all.into_values() {
        joined.try_add(line).map_err(wrong)?;
    }
    Ok(joined.to_string())
}
