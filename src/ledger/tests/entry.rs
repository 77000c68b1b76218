//! Entries: one spelling, nothing forgotten, and every change noticed.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::ledger::detail::{Shape, keys};
use crate::ledger::{
    Actor, Commitments, Committed, Draft, ENTRY_MAX, Entry, EntryType, LIST_MAX, Position, STREAMS_MAX, Stamped,
    sequence,
};
use crate::record::{
    AdvisorId, Commitment, DeviceId, Digest, EntryId, FieldName, Kind, OfficerId, RecordId, SourceId, Timestamp,
    canonical,
};

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn uuid_v7() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(|n| {
        let n = n & !(0xf << 76) & !(0b11 << 62) | 7 << 76 | 0b10 << 62;
        Uuid::from_u128(n)
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0_i64..253_402_300_800_000_000).prop_map(|micros| Timestamp::from_unix_micros(micros).unwrap())
}

fn digest() -> impl Strategy<Value = Digest> + Clone {
    any::<[u8; 32]>().prop_map(Digest)
}

const WORD: &str = "[a-z0-9][a-z0-9_.-]{0,63}";

fn shaped(shape: Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Count => (0_u64..1 << 53).prop_map(Value::from).boxed(),
        Shape::Uuid => uuid().prop_map(|id| json!(id)).boxed(),
        Shape::Digest => digest().prop_map(|digest| json!(digest)).boxed(),
        Shape::Time => time().prop_map(|time| json!(time)).boxed(),
        Shape::Word => WORD.prop_map(Value::from).boxed(),
        Shape::OneOf(words) => proptest::sample::select(words).prop_map(Value::from).boxed(),
        Shape::Words => vec(WORD, 0..5).prop_map(|all| json!(all)).boxed(),
        Shape::ListOf(words) => vec(proptest::sample::select(words), 0..5).prop_map(|all| json!(all)).boxed(),
        Shape::Uuids => vec(uuid(), 0..5).prop_map(|all| json!(all)).boxed(),
    }
}

fn detail(entry_type: EntryType) -> BoxedStrategy<Map<String, Value>> {
    let Some(keys) = keys(entry_type) else {
        return btree_map("[a-z_]{1,12}", shaped(Shape::Word), 0..4).prop_map(|m| m.into_iter().collect()).boxed();
    };
    let members: Vec<_> = keys
        .iter()
        .map(|key| {
            let there = if key.required { Just(true).boxed() } else { any::<bool>().boxed() };
            (there, shaped(key.shape)).prop_map(move |(there, value)| there.then(|| (key.name.to_owned(), value)))
        })
        .collect();
    members.prop_map(|all| all.into_iter().flatten().collect()).boxed()
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        uuid().prop_map(|id| Actor::Device(DeviceId::new(id))),
        uuid().prop_map(|id| Actor::Advisor(AdvisorId::new(id))),
        uuid().prop_map(|id| Actor::Officer(OfficerId::new(id))),
        WORD.prop_map(|word| Actor::Service(word.parse().unwrap())),
    ]
}

fn commitments() -> impl Strategy<Value = Commitments> {
    let field = "[a-z0-9_.-]{1,64}".prop_map(|name| name.parse::<FieldName>().unwrap());
    let commitment = digest().prop_map(Commitment::from_digest);
    prop_oneof![9 => btree_map(field.clone(), commitment.clone(), 0..6), 1 => btree_map(field, commitment, 257..300)]
        .prop_map(|all| all.into_iter().collect())
}

prop_compose! {
    fn draft()(entry_type in proptest::sample::select(EntryType::ALL))(
        entry_type in Just(entry_type), id in uuid_v7(), actor in actor(), captured_at in time(),
        record in proptest::option::of(uuid_v7()), streams in proptest::collection::btree_set(uuid(), 0..4),
        commitments in commitments(), detail in detail(entry_type),
    ) -> Draft {
        Draft {
            id: EntryId::new(id), entry_type, actor, captured_at, record: record.map(RecordId::new),
            streams: streams.into_iter().map(AdvisorId::new).collect(), commitments, detail,
        }
    }
}

prop_compose! {
    pub(super) fn entry()(draft in draft(), source in uuid(), count in 0_u64..1 << 53, previous in digest(), at in time()) -> Entry {
        let stream_indices = vec![count / 2; draft.streams.len()];
        let stamped = Stamped { draft, source: SourceId::new(source), source_index: count };
        sequence(&stamped, &Position { index: count / 3, previous, at, stream_indices }).unwrap()
    }
}

proptest! {
    #[test]
    fn an_entry_is_canonical_json_and_reads_back(entry in entry()) {
        let value: Value = serde_json::from_slice(entry.bytes()).unwrap();
        prop_assert_eq!(canonical(&value).unwrap(), entry.bytes());
        let again = Entry::parse(entry.bytes()).unwrap();
        prop_assert_eq!(again.bytes(), entry.bytes());
        prop_assert_eq!(again.leaf(), Digest::of(&[&[0], entry.bytes()]));
        prop_assert_eq!(value["index"].as_u64(), Some(again.index()));
        prop_assert_eq!(value["detail"].as_object(), Some(again.detail()));
        prop_assert_eq!(value["at"].as_str().unwrap(), again.at().to_string());
    }

    #[test]
    fn any_changed_byte_changes_the_leaf_or_is_not_an_entry(entry in entry(), at: usize, bit in 0_u8..8) {
        let mut bytes = entry.bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Entry::parse(&bytes) {
            prop_assert_ne!(other.leaf(), entry.leaf());
            prop_assert_eq!(canonical(&serde_json::from_slice::<Value>(&bytes).unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    fn a_cut_or_longer_entry_is_refused(entry in entry(), at: usize, more in "[ \n}0]") {
        let bytes = entry.bytes();
        prop_assert!(Entry::parse(&bytes[..at % bytes.len()]).is_err());
        prop_assert!(Entry::parse(&[bytes, more.as_bytes()].concat()).is_err());
    }

    #[test]
    fn another_spelling_of_the_same_values_is_refused(entry in entry()) {
        let value: Value = serde_json::from_slice(entry.bytes()).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert!(Entry::parse(&pretty).is_err());
        let text = std::str::from_utf8(entry.bytes()).unwrap();
        for (from, to) in [
            ("\"v\":1}", "\"v\":1.0}"), ("\"v\":1}", "\"v\":2}"), ("\"v\":1}", "\"v\":1,\"w\":1}"), ("\"type\"", "\"typ\\u0065\""),
            ("\"index\":", "\"index\":0"), ("\"index\":", "\"index\":-"), ("\"index\":", "\"index\": "),
            ("\"detail\":{", "\"detail\":{\"~\":1,"),
        ] {
            let other = text.replacen(from, to, 1);
            prop_assert!(Entry::parse(other.as_bytes()).is_err(), "{}", other);
        }
    }

    #[test]
    fn the_reader_never_panics(bytes: Vec<u8>, entry in entry(), at: usize, cut: Vec<u8>) {
        let _entry = Entry::parse(&bytes);
        let at = at % entry.bytes().len();
        let _entry = Entry::parse(&[&entry.bytes()[..at], &cut].concat());
        let _entry = Entry::parse(&[&entry.bytes()[..at], &cut, &entry.bytes()[at..]].concat());
    }
}

#[test]
fn the_words_of_details_are_those_of_the_record() {
    for entry_type in [EntryType::Capture, EntryType::Observation] {
        let shape = keys(entry_type).unwrap().iter().find(|key| key.name == "kinds").unwrap().shape;
        let Shape::ListOf(words) = shape else { panic!("kinds is a list of words") };
        assert_eq!(words, Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    }
    for keys in EntryType::ALL.iter().filter_map(|entry_type| keys(*entry_type)) {
        assert!(keys.is_sorted_by(|a, b| a.name < b.name));
    }
}

/// Whoever keeps to the caps never meets the bound of 65,535 bytes, so no exchange can be too much for an entry.
#[test]
fn the_largest_entry_of_every_type_fits() {
    for entry_type in EntryType::ALL {
        let id = Uuid::from_u128(!(0xf << 76) & !(0b11 << 62) | 7 << 76 | 0b10 << 62);
        let longest = |words: &[&'static str]| words.iter().max_by_key(|word| word.len()).copied().unwrap();
        let value = |shape| match shape {
            Shape::Bool => json!(false),
            Shape::Count => json!((1_u64 << 53) - 1),
            Shape::Uuid => json!(id),
            Shape::Digest => json!(Digest::ZERO),
            Shape::Time => json!(Timestamp::EPOCH),
            Shape::Word => json!("x".repeat(64)),
            Shape::OneOf(words) => json!(longest(words)),
            Shape::Words => json!(vec!["x".repeat(20); LIST_MAX]),
            Shape::ListOf(words) => json!(vec![longest(words); LIST_MAX]),
            Shape::Uuids => json!(vec![id; LIST_MAX]),
        };
        let detail = keys(*entry_type).unwrap_or_default().iter().map(|key| (key.name.to_owned(), value(key.shape)));
        let name = |n: usize| format!("{n:x>64}").parse::<FieldName>().unwrap();
        let draft = Draft {
            id: EntryId::new(id),
            entry_type: *entry_type,
            actor: Actor::Service("x".repeat(64).parse().unwrap()),
            captured_at: Timestamp::EPOCH,
            record: Some(RecordId::new(id)),
            streams: (0..STREAMS_MAX as u128).map(|n| AdvisorId::new(Uuid::from_u128(n))).collect(),
            commitments: (0..256).map(|n| (name(n), Commitment::from_digest(Digest::ZERO))).collect(),
            detail: detail.collect(),
        };
        draft.check().unwrap_or_else(|error| panic!("{entry_type}: {error}"));
        let mut over = draft;
        over.streams.push(AdvisorId::new(Uuid::max()));
        assert!(over.check().is_err());
    }
    assert_eq!(ENTRY_MAX, usize::from(u16::MAX));
}

#[test]
fn more_than_256_commitments_become_a_root_that_still_binds_each() {
    let all: Commitments = (0..257_u16)
        .map(|n| (FieldName::attachment(n, 0), Commitment::from_digest(Digest::of(&[&n.to_be_bytes()]))))
        .collect();
    let root = Committed::Root(all.root());
    assert!(root.is_to(&all));
    for n in 0..257 {
        let mut other = all.clone();
        other.insert(FieldName::attachment(n, 0), Commitment::from_digest(Digest::ZERO));
        assert!(!root.is_to(&other));
    }
    let fewer: Commitments = all.iter().skip(1).map(|(name, commitment)| (name.clone(), commitment)).collect();
    assert!(!root.is_to(&fewer));
}
