//! Matters and holds: what holds select, whatever comes later, is killed or cannot be read; and what becomes of a matter.

mod backup;
mod command;
mod dispose;
mod proof;
mod rotate;
mod run;

use std::ops::ControlFlow;
use std::sync::Arc;

use muniment::archive::{AppendError, ArchiveError, BlobStore, Disposal, MatterState, Slice, rebuild};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{AdvisorId, Clock as _, EntryId, HoldId, Ids as _, RecordId};
use muniment::retain::{MatterChanges, NewHold, NewMatter, Retain, RetainError, Round, Selection, What};
use serde_json::json;

use crate::support::archive::{TestArchive, master};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, capture_detail, detail, outcome, sealed};

const ALL: Slice = Slice { after: None, newest_first: false, limit: 500 };

async fn archive() -> (TestArchive, Retain) {
    let test = TestArchive::new().await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    let retain = Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>);
    (test, retain)
}

fn by() -> Actor {
    Actor::Service("test".try_into().unwrap())
}

fn entry(test: &TestArchive) -> EntryId {
    EntryId::new(test.ids.fresh())
}

async fn kept(test: &TestArchive, text: &str, conversation: &str) -> NewRecord {
    let record = NewRecord::new(test);
    let fields: &[(&str, &[u8])] = &[
        ("0.text", text.as_bytes()),
        ("0.account", b"{\"id\":\"did:plc:ada\"}"),
        ("0.conversation", conversation.as_bytes()),
    ];
    let capture = sealed(test, &record, EntryType::Capture, capture_detail(test.ids.fresh()), &[advisor(1)], fields);
    test.append(muniment::archive::Submission { key: Some(record.wrapped()), ..capture }).await;
    record
}

async fn is_disposed(test: &TestArchive, record: RecordId) -> bool {
    let disposal = Disposal {
        records: vec![record],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: by(),
    };
    match test.archive.dispose(&disposal).await {
        Ok(_) => true,
        Err(ArchiveError::Append(AppendError::Refused { source, .. })) => {
            assert!(source.to_string().contains("under a hold"), "{source}");
            false
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn select(test: &TestArchive, retain: &Retain, selection: Selection) -> HoldId {
    let what = What::Selected(Box::new(selection));
    let new = NewHold { matter: None, name: None, reason: "a test".to_owned(), what, since: None, until: None };
    retain.place(entry(test), by(), new).await.unwrap()
}

fn conversation(id: &str) -> Selection {
    Selection { conversation: Some(id.to_owned()), ..Selection::default() }
}

async fn evaluated(retain: &Retain) -> Round {
    let round = retain.evaluate(true).await.unwrap().expect("nobody else is at it");
    assert!(!round.more);
    round
}

/// Who is killed between the first entry and the evaluation leaves the ledger as it is then, and nothing else: that is what is opened again.
#[tokio::test]
async fn p6_a_hold_by_query_covers_everything_from_its_first_entry_until_somebody_has_looked() {
    let (test, retain) = archive().await;
    let (wanted, other) = (kept(&test, "wanted", "c1").await, kept(&test, "other", "c2").await);
    let hold = select(&test, &retain, conversation("c1")).await;
    drop(retain);
    let elsewhere = tempfile::tempdir().unwrap();
    let second = test.open_again(elsewhere.path()).await.unwrap();
    for record in [&wanted, &other] {
        assert!(!is_disposed(&test, record.id).await, "nobody has looked");
        assert_eq!(second.holds_on(record.id).await.unwrap()[0].why, "not_evaluated");
    }
    let retain = Retain::new(second.clone(), Arc::clone(&test.ids) as Arc<_>);
    assert_eq!(evaluated(&retain).await, Round { named: 1, failed: 0, more: false });
    second.catch_up().await.unwrap();
    let row = second.hold(hold).await.unwrap().unwrap();
    assert_eq!((row.records, row.selects), (1, true));
    assert!(is_disposed(&test, other.id).await);
    assert!(!is_disposed(&test, wanted.id).await);
    assert_eq!(second.holds_on(wanted.id).await.unwrap()[0].why, "named");
    retain.release(entry(&test), by(), hold, "settled").await.unwrap();
    assert!(is_disposed(&test, wanted.id).await);
    assert!(matches!(retain.release(entry(&test), by(), hold, "again").await, Err(RetainError::Released)));
    second.close().await;
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_record_that_comes_later_and_is_selected_is_held_and_stays_held() {
    let (test, retain) = archive().await;
    let hold = select(&test, &retain, Selection { text: Some("zanzibar".to_owned()), ..Selection::default() }).await;
    assert_eq!(evaluated(&retain).await.named, 0);
    let (later, free) = (kept(&test, "to zanzibar", "c").await, kept(&test, "to Brno", "c").await);
    assert!(!is_disposed(&test, later.id).await && !is_disposed(&test, free.id).await, "not looked at yet");
    assert_eq!(evaluated(&retain).await.named, 1);
    // Something becomes known of it: it is looked at again, and nothing is named twice.
    let capture = EntryId::new(test.ids.fresh());
    test.append(outcome(&test, &later, capture, &[advisor(1)])).await;
    assert_eq!(evaluated(&retain).await.named, 0);
    assert!(is_disposed(&test, free.id).await);
    assert!(!is_disposed(&test, later.id).await);
    // With nothing new, nothing is written.
    let size = test.archive.head_size().await.unwrap();
    evaluated(&retain).await;
    retain.evaluate(false).await.unwrap().unwrap();
    assert_eq!(test.archive.head_size().await.unwrap(), size);
    assert_eq!(test.archive.hold(hold).await.unwrap().unwrap().records, 1);
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_record_that_cannot_be_read_when_it_is_looked_for_is_held() {
    let (test, retain) = archive().await;
    let (damaged, readable) = (kept(&test, "illegible", "c1").await, kept(&test, "legible", "c2").await);
    let damage = "update content.sealed set ciphertexts = array(select decode('00', 'hex') from unnest(ciphertexts)) where record =";
    test.database.tamper(&format!("{damage} '{}'", damaged.id)).await;
    select(&test, &retain, conversation("c9")).await;
    assert_eq!(evaluated(&retain).await.named, 1);
    assert!(!is_disposed(&test, damaged.id).await, "it may be of that conversation");
    assert!(is_disposed(&test, readable.id).await);
}

#[tokio::test]
async fn p6_an_account_that_becomes_known_in_another_way_has_everything_looked_at_again() {
    let (test, retain) = archive().await;
    let record = kept(&test, "by ada", "c").await;
    let account = test.ids.fresh();
    let selection = Selection { account: Some(account.to_string()), ..Selection::default() };
    select(&test, &retain, selection).await;
    assert_eq!(evaluated(&retain).await.named, 0, "nobody is known by it");
    let known = NewRecord::new(&test);
    let facts = json!({ "subject": "account", "change": "added", "id": account.to_string(), "advisor": advisor(1).to_string(),
                        "network": "bluesky" });
    let fields: &[(&str, &[u8])] = &[("id", b"did:plc:ada")];
    let identity = sealed(&test, &known, EntryType::Identity, detail(facts), &[advisor(1)], fields);
    test.append(muniment::archive::Submission { key: Some(known.wrapped()), ..identity }).await;
    assert_eq!(evaluated(&retain).await.named, 1);
    assert!(!is_disposed(&test, record.id).await);
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_more_records_than_an_entry_names_are_named_by_several_and_only_the_last_says_how_far() {
    let (test, retain) = archive().await;
    for number in 0..520 {
        kept(&test, &format!("number {number}"), "c1").await;
    }
    let hold = select(&test, &retain, conversation("c1")).await;
    let size = test.archive.head_size().await.unwrap();
    assert_eq!(evaluated(&retain).await.named, 520);
    test.archive.catch_up().await.unwrap();
    let entries = test.archive.hold_entries(hold, 10).await.unwrap();
    let said: Vec<_> =
        entries.iter().rev().map(|entry| (entry.change.as_str(), entry.targets, entry.evaluated)).collect();
    assert_eq!(
        said,
        [("placed", 0, Some(0)), ("extended", 512, None), ("extended", 8, None), ("extended", 0, Some(size))]
    );
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_the_keeper_looks_by_itself_and_one_at_a_time() {
    let (test, retain) = archive().await;
    let (wanted, other) = (kept(&test, "wanted", "c1").await, kept(&test, "other", "c2").await);
    let stop = tokio_util::sync::CancellationToken::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let second = test.open_again(elsewhere.path()).await.unwrap();
    let keepers = [retain.clone(), Retain::new(second.clone(), Arc::clone(&test.ids) as Arc<_>)];
    let keepers: Vec<_> = keepers.into_iter().map(|retain| tokio::spawn(retain.keep(stop.clone()))).collect();
    let hold = select(&test, &retain, conversation("c1")).await;
    let mut left = 200;
    while test.archive.selecting_holds().await.unwrap()[0].evaluated == 0 {
        left -= 1;
        assert!(left > 0, "nobody has looked");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(is_disposed(&test, other.id).await);
    assert!(!is_disposed(&test, wanted.id).await);
    stop.cancel();
    for keeper in keepers {
        keeper.await.unwrap();
    }
    test.archive.catch_up().await.unwrap();
    assert_eq!(test.archive.hold(hold).await.unwrap().unwrap().records, 1, "once, though two were at it");
    second.close().await;
    assert_sound(&test).await;
}

async fn opened(test: &TestArchive, retain: &Retain) -> muniment::record::MatterId {
    let new = NewMatter { name: "Smith".to_owned(), description: Some("bonds".to_owned()), external: None };
    retain.open(entry(test), by(), new).await.unwrap()
}

fn state(state: MatterState) -> MatterChanges {
    MatterChanges { state: Some(state), reason: Some("settled".to_owned()), ..MatterChanges::default() }
}

#[tokio::test]
async fn a_matter_has_custodians_notices_and_holds_and_is_closed_after_them() {
    let (test, retain) = archive().await;
    let ada = test.archive.add_advisor(by(), "Ada").await.unwrap().id;
    let matter = opened(&test, &retain).await;
    let nobody = AdvisorId::new(test.ids.fresh());
    let add = async |advisor, shall_be| retain.custodian(entry(&test), by(), matter, advisor, shall_be).await;
    assert!(matches!(add(nobody, true).await, Err(RetainError::NoSuchAdvisor(_))));
    let notice = async |advisor| retain.issue_notice(entry(&test), by(), matter, advisor, "keep it".to_owned()).await;
    assert!(matches!(notice(ada).await, Err(RetainError::NoCustodian(_))));
    add(ada, true).await.unwrap();
    let size = test.archive.head_size().await.unwrap();
    add(ada, true).await.unwrap();
    assert_eq!(test.archive.head_size().await.unwrap(), size, "who is one already stays as they are");
    let issued = notice(ada).await.unwrap();
    retain.acknowledge(entry(&test), by(), matter, issued).await.unwrap();
    retain.acknowledge(entry(&test), by(), matter, issued).await.unwrap();
    let place = async || {
        let what = What::Custodians(vec![ada]);
        let (matter, reason) = (Some(matter), "subpoena".to_owned());
        let new = NewHold { matter, name: Some("bonds".to_owned()), reason, what, since: None, until: None };
        retain.place(entry(&test), by(), new).await
    };
    let hold = place().await.unwrap();
    let close = async || retain.change(entry(&test), by(), matter, state(MatterState::Closed)).await;
    assert!(matches!(close().await, Err(RetainError::HoldsInForce { count: 1 })));
    retain.release(entry(&test), by(), hold, "settled").await.unwrap();
    close().await.unwrap();
    for refused in [close().await, add(ada, false).await, place().await.map(|_hold| ())] {
        assert!(matches!(refused, Err(RetainError::MatterClosed)), "{refused:?}");
    }
    retain.change(entry(&test), by(), matter, state(MatterState::Open)).await.unwrap();
    add(ada, false).await.unwrap();
    let changes = MatterChanges {
        external: Some("2:26-cv-1".to_owned()),
        description: Some(String::new()),
        ..MatterChanges::default()
    };
    retain.change(entry(&test), by(), matter, changes).await.unwrap();

    let row = test.archive.matter(matter).await.unwrap().unwrap();
    assert_eq!((row.state, row.name.as_deref()), (MatterState::Open, Some("Smith")));
    assert_eq!((row.external.as_deref(), row.description), (Some("2:26-cv-1"), None));
    let custodians = test.archive.matter_custodians(matter).await.unwrap();
    assert!(custodians[0].advisor == ada && custodians[0].until.is_some());
    let notices = test.archive.matter_notices(matter).await.unwrap();
    assert!(notices[0].acknowledged_at.is_some() && notices[0].text.as_deref() == Some("keep it"));
    let history = test.archive.matter_entries(matter, 100).await.unwrap();
    let words: Vec<&str> = history.iter().rev().map(|entry| entry.change.as_str()).collect();
    let expected = [
        "opened",
        "custodian_added",
        "notice_issued",
        "notice_acknowledged",
        "closed",
        "reopened",
        "custodian_removed",
        "changed",
    ];
    assert_eq!(words, expected);
    // What names a custodian stands in their stream, and no words stand in the clear.
    let entries = assert_sound(&test).await;
    let of_matter: Vec<_> = entries.iter().filter(|entry| entry.entry_type() == EntryType::Matter).collect();
    assert!(of_matter.iter().all(|entry| entry.detail().contains_key("advisor") == (entry.streams().len() == 1)));
    for entry in &entries {
        let text = String::from_utf8_lossy(entry.bytes());
        assert!(["Smith", "bonds", "subpoena", "settled", "keep it"].iter().all(|word| !text.contains(word)), "{text}");
    }

    // The projections follow from the ledger, and say the same when they are made again.
    let sound = test.archive.compare_projections(|_, _| ControlFlow::Continue(())).await.unwrap().unwrap();
    assert!(sound.is_sound(), "{sound:#?}");
    let before = (test.archive.matters(ALL).await.unwrap(), test.archive.holds(ALL, Some(matter)).await.unwrap());
    let blobs = BlobStore::open(&test.dir.path().join("blobs")).unwrap();
    rebuild(&test.database.owner(), master(), blobs, |_, _| ()).await.unwrap();
    let after = (test.archive.matters(ALL).await.unwrap(), test.archive.holds(ALL, Some(matter)).await.unwrap());
    assert_eq!(before, after);
    test.database.tamper("update projection.holds set released_index = null").await;
    let changed = test.archive.compare_projections(|_, _| ControlFlow::Continue(())).await.unwrap().unwrap();
    assert_eq!(changed.differences[0].table, "holds");
    test.database.tamper("delete from projection.holds").await;
    let gone = test.archive.compare_projections(|_, _| ControlFlow::Continue(())).await.unwrap().unwrap();
    assert_eq!(gone.differences[0].table, "holds");
}

#[tokio::test]
async fn the_words_of_a_matter_go_with_its_record_once_nothing_holds_it() {
    let (test, retain) = archive().await;
    let matter = opened(&test, &retain).await;
    let new = NewHold {
        matter: Some(matter),
        name: None,
        reason: "subpoena".to_owned(),
        what: What::Everything,
        since: None,
        until: Some("1999-01-01T00:00:00.000000Z".parse().unwrap()),
    };
    let hold = retain.place(entry(&test), by(), new).await.unwrap();
    let record = RecordId::new(matter.uuid());
    assert!(!is_disposed(&test, record).await, "a hold of the matter is in force");
    assert!(!is_disposed(&test, RecordId::new(hold.uuid())).await, "and keeps what it says");
    retain.release(entry(&test), by(), hold, "over").await.unwrap();
    assert!(is_disposed(&test, record).await && is_disposed(&test, RecordId::new(hold.uuid())).await);
    test.archive.catch_up().await.unwrap();
    let (row, hold) =
        (test.archive.matter(matter).await.unwrap().unwrap(), test.archive.hold(hold).await.unwrap().unwrap());
    assert_eq!((row.name, row.description, hold.reason, hold.release_reason), (None, None, None, None));
    let sound = test.archive.compare_projections(|_, _| ControlFlow::Continue(())).await.unwrap().unwrap();
    assert!(sound.is_sound(), "{sound:#?}");
    // That something changes can still be said.
    retain.change(entry(&test), by(), matter, state(MatterState::Closed)).await.unwrap();
    assert_sound(&test).await;
}
