//! No silent pass: every byte that matters flipped, and everything that a forger with the files, but without the log's key, can do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use muniment::bundle::{BundleReport, Check, Verdict};
use muniment::record::Digest;
use serde_json::Value;

use super::sample::{Asked, bundle_id, day, files, sample, unpack, verify, verify_at, write};
use crate::evidence::ledger::{Ledger, record, time};

fn failed(report: &BundleReport) -> Vec<Check> {
    let failed = report.checks.iter().filter(|(_check, verdict)| matches!(verdict, Verdict::Failed { .. }));
    failed.map(|(check, _verdict)| *check).collect()
}

/// Where the bytes of each file lie in the zip, and where the directory begins.
fn places(zip: &[u8]) -> (BTreeMap<String, std::ops::Range<usize>>, usize) {
    let (mut places, mut at) = (BTreeMap::new(), 0);
    while zip[at..].starts_with(b"PK\x03\x04") {
        let number = |from: usize, size: usize| {
            zip[at + from..at + from + size].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        let (size, name) = (number(18, 4), number(26, 2));
        let path = String::from_utf8(zip[at + 30..at + 30 + name].to_vec()).unwrap();
        let start = at + 30 + name;
        places.insert(path.split_once('/').unwrap().1.to_owned(), start..start + size);
        at = start + size;
    }
    (places, at)
}

/// Verifies with each of these bytes flipped; answers with those that passed.
fn passed(ledger: &Ledger, zip: &[u8], at: &[usize]) -> Vec<usize> {
    let halves = at.chunks(at.len().div_ceil(2).max(1));
    thread::scope(|scope| {
        let of_half = |half: &[usize]| {
            let mut zip = zip.to_vec();
            let mut passed = Vec::new();
            for at in half {
                let before = zip[*at];
                zip[*at] ^= 1 << (at % 8);
                if !matches!(verify(ledger, &zip).verdict, Verdict::Failed { .. }) {
                    passed.push(*at);
                }
                zip[*at] = before;
            }
            passed
        };
        let running: Vec<_> = halves.map(|half| scope.spawn(move || of_half(half))).collect();
        running.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

/// `MUNIMENT_EVERY_BYTE=1` takes every byte of all files.
#[test]
fn p2_no_flipped_byte_of_a_bundle_passes() {
    let mut ledger = day(6);
    let zip = write(&mut ledger, &Asked { until: Some(time(9, 0)), hidden: None, ..Asked::default() });
    assert_eq!(verify(&ledger, &zip).verdict, Verdict::Verified);
    let (places, directory) = places(&zip);
    let everything = std::env::var_os("MUNIMENT_EVERY_BYTE").is_some();
    let bears = |path: &str| path.starts_with("proofs/") || path.starts_with("data/circumstances/");
    let proofs: Vec<_> = places.iter().filter(|(path, _)| bears(path)).flat_map(|(_, range)| range.clone()).collect();
    let every = |step: usize| (0..zip.len()).step_by(if everything { 1 } else { step });
    let at: Vec<_> = proofs
        .iter()
        .copied()
        .step_by(if everything { 1 } else { 3 })
        .chain(every(23))
        .chain(directory..zip.len())
        .collect();
    let silent = passed(&ledger, &zip, &at);
    let names = silent.iter().map(|at| places.iter().find(|(_, range)| range.contains(at)).map(|(path, _)| path));
    assert!(silent.is_empty(), "{silent:?} in {:?}", names.collect::<Vec<_>>());
}

/// Makes the manifests again, as anybody can who changed a file.
fn remake_manifests(root: &Path, keep: bool) {
    let line = |path: &str| format!("{}  {path}\n", Digest::of(&[&fs::read(root.join(path)).unwrap()]));
    let old = |manifest: &str| {
        let text = fs::read_to_string(root.join(manifest)).unwrap();
        text.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let all = files(root);
    for manifest in ["manifest-sha256.txt", "tagmanifest-sha256.txt"] {
        let mut named = old(manifest);
        named.retain(|path| all.contains(path));
        if keep {
            let of = |path: &&String| path.starts_with("data/") == (manifest == "manifest-sha256.txt");
            let more: Vec<_> = all.iter().filter(of).filter(|path| !named.contains(path)).cloned().collect();
            named.extend(more.into_iter().filter(|path| path != "tagmanifest-sha256.txt"));
        }
        fs::write(root.join(manifest), named.iter().map(|path| line(path)).collect::<String>()).unwrap();
    }
}

fn edit(root: &Path, path: &str, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(root.join(path)).unwrap()).unwrap();
    change(&mut value);
    fs::write(root.join(path), value.to_string()).unwrap();
}

fn replace(root: &Path, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(root.join(path)).unwrap();
    assert!(text.contains(from), "{from} is not in {path}");
    fs::write(root.join(path), text.replacen(from, to, 1)).unwrap();
}

fn drop_line(root: &Path, path: &str, at: usize) {
    let text = fs::read_to_string(root.join(path)).unwrap();
    let lines = text.split_inclusive('\n').enumerate().filter(|(line, _)| *line != at).map(|(_, line)| line);
    fs::write(root.join(path), lines.collect::<String>()).unwrap();
}

type Change = Box<dyn Fn(&Path)>;

/// Each forgery with the manifests made again, so that the bag itself is sound; and the checks that must fail, at least.
#[test]
fn what_a_forger_does_fails_the_check_it_concerns() {
    let of = |n: u64| format!("data/records/{}/record.json", record(n));
    let folder = |n: u64| format!("data/records/{}", record(n));
    let range = format!("data/ranges/{}.jsonl", super::advisor(1));
    let (first, second, hidden) = (3, 9, 6);
    let cases: Vec<(&str, Change, Vec<Check>)> = vec![
        (
            "a word changed",
            {
                let of = of(first);
                Box::new(move |root| replace(root, &of, "Rates are what", "Rates are best"))
            },
            vec![Check::Records, Check::Renditions],
        ),
        (
            "a record left out",
            {
                let (folder, proofs) = (folder(first), format!("proofs/records/{}", record(first)));
                Box::new(move |root| {
                    fs::remove_dir_all(root.join(&folder)).unwrap();
                    fs::remove_dir_all(root.join(&proofs)).unwrap();
                })
            },
            vec![Check::Range, Check::Export, Check::Renditions],
        ),
        (
            "an entry left out of the range",
            {
                let range = range.clone();
                Box::new(move |root| drop_line(root, &range, 2))
            },
            vec![Check::Range],
        ),
        (
            "the first entry left out of the range",
            {
                let range = range.clone();
                Box::new(move |root| drop_line(root, &range, 0))
            },
            vec![Check::Range],
        ),
        (
            "the end left out of the range",
            {
                let range = range.clone();
                Box::new(move |root| {
                    let lines = fs::read_to_string(root.join(&range)).unwrap().lines().count();
                    drop_line(root, &range, lines - 1);
                })
            },
            vec![Check::Range],
        ),
        (
            "a shorter range asked for",
            Box::new(|root| {
                edit(root, "data/query/query.json", |query| query["until"] = time(9, 0).to_string().into());
            }),
            vec![Check::Export, Check::Range],
        ),
        (
            "no range asked for",
            Box::new(|root| {
                edit(root, "data/query/query.json", |query| query["advisors"] = Value::Array(vec![]));
                fs::remove_dir_all(root.join("data/ranges")).unwrap();
            }),
            vec![Check::Export],
        ),
        (
            "an outcome left out of a record",
            {
                let of = of(second);
                Box::new(move |root| edit(root, &of, |record| drop(record["entries"].as_array_mut().unwrap().pop())))
            },
            vec![Check::Bag, Check::Statement],
        ),
        (
            "two records exchanged",
            {
                let (a, b) = (of(first), of(second));
                Box::new(move |root| {
                    let kept = fs::read(root.join(&a)).unwrap();
                    fs::copy(root.join(&b), root.join(&a)).unwrap();
                    fs::write(root.join(&b), kept).unwrap();
                })
            },
            vec![Check::Records],
        ),
        (
            "native bytes changed",
            {
                let body = format!("{}/native", folder(first));
                Box::new(move |root| {
                    let path = fs::read_dir(root.join(&body)).unwrap().next().unwrap().unwrap().path();
                    fs::write(path, b"other").unwrap();
                })
            },
            vec![Check::Records, Check::Statement],
        ),
        (
            "a reason taken away",
            Box::new(|root| drop_line(root, "data/privilege-log.jsonl", 1)),
            vec![Check::Redactions],
        ),
        (
            "a reason too many",
            Box::new(move |root| {
                let path = root.join("data/privilege-log.jsonl");
                let text = fs::read_to_string(&path).unwrap();
                let line = text.lines().find(|line| line.contains(&record(hidden).to_string())).unwrap();
                let more = format!("{}\n", line.replacen("\"field\":\"0.", "\"field\":\"0.a", 1));
                fs::write(&path, format!("{text}{more}")).unwrap();
            }),
            vec![Check::Redactions],
        ),
        (
            "all reasons taken away",
            Box::new(|root| fs::remove_file(root.join("data/privilege-log.jsonl")).unwrap()),
            vec![Check::Redactions],
        ),
        (
            "a table that says something else",
            Box::new(|root| replace(root, "data/csv/records.csv", "part 3", "part 4")),
            vec![Check::Renditions],
        ),
        (
            "a page that says something else",
            Box::new(|root| replace(root, "data/html/index.html", "part 3", "part 4")),
            vec![Check::Renditions],
        ),
        (
            "lines that say something else",
            Box::new(|root| replace(root, "data/jsonl/records.jsonl", "part 3", "part 4")),
            vec![Check::Renditions],
        ),
        (
            "a name that nobody had",
            Box::new(|root| replace(root, "data/circumstances/identity.jsonl", "Ada <A>", "Eve <A>")),
            vec![Check::Circumstances, Check::Renditions],
        ),
        (
            "a gap taken away",
            Box::new(|root| drop_line(root, "data/circumstances/gaps.jsonl", 0)),
            vec![Check::Circumstances, Check::Renditions],
        ),
        (
            "looks in another order",
            Box::new(|root| {
                let path = root.join("data/circumstances/access.jsonl");
                let mut lines: Vec<_> =
                    fs::read_to_string(&path).unwrap().split_inclusive('\n').map(ToOwned::to_owned).collect();
                lines.swap(0, 1);
                fs::write(path, lines.concat()).unwrap();
            }),
            vec![Check::Circumstances],
        ),
        (
            "a coverage of somebody else",
            Box::new(|root| replace(root, "data/gaps/coverage.json", "Ada <A>", "Eve <A>")),
            vec![Check::Renditions],
        ),
        (
            "a certificate with another digest",
            Box::new(|root| {
                replace(root, "data/certificate/certificate.html", "<p class=\"note\">0198", "<p class=\"note\">1198")
            }),
            vec![Check::Renditions],
        ),
        (
            "custody that says something else",
            Box::new(|root| drop_line(root, "data/custody/custody.jsonl", 0)),
            vec![Check::Renditions],
        ),
        (
            "other instructions",
            Box::new(|root| replace(root, "README.txt", "Step 1.", "Step 0.")),
            vec![Check::Statement],
        ),
        (
            "another firm",
            Box::new(|root| replace(root, "bag-info.txt", "ledger.firm", "ledger.f0rm")),
            vec![Check::Bag, Check::Statement],
        ),
        (
            "another checkpoint",
            Box::new(|root| replace(root, "proofs/checkpoint", "\n", "\n1")),
            vec![Check::Checkpoint],
        ),
        (
            "another earlier checkpoint",
            Box::new(|root| {
                let path = files(root).into_iter().find(|path| path.ends_with(".checkpoint")).unwrap();
                fs::copy(root.join("proofs/checkpoint"), root.join(path)).unwrap();
            }),
            vec![Check::Checkpoint],
        ),
        (
            "no consistency",
            Box::new(|root| {
                let path = files(root)
                    .into_iter()
                    .find(|path| path.starts_with("proofs/consistency/") && path.ends_with(".txt"))
                    .unwrap();
                drop_line(root, &path, 0);
            }),
            vec![Check::Checkpoint],
        ),
        (
            "no statement",
            Box::new(|root| fs::remove_file(root.join("proofs/bundle.intoto.jsonl")).unwrap()),
            vec![Check::Bag, Check::Statement],
        ),
        (
            "a file of a proof changed",
            {
                let proofs = format!("proofs/records/{}", record(first));
                Box::new(move |root| {
                    let path = fs::read_dir(root.join(&proofs)).unwrap().next().unwrap().unwrap().path();
                    fs::write(path, b"other").unwrap();
                })
            },
            vec![Check::Records],
        ),
    ];
    let (ledger, zip) = sample();
    for (what, change, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let root = unpack(&zip, directory.path());
        change(&root);
        remake_manifests(&root, true);
        let report = verify_at(&ledger, &root);
        let failed = failed(&report);
        if failed.contains(&Check::Range) || failed.contains(&Check::Checkpoint) || failed.contains(&Check::Export) {
            assert_eq!(report.provided, None, "{what}: nothing is called complete");
        }
        for check in &expected {
            assert!(failed.contains(check), "{what}: {check} holds, {failed:?} {:#?}", report.failures);
        }
        // Whatever else it is, the log never signed it.
        let of_proofs =
            ["another checkpoint", "another earlier checkpoint", "no consistency", "a file of a proof changed"];
        assert!(failed.contains(&Check::Statement) || of_proofs.contains(&what), "{what}: {failed:?}");
    }
}

#[test]
fn the_first_failing_record_is_named_and_all_others() {
    let (ledger, zip) = sample();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    for n in [3, 9] {
        let path = format!("data/records/{}/record.json", record(n));
        replace(&root, &path, "Rates are what", "Rates are best");
    }
    let report = verify_at(&ledger, &root);
    assert_eq!(report.failed_records, [record(3), record(9)]);
    assert_eq!(report.verdict, Verdict::Failed { check: Check::Bag });
}

#[test]
fn files_added_taken_away_or_linked_are_found() {
    let (ledger, zip) = sample();
    let proof =
        |root: &Path| files(root).into_iter().find(|path| path.ends_with("entry") && path.contains("records")).unwrap();
    let cases: [(&str, Change); 5] = [
        ("added beside", Box::new(|root| fs::write(root.join("NOTE.txt"), "trust me").unwrap())),
        ("added inside", Box::new(|root| fs::write(root.join("data/query/more.json"), "{}").unwrap())),
        ("taken away", Box::new(move |root| fs::remove_file(root.join(proof(root))).unwrap())),
        ("a link", Box::new(|root| std::os::unix::fs::symlink("README.txt", root.join("LINK")).unwrap())),
        (
            "a link for a file",
            Box::new(|root| {
                fs::rename(root.join("README.txt"), root.join("../README")).unwrap();
                std::os::unix::fs::symlink("../README", root.join("README.txt")).unwrap();
            }),
        ),
    ];
    for (what, change) in cases {
        for remade in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let root = unpack(&zip, directory.path());
            change(&root);
            if remade && !what.contains("link") {
                remake_manifests(&root, true);
            }
            assert!(failed(&verify_at(&ledger, &root)).contains(&Check::Bag), "{what}");
        }
    }
}

/// Zips that another tool made of the same files, or that were put together by hand.
#[test]
fn a_zip_of_another_shape_is_refused() {
    let (ledger, zip) = sample();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let script = r#"
import os, sys, zipfile
root, how, to = sys.argv[1:]
names = [i.filename for i in zipfile.ZipFile(os.path.join(os.path.dirname(root), "bundle.zip")).infolist()]
folder = os.path.basename(root) + "/"
out = zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED if how == "deflated" else zipfile.ZIP_STORED)
if how == "reordered": names = names[:3] + names[4:5] + names[3:4] + names[5:]
if how == "twice": names = names + [names[4]]
if how == "short": names = names[:-3] + names[-2:]
for name in names:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system, info.compress_type = 0o100644 << 16, 3, out.compression
    if how == "elsewhere" and name == names[5]: info.filename = folder + "../escaped"
    if how == "absolute" and name == names[5]: info.filename = "/etc/escaped"
    out.writestr(info, open(os.path.join(root, name[len(folder):]), "rb").read())
if how == "comment": out.comment = b"trust me"
out.close()
if how == "behind": open(to, "ab").write(b"more")
if how == "before":
    data = open(to, "rb").read(); open(to, "wb").write(b"MZ" + data)
"#;
    for how in ["deflated", "reordered", "twice", "short", "elsewhere", "absolute", "comment", "behind", "before"] {
        let to = directory.path().join(format!("{how}.zip"));
        let done =
            std::process::Command::new("python3").args(["-c", script]).arg(&root).arg(how).arg(&to).output().unwrap();
        assert!(done.status.success(), "{how}: {}", String::from_utf8_lossy(&done.stderr));
        let report = verify_at(&ledger, &to);
        assert_eq!(report.verdict, Verdict::Failed { check: Check::Bag }, "{how}");
    }
    assert_eq!(root.file_name().unwrap().to_str().unwrap(), format!("bundle-{}", bundle_id()));
}

mod hostile {
    use std::sync::Arc;

    use muniment::bundle::{Source, verify_bundle};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_the_bytes_there_is_a_report(bytes in prop::collection::vec(any::<u8>(), 0..400), at: prop::sample::Index, cut: bool) {
            let (ledger, zip) = super::super::small();
            let at = at.index(zip.len());
            let mut altered = zip.clone();
            if cut { altered.truncate(at) } else { altered.splice(at..(at + bytes.len()).min(zip.len()), bytes.iter().copied()); }
            for bytes in [altered.clone(), bytes] {
                let same = bytes == zip;
                let report = verify_bundle(&Source::Bytes(Arc::from(bytes)), &[ledger.vkey()]).unwrap();
                prop_assert_eq!(matches!(report.verdict, Verdict::Failed { .. }), !same);
            }
        }
    }
}
