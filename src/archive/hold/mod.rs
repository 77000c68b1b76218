//! Matters, and the holds that are placed for them: what their entries say, written down and read again.
//!
//! Invariants: an entry is durable before anything counts, and what a hold covers is decided by `ledger.holds_on`, from the ledger's own
//! tables, never from the projections that are shown here. Who may do what, and when, is decided in `retain`.

mod cover;
mod history;
mod matters;
mod place;
mod rows;
mod turn;

pub use cover::{Covering, Selecting};
pub use history::{HoldEntryRow, MatterEntryRow};
pub use matters::{CustodianRow, MatterChange, MatterRow, MatterState, MatterWords, NewMatterEntry, NoticeRow};
pub use place::{HoldScope, HoldTerms, HoldWords};
pub use rows::HoldRow;
pub use turn::{KeeperTurn, MatterTurn};

/// Targets in one entry at most: as many as a list of an entry may have.
pub const TARGETS_MAX: usize = 512;
