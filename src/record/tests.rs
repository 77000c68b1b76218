//! Sealing and wrapping: what opens, and everything that must not.

use std::io::{self, Read};

use proptest::prelude::*;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;

fn entry(n: u128) -> EntryId {
    EntryId::new(Uuid::from_u128(n))
}

fn field(name: &str) -> FieldName {
    name.parse().unwrap()
}

fn key() -> SealingKey {
    RecordKey::new([3; 32]).sealing_key(entry(1), &field("0.text"))
}

/// Gives at most a few bytes at a time, as a socket does.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = buffer.len().min(4093);
        self.0.read(&mut buffer[..size])
    }
}

#[test]
fn every_size_around_the_chunk_opens_again_in_memory_and_in_streams() {
    for size in [0, 1, 15, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17] {
        let value: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let sealed = seal(&key(), &value).unwrap();
        assert_eq!(sealed.len() as u64, sealed_size(size as u64));
        assert_eq!(unseal(&key(), &sealed).unwrap(), value);

        let mut streamed = Vec::new();
        assert_eq!(seal_stream(&key(), &mut Trickle(&value), &mut streamed).unwrap(), size as u64);
        assert!(streamed == sealed, "size {size}");
        let mut opened = Vec::new();
        assert_eq!(unseal_stream(&key(), &mut Trickle(&sealed), &mut opened).unwrap(), size as u64);
        assert!(opened == value, "size {size}");
    }
}

#[test]
fn chunks_cannot_be_cut_off_appended_exchanged_or_repeated() {
    let value = vec![7; 3 * CHUNK];
    let sealed = seal(&key(), &value).unwrap();
    let chunks: Vec<_> = sealed.chunks(CHUNK + TAG).collect();
    let empty_end = {
        // An empty chunk in last place, honestly sealed by nobody: take the tag of an empty value.
        seal(&key(), b"").unwrap()
    };
    for wrong in [
        chunks[..2].concat(),
        chunks[..1].concat(),
        vec![],
        [chunks[1], chunks[0], chunks[2]].concat(),
        [chunks[0], chunks[0], chunks[2]].concat(),
        [chunks[0], chunks[1], chunks[2], chunks[2]].concat(),
        [chunks[0], chunks[1], chunks[2], &empty_end].concat(),
        sealed[..sealed.len() - 1].to_vec(),
        [&sealed[..], b"x"].concat(),
    ] {
        assert!(matches!(unseal(&key(), &wrong), Err(SealError::Refused)), "{} bytes", wrong.len());
    }
}

#[test]
fn content_opens_only_as_the_field_of_the_entry_it_was_sealed_for() {
    let record = RecordKey::new([3; 32]);
    let sealed = seal(&record.sealing_key(entry(1), &field("0.text")), b"hello").unwrap();
    for other in [
        record.sealing_key(entry(2), &field("0.text")),
        record.sealing_key(entry(1), &field("1.text")),
        RecordKey::new([4; 32]).sealing_key(entry(1), &field("0.text")),
    ] {
        assert!(matches!(unseal(&other, &sealed), Err(SealError::Refused)), "{other:?}");
    }
}

#[test]
fn salts_and_keys_differ_per_entry_and_field() {
    let record = RecordKey::new([3; 32]);
    let mut seen = std::collections::HashSet::new();
    for n in 0..4 {
        for name in ["0.text", "1.text", "0.author", "key", "salt"] {
            assert!(seen.insert(*record.salt(entry(n), &field(name)).as_bytes()));
            assert!(seen.insert(*record.sealing_key(entry(n), &field(name)).key));
        }
    }
}

#[test]
fn a_wrapped_key_opens_with_its_master_key_for_its_record_only() {
    let (master, record) = (MasterKey::new([9; 32]), RecordId::new(Uuid::from_u128(1)));
    let wrapped = master.wrap_key(record, &RecordKey::new([3; 32]), [5; 12]).unwrap();
    assert_eq!(master.unwrap_key(record, &wrapped).unwrap().as_bytes(), &[3; 32]);
    assert_eq!(WrappedKey::try_from(wrapped.as_bytes()).unwrap(), wrapped);

    let other = MasterKey::new([8; 32]);
    assert_eq!(other.unwrap_key(record, &wrapped).err(), Some(WrapError::OtherMasterKey(master.id())));
    let elsewhere = RecordId::new(Uuid::from_u128(2));
    assert_eq!(master.unwrap_key(elsewhere, &wrapped).err(), Some(WrapError::Refused));
    for at in 9..WrappedKey::SIZE {
        let mut bytes = wrapped.as_bytes().to_vec();
        bytes[at] ^= 1;
        let changed = WrappedKey::try_from(bytes.as_slice()).unwrap();
        assert_eq!(master.unwrap_key(record, &changed).err(), Some(WrapError::Refused), "byte {at}");
    }
    assert!(WrappedKey::try_from([0_u8; WrappedKey::SIZE].as_slice()).is_err());
    assert!(WrappedKey::try_from([1_u8; 68].as_slice()).is_err());
}

#[test]
fn keys_are_wrapped_again_when_the_master_key_is_rotated() {
    let (old, new, record) = (MasterKey::new([9; 32]), MasterKey::new([8; 32]), RecordId::new(Uuid::from_u128(1)));
    let wrapped = old.wrap_key(record, &RecordKey::new([3; 32]), [5; 12]).unwrap();
    let rotated = new.wrap_key(record, &old.unwrap_key(record, &wrapped).unwrap(), [6; 12]).unwrap();
    assert_eq!(rotated.master_key(), new.id());
    assert_eq!(new.unwrap_key(record, &rotated).unwrap().as_bytes(), &[3; 32]);
}

#[test]
fn a_former_master_key_opens_what_it_wrapped_and_wraps_nothing_more() {
    let record = RecordId::new(Uuid::from_u128(1));
    let old = MasterKey::new([9; 32]);
    let wrapped = old.wrap_key(record, &RecordKey::new([3; 32]), [5; 12]).unwrap();
    let secrets = |former: &[u8]| MasterSecrets {
        current: Zeroizing::new([8; 32]),
        former: former.iter().map(|byte| Zeroizing::new([*byte; 32])).collect(),
    };
    let both = MasterKey::of(&secrets(&[9, 8, 9]));
    assert_eq!((both.id(), both.former()), (MasterKey::new([8; 32]).id(), vec![old.id()]), "each once");
    assert_eq!(both.unwrap_key(record, &wrapped).unwrap().as_bytes(), &[3; 32]);
    let fresh = both.wrap_key(record, &RecordKey::new([3; 32]), [6; 12]).unwrap();
    assert_eq!(fresh.master_key(), both.id());
    assert_eq!(old.unwrap_key(record, &fresh).err(), Some(WrapError::OtherMasterKey(both.id())));
}

#[test]
fn a_key_that_is_not_known_is_looked_for_where_keys_come_from_and_all_clones_have_it_then() {
    let record = RecordId::new(Uuid::from_u128(1));
    let fresh = MasterKey::new([8; 32]).wrap_key(record, &RecordKey::new([3; 32]), [5; 12]).unwrap();
    let source = || {
        let former = vec![Zeroizing::new([9; 32])];
        Some(MasterSecrets { current: Zeroizing::new([8; 32]), former })
    };
    let master = MasterKey::new([9; 32]).with_source(std::sync::Arc::new(source));
    let clone = master.clone();
    assert_eq!(master.id(), MasterKey::new([9; 32]).id(), "not before it is met");
    assert_eq!(clone.unwrap_key(record, &fresh).unwrap().as_bytes(), &[3; 32]);
    assert_eq!((master.id(), master.every().len()), (MasterKey::new([8; 32]).id(), 2));
    let gone = MasterKey::new([9; 32]).with_source(std::sync::Arc::new(|| None));
    assert!(
        gone.unwrap_key(record, &fresh).is_err() && gone.id() == MasterKey::new([9; 32]).id(),
        "what was read goes on"
    );
}

#[test]
fn nothing_secret_is_printed() {
    let record = RecordKey::new([0xab; 32]);
    let shown = format!("{record:?} {:?} {:?}", record.salt(entry(1), &field("a")), MasterKey::new([0xab; 32]));
    assert_eq!(shown, "RecordKey(..) Salt(..) MasterKey(..)");
    assert!(!format!("{:?}", record.sealing_key(entry(1), &field("a"))).contains("ab"));
}

proptest! {
    #[test]
    fn any_changed_bit_of_sealed_content_is_refused(value: Vec<u8>, at: usize, bit in 0_u8..8) {
        let mut sealed = seal(&key(), &value).unwrap();
        let at = at % sealed.len();
        sealed[at] ^= 1 << bit;
        prop_assert!(matches!(unseal(&key(), &sealed), Err(SealError::Refused)));
    }

    #[test]
    fn bytes_nobody_sealed_never_open(bytes: Vec<u8>) {
        prop_assert!(unseal(&key(), &bytes).is_err());
    }
}
