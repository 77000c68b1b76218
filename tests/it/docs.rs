//! Every command in the documents is run, in order, on a service with a kept post: what a reader pastes works.
//!
//! Blocks fenced ```` ```sh ```` are run here. [`OTHERS`] says of every other block what runs it, or why nothing does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use muniment::recognize::{RuleSet, Source};
use serde_json::json;

use crate::service::{Firm, HOST, Origin, TOKEN};

/// The commands of `docs/FORMAT.md` are run by `evidence`, which makes the archives they speak of.
const DOCUMENTS: &[&str] = &["README.md", "docs/operator-guide.md", "docs/officer-guide.md"];

#[test]
fn every_command_in_the_documents_works() {
    let origin = Origin::start();
    // Where the guide's webhook leads, nobody answers.
    let nobody = [("hooks.firm.example".to_owned(), "127.0.0.1:9".to_owned())];
    let firm =
        Firm::beside_unlisted(&[(HOST.to_owned(), origin.address().to_string())], &nobody, origin.root_pem(), "");
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Bea Before"), "phone");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    curl.json(&json!({ "status": "Buy low, sell high." })).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut run = 0;
    for name in DOCUMENTS {
        let blocks = fences(&std::fs::read_to_string(root.join(name)).unwrap(), "sh");
        run += blocks.len();
        // The blocks of one document are one reader's session: what one sets, the next uses.
        let script = blocks.join("\n");
        let output = Command::new("sh")
            .args(["-eu", "-c", &script])
            .current_dir(checkout(&firm, root))
            .env_clear()
            .env("PATH", path())
            .env("HOME", firm.dir())
            .env("MUNIMENT_CONFIG", firm.dir().join("muniment.toml"))
            .env("api", firm.api(""))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{script}\n---\n{said}\n---\n{errors}", output.status);
    }
    assert!(run >= 8, "only {run} blocks were found: the fences have changed");
    assert_eq!(service.stop(), 0);
}

/// A directory that looks like the checkout and may be written to.
fn checkout(firm: &Firm, root: &Path) -> PathBuf {
    let dir = firm.dir().join("checkout");
    if !dir.exists() {
        std::fs::create_dir(&dir).unwrap();
        for name in ["config", "tests", "docs", "docker-compose.yml"] {
            std::os::unix::fs::symlink(root.join(name), dir.join(name)).unwrap();
        }
    }
    dir
}

/// The program under test comes first.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_muniment"));
    format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap())
}

/// The blocks of a document in a language.
pub(crate) fn fences(text: &str, language: &str) -> Vec<String> {
    every_fence(text).into_iter().filter(|(of, _)| *of == language).map(|(_, block)| block).collect()
}

/// Every block with its language.
fn every_fence(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_end().strip_prefix("```")) {
            (None, Some(language)) => open = Some((language, String::new())),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some((_, block)), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn only_closed_sh_blocks_are_run() {
    assert_eq!(fences("a\n```sh\none\n```\n```text\ntwo\n```\n```sh\nthree\n```\n", "sh"), ["one\n", "three\n"]);
}

/// Blocks that [`every_command_in_the_documents_works`] does not run, with what does, or why nothing can.
const OTHERS: &[(&str, &str, usize, &str)] = &[
    ("README.md", "text", 1, "a drawing"),
    ("README.md", "console", 1, "runs this test; `./dev run` has a test of its own"),
    ("docs/operator-guide.md", "sql", 1, "run by `service::guide`"),
    (
        "docs/operator-guide.md",
        "console",
        5,
        "run by `service::guide`, on servers of its own, and by `promises::several`",
    ),
    ("docs/operator-guide.md", "toml", 1, "the settings of `promises::several`"),
    ("docs/ARCHITECTURE.md", "rust", 5, "signatures, shortened: their names are looked up below"),
    ("docs/RULES.md", "toml", 1, "loaded below"),
    ("docs/RULES.md", "text", 1, "a table of names"),
    ("docs/FORMAT.md", "", 7, "bytes and a dump, held against the code by `evidence`"),
    ("docs/FORMAT.md", "sh", 2, "run by `evidence`, which makes the archives they speak of"),
    ("docs/FORMAT.md", "sql", 1, "run by `evidence::psql`"),
];

#[test]
fn every_block_in_the_documents_is_run_or_has_a_reason_not_to_be() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = listed.map(|name| format!("docs/{}", name.to_str().unwrap())).collect();
    names.push("README.md".to_owned());
    let mut counted = BTreeMap::new();
    for name in &names {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        for (language, _) in every_fence(&text) {
            if language != "sh" || !DOCUMENTS.contains(&name.as_str()) {
                *counted.entry((name.clone(), language.to_owned())).or_insert(0) += 1;
            }
        }
    }
    let known =
        OTHERS.iter().map(|(name, language, count, _why)| (((*name).to_owned(), (*language).to_owned()), *count));
    assert_eq!(counted, known.collect(), "left: what is there");
}

#[test]
fn what_the_architecture_names_is_in_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = source(&root.join("src"));
    let document = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let mut count = 0;
    for block in fences(&document, "rust") {
        let words: Vec<&str> =
            block.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2).filter(|pair| ["struct", "enum", "trait", "fn"].contains(&pair[0])) {
            let named = format!("{} {}", pair[0], pair[1]);
            let stands = source.match_indices(&named).any(|(at, _)| {
                source[at + named.len()..].starts_with(|next: char| !next.is_alphanumeric() && next != '_')
            });
            assert!(stands, "there is no `{named}`");
            count += 1;
        }
    }
    assert!(count >= 20, "only {count}");
}

fn source(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { source(&path) } else { std::fs::read_to_string(&path).unwrap() }).collect()
}

#[test]
fn the_example_of_a_rule_file_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/RULES.md")).unwrap();
    for text in fences(&document, "toml") {
        RuleSet::load(&[Source { file: "example/rules.toml".to_owned(), text }]).unwrap();
    }
}
