//! What is known of attachments whose bytes are in the request: their size and digest, beside what the rule says of them.
//!
//! The bytes themselves are kept once, in the request body; the list says where in it they are.

use std::io::{self, Read};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::facts::to_value;
use crate::exchange::{Body, ScrubbedBody};
use crate::recognize::{Attachment, AttachmentSource};
use crate::record::Digest;

/// The list as it is sealed.
pub(crate) fn described(attachments: &[Attachment], body: &ScrubbedBody, sent: &Body) -> io::Result<Vec<Value>> {
    attachments.iter().map(|attachment| describe(attachment, body, sent)).collect()
}

fn describe(attachment: &Attachment, body: &ScrubbedBody, sent: &Body) -> io::Result<Value> {
    let mut value = to_value(attachment);
    let reader = match attachment.source {
        None => None,
        Some(AttachmentSource::Body) => Some(sent.reader()?),
        Some(AttachmentSource::Part(number)) => body.file(sent, number)?,
    };
    if let (Some(reader), Some(object)) = (reader, value.as_object_mut()) {
        let (size, digest) = measure(reader)?;
        object.insert("size".to_owned(), size.into());
        object.insert("digest".to_owned(), digest.to_string().into());
    }
    Ok(value)
}

fn measure(mut reader: impl Read) -> io::Result<(u64, Digest)> {
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, Digest(hasher.finalize().into())));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        size += read as u64;
    }
}
