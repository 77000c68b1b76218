//! Appending: what is answered as durable is durable, once, and in order.

use std::time::Duration;

use muniment::archive::{Append as _, AppendError, Submission};
use muniment::ledger::EntryType;

use crate::support::archive::TestArchive;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, gap, outcome, post, post_of};

#[tokio::test]
async fn an_appended_post_is_there_with_its_content_and_its_place_in_the_stream() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let capture = post_of(&test, &record, &[advisor(1)], "buy low, sell high");
    let id = capture.draft.id;
    let appended = test.archive.append(capture).await.unwrap();
    test.archive.append(outcome(&test, &record, id, &[advisor(1)])).await.unwrap();

    let entry = test.archive.entry(appended.index).await.unwrap().unwrap();
    assert_eq!((entry.id(), entry.leaf(), entry.at()), (id, appended.leaf, appended.at));
    let content = test.archive.content(&entry).await.unwrap().unwrap();
    assert_eq!(content.text("0.text"), Some("buy low, sell high"));
    assert_eq!(test.archive.stream_size(advisor(1)).await.unwrap(), 2);
    assert_sound(&test).await;
}

#[tokio::test]
async fn many_at_once_are_committed_in_groups_and_keep_every_count() {
    let test = TestArchive::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300_u128 {
        let submission = post_of(
            &test,
            &NewRecord::new(&test),
            &[advisor(number % 7), advisor(100 + number % 3)],
            &format!("post {number}"),
        );
        let archive = test.archive.clone();
        tasks.spawn(async move { archive.append(submission).await.unwrap() });
    }
    let mut places: Vec<u64> = tasks.join_all().await.into_iter().map(|appended| appended.index).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=300).collect::<Vec<_>>(), "entry 0 is the source's own");
    assert_sound(&test).await;
}

#[tokio::test]
async fn the_same_id_again_is_answered_with_the_first_place() {
    let test = TestArchive::new().await;
    let submission = post(&test, advisor(1), "once");
    let first = test.archive.append(submission.clone()).await.unwrap();
    let again = test.archive.append(submission.clone()).await.unwrap();
    assert_eq!(first, again);

    // Together with new ones, in one group, and twice at once.
    let other = post(&test, advisor(1), "another");
    let (a, b, c) =
        tokio::join!(test.archive.append(submission), test.archive.append(other.clone()), test.archive.append(other));
    assert_eq!(a.unwrap(), first);
    assert_eq!(b.unwrap(), c.unwrap());
    assert_eq!(assert_sound(&test).await.len(), 3);
}

#[tokio::test]
async fn one_wrong_submission_harms_nobody_else() {
    let test = TestArchive::new().await;
    // The database alone can know that this record has no key.
    let keyless = Submission { key: None, ..post(&test, advisor(1), "keyless") };
    let mut unsealed = post(&test, advisor(1), "unsealed");
    unsealed.sealed.pop();
    let mut misshapen = gap(&test, "outage");
    misshapen.draft.detail.remove("cause");

    let good: Vec<_> = (0..20).map(|number| post(&test, advisor(2), &format!("good {number}"))).collect();
    let good = good.into_iter().map(|submission| test.archive.append(submission));
    let (keyless, unsealed, misshapen, good) = tokio::join!(
        test.archive.append(keyless),
        test.archive.append(unsealed),
        test.archive.append(misshapen),
        futures_util::future::join_all(good)
    );
    assert!(matches!(keyless, Err(AppendError::Refused { .. })), "{keyless:?}");
    assert!(matches!(unsealed, Err(AppendError::Content { .. })), "{unsealed:?}");
    assert!(matches!(misshapen, Err(AppendError::Draft { .. })), "{misshapen:?}");
    assert!(good.iter().all(Result::is_ok));
    assert_eq!(assert_sound(&test).await.len(), 21);
}

#[tokio::test]
async fn a_step_of_the_clock_is_a_gap_on_record() {
    let test = TestArchive::new().await;
    test.archive.append(gap(&test, "outage")).await.unwrap();
    test.clock.step_forward(Duration::from_secs(30));
    test.archive.append(gap(&test, "outage")).await.unwrap();
    test.clock.step_back(Duration::from_secs(300));
    test.archive.append(gap(&test, "outage")).await.unwrap();

    let entries = assert_sound(&test).await;
    let steps: Vec<_> = entries
        .iter()
        .filter(|entry| entry.entry_type() == EntryType::Gap && entry.detail()["cause"] == "clock_step")
        .map(|entry| {
            (entry.detail()["step"].as_str().unwrap(), entry.detail()["step_us"].as_u64().unwrap() / 1_000_000)
        })
        .collect();
    assert!(matches!(steps.as_slice(), [("forward", 29..=30), ("backward", 299..=300)]), "{steps:?}");
}

#[tokio::test]
async fn a_clock_far_ahead_of_the_databases_is_refused() {
    let test = TestArchive::new().await;
    test.clock.step_forward(Duration::from_secs(90));
    let refused = test.archive.append(gap(&test, "outage")).await;
    assert!(matches!(refused, Err(AppendError::ClockAhead { by }) if by > Duration::from_secs(80)), "{refused:?}");
    assert_eq!(assert_sound(&test).await.len(), 1);

    test.clock.step_back(Duration::from_secs(90));
    test.archive.append(gap(&test, "outage")).await.unwrap();
    assert_sound(&test).await;
}

#[tokio::test]
async fn two_processes_share_one_ledger_through_its_head() {
    let test = TestArchive::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = test.open_again(elsewhere.path()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_u128 {
        let submission = post(&test, advisor(number % 3), &format!("post {number}"));
        let archive = if number % 2 == 0 { test.archive.clone() } else { other.clone() };
        tasks.spawn(async move { archive.append(submission).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(assert_sound(&test).await.len(), 202);
}

#[tokio::test]
async fn nothing_is_taken_after_closing_and_everything_before() {
    let test = TestArchive::new().await;
    let waiting: Vec<_> = (0..50).map(|number| post(&test, advisor(1), &format!("{number}"))).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for submission in waiting {
        let archive = test.archive.clone();
        tasks.spawn(async move { archive.append(submission).await });
    }
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    test.archive.close().await;
    let settled = tasks.join_all().await;
    assert!(settled.iter().all(|result| matches!(result, Ok(_) | Err(AppendError::Closed))), "{settled:?}");
    let refused = test.archive.append(gap(&test, "outage")).await;
    assert!(matches!(refused, Err(AppendError::Closed)));
}
