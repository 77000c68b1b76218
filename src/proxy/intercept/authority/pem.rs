//! Certificates and keys as text (RFC 7468).

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::ImportError;
use super::key::CaKey;
use super::sealed::lines;

/// Certificates as PEM, in order.
pub(super) fn write(certificates: &[CertificateDer<'_>]) -> String {
    let block = |certificate: &CertificateDer<'_>| {
        format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines(certificate))
    };
    certificates.iter().map(block).collect()
}

/// Every certificate of a text; at least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, ImportError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(ImportError::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_source) => Err(ImportError::Unreadable),
    }
}

/// The first private key of a text.
pub(super) fn key(text: &str) -> Result<CaKey, ImportError> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_source| ImportError::NoKey)?;
    CaKey::from_der(Zeroizing::new(key.secret_der().to_vec())).ok_or(ImportError::NoKey)
}
