//! The bytes of one sealed field, as an answer: in memory where they are small, streamed where they are large.
//!
//! A large value is read twice: the first pass checks it to the end against its commitment, the second sends it. So nothing is
//! shown that the ledger does not commit to, and nothing is put down in the clear on the way.

use std::io::{self, Write};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive::{Content, Field};
use crate::ledger::Entry;
use crate::record::FieldName;

/// Pieces on the way to the officer at once.
const PIECES: usize = 8;

/// A field, checked, not yet shown.
pub(super) enum Checked {
    /// Here.
    Small(Vec<u8>),
    /// In the blob store, whole and as committed.
    Large(Box<Entry>, FieldName),
}

/// Finds a field and checks it.
pub(super) async fn check(api: &Api, entry: Entry, content: &Content, name: &str) -> Result<Checked, Problem> {
    let (name, field) = content.0.get_key_value(name).ok_or(Problem::new(ProblemKind::NotFound))?;
    match field {
        Field::Value(value) => Ok(Checked::Small(value.clone())),
        Field::Blob { .. } => {
            api.archive.read_blob(&entry, name, io::sink()).await?;
            Ok(Checked::Large(Box::new(entry), name.clone()))
        }
    }
}

/// The body of the answer.
pub(super) fn body(api: &Api, checked: Checked) -> Body {
    let (entry, name) = match checked {
        Checked::Small(value) => return Body::from(value),
        Checked::Large(entry, name) => (entry, name),
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    let archive = api.archive.clone();
    // Ends when the value does, or when the officer goes away and the channel closes.
    tokio::spawn(async move {
        let failed = sender.clone();
        if let Err(error) = archive.read_blob(&entry, &name, Pieces(sender)).await {
            tracing::warn!(entry.index = entry.index(), error = %error, "a field broke off while it was sent");
            // Cuts the answer off, so that what was sent is not taken for the whole.
            let _gone = failed.send(Err(io::Error::from(io::ErrorKind::BrokenPipe))).await;
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece: io::Result<Bytes>| (piece, receiver))
    }))
}

/// Hands pieces over from a blocking thread; waits while the officer is slow.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
