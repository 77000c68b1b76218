//! Notes, checkpoints and tlog-proofs: the examples of the specifications, and everything that must be refused.

use proptest::prelude::*;

use crate::ledger::{
    Checkpoint, CheckpointError, Note, NoteError, NoteKeyError, NoteSignature, Proof, SigningKey, TlogProof,
    TlogProofError, VerifyingKey, leaf_hash, root_of,
};
use crate::record::Digest;

// From C2SP signed-note, section "Example".
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
// From C2SP tlog-cosignature: a log's signature and a witness's.
const COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

fn key(name: &str) -> SigningKey {
    SigningKey::new(name, &[7; 32]).unwrap()
}

fn keys(key: &SigningKey) -> [VerifyingKey; 1] {
    [key.verifying_key().clone()]
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "log.firm.example".into(), size: 12, root: Digest([9; 32]), extensions: vec![] }
}

#[test]
fn the_example_of_signed_note_verifies() {
    let key: VerifyingKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note = Note::parse(EXAMPLE_NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_string(), EXAMPLE_NOTE);
    assert_eq!(note.verify(&[key]).unwrap().len(), 1);
}

#[test]
fn the_example_of_tlog_checkpoint_is_read() {
    let note = Note::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!((note.signatures().len(), note.to_string().as_str()), (2, COSIGNED));
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), note.text());
}

#[test]
fn a_signing_key_survives_its_text_form() {
    let key = key("log.firm.example");
    let again = SigningKey::from_secret_text(&key.secret_text()).unwrap();
    assert_eq!(again.verifying_key(), key.verifying_key());
    assert!(!format!("{key:?}").contains("PRIVATE"));
    let other_name = key.secret_text().replace("log.firm", "log.fork");
    assert!(matches!(SigningKey::from_secret_text(&other_name), Err(NoteKeyError::Id(_))));
}

#[test]
fn a_key_name_cannot_break_a_line() {
    for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\tb", "a\u{2028}b"] {
        assert_eq!(SigningKey::new(bad, &[7; 32]).err(), Some(NoteKeyError::Name), "{bad:?}");
    }
}

#[test]
fn unsound_keys_are_refused() {
    // The neutral point verifies signatures that nobody made.
    let mut weak = [0; 32];
    weak[0] = 1;
    // 3 is the y of a point, and so is 3 + 2^255 - 19: the same point, spelled as RFC 8032 does not.
    let mut respelled = [0xff; 32];
    (respelled[0], respelled[31]) = (0xf0, 0x7f);
    for bytes in [weak, [0; 32], [2; 32], respelled] {
        let typed = [&[1_u8], bytes.as_slice()].concat();
        let id = hex::encode(&Digest::of(&[b"x\n", &typed]).0[..4]);
        use base64::Engine as _;
        let text = format!("x+{id}+{}", base64::engine::general_purpose::STANDARD.encode(typed));
        let read = text.parse::<VerifyingKey>();
        assert!(matches!(read, Err(NoteKeyError::Unsound(_))), "{bytes:?}: {read:?}");
    }
    for text in ["x", "x+00000000", "x+0000000g+AA==", "x+00000000+", "x+00000000+CQ=="] {
        assert!(text.parse::<VerifyingKey>().is_err(), "{text}");
    }
}

#[test]
fn one_bad_signature_of_a_known_key_refuses_the_note() {
    let key = key("log.firm.example");
    let note = checkpoint().sign(&[&key]).unwrap().to_string();
    let (seen, vouched) = Checkpoint::open(note.as_bytes(), &keys(&key)).unwrap();
    assert_eq!((seen, vouched.len()), (checkpoint(), 1));

    let other_size = note.replace("\n12\n", "\n13\n");
    let refused = Checkpoint::open(other_size.as_bytes(), &keys(&key));
    assert!(matches!(refused, Err(CheckpointError::Note(NoteError::Signature { .. }))));
}

#[test]
fn signatures_of_strangers_are_kept_and_ignored() {
    let (ours, stranger) = (key("log.firm.example"), SigningKey::new("log.firm.example", &[8; 32]).unwrap());
    let mut note = checkpoint().sign(&[&ours]).unwrap();
    let stray =
        NoteSignature { bytes: vec![1; 80], ..checkpoint().sign(&[&stranger]).unwrap().signatures()[0].clone() };
    note.add(stray.clone());
    note.add(stray);
    assert_eq!(note.signatures().len(), 2);
    let again = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(again, note);
    assert_eq!(again.verify(&keys(&ours)).unwrap().len(), 1);
    assert_eq!(again.verify(&[]), Err(NoteError::Unsigned));
}

#[test]
fn a_witness_alone_does_not_make_a_checkpoint() {
    use ed25519_dalek::Signer as _;
    let log = key("log.firm.example");
    let witness = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let typed = [&[4_u8], witness.verifying_key().as_bytes().as_slice()].concat();
    use base64::Engine as _;
    let id = hex::encode(&Digest::of(&[b"witness.example\n", &typed]).0[..4]);
    let vkey = format!("witness.example+{id}+{}", base64::engine::general_purpose::STANDARD.encode(typed));
    let vkey: VerifyingKey = vkey.parse().unwrap();
    assert!(!vkey.is_log_key());

    let mut note = checkpoint().sign(&[&log]).unwrap();
    let message = format!("cosignature/v1\ntime 1700000000\n{}", note.text());
    let signature = witness.sign(message.as_bytes()).to_bytes();
    let bytes = [1_700_000_000_u64.to_be_bytes().as_slice(), &signature].concat();
    note.add(NoteSignature { name: "witness.example".into(), id: vkey.id(), bytes });

    let all = [log.verifying_key().clone(), vkey.clone()];
    let (_seen, vouched) = Checkpoint::open(note.to_string().as_bytes(), &all).unwrap();
    assert_eq!(vouched.iter().map(|by| by.time).collect::<Vec<_>>(), [None, Some(1_700_000_000)]);
    let alone = Checkpoint::open(note.to_string().as_bytes(), &[vkey]);
    assert!(matches!(alone, Err(CheckpointError::Origin { .. })));
}

#[test]
fn a_key_of_another_log_does_not_vouch() {
    let other = key("log.other.example");
    assert!(matches!(checkpoint().sign(&[&other]), Err(CheckpointError::Origin { .. })));
    let note = Note::sign(&checkpoint().to_string(), &[&other]).unwrap();
    let opened = Checkpoint::open(note.to_string().as_bytes(), &keys(&other));
    assert!(matches!(opened, Err(CheckpointError::Origin { .. })));
}

#[test]
fn extension_lines_are_kept_and_covered_by_the_signature() {
    let key = key("log.firm.example");
    let with = Checkpoint { extensions: vec!["more".into()], ..checkpoint() };
    let note = with.sign(&[&key]).unwrap().to_string();
    assert_eq!(Checkpoint::open(note.as_bytes(), &keys(&key)).unwrap().0, with);
    assert!(Checkpoint::open(note.replace("more", "less").as_bytes(), &keys(&key)).is_err());
    for bad in ["", "two\nlines"] {
        assert!(Checkpoint { extensions: vec![bad.into()], ..checkpoint() }.sign(&[&key]).is_err());
    }
}

#[test]
fn what_is_not_a_checkpoint_is_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for bad in [
        String::new(),
        format!("\n1\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        "o\n1\nAAAA\n".into(),
        "o\n1\n".into(),
        format!("o\n1\n{root}"),
        format!("o\n1\n{root}\n\n"),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
    for bad in [
        "",
        "x",
        "x\n\n",
        "x\n\n— a\n",
        "x\n\n— a !!\n",
        "x\n\n— a AAAA\n",
        "\x01\n\n— a AAAAAAAA\n",
        "x\n\n— a AAAAAAAA",
        "x\n\n- a AAAAAAAA\n",
        "x\n\n— a+b AAAAAAAA\n",
        "x\n\n— a AAAAAAAA\n\n",
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(Note::parse("x\n\n— a AAAAAAAA\n".as_bytes()).is_ok());
}

fn proof() -> (TlogProof, Digest, SigningKey) {
    let leaves: Vec<_> = (0..10_u8).map(|n| leaf_hash(&[n])).collect();
    let root = root_of(leaves.iter().copied());
    let key = key("log.firm.example");
    let note = Checkpoint { size: 10, root, ..checkpoint() }.sign(&[&key]).unwrap();
    let mut stored = std::collections::HashMap::new();
    let mut frontier = crate::ledger::Frontier::new();
    leaves.iter().for_each(|leaf| {
        frontier.push_with(*leaf, |node, hash| {
            stored.insert(node, hash);
        });
    });
    let hashes = Proof::inclusion(6, 10).unwrap().hashes(&stored).unwrap();
    (TlogProof { extra: None, index: 6, hashes, checkpoint: note.to_string() }, leaves[6], key)
}

#[test]
fn a_tlog_proof_survives_its_text_and_proves_its_leaf_only() {
    let (proof, leaf, key) = proof();
    for extra in [None, Some(b"anything".to_vec()), Some(vec![])] {
        let proof = TlogProof { extra, ..proof.clone() };
        let again = TlogProof::parse(&proof.to_string()).unwrap();
        assert_eq!(again, proof);
        assert_eq!(again.verify(&leaf, &keys(&key)).unwrap().0.size, 10);
        assert!(matches!(again.verify(&Digest::ZERO, &keys(&key)), Err(TlogProofError::Proof(_))));
        assert!(matches!(again.verify(&leaf, &[]), Err(TlogProofError::Checkpoint(_))));
    }
    let text = proof.to_string();
    for bad in [
        text.replace("@v1", "@v2"),
        text.replace("index 6", "index 06"),
        text.replace("index 6", "Index 6"),
        text.replace("index 6\n", "index 6\nAAAA\n"),
        text.replace("index 6\n", "extra !\nindex 6\n"),
        String::new(),
    ] {
        assert!(TlogProof::parse(&bad).is_err(), "{bad}");
    }
    assert!(TlogProof::parse(&text.replace("index 6", "index 7")).unwrap().verify(&leaf, &keys(&key)).is_err());
}

proptest! {
    #[test]
    fn readers_of_notes_never_panic(text in "(\\PC|\n|—| ){0,200}", bytes: Vec<u8>) {
        let key = key("x");
        for bytes in [text.as_bytes(), &bytes] {
            let _note = Note::parse(bytes);
            let _opened = Checkpoint::open(bytes, &keys(&key));
        }
        let _checkpoint = Checkpoint::parse(&text);
        let _proof = TlogProof::parse(&text);
        let _proof = TlogProof::parse(&format!("c2sp.org/tlog-proof@v1\n{text}"));
        let _key = text.parse::<VerifyingKey>();
        let _key = SigningKey::from_secret_text(&text);
    }

    #[test]
    fn any_changed_byte_of_a_signed_checkpoint_is_refused(at in 0_usize..1000, bit in 0_u8..8) {
        let key = key("log.firm.example");
        let mut note = checkpoint().sign(&[&key]).unwrap().to_string().into_bytes();
        let at = at % note.len();
        note[at] ^= 1 << bit;
        prop_assert!(Checkpoint::open(&note, &keys(&key)).is_err());
    }
}
