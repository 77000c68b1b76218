//! The desk: everybody who wants to look passes here.
//!
//! Invariant (P5): [`Desk::show`] returns only after the `access` entry is durable, and [`Withheld`] gives its value to nobody
//! else. So a handler that holds content as `Withheld` cannot answer before the look is on record.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{AccessError, Operation, Purpose, Role};
use crate::archive::{Append, SealedField, Stored, Submission};
use crate::capture::Entropy;
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::record::{
    AdvisorId, Clock, Commitment, EntryId, FieldName, Ids, MasterKey, OfficerId, RecordId, RecordKey, seal,
};

/// Record ids an entry names at most; a page is never longer.
const NAMED: usize = 512;

/// An officer whose token was shown.
#[derive(Debug, Clone)]
pub struct Officer {
    /// Who.
    pub id: OfficerId,
    /// What they are to the archive.
    pub roles: Vec<Role>,
}

impl Officer {
    /// Whether one of the roles may do it.
    #[must_use]
    pub fn may(&self, operation: Operation) -> bool {
        self.roles.iter().any(|role| role.may(operation.permission()))
    }
}

/// A look that may go ahead: who, what and why.
#[derive(Debug)]
pub struct Admission {
    officer: OfficerId,
    operation: Operation,
    purpose: Option<Purpose>,
}

/// What the look concerns.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The records shown, or asked for.
    pub records: Vec<RecordId>,
    /// How many items are shown.
    pub count: usize,
    /// The advisor asked for, where there is one.
    pub advisor: Option<AdvisorId>,
    /// What was asked for, in the officer's own words: filters, search text.
    pub query: Option<String>,
}

/// Something that nobody sees before the look is on record.
#[derive(Clone)]
pub struct Withheld<T>(T);

impl<T> Withheld<T> {
    /// Takes it into keeping.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Prepares an answer from it, still withheld.
    pub fn map<U>(self, prepare: impl FnOnce(T) -> U) -> Withheld<U> {
        Withheld(prepare(self.0))
    }
}

impl<T> std::fmt::Debug for Withheld<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Withheld(..)")
    }
}

/// Where looks are admitted and written down.
pub struct Desk {
    append: Arc<dyn Append>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    entropy: Arc<dyn Entropy>,
    master: MasterKey,
}

impl Desk {
    /// Opens the desk.
    pub fn new(
        append: Arc<dyn Append>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        entropy: Arc<dyn Entropy>,
        master: MasterKey,
    ) -> Self {
        Self { append, clock, ids, entropy, master }
    }

    /// Decides whether the officer may look. A refusal is on record too: who tried what is worth knowing.
    ///
    /// # Errors
    /// [`AccessError::RoleMissing`], [`AccessError::PurposeMissing`], or what kept the refusal from being written down.
    pub async fn admit(
        &self,
        officer: &Officer,
        operation: Operation,
        purpose: Option<Purpose>,
        asked: &Seen,
    ) -> Result<Admission, AccessError> {
        let refusal = if !officer.may(operation) {
            AccessError::RoleMissing { operation }
        } else if operation.shows_content() && purpose.is_none() {
            AccessError::PurposeMissing { operation }
        } else {
            return Ok(Admission { officer: officer.id, operation, purpose });
        };
        let refused = Admission { officer: officer.id, operation, purpose };
        self.note(&refused, asked, false).await?;
        Err(refusal)
    }

    /// Writes the look down, durably, and only then gives out what was withheld.
    ///
    /// # Errors
    /// When the entry cannot be made durable: then nobody sees anything.
    pub async fn show<T>(&self, admission: Admission, seen: &Seen, withheld: Withheld<T>) -> Result<T, AccessError> {
        self.note(&admission, seen, true).await?;
        Ok(withheld.0)
    }

    async fn note(&self, admission: &Admission, seen: &Seen, allowed: bool) -> Result<(), AccessError> {
        let submission = self.submission(admission, seen, allowed)?;
        self.append.append(submission).await?;
        Ok(())
    }

    fn submission(&self, admission: &Admission, seen: &Seen, allowed: bool) -> Result<Submission, AccessError> {
        let entry = EntryId::new(self.ids.fresh());
        let mut detail = Map::from_iter([
            ("allowed".to_owned(), Value::from(allowed)),
            ("count".to_owned(), Value::from(if allowed { seen.count } else { 0 })),
            ("operation".to_owned(), Value::from(admission.operation.as_str())),
        ]);
        if let Some(advisor) = seen.advisor {
            detail.insert("advisor".to_owned(), Value::from(advisor.to_string()));
        }
        if !seen.records.is_empty() {
            let named = seen.records.iter().take(NAMED).map(|id| Value::from(id.to_string()));
            detail.insert("records".to_owned(), Value::Array(named.collect()));
        }
        let mut draft = Draft {
            id: entry,
            entry_type: EntryType::Access,
            actor: Actor::Officer(admission.officer),
            captured_at: self.clock.now(),
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail,
        };
        let purpose = admission.purpose.as_ref().map(|purpose| (FieldName::PURPOSE, purpose.as_bytes()));
        let query = seen.query.as_ref().map(|query| (FieldName::QUERY, query.as_bytes()));
        let fields: Vec<_> = purpose.into_iter().chain(query).collect();
        if fields.is_empty() {
            return Ok(Submission::plain(draft));
        }
        // The officer's words get a record of their own, so that they can be shown or disposed of like any other content.
        let record = RecordId::new(self.ids.fresh());
        let mut random = Zeroizing::new([0; 44]);
        self.entropy.fill(random.as_mut_slice())?;
        let (key, nonce) = split(&random);
        let key = RecordKey::new(key);
        let mut sealed = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            draft.commitments.insert(name.clone(), Commitment::to(&key.salt(entry, &name), value));
            let ciphertext = Bytes::from(seal(&key.sealing_key(entry, &name), value)?);
            sealed.push(SealedField { name, ciphertext: Stored::Inline(ciphertext) });
        }
        draft.record = Some(record);
        let wrapped = self.master.wrap_key(record, &key, nonce)?;
        Ok(Submission { draft, key: Some((record, wrapped)), sealed })
    }
}

/// 32 bytes of key, 12 of nonce.
fn split(random: &[u8; 44]) -> ([u8; 32], [u8; 12]) {
    let mut bytes = random.iter().copied();
    let mut take = || bytes.next().unwrap_or_default();
    (std::array::from_fn(|_| take()), std::array::from_fn(|_| take()))
}
