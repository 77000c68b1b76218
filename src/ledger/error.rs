//! What can be wrong with an entry.

use super::EntryType;

/// Bytes are not an entry, or a draft cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Longer than an entry may be.
    #[error("entry of {0} bytes is over the bound of 65535")]
    TooLong(usize),
    /// The bytes are not the canonical form of an entry.
    #[error("entry is not in canonical form at byte {at}: expected {expected}")]
    Form {
        /// Offset of the first byte that does not fit.
        at: usize,
        /// What would have fitted.
        expected: &'static str,
    },
    /// A detail that its type does not have, or of another shape.
    #[error("detail `{key}` of a {entry_type} entry: {problem}")]
    Detail {
        /// Type of the entry.
        entry_type: EntryType,
        /// Key inside `detail`.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The same advisor twice.
    #[error("an entry belongs to a stream once, and to at most 128")]
    Streams,
    /// The position has another number of stream indices than the draft has streams.
    #[error("position gives {given} stream indices for {wanted} streams")]
    StreamIndices {
        /// Streams of the draft.
        wanted: usize,
        /// Indices of the position.
        given: usize,
    },
}
