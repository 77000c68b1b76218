//! The offline verifier: arguments → checks → report → exit code.
//!
//! Needs no network, no account and nothing of ours but a verifier key; builds without the feature `service`.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, thread};

use clap::{Parser, Subcommand};
use muniment::bundle::{
    BundleReport, Check, DISCLOSURE_MAX, DisclosureReport, DisposalReport, DumpOptions, Failure, HistoryReport,
    OutsideCheckpoint, Source, Trust, Verdict, verify_bundle_with, verify_disclosure, verify_disclosure_under,
    verify_disposal, verify_dump,
};
use muniment::ledger::{NOTE_MAX, POLICY_MAX, Policy, VerifyingKey};

/// Checks what a muniment archive keeps, offline and without its help.
///
/// Exit code: 0 everything holds; 1 something does not; 2 wrong usage; 3 a file cannot be read; 4 nothing failed, but
/// something that matters was not checked (no key or no checkpoint was given).
///
/// Formats: docs/FORMAT.md. The same checks can be made with psql, sha256sum and tests/verifier/verify.py.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a whole archive from a dump made with psql
    ///
    /// DIRECTORY holds entries.tsv and checkpoints.tsv, made with psql's \copy as docs/FORMAT.md says. Every entry that is
    /// missing, changed or out of place is named. With a checkpoint held outside the archive, a history rewritten or
    /// shortened by whoever holds database and keys is found too, and bounded between two checkpoints.
    Dump {
        /// Directory with entries.tsv and checkpoints.tsv
        directory: PathBuf,
        /// A checkpoint kept outside the archive; may be given many times
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
        /// Where to sort ids that do not fit into memory [default: the system's temporary directory]
        #[arg(long, value_name = "DIRECTORY")]
        scratch: Option<PathBuf>,
        /// How many rows to hash at a time [default: one per processor]
        #[arg(long)]
        threads: Option<NonZeroUsize>,
        #[command(flatten)]
        common: Common,
    },
    /// Check a disclosure: one record taken out, with what is shown of it
    Disclosure {
        /// The disclosure (JSON)
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Check a proof of disposal: that records were destroyed, by which rule, when, and when that is final
    Disposal {
        /// The proof (JSON)
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Check a bundle: records taken out with their proofs, as a zip or unpacked
    ///
    /// Each question has a verdict of its own: whether the bag is whole, the export on record, each record what the ledger commits to, the
    /// checkpoint and the statement signed by the log, each range complete, each withheld field given a reason, and what is for reading made
    /// of nothing but the records. Names the first record that fails, and all others.
    Bundle {
        /// The zip, or the folder that holds bagit.txt
        path: PathBuf,
        /// What an auditor attests of the whole log, believed of the policy's witnesses and of --vkey; may be given many times
        #[arg(long = "attestation", value_name = "FILE")]
        attestations: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(clap::Args)]
struct Common {
    /// Verifier key of the log, as the firm published it (name+id+key); may be given many times, in the environment parted by spaces
    // A key name may hold a comma, but no white space.
    #[arg(long = "vkey", value_name = "KEY", env = "MUNIMENT_VKEY", value_delimiter = ' ')]
    keys: Vec<VerifyingKey>,
    /// Policy (C2SP tlog-policy) that says which logs are believed and whose cosignatures are enough; yours, not the bundle's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(Verdict::Verified) => ExitCode::SUCCESS,
        Ok(Verdict::Failed { .. }) => ExitCode::from(1),
        Ok(Verdict::NotChecked { .. }) => ExitCode::from(4),
        Err(problem) => {
            // Nowhere else to say it: if standard error is closed too, the exit code remains.
            let _written = writeln!(io::stderr(), "muniment-verify: {problem}");
            ExitCode::from(3)
        }
    }
}

fn run(command: Command) -> Result<Verdict, String> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let verdict = match command {
        Command::Dump { directory, checkpoints, scratch, threads, common } => {
            let outside = checkpoints.into_iter().map(read_checkpoint).collect::<Result<_, _>>()?;
            let policy = read_policy(&common)?;
            let available = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            let options = DumpOptions {
                keys: common.keys,
                policy,
                outside,
                scratch: scratch.unwrap_or_else(env::temp_dir),
                threads: threads.unwrap_or(available),
            };
            dump(&directory, &options, common.json, &mut out)?
        }
        Command::Disclosure { file, common } => {
            let size = fs::metadata(&file).map_err(|error| unreadable(&file, &error))?.len();
            if size > DISCLOSURE_MAX as u64 {
                return Err(format!("{} is larger than a disclosure can be (1 GiB)", file.display()));
            }
            let json = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            let report = match read_policy(&common)? {
                Some(policy) => verify_disclosure_under(&json, &common.keys, &policy),
                None => verify_disclosure(&json, &common.keys),
            };
            let printed = if common.json { print_json(&mut out, &report) } else { print_disclosure(&mut out, &report) };
            printed.map_err(|error| format!("cannot write the report: {error}"))?;
            report.verdict
        }
        Command::Disposal { file, common } => {
            let size = fs::metadata(&file).map_err(|error| unreadable(&file, &error))?.len();
            if size > DISCLOSURE_MAX as u64 {
                return Err(format!("{} is larger than a proof of disposal can be (1 GiB)", file.display()));
            }
            let json = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            let report = verify_disposal(&json, &common.keys, read_policy(&common)?.as_ref());
            let printed = if common.json { print_json(&mut out, &report) } else { print_disposal(&mut out, &report) };
            printed.map_err(|error| format!("cannot write the report: {error}"))?;
            report.verdict
        }
        Command::Bundle { path, attestations, common } => {
            let policy = read_policy(&common)?;
            let attestations = attestations.into_iter().map(read_attestation).collect::<Result<Vec<_>, _>>()?;
            let trust = Trust { keys: &common.keys, policy: policy.as_ref(), attestations: &attestations };
            let report = verify_bundle_with(&Source::at(&path), &trust);
            let report = report.map_err(|error| match std::error::Error::source(&error) {
                Some(source) => format!("cannot read {}: {source}", path.display()),
                None => format!("cannot read {}: {error}", path.display()),
            })?;
            let printed = if common.json { print_json(&mut out, &report) } else { print_bundle(&mut out, &report) };
            printed.map_err(|error| format!("cannot write the report: {error}"))?;
            report.verdict
        }
    };
    out.flush().map_err(|error| format!("cannot write the report: {error}"))?;
    Ok(verdict)
}

fn unreadable(file: &std::path::Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", file.display())
}

/// A small file; one that is larger is none of what is asked for.
fn read_small(file: &std::path::Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let most = POLICY_MAX.max(NOTE_MAX) as u64 + 1;
    io::Read::read_to_end(&mut io::Read::take(opened, most), &mut bytes).map_err(|error| unreadable(file, &error))?;
    Ok(bytes)
}

fn read_policy(common: &Common) -> Result<Option<Policy>, String> {
    let Some(file) = &common.policy else { return Ok(None) };
    let policy = Policy::parse(&read_small(file)?);
    let why = |error: &dyn std::error::Error| error.source().map(|source| format!(": {source}")).unwrap_or_default();
    policy.map(Some).map_err(|error| format!("cannot read {}: {error}{}", file.display(), why(&error)))
}

fn read_attestation(file: PathBuf) -> Result<(String, Vec<u8>), String> {
    let note = read_small(&file)?;
    Ok((file.display().to_string(), note))
}

fn read_checkpoint(file: PathBuf) -> Result<OutsideCheckpoint, String> {
    let note = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
    Ok(OutsideCheckpoint { name: file.display().to_string(), note })
}

fn dump(
    directory: &std::path::Path,
    options: &DumpOptions,
    json: bool,
    out: &mut impl Write,
) -> Result<Verdict, String> {
    // Failures are written as they are found: there may be more of them than fit into memory.
    let mut written = if json { out.write_all(b"{\"failures\":[") } else { Ok(()) };
    let mut first = true;
    let report = verify_dump(directory, options, |failure| {
        if written.is_ok() {
            written = if json { write_failure(out, &failure, first) } else { print_failure(out, &failure) };
            first = false;
        }
    });
    let report = report.map_err(|error| error.to_string())?;
    let written = written.and_then(|()| {
        if json {
            out.write_all(b"],\"report\":")?;
            serde_json::to_writer(&mut *out, &report)?;
            out.write_all(b"}\n")
        } else {
            print_history(out, &report)
        }
    });
    written.map_err(|error| format!("cannot write the report: {error}"))?;
    Ok(report.verdict)
}

fn write_failure(out: &mut impl Write, failure: &Failure, first: bool) -> io::Result<()> {
    if !first {
        out.write_all(b",")?;
    }
    Ok(serde_json::to_writer(out, failure)?)
}

fn print_json(out: &mut impl Write, report: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

fn print_failure(out: &mut impl Write, failure: &Failure) -> io::Result<()> {
    let Failure { check, from, to, problem } = failure;
    if from == to {
        writeln!(out, "FAILED {check}: entry {from}: {problem}")
    } else {
        writeln!(out, "FAILED {check}: entries {from} to {to}: {problem}")
    }
}

fn print_checks(out: &mut impl Write, checks: &[(Check, Verdict)]) -> io::Result<()> {
    for (check, verdict) in checks {
        match verdict {
            Verdict::Verified => writeln!(out, "  {:<13} verified", check.as_str())?,
            Verdict::Failed { .. } => writeln!(out, "  {:<13} FAILED", check.as_str())?,
            Verdict::NotChecked { why } => writeln!(out, "  {:<13} not checked: {why}", check.as_str())?,
        }
    }
    Ok(())
}

fn print_verdict(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Verified => writeln!(out, "VERIFIED"),
        Verdict::Failed { check } => writeln!(out, "FAILED: {check}"),
        Verdict::NotChecked { why } => writeln!(out, "NOT CHECKED: {why}"),
    }
}

fn print_history(out: &mut impl Write, report: &HistoryReport) -> io::Result<()> {
    let HistoryReport { entries, covered, checkpoints, .. } = report;
    writeln!(
        out,
        "{entries} entries, {checkpoints} checkpoints; signed checkpoints cover the first {covered} entries"
    )?;
    if let Some(size) = report.witnessed {
        writeln!(out, "checkpoints that meet the policy cover the first {size} entries")?;
    }
    if let Some(root) = report.root {
        writeln!(out, "root {root}")?;
    }
    print_checks(out, &report.checks)?;
    let bounds = [("kept with the entries", report.changed), ("held outside", report.changed_outside)];
    for (place, interval) in bounds.into_iter().filter_map(|(place, interval)| Some((place, interval?))) {
        let (after, before) = (interval.after, interval.before);
        writeln!(out, "by the checkpoints {place}, the first change lies in entries {after} to {}", before.max(1) - 1)?;
    }
    print_verdict(out, &report.verdict)
}

fn print_disclosure(out: &mut impl Write, report: &DisclosureReport) -> io::Result<()> {
    if let Some(record) = report.record {
        writeln!(out, "record {record}")?;
    }
    for entry in &report.entries {
        writeln!(out, "entry {} ({}) at {}, leaf {}", entry.index, entry.entry_type, entry.at, entry.leaf)?;
        if let Some(size) = entry.proved_in {
            writeln!(out, "  proved in the checkpoint of size {size}")?;
        }
        let names = |fields: &[_]| fields.iter().map(ToString::to_string).collect::<Vec<String>>().join(", ");
        writeln!(out, "  shown: {}", names(&entry.shown))?;
        writeln!(out, "  withheld: {}", names(&entry.withheld))?;
    }
    for problem in &report.failures {
        writeln!(out, "FAILED {problem}")?;
    }
    print_checks(out, &report.checks)?;
    print_verdict(out, &report.verdict)
}

fn print_disposal(out: &mut impl Write, report: &DisposalReport) -> io::Result<()> {
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    if let Some(index) = report.index {
        writeln!(
            out,
            "entry {index}: disposed of at {} by {}, rule {}",
            said(&report.at),
            said(&report.by),
            said(&report.rule)
        )?;
        writeln!(out, "final from {}, when the last backup has expired", said(&report.backups_expire_at))?;
        match (report.files, &report.swept_at) {
            (None | Some(0), _) => {}
            (Some(files), Some(at)) => writeln!(out, "{files} files, all deleted by {at}")?,
            (Some(files), None) => writeln!(out, "{files} files, not yet said to be deleted")?,
        }
    }
    report.records.iter().try_for_each(|record| writeln!(out, "record {record}"))?;
    for problem in &report.failures {
        writeln!(out, "FAILED {problem}")?;
    }
    print_checks(out, &report.checks)?;
    print_verdict(out, &report.verdict)
}

fn print_bundle(out: &mut impl Write, report: &BundleReport) -> io::Result<()> {
    if let Some(bundle) = report.bundle {
        writeln!(out, "bundle {bundle}: {} records, {} entries", report.records, report.entries)?;
    }
    if let Some((size, root)) = report.checkpoint {
        writeln!(out, "checkpoint of {size} entries, root {root}")?;
    }
    for range in &report.ranges {
        let whole = if range.complete { "complete" } else { "NOT complete" };
        writeln!(out, "advisor {}: {} records, {} entries, {whole}", range.advisor, range.records, range.entries)?;
    }
    for problem in &report.failures {
        writeln!(out, "FAILED {problem}")?;
    }
    if report.untold > 0 {
        writeln!(out, "FAILED {} more times", report.untold)?;
    }
    if let Some((first, others)) = report.failed_records.split_first() {
        writeln!(out, "the first record that fails is {first}")?;
        others.iter().try_for_each(|record| writeln!(out, "  and record {record}"))?;
    }
    print_checks(out, &report.checks)?;
    if let Some(provided) = &report.provided {
        writeln!(out, "the ranges are {provided}")?;
    }
    print_verdict(out, &report.verdict)
}
