//! Test vectors: files that pin every byte of `docs/FORMAT.md`. They were made once; a change of any of them is another format
//! version. `MUNIMENT_WRITE_VECTORS=1` writes those that are missing, and never one that is there.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muniment::ledger::detail::{Shape, keys};
use muniment::ledger::{
    Commitments, Entry, EntryType, Frontier, Node, Proof, Tile, TilePath, bundle_bytes, leaf_hash, tile_bytes,
};
use muniment::record::{
    CHUNK, Commitment, Digest, EntryId, FieldName, MasterKey, Part, RecordId, RecordKey, Salt, seal,
};
use serde_json::{Value, json};

use super::disclosure::{sample, sample_with_a_root};
use super::ledger::{Ledger, advisor, detail, field, post, record, record_key, time, uuid_v7};

pub(super) fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "vectors", name].iter().collect()
}

fn pin(name: &str, bytes: &[u8]) {
    let path = path(name);
    if std::env::var_os("MUNIMENT_WRITE_VECTORS").is_some() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let pinned = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(pinned == bytes, "{name} is pinned: what is made now is another format version");
}

/// Pins values, not the order of keys: that depends on what the build asks of its JSON crate.
fn pin_json(name: &str, value: &Value) {
    if !path(name).exists() {
        pin(name, format!("{value:#}\n").as_bytes());
    }
    let pinned: Value = serde_json::from_slice(&fs::read(path(name)).unwrap()).unwrap();
    assert!(pinned == *value, "{name} is pinned: what is made now is another format version");
}

fn details_of(shape: Shape) -> Value {
    match shape {
        Shape::Bool => json!("bool"),
        Shape::Count => json!("count"),
        Shape::Uuid => json!("uuid"),
        Shape::Digest => json!("digest"),
        Shape::Time => json!("time"),
        Shape::Word => json!("word"),
        Shape::OneOf(words) => json!({"one_of": words}),
        Shape::Words => json!({"list_of": "word"}),
        Shape::ListOf(words) => json!({"list_of": words}),
        Shape::Uuids => json!({"list_of": "uuid"}),
    }
}

#[test]
fn details_are_pinned() {
    let tables = EntryType::ALL.iter().map(|entry_type| {
        let table = keys(*entry_type).map(|keys| {
            let key = |key: &muniment::ledger::detail::Key| {
                (key.name.to_owned(), json!({"shape": details_of(key.shape), "must": key.required}))
            };
            keys.iter().map(key).collect::<serde_json::Map<_, _>>()
        });
        (entry_type.to_string(), json!(table))
    });
    pin_json("details.json", &Value::Object(tables.collect()));
}

/// An entry of every type, with every key its type has.
fn entries() -> Ledger {
    let mut ledger = Ledger::new();
    for entry_type in EntryType::ALL {
        let value = |shape| match shape {
            Shape::Bool => json!(true),
            Shape::Count => json!(7),
            Shape::Uuid => json!(uuid_v7(0x00fa)),
            Shape::Digest => json!(Digest::of(&[b"evidence"])),
            Shape::Time => json!(time(3600, 5)),
            Shape::Word => json!("some.word"),
            Shape::OneOf(words) => json!(words[0]),
            Shape::Words => json!(["spooled", "off_channel"]),
            Shape::ListOf(words) => json!([words[0], words[1]]),
            Shape::Uuids => json!([uuid_v7(1), uuid_v7(2)]),
        };
        let of_type = keys(*entry_type).unwrap_or_default().iter().map(|key| (key.name.to_owned(), value(key.shape)));
        let of_type: serde_json::Map<_, _> = of_type.collect();
        let mut draft = ledger.draft(*entry_type, Value::Object(of_type));
        if matches!(entry_type, EntryType::Capture | EntryType::Observation) {
            draft.record = Some(record(1));
            draft.streams = vec![advisor(2), advisor(1)];
            let name = field("0.text");
            let salt = record_key(1).salt(draft.id, &name);
            draft.commitments.insert(name, Commitment::to(&salt, b"hello"));
        }
        ledger.append(draft);
    }
    // The smallest, and one of a reserved type whose keys are its own.
    let mut reserved = ledger.draft(EntryType::Review, json!({}));
    reserved.detail = detail(json!({"any": "word", "at": time(0, 0), "list": ["a", "b"], "n": 0, "yes": false}));
    ledger.append(reserved);
    let many = (0..257).map(|n| (FieldName::part(n, Part::Text), format!("{n}").into_bytes())).collect::<Vec<_>>();
    ledger.capture(3, &[], &many);
    ledger
}

/// Byte strings that are not entries, each with the reason.
fn refused(sound: &str) -> Vec<(&'static str, String)> {
    let edit = |from: &str, to: &str| {
        assert!(sound.contains(from), "{from}");
        sound.replacen(from, to, 1)
    };
    vec![
        ("white space", edit("{\"actor\"", "{ \"actor\"")),
        ("a newline at the end", format!("{sound}\n")),
        ("cut off", sound.trim_end_matches('}').to_owned()),
        ("keys out of order", edit("\"type\":\"capture\",\"v\":1", "\"v\":1,\"type\":\"capture\"")),
        ("an unknown key", edit("\"v\":1", "\"v\":1,\"w\":1")),
        ("a missing key", edit(",\"source_index\":0", "")),
        ("a key twice", edit("\"v\":1", "\"v\":1,\"v\":1")),
        ("another version", edit("\"v\":1", "\"v\":2")),
        ("an unknown type", edit("\"type\":\"capture\"", "\"type\":\"captured\"")),
        ("a number with a fraction", edit("\"index\":0,\"previous\"", "\"index\":0.0,\"previous\"")),
        ("a leading zero", edit("\"index\":0,\"previous\"", "\"index\":00,\"previous\"")),
        ("a negative number", edit("\"index\":0,\"previous\"", "\"index\":-1,\"previous\"")),
        ("a number of 2^53", edit("\"source_index\":0", "\"source_index\":9007199254740992")),
        ("an escape", edit("\"network\":\"some.word\"", "\"network\":\"some\\u002eword\"")),
        ("a letter beyond ascii", edit("\"network\":\"some.word\"", "\"network\":\"söme.word\"")),
        ("a word with a capital", edit("\"network\":\"some.word\"", "\"network\":\"Some.word\"")),
        ("a uuid in capitals", edit("0198c0de-0000-7000-8000-000000000000", "0198C0DE-0000-7000-8000-000000000000")),
        ("an id of version 4", edit("\"id\":\"0198c0de-0000-7000", "\"id\":\"0198c0de-0000-4000")),
        ("a day that does not exist", edit("\"at\":\"2026-11-2", "\"at\":\"2026-02-3")),
        ("a leap second", edit(":00.000250Z", ":60.000250Z")),
        ("a time without its fraction", edit(".000250Z", "Z")),
        ("an unknown actor", edit("\"actor\":\"service:", "\"actor\":\"robot:")),
        ("a commitment whose spare bits are not zero", {
            let at = sound.find("\"commitments\":{\"0.text\":\"").unwrap() + 25;
            format!("{}B{}", &sound[..at + 42], &sound[at + 43..])
        }),
        (
            "streams out of order",
            edit("[{\"id\":", "[{\"id\":\"ffffffff-0000-7000-8000-000000000000\",\"index\":0},{\"id\":"),
        ),
        ("a detail its type does not have", edit("\"detail\":{", "\"detail\":{\"aaa\":1,")),
        ("a detail of another shape", edit("\"attachments\":7", "\"attachments\":\"7\"")),
        ("a word that is not in the list", edit("\"direction\":\"outbound\"", "\"direction\":\"sideways\"")),
        ("a detail that must be there", edit("\"attachments\":7,", "")),
        ("a nested detail", edit("\"attachments\":7", "\"attachments\":{}")),
        ("null", edit("\"attachments\":7", "\"attachments\":null")),
        ("nothing", String::new()),
        ("another value", "[]".to_owned()),
    ]
}

#[test]
fn entries_are_pinned() {
    let ledger = entries();
    let text = |entry: &Entry| String::from_utf8(entry.bytes().to_vec()).unwrap();
    let sound: Vec<_> =
        ledger.entries.iter().map(|entry| json!({"bytes": text(entry), "leaf": entry.leaf()})).collect();
    let refused = refused(&text(&ledger.entries[0]));
    for (why, bytes) in &refused {
        assert!(Entry::parse(bytes.as_bytes()).is_err(), "{why}: {bytes}");
    }
    let refused: Vec<_> = refused.into_iter().map(|(why, bytes)| json!({"why": why, "bytes": bytes})).collect();
    pin_json("entries.json", &json!({"entries": sound, "refused": refused}));
}

#[test]
fn trees_and_proofs_are_pinned() {
    let leaves: Vec<_> = (0..300_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let mut stored: HashMap<Node, Digest> = HashMap::new();
    let mut frontier = Frontier::new();
    let mut roots = vec![json!({"size": 0, "root": frontier.root()})];
    for leaf in &leaves {
        frontier.push_with(*leaf, |node, hash| {
            stored.insert(node, hash);
        });
        let size = frontier.size();
        if size <= 9 || (255..=257).contains(&size) || size == 300 {
            roots.push(json!({"size": size, "root": frontier.root()}));
        }
    }
    let inclusion = [(0, 1), (0, 8), (6, 7), (4, 5), (255, 257), (256, 257), (123, 300)].map(|(index, size)| {
        let proof = Proof::inclusion(index, size).unwrap().hashes(&stored).unwrap();
        json!({"index": index, "size": size, "proof": proof})
    });
    let consistency =
        [(0, 5), (1, 1), (1, 8), (6, 7), (4, 300), (255, 256), (256, 300), (123, 300)].map(|(old, new)| {
            let proof = Proof::consistency(old, new).unwrap().hashes(&stored).unwrap();
            json!({"old": old, "new": new, "proof": proof})
        });
    pin_json(
        "tree.json",
        &json!({
            "leaf": "leaf n is SHA-256(00 || n in 4 bytes)", "roots": roots, "inclusion": inclusion,
            "consistency": consistency,
        }),
    );

    let tile = |tile: Tile| {
        let node = |n: u16| Node { level: tile.level * 8, index: tile.index * 256 + u64::from(n) };
        let hashes: Vec<_> = (0..tile.width).map(|n| stored[&node(n)]).collect();
        json!({"path": tile.to_string(), "sha256": Digest::of(&[&tile_bytes(&hashes)])})
    };
    let tiles: Vec<_> = Tile::between(0, 300).map(tile).collect();
    let entries: Vec<_> = (256..300_u32).map(u32::to_be_bytes).collect();
    let bundle = TilePath::Entries { index: 1, width: 44 };
    let paths = [(0, 256), (5, 7), (999, 256), (1000, 255), (1_234_067, 256)];
    let paths = paths.map(|(index, width)| Tile { level: 3, index, width }.to_string());
    pin_json(
        "tiles.json",
        &json!({
            "tiles of the tree of 300 leaves of tree.json": tiles, "paths": paths,
            "bundle": {"path": bundle.to_string(), "sha256": Digest::of(&[&bundle_bytes(&entries).unwrap()])},
        }),
    );
}

fn ids() -> (RecordKey, EntryId, RecordId) {
    (RecordKey::new(std::array::from_fn(|n| n as u8)), EntryId::new(uuid_v7(0xe1)), RecordId::new(uuid_v7(0xc1)))
}

#[test]
fn keys_and_wrapping_are_pinned() {
    let (key, entry, record) = ids();
    let master = MasterKey::new([0x77; 32]);
    let fields = ["0.text", "1.author", "request.head", "x"].map(|name| {
        let salt = key.salt(entry, &field(name));
        json!({
            "field": name, "salt": hex::encode(salt.as_bytes()),
            "sealing_key": hex::encode(key.sealing_key(entry, &field(name)).as_bytes()),
            "commitment to hello": Commitment::to(&salt, b"hello"),
        })
    });
    let wrapped = master.wrap_key(record, &key, [0xa5; 12]).unwrap();
    pin_json(
        "keys.json",
        &json!({
            "record_key": hex::encode(key.as_bytes()), "entry": entry, "fields": fields,
            "master_key": hex::encode(master.as_bytes()), "master_key_name": master.id().to_string(), "record": record,
            "nonce": hex::encode([0xa5; 12]), "wrapped": hex::encode(wrapped.as_bytes()),
        }),
    );
}

#[test]
fn sealing_is_pinned() {
    let (key, entry, _record) = ids();
    let name = FieldName::part(0, Part::Text);
    let sealing = key.sealing_key(entry, &name);
    let long: Vec<u8> = (0..2 * CHUNK + 5).map(|n| (n % 251) as u8).collect();
    pin_json(
        "sealing.json",
        &json!({
            "record_key": hex::encode(key.as_bytes()), "entry": entry, "field": name,
            "empty": hex::encode(seal(&sealing, b"").unwrap()),
            "hello": hex::encode(seal(&sealing, b"hello").unwrap()),
            "byte n is n mod 251, 2097157 bytes": {"sha256": Digest::of(&[&seal(&sealing, &long).unwrap()])},
        }),
    );
}

#[test]
fn commitments_are_pinned() {
    let salt = |n: u16| Salt::new(Digest::of(&[&n.to_be_bytes()]).0);
    let all: Commitments = (0..257)
        .map(|n| (FieldName::part(n, Part::Text), Commitment::to(&salt(n), format!("value {n}").as_bytes())))
        .collect();
    let root = all.root();
    pin_json(
        "commitments.json",
        &json!({
            "rule": "field `<n>.text` holds `value <n>` under the salt SHA-256(n in 2 bytes), n from 0 to 256",
            "field 0.text": {"salt": URL_SAFE_NO_PAD.encode(salt(0).as_bytes()), "commitment": all.get("0.text").unwrap()},
            "commitments_root": {"count": root.count, "root": root.root},
        }),
    );
}

#[test]
fn checkpoints_dumps_and_disclosures_are_pinned() {
    let ledger = Ledger::of_a_day(20);
    pin("vkey", format!("{}\n", ledger.vkey()).as_bytes());
    pin("checkpoint", ledger.checkpoints.last().unwrap().1.as_bytes());
    pin("proof.tlog-proof", ledger.proof(11).to_string().as_bytes());
    let directory = tempfile::tempdir().unwrap();
    ledger.dump(directory.path());
    for name in ["entries.tsv", "checkpoints.tsv"] {
        pin(&format!("dump/{name}"), &fs::read(directory.path().join(name)).unwrap());
    }
    pin("bundle.zip", &super::bundle::small().1);
    pin("disclosure.json", sample().1.to_json().as_bytes());
    pin("disclosure-root.json", sample_with_a_root().1.to_json().as_bytes());
    assert_eq!(post(1)[1].0.as_str(), "0.text");
}
