//! Reads what matters of a CA certificate.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, NameConstraints};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::AuthorityError;

/// Stands for "no name at all" in constraints.
pub(super) const NO_NAME: &str = "nothing.invalid";

/// What matters of a certificate.
pub(super) struct Inspected {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    pub(super) public_key: Vec<u8>,
    pub(super) path_length: Option<u32>,
    pub(super) self_issued: bool,
    /// The names it permits, sorted; none when names are not constrained.
    pub(super) names: Option<Vec<String>>,
    is_authority: bool,
    may_sign: bool,
    serves: bool,
}

impl Inspected {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, AuthorityError> {
        let unreadable = |_source| AuthorityError::NotAnAuthority("it cannot be read");
        let (_rest, x509) = X509Certificate::from_der(certificate).map_err(unreadable)?;
        let malformed = |_source| AuthorityError::NotAnAuthority("an extension cannot be read");
        let basic = x509.basic_constraints().map_err(malformed)?;
        let usage = x509.key_usage().map_err(malformed)?;
        let extended = x509.extended_key_usage().map_err(malformed)?;
        let constraints = x509.name_constraints().map_err(malformed)?;
        Ok(Self {
            not_before: x509.validity().not_before.to_datetime(),
            not_after: x509.validity().not_after.to_datetime(),
            public_key: x509.public_key().subject_public_key.data.to_vec(),
            path_length: basic.as_ref().and_then(|basic| basic.value.path_len_constraint),
            self_issued: x509.subject() == x509.issuer(),
            names: constraints.and_then(|constraints| permitted(constraints.value)),
            is_authority: basic.as_ref().is_some_and(|basic| basic.value.ca),
            may_sign: usage.is_none_or(|usage| usage.value.key_cert_sign()),
            serves: extended.is_none_or(|extended| extended.value.any || extended.value.server_auth),
        })
    }

    /// Whether it may sign certificates for servers now.
    pub(super) fn check_authority(&self, now: OffsetDateTime) -> Result<(), AuthorityError> {
        let wrong = if !self.is_authority {
            "it is not marked as a CA"
        } else if !self.may_sign {
            "its key usage does not allow signing certificates"
        } else if !self.serves {
            "its extended key usage does not allow TLS servers"
        } else if self.not_after <= now {
            "it has expired"
        } else if self.not_before > now {
            "it is not valid yet"
        } else {
            return Ok(());
        };
        Err(AuthorityError::NotAnAuthority(wrong))
    }
}

fn permitted(constraints: &NameConstraints<'_>) -> Option<Vec<String>> {
    let subtrees = constraints.permitted_subtrees.as_ref()?;
    let mut names: Vec<String> = subtrees
        .iter()
        .filter_map(|subtree| match &subtree.base {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .filter(|name| name != NO_NAME)
        .collect();
    names.sort_unstable();
    Some(names)
}

/// An address with a mask of all ones, as this CA writes them.
fn address(bytes: &[u8]) -> Option<String> {
    let half = bytes.len() / 2;
    let (address, mask) = bytes.split_at_checked(half)?;
    if mask.iter().any(|b| *b != 0xff) {
        return None;
    }
    let ip: IpAddr = match half {
        4 => <[u8; 4]>::try_from(address).ok()?.into(),
        16 => <[u8; 16]>::try_from(address).ok()?.into(),
        _ => return None,
    };
    Some(ip.to_string())
}

/// Every certificate of a PEM text.
pub(super) fn from_pem(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().ok()
}

pub(super) fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for certificate in certificates {
        let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
