//! What certificates say: the three kinds we make, and the fields we read of any.
//!
//! Invariants (RFC 5280): an issuer's subject is repeated byte for byte, and its SKI is the AKI of what it signs; serial numbers are
//! random; a leaf has no SKI, an empty subject and a critical SAN (a common name is limited to 64 bytes, hosts are not).

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, ServerName};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::der::{
    BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, SET, UTF8_STRING, bits, constructed, context, element, moment, oid,
    sequence,
};
use super::error::{AuthorityError, ImportError};
use super::key::CaKey;
use super::names::PermittedNames;
use crate::record::Timestamp;

const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// Longest organisation and common name (RFC 5280 appendix A.1), in characters.
const LONGEST_NAME: usize = 64;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: OffsetDateTime,
    pub(super) until: OffsetDateTime,
}

/// Whose signature a certificate bears.
pub(super) struct Signer<'a> {
    pub(super) key: &'a CaKey,
    /// Its subject, as DER.
    pub(super) subject: &'a [u8],
    pub(super) key_id: &'a [u8],
}

/// 20 bytes that name a public key (RFC 7093 §2, method 4 over the whole `SubjectPublicKeyInfo`).
pub(super) fn key_id(public: &[u8]) -> Vec<u8> {
    digest(&SHA256, public).as_ref().iter().copied().take(20).collect()
}

/// `O=firm, CN=name`.
pub(super) fn subject(firm: &str, name: &str) -> Vec<u8> {
    let attribute = |kind: &[u8], text: &str| {
        let text: String = text.chars().take(LONGEST_NAME).collect();
        element(SET, &[&sequence(&[&oid(kind), &element(UTF8_STRING, &[text.as_bytes()])])])
    };
    let organisation = if firm.is_empty() { Vec::new() } else { attribute(ORGANISATION, firm) };
    sequence(&[&organisation, &attribute(COMMON_NAME, name)])
}

/// A root: signs issuing CAs only (path length 1), signed by itself.
pub(super) fn root(key: &CaKey, subject: &[u8], validity: Validity) -> Result<CertificateDer<'static>, AuthorityError> {
    let key_id = key_id(key.public());
    let extensions = [
        plain(SUBJECT_KEY_IDENTIFIER, &element(OCTET_STRING, &[&key_id])),
        critical(BASIC_CONSTRAINTS, &authority(1)),
        critical(KEY_USAGE, &KEY_CERT_SIGN),
    ];
    sign(&Signer { key, subject, key_id: &key_id }, subject, key.public(), validity, &extensions)
}

/// An issuing CA: signs leaves only, for TLS servers only, for these names only.
pub(super) fn issuing(
    signer: &Signer<'_>,
    subject: &[u8],
    public: &[u8],
    validity: Validity,
    names: &PermittedNames,
) -> Result<CertificateDer<'static>, AuthorityError> {
    let extensions = [
        authority_key(signer),
        plain(SUBJECT_KEY_IDENTIFIER, &element(OCTET_STRING, &[&key_id(public)])),
        critical(BASIC_CONSTRAINTS, &authority(0)),
        critical(KEY_USAGE, &KEY_CERT_SIGN),
        plain(EXTENDED_KEY_USAGE, &sequence(&[&oid(SERVER_AUTH)])),
        critical(NAME_CONSTRAINTS, &names.to_der()),
    ];
    sign(signer, subject, public, validity, &extensions)
}

/// A leaf for one host.
pub(super) fn leaf(
    signer: &Signer<'_>,
    host: &ServerName<'_>,
    public: &[u8],
    validity: Validity,
) -> Result<CertificateDer<'static>, AuthorityError> {
    let name = match host {
        ServerName::DnsName(name) => element(context(2), &[name.as_ref().as_bytes()]),
        ServerName::IpAddress(address) => match std::net::IpAddr::from(*address) {
            std::net::IpAddr::V4(v4) => element(context(7), &[&v4.octets()]),
            std::net::IpAddr::V6(v6) => element(context(7), &[&v6.octets()]),
        },
        _ => return Err(AuthorityError::Library("write this kind of host into a certificate")),
    };
    let extensions = [
        authority_key(signer),
        critical(KEY_USAGE, &DIGITAL_SIGNATURE),
        plain(EXTENDED_KEY_USAGE, &sequence(&[&oid(SERVER_AUTH)])),
        critical(SUBJECT_ALT_NAME, &sequence(&[&name])),
    ];
    sign(signer, &sequence(&[]), public, validity, &extensions)
}

/// `keyCertSign`, `cRLSign` and `digitalSignature` as bit strings with their unused bits.
const KEY_CERT_SIGN: [u8; 4] = [BIT_STRING, 2, 1, 0x06];
const DIGITAL_SIGNATURE: [u8; 4] = [BIT_STRING, 2, 7, 0x80];

fn authority(path_length: u8) -> Vec<u8> {
    sequence(&[&element(BOOLEAN, &[&[0xff]]), &element(INTEGER, &[&[path_length]])])
}

fn authority_key(signer: &Signer<'_>) -> Vec<u8> {
    plain(AUTHORITY_KEY_IDENTIFIER, &sequence(&[&element(context(0), &[signer.key_id])]))
}

fn plain(kind: &[u8], content: &[u8]) -> Vec<u8> {
    sequence(&[&oid(kind), &element(OCTET_STRING, &[content])])
}

fn critical(kind: &[u8], content: &[u8]) -> Vec<u8> {
    sequence(&[&oid(kind), &element(BOOLEAN, &[&[0xff]]), &element(OCTET_STRING, &[content])])
}

fn sign<const N: usize>(
    signer: &Signer<'_>,
    subject: &[u8],
    public: &[u8],
    validity: Validity,
    extensions: &[Vec<u8>; N],
) -> Result<CertificateDer<'static>, AuthorityError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_unspecified| AuthorityError::Library("give random bytes"))?;
    // Positive, and of one length: 126 random bits.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    let algorithm = signer.key.algorithm();
    let extensions = sequence(&[&extensions.concat()]);
    let body = sequence(&[
        &element(constructed(0), &[&element(INTEGER, &[&[2]])]),
        &element(INTEGER, &[&serial]),
        &algorithm,
        signer.subject,
        &sequence(&[&moment(validity.from), &moment(validity.until)]),
        subject,
        public,
        &element(constructed(3), &[&extensions]),
    ]);
    let signature = signer.key.sign(&body)?;
    Ok(sequence(&[&body, &algorithm, &bits(&signature)]).into())
}

/// What we read of a CA certificate.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// As DER.
    pub(super) subject: Vec<u8>,
    /// For a person.
    pub(super) subject_text: String,
    pub(super) public: Vec<u8>,
    /// Its SKI, or what stands for one where it has none.
    pub(super) key_id: Vec<u8>,
    pub(super) validity: Validity,
    pub(super) is_authority: bool,
    pub(super) may_sign: bool,
    pub(super) for_servers: bool,
    pub(super) path_length: Option<u32>,
    pub(super) self_signed: bool,
    /// Its critical name constraints, where it has such as ours.
    pub(super) names: Option<PermittedNames>,
}

impl Facts {
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, ImportError> {
        let unreadable = |_source| ImportError::Unreadable;
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_source| ImportError::Unreadable)?;
        if !rest.is_empty() {
            return Err(ImportError::Unreadable);
        }
        let basic = parsed.basic_constraints().map_err(unreadable)?;
        let usage = parsed.key_usage().map_err(unreadable)?;
        let extended = parsed.extended_key_usage().map_err(unreadable)?;
        let constraints = parsed.name_constraints().map_err(unreadable)?;
        let public = parsed.public_key().raw.to_vec();
        let own_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let own_name = parsed.subject().as_raw() == parsed.issuer().as_raw();
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            subject_text: parsed.subject().to_string(),
            key_id: own_id.unwrap_or_else(|| key_id(&public)),
            validity: Validity {
                from: parsed.validity().not_before.to_datetime(),
                until: parsed.validity().not_after.to_datetime(),
            },
            is_authority: basic.as_ref().is_some_and(|basic| basic.value.ca),
            path_length: basic.and_then(|basic| basic.value.path_len_constraint),
            may_sign: usage.is_none_or(|usage| usage.value.key_cert_sign()),
            for_servers: extended.is_none_or(|extended| extended.value.server_auth || extended.value.any),
            self_signed: own_name && parsed.verify_signature(None).is_ok(),
            names: constraints
                .filter(|constraints| constraints.critical)
                .and_then(|constraints| PermittedNames::read(constraints.value)),
            public,
        })
    }

    /// Whether `now` lies within its time.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), ImportError> {
        let Validity { from, until } = self.validity;
        if from <= now.date_time() && now.date_time() < until {
            return Ok(());
        }
        Err(ImportError::NotNow { from: Timestamp::new(from), until: Timestamp::new(until) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn made() -> CertificateDer<'static> {
        let key = CaKey::generate().unwrap();
        let validity = Validity { from: datetime!(2026-11-21 0:00 UTC), until: datetime!(2036-11-21 0:00 UTC) };
        root(&key, &subject("Example Advisers", "root"), validity).unwrap()
    }

    #[test]
    fn long_and_odd_firm_names_stay_within_the_limits_of_a_subject() {
        for firm in ["", "é".repeat(200).as_str(), "a,b=c+d\"", "株式会社"] {
            let der = subject(firm, "muniment issuing CA");
            let (rest, name) = x509_parser::x509::X509Name::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(name.iter_common_name().next().unwrap().as_str().unwrap(), "muniment issuing CA");
            let organisation = name.iter_organization().next().map(|o| o.as_str().unwrap().to_owned());
            let expected: String = firm.chars().take(64).collect();
            assert_eq!(organisation.unwrap_or_default(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_judged(
            bytes in proptest::collection::vec(0_u8.., 0..300),
            at in 0_usize..400,
            change in 1_u8..,
        ) {
            // Anything may be refused; nothing may end the process.
            let _judged = Facts::read(&bytes.into());
            let mut der = made().to_vec();
            let place = at % der.len();
            der[place] ^= change;
            let _judged = Facts::read(&der.into());
        }
    }
}
