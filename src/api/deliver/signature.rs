//! Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, one for each secret that counts. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of `webhook-signature`; none for a key that the algorithm does not take, which there is not.
pub(super) fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a [u8; 32]>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Option<String> {
    let mut signatures = Vec::new();
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    Some(signatures.join(" ")).filter(|signatures| !signatures.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// HMAC written out (RFC 2104), so that two implementations must agree.
    fn by_hand(secret: &[u8; 32], message: &[u8]) -> String {
        use sha2::Digest as _;
        let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| secret.get(at).copied().unwrap_or(0) ^ with).collect() };
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
        STANDARD.encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
    }

    proptest! {
        #[test]
        fn a_signature_is_the_hmac_of_id_time_and_body_for_each_secret(
            secrets in prop::collection::vec(any::<[u8; 32]>(), 1..4), id in "[a-z0-9_]{1,60}", time in 0_i64..1 << 40,
            body in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let signed = sign(&secrets, &id, time, &body).unwrap();
            let message = [format!("{id}.{time}.").as_bytes(), &body].concat();
            let expected: Vec<String> = secrets.iter().map(|secret| format!("v1,{}", by_hand(secret, &message))).collect();
            prop_assert_eq!(signed.split(' ').collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn nothing_goes_unsigned() {
        assert_eq!(sign([], "msg_1", 1, b"x"), None);
    }
}
