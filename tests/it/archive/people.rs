//! People: in the ledger by id, sealed by name, let in by what they know, and shut out by revocation.

use muniment::archive::{Append as _, Password, Slice};
use muniment::ledger::Actor;
use muniment::record::Digest;

use crate::support::archive::TestArchive;
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::post;

const ALL: Slice = Slice { after: None, newest_first: false, limit: 500 };

fn by() -> Actor {
    Actor::Service("cli".try_into().unwrap())
}

#[tokio::test]
async fn a_device_is_let_in_by_its_password_until_it_is_revoked() {
    let test = TestArchive::new().await;
    let advisor = test.archive.add_advisor(by(), "Ada Lovelace").await.unwrap();
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    let device = test.archive.add_device(by(), advisor.id, "laptop", password).await.unwrap();
    let directory = test.archive.directory().unwrap();
    for _once_slow_once_remembered in 0..2 {
        let known = directory.device(device.id, Password::given(&text)).await.unwrap().unwrap();
        assert_eq!((known.device, known.advisor), (device.id, advisor.id));
    }
    assert_eq!(directory.device(device.id, Password::given("guess")).await.unwrap(), None);

    test.archive.revoke_device(by(), device.id, advisor.id).await.unwrap();
    assert_eq!(directory.device(device.id, Password::given(&text)).await.unwrap(), None, "remembered proofs end too");
    let rows = test.archive.devices(ALL, Some(advisor.id)).await.unwrap();
    assert!(rows[0].revoked_index.is_some());
    assert_eq!(rows[0].name.as_deref(), Some("laptop"));
    assert_sound(&test).await;
}

#[tokio::test]
async fn an_officer_is_known_by_a_token_until_it_is_revoked() {
    let test = TestArchive::new().await;
    let token = Digest::of(&[b"a token"]);
    let officer = test.archive.add_officer(by(), "Olga", &["legal", "auditor"], token).await.unwrap();
    let known = test.archive.officer_by_token(token).await.unwrap().unwrap();
    assert_eq!((known.officer, known.roles), (officer.id, vec!["auditor".to_owned(), "legal".to_owned()]));
    assert_eq!(test.archive.officer_by_token(Digest::of(&[b"another"])).await.unwrap(), None);
    test.archive.revoke_officer(by(), officer.id).await.unwrap();
    let revoked = test.archive.officer_by_token(token).await.unwrap().unwrap();
    assert!(revoked.revoked_index.is_some(), "whoever asks is told that it was revoked");
    assert_sound(&test).await;
}

#[tokio::test]
async fn p3_neither_names_nor_secrets_stand_in_the_clear_outside_the_projections() {
    let test = TestArchive::new().await;
    let advisor = test.archive.add_advisor(by(), "Zebediah Quux").await.unwrap();
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    test.archive.add_device(by(), advisor.id, "Zebediah's phone", password).await.unwrap();
    let mut connection = test.database.superuser().await;
    for table in ["ledger.entries", "content.sealed", "content.keys", "people.credentials"] {
        for secret in ["Zebediah", text.as_str()] {
            let query = format!(
                "select count(*) from {table} t where position(lower('{}') in lower(to_jsonb(t)::text)) > 0
                    or position('{}' in to_jsonb(t)::text) > 0",
                secret.replace('\'', "''"),
                hex::encode(secret)
            );
            let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
            assert_eq!(found, 0, "{secret} in {table}");
        }
    }
}

#[tokio::test]
async fn while_the_database_is_away_a_known_device_is_still_known_and_an_unknown_one_is_an_error() {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let through = relay.through(database.service());
    let test = TestArchive::on(database, |options| muniment::archive::Options { service: through, ..options }).await;
    let advisor = test.archive.add_advisor(by(), "Ada").await.unwrap();
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    let device = test.archive.add_device(by(), advisor.id, "laptop", password).await.unwrap();
    let directory = test.archive.directory().unwrap();
    assert!(directory.device(device.id, Password::given(&text)).await.unwrap().is_some());
    relay.close();
    assert!(directory.device(device.id, Password::given(&text)).await.unwrap().is_some());
    let stranger = muniment::record::DeviceId::new(uuid::Uuid::from_u128(5));
    assert!(directory.device(stranger, Password::given("x")).await.is_err());
    relay.open();
    assert_eq!(directory.device(stranger, Password::given("x")).await.unwrap(), None);
    test.archive.append(post(&test, advisor.id, "back again")).await.unwrap();
}
