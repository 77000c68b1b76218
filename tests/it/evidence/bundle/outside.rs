//! What others say of a bundle: the README's own steps, BagIt's library, a browserless reader of the page.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use muniment::bundle::Verdict;
use muniment::record::FieldName;

use super::sample::{Asked, day, day_of, sample, unpack, verify_at, write};
use crate::evidence::ledger::{Ledger, advisor, post, record};

/// The commands of the README, step by step, exactly as they stand there.
fn steps(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("README.txt")).unwrap();
    let text = text.split("\n# begin").next().unwrap().to_owned();
    let after = |step: &str| {
        let rest = text.split(&format!("\n{step}. ")).nth(1).unwrap();
        let end = rest.find("\nStep ").unwrap_or(rest.len());
        rest[..end]
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| !line.starts_with("    "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    ["Step 1", "Step 2", "Step 3", "Step 4"].map(after).to_vec()
}

fn run(ledger: &Ledger, root: &Path, steps: &[String]) -> Output {
    let script =
        format!("set -e\nvkey='{}'\nwork=$(mktemp -d)\n{}\nrm -r \"$work\"\n", ledger.vkey(), steps.join("\n"));
    Command::new("sh").args(["-c", &script]).current_dir(root).output().unwrap()
}

#[test]
fn p2_the_readme_reaches_the_verdict_with_sha256sum_openssl_and_python() {
    let (ledger, zip) = sample();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let steps = steps(&root);
    assert!(steps.iter().all(|step| !step.is_empty()), "{steps:?}");
    let done = run(&ledger, &root, &steps);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("records hold; 1 ranges are complete up to size"), "{said}");
    assert!(said.matches("Signature Verified Successfully").count() == 2, "{said}");

    // Each forgery is found by the step that is for it.
    let first = format!("data/records/{}/record.json", record(3));
    let range = format!("data/ranges/{}.jsonl", advisor(1));
    for (step, path, from, to) in [
        (0, first.as_str(), "Rates are what", "Rates are best"),
        (1, "proofs/checkpoint", "\n", "\n1"),
        (2, "proofs/bundle.intoto.jsonl", "\"payload\":\"ey", "\"payload\":\"eY"),
        (2, "README.txt", "Step 5", "Step 6"),
        (3, first.as_str(), "Rates are what", "Rates are best"),
        (3, range.as_str(), "{\"entry\"", ""),
        (3, range.as_str(), "\"hashes\":[\"", "\"hashes\":[\"AA"),
    ] {
        let kept = fs::read_to_string(root.join(path)).unwrap();
        assert!(kept.contains(from), "{from} in {path}");
        fs::write(root.join(path), kept.replacen(from, to, 1)).unwrap();
        // The third takes the key from the second.
        let upto = if step == 2 { &steps[1..=2] } else { &steps[step..=step] };
        assert!(!run(&ledger, &root, upto).status.success(), "{path} in step {}", step + 1);
        fs::write(root.join(path), kept).unwrap();
    }
    let kept = fs::read_to_string(root.join(&range)).unwrap();
    let without: String =
        kept.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line).collect();
    fs::write(root.join(&range), without).unwrap();
    assert!(!run(&ledger, &root, &steps[3..]).status.success());
    fs::write(root.join(&range), kept).unwrap();
    fs::remove_dir_all(root.join(format!("data/records/{}", record(3)))).unwrap();
    assert!(!run(&ledger, &root, &steps[3..]).status.success());
}

/// More fields than an entry lists, so that it has one root over them.
fn many(n: u64) -> Vec<(FieldName, Vec<u8>)> {
    let more = (0..300).map(|at| (FieldName::attachment(1, at), vec![at as u8; 3]));
    post(n).into_iter().chain(more).collect()
}

#[test]
fn p2_the_readme_computes_the_root_over_many_fields() {
    let mut ledger = day_of(4, many);
    let asked =
        Asked { said: many, withheld: &["0.author", "1.attachment.7"], hidden: None, from: None, ..Asked::default() };
    let zip = write(&mut ledger, &asked);
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    assert_eq!(verify_at(&ledger, &root).verdict, Verdict::Verified);
    let step = &steps(&root)[3..];
    let done = run(&ledger, &root, step);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // A commitment that is not under the root.
    let path = root.join(format!("data/records/{}/record.json", record(0)));
    let kept = fs::read_to_string(&path).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let listed = value["entries"][0]["commitments"].as_array_mut().unwrap();
    assert_eq!(listed.len(), 304);
    let place = listed.iter().position(|one| one["name"] == "1.attachment.7").unwrap();
    listed[place]["commitment"] = listed[place + 1]["commitment"].clone();
    fs::write(&path, value.to_string()).unwrap();
    assert!(!run(&ledger, &root, step).status.success());
}

#[test]
fn the_page_is_one_file_without_script_that_shows_what_is_shown() {
    let mut ledger = day(8);
    let zip = write(&mut ledger, &Asked { hidden: None, ..Asked::default() });
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let page = fs::read_to_string(root.join("data/html/index.html")).unwrap();
    for banned in ["<script", "javascript:", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(banned), "{banned}");
    }
    assert!(
        page.contains("part 3 \u{2014} ask me") && page.contains("withheld</span> attorney-client privilege &lt;asked")
    );
    let script = "import html.parser, sys\nclass P(html.parser.HTMLParser):\n  open = []\n  def handle_starttag(s, t, a):\n    if t not in ('meta',): s.open.append(t)\n  def handle_endtag(s, t): assert s.open.pop() == t\np = P(); p.feed(open(sys.argv[1], encoding='utf-8').read()); assert not p.open";
    let parsed = Command::new("python3").args(["-c", script]).arg(root.join("data/html/index.html")).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
}

/// The table opens in a reader that is not ours, and holds a row for each communication.
#[test]
fn the_table_and_the_lines_open_elsewhere() {
    let (ledger, zip) = sample();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let script = "import csv, json, sys\nrows = list(csv.DictReader(open('data/csv/records.csv', newline='', encoding='utf-8')))\nlines = [json.loads(l) for l in open('data/jsonl/records.jsonl', encoding='utf-8')]\nassert {r['record'] for r in rows} == {l['record'] for l in lines}\nassert all(r['withheld'] or r['text'] or r['item'] for r in rows), rows\nprint(len(lines))";
    let read = Command::new("python3").args(["-c", script]).current_dir(&root).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(String::from_utf8(read.stdout).unwrap().trim(), verify_at(&ledger, &root).records.to_string());
}

/// Asks BagIt's own library, which `./dev setup test` installs.
fn bagit(root: &Path) -> serde_json::Value {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real");
    let done = Command::new(scripts.join("exec")).arg("bundle/bag.py").arg(root).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

#[test]
fn bagits_own_library_validates_a_bundle_and_finds_what_was_changed() {
    let (_ledger, zip) = sample();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let said = bagit(&root);
    assert_eq!((&said["valid"], &said["version"]), (&true.into(), &"1.0".into()), "{said}");
    assert_eq!(said["info"]["Bundle-Format"], "muniment-bundle/1");
    fs::write(root.join("data/csv/records.csv"), "other").unwrap();
    assert_eq!(bagit(&root)["valid"], false);
}
