//! The one byte encoding that is hashed: RFC 8785 (JSON Canonicalization Scheme).

/// The value has no canonical form (a number that is not finite, or a map key that is not a string).
#[derive(Debug, thiserror::Error)]
#[error("value has no rfc 8785 form: {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The RFC 8785 bytes of a value.
///
/// Integers above 2^53 do not survive RFC 8785 (numbers are IEEE doubles there): entries never hold such numbers.
///
/// # Errors
/// See [`CanonicalError`].
pub fn canonical<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}
