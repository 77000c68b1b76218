//! A signed statement that is no note: a DSSE envelope, so that tools for supply chains read it.
//!
//! The log's own key signs it. What is signed begins with `DSSEv1` and ends without a newline, so that no signature of an envelope is one of a
//! note, and none of a note one of an envelope. An envelope has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::note_key::Public;
use super::{NoteError, SigningKey, VerifyingKey};

/// Signs a payload of this type; the envelope is one line of JSON.
#[must_use]
pub fn seal_envelope(key: &SigningKey, payload_type: &str, payload: &[u8]) -> String {
    let signature = key.sign(&signed_bytes(payload_type, payload));
    spell(payload_type, payload, &key_name(key.verifying_key()), &signature)
}

/// Reads an envelope of this type and checks its signature, which must be by one of these keys, and that one a log's. Answers with the payload
/// and the key's name.
///
/// # Errors
/// When it has another form or spelling, or is not so signed.
pub fn open_envelope(line: &[u8], payload_type: &str, keys: &[VerifyingKey]) -> Result<(Vec<u8>, String), NoteError> {
    let (payload, key_name_given, signature) = read_envelope(line, payload_type)?;
    let key = keys.iter().find(|key| key.is_log_key() && key_name(key) == key_name_given).ok_or(NoteError::Unsigned)?;
    let Public::Ed25519(point) = &key.public else { return Err(NoteError::Unsigned) };
    let message = signed_bytes(payload_type, &payload);
    match point.verify_strict(&message, &ed25519_dalek::Signature::from_bytes(&signature)) {
        Ok(()) => Ok((payload, key_name_given)),
        Err(_source) => Err(NoteError::Signature { name: key.name().to_owned(), id: key.id() }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Reads an envelope, and leaves its signature unchecked: the payload, the key's name, the signature.
///
/// # Errors
/// When it has another form or spelling.
pub fn read_envelope(line: &[u8], payload_type: &str) -> Result<(Vec<u8>, String, [u8; 64]), NoteError> {
    let form = || NoteError::Form("the envelope is not spelled as ours");
    let envelope: Envelope = serde_json::from_slice(line).map_err(|_source| form())?;
    let [signature] = envelope.signatures.as_slice() else { return Err(form()) };
    let payload = STANDARD.decode(&envelope.payload).map_err(|_source| form())?;
    let bytes = STANDARD.decode(&signature.sig).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(form)?;
    let same = spell(payload_type, &payload, &signature.keyid, &bytes).as_bytes() == line;
    if same && envelope.payload_type == payload_type {
        Ok((payload, signature.keyid.clone(), bytes))
    } else {
        Err(form())
    }
}

/// What a key is called: its name and id, as in a verifier key.
fn key_name(key: &VerifyingKey) -> String {
    format!("{}+{}", key.name(), key.id())
}

fn spell(payload_type: &str, payload: &[u8], key: &str, signature: &[u8]) -> String {
    let (payload, sig) = (STANDARD.encode(payload), STANDARD.encode(signature));
    // A key name may hold what JSON must escape.
    let key = serde_json::Value::from(key);
    format!(
        "{{\"payload\":\"{payload}\",\"payloadType\":\"{payload_type}\",\"signatures\":[{{\"keyid\":{key},\"sig\":\"{sig}\"}}]}}\n"
    )
}

/// DSSE's pre-authentication encoding.
fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.in-toto+json";

    #[test]
    fn an_envelope_opens_under_its_key_and_every_changed_bit_is_refused() {
        let key = SigningKey::new("ledger.firm.example", &[9; 32]).unwrap();
        let keys = [key.verifying_key().clone()];
        let sealed = seal_envelope(&key, TYPE, b"{\"a\":1}");
        let (payload, by) = open_envelope(sealed.as_bytes(), TYPE, &keys).unwrap();
        assert_eq!((payload.as_slice(), by), (b"{\"a\":1}".as_slice(), format!("{}+{}", keys[0].name(), keys[0].id())));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(open_envelope(&bytes, TYPE, &keys).is_err(), "byte {at} bit {bit}");
            }
        }
        let other = SigningKey::new("ledger.firm.example", &[8; 32]).unwrap();
        let forged = seal_envelope(&other, TYPE, b"{}");
        assert_eq!(open_envelope(forged.as_bytes(), TYPE, &keys), Err(NoteError::Unsigned));
    }
}
