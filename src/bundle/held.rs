//! Checkpoints held against the tree: those kept with the entries, and those held outside.
//!
//! Invariant: of each place, the first checkpoint that does not agree and the last that agreed before it bound the first change.

use super::report::{Check, Failure, Interval};
use crate::ledger::{Checkpoint, CheckpointError, Note, Policy, VerifyingKey};
use crate::record::Digest;

/// One checkpoint of `ledger.checkpoints`, or one held outside, after the checks that need no tree.
#[derive(Debug)]
pub struct CheckpointRow {
    /// What to call it.
    name: String,
    size: u64,
    opened: Result<Checkpoint, CheckpointError>,
    /// A key vouches for it.
    signed: bool,
    /// It meets the policy that was given.
    witnessed: bool,
}

impl CheckpointRow {
    /// Reads a row of `ledger.checkpoints` and checks its signatures. Without keys the signatures are left unchecked.
    #[must_use]
    pub fn of(size: u64, note: &[u8], keys: &[VerifyingKey]) -> Self {
        Self::read(format!("checkpoint of size {size}"), Some(size), note, keys)
    }

    /// Reads a checkpoint that was kept by itself, under some name.
    #[must_use]
    pub fn held(name: &str, note: &[u8], keys: &[VerifyingKey]) -> Self {
        Self::read(format!("checkpoint {name}"), None, note, keys)
    }

    fn read(name: String, size: Option<u64>, note: &[u8], keys: &[VerifyingKey]) -> Self {
        let opened = if keys.is_empty() {
            Note::parse(note).map_err(CheckpointError::from).and_then(|note| Checkpoint::parse(note.text()))
        } else {
            Checkpoint::open(note, keys).map(|(checkpoint, _vouched)| checkpoint)
        };
        let said = opened.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let (signed, opened) = match (size, opened) {
            (Some(size), Ok(checkpoint)) if size != checkpoint.size => {
                (false, Err(CheckpointError::Form("size is not the one that stands beside it")))
            }
            (_, opened) => (opened.is_ok() && !keys.is_empty(), opened),
        };
        Self { name, size: size.unwrap_or(said), opened, signed, witnessed: false }
    }

    /// Holds its note against a policy as well.
    #[must_use]
    pub fn under(self, note: &[u8], policy: Option<&Policy>, keys: &[VerifyingKey]) -> Self {
        let witnessed = self.signed && policy.is_some_and(|policy| policy.open(note, keys).is_ok());
        Self { witnessed, ..self }
    }

    /// Number of entries it speaks of.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Has it the form of a checkpoint, and is it signed, as far as keys were given?
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.opened.is_ok()
    }
}

/// Where a checkpoint was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With the entries: whoever can rewrite them can take it away, but not make it without the log's key.
    Inside,
    /// Somewhere else.
    Outside,
}

impl Place {
    const fn check(self) -> Check {
        match self {
            Self::Inside => Check::Checkpoints,
            Self::Outside => Check::Outside,
        }
    }
}

/// Most failures of checkpoints of one place that are told one by one.
const TOLD_MAX: u64 = 100;

/// What the checkpoints of one place showed so far.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) count: u64,
    /// Largest size that agrees and that a key vouches for.
    pub(super) covered: u64,
    /// Largest size that agrees and meets the policy.
    pub(super) witnessed: u64,
    /// Largest size that agrees, before the first that does not.
    agreed: u64,
    disagreed: Option<u64>,
    /// How many failed for themselves.
    told: u64,
    /// How many disagree after the first that does.
    later: u64,
    /// The tree was unknown when it was asked for.
    unanswered: bool,
}

impl Held {
    /// Takes the next checkpoint, when `next` entries were seen and the tree over them has these roots (over the bytes and over the
    /// stored leaves); none when it is not known.
    pub(super) fn take(
        &mut self,
        place: Place,
        row: &CheckpointRow,
        next: u64,
        roots: Option<[Digest; 2]>,
    ) -> Option<Failure> {
        let CheckpointRow { name, size, .. } = row;
        let size = *size;
        self.count += 1;
        let (from, problem) = match ask(row, next, roots) {
            Answer::Agrees => {
                if row.signed {
                    self.covered = size;
                }
                if row.witnessed {
                    self.witnessed = size;
                }
                if self.disagreed.is_none() {
                    self.agreed = size;
                }
                return None;
            }
            Answer::Unknown => {
                self.unanswered = true;
                return None;
            }
            Answer::Late => (size, format!("{name} comes out of order, when its tree is no longer known")),
            Answer::Unsound(error) => (size, format!("{name}: {error}")),
            Answer::Disagrees | Answer::Short if self.disagreed.is_some() => {
                self.later += 1;
                return None;
            }
            Answer::Disagrees => {
                self.disagreed = Some(size);
                let after = self.agreed;
                let problem =
                    format!("{name} has another root: the first change is in entry {after} or later, before {size}");
                (after, problem)
            }
            Answer::Short => {
                self.disagreed = Some(size);
                (next, format!("{name} vouches for {size} entries, but there are {next}: entries were cut off"))
            }
        };
        self.told += 1;
        let to = size.saturating_sub(1);
        // The first ones tell the story; a log signed by a key that was not given would repeat it for every second.
        (self.told <= TOLD_MAX).then(|| Failure { check: place.check(), from: from.min(to), to, problem })
    }

    /// What was counted and not told.
    pub(super) fn rest(&self, place: Place) -> impl Iterator<Item = Failure> + use<> {
        let about = self.disagreed.unwrap_or(0).saturating_sub(1);
        let more = self.told.saturating_sub(TOLD_MAX);
        let later = (self.later > 0).then(|| format!("{} later checkpoints do not agree either", self.later));
        let more = (more > 0).then(|| format!("{more} more checkpoints failed"));
        let failure = move |problem| Failure { check: place.check(), from: about, to: about, problem };
        later.into_iter().chain(more).map(failure)
    }

    /// Why nothing can be said, if that is so.
    pub(super) const fn why_not(&self, has_keys: bool) -> Option<&'static str> {
        match self {
            Self { count: 0, .. } => Some("there is none"),
            _ if !has_keys => Some("no verifier key was given"),
            Self { unanswered: true, .. } => Some("rows are missing, so the tree is not known"),
            _ => None,
        }
    }

    /// Bounds of the first change.
    pub(super) fn changed(&self) -> Option<Interval> {
        self.disagreed.map(|before| Interval { after: self.agreed, before })
    }
}

enum Answer {
    Agrees,
    Disagrees,
    /// There are fewer entries.
    Short,
    /// Rows are missing, so the tree is not known.
    Unknown,
    /// The tree has grown past that size.
    Late,
    Unsound(CheckpointError),
}

/// Holds a checkpoint against the tree.
fn ask(row: &CheckpointRow, next: u64, roots: Option<[Digest; 2]>) -> Answer {
    match (&row.opened, roots) {
        (Err(error), _) => Answer::Unsound(error.clone()),
        _ if row.size > next => Answer::Short,
        (_, None) => Answer::Unknown,
        _ if row.size < next => Answer::Late,
        (Ok(checkpoint), Some(roots)) if roots.contains(&checkpoint.root) => Answer::Agrees,
        _ => Answer::Disagrees,
    }
}
