//! The verifier in `tests/verifier`, which a stranger wrote from `docs/FORMAT.md`: as a stranger runs it, and many cases in one process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier")
}

/// Runs it as a stranger does; answers with exit code and report.
pub(super) fn verify(arguments: &[&str]) -> (i32, Value) {
    let mut python = Command::new("python3");
    let output = python.arg(folder().join("verify.py")).args(arguments).arg("--json").output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

/// Makes the test vectors again; answers with what was checked.
pub(super) fn vectors() -> String {
    let mut python = Command::new("python3");
    let output = python.arg(folder().join("vectors.py")).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Reads cases from standard input, one JSON value a line, and prints one a line.
const MANY: &str = r#"
import json, sys
from disclosure import check_disclosure
from dump import check_dump
from entry import NotAnEntry, read_entry
from notes import Unreadable, VerifierKey
for line in sys.stdin:
    case = json.loads(line)
    if case["is"] == "entry":
        try:
            answer = bool(read_entry(bytes.fromhex(case["bytes"])))
        except NotAnEntry:
            answer = False
    elif case["is"] == "key":
        try:
            answer = bool(VerifierKey.read(case["text"]))
        except Unreadable:
            answer = False
    else:
        keys = [VerifierKey.read(text) for text in case["vkeys"]]
        if case["is"] == "dump":
            answer = check_dump(case["path"], keys, [note.encode() for note in case["outside"]])
        else:
            answer = check_disclosure(bytes.fromhex(case["bytes"]), keys)
    print(json.dumps(answer))
"#;

/// Gives many cases to one process.
pub(super) fn many(cases: &[Value]) -> Vec<Value> {
    let mut python = Command::new("python3")
        .args(["-c", MANY])
        .env("PYTHONPATH", folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}
