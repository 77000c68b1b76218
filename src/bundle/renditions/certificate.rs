//! A draft of the certificate that lets a court take the records without a witness: Federal Rules of Evidence 902(11), (13) and (14), in the
//! form of 28 U.S.C. section 1746. What the archive knows is filled in; a qualified person completes, corrects and signs it.

use std::fmt::Write as _;

use super::page::{END, begin, note, paragraph};
use crate::bundle::circumstance::Told;
use crate::bundle::query::BundleQuery;
use crate::bundle::shown::{ShownRecord, detail_of};
use crate::ledger::{Checkpoint, Entry};
use crate::record::Digest;

const BLANK: &str = "______________________________";

/// All before the list of records.
pub(super) fn header(query: &BundleQuery, export: &Entry, checkpoint: &Checkpoint, into: &mut String) {
    begin("Draft certificate (FRE 902(11), 902(13), 902(14))", into);
    note(
        "A draft, filled in from the archive. It certifies nothing until a qualified person has checked every sentence against what they know, struck what does not hold, filled what is blank and signed. Counsel decides whether and how it is used, and gives the notice that rule 902(11) asks for.",
        into,
    );
    let records = detail_of(export, "records");
    let said = [
        format!("1. I, {BLANK}, am employed by {BLANK} (the firm) as {BLANK}. My duties include {BLANK}. I know the system described here from {BLANK}."),
        format!("2. The system. The firm's advisors reach social networks through a proxy named muniment. Of each message, post or other communication that it sees on the networks it is set up for, it keeps the bytes that were sent or received, from which credentials have been removed, and what a published rule reads out of them; of what is read it keeps what concerns the firm. What an advisor sends is kept before it leaves. Each is put down as an entry of an append-only ledger named {}: an entry states the time, who caused it, and a SHA-256 commitment to each value kept, and names the SHA-256 hash of the entry before. It is said where something was removed.", checkpoint.origin),
        "3. A record of what an advisor sent was made at or near the time at which it was sent; a record of what was read, when it was read, which may be long after it was written: captured_at in each entry is the time at which the system saw it. Records were made by that process and without anybody's hand, and are kept in the course of a regularly conducted activity, as a regular practice of that activity (rules 803(6)(A) to (C), 902(11), 902(13)).".to_owned(),
        format!("4. The export. On {}, {} took out of the archive what was asked for, as many records as {records}. The request is in data/query/query.json; it is entry {} of the ledger, and looked at the first {} entries.", export.at(), export.actor(), export.index(), query.as_of),
        format!("5. Digital identification (rule 902(14)). Each record stands in a file of its own, made at the export from the entries and the content of the archive. Each value in it was hashed with its salt by SHA-256 and is the one to which the entry committed when it was made. The SHA-256 digests of these files are in Schedule A and in manifest-sha256.txt: whoever computes the digest of a file and finds the same has the same file. Each file shows, with what README.txt describes, that its entries are in the ledger of {} entries whose root hash is {}, which is signed in proofs/checkpoint.", checkpoint.size, checkpoint.root),
        "6. What the system could not keep or read is itself in the ledger; what was found of it for these people and times is in data/gaps/coverage.json. What is not shown in this copy, be it withheld, disposed of or damaged, is listed with the reason in data/privilege-log.jsonl, where there is any.".to_owned(),
    ];
    said.iter().for_each(|said| paragraph(said, into));
    match (query.advisors.as_slice(), query.from, query.until) {
        ([], _, _) => paragraph("7. This copy holds what was asked for, and is not said to be all of anything.", into),
        (advisors, from, until) => {
            let list = advisors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let from = from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string());
            let until = until.map_or_else(|| format!("entry {}", query.as_of), |until| until.to_string());
            paragraph(
                &format!(
                    "7. Of these advisors it holds each record kept from {from} until before {until}: {list}. Entries of each are counted without a gap in data/ranges; this rests on no two entries of the ledger having the same number, which an auditor of the whole ledger can attest."
                ),
                into,
            );
        }
    }
    into.push_str("<h2>Schedule A: the records</h2>\n");
    note("Each record, and the SHA-256 digest of its file data/records/<record>/record.json:", into);
}

/// A record's line.
pub(super) fn record(record: &ShownRecord, digest: Digest, into: &mut String) {
    note(&format!("{} {digest}", record.id), into);
}

/// All behind the list; the newest checks of the archive that are in the bundle.
pub(super) fn footer(records: u64, checks: &[String], into: &mut String) {
    let _written = writeln!(into, "<h2>Schedule B: checks of the archive</h2>");
    if checks.is_empty() {
        paragraph("None is in this bundle.", into);
    }
    checks.iter().for_each(|check| paragraph(check, into));
    note(&format!("Schedule A: {records}."), into);
    into.push_str("<h2>Declaration</h2>\n");
    paragraph(
        "I declare (or certify, verify, or state) under penalty of perjury under the laws of the United States of America that the foregoing is true and correct.",
        into,
    );
    for blank in ["Executed on (date)", "At (place, where outside the United States)", "Signature", "Name and title"] {
        paragraph(&format!("{blank}: {BLANK}"), into);
    }
    into.push_str(END);
}

/// A check of the archive, in words.
pub(super) fn check(told: &Told) -> String {
    let detail = |key: &str| detail_of(&told.entry, key);
    format!(
        "Entry {}, {}: {} of entries {} up to before {}: {}, {} failures.",
        told.entry.index(),
        told.entry.at(),
        detail("scope"),
        detail("from"),
        detail("until"),
        detail("result"),
        detail("failures"),
    )
}
