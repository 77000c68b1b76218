//! `docs/FORMAT.md` is true: its tables are the tables of the code, its example is an entry, its commands run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use muniment::ledger::detail::{Key, Shape, keys};
use muniment::ledger::{Entry, EntryType};

use super::ledger::Ledger;

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap()
}

fn shape_in_words(shape: Shape) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
    match shape {
        Shape::Bool => "bool".into(),
        Shape::Count => "count".into(),
        Shape::Uuid => "uuid".into(),
        Shape::Digest => "digest".into(),
        Shape::Time => "time".into(),
        Shape::Word => "word".into(),
        Shape::OneOf(list) => format!("one of {}", words(list)),
        Shape::Words => "list of words".into(),
        Shape::ListOf(list) => format!("list of {}", words(list)),
        Shape::Uuids => "list of uuids".into(),
    }
}

/// The tables of section 3: type → rows of key, shape, must.
fn tables(document: &str) -> BTreeMap<String, Vec<[String; 3]>> {
    let section = document.split("\n## ").find(|section| section.starts_with("3 ")).unwrap();
    let mut tables: BTreeMap<String, Vec<[String; 3]>> = BTreeMap::new();
    let mut current = String::new();
    for line in section.lines() {
        // A heading names the type; where two share a heading, a line of its own does.
        if let Some(name) = line.strip_prefix("### `").or_else(|| line.strip_prefix('`')) {
            current = name.split('`').next().unwrap().to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", key, shape, must, _meaning, ""] = cells[..]
            && key.starts_with('`')
        {
            let row = [key.trim_matches('`').to_owned(), shape.to_owned(), must.to_owned()];
            tables.entry(current.clone()).or_default().push(row);
        }
    }
    tables
}

#[test]
fn the_tables_of_details_are_those_of_the_code() {
    let mut documented = tables(&document());
    for entry_type in EntryType::ALL {
        let row = |key: &Key| {
            [key.name.to_owned(), shape_in_words(key.shape), if key.required { "must" } else { "" }.to_owned()]
        };
        let in_code = keys(*entry_type).map(|keys| keys.iter().map(row).collect::<Vec<_>>());
        assert_eq!(documented.remove(entry_type.as_str()), in_code, "{entry_type}");
    }
    assert_eq!(documented, BTreeMap::new());
}

#[test]
fn the_example_is_an_entry_of_the_vectors() {
    let document = document();
    let example = document.lines().find(|line| line.starts_with("{\"actor\"")).expect("an example entry");
    let entry = Entry::parse(example.as_bytes()).unwrap();
    assert!(document.contains(&format!("`{}`", entry.leaf())), "the document says the example's leaf");
    let dump = fs::read_to_string(super::vectors::path("dump/entries.tsv")).unwrap();
    assert!(dump.contains(&format!("{}\t{example}\n", entry.leaf())));
}

/// Runs the shell blocks of section 16 on a dump: `sha256sum` and `openssl` reach our verdicts.
#[test]
fn p2_sha256sum_and_openssl_reach_the_same_verdicts() {
    let ledger = Ledger::of_a_day(20);
    let directory = tempfile::tempdir().unwrap();
    ledger.dump(directory.path());
    let (_size, checkpoint) = ledger.checkpoints.last().unwrap();
    let document = document();
    let section = document.split("\n## ").find(|section| section.starts_with("16 ")).unwrap();
    let blocks: Vec<_> = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let run = |block: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", block]).env("vkey", ledger.vkey().to_string());
        let output = shell.current_dir(directory.path()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let [leaf, signature] = blocks[..] else { panic!("two blocks, not {}", blocks.len()) };
    assert!(run(leaf).1.starts_with(&ledger.entries[0].leaf().to_string()));
    fs::write(directory.path().join("checkpoint"), checkpoint).unwrap();
    assert!(run(signature).0);
    fs::write(directory.path().join("checkpoint"), checkpoint.replacen("\n20\n", "\n21\n", 1)).unwrap();
    assert!(!run(signature).0);
}
