//! Who is at the door: devices by id and password, officers by token.
//!
//! Invariant: every answer follows what the projections say now; a revocation that is projected is obeyed at once. Only while
//! the database is away are devices known from memory, so that what they send can still be spooled. Proof of a password is
//! remembered as a keyed hash, because the slow hash would cost more than the connection it guards.

use std::collections::HashMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::sync::Semaphore;

use super::credential::Password;
use super::limits::Limits;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::pool::Pool;
use crate::archive::read::OfficerRow;
use crate::archive::row::count;
use crate::ledger::Committed;
use crate::record::{AdvisorId, DeviceId, Digest, FieldName, OfficerId};
use crate::telemetry::Metrics;

/// Devices and proofs remembered at most; beyond that memory starts afresh.
const REMEMBERED: usize = 100_000;
/// Slow hashes computed at once: whoever tries passwords must not take the machine.
const AT_ONCE: usize = 2;

/// The hash of no password: an unknown device takes as long as a wrong password, so that nobody learns which devices there are.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A device that showed its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDevice {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub advisor: AdvisorId,
}

#[derive(Debug, Clone)]
struct Entry {
    advisor: AdvisorId,
    hash: String,
}

/// The directory. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Directory {
    pool: Pool,
    memory: Arc<Memory>,
}

struct Memory {
    /// Makes remembered proofs worthless to whoever reads this process's memory later.
    key: [u8; 32],
    devices: Mutex<HashMap<DeviceId, Entry>>,
    proofs: Mutex<HashMap<DeviceId, [u8; 32]>>,
    slow: Semaphore,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

/// The entry itself is asked whether it registers this device, for this advisor, with this hash: a row put into `people` or into the
/// projections by hand, or a hash exchanged, lets nobody in. A name that was read says that the entry was made by somebody who
/// has the master key.
const DEVICE: &str = "
select d.advisor, c.hash
  from projection.devices d
  join people.credentials c on c.device = d.device
  join projection.advisors a on a.advisor = d.advisor
  join ledger.entries e on e.index = d.added_index
 cross join lateral json_to_record(convert_from(e.body, 'UTF8')::json) as said (type text, detail json)
 where d.device = $1 and d.revoked_index is null and a.revoked_index is null and d.name is not null
   and said.type = 'identity' and said.detail ->> 'change' = 'added'
   and said.detail ->> 'subject' = 'device' and said.detail ->> 'id' = d.device::text
   and said.detail ->> 'advisor' = d.advisor::text
   and said.detail ->> 'digest' = encode(sha256(convert_to(c.hash, 'UTF8')), 'hex')";

/// The same for an officer.
macro_rules! officer_where {
    ($condition:literal) => {
        concat!(
            "select o.*
               from people.tokens t
               join projection.officers o on o.officer = t.officer
               join ledger.entries e on e.index = o.added_index
              cross join lateral json_to_record(convert_from(e.body, 'UTF8')::json) as said (type text, detail json)
              where o.name is not null
                and said.type = 'identity' and said.detail ->> 'change' = 'added'
                and said.detail ->> 'subject' = 'officer' and said.detail ->> 'id' = o.officer::text
                and said.detail ->> 'digest' = encode(sha256(t.hash), 'hex') and ",
            $condition
        )
    };
}

impl Archive {
    /// The directory of this archive.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn directory(&self) -> Result<Directory, ArchiveError> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_source| ArchiveError::Password(super::PasswordError::Random))?;
        Ok(Directory {
            pool: self.parts.door.clone(),
            memory: Arc::new(Memory {
                key,
                devices: Mutex::default(),
                proofs: Mutex::default(),
                slow: Semaphore::new(AT_ONCE),
                metrics: Arc::clone(&self.parts.options.metrics),
            }),
        })
    }

    /// The officer a token belongs to, by the token's SHA-256; none when nobody has it. Whether the officer was revoked since
    /// is in the row, so that a refusal can say so.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn officer_by_token(&self, token: Digest) -> Result<Option<OfficerRow>, ArchiveError> {
        let query = sqlx::query(officer_where!("t.hash = $1")).bind(token.as_bytes().as_slice());
        self.officer_of(query.fetch_optional(&self.parts.door).await?).await
    }

    /// The officer of an id, as far as a token of theirs would let them in: for what is done on their behalf.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn officer_by_id(&self, officer: OfficerId) -> Result<Option<OfficerRow>, ArchiveError> {
        let query = sqlx::query(officer_where!("t.officer = $1 limit 1")).bind(officer.uuid());
        self.officer_of(query.fetch_optional(&self.parts.door).await?).await
    }

    async fn officer_of(&self, row: Option<PgRow>) -> Result<Option<OfficerRow>, ArchiveError> {
        let Some(row) = row else { return Ok(None) };
        let mut officer = OfficerRow::read(&row)?;
        officer.limits = self.limits(officer.index).await?;
        Ok(Some(officer))
    }

    /// What the entry itself says of the token's limits, opened once and then remembered: an entry never changes.
    async fn limits(&self, index: u64) -> Result<Limits, ArchiveError> {
        if let Some(known) = self.parts.limits.lock().get(&index).cloned() {
            return Ok(known);
        }
        let unreadable = || ArchiveError::Row { table: "content", problem: "the limits of a token cannot be read" };
        let entry = self.entry(index).await?.ok_or_else(unreadable)?;
        let limits = match entry.committed() {
            Committed::Listed(listed) if listed.get(FieldName::LIMITS.as_str()).is_none() => Limits::default(),
            Committed::Listed(_) | Committed::Root(_) => {
                let content = self.content(&entry).await?.ok_or_else(unreadable)?;
                content.text(FieldName::LIMITS.as_str()).and_then(Limits::read).ok_or_else(unreadable)?
            }
        };
        let mut remembered = self.parts.limits.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(index, limits.clone());
        Ok(limits)
    }
}

impl Directory {
    /// The device that knows this password; none when there is no such device, it is revoked, or the password is another.
    ///
    /// # Errors
    /// When the database is away and the device was never seen before.
    pub async fn device(&self, device: DeviceId, password: Password) -> Result<Option<KnownDevice>, ArchiveError> {
        let Some(Entry { advisor, hash }) = self.entry(device).await? else {
            self.fits(password, NOBODY.to_owned()).await;
            return Ok(None);
        };
        let proof = self.proof(&password, &hash);
        if proof.is_some() && self.memory.proofs.lock().get(&device).copied() == proof {
            return Ok(Some(KnownDevice { device, advisor }));
        }
        if !self.fits(password, hash).await {
            return Ok(None);
        }
        let mut proofs = self.memory.proofs.lock();
        if proofs.len() >= REMEMBERED {
            proofs.clear();
        }
        proofs.extend(proof.map(|proof| (device, proof)));
        Ok(Some(KnownDevice { device, advisor }))
    }

    /// Whether this device is registered and not revoked.
    ///
    /// # Errors
    /// When the database is away and the device was never seen before.
    pub async fn stands(&self, device: DeviceId) -> Result<bool, ArchiveError> {
        Ok(self.entry(device).await?.is_some())
    }

    /// Changes with every device, advisor, officer or role that is added or revoked, by whichever process: an answer from before need not hold
    /// after.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn generation(&self) -> Result<u64, ArchiveError> {
        let newest: Option<i64> =
            sqlx::query_scalar("select people from projection.progress").fetch_optional(&self.pool).await?;
        Ok(newest.map_or(0, count))
    }

    /// The slow comparison, a few at a time.
    async fn fits(&self, password: Password, hash: String) -> bool {
        let Ok(_turn) = self.memory.slow.acquire().await else { return false };
        self.memory.metrics.password_compared();
        tokio::task::spawn_blocking(move || password.fits(&hash)).await.unwrap_or(false)
    }

    async fn entry(&self, device: DeviceId) -> Result<Option<Entry>, ArchiveError> {
        let found = sqlx::query(DEVICE).bind(device.uuid()).fetch_optional(&self.pool).await;
        let row = match found {
            Ok(row) => row,
            Err(error) => {
                // A server that answers is not away; otherwise what was known last is the best there is.
                let known = self.memory.devices.lock().get(&device).cloned();
                return match known {
                    Some(known) if error.as_database_error().is_none() => Ok(Some(known)),
                    _ => Err(error.into()),
                };
            }
        };
        let mut devices = self.memory.devices.lock();
        let Some(row) = row else {
            devices.remove(&device);
            return Ok(None);
        };
        let entry = Entry { advisor: AdvisorId::new(row.try_get("advisor")?), hash: row.try_get("hash")? };
        if devices.len() >= REMEMBERED {
            devices.clear();
        }
        devices.insert(device, entry.clone());
        Ok(Some(entry))
    }

    /// A keyed hash over password and stored hash: another password, or another credential, is another proof.
    fn proof(&self, password: &Password, hash: &str) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.memory.key).ok()?;
        mac.update(hash.as_bytes());
        mac.update(&[0]);
        mac.update(password.reveal().as_bytes());
        Some(mac.finalize().into_bytes().into())
    }
}
