//! The private key of a CA: P-256 when we make it; P-256, P-384, RSA or Ed25519 when the firm brings it.
//!
//! Invariant: a key leaves this type only as DER in memory that is wiped. Browsers accept no Ed25519 certificates: such a CA serves
//! other clients only.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use zeroize::Zeroizing;

use super::der::{self, NULL, element, oid, sequence};
use super::error::AuthorityError;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<rsa::KeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// A private key that signs certificates.
pub(super) struct CaKey {
    pair: Pair,
    der: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl CaKey {
    /// A new P-256 key.
    pub(super) fn generate() -> Result<Self, AuthorityError> {
        let (pair, der) = p256()?;
        let public = ec_public(P256, pair.public_key().as_ref());
        Ok(Self { pair: Pair::P256(pair), der, public })
    }

    /// From PKCS #8, SEC 1 or PKCS #1; nothing when it is no key that we can sign with.
    pub(super) fn from_der(der: Zeroizing<Vec<u8>>) -> Option<Self> {
        let (pair, public) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            let public = sequence(&[&sequence(&[&oid(ED25519)]), &der::bits(pair.public_key().as_ref())]);
            (Pair::Ed25519(pair), public)
        } else if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der) {
            let public = ec_public(P256, pair.public_key().as_ref());
            (Pair::P256(pair), public)
        } else if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_ASN1_SIGNING, &der) {
            let public = ec_public(P384, pair.public_key().as_ref());
            (Pair::P384(pair), public)
        } else {
            let pair = rsa::KeyPair::from_pkcs8(&der).or_else(|_not_pkcs8| rsa::KeyPair::from_der(&der)).ok()?;
            let algorithm = sequence(&[&oid(RSA_ENCRYPTION), &element(NULL, &[])]);
            let public = sequence(&[&algorithm, &der::bits(pair.public_key().as_ref())]);
            (Pair::Rsa(Box::new(pair)), public)
        };
        Some(Self { pair, der, public })
    }

    /// The private key.
    pub(super) fn der(&self) -> &Zeroizing<Vec<u8>> {
        &self.der
    }

    /// `SubjectPublicKeyInfo`.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// `AlgorithmIdentifier` of its signatures.
    pub(super) fn algorithm(&self) -> Vec<u8> {
        match self.pair {
            Pair::P256(_) => sequence(&[&oid(ECDSA_WITH_SHA256)]),
            Pair::P384(_) => sequence(&[&oid(ECDSA_WITH_SHA384)]),
            // RFC 4055 §5: the parameters of these must be NULL.
            Pair::Rsa(_) => sequence(&[&oid(RSA_WITH_SHA256), &element(NULL, &[])]),
            Pair::Ed25519(_) => sequence(&[&oid(ED25519)]),
        }
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        let random = SystemRandom::new();
        let failed = |_unspecified| AuthorityError::Library("sign a certificate");
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, message).map(|signed| signed.as_ref().to_vec()).map_err(failed)
            }
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signed| signed.as_ref().to_vec()).map_err(failed),
        }
    }
}

/// A fresh key for one leaf: its PKCS #8 form and its `SubjectPublicKeyInfo`.
pub(super) fn leaf_key() -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), AuthorityError> {
    let (pair, der) = p256()?;
    let public = ec_public(P256, pair.public_key().as_ref());
    Ok((der, public))
}

fn p256() -> Result<(EcdsaKeyPair, Zeroizing<Vec<u8>>), AuthorityError> {
    let failed = |_unspecified| AuthorityError::Library("make a key");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let der = Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec());
    Ok((pair, der))
}

fn ec_public(curve: &[u8], point: &[u8]) -> Vec<u8> {
    sequence(&[&sequence(&[&oid(EC_PUBLIC_KEY), &oid(curve)]), &der::bits(point)])
}
