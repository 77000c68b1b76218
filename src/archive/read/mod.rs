//! Reading: entries as they are, and their content opened with the master key.

mod content;
mod entries;

pub use content::{Content, Field};
