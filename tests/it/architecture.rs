//! The shape of the house: dependencies point one way, files stay short, pure modules stay pure.
//!
//! Reads `src/**/*.rs` as text. What it looks for is any path `crate::<module>` (in a `use` or in place) and, from the binaries,
//! `muniment::<module>`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// From the top to the bottom; a module may name only what stands after its own line.
const LAYERS: &[&[&str]] = &[
    &["app"],
    &["api", "console"],
    &["export", "supervise", "retain", "access"],
    &["witness"],
    &["proxy"],
    &["capture"],
    &["archive"],
    &["bundle"],
    &["recognize"],
    &["exchange"],
    &["ledger"],
    &["record"],
];
/// Leaves that every service module may name; they name only each other and `record`.
const LEAVES: &[&str] = &["settings", "telemetry"];
/// No runtime, no database, no clock, no randomness.
const PURE: &[&str] = &["record", "ledger", "exchange", "recognize", "bundle"];
const IMPURE: &[&str] = &[
    "tokio::",
    "sqlx::",
    "hyper::",
    "rustls::",
    "axum::",
    "SystemTime::now",
    "Instant::now",
    "now_utc",
    "now_v7",
    "new_v4",
    "SysRng",
    "OsRng",
    "getrandom",
    "rand::",
    "std::env::var",
    "std::net::Tcp",
];
const LONGEST: usize = 500;

struct Source {
    path: PathBuf,
    module: String,
    /// Production code: everything before a trailing `mod tests`, without comments.
    code: Vec<String>,
    lines: usize,
}

fn sources() -> Vec<Source> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    // Unit tests in files of their own are no production code.
    paths.retain(|path| path.file_stem().is_none_or(|name| name != "tests"));
    paths.retain(|path| path.parent().is_none_or(|dir| dir.file_name().is_none_or(|name| name != "tests")));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let production = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        Source {
            module: first.trim_end_matches(".rs").to_owned(),
            code: production.lines().map(|line| line.split("//").next().unwrap().to_owned()).collect(),
            lines: text.lines().count(),
            path: relative.to_owned(),
        }
    };
    paths.into_iter().map(read).collect()
}

/// The modules that a piece of code names by path: `crate::x`, and each `x` of `crate::{x::…, y}`.
fn named(code: &[String], root: &str) -> BTreeSet<String> {
    let text = code.join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, found) in text.match_indices(root) {
        if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + found.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            // Names at depth one, each after `{` or `,`.
            let (mut depth, mut expect) = (1, true);
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => expect = true,
                    c if expect && depth == 1 && !c.is_whitespace() => {
                        names.insert(word(&group[i..]));
                        expect = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            names.insert(word(rest));
        }
    }
    names
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// What is wrong with `module` naming `other`.
fn objection(module: &str, other: &str) -> Option<String> {
    let known = |name: &str| layer(name).is_some() || LEAVES.contains(&name);
    if module == other || !known(other) {
        return None;
    }
    if LEAVES.contains(&module) {
        let allowed = LEAVES.contains(&other) || other == "record";
        return (!allowed).then(|| format!("leaf `{module}` names `{other}`"));
    }
    if LEAVES.contains(&other) {
        return PURE.contains(&module).then(|| format!("pure `{module}` names `{other}`"));
    }
    match (layer(module), layer(other)) {
        // `main` and the binaries stand above everything.
        (None, _) => None,
        (Some(own), Some(theirs)) if own < theirs => None,
        _ => Some(format!("`{module}` names `{other}`, which does not stand below it")),
    }
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        for other in named(&source.code, "crate::") {
            wrong.extend(objection(&source.module, &other).map(|o| format!("{}: {o}", source.path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place() {
    let mut modules: BTreeMap<String, PathBuf> = BTreeMap::new();
    for source in sources() {
        modules.entry(source.module).or_insert(source.path);
    }
    for special in ["lib", "main", "bin", "fuzzing"] {
        modules.remove(special);
    }
    let unplaced: Vec<_> = modules.keys().filter(|m| layer(m).is_none() && !LEAVES.contains(&m.as_str())).collect();
    assert!(unplaced.is_empty(), "give these a place in the order: {unplaced:?}");
}

#[test]
fn nothing_but_the_program_names_app() {
    for source in sources() {
        if !["app", "main", "lib"].contains(&source.module.as_str()) {
            assert!(!named(&source.code, "crate::").contains("app"), "{} names app", source.path.display());
        }
    }
}

#[test]
fn pure_modules_know_no_runtime_no_clock_and_no_randomness() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| PURE.contains(&s.module.as_str())) {
        for (number, line) in source.code.iter().enumerate() {
            for banned in IMPURE.iter().filter(|banned| line.contains(*banned)) {
                wrong.push(format!("{}:{}: {banned}", source.path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_proxy_never_names_postgres_and_the_ledger_never_names_http() {
    for source in sources() {
        let banned: &[&str] = match source.module.as_str() {
            "proxy" => &["sqlx::", "Postgres"],
            "ledger" | "record" => &["http::", "hyper::"],
            _ => &[],
        };
        for word in banned {
            let found = source.code.iter().any(|line| line.contains(word));
            assert!(!found, "{} names {word}", source.path.display());
        }
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|s| s.lines > LONGEST)
        .map(|s| format!("{} has {}", s.path.display(), s.lines))
        .collect();
    assert!(long.is_empty(), "over {LONGEST} lines, look for a seam: {long:?}");
}

#[test]
fn files_begin_with_what_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources() {
        let text = std::fs::read_to_string(root.join(&source.path)).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with a module comment", source.path.display());
    }
}

#[test]
fn the_reader_of_paths_sees_groups_and_paths_in_place() {
    let code =
        ["use crate::{archive::{A, b}, proxy, record::X};", "let x = crate::capture::y(); mycrate::ledger::z();"];
    let names = named(&code.map(str::to_owned), "crate::");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["archive", "capture", "proxy", "record"]);
    assert!(objection("ledger", "archive").is_some() && objection("archive", "ledger").is_none());
    assert!(objection("settings", "archive").is_some() && objection("proxy", "settings").is_none());
    assert!(objection("record", "telemetry").is_some() && objection("api", "console").is_some());
}
