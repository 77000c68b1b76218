//! Why a filter finds a communication.

use super::filter::RecordFilter;
use super::records::CommunicationRow;
use crate::archive::words::{self, Match};

impl RecordFilter {
    /// Why the filter finds a communication: where its text, or what is attached to it, holds what is looked for.
    #[must_use]
    pub fn explain(&self, communication: &CommunicationRow) -> Vec<(Within, Match)> {
        let within = [(Within::Text, &communication.text), (Within::Attachments, &communication.attached)];
        let texts = within.into_iter().filter_map(|(within, text)| Some((within, text.as_deref()?)));
        let matches = texts.flat_map(|(within, text)| {
            let words = self.words.iter().flat_map(|words| words.explain(text));
            let characters = self.text.iter().flat_map(|typed| words::substrings(text, typed));
            words.chain(characters).map(|found| (within, found)).collect::<Vec<_>>()
        });
        matches.collect()
    }
}

/// Where in a communication something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In what it says.
    Text,
    /// In names and descriptions of what is attached.
    Attachments,
}
