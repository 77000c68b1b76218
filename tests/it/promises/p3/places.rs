//! Everywhere to look: what lies in the files, and what comes out when everything sealed is opened with the master key.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use muniment::app::SystemClock;
use muniment::archive::{BlobDigest, BlobStore};
use muniment::capture::SystemEntropy;
use muniment::capture::spool::{Bounds, Directory, Journal, SpoolKey};
use muniment::record::{EntryId, FieldName, MasterKey, RecordId, WrappedKey, unseal, unseal_stream};

use crate::promises::power::psql;

/// A place and the bytes there.
pub(super) type Found = (String, Vec<u8>);

/// Every file below a directory.
pub(super) fn files(dir: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

fn master(data: &Path) -> MasterKey {
    let text = std::fs::read_to_string(data.join("master.key")).unwrap();
    MasterKey::new(hex::decode(text.trim()).unwrap().try_into().unwrap())
}

fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
}

/// Every field of every entry, opened: those beside the entries and those in blobs.
pub(super) fn opened(data: &Path) -> Vec<Found> {
    let master = master(data);
    let blobs = BlobStore::open(&data.join("blobs")).unwrap();
    let key_of = |record: &str, wrapped: &str| {
        let wrapped = WrappedKey::try_from(&*hex::decode(wrapped).unwrap()).unwrap();
        master.unwrap_key(parsed::<RecordId>(record), &wrapped).unwrap()
    };
    let mut found = Vec::new();
    let inline = "select e.id, s.record, encode(k.wrapped, 'hex'), f.name, encode(f.sealed, 'hex') from content.sealed s \
                  join ledger.entries e on e.index = s.entry_index join content.keys k on k.record = s.record, \
                  unnest(s.names, s.ciphertexts) f(name, sealed)";
    for row in psql(data, inline).lines() {
        let [entry, record, wrapped, name, sealed] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        let key = key_of(record, wrapped).sealing_key(parsed::<EntryId>(entry), &parsed::<FieldName>(name));
        found.push((format!("field {name} of {entry}"), unseal(&key, &hex::decode(sealed).unwrap()).unwrap()));
    }
    let outside = "select e.id, b.record, encode(k.wrapped, 'hex'), b.name, encode(b.digest, 'hex') from content.blobs b \
                   join ledger.entries e on e.index = b.entry_index join content.keys k on k.record = b.record";
    for row in psql(data, outside).lines() {
        let [entry, record, wrapped, name, digest] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        let key = key_of(record, wrapped).sealing_key(parsed::<EntryId>(entry), &parsed::<FieldName>(name));
        let mut bytes = Vec::new();
        unseal_stream(&key, &mut blobs.read(BlobDigest(parsed(digest))).unwrap(), &mut bytes).unwrap();
        found.push((format!("blob {name} of {entry}"), bytes));
    }
    found
}

/// Every frame of a spool, opened. What it carries is sealed once more, like everything else; `opened` has it after replay.
pub(super) async fn frames(data: &Path, spool: &Path) -> Vec<Found> {
    let disk = Arc::new(Directory::open(spool).unwrap());
    let key = SpoolKey::derive(&master(data).as_bytes());
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let journal = Journal::open(disk, key, Bounds::default(), clock, entropy).unwrap();
    let mut found = Vec::new();
    while let Some(number) = journal.oldest().await.unwrap() {
        let reading = journal.read(number).await.unwrap().unwrap();
        found.extend(
            reading.payloads.into_iter().map(|payload| (format!("a frame of the spool's {number:?}"), payload)),
        );
        journal.remove(number).await.unwrap();
    }
    found
}

/// The whole database as text, with nothing compressed by the server.
pub(super) fn dump(data: &Path) -> Vec<u8> {
    let postgres = data.join("postgres");
    let output = Command::new("pg_dump")
        .args(["-U", "muniment", "-d", "muniment", "-h"])
        .arg(postgres.join("socket"))
        .env("PGPASSWORD", std::fs::read_to_string(postgres.join("owner.password")).unwrap().trim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Copies the files of a directory that has no others below it.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
