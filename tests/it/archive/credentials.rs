//! Nobody is let in behind the ledger's back.

use std::sync::Arc;

use muniment::archive::{ArchiveError, Options, Password, RecordFilter, Slice};
use muniment::ledger::Actor;
use muniment::record::{AdvisorId, Clock as _, DeviceId, Digest, Ids as _};
use muniment::telemetry::Metrics;

use crate::support::archive::TestArchive;
use crate::support::postgres::Database;

fn by() -> Actor {
    Actor::Service("cli".try_into().unwrap())
}

/// A device of an advisor, let in; and its password.
async fn known_device(test: &TestArchive) -> (AdvisorId, DeviceId, String) {
    let advisor = test.archive.add_advisor(by(), "Ada").await.unwrap();
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    let device = test.archive.add_device(by(), advisor.id, "laptop", password).await.unwrap();
    let directory = test.archive.directory().unwrap();
    assert!(directory.device(device.id, Password::given(&text)).await.unwrap().is_some());
    (advisor.id, device.id, text)
}

async fn lets_in(test: &TestArchive, device: DeviceId, password: &str) -> bool {
    // A directory that remembers nothing, as after a restart.
    let directory = test.archive.directory().unwrap();
    directory.device(device, Password::given(password)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_device_put_into_the_tables_by_hand_is_not_let_in() {
    let test = TestArchive::new().await;
    let (advisor, device, password) = known_device(&test).await;
    let stranger = DeviceId::new(test.ids.fresh());
    // With a hash whose password is known, and everything that the projections say of a real device, down to its entry.
    test.database
        .tamper(&format!(
            "insert into people.credentials select '{stranger}', hash from people.credentials where device = '{device}';
             insert into projection.devices (device, advisor, name, added_index, added_at, record)
             select '{stranger}', '{advisor}', name, added_index, added_at, record from projection.devices"
        ))
        .await;
    assert!(!lets_in(&test, stranger, &password).await);
    assert!(lets_in(&test, device, &password).await);
}

#[tokio::test]
async fn a_hash_put_in_place_of_another_lets_nobody_in() {
    let test = TestArchive::new().await;
    let (advisor, device, _) = known_device(&test).await;
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    let other = test.archive.add_device(by(), advisor, "phone", password).await.unwrap();
    test.database
        .tamper(&format!(
            "update people.credentials set hash = (select hash from people.credentials where device = '{}') where device = '{device}'",
            other.id
        ))
        .await;
    assert!(!lets_in(&test, device, &text).await);
    assert!(lets_in(&test, other.id, &text).await);
}

#[tokio::test]
async fn a_device_moved_to_another_advisor_by_hand_is_not_let_in() {
    let test = TestArchive::new().await;
    let (_, device, password) = known_device(&test).await;
    let eve = test.archive.add_advisor(by(), "Eve").await.unwrap().id;
    test.database.tamper(&format!("update projection.devices set advisor = '{eve}'")).await;
    assert!(!lets_in(&test, device, &password).await);
}

#[tokio::test]
async fn an_officer_or_a_token_put_into_the_tables_by_hand_is_not_let_in() {
    let test = TestArchive::new().await;
    let token = Digest::of(&[b"olga's token"]);
    let officer = test.archive.add_officer(by(), "Olga", &["auditor"], token).await.unwrap();
    assert!(test.archive.officer_by_token(token).await.unwrap().is_some());

    let forged = Digest::of(&[b"eve's token"]);
    test.database.tamper(&format!("insert into people.tokens values ('\\x{forged}', '{}')", officer.id)).await;
    assert_eq!(test.archive.officer_by_token(forged).await.unwrap(), None, "another token for a known officer");
    let stranger = test.ids.fresh();
    test.database
        .tamper(&format!(
            "update people.tokens set officer = '{stranger}' where hash = '\\x{forged}';
             insert into projection.officers (officer, roles, name, added_index, added_at, record)
             select '{stranger}', '{{admin}}', name, added_index, added_at, record from projection.officers"
        ))
        .await;
    assert_eq!(test.archive.officer_by_token(forged).await.unwrap(), None, "a token for an officer of no entry");
    assert!(test.archive.officer_by_token(token).await.unwrap().is_some());
}

#[tokio::test]
async fn a_device_of_nobody_is_refused_when_it_is_added() {
    let test = TestArchive::new().await;
    let nobody = AdvisorId::new(test.ids.fresh());
    let size = test.archive.head_size().await.unwrap();
    let refused = test.archive.add_device(by(), nobody, "laptop", Password::fresh().unwrap()).await;
    assert!(matches!(refused, Err(ArchiveError::UnknownAdvisor(id)) if id == nobody), "{refused:?}");
    assert_eq!(test.archive.head_size().await.unwrap(), size, "and nothing is on record");
}

#[tokio::test]
async fn an_unknown_device_is_compared_as_slowly_as_a_wrong_password() {
    let metrics = Arc::new(Metrics::new());
    let test =
        TestArchive::on(Database::fresh().await, |options| Options { metrics: Arc::clone(&metrics), ..options }).await;
    // Let in once.
    let (_, device, _) = known_device(&test).await;
    let directory = test.archive.directory().unwrap();
    for (id, compared) in [(device, 4), (DeviceId::new(test.ids.fresh()), 7)] {
        for _guess in 0..3 {
            assert!(directory.device(id, Password::given("guess")).await.unwrap().is_none());
        }
        let told = metrics.encode(test.clock.now()).unwrap();
        assert!(
            told.contains(&format!("passwords_compared_total {compared}\n")),
            "each guess costs the slow hash: {told}"
        );
    }
}

#[tokio::test]
async fn searches_that_hang_keep_no_device_out_and_hide_no_revocation() {
    let test = TestArchive::new().await;
    let (advisor, device, password) = known_device(&test).await;
    let directory = test.archive.directory().unwrap();
    let before = directory.generation().await.unwrap();

    // Whoever lists records waits, as behind a search over a big archive.
    let mut holder = test.database.superuser().await;
    sqlx::raw_sql("begin; lock table projection.records in access exclusive mode").execute(&mut holder).await.unwrap();
    let searches: Vec<_> = (0..16)
        .map(|_| {
            let archive = test.archive.clone();
            tokio::spawn(async move {
                archive.records(&RecordFilter::default(), Slice { after: None, newest_first: true, limit: 10 }).await
            })
        })
        .collect();
    let mut watcher = test.database.superuser().await;
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut patience = 600;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() < 4 {
        patience -= 1;
        assert!(patience > 0, "the searches never filled their connections");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    assert!(directory.device(device, Password::given(&password)).await.unwrap().is_some());
    assert!(directory.device(device, Password::given("wrong")).await.unwrap().is_none());
    test.archive.revoke_device(by(), device, advisor).await.unwrap();
    assert_ne!(directory.generation().await.unwrap(), before);
    assert!(directory.device(device, Password::given(&password)).await.unwrap().is_none());

    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    for search in searches {
        // Some waited too long for a connection; none may hang.
        drop(search.await.unwrap());
    }
}
