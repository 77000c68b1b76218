//! `muniment checkpoint`: the newest signed checkpoint, to be kept outside.

use std::fmt;

use serde::Serialize;

use super::visit::visit;
use crate::app::{AppError, Output, Verdict};
use crate::record::{Digest, Timestamp};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    origin: String,
    size: u64,
    root: Digest,
    at: Timestamp,
    /// The signed note, verbatim.
    note: String,
    /// What its signature is checked with.
    key: String,
}

impl fmt::Display for Answer {
    /// The note alone, byte for byte: this is redirected into a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

pub(in crate::app) fn run(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let answer = visit(settings, async |context, archive| {
        let published = archive.publish(true).await?.ok_or(AppError::NothingToPublish)?;
        Ok(Answer {
            origin: published.checkpoint.origin,
            size: published.checkpoint.size,
            root: published.checkpoint.root,
            at: published.at,
            note: published.note,
            key: context.signing.verifying_key().to_string(),
        })
    })?;
    output.note(format!("checkpoint of {} entries; its key: {}", answer.size, answer.key));
    output.print(&answer)?;
    Ok(Verdict::Done)
}
