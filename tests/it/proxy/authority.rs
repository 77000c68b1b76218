//! The life of the firm CA: made, renewed, its key locked away, replaced by the firm's own.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use muniment::proxy::intercept::authority::{Authority, AuthorityError, Refreshed, RootKey, Setup};
use muniment::record::MasterKey;
use time::Duration;

use super::firm::{Firm, Time, listed};

#[test]
fn the_root_is_made_once_and_nobody_else_can_read_its_files() {
    let firm = Firm::new(Time::fixed());
    let first = firm.authority(&["social.test"]);
    let again = firm.authority(&["social.test"]);
    assert_eq!(first.export_der(), again.export_der());
    assert_eq!(first.issuer().unwrap().certificate(), again.issuer().unwrap().certificate());
    for entry in std::fs::read_dir(firm.ca()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    let mut names: Vec<_> = std::fs::read_dir(firm.ca()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["issuing.pem", "lock", "root.key", "root.pem"]);
    for name in ["issuing.pem", "root.key"] {
        let text = std::fs::read_to_string(firm.ca().join(name)).unwrap();
        assert!(!text.contains("PRIVATE KEY"), "keys are sealed at rest");
    }

    std::fs::set_permissions(firm.ca().join("root.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = first.rotate(&listed(&["social.test"])).unwrap_err();
    assert!(matches!(error, AuthorityError::Exposed { .. }), "{error}");
}

#[test]
fn looking_makes_nothing() {
    let firm = Firm::new(Time::fixed());
    assert!(Authority::open(firm.setup(None)).unwrap().is_none());
    assert!(!firm.ca().exists());
    firm.authority(&["social.test"]);
    let standing = Authority::open(firm.setup(None)).unwrap().unwrap().standing();
    assert!(matches!(standing.root_key, RootKey::Here));
    assert_eq!(standing.permitted, ["social.test"]);
    assert!(standing.root.contains("Example Advisers") && !standing.by_firm);
    assert!(standing.issuing.unwrap().1.date_time() - firm.now().date_time() > Duration::days(12));
}

#[test]
fn the_issuing_certificate_is_renewed_before_it_ends_and_whenever_the_hosts_change() {
    let firm = Firm::new(Time::fixed());
    let authority = firm.authority(&["social.test"]);
    let mut seen = std::collections::HashSet::from([authority.issuer().unwrap().certificate().to_vec()]);
    let mut changes = 0;
    for _day in 0..60 {
        firm.time.pass(Duration::DAY);
        match authority.refresh(&listed(&["social.test"])).unwrap() {
            Refreshed::Replaced => changes += 1,
            Refreshed::Current => {}
            Refreshed::Due(error) => panic!("{error}"),
        }
        let issuer = authority.issuer().unwrap();
        seen.insert(issuer.certificate().to_vec());
        assert!(issuer.until().date_time() - firm.now().date_time() >= Duration::days(5));
    }
    assert!((6..=9).contains(&changes), "{changes}");
    assert_eq!(seen.len(), changes + 1);

    let before = authority.issuer().unwrap();
    assert!(before.mint("other.test", firm.now()).is_err());
    assert!(matches!(authority.refresh(&listed(&["social.test", "other.test"])).unwrap(), Refreshed::Replaced));
    assert!(authority.issuer().unwrap().mint("other.test", firm.now()).is_ok());
    assert!(before.mint("social.test", firm.now()).is_ok(), "what open connections have stays");
    assert!(matches!(authority.refresh(&listed(&["other.test", "social.test"])).unwrap(), Refreshed::Current));
    assert!(matches!(authority.refresh(&listed(&["other.test"])).unwrap(), Refreshed::Replaced));
    assert!(authority.issuer().unwrap().mint("social.test", firm.now()).is_err());
}

#[test]
fn a_running_service_takes_up_what_another_process_made() {
    let firm = Firm::new(Time::fixed());
    let service = firm.authority(&["social.test"]);
    let before = service.issuer().unwrap();
    let made = firm.open().rotate(&listed(&["social.test"])).unwrap();
    assert_eq!(service.issuer().unwrap().certificate(), before.certificate());
    assert!(matches!(service.refresh(&listed(&["social.test"])).unwrap(), Refreshed::Replaced));
    let after = service.issuer().unwrap();
    assert_eq!(after.certificate(), made.certificate());
    assert_ne!(after.generation(), before.generation());
    assert!(matches!(service.refresh(&listed(&["social.test"])).unwrap(), Refreshed::Current));
}

#[test]
fn with_the_root_key_away_the_service_runs_until_the_issuing_certificate_ends_and_says_what_to_do() {
    let firm = Firm::new(Time::fixed());
    let hosts = listed(&["social.test"]);
    let authority = firm.authority(&["social.test"]);
    std::fs::rename(firm.ca().join("root.key"), firm.path("safe.key")).unwrap();
    assert!(matches!(authority.standing().root_key, RootKey::Away));
    // A restart without the key is no trouble either.
    let authority = firm.open();
    assert!(matches!(authority.refresh(&hosts).unwrap(), Refreshed::Current));
    authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();

    firm.time.pass(Duration::days(9));
    let Refreshed::Due(error) = authority.refresh(&hosts).unwrap() else { panic!("it is due") };
    let said = error.to_string();
    assert!(
        said.contains("root.key") && said.contains("muniment ca rotate") && said.contains("before 2026-12-04"),
        "{said}"
    );
    authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();

    firm.time.pass(Duration::days(5));
    let error = authority.refresh(&hosts).unwrap_err();
    assert!(matches!(error, AuthorityError::RootKeyAway { .. }), "{error}");
    authority.issuer().unwrap().mint("social.test", firm.now()).unwrap_err();

    // The operator brings the key, rotates, and takes it away again.
    std::fs::rename(firm.path("safe.key"), firm.ca().join("root.key")).unwrap();
    firm.open().rotate(&hosts).unwrap();
    std::fs::remove_file(firm.ca().join("root.key")).unwrap();
    assert!(matches!(authority.refresh(&hosts).unwrap(), Refreshed::Replaced));
    authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();
}

#[test]
fn a_root_key_under_a_passphrase_serves_only_who_knows_it() {
    let firm = Firm::new(Time::fixed());
    let hosts = listed(&["social.test"]);
    Authority::open_or_create(firm.setup(Some("correct horse"))).unwrap().refresh(&hosts).unwrap();
    // The service itself runs without: only the issuing key is under its master key.
    let authority = firm.open();
    assert!(matches!(authority.refresh(&hosts).unwrap(), Refreshed::Current));
    let error = authority.rotate(&hosts).unwrap_err();
    assert!(matches!(error, AuthorityError::PassphraseWanted { .. }), "{error}");
    assert!(error.to_string().contains("MUNIMENT_CA_PASSPHRASE"));
    let wrong = Authority::open_or_create(firm.setup(Some("battery staple"))).unwrap().rotate(&hosts).unwrap_err();
    assert!(matches!(wrong, AuthorityError::Sealed { .. }), "{wrong}");
    Authority::open_or_create(firm.setup(Some("correct horse"))).unwrap().rotate(&hosts).unwrap();
}

#[test]
fn another_master_key_opens_nothing_and_destroys_nothing() {
    let firm = Firm::new(Time::fixed());
    let hosts = listed(&["social.test"]);
    let root = firm.authority(&["social.test"]).export_der();
    let other = Setup { master: MasterKey::new([8; 32]), ..firm.setup(None) };
    let other = Authority::open_or_create(other).unwrap();
    assert_eq!(other.export_der(), root);
    assert!(matches!(other.refresh(&hosts).unwrap_err(), AuthorityError::Sealed { .. }));
    assert!(matches!(firm.authority(&["social.test"]).refresh(&hosts).unwrap(), Refreshed::Current));
}

#[test]
fn a_first_start_that_was_cut_off_keeps_its_root_and_a_damaged_issuing_file_is_replaced() {
    let firm = Firm::new(Time::fixed());
    let root = firm.authority(&["social.test"]).export_der();
    std::fs::remove_file(firm.ca().join("root.pem")).unwrap();
    assert_eq!(firm.open().export_der(), root);
    for damaged in ["", "nonsense", &"x".repeat(2 << 20)] {
        std::fs::write(firm.ca().join("issuing.pem"), damaged).unwrap();
        let authority = firm.open();
        assert!(matches!(authority.issuer().unwrap_err(), AuthorityError::NoIssuer));
        assert!(matches!(authority.refresh(&listed(&["social.test"])).unwrap(), Refreshed::Replaced));
        authority.issuer().unwrap().mint("social.test", firm.now()).unwrap();
    }
    std::fs::write(firm.ca().join("root.pem"), "nonsense").unwrap();
    assert!(matches!(Authority::open_or_create(firm.setup(None)).err().unwrap(), AuthorityError::Damaged { .. }));
}

#[test]
fn ten_processes_that_start_at_once_make_one_root_and_one_issuing_certificate() {
    let firm = Arc::new(Firm::new(Time::fixed()));
    let starts: Vec<_> = (0..10)
        .map(|_| {
            let firm = Arc::clone(&firm);
            std::thread::spawn(move || {
                let authority = firm.authority(&["social.test"]);
                (authority.export_der(), authority.issuer().unwrap().certificate().to_vec())
            })
        })
        .collect();
    let made: std::collections::HashSet<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    assert_eq!(made.len(), 1);
}
