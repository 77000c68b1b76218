//! Secrets come from the environment, and go nowhere.

use muniment::settings::{MasterKey, Postgres};
use secrecy::ExposeSecret as _;

use super::Given;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn database_url_wins_over_the_file_and_its_password_is_shown_nowhere() {
    let given = Given::new("[archive]\nurl = \"postgres://a@file.example/db\"")
        .with("DATABASE_URL", "postgres://b:planted-secret@env.example:5433/db")
        .with("MUNIMENT_MASTER_KEY", KEY);
    let settings = given.load().unwrap();
    let Postgres::Server { url, owner_url } = &settings.archive.postgres else { panic!("embedded") };
    assert!(url.expose_secret().contains("env.example") && owner_url.expose_secret().contains("env.example"));
    let in_force = settings.in_force().to_string();
    assert!(in_force.contains("postgres://b@env.example:5433/db"), "{in_force}");
    for shown in [in_force, format!("{settings:?}")] {
        assert!(!shown.contains("planted-secret") && !shown.contains(KEY), "{shown}");
    }
}

#[test]
fn an_owner_url_is_for_the_owner_only() {
    let given = Given::new("")
        .with("DATABASE_URL", "postgres://service@db.example/db")
        .with("MUNIMENT_OWNER_URL", "postgres://owner@db.example/db");
    let Postgres::Server { url, owner_url } = given.load().unwrap().archive.postgres else { panic!("embedded") };
    assert!(url.expose_secret().contains("service@") && owner_url.expose_secret().contains("owner@"));
}

#[test]
fn a_wrong_secret_is_refused_without_being_repeated() {
    for (name, value, hint) in [
        ("MUNIMENT_MASTER_KEY", "planted-secret", "64 hex digits"),
        ("DATABASE_URL", "postgres:/planted-secret", "postgres://user@host/database"),
        ("DATABASE_URL", "postgres://u:planted-secret@h:notaport/d", "postgres://user@host/database"),
        ("MUNIMENT_PARENT_PROXY_LOGIN", "planted-secret", "there is no upstream.proxy"),
    ] {
        let shown = Given::new("").with(name, value).refusal();
        assert!(shown.starts_with(&format!("environment variable {name}: ")) && shown.contains(hint), "{shown}");
        assert!(!shown.contains("planted-secret"), "{shown}");
    }
}

#[test]
fn a_login_in_the_parent_proxy_key_is_refused_without_being_repeated() {
    let shown = Given::new("[upstream]\nproxy = \"http://u:planted-secret@h:1\"").refusal();
    assert!(shown.contains("MUNIMENT_PARENT_PROXY_LOGIN") && !shown.contains("planted-secret"), "{shown}");
}

#[test]
fn with_no_database_the_archive_is_embedded_in_the_data_directory() {
    let settings = Given::new("data_dir = \"here\"").load().unwrap();
    let Postgres::Embedded { dir, bindir: None } = &settings.archive.postgres else { panic!("not embedded") };
    assert!(dir.is_absolute() && dir.ends_with("here/postgres"), "{}", dir.display());
    let MasterKey::File { path, may_make: true } = &settings.master_key else { panic!("not the default key file") };
    assert!(path.ends_with("here/master.key"));
}
