//! How fast the ledger is made and checked, as ratios in one run: `cargo bench --bench evidence [-- entries]`; and bundles: `-- bundle [records]`.
//!
//! The yardstick is SHA-256 over the same bytes on one core: nothing that checks every byte can be faster on that core.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use muniment::bundle::{
    BundleHead, BundleQuery, BundleWriter, Disclosed, DumpOptions, Reasons, ShownField, Source, Verdict, verify_bundle,
    verify_dump,
};
use muniment::ledger::{
    Actor, Checkpoint, Commitments, Draft, Entry, EntryType, Frontier, Link, Node, Position, Proof, SigningKey,
    Stamped, TlogProof, sequence,
};
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

/// Largest memory of this process so far, in MiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// What is bundled: the values of the fields that a post has.
fn value(name: &FieldName) -> Vec<u8> {
    let size = match name.as_str() {
        "request.head" | "request.body" | "0.raw" => 420,
        "0.text" => 140,
        _ => 30,
    };
    name.as_str().bytes().cycle().take(size).collect()
}

/// A post as [`draft`] has it, with commitments to what is shown of it.
fn shown_draft(n: u64) -> Outcome<(Draft, Vec<ShownField>)> {
    let mut draft = draft(n)?;
    let names: Vec<_> = draft.commitments.iter().map(|(name, _commitment)| name.clone()).collect();
    let salt = Salt::new([n as u8; 32]);
    let shown = names.into_iter().map(|name| ShownField { salt: salt.clone(), value: value(&name), name });
    let shown: Vec<_> = shown.collect();
    draft.commitments = shown.iter().map(|field| (field.name.clone(), Commitment::to(&salt, &field.value))).collect();
    Ok((draft, shown))
}

/// The ledger that is bundled: what proofs are made of, and nothing else in memory.
struct Tree {
    key: SigningKey,
    nodes: std::collections::HashMap<Node, Digest>,
    checkpoint: String,
    size: u64,
}

impl Tree {
    fn entry(&self, n: u64) -> Outcome<(Entry, Vec<ShownField>)> {
        let (draft, shown) = shown_draft(n)?;
        let before = |n| self.nodes.get(&Node { level: 0, index: n }).copied().ok_or("a leaf is there");
        let previous = if n == 0 { Digest::ZERO } else { before(n - 1)? };
        let (stamped, position) = stamp(draft, n, previous)?;
        Ok((sequence(&stamped, &position)?, shown))
    }

    fn proof(&self, index: u64) -> Outcome<TlogProof> {
        let hashes = Proof::inclusion(index, self.size)?.hashes(&self.nodes)?;
        Ok(TlogProof { extra: None, index, hashes, checkpoint: self.checkpoint.clone() })
    }
}

fn export_draft(records: u64, query: &BundleQuery) -> Outcome<(Draft, Vec<ShownField>)> {
    let mut export = draft(records)?;
    let detail = json!({"as_of": records, "bundle": query.bundle, "format": "bundle", "records": records});
    let Value::Object(detail) = detail else { return Err("detail is an object".into()) };
    let salt = Salt::new([7; 32]);
    let shown = vec![ShownField { name: FieldName::QUERY, salt: salt.clone(), value: query.to_json() }];
    export.commitments = Commitments::from_iter([(FieldName::QUERY, Commitment::to(&salt, &query.to_json()))]);
    (export.entry_type, export.detail, export.streams) = (EntryType::Export, detail, vec![]);
    Ok((export, shown))
}

/// Writes a bundle of so many records, and verifies it.
fn bundle(out: &mut impl Write, records: u64) -> Outcome<()> {
    let mut tree = Tree {
        key: SigningKey::new("ledger.firm.example", &[7; 32])?,
        nodes: std::collections::HashMap::new(),
        checkpoint: String::new(),
        size: records + 1,
    };
    let query = BundleQuery::new(uuid(9), records);
    let mut frontier = Frontier::new();
    let mut push = |entry: &Entry, tree: &mut Tree| {
        frontier.push_with(entry.leaf(), |node, hash| {
            tree.nodes.insert(node, hash);
        });
        frontier.root()
    };
    for n in 0..records {
        let (entry, _shown) = tree.entry(n)?;
        push(&entry, &mut tree);
    }
    let (export, shown) = export_draft(records, &query)?;
    let previous = tree.nodes.get(&Node { level: 0, index: records - 1 }).copied().ok_or("a last leaf is there")?;
    let mut position = stamp(draft(records)?, records, previous)?.1;
    position.stream_indices = vec![];
    let source = SourceId::new(uuid(7));
    let export = sequence(&Stamped { draft: export, source, source_index: records }, &position)?;
    let root = push(&export, &mut tree);
    let origin = tree.key.verifying_key().name().to_owned();
    let checkpoint = Checkpoint { origin, size: records + 1, root, extensions: vec![] };
    tree.checkpoint = checkpoint.sign(&[&tree.key])?.to_string();

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("bundle.zip");
    let export = Disclosed { proof: tree.proof(records)?, entry: export, shown, commitments: None };
    let file = BufWriter::with_capacity(1 << 18, File::create(&path)?);
    let head = BundleHead { query, export, earlier: None, policy: None };
    let mut writer = BundleWriter::new(file, head, Box::new(tempfile::tempfile))?;
    let (mut clock, mut processor, before) = (0.0, 0.0, peak_memory());
    let mut next = 0;
    while next < records {
        // What the archive hands over is not what is measured.
        let page: Outcome<Vec<_>> = (next..records.min(next + 5_000))
            .map(|n| {
                let (entry, shown) = tree.entry(n)?;
                Ok((RecordId::new(uuid(n)), Disclosed { proof: tree.proof(n)?, entry, shown, commitments: None }))
            })
            .collect();
        next += 5_000;
        let page = page?;
        let took = timed(|| {
            page.into_iter().try_for_each(|(id, disclosed)| writer.record(id, vec![(disclosed, Reasons::new())]))?;
            Ok(())
        })?;
        (clock, processor) = (clock + took.1, processor + took.2);
    }
    let ((_file, written), last_clock, last_processor) = timed(|| Ok(writer.finish(&tree.key)?))?;
    (clock, processor) = (clock + last_clock, processor + last_processor);
    let mib = written.bytes as f64 / f64::from(1 << 20);
    let rate = |seconds: f64| (records as f64 / seconds, mib / seconds);
    let memory = |before: Option<u64>| match (before, peak_memory()) {
        (Some(before), Some(after)) => format!("peak memory {after} MiB, {before} before"),
        _ => "memory not known".to_owned(),
    };
    let memory_written = memory(before);
    let ((each, speed), (by_clock, _)) = (rate(processor), rate(clock));
    writeln!(
        out,
        "bundle of {mib:.0} MiB: {each:.0} records/s written ({by_clock:.0}), {speed:.0} MiB/s; {memory_written}"
    )?;
    let keys = [tree.key.verifying_key().clone()];
    let (source, before) = (Source::Zip(path.clone()), peak_memory());
    let (report, clock, verified) = timed(|| Ok(verify_bundle(&source, &keys)?))?;
    if report.verdict != Verdict::Verified {
        return Err(format!("the bundle does not verify: {:?}", report.failures.first()).into());
    }
    let memory_verified = memory(before);
    // The yardstick: SHA-256 on one core over as many bytes.
    let sample = std::fs::read(&path)?.into_iter().take(64 << 20).collect::<Vec<u8>>();
    let (digest, _clock, hashed) = timed(|| Ok(std::hint::black_box(Digest::of(&[&sample]))))?;
    if digest == Digest::ZERO {
        return Err("a digest is not zero".into());
    }
    let ratio = hashed / (sample.len() as f64 / f64::from(1 << 20)) * mib / verified;
    let ((each, speed), (by_clock, _)) = (rate(verified), rate(clock));
    writeln!(
        out,
        "bundle of {mib:.0} MiB: {each:.0} records/s verified ({by_clock:.0}), {speed:.0} MiB/s, {ratio:.2} of sha-256; {memory_verified}"
    )?;
    Ok(())
}

/// What it gives, and its seconds by the clock and by the processor.
fn timed<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64, f64)> {
    let (start, used) = (Instant::now(), processor_seconds());
    let done = run()?;
    let clock = start.elapsed().as_secs_f64();
    let processor = used.and_then(|before| Some(processor_seconds()? - before)).unwrap_or(clock);
    Ok((done, clock, processor))
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("bundle") {
        let records = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
        return bundle(&mut std::io::stdout().lock(), records);
    }
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
            policy: None,
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
