//! The desk: everybody who wants to look passes here.
//!
//! Invariant (P5): [`Desk::show`] returns only after the `access` entry is durable, and [`Withheld`] gives its value to nobody
//! else. So a handler that holds content as `Withheld` cannot answer before the look is on record.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{AccessError, Officer, Operation, Purpose, Scope};
use crate::archive::{Append, Submission};
use crate::capture::{Blobs, Entropy, Sealer, SealingError};
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::record::{AdvisorId, Clock, EntryId, FieldName, Ids, MasterKey, OfficerId, RecordId};

/// Record ids an entry names at most; a page is never longer.
pub(crate) const NAMED: usize = 512;

/// A look that may go ahead: who, what and why.
#[derive(Debug)]
pub struct Admission {
    officer: OfficerId,
    operation: Operation,
    purpose: Option<Purpose>,
    scope: Scope,
}

impl Admission {
    /// What the token reaches: what is shown must lie within it.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// A long look that is on record, and goes on.
#[derive(Debug)]
pub struct Begun(Admission);

/// What the look concerns.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The records shown, or asked for.
    pub records: Vec<RecordId>,
    /// How many items are shown.
    pub count: usize,
    /// The advisor asked for, or whose the thing shown is, where there is one.
    pub advisor: Option<AdvisorId>,
    /// The advisors, devices, accounts and officers shown themselves.
    pub subjects: Vec<Uuid>,
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
    sealer: Sealer,
}

impl Desk {
    /// Opens the desk.
    pub fn new(
        append: Arc<dyn Append>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        entropy: Arc<dyn Entropy>,
        master: MasterKey,
        blobs: Arc<dyn Blobs>,
    ) -> Self {
        Self { append, clock, sealer: Sealer { master, entropy, ids, blobs } }
    }

    /// Decides whether the officer may look. A refusal is on record too: who tried what is worth knowing.
    ///
    /// # Errors
    /// [`AccessError::RoleMissing`], [`AccessError::OutOfScope`], [`AccessError::PurposeMissing`], or what kept the refusal from being written down.
    pub async fn admit(
        &self,
        officer: &Officer,
        operation: Operation,
        purpose: Option<Purpose>,
        asked: &Seen,
    ) -> Result<Admission, AccessError> {
        let admission = Admission { officer: officer.id, operation, purpose, scope: officer.scope.clone() };
        let refusal = if !officer.holds(operation.permission()) {
            AccessError::RoleMissing { operation }
        } else if !officer.may(operation) {
            AccessError::OutOfScope { operation, by_advisor: false }
        } else if operation.shows_content() && admission.purpose.is_none() {
            AccessError::PurposeMissing { operation }
        } else {
            return Ok(admission);
        };
        self.note(&admission, asked, false).await?;
        Err(refusal)
    }

    /// Takes an admission back: what is asked for, or would be shown, is not only of those whom the token reaches. That goes on record
    /// like any refusal.
    ///
    /// # Errors
    /// When the entry cannot be made durable.
    pub async fn refuse(&self, admission: Admission, asked: &Seen) -> Result<AccessError, AccessError> {
        self.note(&admission, asked, false).await?;
        Ok(AccessError::OutOfScope { operation: admission.operation, by_advisor: true })
    }

    /// Writes the look down, durably, and only then gives out what was withheld.
    ///
    /// # Errors
    /// When the entry cannot be made durable: then nobody sees anything.
    pub async fn show<T>(&self, admission: Admission, seen: &Seen, withheld: Withheld<T>) -> Result<T, AccessError> {
        self.note(&admission, seen, true).await?;
        Ok(withheld.0)
    }

    /// Writes down that a long look begins. Only then may anything of it be shown; [`Self::end`] says how far it came.
    ///
    /// # Errors
    /// When the entry cannot be made durable: then nobody sees anything.
    pub async fn begin(&self, admission: Admission, seen: &Seen) -> Result<Begun, AccessError> {
        self.note(&admission, seen, true).await?;
        Ok(Begun(admission))
    }

    /// Writes down how far a long look came. It was on record before it began; this says more.
    ///
    /// # Errors
    /// When the entry cannot be made durable.
    pub async fn end(&self, begun: Begun, seen: &Seen) -> Result<(), AccessError> {
        let Begun(admission) = begun;
        self.note(&Admission { operation: Operation::RecordsExported, ..admission }, seen, true).await
    }

    async fn note(&self, admission: &Admission, seen: &Seen, allowed: bool) -> Result<(), AccessError> {
        let submission = self.submission(admission, seen, allowed)?;
        self.append.append(submission).await?;
        Ok(())
    }

    fn submission(&self, admission: &Admission, seen: &Seen, allowed: bool) -> Result<Submission, AccessError> {
        let look = Look {
            actor: Actor::Officer(admission.officer),
            operation: admission.operation,
            purpose: admission.purpose.as_ref(),
            seen,
            allowed,
        };
        Ok(look.submission(&*self.clock, &self.sealer)?)
    }
}

/// A look, to be written down.
struct Look<'a> {
    actor: Actor,
    operation: Operation,
    purpose: Option<&'a Purpose>,
    seen: &'a Seen,
    allowed: bool,
}

impl Look<'_> {
    fn submission(self, clock: &dyn Clock, sealer: &Sealer) -> Result<Submission, SealingError> {
        let (seen, detail) = (self.seen, detail(self.operation, self.seen, self.allowed));
        let draft = |id, commitments| Draft {
            id,
            entry_type: EntryType::Access,
            actor: self.actor,
            captured_at: clock.now(),
            record: None,
            streams: Vec::new(),
            commitments,
            detail,
        };
        let purpose = self.purpose.map(|purpose| (FieldName::PURPOSE, purpose.as_bytes().to_vec()));
        let query = seen.query.as_ref().map(|query| (FieldName::QUERY, query.as_bytes().to_vec()));
        let subjects = subjects(seen).map(|subjects| (FieldName::SUBJECTS, subjects));
        let mut fields = purpose.into_iter().chain(query).chain(subjects).peekable();
        if fields.peek().is_none() {
            return Ok(Submission::plain(draft(EntryId::new(sealer.ids.fresh()), Commitments::new())));
        }
        // The officer's words get a record of their own, so that they can be shown or disposed of like any other content.
        let (secret, key) = sealer.record()?;
        let mut envelope = sealer.envelope(&secret);
        for (name, value) in fields {
            envelope.put(name, &value)?;
        }
        Ok(envelope.close().submit(Some(key), draft))
    }
}

/// Each subject once, as the field has it: several devices have one advisor.
fn subjects(seen: &Seen) -> Option<Vec<u8>> {
    let mut told = BTreeSet::new();
    let named = seen.subjects.iter().filter(|id| told.insert(**id)).map(|id| Value::from(id.to_string()));
    let named: Vec<Value> = named.collect();
    if named.is_empty() { None } else { Some(Value::from(named).to_string().into_bytes()) }
}

/// What is to be appended before somebody on the firm's own machine sees what `operation` gives: nobody shows a token there, so the
/// entry names the command and not an officer.
pub(crate) fn look_by_command(
    clock: &dyn Clock,
    sealer: &Sealer,
    command: Actor,
    operation: Operation,
    purpose: Option<&Purpose>,
    seen: &Seen,
) -> Result<Submission, SealingError> {
    Look { actor: command, operation, purpose, seen, allowed: true }.submission(clock, sealer)
}

fn detail(operation: Operation, seen: &Seen, allowed: bool) -> Map<String, Value> {
    let mut detail = Map::from_iter([
        ("allowed".to_owned(), Value::from(allowed)),
        ("count".to_owned(), Value::from(if allowed { seen.count } else { 0 })),
        ("operation".to_owned(), Value::from(operation.as_str())),
    ]);
    if let Some(advisor) = seen.advisor {
        detail.insert("advisor".to_owned(), Value::from(advisor.to_string()));
    }
    if !seen.records.is_empty() {
        let named = seen.records.iter().take(NAMED).map(|id| Value::from(id.to_string()));
        detail.insert("records".to_owned(), Value::Array(named.collect()));
    }
    detail
}
