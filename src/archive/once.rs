//! Writes that are asked for once: the answer to each is kept for a day, under the key that came with it.
//!
//! Invariants: of several requests with one key, one does the work; the others are told so, or get its answer. What is stored says nothing to
//! whoever has the database alone: keys and requests are keyed digests, answers are sealed, as one may hold a secret.

use std::time::Duration;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::Row as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ArchiveError;
use super::open::Archive;
use super::row::count;
use crate::record::{EntryId, FieldName, OfficerId, RecordKey, SealError, seal, unseal};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Whoever has not answered after this was killed: longer than a statement, or an append, can still come to something.
const STALE: Duration = Duration::from_secs(60);
/// Answers kept for one officer at most.
const EACH: u64 = 10_000;
/// Largest answer that is kept.
const MOST: usize = 32 * 1024;

/// What asking for the right came to.
#[derive(Debug)]
pub enum Claimed {
    /// It is this request's.
    Go(Claim),
    /// It was done: this was the answer.
    Again(Vec<u8>),
    /// Another request with this key is being answered.
    InFlight,
    /// The key was used for another request.
    Other,
    /// The officer has used as many keys as are kept.
    TooMany,
}

/// The right to do it.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    id: Uuid,
    /// The entry that does it. Where [`Claim::again`] is set, it may be in the ledger.
    pub entry: EntryId,
    /// Somebody began before, and was killed.
    pub again: bool,
}

/// A key of its own for each purpose, from the master key.
fn derived(master: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // Fails only for more than 255 × 32 bytes.
    let made = Hkdf::<Sha256>::new(None, master).expand(purpose, key.as_mut_slice()).is_ok();
    debug_assert!(made);
    key
}

fn digest(master: &[u8; 32], parts: &[&[u8]]) -> Result<Vec<u8>, ArchiveError> {
    let key = derived(master, b"muniment idempotency keys v1");
    let broken = |_source| ArchiveError::Row { table: "delivery.answers", problem: "no digest can be made" };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).map_err(broken)?;
    for part in parts {
        // Lengths first: what was cut differently is another request.
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

impl Archive {
    /// Asks for the right to answer a request: `key` as it was sent, `request` what else was sent.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn claim(
        &self,
        officer: OfficerId,
        operation: &'static str,
        key: &[u8],
        request: &[&[u8]],
    ) -> Result<Claimed, ArchiveError> {
        let ids = &self.parts.options.ids;
        let reader = &self.parts.reader;
        let (key, fingerprint) = self.request_digests(officer, operation, key, request).await?;
        sqlx::query(
            "delete from delivery.answers
              where officer = $1 and operation = $2 and key = $3 and made_at < now() - make_interval(secs => $4)",
        )
        .bind(officer.uuid())
        .bind(operation)
        .bind(&key)
        .bind(KEPT.as_secs_f64())
        .execute(reader)
        .await?;
        let claim = Claim { id: ids.fresh(), entry: EntryId::new(ids.fresh()), again: false };
        let row = sqlx::query(
            "insert into delivery.answers (id, officer, operation, key, fingerprint, entry)
             select $1, $2, $3, $4, $5, $6 where (select count(*) from delivery.answers where officer = $2) < $7
             on conflict (officer, operation, key) do nothing",
        )
        .bind(claim.id)
        .bind(officer.uuid())
        .bind(operation)
        .bind(&key)
        .bind(&fingerprint)
        .bind(claim.entry.uuid())
        .bind(i64::try_from(EACH).unwrap_or(i64::MAX))
        .execute(reader)
        .await?;
        if row.rows_affected() == 1 {
            return Ok(Claimed::Go(claim));
        }
        let row = sqlx::query(
            "select id, fingerprint, entry, answer, extract(epoch from now() - begun_at)::bigint as age
               from delivery.answers where officer = $1 and operation = $2 and key = $3",
        )
        .bind(officer.uuid())
        .bind(operation)
        .bind(&key)
        .fetch_optional(reader)
        .await?;
        let Some(row) = row else { return Ok(Claimed::TooMany) };
        if row.try_get::<Vec<u8>, _>("fingerprint")? != fingerprint {
            return Ok(Claimed::Other);
        }
        let claim = Claim { id: row.try_get("id")?, entry: EntryId::new(row.try_get("entry")?), again: true };
        if let Some(answer) = row.try_get::<Option<Vec<u8>>, _>("answer")? {
            return Ok(Claimed::Again(self.open_answer(&answer)?));
        }
        if count(row.try_get("age")?) < STALE.as_secs() {
            return Ok(Claimed::InFlight);
        }
        self.take_over(claim).await
    }

    /// Digests of a key and its request: under the master key of now, or the former one under which the key is known.
    async fn request_digests(
        &self,
        officer: OfficerId,
        operation: &'static str,
        key: &[u8],
        request: &[&[u8]],
    ) -> Result<(Vec<u8>, Vec<u8>), ArchiveError> {
        let masters = self.parts.options.master.every();
        let (current, former) = masters.split_first().ok_or(Self::NO_MASTER)?;
        for master in former {
            let former = digest(master, &[key])?;
            let known = sqlx::query_scalar(
                "select exists (select from delivery.answers where officer = $1 and operation = $2 and key = $3)",
            );
            let known = known.bind(officer.uuid()).bind(operation).bind(&former);
            if known.fetch_one(&self.parts.reader).await? {
                return Ok((former, digest(master, request)?));
            }
        }
        Ok((digest(current, &[key])?, digest(current, request)?))
    }

    const NO_MASTER: ArchiveError = ArchiveError::Row { table: "delivery.answers", problem: "there is no master key" };

    /// Of several who see that somebody was killed, one goes on.
    async fn take_over(&self, claim: Claim) -> Result<Claimed, ArchiveError> {
        // What is not in the ledger by now never will be; another attempt seals other bytes, and so is another entry.
        let done = self.entry_by_id(claim.entry).await?.is_some();
        let entry = if done { claim.entry } else { EntryId::new(self.parts.options.ids.fresh()) };
        let taken = sqlx::query(
            "update delivery.answers set begun_at = now(), entry = $2
              where id = $1 and answer is null and begun_at < now() - make_interval(secs => $3)",
        )
        .bind(claim.id)
        .bind(entry.uuid())
        .bind(STALE.as_secs_f64())
        .execute(&self.parts.reader)
        .await?;
        let claim = Claim { entry, again: done, ..claim };
        Ok(if taken.rows_affected() == 1 { Claimed::Go(claim) } else { Claimed::InFlight })
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn settle_claim(&self, claim: &Claim, answer: &[u8]) -> Result<(), ArchiveError> {
        let (keys, field) = self.answer_keys()?;
        let key = keys.first().ok_or(Self::NO_MASTER)?;
        if answer.len() > MOST {
            return Err(ArchiveError::Row { table: "delivery.answers", problem: "an answer is too large to be kept" });
        }
        // Under an id of its own: should two have been at it, they sealed different things under different keys.
        let id = self.parts.options.ids.fresh();
        let sealed = seal(&key.sealing_key(EntryId::new(id), &field), answer);
        let sealed = sealed.map_err(|source| ArchiveError::Sealed { index: 0, field: field.to_string(), source })?;
        let sealed = [id.as_bytes().as_slice(), &sealed].concat();
        sqlx::query("update delivery.answers set answer = $2 where id = $1 and answer is null")
            .bind(claim.id)
            .bind(sealed)
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }

    /// Gives the right back: nothing was done.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn drop_claim(&self, claim: &Claim) -> Result<(), ArchiveError> {
        sqlx::query("delete from delivery.answers where id = $1 and answer is null")
            .bind(claim.id)
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }

    /// Forgets answers that nobody may ask for any more.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn prune_answers(&self) -> Result<(), ArchiveError> {
        sqlx::query("delete from delivery.answers where made_at < now() - make_interval(secs => $1)")
            .bind(KEPT.as_secs_f64())
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }

    fn open_answer(&self, stored: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let (keys, field) = self.answer_keys()?;
        let short = ArchiveError::Row { table: "delivery.answers", problem: "an answer is cut off" };
        let (id, sealed) = stored.split_first_chunk::<16>().ok_or(short)?;
        let entry = EntryId::new(Uuid::from_bytes(*id));
        let mut opened = Err(SealError::Refused);
        for key in keys {
            opened = opened.or_else(|_other| unseal(&key.sealing_key(entry, &field), sealed));
        }
        opened.map_err(|source| ArchiveError::Sealed { index: 0, field: field.to_string(), source })
    }

    /// What answers are sealed under, each under an id of its own: now, and before a rotation.
    fn answer_keys(&self) -> Result<(Vec<RecordKey>, FieldName), ArchiveError> {
        let every = self.parts.options.master.every();
        let keys = every.iter().map(|master| RecordKey::new(*derived(master, b"muniment answers v1"))).collect();
        let field = "answer".parse();
        let field =
            field.map_err(|_source| ArchiveError::Row { table: "delivery.answers", problem: "no such field" })?;
        Ok((keys, field))
    }
}
