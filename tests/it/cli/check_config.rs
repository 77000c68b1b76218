//! `muniment check-config`.

use super::Cli;

#[test]
fn without_a_file_it_shows_the_defaults() {
    let ended = Cli::new().run(&["--json", "check-config"]);
    let value = ended.json();
    assert!(value["file"].is_null());
    assert_eq!(value["settings"]["api"]["listen"], "127.0.0.1:8471");
    assert_eq!(value["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn what_it_prints_is_a_settings_file_with_the_same_meaning() {
    let cli = Cli::new();
    cli.settings("data_dir = \"data\"\n[archive]\nwhen_unavailable = \"refuse\"\n[upstream.resolve]\n\"a.example\" = \"127.0.0.1:1\"\n");
    let printed = cli.run(&["--config", "muniment.toml", "check-config"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let before = cli.run(&["--config", "muniment.toml", "--json", "check-config"]).json();
    cli.settings(&printed.stdout);
    let after = cli.run(&["--config", "muniment.toml", "--json", "check-config"]).json();
    assert_eq!(before["settings"], after["settings"]);
    assert_eq!(before["digest"], after["digest"]);
    assert_eq!(after["settings"]["archive"]["when_unavailable"], "refuse");
}

#[test]
fn a_bad_file_ends_with_code_2_and_names_its_line() {
    let cli = Cli::new().with("MUNIMENT_CONFIG", "muniment.toml");
    cli.settings("[api]\nlisten = \"127.0.0.1:1\"\ntimout = \"3s\"\n");
    let ended = cli.run(&["check-config"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("muniment.toml:3:1: unknown key `timout`; did you mean `timeout`?"), "{ended:?}");
    let ended = cli.run(&["--json", "check-config"]);
    assert!(ended.error()["message"].as_str().unwrap().contains("timout"), "{ended:?}");
}

#[test]
fn a_password_in_the_environment_is_not_printed() {
    let cli = Cli::new().with("DATABASE_URL", "postgres://m:planted-secret@db.example/m");
    for arguments in [&["check-config"][..], &["--json", "check-config"]] {
        let ended = cli.run(arguments);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("db.example") && !ended.stdout.contains("planted-secret"), "{ended:?}");
    }
}
