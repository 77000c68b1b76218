//! Mints leaves: one host, one key, never longer than the issuer.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::AuthorityError;
use super::authority::{Issuing, serial};

/// So long a leaf holds, at most.
const LIFE: Duration = Duration::days(3);
const BACKDATED: Duration = Duration::hours(1);
/// RFC 5280: a common name has at most 64 characters.
const COMMON_NAME: usize = 64;

/// A leaf, ready to be shown.
pub(super) struct Leaf {
    pub(super) config: Arc<ServerConfig>,
    pub(super) not_after: OffsetDateTime,
}

/// Makes a certificate for one host.
pub(super) fn certificate(
    issuing: &Issuing,
    host: &str,
    now: OffsetDateTime,
) -> Result<(CertificateDer<'static>, KeyPair, OffsetDateTime), AuthorityError> {
    if issuing.not_after <= now {
        return Err(AuthorityError::Expired);
    }
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATED).max(issuing.not_before);
    params.not_after = (now + LIFE).min(issuing.not_after);
    params.serial_number = Some(serial()?);
    let mut subject = DistinguishedName::new();
    let name = match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_name) => SanType::DnsName(host.try_into()?),
    };
    // Without a subject the SAN is critical (RFC 5280 §4.2.1.6), which rcgen sees to. An address has none: OpenSSL would hold
    // it against the constraints for DNS names.
    if host.len() <= COMMON_NAME && matches!(name, SanType::DnsName(_)) {
        subject.push(DnType::CommonName, host);
    }
    params.distinguished_name = subject;
    params.subject_alt_names = vec![name];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // The issuer's own identifier, byte for byte, whoever computed it and how.
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.signed_by(&key, &issuing.issuer)?;
    Ok((certificate.der().clone(), key, params.not_after))
}

/// Mints a leaf, with what serves it.
pub(super) fn mint(issuing: &Issuing, host: &str, now: OffsetDateTime) -> Result<Leaf, AuthorityError> {
    let (certificate, key, not_after) = certificate(issuing, host, now)?;
    let chain = std::iter::once(certificate).chain(issuing.chain.iter().cloned()).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // One ticket is what a device uses; early data stays at zero: it can be replayed, and a record cannot.
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(Leaf { config: Arc::new(config), not_after })
}
