//! `config/muniment.toml` names every key there is, with its default.

use std::collections::BTreeMap;

use muniment::settings;
use muniment::settings::file::File;

use super::Given;

const EXAMPLE: &str = include_str!("../../../config/muniment.toml");

/// The example with its keys uncommented (prose comments begin with `# `).
fn uncommented() -> String {
    let key = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    EXAMPLE
        .lines()
        .map(|line| if key(&line) { line.trim_start_matches('#') } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

fn keys(value: &toml::Value, prefix: &str, into: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) if prefix != "upstream.resolve" => {
            for (name, value) in table {
                keys(value, &format!("{prefix}{}{name}", if prefix.is_empty() { "" } else { "." }), into);
            }
        }
        _ => into.push(prefix.to_owned()),
    }
}

#[test]
fn the_example_as_it_stands_means_the_defaults() {
    let file: File = toml::from_str(EXAMPLE).unwrap();
    assert_eq!(file, File::default());
}

#[test]
fn the_example_uncommented_is_valid() {
    Given::new(&uncommented()).load().unwrap();
}

#[test]
fn the_example_shows_the_default_of_every_key_that_has_one() {
    let shown: toml::Value = toml::from_str(&uncommented()).unwrap();
    let defaults = toml::Value::try_from(File::default()).unwrap();
    let mut names = Vec::new();
    keys(&defaults, "", &mut names);
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let at = |root: &toml::Value| name.split('.').try_fold(root.clone(), |value, part| value.get(part).cloned());
        let shown = at(&shown).unwrap_or_else(|| panic!("`{name}` is not in config/muniment.toml"));
        if name != "upstream.resolve" && name != "witnesses" {
            assert_eq!(Some(shown), at(&defaults), "default of `{name}`");
        }
    }
}

#[test]
fn the_example_shows_every_key_without_a_default_too() {
    let file: File = toml::from_str(&uncommented()).unwrap();
    assert!(file.data_dir.is_some() && file.proxy.tls.is_some() && file.api.tls.is_some());
    assert!(file.upstream.proxy.is_some() && !file.upstream.resolve.is_empty() && file.recognition.rules.is_some());
    assert!(file.archive.url.is_some() && file.archive.blobs.is_some() && file.archive.postgres_bindir.is_some());
    assert!(file.keys.master_key_file.is_some() && file.witnessing.policy.is_some() && !file.witnesses.is_empty());
}

#[test]
fn no_file_means_the_same_as_an_empty_one() {
    let empty = Given::new("data_dir = \"/srv/m\"");
    let nothing = settings::load(None, &BTreeMap::from([("HOME".to_owned(), "/h".to_owned())])).unwrap();
    let without_paths = |settings: &settings::Settings| {
        let mut value = settings.in_force().clone();
        value["data_dir"].take();
        value["archive"]["blobs"].take();
        value["keys"]["master_key_file"].take();
        value
    };
    assert_eq!(without_paths(&empty.load().unwrap()), without_paths(&nothing));
}
