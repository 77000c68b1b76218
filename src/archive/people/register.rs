//! Registrations and revocations: each is an `identity` entry, durable and projected on return.

use bytes::Bytes;
use serde_json::{Map, Value};
use sqlx::types::Uuid;
use zeroize::Zeroizing;

use super::credential::{Password, PasswordError};
use super::limits::Limits;
use crate::archive::open::Archive;
use crate::archive::submission::{Append as _, Appended, SealedField, Stored, Submission};
use crate::archive::{AppendError, ArchiveError};
use crate::ledger::{Actor, EntryType};
use crate::record::{
    AdvisorId, Commitment, DeviceId, Digest, FieldName, OfficerId, RecordId, RecordKey, WrappedKey, canonical, seal,
};

/// Somebody or something new, and the entry that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered<T> {
    /// Its id.
    pub id: T,
    /// The entry.
    pub entry: Appended,
}

/// An `identity` entry to be.
struct Identity<'a> {
    subject: &'static str,
    change: &'static str,
    id: Uuid,
    advisor: Option<AdvisorId>,
    role: Option<&'a str>,
    name: Option<&'a str>,
    limits: Option<&'a Limits>,
    /// SHA-256 of the hash that is kept of the credential. The hash holds a salt, or is of random bytes, so nobody can guess
    /// towards it; but nobody can put another hash in its place either.
    credential: Option<Digest>,
}

impl Identity<'_> {
    const fn of(subject: &'static str, change: &'static str, id: Uuid) -> Self {
        Self { subject, change, id, advisor: None, role: None, name: None, limits: None, credential: None }
    }
}

impl Archive {
    /// Registers an advisor.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn add_advisor(&self, by: Actor, name: &str) -> Result<Registered<AdvisorId>, ArchiveError> {
        let id = AdvisorId::new(self.parts.options.ids.fresh());
        let identity = Identity { advisor: Some(id), name: Some(name), ..Identity::of("advisor", "added", id.uuid()) };
        Ok(Registered { id, entry: self.identify(by, &identity).await? })
    }

    /// Registers a device of an advisor, known by its id and this password.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn add_device(
        &self,
        by: Actor,
        advisor: AdvisorId,
        name: &str,
        password: Password,
    ) -> Result<Registered<DeviceId>, ArchiveError> {
        self.check_advisor(advisor).await?;
        let id = DeviceId::new(self.parts.options.ids.fresh());
        let hashed = tokio::task::spawn_blocking(move || password.hash()).await;
        let hash = hashed.unwrap_or(Err(PasswordError::Hash)).map_err(ArchiveError::Password)?;
        let (advisor, credential) = (Some(advisor), Some(Digest::of(&[hash.as_bytes()])));
        let identity = Identity { advisor, name: Some(name), credential, ..Identity::of("device", "added", id.uuid()) };
        // The ledger first: what lets somebody in is never there without the entry that says so.
        let entry = self.identify(by, &identity).await?;
        sqlx::query("insert into people.credentials (device, hash) values ($1, $2)")
            .bind(id.uuid())
            .bind(hash)
            .execute(&self.parts.reader)
            .await?;
        Ok(Registered { id, entry })
    }

    /// Registers an officer in one or several roles, known by the token with this SHA-256, without limits.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn add_officer(
        &self,
        by: Actor,
        name: &str,
        roles: &[&str],
        token: Digest,
    ) -> Result<Registered<OfficerId>, ArchiveError> {
        self.add_officer_within(by, name, roles, token, &Limits::default()).await
    }

    /// The same, with a token that ends, or reaches only so far.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn add_officer_within(
        &self,
        by: Actor,
        name: &str,
        roles: &[&str],
        token: Digest,
        limits: &Limits,
    ) -> Result<Registered<OfficerId>, ArchiveError> {
        let id = OfficerId::new(self.parts.options.ids.fresh());
        let Some((first, rest)) = roles.split_first() else {
            return Err(ArchiveError::Row { table: "people.tokens", problem: "an officer needs a role" });
        };
        let identity = |change, role| Identity { role: Some(role), ..Identity::of("officer", change, id.uuid()) };
        let credential = Some(Digest::of(&[token.as_bytes()]));
        let limits = Some(limits).filter(|limits| !limits.is_none());
        let added = Identity { name: Some(name), limits, credential, ..identity("added", first) };
        let entry = self.identify(by.clone(), &added).await?;
        for role in rest {
            self.identify(by.clone(), &identity("changed", role)).await?;
        }
        sqlx::query("insert into people.tokens (hash, officer) values ($1, $2)")
            .bind(token.as_bytes().as_slice())
            .bind(id.uuid())
            .execute(&self.parts.reader)
            .await?;
        Ok(Registered { id, entry })
    }

    /// Revokes a device: it is refused from now on.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn revoke_device(
        &self,
        by: Actor,
        device: DeviceId,
        advisor: AdvisorId,
    ) -> Result<Appended, ArchiveError> {
        let identity = Identity { advisor: Some(advisor), ..Identity::of("device", "revoked", device.uuid()) };
        self.identify(by, &identity).await
    }

    /// Revokes an officer: the token is refused from now on.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn revoke_officer(&self, by: Actor, officer: OfficerId) -> Result<Appended, ArchiveError> {
        self.identify(by, &Identity::of("officer", "revoked", officer.uuid())).await
    }

    /// Is there such an advisor? A device of nobody would be let in as nobody.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownAdvisor`] where there is none.
    pub async fn check_advisor(&self, advisor: AdvisorId) -> Result<(), ArchiveError> {
        // Another process may have added the advisor a moment ago.
        self.catch_up().await?;
        let known: bool = sqlx::query_scalar(
            "select exists (select from projection.advisors where advisor = $1 and revoked_index is null)",
        )
        .bind(advisor.uuid())
        .fetch_one(&self.parts.reader)
        .await?;
        if known { Ok(()) } else { Err(ArchiveError::UnknownAdvisor(advisor)) }
    }

    async fn identify(&self, by: Actor, identity: &Identity<'_>) -> Result<Appended, ArchiveError> {
        let mut detail = Map::new();
        let mut put = |key: &str, value: String| detail.insert(key.to_owned(), Value::from(value));
        put("subject", identity.subject.to_owned());
        put("change", identity.change.to_owned());
        put("id", identity.id.to_string());
        identity.role.map(|role| put("role", role.to_owned()));
        identity.credential.map(|digest| put("digest", digest.to_string()));
        // An advisor's own entry says so by its id.
        let owner = identity.advisor.filter(|_advisor| identity.subject != "advisor");
        owner.map(|advisor| put("advisor", advisor.to_string()));
        let mut draft = self.draft(EntryType::Identity, by, detail);
        draft.streams = identity.advisor.into_iter().collect();
        let mut submission = Submission::plain(draft);
        let limits = identity.limits.map(canonical).transpose().map_err(|_source| ArchiveError::Row {
            table: "people.tokens",
            problem: "the limits of a token have no canonical form",
        })?;
        let name = identity.name.map(|name| (FieldName::NAME, name.as_bytes()));
        let limits = limits.as_ref().map(|limits| (FieldName::LIMITS, limits.as_slice()));
        let fields: Vec<_> = name.into_iter().chain(limits).collect();
        if !fields.is_empty() {
            self.seal_fields(&mut submission, fields)?;
        }
        let appended = self.append(submission).await?;
        self.project(appended.index.saturating_add(1)).await?;
        Ok(appended)
    }

    /// Seals a name, and what else belongs to it, under a record of its own.
    fn seal_fields(&self, submission: &mut Submission, fields: Vec<(FieldName, &[u8])>) -> Result<(), ArchiveError> {
        let record = RecordId::new(self.parts.options.ids.fresh());
        let key = self.fresh_key(submission, record)?;
        self.seal_under(submission, &key, fields)
    }

    /// A key for a record whose first entry this is.
    pub(in crate::archive) fn fresh_key(
        &self,
        submission: &mut Submission,
        record: RecordId,
    ) -> Result<RecordKey, ArchiveError> {
        let (key, wrapped) = self.random_key(record)?;
        submission.draft.record = Some(record);
        submission.key = Some((record, wrapped));
        Ok(key)
    }

    /// A key made at random, and the same as only the master key and this record's id open it.
    pub(in crate::archive) fn random_key(&self, record: RecordId) -> Result<(RecordKey, WrappedKey), ArchiveError> {
        let (mut bytes, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
        let filled = aws_lc_rs::rand::fill(bytes.as_mut_slice()).and_then(|()| aws_lc_rs::rand::fill(&mut nonce));
        filled.map_err(|_source| ArchiveError::Password(PasswordError::Random))?;
        let key = RecordKey::new(*bytes);
        let wrapped = self.parts.options.master.wrap_key(record, &key, nonce);
        Ok((key, wrapped.map_err(|source| ArchiveError::Key { record, source })?))
    }

    /// Seals fields of an entry under its record's key. The entry's id stands for these values alone.
    pub(in crate::archive) fn seal_under(
        &self,
        submission: &mut Submission,
        key: &RecordKey,
        fields: Vec<(FieldName, &[u8])>,
    ) -> Result<(), ArchiveError> {
        let entry = submission.draft.id;
        for (field, value) in fields {
            let ciphertext = seal(&key.sealing_key(entry, &field), value).map_err(|_source| {
                ArchiveError::Append(AppendError::Content { entry, problem: "a field could not be sealed" })
            })?;
            submission.draft.commitments.insert(field.clone(), Commitment::to(&key.salt(entry, &field), value));
            submission.sealed.push(SealedField { name: field, ciphertext: Stored::Inline(Bytes::from(ciphertext)) });
        }
        Ok(())
    }
}
