//! Cosignatures, requests to witnesses, policies and attestations: examples of the specifications, and everything that must be refused.

use proptest::prelude::*;

use crate::ledger::{
    ADD_CHECKPOINT_MAX, AddCheckpoint, Attestation, AttestationError, Checkpoint, CosigningKey, Note, NoteError,
    NoteKeyError, Policy, PolicyError, QuorumError, SigningKey, VerifyingKey, Vouched, bare_policy,
    parse_signature_lines,
};
use crate::record::Digest;

fn log() -> SigningKey {
    SigningKey::new("log.firm.example", &[7; 32]).unwrap()
}

fn witness(n: u8) -> CosigningKey {
    CosigningKey::new(&format!("w{n}.example"), &[n; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "log.firm.example".into(), size: 12, root: Digest([9; 32]), extensions: vec![] }
}

/// Signed by the log, and cosigned by these.
fn cosigned(by: &[u8]) -> Note {
    let mut note = checkpoint().sign(&[&log()]).unwrap();
    for n in by {
        let line = witness(*n).cosign(note.text(), 1_700_000_000 + u64::from(*n)).unwrap();
        note.try_add(line).unwrap();
    }
    note
}

fn policy(lines: &str) -> Result<Policy, PolicyError> {
    let mut text = format!("# what this test believes\n\nlog {} https://log.example/\n", log().verifying_key());
    for n in 1..=5 {
        text.push_str(&format!("\twitness  W{n} {}\n", witness(n).verifying_key()));
    }
    Policy::parse((text + lines).as_bytes())
}

#[test]
fn a_cosignature_verifies_with_its_time_and_under_no_other_text_time_or_name() {
    let note = cosigned(&[1]);
    let key = witness(1).verifying_key().clone();
    let vouched = note.verify(std::slice::from_ref(&key)).unwrap();
    assert_eq!(vouched.iter().map(|by| by.time).collect::<Vec<_>>(), [Some(1_700_000_001)]);
    let line = note.signatures().last().unwrap().clone();
    let mut other = Note::sign("log.firm.example\n13\nx\n", &[&log()]).unwrap();
    other.add(line.clone());
    assert!(matches!(other.verify(std::slice::from_ref(&key)), Err(NoteError::Signature { .. })));
    let mut later = line;
    later.bytes[7] ^= 1;
    let mut note = checkpoint().sign(&[&log()]).unwrap();
    note.add(later);
    assert!(note.verify(&[key]).is_err());
    assert!(matches!(witness(1).cosign("x\n", 0), Err(NoteError::Form(_))), "time 0 says that there is none");
    assert!(witness(1).cosign("x\n", 1 << 63).is_err());
}

#[test]
fn a_cosigning_key_survives_its_text_form_and_is_no_logs_key() {
    let key = witness(3);
    let again = CosigningKey::from_secret_text(&key.secret_text()).unwrap();
    assert_eq!(again.verifying_key(), key.verifying_key());
    assert!(!format!("{key:?}").contains("PRIVATE"));
    assert!(matches!(SigningKey::from_secret_text(&key.secret_text()), Err(NoteKeyError::Type(_))));
    assert!(matches!(CosigningKey::from_secret_text(&log().secret_text()), Err(NoteKeyError::Type(_))));
    assert!(key.verifying_key().is_witness_key() && !key.verifying_key().is_log_key());
}

#[test]
fn a_note_takes_a_hundred_signatures_and_no_more() {
    let mut note = checkpoint().sign(&[&log()]).unwrap();
    let line = witness(1).cosign(note.text(), 1).unwrap();
    for n in 2..=100_u8 {
        let mut line = line.clone();
        (line.bytes[8], line.bytes[9]) = (n, line.bytes[9] ^ 1);
        note.try_add(line).unwrap();
    }
    assert!(note.try_add(line.clone()).is_err());
    assert_eq!(note.signatures().len(), 100);
    note.try_add(note.signatures()[5].clone()).unwrap();
    assert_eq!(Note::parse(note.to_string().as_bytes()).unwrap(), note);
    let only = note.with_only(|line| line.name == "log.firm.example");
    assert_eq!(only, checkpoint().sign(&[&log()]).unwrap());
}

#[test]
fn a_request_is_read_back_as_it_was_written_and_in_no_other_spelling() {
    let request = AddCheckpoint { old: 7, proof: vec![Digest([1; 32]), Digest([2; 32])], note: cosigned(&[1]) };
    let text = request.to_string();
    assert_eq!(AddCheckpoint::parse(text.as_bytes()).unwrap(), request);
    let first = AddCheckpoint { old: 0, proof: vec![], note: cosigned(&[]) };
    assert!(first.to_string().starts_with("old 0\n\nlog.firm.example\n12\n"));
    assert_eq!(AddCheckpoint::parse(first.to_string().as_bytes()).unwrap(), first);
    let proof = vec![Digest([1; 32]); 64];
    for bad in [
        text.replacen("old 7", "old 07", 1),
        text.replacen("old 7", "old -7", 1),
        text.replacen("old 7", "Old 7", 1),
        text.replacen("=\n", "\n", 1),
        text.replacen('\n', "\r\n", 1),
        text.trim_end().to_owned(),
        String::new(),
        "old 7\n".to_owned(),
        AddCheckpoint { old: 7, proof, note: cosigned(&[]) }.to_string(),
        "x".repeat(ADD_CHECKPOINT_MAX + 1),
    ] {
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad:.80}");
    }
    let proof = vec![Digest([1; 32]); 63];
    assert!(AddCheckpoint::parse(AddCheckpoint { proof, ..request }.to_string().as_bytes()).is_ok());
}

#[test]
fn what_a_witness_answers_is_signature_lines_and_nothing_else() {
    let lines: String = [1, 2].map(|n| witness(n).cosign("x\n", 5).unwrap().to_string()).concat();
    assert_eq!(parse_signature_lines(lines.as_bytes()).unwrap().len(), 2);
    for bad in ["", "\n", "12\n", lines.trim_end(), &format!("{lines}\n"), &lines.repeat(51)] {
        assert!(parse_signature_lines(bad.as_bytes()).is_err(), "{bad:.40}");
    }
}

#[test]
fn the_policy_of_the_specification_asks_for_two_of_three_and_one_of_two() {
    let policy = policy(
        "group X-witnesses 2 W1 W2 W3\ngroup Y-witnesses any W4 W5\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
    )
    .unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 5));
    let met = |by: &[u8]| policy.open(cosigned(by).to_string().as_bytes(), &[]).is_ok();
    for good in [&[1, 2, 4][..], &[1, 3, 5], &[2, 3, 4, 5], &[1, 2, 3, 4, 5]] {
        assert!(met(good), "{good:?}");
    }
    for bad in [&[][..], &[1, 2, 3], &[4, 5], &[1, 4, 5], &[9, 8, 4]] {
        assert!(!met(bad), "{bad:?}");
    }
    let error = policy.open(cosigned(&[1, 4]).to_string().as_bytes(), &[]).unwrap_err();
    assert_eq!(error, QuorumError::NotMet { of: 5, cosigned: 2 });
}

#[test]
fn a_policy_wants_its_log_and_one_wrong_cosignature_refuses_the_whole_note() {
    let policy = policy("quorum W1").unwrap();
    let mut alone = cosigned(&[1]).with_only(|line| line.name != "log.firm.example");
    assert!(policy.open(alone.to_string().as_bytes(), &[]).is_err(), "a witness is no log");
    alone.add(
        checkpoint().sign(&[&SigningKey::new("log.firm.example", &[8; 32]).unwrap()]).unwrap().signatures()[0].clone(),
    );
    assert!(policy.open(alone.to_string().as_bytes(), &[]).is_err(), "another key of the same name is no log");
    let mut note = cosigned(&[1]);
    let mut wrong = witness(2).cosign(note.text(), 5).unwrap();
    wrong.bytes[20] ^= 1;
    note.add(wrong);
    assert!(matches!(policy.open(note.to_string().as_bytes(), &[]), Err(QuorumError::Checkpoint(_))));
}

#[test]
fn a_bare_policy_is_the_same_policy_without_comments_and_addresses() {
    let (log, first, second) = (log(), witness(1), witness(2));
    let text = format!(
        "# who to ask: Eve\nlog {}  https://ledger.intra\n\n \twitness a\t{} https://witness.intra/x\nwitness b {}\n#\ngroup g any a b\nquorum g",
        log.verifying_key(),
        first.verifying_key(),
        second.verifying_key(),
    );
    let bare = bare_policy(&text);
    assert_eq!(Policy::parse(bare.as_bytes()), Policy::parse(text.as_bytes()));
    assert!(Policy::parse(bare.as_bytes()).is_ok(), "{bare}");
    assert!(!bare.contains("intra") && !bare.contains("Eve") && bare.lines().count() == 5, "{bare}");
}

#[test]
fn a_policy_without_logs_takes_those_known_from_elsewhere() {
    let text = format!("witness w {}\nquorum w\n", witness(1).verifying_key());
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let note = cosigned(&[1]).to_string();
    assert!(policy.open(note.as_bytes(), &[log().verifying_key().clone()]).is_ok());
    assert!(policy.open(note.as_bytes(), &[]).is_err());
    let none = Policy::parse(b"quorum none").unwrap();
    assert!(!none.needs_witnesses() && none.is_met(&[]));
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    let w1 = witness(1).verifying_key().to_string();
    let renamed = CosigningKey::new("other.example", &[1; 32]).unwrap().verifying_key().to_string();
    let log_key = log().verifying_key().to_string();
    for (bad, problem) in [
        ("", "no quorum"),
        ("quorum none\nquorum none\n", "second quorum"),
        ("quorum w\n", "no line before"),
        ("quorum w\nwitness w W1\n", "no line before"),
        ("witness w W1\nwitness v W1\nquorum w\n", "second time"),
        ("witness w W1\nwitness v RENAMED\nquorum w\n", "second time"),
        ("witness w LOG\nquorum w\n", "04 or 06"),
        ("log W1\nquorum none\n", "type 01"),
        ("log LOG\nlog LOG\nquorum none\n", "second time"),
        ("witness none W1\nquorum none\n", "`none`"),
        ("witness w W1\ngroup w any w\nquorum w\n", "has defined"),
        ("witness w W1\ngroup g 0 w\nquorum g\n", "at least one"),
        ("witness w W1\ngroup g 2 w\nquorum g\n", "at most all"),
        ("witness w W1\ngroup g 01 w\nquorum g\n", "write any, all"),
        ("witness w W1\ngroup g any\nquorum g\n", "at least one"),
        ("witness w W1\ngroup g any g\nquorum g\n", "no line before"),
        ("witness w W1\ngroup g 1 w w\nquorum g\n", "one group only"),
        ("witness w W1\ngroup g any w\ngroup h any w\nquorum g\n", "one group only"),
        ("witness w W1\ngroup g any none\nquorum none\n", "no line before"),
        ("witness w W1 u more\nquorum w\n", "write log, witness"),
        ("quorum none # why\n", "write log, witness"),
        ("witness w w1.example+00000000+AA==\nquorum none\n", "line 1"),
        ("quorum none\u{0}\n", "control character"),
        ("quorum none\r\n", "control character"),
    ] {
        let text = bad.replace("W1", &w1).replace("RENAMED", &renamed).replace("LOG", &log_key);
        let error = Policy::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(problem), "{bad}: {error}");
    }
    let many: String = (0..300_u16)
        .map(|n| {
            let mut seed = [1; 32];
            seed[..2].copy_from_slice(&n.to_be_bytes());
            format!("witness w{n} {}\n", CosigningKey::new("w", &seed).unwrap().verifying_key())
        })
        .collect();
    assert!(Policy::parse(format!("{many}quorum none\n").as_bytes()).is_err());
    let few: String = many.split_inclusive('\n').take(256).collect();
    assert!(Policy::parse(format!("{few}quorum none\n").as_bytes()).is_ok());
}

#[test]
fn names_of_a_policy_are_octets() {
    let key = witness(1).verifying_key().to_string();
    let text = [b"witness \xff\xfeK ".as_slice(), key.as_bytes(), b" https://\xc3\xa9.example/\nquorum \xff\xfeK\n"];
    assert!(Policy::parse(&text.concat()).is_ok());
    let kelvin = format!("witness K {key}\nquorum \u{212a}\n");
    assert!(Policy::parse(kelvin.as_bytes()).is_err());
}

#[test]
fn an_attestation_is_no_checkpoint_and_is_signed_by_a_witness() {
    let attestation = Attestation { origin: "log.firm.example".into(), size: 12, root: Digest([9; 32]) };
    let note = attestation.sign(&witness(1), 1_700_000_000).unwrap();
    let keys = [witness(1).verifying_key().clone()];
    let (read, by) = Attestation::open(note.to_string().as_bytes(), &keys).unwrap();
    assert_eq!((read, by[0].time), (attestation.clone(), Some(1_700_000_000)));
    assert!(Attestation::open(note.to_string().as_bytes(), &[witness(2).verifying_key().clone()]).is_err());
    assert!(Checkpoint::parse(note.text()).is_err());
    // Whatever the log is called: a size is no root.
    for origin in ["12", "0"] {
        let named = Attestation { origin: origin.into(), ..attestation.clone() };
        assert!(Checkpoint::parse(&named.to_string()).is_err());
    }
    let by_log = Note::sign(&attestation.to_string(), &[&log()]).unwrap().to_string();
    assert!(Attestation::open(by_log.as_bytes(), &[log().verifying_key().clone()]).is_err(), "a log is no auditor");
    let two_lines = Attestation { origin: "a\nb".into(), ..attestation.clone() };
    assert!(matches!(two_lines.sign(&witness(1), 1), Err(AttestationError::Form(_))));
    let text = attestation.to_string();
    for bad in [
        text.replace("no stream forks", "some stream forks"),
        text.replace("/1\n", "/2\n"),
        format!("{text}more\n"),
        text.replace("\n12\n", "\n012\n"),
        text.trim_end().to_owned(),
    ] {
        assert!(Attestation::parse(&bad).is_err(), "{bad}");
    }
}

/// Decides a quorum by its definition: groups as nested lists, without an order.
fn by_definition(groups: &[(usize, Vec<String>)], name: &str, cosigned: &[u8]) -> bool {
    if let Some(n) = name.strip_prefix('W') {
        return cosigned.contains(&n.parse().unwrap());
    }
    let (wanted, members) = &groups[name.strip_prefix('G').unwrap().parse::<usize>().unwrap()];
    members.iter().filter(|member| by_definition(groups, member, cosigned)).count() >= *wanted
}

proptest! {
    #[test]
    fn a_quorum_is_met_as_its_definition_says(
        shape in proptest::collection::vec((1_usize..4, 1_usize..4), 1..4),
        cosigned in proptest::collection::btree_set(1_u8..=5, 0..=5),
    ) {
        // Each group takes from what no other has: witnesses first, then groups.
        let mut free: Vec<String> = (1..=5).map(|n| format!("W{n}")).collect();
        let (mut groups, mut lines) = (Vec::new(), String::new());
        for (count, wanted) in shape {
            let count = count.min(free.len());
            if count == 0 { break; }
            let members: Vec<String> = free.drain(..count).collect();
            let wanted = wanted.min(count);
            lines.push_str(&format!("group G{} {wanted} {}\n", groups.len(), members.join(" ")));
            free.push(format!("G{}", groups.len()));
            groups.push((wanted, members));
        }
        let quorum = format!("G{}", groups.len() - 1);
        let policy = policy(&format!("{lines}quorum {quorum}\n")).unwrap();
        let cosigned: Vec<u8> = cosigned.into_iter().collect();
        let by: Vec<Vouched> = cosigned.iter().map(|n| {
            let key = witness(*n).verifying_key().clone();
            Vouched { name: key.name().to_owned(), id: key.id(), time: Some(1) }
        }).collect();
        prop_assert_eq!(policy.is_met(&by), by_definition(&groups, &quorum, &cosigned));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        crate::ledger::fuzz::policy(&data);
        crate::ledger::fuzz::add_checkpoint(&data);
    }

    #[test]
    fn any_changed_byte_of_a_cosigned_note_is_seen(at in 0_usize..600, bit in 0_u8..8) {
        let policy = policy("group g all W1 W2\nquorum g\n").unwrap();
        let mut note = cosigned(&[1, 2]).to_string().into_bytes();
        let at = at % note.len();
        note[at] ^= 1 << bit;
        prop_assert!(policy.open(&note, &[]).is_err());
    }
}

#[test]
fn keys_of_two_names_are_told_apart_and_their_public_keys_are_not() {
    let one = witness(1).verifying_key().clone();
    let other: VerifyingKey = CosigningKey::new("other.example", &[1; 32]).unwrap().verifying_key().clone();
    assert!(one != other && one.is_same_public_key(&other) && !one.is_same_public_key(witness(2).verifying_key()));
}
