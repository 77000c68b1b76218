//! Words: how texts are made searchable, and what a search for words means.
//!
//! A text is a sequence of words (runs of letters and digits). Each is kept as written, without its diacritics, and as its stems in
//! every language that is written like it, because nobody says which language a post is in. Invariant: the same text is always
//! kept in the same way, so projections can be made again; another version of the stemmers needs them made again.
//!
//! Pure. Knows nothing of records, and of Postgres only how a `tsvector` and a `tsquery` are written.

mod explain;
mod fold;
mod query;
mod stem;
mod token;
mod vector;

pub(super) use explain::substrings;
pub use explain::{How, Match};
pub(super) use fold::folded;
pub use query::{WordQuery, WordQueryError};
pub(super) use vector::vector;
