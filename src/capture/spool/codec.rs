//! A submission as bytes: what stands in a spool frame.
//!
//! ```text
//! payload = version, u8 = 1 ‖ length of head, u32 ‖ head (JSON) ‖ inline ciphertexts, one after the other
//! ```
//!
//! Invariant: `decode(encode(s))` is `s`, so that what is replayed is what was promised, down to the sealed bytes. Only this
//! service reads it, under the spool key; it is no format for others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::archive::{BlobDigest, SealedField, Stored, Submission};
use crate::ledger::{Draft, EntryType};
use crate::record::{AdvisorId, Commitment, Digest, EntryId, FieldName, RecordId, Timestamp, WrappedKey};

const VERSION: u8 = 1;

/// The payload of a frame is not a submission of this version.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Another version of the program wrote it.
    #[error("spooled by another version of muniment; replay it with that version first")]
    Version,
    /// Shorter or longer than it says.
    #[error("a spooled submission has not the length it says")]
    Length,
    /// Its head cannot be read or written.
    #[error("the head of a spooled submission is not as this version writes it")]
    Head(#[from] serde_json::Error),
    /// A value in the head is none of its kind.
    #[error("a spooled submission holds a bad {0}")]
    Value(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Head {
    id: EntryId,
    entry_type: EntryType,
    actor: String,
    captured_at: Timestamp,
    record: Option<RecordId>,
    streams: Vec<AdvisorId>,
    commitments: Vec<(FieldName, Commitment)>,
    detail: Map<String, Value>,
    key: Option<(RecordId, String)>,
    sealed: Vec<Field>,
}

#[derive(Serialize, Deserialize)]
struct Field {
    name: FieldName,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<Digest>,
}

pub(crate) fn encode(submission: &Submission) -> Result<Bytes, CodecError> {
    let draft = &submission.draft;
    let inline = submission.sealed.iter().filter_map(|field| match &field.ciphertext {
        Stored::Inline(bytes) => Some(bytes),
        Stored::Blob { .. } => None,
    });
    let head = serde_json::to_vec(&Head {
        id: draft.id,
        entry_type: draft.entry_type,
        actor: draft.actor.to_string(),
        captured_at: draft.captured_at,
        record: draft.record,
        streams: draft.streams.clone(),
        commitments: draft.commitments.iter().map(|(name, commitment)| (name.clone(), commitment)).collect(),
        detail: draft.detail.clone(),
        key: submission.key.as_ref().map(|(record, key)| (*record, URL_SAFE_NO_PAD.encode(key.as_bytes()))),
        sealed: submission.sealed.iter().map(Field::of).collect(),
    })?;
    let mut bytes = BytesMut::with_capacity(5 + head.len() + inline.clone().map(Bytes::len).sum::<usize>());
    bytes.put_u8(VERSION);
    bytes.put_u32(u32::try_from(head.len()).map_err(|_source| CodecError::Length)?);
    bytes.put_slice(&head);
    inline.for_each(|ciphertext| bytes.put_slice(ciphertext));
    Ok(bytes.freeze())
}

pub(crate) fn decode(payload: Vec<u8>) -> Result<Submission, CodecError> {
    let payload = Bytes::from(payload);
    let (version, rest) = payload.split_first().ok_or(CodecError::Length)?;
    if *version != VERSION {
        return Err(CodecError::Version);
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(CodecError::Length)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_source| CodecError::Length)?;
    let (head, inline) = rest.split_at_checked(length).ok_or(CodecError::Length)?;
    let head: Head = serde_json::from_slice(head)?;
    let mut inline = payload.slice_ref(inline);
    let sealed = head.sealed.into_iter().map(|field| field.take(&mut inline)).collect::<Result<_, _>>()?;
    if !inline.is_empty() {
        return Err(CodecError::Length);
    }
    let draft = Draft {
        id: head.id,
        entry_type: head.entry_type,
        actor: head.actor.parse().map_err(|_source| CodecError::Value("actor"))?,
        captured_at: head.captured_at,
        record: head.record,
        streams: head.streams,
        commitments: head.commitments.into_iter().collect(),
        detail: head.detail,
    };
    let key = head.key.map(|(record, text)| unwrap_text(&text).map(|key| (record, key))).transpose()?;
    Ok(Submission { draft, key, sealed })
}

fn unwrap_text(text: &str) -> Result<WrappedKey, CodecError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_source| CodecError::Value("wrapped key"))?;
    WrappedKey::try_from(bytes.as_slice()).map_err(|_source| CodecError::Value("wrapped key"))
}

impl Field {
    fn of(field: &SealedField) -> Self {
        let (size, blob) = match &field.ciphertext {
            Stored::Inline(bytes) => (bytes.len() as u64, None),
            Stored::Blob { digest, size } => (*size, Some(digest.0)),
        };
        Self { name: field.name.clone(), size, blob }
    }

    /// Cuts its bytes off the front of `inline`.
    fn take(self, inline: &mut Bytes) -> Result<SealedField, CodecError> {
        let ciphertext = match self.blob {
            Some(digest) => Stored::Blob { digest: BlobDigest(digest), size: self.size },
            None => {
                let size = usize::try_from(self.size).ok().filter(|size| *size <= inline.len());
                Stored::Inline(inline.split_to(size.ok_or(CodecError::Length)?))
            }
        };
        Ok(SealedField { name: self.name, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::ledger::Actor;
    use crate::record::{DeviceId, MasterKey, RecordKey, Salt};

    fn submission(fields: &[(u16, Vec<u8>)], streams: &[u128], keyed: bool) -> Submission {
        let record = RecordId::new(Uuid::from_u128(7));
        let sealed: Vec<_> = fields
            .iter()
            .map(|(number, bytes)| SealedField {
                name: FieldName::part(*number, crate::record::Part::Text),
                ciphertext: if number % 3 == 0 {
                    Stored::Blob { digest: BlobDigest(Digest::of(&[bytes])), size: bytes.len() as u64 }
                } else {
                    Stored::Inline(Bytes::from(bytes.clone()))
                },
            })
            .collect();
        let key = keyed
            .then(|| (record, MasterKey::new([5; 32]).wrap_key(record, &RecordKey::new([6; 32]), [7; 12]).unwrap()));
        let mut detail = Map::new();
        detail.insert("size".to_owned(), 7.into());
        detail.insert("kinds".to_owned(), serde_json::json!(["post", "reply"]));
        let draft = Draft {
            id: EntryId::new(Uuid::from_u128(9)),
            entry_type: EntryType::Capture,
            actor: Actor::Device(DeviceId::new(Uuid::from_u128(3))),
            captured_at: Timestamp::EPOCH,
            record: Some(record),
            streams: streams.iter().map(|id| AdvisorId::new(Uuid::from_u128(*id))).collect(),
            commitments: sealed
                .iter()
                .map(|field| (field.name.clone(), Commitment::to(&Salt::new([1; 32]), field.name.as_str().as_bytes())))
                .collect(),
            detail,
        };
        Submission { draft, key, sealed }
    }

    proptest! {
        #[test]
        fn a_submission_reads_back_as_it_was_written(
            fields in prop::collection::btree_map(0_u16..40, prop::collection::vec(any::<u8>(), 0..60), 0..8),
            streams in prop::collection::vec(any::<u128>(), 0..3), keyed in any::<bool>(),
        ) {
            let fields: Vec<_> = fields.into_iter().collect();
            let submission = submission(&fields, &streams, keyed);
            let bytes = encode(&submission).unwrap();
            let again = decode(bytes.to_vec()).unwrap();
            prop_assert_eq!(format!("{submission:?}"), format!("{again:?}"));
            prop_assert_eq!(encode(&again).unwrap(), bytes);
        }

        #[test]
        fn hostile_payloads_are_refused_without_panic(cut in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = encode(&submission(&[(1, vec![1; 20]), (2, vec![2; 20])], &[1], true)).unwrap().to_vec();
            let at = cut.index(bytes.len());
            bytes.truncate(at);
            bytes.extend(&junk);
            if let Ok(again) = decode(bytes.clone()) { prop_assert_eq!(encode(&again).unwrap(), bytes); }
            drop(decode(junk));
        }
    }
}
