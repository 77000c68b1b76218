//! What must hold of what strangers hand to the verifier. For `crate::fuzzing` only.

use super::{DumpOptions, Source, Verdict, verify_bundle, verify_disclosure, verify_dump};
use crate::ledger::fuzz::verifier;

/// Nothing that we did not sign is verified.
pub(crate) fn disclosure(data: &[u8]) {
    let report = verify_disclosure(data, verifier().as_slice());
    assert_ne!(report.verdict, Verdict::Verified, "nobody signed this");
    let unsigned = verify_disclosure(data, &[]);
    assert_ne!(unsigned.verdict, Verdict::Verified, "without a key nothing is verified");
    assert!(report.failures.iter().all(|failure| failure.len() < 1 << 16));
}

/// A dump (its two files, with a form feed between them) gives a report, or an error that names a file; nothing that we did not sign is
/// verified.
pub(crate) fn dump(data: &[u8]) {
    let Ok(directory) = tempfile::tempdir() else { return };
    let at = memchr::memchr(0x0c, data).unwrap_or(data.len());
    let (entries, checkpoints) = data.split_at_checked(at).unwrap_or((data, b""));
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes);
    if write("entries.tsv", entries)
        .and_then(|()| write("checkpoints.tsv", checkpoints.get(1..).unwrap_or_default()))
        .is_err()
    {
        return;
    }
    let options = DumpOptions {
        policy: None,
        keys: verifier().into_iter().collect(),
        outside: Vec::new(),
        scratch: directory.path().to_owned(),
        threads: std::num::NonZeroUsize::MIN,
    };
    let mut told = 0_u64;
    let report = verify_dump(directory.path(), &options, |_failure| told += 1);
    assert!(report.is_ok());
    if let Ok(report) = report {
        assert_eq!(report.covered, 0, "nobody signed this");
        assert!(told > 0 || report.failed.is_empty());
        let lines = entries.split(|byte| *byte == b'\n').count() as u64;
        assert!(report.entries <= lines);
    }
}

/// A bundle gives a report; nothing that we did not sign is verified.
pub(crate) fn bundle(data: &[u8]) {
    let source = Source::Bytes(data.into());
    let report = verify_bundle(&source, verifier().as_slice());
    assert!(report.is_ok_and(|report| report.verdict != Verdict::Verified), "nobody signed this");
    let unsigned = verify_bundle(&source, &[]);
    assert!(
        unsigned.is_ok_and(
            |report| report.verdict != Verdict::Verified && report.failures.iter().all(|f| f.len() < 1 << 16)
        )
    );
}
