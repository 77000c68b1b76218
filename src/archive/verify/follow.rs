//! Follows the rows in order: the chain and the tree by [`History`], and the tables beside the entries against them.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::content::Checked;
use super::finding::Findings;
use super::orders::Orders;
use super::side::Side;
use crate::bundle::{CheckedRow, CheckpointRow, Failure, History, HistoryReport, Place};
use crate::ledger::{Node, TILE_WIDTH};
use crate::record::{Digest, SourceId};

/// Checks of tables that repeat what entries say, and of tiles.
const TABLES: &str = "tables";
const TILES: &str = "tiles";

/// What comes out of a worker, in order.
pub(super) enum Done {
    /// A new run begins, with its tables.
    Side(Box<Side>),
    /// Rows; `None` for one that cannot be read.
    Rows(Vec<Option<CheckedRow>>, Checked),
    /// The run is over.
    End,
}

/// Follows.
pub(super) struct Follower {
    history: History<Box<dyn FnMut(Failure) + Send>>,
    findings: Findings,
    side: Option<Box<Side>>,
    /// The checkpoint kept in a file, until its size is reached.
    /// Smallest first.
    outside: Vec<CheckpointRow>,
    tree: Option<TileWatch>,
    /// Next count of each source, as entries say.
    sources: HashMap<SourceId, u64>,
    /// Tiles must be there up to this size.
    published: u64,
    orders: Orders,
    pub(super) fields: u64,
}

/// Collects the hashes that stand in tiles, as the tree grows.
#[derive(Default)]
struct TileWatch {
    levels: Vec<Vec<Digest>>,
}

impl TileWatch {
    /// Answers with the hashes of a tile that is full now.
    fn take(&mut self, node: Node, hash: Digest) -> Option<Vec<Digest>> {
        if !node.level.is_multiple_of(8) {
            return None;
        }
        let level = usize::from(node.level / 8);
        self.levels.resize_with(self.levels.len().max(level + 1), Vec::new);
        let hashes = self.levels.get_mut(level)?;
        hashes.push(hash);
        (hashes.len() == usize::from(TILE_WIDTH)).then(|| std::mem::take(hashes))
    }
}

impl Follower {
    pub(super) fn new(
        scratch: &Path,
        has_keys: bool,
        outside: Vec<CheckpointRow>,
        published: u64,
        orders: Orders,
        findings: Findings,
    ) -> Self {
        let sink = findings.clone();
        let sink: Box<dyn FnMut(Failure) + Send> = Box::new(move |failure| sink.add(failure.into()));
        Self {
            history: History::new(scratch, has_keys, !outside.is_empty(), sink),
            findings,
            side: None,
            outside,
            tree: Some(TileWatch::default()),
            sources: HashMap::new(),
            published,
            orders,
            fields: 0,
        }
    }

    /// Takes the next piece; gives back what content it was about, once a run of rows is through.
    pub(super) fn take(&mut self, done: Done) -> io::Result<Option<Checked>> {
        match done {
            Done::Side(side) => {
                self.side = Some(side);
                Ok(None)
            }
            Done::Rows(rows, mut checked) => {
                let mut orders = std::mem::take(&mut checked.orders).into_iter().peekable();
                for row in rows {
                    let index = row.as_ref().map(CheckedRow::index);
                    self.row(row)?;
                    let Some(side) = &mut self.side else { continue };
                    while let Some(order) = orders.next_if(|order| Some(order.index()) == index) {
                        self.orders.order(order, &mut side.noted, &mut checked.questions);
                    }
                }
                self.fields += checked.fields;
                Ok(Some(checked))
            }
            Done::End => {
                self.end_of_run();
                Ok(None)
            }
        }
    }

    fn row(&mut self, row: Option<CheckedRow>) -> io::Result<()> {
        self.take_due(false);
        let Some(row) = row else {
            self.tree = None;
            self.history.unreadable("cannot be read");
            return Ok(());
        };
        if row.index() != self.history.size() {
            // From here on the tree is not known, and what depends on it is not compared.
            self.tree = None;
        }
        self.tables(&row);
        let mut full = Vec::new();
        let Self { history, tree, .. } = self;
        history.row_with(row, |node, hash| {
            let hashes = tree.as_mut().and_then(|tree| tree.take(node, hash));
            full.extend(hashes.map(|hashes| (node.level / 8, node.index / u64::from(TILE_WIDTH), hashes)));
        })?;
        let size = history.size();
        for (level, index, hashes) in full {
            self.full_tile(size, level, index, &hashes);
        }
        Ok(())
    }

    fn take_due(&mut self, at_end: bool) {
        let size = self.history.size();
        if let Some(side) = &mut self.side {
            let due = side.checkpoints.iter().take_while(|row| at_end || row.size() <= size).count();
            for row in side.checkpoints.drain(..due) {
                self.history.checkpoint(Place::Inside, &row);
            }
        }
        let due = self.outside.iter().take_while(|row| at_end || row.size() <= size).count();
        for row in self.outside.drain(..due) {
            self.history.checkpoint(Place::Outside, &row);
        }
    }

    fn tables(&mut self, row: &CheckedRow) {
        let Some(link) = row.link() else { return };
        *self.sources.entry(link.source).or_default() = link.source_index.saturating_add(1);
        let Some(side) = &mut self.side else { return };
        self.orders.entry(row.index(), link, &mut side.noted);
        for position in link.streams.iter() {
            if !side.take_stream(row.index(), position) {
                self.findings.at(TABLES, row.index(), format!("stream {} lacks this entry in its table", position.id));
            }
        }
        // One row for each group, at the last entry of the group.
        while let Some((at, source, next)) = side.sources.first().copied().filter(|(at, ..)| *at <= row.index()) {
            side.sources.remove(0);
            if at != row.index() || self.sources.get(&source) != Some(&next) {
                self.findings.at(TABLES, at, format!("source {source} is counted otherwise in its table"));
            }
        }
    }

    fn full_tile(&self, size: u64, level: u8, index: u64, hashes: &[Digest]) {
        let stored = self.side.iter().flat_map(|side| &side.tiles).find(|(l, i, _)| (*l, *i) == (level, index));
        let problem = match stored {
            None if size <= self.published => "is missing",
            Some((.., stored)) if stored != hashes => "does not hold the hashes of its entries",
            None | Some(_) => return,
        };
        let span = u64::from(TILE_WIDTH).saturating_pow(u32::from(level) + 1);
        self.findings.add(super::Finding {
            check: TILES,
            from: size.saturating_sub(span),
            to: size.saturating_sub(1),
            problem: format!("tile {index} of level {level} {problem}"),
        });
    }

    fn end_of_run(&mut self) {
        self.take_due(false);
        let Some(side) = self.side.as_mut() else { return };
        for (index, stream, place) in side.rest_of_streams() {
            self.findings.at(
                TABLES,
                index,
                format!("place {place} of stream {stream} is in the table and not in the entry"),
            );
        }
        for (at, source, _next) in side.sources.drain(..) {
            self.findings.at(TABLES, at, format!("source {source} is counted in the table and not by an entry"));
        }
        self.orders.rest(std::mem::take(&mut side.noted));
        for index in std::mem::take(&mut side.strays) {
            self.findings.at(super::content::CHECK, index, "content is stored for an entry that is not there");
        }
    }

    /// Ends: checkpoints that speak of more than there is come last.
    pub(super) fn finish(mut self, rest: Vec<CheckpointRow>) -> io::Result<HistoryReport> {
        self.take_due(true);
        for row in rest {
            self.history.checkpoint(Place::Inside, &row);
        }
        self.history.finish()
    }
}
