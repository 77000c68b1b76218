//! The firm's own root, intermediate or issuing certificate in place of ours.

use muniment::proxy::intercept::authority::{AuthorityError, ImportError, Refreshed, RootKey};
use time::Duration;

use super::firm::{Firm, Time, listed, openssl, text};

/// A directory service's names hold the same attribute several times.
const DIRECTORY_NAME: &str = "/DC=test/DC=example/O=Example Advisers/CN=Corporate Issuing CA";

/// What a firm has: made with OpenSSL.
struct Own {
    certificates: String,
    key: String,
}

/// Runs openssl in the firm's directory.
fn run(firm: &Firm, command: &str) {
    let output = std::process::Command::new("sh").args(["-ec", command]).current_dir(firm.path(".")).output().unwrap();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
}

fn read(firm: &Firm, names: &[&str]) -> String {
    names.iter().map(|name| std::fs::read_to_string(firm.path(name)).unwrap()).collect()
}

/// A self-signed CA with these extensions.
fn own_root(firm: &Firm, key: &str, extensions: &[&str], days: &str) -> Own {
    let extensions: String = extensions.iter().map(|e| format!(" -addext '{e}'")).collect();
    let config = "printf '[req]\\ndistinguished_name=dn\\nx509_extensions=ca\\n[dn]\\n[ca]\\nsubjectKeyIdentifier=hash\\n' > own.cnf";
    run(firm, config);
    run(
        firm,
        &format!(
            "openssl req -x509 -config own.cnf {key} -keyout own.key -nodes -subj '{DIRECTORY_NAME}' -multivalue-rdn {days} -out own.pem{extensions}"
        ),
    );
    Own { certificates: read(firm, &["own.pem"]), key: read(firm, &["own.key"]) }
}

const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
const CA: &str = "basicConstraints=critical,CA:TRUE";
const SIGNS: &str = "keyUsage=critical,keyCertSign,cRLSign";
const YEAR: &str = "-days 365";

#[test]
fn a_firms_own_root_of_any_usual_kind_is_taken_and_its_leaves_verify() {
    let firm = Firm::new(Time::now_really());
    let hosts = listed(&["social.test", "192.0.2.7"]);
    let kinds = [P256, "-newkey ec -pkeyopt ec_paramgen_curve:P-384", "-newkey rsa:2048", "-newkey ed25519"];
    let authority = firm.authority(&["social.test"]);
    for kind in kinds {
        let before = authority.export_der();
        let own = own_root(&firm, kind, &[CA, SIGNS], YEAR);
        let imported = authority.import(&own.certificates, &own.key, &hosts).unwrap();
        assert!(!imported.issuing);
        let kept = std::fs::read_to_string(imported.kept.unwrap()).unwrap();
        assert_ne!(authority.export_der(), before);
        assert!(own.certificates.replace('\n', "").contains(&authority.export_pem().replace('\n', "")), "{kind}");
        assert!(!kept.contains("KEY"), "the old certificate, for devices that still trust it");
        for host in ["social.test", "192.0.2.7"] {
            let leaf = authority.issuer().unwrap().mint(host, firm.now()).unwrap();
            assert_eq!(leaf.chain.len(), 2);
            assert_eq!(firm.verify(&own.certificates, &leaf, host), Ok(()), "{kind} {host}");
        }
        // It lasts, its key sealed.
        firm.open().rotate(&hosts).unwrap();
        assert!(!std::fs::read_to_string(firm.ca().join("root.key")).unwrap().contains("PRIVATE KEY"));
    }
    // The same again replaces nothing.
    let own = Own { certificates: read(&firm, &["own.pem"]), key: read(&firm, &["own.key"]) };
    assert_eq!(authority.import(&own.certificates, &own.key, &hosts).unwrap().kept, None);
}

#[test]
fn a_firms_intermediate_is_taken_with_what_leads_to_the_root_that_devices_have() {
    let firm = Firm::new(Time::now_really());
    let hosts = listed(&["social.test"]);
    own_root(&firm, "-newkey rsa:2048", &[CA, SIGNS], YEAR);
    run(
        &firm,
        &format!(
            "openssl req -new -config own.cnf {P256} -keyout mid.key -nodes -subj '/DC=test/DC=example/CN=Proxy CA' -out mid.csr
             printf 'basicConstraints=critical,CA:TRUE,pathlen:1\\nkeyUsage=critical,keyCertSign\\nsubjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n' > mid.ext
             openssl x509 -req -in mid.csr -CA own.pem -CAkey own.key -CAcreateserial -days 90 -extfile mid.ext -out mid.pem"
        ),
    );
    let authority = firm.authority(&["social.test"]);
    let key = read(&firm, &["mid.key"]);
    let alone = authority.import(&read(&firm, &["mid.pem"]), &key, &hosts).unwrap_err();
    assert!(matches!(alone, AuthorityError::Import(ImportError::NoRoot)), "{alone}");
    authority.import(&read(&firm, &["mid.pem", "own.pem"]), &key, &hosts).unwrap();
    let leaf = authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();
    assert_eq!(leaf.chain.len(), 3);
    assert_eq!(firm.verify(&read(&firm, &["own.pem"]), &leaf, "social.test"), Ok(()));
    assert_eq!(authority.export_pem().replace('\n', ""), read(&firm, &["own.pem"]).replace('\n', ""));
}

/// An issuing CA by the firm, under its root, with this name-constraints line.
fn own_issuing(firm: &Firm, constraints: &str, days: u32) -> Own {
    own_root(firm, P256, &[CA, SIGNS], YEAR);
    run(
        firm,
        &format!(
            "openssl req -new -config own.cnf {P256} -keyout iss.key -nodes -subj '/O=Example/CN=Own issuing' -out iss.csr
             printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign\\nextendedKeyUsage=serverAuth\\nsubjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n{constraints}\\n' > iss.ext
             openssl x509 -req -in iss.csr -CA own.pem -CAkey own.key -CAcreateserial -days {days} -extfile iss.ext -out iss.pem"
        ),
    );
    Own { certificates: read(firm, &["iss.pem", "own.pem"]), key: read(firm, &["iss.key"]) }
}

const CLOSED: &str = "nameConstraints=critical,permitted;DNS:social.test,permitted;DNS:more.test,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";

#[test]
fn a_firms_own_issuing_certificate_serves_and_only_the_firm_renews_it() {
    let firm = Firm::new(Time::now_really());
    let hosts = listed(&["social.test"]);
    let authority = firm.authority(&["social.test"]);
    let own = own_issuing(&firm, CLOSED, 30);
    assert!(authority.import(&own.certificates, &own.key, &hosts).unwrap().issuing);
    let leaf = authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();
    assert_eq!(firm.verify(&read(&firm, &["own.pem"]), &leaf, "social.test"), Ok(()));
    assert!(authority.standing().by_firm && matches!(authority.standing().root_key, RootKey::Away));
    assert!(!firm.ca().join("root.key").exists());

    // It lasts over a restart, and a host it permits may be listed later.
    let authority = firm.open();
    assert!(matches!(authority.refresh(&listed(&["social.test", "more.test"])).unwrap(), Refreshed::Current));
    let Refreshed::Due(error) = authority.refresh(&listed(&["third.test"])).unwrap() else { panic!("it cannot") };
    assert!(error.to_string().contains("does not permit third.test"), "{error}");
    firm.time.pass(Duration::days(27));
    let Refreshed::Due(error) = authority.refresh(&hosts).unwrap() else { panic!("it ends soon") };
    assert!(error.to_string().contains("ends soon") && error.to_string().contains("muniment ca import"), "{error}");
    firm.time.pass(Duration::days(4));
    assert!(matches!(authority.refresh(&hosts).unwrap_err(), AuthorityError::FirmIssuing { .. }));
}

#[test]
fn p3_an_issuing_certificate_that_could_speak_for_any_host_is_not_taken() {
    let firm = Firm::new(Time::now_really());
    let authority = firm.authority(&["social.test"]);
    let before = (authority.export_der(), authority.issuer().unwrap().certificate().to_vec());
    for (constraints, why) in [
        ("", ImportError::NotConstrained),
        (&CLOSED.replace("critical,", ""), ImportError::NotConstrained),
        (&CLOSED.replace(",excluded;IP:0.0.0.0/0.0.0.0", ""), ImportError::NotConstrained),
        (&CLOSED.replace(",excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0", ""), ImportError::NotConstrained),
        (&CLOSED.replace("DNS:more.test", "DNS:test"), ImportError::NotConstrained),
        (&CLOSED.replace("social.test", "other.test"), ImportError::LeftOut(vec!["social.test".to_owned()])),
    ] {
        let own = own_issuing(&firm, constraints, 30);
        match authority.import(&own.certificates, &own.key, &listed(&["social.test"])).unwrap_err() {
            AuthorityError::Import(found) => assert_eq!(found, why, "{constraints}"),
            other => panic!("{constraints}: {other}"),
        }
    }
    let now = (authority.export_der(), authority.issuer().unwrap().certificate().to_vec());
    assert!(now == before, "a refused import changes nothing");
}

#[test]
fn what_cannot_be_a_root_is_refused_with_the_reason_and_changes_nothing() {
    let firm = Firm::new(Time::now_really());
    let hosts = listed(&["social.test"]);
    let authority = firm.authority(&["social.test"]);
    let before = std::fs::read_to_string(firm.ca().join("issuing.pem")).unwrap();
    let good = own_root(&firm, P256, &[CA, SIGNS], YEAR);
    let other = own_root(&firm, P256, &[CA, SIGNS], YEAR);
    let refused = |certificates: &str, key: &str| match authority.import(certificates, key, &hosts).unwrap_err() {
        AuthorityError::Import(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused("", &good.key), ImportError::NoCertificate);
    assert_eq!(refused(&good.certificates, ""), ImportError::NoKey);
    assert_eq!(refused(&good.certificates, &good.certificates), ImportError::NoKey);
    assert_eq!(refused(&good.certificates, &other.key), ImportError::OtherKey);
    assert_eq!(refused(&[good.certificates.as_str(), &other.certificates].concat(), &good.key), ImportError::NoChain);
    let cut = good.certificates.replacen("MII", "MIA", 1);
    assert_eq!(refused(&cut, &good.key), ImportError::Unreadable);
    for (extensions, why) in [
        (&["basicConstraints=critical,CA:FALSE"][..], ImportError::NotAuthority),
        (&[SIGNS], ImportError::NotAuthority),
        (&[CA, "keyUsage=critical,digitalSignature"], ImportError::MayNotSign),
        (&[CA, SIGNS, "extendedKeyUsage=emailProtection"], ImportError::NotForServers),
        (&["basicConstraints=critical,CA:TRUE,pathlen:0", SIGNS], ImportError::NotConstrained),
    ] {
        let own = own_root(&firm, P256, extensions, YEAR);
        assert_eq!(refused(&own.certificates, &own.key), why, "{extensions:?}");
    }
    let secret = "openssl pkcs8 -topk8 -in own.key -passout pass:x -out locked.key";
    run(&firm, secret);
    assert_eq!(refused(&read(&firm, &["own.pem"]), &read(&firm, &["locked.key"])), ImportError::NoKey);

    // Its own constraints leave the host out: no verifier would take the leaf.
    let own = own_root(&firm, P256, &[CA, SIGNS, "nameConstraints=critical,permitted;DNS:other.test"], YEAR);
    let error = authority.import(&own.certificates, &own.key, &hosts).unwrap_err();
    assert!(matches!(error, AuthorityError::Refused { .. }), "{error}");

    firm.time.pass(Duration::days(366));
    assert!(matches!(refused(&good.certificates, &good.key), ImportError::NotNow { .. }));
    assert_eq!(std::fs::read_to_string(firm.ca().join("issuing.pem")).unwrap(), before);
}

#[test]
fn an_import_that_was_cut_off_is_run_again() {
    let firm = Firm::new(Time::now_really());
    let hosts = listed(&["social.test"]);
    let authority = firm.authority(&["social.test"]);
    let own = own_root(&firm, P256, &[CA, SIGNS], YEAR);
    let (key, pem, issuing) = (firm.ca().join("root.key"), firm.ca().join("root.pem"), firm.ca().join("issuing.pem"));
    let old = (std::fs::read(&pem).unwrap(), std::fs::read(&issuing).unwrap());
    authority.import(&own.certificates, &own.key, &hosts).unwrap();
    let new = (std::fs::read(&pem).unwrap(), std::fs::read(&issuing).unwrap());

    // After the key alone: the old root still serves, and says what is wrong when it must sign.
    std::fs::write(&pem, &old.0).unwrap();
    std::fs::write(&issuing, &old.1).unwrap();
    let cut = firm.open();
    assert!(matches!(cut.refresh(&hosts).unwrap(), Refreshed::Current));
    assert!(matches!(cut.rotate(&hosts).unwrap_err(), AuthorityError::OtherRoot { .. }));
    cut.import(&own.certificates, &own.key, &hosts).unwrap();
    assert_eq!(std::fs::read(&pem).unwrap(), new.0);

    // After key and certificate: the issuing certificate of the old root is not used, the next one is made.
    std::fs::write(&issuing, &old.1).unwrap();
    let cut = firm.open();
    assert!(matches!(cut.refresh(&hosts).unwrap(), Refreshed::Replaced));
    let leaf = cut.issuer().unwrap().mint("social.test", firm.now()).unwrap();
    assert_eq!(firm.verify(&own.certificates, &leaf, "social.test"), Ok(()));
    assert!(key.exists());
    let shown = openssl(&["x509".as_ref(), "-noout".as_ref(), "-subject".as_ref(), "-in".as_ref(), &pem]);
    assert!(text(&shown.stdout).contains("DC = test, DC = example"), "{}", text(&shown.stdout));
}
