//! The firm CA: a root that devices trust, and below it an issuing CA that can speak for the intercepted names only.
//!
//! ```text
//! root CA (made once, or the firm's own; key sealed)        ca/root.pem   ca/root.key
//!   └─ issuing CA (≤ 14 days, new key and subject each time) ca/issuing.pem ca/issuing.key
//!        └─ leaf per host, its own key (see `leaf`)
//! ```
//! Invariant (P3): an issuing certificate made here carries critical name constraints: permitted exactly the intercepted names,
//! every IP range excluded but listed addresses. Whoever steals its key cannot speak for a bank. What it does not do: it never
//! hands out the root key, and it cannot constrain an issuing CA that the firm brings itself; it says so ([`Issuing::is_constrained`]).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::AuthorityError;
use super::inspect::{self, Inspected};
use super::sealed_key::{Lock, random};
use super::store::Files;
use crate::record::{Clock, Digest};

/// How long an issuing certificate holds, its back-dating included.
const ISSUING_LIFE: Duration = Duration::days(14);
/// So long before now it begins, for devices whose clock is slow.
const BACKDATED: Duration = Duration::hours(1);
const ROOT_LIFE: Duration = Duration::days(3650);

/// The issuing CA in force.
pub struct Issuing {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// Its certificate, then those above it that are not roots: what a device is shown after the leaf.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    /// Changes with every issuing certificate; leaves are cached by it.
    pub(super) generation: Digest,
    /// The names it may speak for; none when it is not constrained.
    names: Option<Vec<String>>,
}

impl Issuing {
    /// Whether its certificate limits the names it can speak for. One that the firm brought may not.
    #[must_use]
    pub const fn is_constrained(&self) -> bool {
        self.names.is_some()
    }

    /// When it expires.
    #[must_use]
    pub const fn expires(&self) -> OffsetDateTime {
        self.not_after
    }

    fn half_life(&self) -> OffsetDateTime {
        self.not_before + (self.not_after - self.not_before) / 2
    }
}

/// The firm CA.
pub struct Authority {
    files: Files,
    lock: Lock,
    firm: String,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<Issuing>>,
    /// The certificates devices are to trust (and what lies between), the signer of issuing certificates first.
    parents: RwLock<Vec<CertificateDer<'static>>>,
    changing: Mutex<()>,
}

impl Authority {
    /// Opens the CA in a directory, and makes it where there is none. `names` are the hosts it is to speak for.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn open(
        directory: &Path,
        lock: Lock,
        firm: &str,
        names: &[String],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthorityError> {
        let files = Files::new(directory)?;
        let now = clock.now().date_time();
        if files.root_certificates()?.is_none() {
            let (certificate, key) = make_root(firm, now)?;
            files.store_root(&[certificate], Some(&key.serialize_der()), &lock)?;
        }
        let parents = files.root_certificates()?.ok_or_else(|| files.missing_root())?;
        let current = match load_issuing(&files, &lock, &parents)? {
            Some(issuing) => issuing,
            None => issue(&files, &lock, &parents, firm, names, now, "there is none yet")?,
        };
        let authority = Self {
            files,
            lock,
            firm: firm.to_owned(),
            clock,
            current: RwLock::new(Arc::new(current)),
            parents: RwLock::new(parents),
            changing: Mutex::new(()),
        };
        authority.ensure(names)?;
        Ok(authority)
    }

    /// The issuing CA in force.
    #[must_use]
    pub fn issuing(&self) -> Arc<Issuing> {
        Arc::clone(&self.current.read())
    }

    /// The certificate that devices are to trust, as DER.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.parents.read().last().cloned().unwrap_or_else(|| Vec::new().into())
    }

    /// The certificate that devices are to trust, as PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        inspect::to_pem(&[self.root()])
    }

    /// Makes a new issuing certificate when the list of names has changed or half of its life is over, and takes up one that another
    /// process made (`muniment ca rotate`). True when the issuing certificate changed. Blocks on files.
    ///
    /// # Errors
    /// See [`AuthorityError`]; the certificate in force stays.
    pub fn ensure(&self, names: &[String]) -> Result<bool, AuthorityError> {
        let _one_at_a_time = self.changing.lock();
        let before = self.issuing().generation;
        let parents = self.files.root_certificates()?.ok_or_else(|| self.files.missing_root())?;
        if let Some(stored) = load_issuing(&self.files, &self.lock, &parents)?
            && stored.generation != before
        {
            *self.current.write() = Arc::new(stored);
            *self.parents.write() = parents.clone();
        }
        let current = self.issuing();
        let now = self.clock.now().date_time();
        let expired = current.not_after <= now;
        let why = if expired {
            "it has expired"
        } else if self.files.has_root_key() && current.half_life() <= now {
            "half of its life is over"
        } else if !covers(&current, names) {
            "the list of intercepted hosts has changed"
        } else {
            return Ok(current.generation != before);
        };
        if self.files.is_issuing_imported() {
            let missing = names.iter().find(|name| !permits(&current, name));
            return match missing {
                _ if expired => Err(AuthorityError::Expired),
                Some(name) => Err(AuthorityError::NotPermitted(name.clone())),
                None => Ok(current.generation != before),
            };
        }
        let issuing = issue(&self.files, &self.lock, &parents, &self.firm, names, now, why)?;
        *self.current.write() = Arc::new(issuing);
        *self.parents.write() = parents;
        Ok(true)
    }

    /// Makes a new issuing certificate with a new key and subject. Devices need no change.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn rotate(&self, names: &[String]) -> Result<(), AuthorityError> {
        let _one_at_a_time = self.changing.lock();
        if self.files.is_issuing_imported() {
            return Err(AuthorityError::RootKeyAway("rotation was asked for"));
        }
        let parents = self.files.root_certificates()?.ok_or_else(|| self.files.missing_root())?;
        let now = self.clock.now().date_time();
        let issuing = issue(&self.files, &self.lock, &parents, &self.firm, names, now, "rotation was asked for")?;
        *self.current.write() = Arc::new(issuing);
        *self.parents.write() = parents;
        Ok(())
    }

    /// Takes in the firm's own CA: a root (or a CA below one), under which issuing certificates are made here; or, where its path length
    /// is 0, an issuing CA. `certificates` is PEM, the CA's own first, then those above it up to the one devices trust.
    ///
    /// # Errors
    /// When it is no CA, has expired, or the key is another's; nothing is changed then.
    pub fn import(
        directory: &Path,
        lock: &Lock,
        certificates: &str,
        private_key: &str,
        clock: &dyn Clock,
    ) -> Result<(), AuthorityError> {
        let files = Files::new(directory)?;
        let chain = inspect::from_pem(certificates.as_bytes())
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| AuthorityError::NoCertificate { path: PathBuf::from("what was given") })?;
        let key = KeyPair::from_pem(private_key).map_err(|_source| AuthorityError::UnreadableKey)?;
        let (own, above) = chain.split_first().ok_or(AuthorityError::NotAnAuthority("there is none"))?;
        let inspected = Inspected::of(own)?;
        inspected.check_authority(clock.now().date_time())?;
        if inspected.public_key != key.public_key_raw() {
            return Err(AuthorityError::KeyMismatch);
        }
        if inspected.path_length == Some(0) {
            if above.is_empty() {
                return Err(AuthorityError::NotAnAuthority("an issuing CA comes with the certificates above it"));
            }
            files.store_root(above, None, lock)?;
            files.store_issuing(std::slice::from_ref(own), &key.serialize_der(), lock, true)
        } else {
            files.forget_issuing()?;
            files.store_root(&chain, Some(&key.serialize_der()), lock)
        }
    }
}

fn covers(issuing: &Issuing, names: &[String]) -> bool {
    issuing.names.as_ref().is_none_or(|own| own == names)
}

fn permits(issuing: &Issuing, name: &str) -> bool {
    issuing.names.as_ref().is_none_or(|own| {
        own.iter().any(|permitted| {
            permitted == name || name.strip_suffix(permitted.as_str()).is_some_and(|rest| rest.ends_with('.'))
        })
    })
}

fn load_issuing(
    files: &Files,
    lock: &Lock,
    parents: &[CertificateDer<'static>],
) -> Result<Option<Issuing>, AuthorityError> {
    let Some((certificates, key)) = files.issuing(lock)? else { return Ok(None) };
    let Some(own) = certificates.first() else { return Ok(None) };
    let key = KeyPair::try_from(key.as_slice()).map_err(|_source| AuthorityError::UnreadableKey)?;
    assemble(own.clone(), key, parents).map(Some)
}

fn assemble(
    own: CertificateDer<'static>,
    key: KeyPair,
    parents: &[CertificateDer<'static>],
) -> Result<Issuing, AuthorityError> {
    let inspected = Inspected::of(&own)?;
    if inspected.public_key != key.public_key_raw() {
        return Err(AuthorityError::KeyMismatch);
    }
    let issuer = Issuer::from_ca_cert_der(&own, key)?;
    let between = parents.iter().filter(|parent| Inspected::of(parent).is_ok_and(|parent| !parent.self_issued));
    Ok(Issuing {
        issuer,
        not_before: inspected.not_before,
        not_after: inspected.not_after,
        generation: Digest::of(&[&own]),
        names: inspected.names,
        chain: std::iter::once(own.clone()).chain(between.cloned()).collect(),
    })
}

fn issue(
    files: &Files,
    lock: &Lock,
    parents: &[CertificateDer<'static>],
    firm: &str,
    names: &[String],
    now: OffsetDateTime,
    why: &'static str,
) -> Result<Issuing, AuthorityError> {
    let signer = parents.first().ok_or_else(|| files.missing_root())?;
    let root_key = files.root_key(lock)?.ok_or(AuthorityError::RootKeyAway(why))?;
    let root_key = KeyPair::try_from(root_key.as_slice()).map_err(|_source| AuthorityError::UnreadableKey)?;
    let above = Inspected::of(signer)?;
    above.check_authority(now)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let params = issuing_params(firm, names, now, &above)?;
    let certificate = params.signed_by(&key, &Issuer::from_ca_cert_der(signer, &root_key)?)?;
    let own = certificate.der().clone();
    files.store_issuing(std::slice::from_ref(&own), &key.serialize_der(), lock, false)?;
    tracing::info!(reason = why, count = names.len(), "issuing certificate made");
    assemble(own, key, parents)
}

fn issuing_params(
    firm: &str,
    names: &[String],
    now: OffsetDateTime,
    above: &Inspected,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATED).max(above.not_before);
    params.not_after = (params.not_before + ISSUING_LIFE).min(above.not_after);
    params.serial_number = Some(serial()?);
    // A subject of its own: two issuers of one name with different keys confuse every path builder.
    params.distinguished_name = subject(firm, &format!("issuing CA {} {}", now.date(), hex::encode(random::<4>()?)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.name_constraints = Some(constraints(names));
    Ok(params)
}

/// Permitted: exactly these names (RFC 5280 includes the names below them). Excluded: every address that is not listed.
fn constraints(names: &[String]) -> NameConstraints {
    let addresses: Vec<IpAddr> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let mut permitted: Vec<GeneralSubtree> = names
        .iter()
        .filter(|name| name.parse::<IpAddr>().is_err())
        .map(|name| GeneralSubtree::DnsName(name.clone()))
        .collect();
    if permitted.is_empty() {
        // A kind of name that is not mentioned is not constrained; this one is nobody's (RFC 2606).
        permitted.push(GeneralSubtree::DnsName(inspect::NO_NAME.to_owned()));
    }
    let bits = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
    permitted.extend(addresses.iter().map(|ip| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, bits(ip)))));
    // An exclusion wins over a permission, so a family with a listed address is limited by permission alone.
    let mut excluded = Vec::new();
    if !addresses.iter().any(IpAddr::is_ipv4) {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)));
    }
    if !addresses.iter().any(IpAddr::is_ipv6) {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)));
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}

fn make_root(firm: &str, now: OffsetDateTime) -> Result<(CertificateDer<'static>, KeyPair), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.not_before = now - BACKDATED;
    params.not_after = now + ROOT_LIFE;
    params.serial_number = Some(serial()?);
    params.distinguished_name = subject(firm, &format!("recording root CA {}", hex::encode(random::<4>()?)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().clone(), key))
}

/// RFC 5280 allows 64 characters in each part of a name.
fn subject(firm: &str, role: &str) -> DistinguishedName {
    let cut = |text: &str, limit: usize| -> String { text.chars().filter(|c| !c.is_control()).take(limit).collect() };
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, cut(firm, 64));
    let room = 64_usize.saturating_sub(role.chars().count() + 1);
    name.push(DnType::CommonName, format!("{} {role}", cut(firm, room)));
    name
}

/// Positive, random, and short (RFC 5280 allows 20 bytes).
pub(super) fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = random::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from(bytes.to_vec()))
}
