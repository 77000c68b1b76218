//! How fast the ledger is made and checked, as ratios in one run: `cargo bench --bench evidence [-- entries]`.
//!
//! The yardstick is SHA-256 over the same bytes on one core: nothing that checks every byte can be faster on that core.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use muniment::bundle::{DumpOptions, Verdict, verify_dump};
use muniment::ledger::{Actor, Checkpoint, Draft, EntryType, Frontier, Link, Position, SigningKey, Stamped, sequence};
use muniment::record::{
    AdvisorId, Commitment, DeviceId, Digest, EntryId, FieldName, Part, RecordId, Salt, SourceId, Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn uuid(n: u64) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | u128::from(n))
}

/// A capture with the fields that a post has.
fn draft(n: u64) -> Outcome<Draft> {
    let fields = [FieldName::CONNECTION, FieldName::REQUEST_HEAD, FieldName::REQUEST_BODY];
    let parts = [Part::Text, Part::Author, Part::Account, Part::Raw].map(|part| FieldName::part(0, part));
    let salt = Salt::new([n as u8; 32]);
    let detail = json!({
        "attachments": 0, "direction": "outbound", "exchange": uuid(n), "kinds": ["post"], "method": "post",
        "network": "bluesky", "rule": "create_record", "rules": Digest::ZERO, "size": 420, "transport": "http",
    });
    let Value::Object(detail) = detail else { return Err("detail is an object".into()) };
    Ok(Draft {
        id: EntryId::new(uuid(n)),
        entry_type: EntryType::Capture,
        actor: Actor::Device(DeviceId::new(uuid(1))),
        captured_at: Timestamp::from_unix_micros(1_795_291_200_000_000 + n as i64)?,
        record: Some(RecordId::new(uuid(n))),
        streams: vec![AdvisorId::new(uuid(n % 50))],
        commitments: fields.into_iter().chain(parts).map(|name| (name, Commitment::to(&salt, b"value"))).collect(),
        detail,
    })
}

fn stamp(draft: Draft, n: u64, previous: Digest) -> Outcome<(Stamped, Position)> {
    let at = Timestamp::from_unix_micros(1_795_291_200_000_100 + n as i64)?;
    let position = Position { index: n, previous, at, stream_indices: vec![n / 50] };
    Ok((Stamped { draft, source: SourceId::new(uuid(7)), source_index: n }, position))
}

/// Writes a dump; answers with its bodies' bytes and the log's key.
fn write_dump(directory: &Path, entries: u64) -> Outcome<(u64, SigningKey)> {
    let key = SigningKey::new("ledger.firm.example", &[7; 32])?;
    let mut rows = BufWriter::new(File::create(directory.join("entries.tsv"))?);
    let mut notes = BufWriter::new(File::create(directory.join("checkpoints.tsv"))?);
    let (mut frontier, mut previous, mut bytes) = (Frontier::new(), Digest::ZERO, 0);
    for n in 0..entries {
        let (stamped, position) = stamp(draft(n)?, n, previous)?;
        let entry = sequence(&stamped, &position)?;
        previous = entry.leaf();
        frontier.push(previous);
        bytes += entry.bytes().len() as u64;
        write!(rows, "{n}\t{}\t{previous}\t", entry.id())?;
        rows.write_all(entry.bytes())?;
        rows.write_all(b"\n")?;
        if (n + 1).is_multiple_of(1000) || n + 1 == entries {
            let origin = key.verifying_key().name().to_owned();
            let checkpoint = Checkpoint { origin, size: n + 1, root: frontier.root(), extensions: vec![] };
            let note = checkpoint.sign(&[&key])?.to_string().replace('\n', "\\n");
            writeln!(notes, "{}\t{note}", n + 1)?;
        }
    }
    rows.flush()?;
    notes.flush()?;
    Ok((bytes, key))
}

/// Processor time of this process so far, where the system tells (Linux, in hundredths of a second).
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_name, rest) = stat.rsplit_once(')')?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>().ok()?;
    Some(ticks / 100.0)
}

/// Seconds by the clock and by the processor, each the best of five: the machine may be shared.
fn best(mut run: impl FnMut() -> Outcome<()>) -> Outcome<(f64, f64)> {
    let (mut clock, mut processor) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        let (start, used) = (Instant::now(), processor_seconds());
        run()?;
        let seconds = start.elapsed().as_secs_f64();
        clock = clock.min(seconds);
        let used = used.and_then(|before| Some(processor_seconds()? - before));
        processor = processor.min(used.unwrap_or(seconds));
    }
    Ok((clock, processor))
}

fn main() -> Outcome<()> {
    let entries = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(300_000);
    let mut out = std::io::stdout().lock();
    writeln!(out, "seconds of the processor, best of five; in brackets by the clock")?;

    let drafts = (0..50_000).map(draft).collect::<Outcome<Vec<_>>>()?;
    let stamped = (0..).zip(drafts).map(|(n, draft)| stamp(draft, n, Digest::ZERO)).collect::<Outcome<Vec<_>>>()?;
    let (clock, processor) = best(|| {
        stamped.iter().try_for_each(|(stamped, position)| sequence(stamped, position).map(|_entry| ()))?;
        Ok(())
    })?;
    let each = 1e6 / stamped.len() as f64;
    writeln!(out, "sequence: {:.2} us an entry ({:.2})", processor * each, clock * each)?;

    let (stamped, position) = stamped.first().ok_or("there are drafts")?;
    let sample = sequence(stamped, position)?.into_bytes();
    let repeat = 400_000;
    let mib = (sample.len() * repeat) as f64 / f64::from(1 << 20);
    let (clock, hashed) = best(|| {
        let mut seen = Digest::ZERO;
        (0..repeat).for_each(|_| seen = std::hint::black_box(Digest::of(&[&[0], &sample])));
        if seen == Digest::ZERO { Err("a digest is not zero".into()) } else { Ok(()) }
    })?;
    writeln!(out, "sha-256 of entries of {} bytes: {:.0} MiB/s ({:.0})", sample.len(), mib / hashed, mib / clock)?;
    let (clock, read) = best(|| {
        (0..repeat).try_for_each(|_| Link::read(&sample).map(|link| drop(std::hint::black_box(link))))?;
        Ok(())
    })?;
    writeln!(out, "reading them: {:.0} MiB/s ({:.0})", mib / read, mib / clock)?;

    let directory = tempfile::tempdir()?;
    let (bytes, key) = write_dump(directory.path(), entries)?;
    let mib = bytes as f64 / f64::from(1 << 20);
    let yardstick = hashed * bytes as f64 / (sample.len() * repeat) as f64;
    for threads in [NonZeroUsize::MIN, std::thread::available_parallelism()?] {
        let options = DumpOptions {
            keys: vec![key.verifying_key().clone()],
            outside: vec![],
            scratch: directory.path().to_owned(),
            threads,
        };
        let (clock, processor) = best(|| {
            let report = verify_dump(directory.path(), &options, |_failure| {})?;
            if report.verdict == Verdict::Verified { Ok(()) } else { Err("the dump does not verify".into()) }
        })?;
        let (speed, by_clock) = (mib / processor, mib / clock);
        let ratio = yardstick / clock;
        writeln!(
            out,
            "verify {entries} entries, {threads} hashing: {speed:.0} MiB/s of one core ({by_clock:.0} MiB/s, {ratio:.2} of \
             sha-256 on one core)"
        )?;
    }
    Ok(())
}
