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

use super::held::{CheckpointRow, Held, Place};
use super::report::{Check, Failure, Failures, HistoryReport, Verdict, sum};
use super::unique::Unique;
use crate::ledger::{Break, Chain, Entry, EntryError, Frontier, Link, Node, leaf_hash};
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
        let (link, computed) = Link::read_with_leaf(row.body);
        Self { index: row.index, id: row.id, stored: row.leaf, computed, link }
    }

    /// The same for whoever needs the entry as well, which is none where the body is none.
    #[must_use]
    pub fn with_entry(row: &Row<'_>) -> (Self, Option<Entry>) {
        let (stored, computed) = (row.leaf, leaf_hash(row.body));
        let (link, entry) = match Entry::hashed(row.body.to_vec(), computed) {
            Ok(entry) => (Ok(Link::from(&entry)), Some(entry)),
            Err(error) => (Err(error), None),
        };
        (Self { index: row.index, id: row.id, stored, computed, link }, entry)
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
    has_policy: bool,
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
            has_policy: false,
        }
    }

    /// Asks for a checkpoint that meets a policy, too.
    pub const fn with_policy(&mut self) {
        self.has_policy = true;
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
        self.row_with(row, |_node, _hash| {})
    }

    /// Takes the next row and tells every perfect subtree that it completes, the leaf itself first; none where the tree is not known.
    ///
    /// # Errors
    /// See [`History::row`].
    pub fn row_with(&mut self, row: CheckedRow, completed: impl FnMut(Node, Digest)) -> io::Result<()> {
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
        self.grow(row.stored, row.computed, completed);
        if row.stored != row.computed {
            self.fail(Check::Leaves, index, "leaf is not the hash of the body");
        }
        match row.link {
            Ok(link) => {
                let other = match (link.index != index, link.id.uuid() != row.id) {
                    (false, false) => None,
                    (true, false) => Some("body says another index than the row"),
                    (false, true) => Some("body says another id than the row"),
                    (true, true) => Some("body says another index and another id than the row"),
                };
                if let Some(problem) = other {
                    self.fail(Check::Entries, index, problem);
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

    fn grow(&mut self, stored: Digest, computed: Digest, completed: impl FnMut(Node, Digest)) {
        if stored != computed && self.stored_tree.is_none() {
            self.stored_tree.clone_from(&self.tree);
        }
        if let Some(tree) = &mut self.stored_tree {
            tree.push(stored);
        }
        if let Some(tree) = &mut self.tree {
            tree.push_with(computed, completed);
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
        let roots = self.tree.as_ref().map(|tree| {
            let stored = self.stored_tree.as_ref().unwrap_or(tree);
            [tree.root(), stored.root()]
        });
        let held = if place == Place::Inside { &mut self.inside } else { &mut self.outside };
        if let Some(failure) = held.take(place, row, self.next, roots) {
            self.failures.add(failure);
        }
    }

    /// Ends the history.
    ///
    /// # Errors
    /// When ids cannot be sorted in the scratch directory.
    pub fn finish(mut self) -> io::Result<HistoryReport> {
        let ids = std::mem::replace(&mut self.ids, Unique::new(Path::new("")));
        for failure in self.inside.rest(Place::Inside).chain(self.outside.rest(Place::Outside)) {
            self.failures.add(failure);
        }
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
        checks.push((Check::Checkpoints, self.verdict(Check::Checkpoints, self.inside.why_not(self.has_keys))));
        let why = if self.wants_outside { self.outside.why_not(self.has_keys) } else { Some("none was given") };
        checks.push((Check::Outside, self.verdict(Check::Outside, why)));
        checks.push((Check::Content, Verdict::NotChecked { why: "content is sealed and not part of what was given" }));
        let witnessed = self.inside.witnessed.max(self.outside.witnessed);
        if self.has_policy {
            let met = if witnessed > 0 { Verdict::Verified } else { Verdict::Failed { check: Check::Quorum } };
            checks.push((Check::Quorum, met));
        }
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
            witnessed: self.has_policy.then_some(witnessed),
            checkpoints: self.inside.count,
            checks,
            changed: self.inside.changed(),
            changed_outside: self.outside.changed(),
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
}
