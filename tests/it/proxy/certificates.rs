//! Leaves and name constraints, judged by OpenSSL and by webpki (the verifier of rustls).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use muniment::proxy::intercept::Leaves;
use muniment::proxy::intercept::authority::{Authority, MintError};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::firm::{Firm, Time, listed, openssl, text};

const HOSTS: &[&str] = &["social.test", "host.bsky.test", "xn--mnchen-3ya.test", "127.0.0.1"];

fn webpki(root: &[u8], chain: &[CertificateDer<'_>], host: &str, firm: &Firm) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let seconds = u64::try_from(firm.now().date_time().unix_timestamp()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from(host).unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).map(|_verified| ())
}

/// The issuing key, stolen from the directory together with the master key, and used with other software.
fn stolen(firm: &Firm, authority: &Authority) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let issuing = CertificateDer::from(authority.issuer().unwrap().certificate().to_vec());
    let text = std::fs::read_to_string(firm.ca().join("issuing.pem")).unwrap();
    let body = text.split("SEALED KEY-----").nth(1).unwrap().split("-----END").next().unwrap();
    let sealed = base64::engine::general_purpose::STANDARD.decode(body.replace(['\n', '-'], "")).unwrap();
    let der = open(&[7; 32], &sealed);
    let key = KeyPair::try_from(der.as_slice()).unwrap();
    (issuing.clone(), Issuer::from_ca_cert_der(&issuing, key).unwrap())
}

/// Opens a sealed key as its documentation says, with nothing of ours.
fn open(master: &[u8; 32], sealed: &[u8]) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let (head, rest) = sealed.split_at(2);
    assert_eq!(head, [1, 1]);
    let (salt, rest) = rest.split_at(32);
    let (nonce, rest) = rest.split_at(12);
    let info: [&[u8]; 1] = [b"muniment ca key v1 issuing"];
    let key = Salt::new(HKDF_SHA256, salt).extract(master);
    let key = UnboundKey::from(key.expand(&info, &AES_256_GCM).unwrap());
    let mut opened = rest.to_vec();
    let aad = Aad::from([head, b"issuing"].concat());
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    LessSafeKey::new(key).open_in_place(nonce, aad, &mut opened).unwrap().to_vec()
}

/// A leaf such as ours for any name, by the thief.
fn forge(issuer: &Issuer<'_, KeyPair>, name: SanType) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let now = time::OffsetDateTime::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap();
    (params.not_before, params.not_after) = (now - time::Duration::HOUR, now + time::Duration::DAY);
    params.subject_alt_names = vec![name];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn p3_leaves_for_listed_hosts_verify() {
    let firm = Firm::new(Time::now_really());
    let authority = firm.authority(HOSTS);
    let issuer = authority.issuer().unwrap();
    for host in ["social.test", "pds1.host.bsky.test", "xn--mnchen-3ya.test", "127.0.0.1"] {
        let leaf = issuer.mint(host, firm.now()).unwrap();
        assert_eq!(firm.verify(&authority.export_pem(), &leaf, host), Ok(()), "{host}");
        webpki(&authority.export_der(), &leaf.chain, host, &firm).unwrap();
    }
    let leaf = issuer.mint("social.test", firm.now()).unwrap();
    assert!(firm.verify(&authority.export_pem(), &leaf, "other.test").is_err(), "a leaf is for its host only");
}

#[test]
fn p3_a_stolen_issuing_key_speaks_for_no_other_name_and_no_address() {
    let firm = Firm::new(Time::now_really());
    for (hosts, v4_listed) in [(HOSTS, true), (&HOSTS[..3], false), (&[][..], false)] {
        let authority = firm.authority(hosts);
        let (issuing, issuer) = stolen(&firm, &authority);
        let verdicts = |name: SanType, host: &str| {
            let chain = [forge(&issuer, name), issuing.clone()];
            let parts: Vec<&[u8]> = chain.iter().map(|der| der.as_ref()).collect();
            let ssl = firm.verify_chain(&authority.export_pem(), &parts, host);
            (ssl, webpki(&authority.export_der(), &chain, host, &firm))
        };
        // The thief's tools work: what is listed is believed.
        if !hosts.is_empty() {
            let (ssl, webpki) = verdicts(dns("social.test"), "social.test");
            assert_eq!((ssl, webpki), (Ok(()), Ok(())));
        }
        for name in ["bank.test", "mail.firm.test", "evil-social.test", "test", "localhost", "socialxtest.test"] {
            let (ssl, webpki) = verdicts(dns(name), name);
            assert!(ssl.unwrap_err().contains("permitted subtree violation"), "{name}");
            assert!(webpki.is_err(), "{name}");
        }
        for address in ["192.0.2.1", "127.0.0.2", "10.0.0.1", "::1", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            let (ssl, webpki) = verdicts(SanType::IpAddress(address), &address.to_string());
            let expected = if v4_listed && address.is_ipv4() { "permitted" } else { "subtree violation" };
            assert!(ssl.unwrap_err().contains(expected), "{address}");
            assert!(webpki.is_err(), "{address}");
        }
        let (ssl, webpki) = verdicts(SanType::IpAddress("127.0.0.1".parse().unwrap()), "127.0.0.1");
        assert_eq!((ssl.is_ok(), webpki.is_ok()), (v4_listed, v4_listed));
    }
}

#[test]
fn p3_a_stolen_issuing_key_makes_no_further_authority_and_no_common_name_of_a_bank() {
    let firm = Firm::new(Time::now_really());
    let authority = firm.authority(HOSTS);
    let (issuing, issuer) = stolen(&firm, &authority);
    let now = firm.now().date_time();

    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (now - time::Duration::HOUR, now + time::Duration::DAY);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    let below = params.signed_by(&key, &issuer).unwrap();
    let below_issuer = Issuer::new(params, key);
    let chain = [forge(&below_issuer, dns("social.test")), below.der().clone(), issuing.clone()];
    let parts: Vec<&[u8]> = chain.iter().map(|der| der.as_ref()).collect();
    let ssl = firm.verify_chain(&authority.export_pem(), &parts, "social.test");
    assert!(ssl.unwrap_err().contains("path length constraint exceeded"));
    assert!(webpki(&authority.export_der(), &chain, "social.test", &firm).is_err());

    // No SAN, the name in the subject: what OpenSSL falls back to.
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (now - time::Duration::HOUR, now + time::Duration::DAY);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "bank.test");
    params.use_authority_key_identifier_extension = true;
    let named = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
    let ssl = firm.verify_chain(&authority.export_pem(), &[&named, &issuing], "bank.test");
    assert!(ssl.unwrap_err().contains("permitted subtree violation"));
    assert!(webpki(&authority.export_der(), &[named, issuing], "bank.test", &firm).is_err());
}

#[test]
fn p3_no_leaf_is_minted_for_what_is_not_a_listed_host() {
    let firm = Firm::new(Time::fixed());
    let issuer = firm.authority(HOSTS).issuer().unwrap();
    for host in [
        "",
        "*.social.test",
        "social.test:443",
        "münchen.test",
        "social test",
        "a..social.test",
        ".social.test",
        "[::1]",
    ] {
        assert!(matches!(issuer.mint(host, firm.now()), Err(MintError::NotAHost)), "{host}");
    }
    for host in ["bank.test", "evil-social.test", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
        assert!(matches!(issuer.mint(host, firm.now()), Err(MintError::NotPermitted(_))), "{host}");
    }
    for host in ["SOCIAL.test", "social.test."] {
        issuer.mint(host, firm.now()).unwrap();
    }
}

#[test]
fn a_leaf_says_what_it_must_and_no_more() {
    let firm = Firm::new(Time::fixed());
    let issuer = firm.authority(&["social.test", "2001:db8::7"]).issuer().unwrap();
    let long = format!("{}.{}.social.test", "a".repeat(63), "b".repeat(63));
    let (_, ca) = X509Certificate::from_der(issuer.certificate()).unwrap();
    let ski = ca.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let mut serials = std::collections::HashSet::new();
    let mut keys = std::collections::HashSet::new();
    for host in ["social.test", "2001:db8::7", &long] {
        let leaf = issuer.mint(host, firm.now()).unwrap();
        assert_eq!(leaf.chain.len(), 2, "the root is not sent");
        let (rest, parsed) = X509Certificate::from_der(&leaf.chain[0]).unwrap();
        assert!(rest.is_empty());
        let aki = parsed.iter_extensions().find_map(|e| match e.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        assert!(ski.is_some() && aki == ski, "AKI and SKI are the same bytes");
        assert_eq!(parsed.issuer().as_raw(), ca.subject().as_raw());
        assert_eq!(parsed.subject().iter().count(), 0);
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert!(names.critical, "an empty subject needs a critical SAN");
        match (names.value.general_names.as_slice(), host.parse::<IpAddr>()) {
            ([GeneralName::IPAddress(bytes)], Ok(IpAddr::V6(v6))) => assert_eq!(*bytes, v6.octets()),
            ([GeneralName::DNSName(name)], Err(_)) => assert_eq!(*name, host),
            other => panic!("{other:?}"),
        }
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.any && !usage.client_auth);
        assert!(!parsed.is_ca());
        assert!(parsed.raw_serial().len() == 16 && parsed.raw_serial()[0] < 0x80);
        assert!(serials.insert(parsed.raw_serial().to_vec()) && keys.insert(parsed.public_key().raw.to_vec()));
        assert!(PrivateKeyDer::from(leaf.key.clone_key()).secret_der() != issuer.certificate());
    }
}

#[test]
fn an_issuing_certificate_is_for_servers_of_the_listed_names_for_at_most_14_days() {
    let firm = Firm::new(Time::now_really());
    let issuer = firm.authority(HOSTS).issuer().unwrap();
    let file = firm.write("issuing.pem", &[issuer.certificate()]);
    let shown = text(&openssl(&["x509".as_ref(), "-noout".as_ref(), "-text".as_ref(), "-in".as_ref(), &file]).stdout);
    for line in [
        "X509v3 Basic Constraints: critical",
        "CA:TRUE, pathlen:0",
        "X509v3 Name Constraints: critical",
        "DNS:host.bsky.test",
        "DNS:social.test",
        "IP:127.0.0.1/255.255.255.255",
        "Excluded:\n                  IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0",
        "TLS Web Server Authentication",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("Client Authentication"));
    let (_, parsed) = X509Certificate::from_der(issuer.certificate()).unwrap();
    let life = parsed.validity().not_after.to_datetime() - parsed.validity().not_before.to_datetime();
    assert!(life <= time::Duration::days(14) && life > time::Duration::days(13));
}

#[test]
fn p3_a_leaf_does_not_outlive_its_issuer() {
    let firm = Firm::new(Time::fixed());
    let issuer = firm.authority(HOSTS).issuer().unwrap();
    for _day in 0..20 {
        match issuer.mint("social.test", firm.now()) {
            Ok(leaf) => {
                let (_, parsed) = X509Certificate::from_der(&leaf.chain[0]).unwrap();
                let until = parsed.validity().not_after.to_datetime();
                assert!(until <= issuer.until().date_time() && until > firm.now().date_time());
            }
            Err(error) => {
                assert!(matches!(error, MintError::Ended(_)), "{error}");
                assert!(firm.now() >= issuer.until());
            }
        }
        firm.time.pass(time::Duration::DAY);
    }
    assert!(firm.now() > issuer.until());
}

#[test]
fn a_rotated_authority_has_another_key_and_another_subject_and_the_same_root() {
    let firm = Firm::new(Time::now_really());
    let authority = firm.authority(HOSTS);
    let (root, old) = (authority.export_der(), authority.issuer().unwrap());
    let old_leaf = old.mint("social.test", firm.now()).unwrap();
    let new = authority.rotate(&listed(HOSTS)).unwrap();
    assert_ne!(old.generation(), new.generation());
    assert_ne!(old.subject(), new.subject());
    let key = |der: &[u8]| X509Certificate::from_der(der).unwrap().1.public_key().raw.to_vec();
    assert_ne!(key(old.certificate()), key(new.certificate()));
    assert_eq!(root, authority.export_der());
    let leaf = new.mint("social.test", firm.now()).unwrap();
    assert_eq!(firm.verify(&authority.export_pem(), &leaf, "social.test"), Ok(()));
    // What an open connection has shown stays good.
    assert_eq!(firm.verify(&authority.export_pem(), &old_leaf, "social.test"), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_to_a_new_host_mint_one_leaf() {
    let firm = Firm::new(Time::fixed());
    let authority = firm.authority(HOSTS);
    let leaves = Arc::new(Leaves::new(Arc::clone(&authority), firm.time.clone(), Arc::default()).unwrap());
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let leaves = Arc::clone(&leaves);
            tokio::spawn(async move { leaves.certified("social.test").await.unwrap() })
        })
        .collect();
    let mut shown = std::collections::HashSet::new();
    for one in asked {
        shown.insert(one.await.unwrap().cert[0].clone());
    }
    assert_eq!(shown.len(), 1);

    // Another host, another issuer and another day are other leaves; the same again is the same.
    let first = leaves.certified("social.test").await.unwrap();
    assert!(shown.insert(leaves.certified("a.host.bsky.test").await.unwrap().cert[0].clone()));
    authority.rotate(&listed(HOSTS)).unwrap();
    assert!(shown.insert(leaves.certified("social.test").await.unwrap().cert[0].clone()));
    firm.time.pass(time::Duration::days(2));
    assert!(shown.insert(leaves.certified("social.test").await.unwrap().cert[0].clone()));
    assert!(!shown.insert(leaves.certified("social.test").await.unwrap().cert[0].clone()));
    assert!(shown.contains(&first.cert[0]), "who holds a leaf keeps it");
    leaves.certified("bank.test").await.unwrap_err();
}

/// Answers one connection as a web server would.
fn serve(listener: TcpListener, config: Arc<ServerConfig>) -> std::thread::JoinHandle<Option<Vec<u8>>> {
    std::thread::spawn(move || {
        let (socket, _from) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let mut request = [0; 5];
        stream.read_exact(&mut request).ok()?;
        stream.write_all(b"held\n").ok()?;
        stream.conn.send_close_notify();
        stream.flush().ok()?;
        stream.conn.alpn_protocol().map(<[u8]>::to_vec)
    })
}

#[tokio::test]
async fn openssl_shakes_hands_with_a_leaf_and_refuses_a_forged_one() {
    let firm = Firm::new(Time::now_really());
    let authority = firm.authority(HOSTS);
    let leaves = Leaves::new(Arc::clone(&authority), firm.time.clone(), Arc::default()).unwrap();
    let root = firm.path("root.pem");
    std::fs::write(&root, authority.export_pem()).unwrap();
    let (issuing, thief) = stolen(&firm, &authority);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["bank.test".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let forged = params.signed_by(&key, &thief).unwrap().der().clone();
    let forged = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![forged, issuing], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let leaf = leaves.config("social.test").await.unwrap();
    for (config, host, version, believed) in [
        (Arc::clone(&leaf), "social.test", "-tls1_3", true),
        (leaf, "social.test", "-tls1_2", true),
        (leaves.config("127.0.0.1").await.unwrap(), "127.0.0.1", "-tls1_3", true),
        (Arc::new(forged), "bank.test", "-tls1_3", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = serve(listener, config);
        let name = if host == "127.0.0.1" { "-verify_ip" } else { "-verify_hostname" };
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-verify", "5", version, name, host])
            .args(["-alpn", "h2,http/1.1", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
            .arg(&root)
            .args(if host == "127.0.0.1" { vec!["-noservername"] } else { vec!["-servername", host] })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A client that refused is gone already.
        let _gone = client.stdin.as_mut().unwrap().write_all(b"hello");
        let output = client.wait_with_output().unwrap();
        let spoken = server.join().unwrap();
        if believed {
            assert_eq!(text(&output.stdout), "held\n", "{host}: {}", text(&output.stderr));
            assert_eq!(spoken.as_deref(), Some(&b"h2"[..]));
        } else {
            assert_eq!(text(&output.stdout), "");
            assert!(text(&output.stderr).contains("permitted subtree violation"), "{}", text(&output.stderr));
        }
    }
}
