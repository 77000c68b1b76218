//! The firm CA, judged by OpenSSL.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use time::Duration;

use super::authority::Issuing;
use super::inspect::to_pem;
use super::{Authority, AuthorityError, Lock, leaf};
use crate::record::{Clock, MasterKey, Timestamp};

struct SetClock(Mutex<Timestamp>);

impl SetClock {
    #[expect(clippy::disallowed_methods, reason = "OpenSSL compares with the system's clock")]
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::new(time::OffsetDateTime::now_utc()))))
    }

    fn pass(&self, span: Duration) {
        let mut now = self.0.lock();
        *now = Timestamp::new(now.date_time() + span);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

fn names(list: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

fn lock() -> Lock {
    Lock::Master(MasterKey::new([3; 32]))
}

fn open(directory: &Path, list: &[&str], clock: &Arc<SetClock>) -> Result<Authority, AuthorityError> {
    Authority::open(
        directory,
        lock(),
        "Müller & Söhne, Financial Advisors of Somewhere Quite Far Away",
        &names(list),
        clock.clone(),
    )
}

/// What OpenSSL says of a leaf below this issuing CA, asked for the host as a TLS client would.
fn openssl(authority: &Authority, issuing: &Issuing, leaf: &CertificateDer<'_>, host: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("root.pem"), authority.root_pem()).unwrap();
    std::fs::write(path("chain.pem"), to_pem(&issuing.chain)).unwrap();
    std::fs::write(path("leaf.pem"), to_pem(std::slice::from_ref(leaf))).unwrap();
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-CAfile"]).arg(path("root.pem"));
    command.arg("-untrusted").arg(path("chain.pem"));
    command.args(if host.parse::<std::net::IpAddr>().is_ok() {
        ["-verify_ip", host]
    } else {
        ["-verify_hostname", host]
    });
    let output = command.arg(path("leaf.pem")).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn text(certificate: &CertificateDer<'_>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certificate.pem");
    std::fs::write(&path, to_pem(std::slice::from_ref(certificate))).unwrap();
    let output = Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A leaf made by somebody who has stolen the issuing key, and is bound by nothing but its certificate.
fn forged(issuing: &Issuing, san: Option<SanType>, common_name: &str) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.not_before = issuing.not_before;
    params.not_after = issuing.not_after;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = san.into_iter().collect();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(super::authority::serial().unwrap());
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &issuing.issuer).unwrap().der().clone()
}

fn dns(name: &str) -> Option<SanType> {
    Some(SanType::DnsName(name.try_into().unwrap()))
}

#[test]
fn openssl_accepts_a_leaf_for_a_listed_host() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let long = format!("{}.social.example", "a".repeat(60));
    let authority =
        open(directory.path(), &["social.example", "host.bsky.network", "192.0.2.7", "2001:db8::7"], &clock).unwrap();
    let issuing = authority.issuing();
    for host in ["social.example", "pds1.host.bsky.network", "192.0.2.7", "2001:db8::7", long.as_str()] {
        let (leaf, _key, _until) = leaf::certificate(&issuing, host, clock.now().date_time()).unwrap();
        assert_eq!(openssl(&authority, &issuing, &leaf, host), Ok(()), "{host}");
    }
}

#[test]
fn p3_openssl_rejects_a_leaf_for_an_unlisted_name_or_address_even_from_a_stolen_issuing_key() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example", "*.never.used"], &clock).unwrap();
    let issuing = authority.issuing();
    assert!(issuing.is_constrained());
    assert_eq!(openssl(&authority, &issuing, &forged(&issuing, dns("social.example"), "x"), "social.example"), Ok(()));
    for host in ["bank.example", "notsocial.example", "example", "social.example.evil.test"] {
        let refused = openssl(&authority, &issuing, &forged(&issuing, dns(host), "x"), host).unwrap_err();
        assert!(refused.contains("permitted subtree violation"), "{host}: {refused}");
    }
    for address in ["192.0.2.7", "127.0.0.1", "2001:db8::7"] {
        let leaf = forged(&issuing, Some(SanType::IpAddress(address.parse().unwrap())), "x");
        let refused = openssl(&authority, &issuing, &leaf, address).unwrap_err();
        assert!(refused.contains("excluded subtree violation"), "{address}: {refused}");
    }
    // Where there is no SAN, OpenSSL takes the common name for the host.
    assert!(openssl(&authority, &issuing, &forged(&issuing, None, "bank.example"), "bank.example").is_err());
}

#[test]
fn p3_a_listed_address_permits_itself_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["192.0.2.7"], &clock).unwrap();
    let issuing = authority.issuing();
    let of = |address: &str| forged(&issuing, Some(SanType::IpAddress(address.parse().unwrap())), "x");
    assert_eq!(openssl(&authority, &issuing, &of("192.0.2.7"), "192.0.2.7"), Ok(()));
    for address in ["192.0.2.8", "2001:db8::7"] {
        assert!(openssl(&authority, &issuing, &of(address), address).is_err(), "{address}");
    }
    // With no name on the list, no name is permitted.
    assert!(openssl(&authority, &issuing, &forged(&issuing, dns("bank.example"), "x"), "bank.example").is_err());
}

#[test]
fn p3_the_issuing_ca_cannot_make_another_ca_or_vouch_for_anything_but_servers() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let issuing = authority.issuing();
    let shown = text(&issuing.chain[0]);
    for wanted in [
        "X509v3 Name Constraints: critical",
        "DNS:social.example",
        "IP:0.0.0.0/0.0.0.0",
        "CA:TRUE, pathlen:0",
        "TLS Web Server Authentication",
        "X509v3 Key Usage: critical",
    ] {
        assert!(shown.contains(wanted), "{wanted} is not in\n{shown}");
    }
    assert!(!shown.contains("TLS Web Client") && !shown.contains("E-mail") && !shown.contains("Code Signing"));
    assert!(issuing.not_after - issuing.not_before <= Duration::days(14));
}

#[test]
fn a_leaf_names_its_issuer_byte_for_byte_and_does_not_outlive_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let issuing = authority.issuing();
    let identifier = |text: &str, which: &str| {
        let after = text.split(which).nth(1).unwrap().lines().nth(1).unwrap().trim().to_owned();
        after.trim_start_matches("keyid:").to_owned()
    };
    let now = clock.now().date_time();
    let (leaf, key, until) = leaf::certificate(&issuing, "social.example", now).unwrap();
    let (leaf_text, issuing_text) = (text(&leaf), text(&issuing.chain[0]));
    assert_eq!(
        identifier(&leaf_text, "X509v3 Authority Key Identifier:"),
        identifier(&issuing_text, "X509v3 Subject Key Identifier:")
    );
    assert!(leaf_text.contains("id-ecPublicKey") && leaf_text.contains("P-256"));
    assert!(until <= issuing.not_after);
    assert_ne!(key.public_key_raw(), issuing.issuer.key().public_key_raw(), "a leaf has its own key");
    let (other, other_key, _) = leaf::certificate(&issuing, "social.example", now).unwrap();
    assert_ne!(key.public_key_raw(), other_key.public_key_raw());
    let serial =
        |der: &CertificateDer<'_>| text(der).split("Serial Number:").nth(1).unwrap().lines().nth(1).unwrap().to_owned();
    assert_ne!(serial(&leaf), serial(&other));
    let late = issuing.not_after - Duration::hours(2);
    assert_eq!(leaf::certificate(&issuing, "social.example", late).unwrap().2, issuing.not_after);
    let expired = leaf::certificate(&issuing, "social.example", issuing.not_after);
    assert!(matches!(expired, Err(AuthorityError::Expired)));
}

#[test]
fn a_name_too_long_for_a_subject_makes_the_san_critical() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let issuing = authority.issuing();
    let long = format!("{}.social.example", "b".repeat(60));
    let (leaf, ..) = leaf::certificate(&issuing, &long, clock.now().date_time()).unwrap();
    assert!(text(&leaf).contains("X509v3 Subject Alternative Name: critical"));
    assert!(text(&leaf).contains("Subject: \n"));
}

#[test]
fn the_issuing_ca_is_made_anew_when_the_list_changes_or_half_its_life_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let first = authority.issuing();
    assert!(!authority.ensure(&names(&["social.example"])).unwrap());
    assert!(authority.ensure(&names(&["social.example", "other.example"])).unwrap());
    let second = authority.issuing();
    assert_ne!(first.generation, second.generation);
    assert_ne!(first.issuer.key().public_key_raw(), second.issuer.key().public_key_raw(), "a new key");
    let subject =
        |issuing: &Issuing| text(&issuing.chain[0]).lines().find(|l| l.contains("Subject:")).unwrap().to_owned();
    assert_ne!(subject(&first), subject(&second), "a new subject");
    clock.pass(Duration::days(6));
    assert!(!authority.ensure(&names(&["social.example", "other.example"])).unwrap());
    clock.pass(Duration::days(2));
    assert!(authority.ensure(&names(&["social.example", "other.example"])).unwrap());
    assert_eq!(
        authority.root_pem(),
        open(directory.path(), &["social.example"], &clock).unwrap().root_pem(),
        "the root stays"
    );
}

#[test]
fn another_process_may_rotate_and_the_running_one_takes_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    let list = ["social.example"];
    let serving = open(directory.path(), &list, &clock).unwrap();
    let before = serving.issuing().generation;
    let command = open(directory.path(), &list, &clock).unwrap();
    assert_eq!(command.issuing().generation, before);
    command.rotate(&names(&list)).unwrap();
    assert!(serving.ensure(&names(&list)).unwrap());
    assert_eq!(serving.issuing().generation, command.issuing().generation);
}

#[test]
fn a_root_key_that_is_kept_elsewhere_is_only_missed_when_it_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    drop(open(directory.path(), &["social.example"], &clock).unwrap());
    let away = directory.path().join("in-the-safe");
    std::fs::rename(directory.path().join("root.key"), &away).unwrap();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    clock.pass(Duration::days(10));
    assert!(!authority.ensure(&names(&["social.example"])).unwrap());
    let hint = authority.ensure(&names(&["other.example"])).unwrap_err().to_string();
    assert!(hint.contains("root key is not here") && hint.contains("muniment ca rotate"), "{hint}");
    std::fs::rename(&away, directory.path().join("root.key")).unwrap();
    assert!(authority.ensure(&names(&["other.example"])).unwrap());
}

#[test]
fn keys_at_rest_do_not_open_without_the_master_key() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SetClock::new();
    drop(open(directory.path(), &["social.example"], &clock).unwrap());
    let other = Lock::Master(MasterKey::new([4; 32]));
    let refused = Authority::open(directory.path(), other, "firm", &names(&["social.example"]), clock).err().unwrap();
    assert!(matches!(refused, AuthorityError::KeyDoesNotOpen { .. }), "{refused}");
    use std::os::unix::fs::PermissionsExt as _;
    for file in ["root.key", "issuing.key"] {
        let path = directory.path().join(file);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}

/// A CA made by OpenSSL alone, as a firm would have one: key identifiers and names are not computed as we compute them.
fn firms_own(directory: &Path, path_length: Option<u32>, clock: &SetClock) -> (String, String) {
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let length = path_length.map(|length| format!(",pathlen:{length}")).unwrap_or_default();
    let basic = format!("basicConstraints=critical,CA:TRUE{length}");
    run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "top.key"]);
    run(&[
        "req",
        "-x509",
        "-new",
        "-key",
        "top.key",
        "-subj",
        "/C=CZ/O=Firma s.r.o./CN=Top",
        "-days",
        "30",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-out",
        "top.pem",
    ]);
    run(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "sub.key"]);
    run(&[
        "req",
        "-new",
        "-key",
        "sub.key",
        "-subj",
        "/C=CZ/O=Firma s.r.o./OU=Příloha/CN=Sub",
        "-utf8",
        "-out",
        "sub.csr",
    ]);
    std::fs::write(
        directory.join("sub.ext"),
        format!("{basic}\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"),
    )
    .unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "sub.csr",
        "-CA",
        "top.pem",
        "-CAkey",
        "top.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "sub.ext",
        "-out",
        "sub.pem",
    ]);
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    // The certificates begin now, and the clock of the test stands still.
    clock.pass(Duration::minutes(1));
    (format!("{}{}", read("sub.pem"), read("top.pem")), read("sub.key"))
}

#[test]
fn a_firms_own_ca_signs_constrained_issuing_cas() {
    let (directory, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = SetClock::new();
    let (chain, key) = firms_own(own.path(), Some(1), &clock);
    drop(open(directory.path(), &["social.example"], &clock).unwrap());
    Authority::import(directory.path(), &lock(), &chain, &key, &*clock).unwrap();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let issuing = authority.issuing();
    assert!(issuing.is_constrained());
    assert_eq!(issuing.chain.len(), 2, "the CA between root and issuing CA is shown to devices");
    let (leaf, ..) = leaf::certificate(&issuing, "social.example", clock.now().date_time()).unwrap();
    assert_eq!(openssl(&authority, &issuing, &leaf, "social.example"), Ok(()));
    assert!(openssl(&authority, &issuing, &forged(&issuing, dns("bank.example"), "x"), "bank.example").is_err());
}

#[test]
fn a_firms_own_issuing_ca_is_used_as_it_is_and_said_to_be_unconstrained() {
    let (directory, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = SetClock::new();
    let (chain, key) = firms_own(own.path(), Some(0), &clock);
    Authority::import(directory.path(), &lock(), &chain, &key, &*clock).unwrap();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let issuing = authority.issuing();
    assert!(!issuing.is_constrained());
    let (leaf, ..) = leaf::certificate(&issuing, "social.example", clock.now().date_time()).unwrap();
    assert_eq!(openssl(&authority, &issuing, &leaf, "social.example"), Ok(()));
    assert!(!authority.ensure(&names(&["other.example"])).unwrap(), "it is not ours to make anew");
    assert!(authority.rotate(&names(&["social.example"])).is_err());
}

#[test]
fn what_is_no_ca_or_has_another_key_is_not_imported_and_changes_nothing() {
    let (directory, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = SetClock::new();
    let authority = open(directory.path(), &["social.example"], &clock).unwrap();
    let before = authority.root_pem();
    let (chain, key) = firms_own(own.path(), Some(1), &clock);
    let other_key = std::fs::read_to_string(own.path().join("top.key")).unwrap();
    let (leaf, leaf_key, _) =
        leaf::certificate(&authority.issuing(), "social.example", clock.now().date_time()).unwrap();
    let import =
        |chain: &str, key: &str| Authority::import(directory.path(), &lock(), chain, key, &*clock).unwrap_err();
    assert!(matches!(import(&chain, &other_key), AuthorityError::KeyMismatch));
    assert!(matches!(import(&chain, "no key"), AuthorityError::UnreadableKey));
    assert!(matches!(import("no certificate", &key), AuthorityError::NoCertificate { .. }));
    let pem = to_pem(&[leaf]);
    assert!(matches!(import(&pem, &leaf_key.serialize_pem()), AuthorityError::NotAnAuthority(_)));
    clock.pass(Duration::days(40));
    assert!(matches!(import(&chain, &key), AuthorityError::NotAnAuthority("it has expired")));
    assert_eq!(
        Authority::open(directory.path(), lock(), "firm", &names(&["social.example"]), clock).unwrap().root_pem(),
        before
    );
}
