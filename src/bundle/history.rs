//! The whole history, row by row: what each row says for itself, then what it says of its place, then the tree.
//!
//! [`CheckedRow::of`] is the expensive part (hash and canonical form) and needs no other row, so it can run on every core;
//! [`History::row`] is cheap and takes the rows in order. Memory stays flat: streams and sources are counted, ids are sorted
//! outside, the tree is its frontier.
//!
//! The tree is grown over the bytes. While a stored leaf differs from its bytes, a second tree grows over the stored leaves: a
//! checkpoint that agrees with that one shows that the change is confined to the rows already named.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use uuid::Uuid;

use super::report::{Check, Failure, Failures, HistoryReport, Interval, Verdict, sum};
use super::unique::Unique;
use crate::ledger::{
    Break, Chain, Checkpoint, CheckpointError, EntryError, Frontier, Link, Note, VerifyingKey, leaf_hash,
};
use crate::record::Digest;

/// One row of `ledger.entries`.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Column `index`.
    pub index: u64,
    /// Column `id`.
    pub id: Uuid,
    /// Column `leaf`.
    pub leaf: Digest,
    /// Column `body`.
    pub body: &'a [u8],
}

/// A row after the checks that need no other row.
#[derive(Debug)]
pub struct CheckedRow {
    index: u64,
    id: Uuid,
    stored: Digest,
    computed: Digest,
    link: Result<Link, EntryError>,
}

impl CheckedRow {
    /// Hashes the body and reads what it says.
    #[must_use]
    pub fn of(row: &Row<'_>) -> Self {
        let (stored, computed) = (row.leaf, leaf_hash(row.body));
        Self { index: row.index, id: row.id, stored, computed, link: Link::read(row.body) }
    }

    /// Column `index`.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hash of the body.
    #[must_use]
    pub const fn computed(&self) -> Digest {
        self.computed
    }

    /// What the body says of its place; none where it is no entry.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref().ok()
    }
}

/// One checkpoint of `ledger.checkpoints`, or one held outside, after the checks that need no tree.
#[derive(Debug)]
pub struct CheckpointRow {
    /// What to call it.
    name: String,
    size: u64,
    opened: Result<Checkpoint, CheckpointError>,
    /// A key vouches for it.
    signed: bool,
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
        Self { name, size: size.unwrap_or(said), opened, signed }
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
struct Held {
    count: u64,
    /// Largest size that agrees and that a key vouches for.
    covered: u64,
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

/// Takes the rows of a ledger in order, and the checkpoints when their size is reached.
pub struct History<S> {
    failures: Failures<S>,
    next: u64,
    rows: u64,
    chain: Chain,
    ids: Unique,
    /// Over the bytes; none once a row is missing.
    tree: Option<Frontier>,
    /// Over the stored leaves, since the first that differs from its bytes.
    stored_tree: Option<Frontier>,
    inside: Held,
    outside: Held,
    wants_outside: bool,
    has_keys: bool,
}

impl<S: FnMut(Failure)> History<S> {
    /// Begins at index 0. Failures go to `sink` as they are found; ids that do not fit into memory are sorted in `scratch`.
    #[must_use]
    pub fn new(scratch: &Path, has_keys: bool, wants_outside: bool, sink: S) -> Self {
        Self {
            failures: Failures::new(sink),
            next: 0,
            rows: 0,
            chain: Chain::new(),
            ids: Unique::new(scratch),
            tree: Some(Frontier::new()),
            stored_tree: None,
            inside: Held::default(),
            outside: Held::default(),
            wants_outside,
            has_keys,
        }
    }

    /// Index of the row that should come next: checkpoints of at most this size are due before it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.next
    }

    fn fail(&mut self, check: Check, index: u64, problem: impl Into<String>) {
        self.failures.add(Failure { check, from: index, to: index, problem: problem.into() });
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// When ids cannot be sorted in the scratch directory.
    pub fn row(&mut self, row: CheckedRow) -> io::Result<()> {
        self.rows += 1;
        let index = row.index;
        if index < self.next {
            self.fail(Check::Rows, index, "comes again, or not in its order");
            return Ok(());
        }
        if index > self.next {
            let missing =
                Failure { check: Check::Rows, from: self.next, to: index - 1, problem: "is missing".to_owned() };
            self.failures.add(missing);
            self.lose();
        }
        self.next = index.saturating_add(1);
        self.ids.add(row.id.as_u128(), index)?;
        self.grow(row.stored, row.computed);
        if row.stored != row.computed {
            self.fail(Check::Leaves, index, "leaf is not the hash of the body");
        }
        match row.link {
            Ok(link) => {
                if link.index != index {
                    self.fail(Check::Entries, index, "body says another index than the row");
                }
                if link.id.uuid() != row.id {
                    self.fail(Check::Entries, index, "body says another id than the row");
                }
                self.follow(index, &link, row.stored, row.computed);
            }
            Err(problem) => {
                self.fail(Check::Entries, index, problem.to_string());
                self.chain.skip(row.stored, row.computed);
            }
        }
        Ok(())
    }

    /// Takes note of a row that cannot be read at all; it stands where the next one should.
    pub fn unreadable(&mut self, problem: &str) {
        self.rows += 1;
        self.fail(Check::Rows, self.next, problem);
        self.lose();
        self.next = self.next.saturating_add(1);
    }

    fn lose(&mut self) {
        self.chain.lose();
        self.tree = None;
        self.stored_tree = None;
    }

    fn grow(&mut self, stored: Digest, computed: Digest) {
        if stored != computed && self.stored_tree.is_none() {
            self.stored_tree.clone_from(&self.tree);
        }
        if let Some(tree) = &mut self.stored_tree {
            tree.push(stored);
        }
        if let Some(tree) = &mut self.tree {
            tree.push(computed);
        }
    }

    fn follow(&mut self, index: u64, link: &Link, stored: Digest, computed: Digest) {
        let failures = &mut self.failures;
        self.chain.follow(link, stored, computed, |broken| {
            let (check, from) = match broken {
                // Which of the two was changed, the link alone cannot tell: both are named.
                Break::Link => (Check::Chain, index.saturating_sub(1)),
                Break::Time => (Check::Times, index),
                Break::Stream { .. } => (Check::Streams, index),
                Break::Source { .. } => (Check::Sources, index),
            };
            let mut problem = broken.to_string();
            if broken == Break::Link && index > 0 {
                problem.clear();
                // Writing to a string cannot fail.
                let _written = write!(problem, "entry {index} {broken}: one of the two was changed");
            }
            failures.add(Failure { check, from, to: index, problem });
        });
    }

    /// Takes a checkpoint whose size is [`History::size`], or (once all rows were taken) larger. Checkpoints of one place come
    /// in the order of their sizes.
    pub fn checkpoint(&mut self, place: Place, row: &CheckpointRow) {
        let (check, size, next) = (place.check(), row.size, self.next);
        let answer = self.ask(row);
        let held = if place == Place::Inside { &mut self.inside } else { &mut self.outside };
        held.count += 1;
        let CheckpointRow { name, .. } = row;
        let (from, problem) = match answer {
            Answer::Agrees => {
                if row.signed {
                    held.covered = size;
                }
                if held.disagreed.is_none() {
                    held.agreed = size;
                }
                return;
            }
            Answer::Unknown => {
                held.unanswered = true;
                return;
            }
            Answer::Late => (size, format!("{name} comes out of order, when its tree is no longer known")),
            Answer::Unsound(error) => (size, format!("{name}: {error}")),
            Answer::Disagrees | Answer::Short if held.disagreed.is_some() => {
                held.later += 1;
                return;
            }
            Answer::Disagrees => {
                held.disagreed = Some(size);
                let after = held.agreed;
                (
                    after,
                    format!("{name} has another root: the first change is in entry {after} or later, before {size}"),
                )
            }
            Answer::Short => {
                held.disagreed = Some(size);
                (next, format!("{name} vouches for {size} entries, but there are {next}: entries were cut off"))
            }
        };
        held.told += 1;
        // The first ones tell the story; a log signed by a key that was not given would repeat it for every second.
        if held.told <= TOLD_MAX {
            let to = size.saturating_sub(1);
            self.failures.add(Failure { check, from: from.min(to), to, problem });
        }
    }

    /// Holds a checkpoint against the tree.
    fn ask(&self, row: &CheckpointRow) -> Answer {
        let checkpoint = match &row.opened {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Answer::Unsound(error.clone()),
        };
        if row.size > self.next {
            return Answer::Short;
        }
        let roots = [self.tree.as_ref(), self.stored_tree.as_ref()].map(|tree| tree.map(Frontier::root));
        match roots {
            [None, _] => Answer::Unknown,
            _ if row.size < self.next => Answer::Late,
            _ if roots.contains(&Some(checkpoint.root)) => Answer::Agrees,
            _ => Answer::Disagrees,
        }
    }

    /// What was counted and not told.
    fn tell_the_rest(&mut self) {
        for (place, held) in [(Place::Inside, &self.inside), (Place::Outside, &self.outside)] {
            let about = held.disagreed.unwrap_or(0).saturating_sub(1);
            let mut tell = |problem| {
                self.failures.add(Failure { check: place.check(), from: about, to: about, problem });
            };
            if held.later > 0 {
                tell(format!("{} later checkpoints do not agree either", held.later));
            }
            if held.told > TOLD_MAX {
                tell(format!("{} more checkpoints failed", held.told - TOLD_MAX));
            }
        }
    }

    /// Ends the history.
    ///
    /// # Errors
    /// When ids cannot be sorted in the scratch directory.
    pub fn finish(mut self) -> io::Result<HistoryReport> {
        let ids = std::mem::replace(&mut self.ids, Unique::new(Path::new("")));
        self.tell_the_rest();
        let failures = &mut self.failures;
        ids.finish(|index, first| {
            let problem = format!("has the id of entry {first}");
            failures.add(Failure { check: Check::Ids, from: index, to: index, problem });
        })?;
        let by_rows = [
            Check::Rows,
            Check::Entries,
            Check::Leaves,
            Check::Chain,
            Check::Times,
            Check::Ids,
            Check::Streams,
            Check::Sources,
        ];
        let mut checks: Vec<_> = by_rows.into_iter().map(|check| (check, self.verdict(check, None))).collect();
        checks.push((Check::Checkpoints, self.verdict(Check::Checkpoints, self.why_not(&self.inside))));
        let why = if self.wants_outside { self.why_not(&self.outside) } else { Some("none was given") };
        checks.push((Check::Outside, self.verdict(Check::Outside, why)));
        checks.push((Check::Content, Verdict::NotChecked { why: "content is sealed and not part of what was given" }));
        let covered = self.inside.covered.max(self.outside.covered);
        // A signed checkpoint from either place makes the history the log's; without one, it is only consistent with itself.
        let mut verdict = sum(&checks, |_check| false);
        if verdict == Verdict::Verified && covered == 0 {
            verdict = Verdict::NotChecked { why: "no checkpoint signed by a known key covers an entry" };
        }
        Ok(HistoryReport {
            verdict,
            entries: self.rows,
            root: self.tree.as_ref().map(Frontier::root),
            covered,
            checkpoints: self.inside.count,
            checks,
            changed: interval(&self.inside),
            changed_outside: interval(&self.outside),
            failed: self.failures.finish(),
        })
    }

    fn verdict(&self, check: Check, why_not: Option<&'static str>) -> Verdict {
        match why_not {
            _ if self.failures.has(check) => Verdict::Failed { check },
            Some(why) => Verdict::NotChecked { why },
            None => Verdict::Verified,
        }
    }

    const fn why_not(&self, held: &Held) -> Option<&'static str> {
        match held {
            Held { count: 0, .. } => Some("there is none"),
            _ if !self.has_keys => Some("no verifier key was given"),
            Held { unanswered: true, .. } => Some("rows are missing, so the tree is not known"),
            _ => None,
        }
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

fn interval(held: &Held) -> Option<Interval> {
    held.disagreed.map(|before| Interval { after: held.agreed, before })
}
