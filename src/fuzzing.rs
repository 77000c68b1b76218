//! What is fuzzed, by name: each function takes any bytes and asserts what must hold whatever they are.
//!
//! Invariant: one list for the fuzzer (`fuzz/`, `./dev fuzz`) and for the test below, which replays `fuzz/seeds/<target>/*` on every run
//! of the tests, so that neither the targets nor what they once found can rot. Not in any build that ships.

use crate::{bundle, capture, exchange, ledger, proxy, recognize, settings};

/// Asserts what must hold of any bytes.
type Target = fn(&[u8]);

/// Every target.
pub const TARGETS: &[(&str, Target)] = &[
    ("add_checkpoint", ledger::fuzz::add_checkpoint),
    ("bundle", bundle::fuzz::bundle),
    ("checkpoint", ledger::fuzz::checkpoint),
    ("content_coding", exchange::fuzz::content_coding),
    ("connect", proxy::fuzz::connect),
    ("disclosure", bundle::fuzz::disclosure),
    ("dump", bundle::fuzz::dump),
    ("entry", ledger::fuzz::entry),
    ("form", exchange::fuzz::form),
    ("html", recognize::fuzz::html),
    ("http1_body", proxy::fuzz::http1_body),
    ("http1_request", proxy::fuzz::http1_request),
    ("http1_response", proxy::fuzz::http1_response),
    ("json", exchange::fuzz::json),
    ("multipart", exchange::fuzz::multipart),
    ("policy", ledger::fuzz::policy),
    ("proof", ledger::fuzz::proof),
    ("recognize", recognize::fuzz::recognize),
    ("rule_file", recognize::fuzz::rule_file),
    ("scrub", exchange::fuzz::scrub),
    ("scrub_message", exchange::fuzz::scrub_message),
    ("settings", settings::fuzz::settings),
    ("spool_segment", capture::fuzz::spool_segment),
    ("spool_submission", capture::fuzz::spool_submission),
    ("sse", proxy::fuzz::sse),
    ("tile", ledger::fuzz::tile),
    ("uncode", proxy::fuzz::uncode),
    ("websocket", proxy::fuzz::websocket),
    ("words", settings::fuzz::words),
    ("worker_pipe", recognize::fuzz::worker_pipe),
];

/// Runs one target; the name of a fuzzing binary is the name of its target.
///
/// # Panics
/// When the bytes break what the target asserts, or no target has this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _target)| *known == name);
    assert!(target.is_some(), "no fuzz target is called {name}");
    if let Some((_name, target)) = target {
        target(data);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn names(directory: &Path) -> BTreeSet<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_target_has_a_binary_and_seeds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _target)| (*name).to_owned()).collect();
        assert_eq!(names(&fuzz.join("seeds")), targets);
        assert_eq!(names(&fuzz.join("fuzz_targets")), targets);
        let manifest: toml::Table = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse().unwrap();
        let bins = manifest["bin"].as_array().unwrap();
        assert_eq!(bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), targets);
    }

    #[test]
    fn what_fuzzing_started_from_and_what_it_found_holds() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, _target) in TARGETS {
            let mut replayed = 0;
            for entry in std::fs::read_dir(seeds.join(name)).unwrap() {
                let path = entry.unwrap().path();
                let data = std::fs::read(&path).unwrap();
                let held = std::panic::catch_unwind(|| run(name, &data));
                assert!(held.is_ok(), "{} breaks what its target asserts", path.display());
                replayed += 1;
            }
            assert!(replayed > 0, "{name} has no seeds");
        }
    }
}
