//! Which files a bundle has, and in which order.
//!
//! Invariant: the order is fixed and every name follows from what came before it, so a reader knows which file must come next, and one that
//! is too many, missing or elsewhere has nowhere to hide.

use super::circumstance::Circumstance;
use crate::record::{AdvisorId, FieldName, RecordId};

pub(super) const README: &str = "README.txt";
pub(super) const QUERY: &str = "data/query/query.json";
pub(super) const EXPORT: &str = "data/query/export.json";
pub(super) const CHECKPOINT: &str = "proofs/checkpoint";
/// Whose cosignatures the firm asks for. For reading: whoever checks brings a policy of their own.
pub(super) const POLICY: &str = "proofs/policy.txt";
pub(super) const EXPORT_ENTRY: &str = "proofs/export.entry";
pub(super) const EXPORT_PROOF: &str = "proofs/export.tlog-proof";
pub(super) const PRIVILEGE_LOG: &str = "data/privilege-log.jsonl";
pub(super) const CUSTODY: &str = "data/custody/custody.jsonl";
pub(super) const CSV: &str = "data/csv/records.csv";
pub(super) const JSONL: &str = "data/jsonl/records.jsonl";
pub(super) const HTML: &str = "data/html/index.html";
pub(super) const STATEMENT: &str = "proofs/bundle.intoto.jsonl";

/// What was covered of the people in the bundle.
pub(super) const COVERAGE: &str = "data/gaps/coverage.json";
pub(super) const AROUND: &str = "data/html/circumstances.html";
pub(super) const CERTIFICATE: &str = "data/certificate/certificate.html";
/// A mail for each communication.
pub(super) const EML: &str = "data/eml/";
/// Conversations, day by day.
pub(super) const RSMF: &str = "data/rsmf/";
/// The volume that review platforms load, and its table.
pub(super) const VOLUME: &str = "data/load-file/VOL001/";
pub(super) const LOAD_FILE: &str = "data/load-file/VOL001/DATA/VOL001.dat";

const RECORDS: &str = "data/records/";
const RANGES: &str = "data/ranges/";
const CONSISTENCY: &str = "proofs/consistency/";

pub(super) fn earlier_checkpoint(size: u64) -> String {
    format!("{CONSISTENCY}{size}.checkpoint")
}

pub(super) fn consistency(old: u64, new: u64) -> String {
    format!("{CONSISTENCY}{old}-{new}.txt")
}

/// The size of an earlier checkpoint, from its path.
pub(super) fn parse_earlier(path: &str) -> Option<u64> {
    let size = path.strip_prefix(CONSISTENCY)?.strip_suffix(".checkpoint")?;
    crate::ledger::parse_decimal(size)
}

pub(super) fn record(record: RecordId) -> String {
    format!("{RECORDS}{record}/record.json")
}

/// The record whose disclosure this is.
pub(super) fn parse_record(path: &str) -> Option<RecordId> {
    let id = path.strip_prefix(RECORDS)?.strip_suffix("/record.json")?;
    let id: RecordId = id.parse().ok()?;
    (record(id) == path).then_some(id)
}

/// Bytes that were sent or received, as a file.
pub(super) fn native(record: RecordId, index: u64, field: &FieldName) -> String {
    format!("{RECORDS}{record}/native/{index}.{field}")
}

/// Is it bytes as they were sent or received, rather than something read out of them?
pub(super) fn is_native(field: &FieldName) -> bool {
    let part = field.as_str().split_once('.').map_or("", |(number, part)| match number {
        "request" | "response" => "raw",
        number if number.bytes().all(|b| b.is_ascii_digit()) => part,
        _ => "",
    });
    field.as_str() == "message" || part == "raw" || part.starts_with("attachment.")
}

pub(super) fn entry(record: RecordId, index: u64) -> String {
    format!("proofs/records/{record}/{index}.entry")
}

pub(super) fn proof(record: RecordId, index: u64) -> String {
    format!("proofs/records/{record}/{index}.tlog-proof")
}

pub(super) fn range(stream: AdvisorId) -> String {
    format!("{RANGES}{stream}.jsonl")
}

/// The entries that tell one thing about the records.
pub(super) fn circumstance(of: Circumstance) -> String {
    format!("data/circumstances/{}.jsonl", of.as_str())
}

fn is_circumstance(path: &str) -> bool {
    Circumstance::ALL.iter().any(|of| circumstance(*of) == path)
}

pub(super) fn parse_range(path: &str) -> Option<AdvisorId> {
    let id: AdvisorId = path.strip_prefix(RANGES)?.strip_suffix(".jsonl")?.parse().ok()?;
    (range(id) == path).then_some(id)
}

/// Is it read beside the others?
pub(super) fn is_beside(path: &str) -> bool {
    path == PRIVILEGE_LOG || parse_range(path).is_some() || is_circumstance(path)
}

/// Does it come after all records?
pub(super) fn is_behind_records(path: &str) -> bool {
    parse_range(path).is_some()
        || is_circumstance(path)
        || matches!(path, PRIVILEGE_LOG | CUSTODY | CSV | JSONL | HTML | COVERAGE | AROUND | CERTIFICATE)
        || [EML, RSMF, VOLUME].iter().any(|folder| path.starts_with(folder))
}
