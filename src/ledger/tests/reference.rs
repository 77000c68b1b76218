//! The readers of entries against one that is as simple as it can be said: JSON as anybody reads it, written again and compared.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::entry::entry;
use crate::ledger::detail::{Shape, keys};
use crate::ledger::leaf::scan_with_leaf;
use crate::ledger::scan::{scan, scan_strictly};
use crate::ledger::{
    Actor, Commitments, Committed, ENTRY_MAX, Entry, EntryType, INTEGER_MAX, LIST_MAX, LISTED_MAX, STREAMS_MAX,
    leaf_hash, quick,
};
use crate::record::{Commitment, Digest, FieldName, Timestamp, Word, canonical};
use uuid::Uuid;

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'))
}

fn parsed<T: std::str::FromStr + ToString>(value: &Value) -> Option<T> {
    let text = text(value)?;
    text.parse().ok().filter(|parsed: &T| parsed.to_string() == text)
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().filter(|count| *count <= INTEGER_MAX)
}

fn has_shape(shape: Shape, value: &Value) -> bool {
    let list = |each: &dyn Fn(&Value) -> bool| {
        value.as_array().is_some_and(|list| list.len() <= LIST_MAX && list.iter().all(each))
    };
    let one_of = |words: &[&str], value: &Value| text(value).is_some_and(|text| words.contains(&text));
    match shape {
        Shape::Bool => value.is_boolean(),
        Shape::Count => count(value).is_some(),
        Shape::Uuid => parsed::<Uuid>(value).is_some(),
        Shape::Digest => parsed::<Digest>(value).is_some(),
        Shape::Time => parsed::<Timestamp>(value).is_some(),
        Shape::Word => parsed::<Word>(value).is_some(),
        Shape::OneOf(words) => one_of(words, value),
        Shape::Words => list(&|word| parsed::<Word>(word).is_some()),
        Shape::ListOf(words) => list(&|word| one_of(words, word)),
        Shape::Uuids => list(&|id| parsed::<Uuid>(id).is_some()),
    }
}

fn is_detail(entry_type: EntryType, detail: &Map<String, Value>) -> bool {
    let Some(keys) = keys(entry_type) else {
        return detail.iter().all(|(name, value)| {
            let shapes = [Shape::Bool, Shape::Count, Shape::Time, Shape::Word, Shape::Words];
            name.parse::<FieldName>().is_ok() && shapes.into_iter().any(|shape| has_shape(shape, value))
        });
    };
    let of_name = |name: &str| keys.iter().find(|key| key.name == name);
    keys.iter().all(|key| !key.required || detail.contains_key(key.name))
        && detail.iter().all(|(name, value)| of_name(name).is_some_and(|key| has_shape(key.shape, value)))
}

fn is_committed(entry: &Map<String, Value>) -> Option<bool> {
    if let Some(root) = entry.get("commitments_root") {
        let root = root.as_object()?;
        let large = count(root.get("count")?)? > LISTED_MAX as u64;
        return Some(root.len() == 2 && large && parsed::<Commitment>(root.get("root")?).is_some());
    }
    let listed = entry.get("commitments")?.as_object()?;
    let read = |(name, commitment): (&String, &Value)| Some((name.parse().ok()?, parsed::<Commitment>(commitment)?));
    let read: Option<Commitments> = listed.iter().map(read).collect();
    Some(listed.len() <= LISTED_MAX && read.is_some())
}

/// Is it an entry? `None` is no, too.
fn is_entry(bytes: &[u8]) -> Option<bool> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let entry = value.as_object()?;
    let entry_type = parsed::<EntryType>(entry.get("type")?)?;
    let v7 = |value: &Value| {
        parsed::<Uuid>(value).is_some_and(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
    };
    let streams = entry.get("streams")?.as_array()?.iter().map(|stream| {
        let stream = stream.as_object().filter(|stream| stream.len() == 2)?;
        count(stream.get("index")?)?;
        parsed::<Uuid>(stream.get("id")?)
    });
    let streams: Vec<Uuid> = streams.collect::<Option<_>>()?;
    let others = usize::from(entry.contains_key("record"));
    Some(
        bytes.len() <= ENTRY_MAX
            && canonical(&value).ok()? == bytes
            && entry.len() == 13 + others
            && entry.get("v")?.as_u64() == Some(1)
            && parsed::<Actor>(entry.get("actor")?).is_some()
            && parsed::<Timestamp>(entry.get("at")?).is_some()
            && parsed::<Timestamp>(entry.get("captured_at")?).is_some()
            && is_committed(entry)?
            && is_detail(entry_type, entry.get("detail")?.as_object()?)
            && v7(entry.get("id")?)
            && count(entry.get("index")?).is_some()
            && parsed::<Digest>(entry.get("previous")?).is_some()
            && entry.get("record").is_none_or(v7)
            && parsed::<Uuid>(entry.get("source")?).is_some()
            && count(entry.get("source_index")?).is_some()
            && streams.is_sorted_by(|a, b| a < b)
            && streams.len() <= STREAMS_MAX,
    )
}

/// All readers say the same of these bytes, and the same as the simple one.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let said = String::from_utf8_lossy(bytes);
    let strict = scan_strictly(bytes);
    prop_assert_eq!(strict.is_ok(), is_entry(bytes) == Some(true), "{}: {:?}", said, strict);
    if let Some(quick) = quick::scan(bytes, &mut ()) {
        prop_assert_eq!(Some(quick), strict.as_ref().ok().copied(), "{}", said);
    }
    let (beside, leaf) = scan_with_leaf(bytes);
    prop_assert_eq!(leaf, leaf_hash(bytes));
    let strict = strict.map_err(|error| error.to_string());
    prop_assert_eq!(&beside.map_err(|error| error.to_string()), &strict);
    prop_assert_eq!(&scan(bytes).map_err(|error| error.to_string()), &strict);
    Ok(())
}

/// Another spelling at some place: of a number, a word, an end, an order.
fn changed(entry: &Entry, at: usize, change: usize, piece: &[u8]) -> Vec<u8> {
    let bytes = entry.bytes();
    let at = at % bytes.len();
    let (front, back) = bytes.split_at(at);
    let after = |count: usize| back.get(count.min(back.len())..).unwrap_or_default();
    match change % 6 {
        // Put in, put in the place of, taken away, doubled.
        0 => [front, piece, back].concat(),
        1 => [front, piece, after(piece.len())].concat(),
        2 => [front, after(1 + change / 6 % 9)].concat(),
        3 => [front, back.get(..(1 + change / 6 % 90).min(back.len())).unwrap_or_default(), back].concat(),
        // Another digit, or the case of a letter.
        4 => [front, &[back[0] ^ 1], after(1)].concat(),
        _ => [front, &[back[0] ^ 0x20], after(1)].concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_takes_and_refuses_what_the_simple_one_does(
        entry in entry(), at: usize, change: usize, piece in r#"[0-9a-f]{1,3}|[",:{}\[\]-]{1,3}|[ -~]|\PC|-1|1e3|1\.0|true|null"#,
    ) {
        agree(entry.bytes())?;
        agree(&changed(&entry, at, change, piece.as_bytes()))?;
    }

    /// Else the quick reader could be one that reads nothing.
    #[test]
    fn what_most_entries_look_like_is_read_quickly(entry in entry()) {
        let is_rare = keys(entry.entry_type()).is_none()
            || entry.streams().len() > 1
            || matches!(entry.committed(), Committed::Root(_));
        let said = String::from_utf8_lossy(entry.bytes());
        prop_assert_eq!(quick::scan(entry.bytes(), &mut ()).is_some(), !is_rare, "{}", said);
    }
}
