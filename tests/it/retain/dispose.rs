//! Retention by the schedule: what may go goes, by name of the rule; what is young, held or under the archive's floor stays, and says why.

use std::sync::Arc;
use std::time::Duration;

use muniment::archive::{RecordFilter, set_floor};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, RecordId};
use muniment::retain::schedule::Schedule;
use muniment::retain::{NewHold, Order, Retain, RetainError, Survey, What};
use serde_json::json;

use super::{ALL, by, entry, kept};
use crate::support::archive::TestArchive;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, detail, outcome, post_of, sealed};

pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400 + 6 * 3_600);

fn schedule(text: &str) -> Arc<Schedule> {
    Arc::new(Schedule::parse("retention.toml", text).unwrap())
}

/// Messages go after three years, what is on another network than bluesky after ten, the rest after six.
fn three_six_ten() -> Arc<Schedule> {
    schedule(
        r#"
        fiscal_year_end = "12-31"
        [default]
        name = "six"
        cites = "FINRA 4511"
        keep = "6 years"
        from = "last_entry"
        [[class]]
        name = "three"
        cites = "SEA 17a-4"
        keep = "3 years"
        from = "last_entry"
        match = { advisors = ["00000000-0000-0000-0000-000000000003"] }
        [[class]]
        name = "ten"
        cites = "a longer rule"
        keep = "10 years"
        from = "last_entry"
        match = { advisors = ["00000000-0000-0000-0000-00000000000a"] }
        "#,
    )
}

fn retain(test: &TestArchive, schedule: &Arc<Schedule>) -> Retain {
    Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>).with_schedule(Arc::clone(schedule))
}

pub(super) fn order() -> Order {
    Order { by: Actor::Service("command".try_into().unwrap()), backup_retention: 35 * DAY }
}

async fn walk(test: &TestArchive, retain: &Retain, order: Option<&Order>) -> Survey {
    retain.dispose(&*test.clock, order, |_survey| {}).await.unwrap()
}

pub(super) async fn post(test: &TestArchive, of: u128, text: &str) -> NewRecord {
    let record = NewRecord::new(test);
    test.append(post_of(test, &record, &[advisor(of)], text)).await;
    record
}

async fn is_there(test: &TestArchive, record: RecordId) -> bool {
    test.archive.record_key(record).await.unwrap().is_some()
}

#[tokio::test]
async fn p6_what_has_outlived_all_its_classes_goes_by_name_of_the_rule_and_the_rest_stays_with_its_reason() {
    let test = TestArchive::ago(7 * YEAR).await;
    let (due, also) = (post(&test, 1, "xyzzy one").await, post(&test, 2, "xyzzy two").await);
    let custodian = test.archive.add_advisor(by(), "Cora Custodian").await.unwrap().id;
    let held = post(&test, custodian.uuid().as_u128(), "wanted by a court").await;
    let ten = post(&test, 10, "for ten years").await;
    let answered = NewRecord::new(&test);
    let capture = post_of(&test, &answered, &[advisor(1)], "answered late");
    let id = capture.draft.id;
    test.append(capture).await;
    let own = NewRecord::new(&test);
    let fields: &[(&str, &[u8])] = &[("settings", b"{}")];
    let settings = sealed(&test, &own, EntryType::Settings, detail(json!({"change": "in_force"})), &[], fields);
    test.append(muniment::archive::Submission { key: Some(own.wrapped()), ..settings }).await;
    test.clock.step_forward(7 * YEAR);
    test.append(outcome(&test, &answered, id, &[advisor(1)])).await;
    let young = post(&test, 1, "of today").await;
    let schedule = three_six_ten();
    let retain = retain(&test, &schedule);
    let hold = NewHold {
        matter: None,
        name: None,
        reason: "subpoena".to_owned(),
        what: What::Custodians(vec![custodian]),
        since: None,
        until: None,
    };
    let hold = retain.place(entry(&test), by(), hold).await.unwrap();

    let before = test.archive.head_size().await.unwrap();
    let shown = walk(&test, &retain, None).await;
    assert_eq!(test.archive.head_size().await.unwrap(), before, "looking changes nothing");
    assert_eq!((shown.due, shown.disposed, shown.held, shown.under_floor), (2, 0, 1, 0));
    assert_eq!((shown.rules["six"].due, shown.rules.len()), (2, 1));
    assert_eq!((shown.advisors[&Some(advisor(1))], shown.advisors[&Some(advisor(2))]), (1, 1));
    assert_eq!(shown.holds[&hold], 1);
    assert_eq!(
        (shown.young, shown.evidence),
        (4, 2),
        "ten years, answered late, of today, the hold itself; an advisor and settings are no communications"
    );
    assert!(shown.next.unwrap() > test.clock.now());

    let done = walk(&test, &retain, Some(&order())).await;
    assert_eq!((done.due, done.disposed, done.held, done.left.len()), (2, 2, 1, 0));
    for (record, stays) in
        [(&due, false), (&also, false), (&held, true), (&ten, true), (&answered, true), (&young, true), (&own, true)]
    {
        assert_eq!(is_there(&test, record.id).await, stays);
    }
    let entries = assert_sound(&test).await;
    let disposals: Vec<_> = entries.iter().filter(|entry| entry.entry_type() == EntryType::Disposal).collect();
    let [disposal] = disposals.as_slice() else { panic!("{disposals:?}") };
    assert_eq!(disposal.detail()["rule"], "six");
    assert_eq!(disposal.detail()["records"].as_array().unwrap().len(), 2);
    let expires: muniment::record::Timestamp =
        disposal.detail()["backups_expire_at"].as_str().unwrap().parse().unwrap();
    let days = (expires.unix_micros() - disposal.at().unix_micros()) / 86_400_000_000;
    assert!((34..=35).contains(&days), "{days}");
    test.archive.catch_up().await.unwrap();
    let found = RecordFilter { text: Some("xyzzy".to_owned()), ..RecordFilter::default() };
    assert!(test.archive.records(&found, ALL).await.unwrap().is_empty(), "the text is in no index");

    let again = walk(&test, &retain, Some(&order())).await;
    assert_eq!((again.due, again.disposed, again.held, again.young), (0, 0, 1, 4), "nothing twice");
    retain.release(entry(&test), by(), hold, "settled").await.unwrap();
    assert_eq!(walk(&test, &retain, Some(&order())).await.disposed, 1);
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_no_schedule_undercuts_the_floor_of_the_archive_and_the_owner_alone_lowers_it() {
    let test = TestArchive::ago(4 * YEAR).await;
    let record = post(&test, 3, "for three years").await;
    test.clock.step_forward(4 * YEAR);
    let schedule = three_six_ten();
    let retain = retain(&test, &schedule);
    let kept = walk(&test, &retain, Some(&order())).await;
    assert_eq!((kept.due, kept.under_floor, kept.floor.unwrap().to_string()), (0, 1, "6 years".to_owned()));
    let shown = retain.retention(record.id).await.unwrap().unwrap();
    assert_eq!((shown.rule.as_str(), shown.keep.as_str(), shown.runs_from), ("three", "3 years", "last_entry"));
    assert!(shown.ends < test.clock.now() && shown.earliest > test.clock.now(), "{shown:?}");
    assert!(set_floor(&test.database.service(), 36, 0).await.is_err(), "not the service");
    set_floor(&test.database.owner(), 36, 0).await.unwrap();
    assert_eq!(test.archive.floor().await.unwrap().to_string(), "3 years");
    assert_eq!(walk(&test, &retain, Some(&order())).await.disposed, 1);
    assert!(retain.retention(record.id).await.unwrap().is_none(), "it is gone");
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_record_whose_entries_cannot_be_read_stays() {
    let test = TestArchive::ago(7 * YEAR).await;
    let (damaged, due) = (post(&test, 1, "damaged").await, post(&test, 1, "due").await);
    test.clock.step_forward(7 * YEAR);
    let index = test.archive.record_entries(damaged.id).await.unwrap();
    let index = index.first().copied().unwrap_or(1);
    test.database.tamper(&format!("update ledger.entries set body = replace(convert_from(body, 'UTF8'), '\"v\":1', '\"v\":2')::bytea where index = {index}")).await;
    let schedule = three_six_ten();
    let survey = walk(&test, &retain(&test, &schedule), Some(&order())).await;
    assert_eq!((survey.unreadable, survey.disposed), (1, 1));
    assert_eq!(survey.unreadable_records, [damaged.id]);
    assert!(is_there(&test, damaged.id).await && !is_there(&test, due.id).await);
}

#[tokio::test]
async fn p6_without_a_schedule_nothing_comes_due() {
    let test = TestArchive::ago(90 * YEAR).await;
    let record = kept(&test, "old", "c").await;
    test.clock.step_forward(90 * YEAR);
    let retain = Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>);
    let refused = retain.dispose(&*test.clock, Some(&order()), |_survey| {}).await;
    assert!(matches!(refused, Err(RetainError::NoSchedule)));
    assert!(retain.retention(record.id).await.unwrap().is_none());
}

/// A hold and a run at the same time: each record is held and there, or was gone before the hold.
#[tokio::test]
async fn p6_a_hold_placed_while_a_run_goes_on_keeps_all_that_is_left() {
    for round in 0..6_u64 {
        let test = TestArchive::ago(7 * YEAR).await;
        let mut records = Vec::new();
        for number in 0..40 {
            records.push(post(&test, 1 + number % 3, "contested").await.id);
        }
        test.clock.step_forward(7 * YEAR);
        let schedule = three_six_ten();
        let retain = retain(&test, &schedule);
        let everything = NewHold {
            matter: None,
            name: None,
            reason: "race".to_owned(),
            what: What::Everything,
            since: None,
            until: None,
        };
        let place = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            retain.place(entry(&test), by(), everything).await.unwrap()
        };
        let order = order();
        let (hold, survey) = tokio::join!(place, walk(&test, &retain, Some(&order)));
        let mut there = 0;
        for record in &records {
            if is_there(&test, *record).await {
                there += 1;
                let covering = test.archive.holds_on(*record).await.unwrap();
                assert_eq!(covering[0].hold, hold);
            }
        }
        assert_eq!(there + survey.disposed, 40, "{survey:?}");
        assert_eq!(survey.held, there, "what stayed is named with its hold: {survey:?}");
        let entries = assert_sound(&test).await;
        let placed = entries.iter().position(|entry| entry.entry_type() == EntryType::Hold).unwrap();
        let last = entries.iter().rposition(|entry| entry.entry_type() == EntryType::Disposal);
        assert!(last.is_none_or(|last| last < placed), "no disposal after the hold");
    }
}
