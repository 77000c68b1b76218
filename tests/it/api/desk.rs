//! The desk itself: nothing passes before the entry is durable, whatever the archive does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use muniment::access::{
    AccessError, Admission, Desk, Officer, Operation, Permission, Purpose, Role, Scope, Seen, Withheld,
};
use muniment::archive::{Append, AppendError, Appended, Submission};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Ids as _, OfficerId, RecordId};
use parking_lot::Mutex;

use super::world::desk;
use crate::support::archive::TestArchive;
use crate::support::sound::assert_sound;

fn purpose() -> Option<Purpose> {
    Some(Purpose::new("a test looks").unwrap())
}

fn officer(test: &TestArchive, roles: &[Role]) -> Officer {
    Officer { id: OfficerId::new(test.ids.fresh()), roles: roles.to_vec(), scope: Scope::default() }
}

async fn admitted(desk: &Desk, officer: &Officer, operation: Operation) -> Admission {
    desk.admit(officer, operation, purpose(), &Seen::default()).await.unwrap()
}

/// Appends to the archive, or fails first, or afterwards.
struct Faulty {
    inner: Arc<dyn Append>,
    fault: Mutex<Option<(bool, AppendError)>>,
}

impl Append for Faulty {
    fn append(&self, submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let fault = self.fault.lock().take();
        Box::pin(async move {
            match fault {
                None => self.inner.append(submission).await,
                Some((false, error)) => Err(error),
                Some((true, error)) => {
                    self.inner.append(submission).await?;
                    Err(error)
                }
            }
        })
    }
}

/// Never answers.
struct Silent;

impl Append for Silent {
    fn append(&self, _submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn each_operation_is_admitted_for_the_roles_that_have_its_permission() {
    let test = TestArchive::new().await;
    let desk = desk(&test, Arc::new(test.archive.clone()));
    for operation in Operation::ALL.iter().copied() {
        for role in Role::ALL.iter().copied() {
            let before = test.archive.head_size().await.unwrap();
            let result = desk.admit(&officer(&test, &[role]), operation, purpose(), &Seen::default()).await;
            let refused = test.archive.head_size().await.unwrap() - before;
            match result {
                Ok(_admission) => {
                    assert_eq!((role.may(operation.permission()), refused), (true, 0), "written when shown")
                }
                Err(AccessError::RoleMissing { operation: named }) => {
                    assert_eq!((role.may(operation.permission()), refused, named), (false, 1, operation));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(matches!(
            desk.admit(&officer(&test, &[]), operation, purpose(), &Seen::default()).await,
            Err(AccessError::RoleMissing { .. })
        ));
    }
    assert_sound(&test).await;
}

#[test]
fn content_is_for_those_who_supervise_and_answer_for_it() {
    let may = |permission: Permission| permission.roles().map(Role::as_str).collect::<Vec<_>>();
    assert_eq!(may(Permission::ReadContent), ["compliance", "legal"]);
    assert_eq!(may(Permission::ListRecords), ["compliance", "legal"]);
    assert_eq!(may(Permission::ReadLedger), ["compliance", "legal", "auditor"]);
    assert_eq!(may(Permission::ReadPeople), ["compliance", "legal", "admin"]);
    assert_eq!(may(Permission::ReadIntegrity), ["compliance", "legal", "auditor", "admin"]);
    assert_eq!(may(Permission::ReadAccess), ["compliance", "legal", "auditor"]);
    for operation in Operation::ALL.iter().copied() {
        let reads = operation.permission() == Permission::ReadContent;
        assert_eq!(operation.shows_content(), reads, "{}: what shows content needs the permission", operation.as_str());
    }
}

#[tokio::test]
async fn a_purpose_is_asked_for_where_content_is_shown_and_kept_where_it_is_given() {
    let test = TestArchive::new().await;
    let desk = desk(&test, Arc::new(test.archive.clone()));
    let legal = officer(&test, &[Role::Legal]);
    for operation in Operation::ALL.iter().copied().filter(|operation| legal.may(*operation)) {
        let result = desk.admit(&legal, operation, None, &Seen::default()).await;
        match result {
            Ok(_admission) => assert!(!operation.shows_content()),
            Err(AccessError::PurposeMissing { operation: named }) => {
                assert!(operation.shows_content() && named == operation);
            }
            Err(other) => panic!("{other}"),
        }
    }
    for (text, sound) in [
        ("abc", true),
        (" abc ", true),
        ("ab", false),
        ("", false),
        ("a\nb c", false),
        ("a\u{0}bc", false),
        ("äöü", true),
    ] {
        assert_eq!(Purpose::new(text).is_ok(), sound, "{text:?}");
    }
    assert!(Purpose::new(&"é".repeat(500)).is_ok() && Purpose::new(&"é".repeat(501)).is_err());
    assert!(!format!("{:?}", Purpose::new("about Ada").unwrap()).contains("Ada"), "it may name people");
}

#[tokio::test]
async fn p5_what_is_withheld_is_given_out_only_after_the_entry_is_durable() {
    let test = TestArchive::new().await;
    let officer = officer(&test, &[Role::Compliance]);
    let faulty = Arc::new(Faulty { inner: Arc::new(test.archive.clone()), fault: Mutex::new(None) });
    let desk = desk(&test, Arc::clone(&faulty) as Arc<dyn Append>);
    for reported_only in [false, true] {
        for error in [AppendError::Unavailable, AppendError::Pushback, AppendError::Closed] {
            let admission = admitted(&desk, &officer, Operation::RecordsGet).await;
            let before = test.archive.head_size().await.unwrap();
            *faulty.fault.lock() = Some((reported_only, error));
            let shown = desk.show(admission, &Seen::default(), Withheld::new("content")).await;
            assert!(matches!(shown, Err(AccessError::Append(_))), "nothing is shown");
            let after = test.archive.head_size().await.unwrap();
            assert_eq!(after - before, u64::from(reported_only), "a look on record that was none does no harm");
            // A refusal that cannot be written down is no answer either.
            *faulty.fault.lock() = Some((false, AppendError::Unavailable));
            let refused = desk.admit(&officer, Operation::RecordsGet, None, &Seen::default()).await;
            assert!(matches!(refused, Err(AccessError::Append(_))));
        }
    }
    let admission = admitted(&desk, &officer, Operation::RecordsGet).await;
    assert_eq!(desk.show(admission, &Seen::default(), Withheld::new("content")).await.unwrap(), "content");
    assert_sound(&test).await;
}

#[tokio::test]
async fn p5_nothing_is_given_out_while_the_archive_does_not_answer() {
    let test = TestArchive::new().await;
    let desk = desk(&test, Arc::new(Silent));
    let admission = admitted(&desk, &officer(&test, &[Role::Legal]), Operation::FieldsGet).await;
    let nothing = Seen::default();
    let showing = desk.show(admission, &nothing, Withheld::new(()));
    assert!(tokio::time::timeout(Duration::from_millis(300), showing).await.is_err());
    assert_eq!(format!("{:?}", Withheld::new("secret").map(str::len)), "Withheld(..)");
}

#[tokio::test]
async fn an_entry_names_who_what_and_whose_and_seals_the_words() {
    let test = TestArchive::new().await;
    let desk = desk(&test, Arc::new(test.archive.clone()));
    let olga = officer(&test, &[Role::Compliance]);
    let records: Vec<RecordId> = (0..600).map(|_| RecordId::new(test.ids.fresh())).collect();
    let advisor = crate::support::submissions::advisor(1);
    let query = Some("text=guaranteed \0 \u{fffd} returns".to_owned());
    let seen = Seen { records: records.clone(), count: 600, advisor: Some(advisor), query, ..Seen::default() };
    let admission = admitted(&desk, &olga, Operation::RecordsSearch).await;
    let before = test.archive.head_size().await.unwrap();
    desk.show(admission, &seen, Withheld::new(())).await.unwrap();
    let entry = test.archive.entry(before).await.unwrap().unwrap();
    assert_eq!((entry.entry_type(), entry.actor()), (EntryType::Access, &Actor::Officer(olga.id)));
    assert_eq!(entry.detail()["advisor"], advisor.to_string());
    assert_eq!(entry.detail()["count"], 600);
    let named = entry.detail()["records"].as_array().unwrap();
    assert_eq!(named.len(), 512, "an entry stays small");
    assert_eq!(named[0], records[0].to_string());
    let text = String::from_utf8_lossy(entry.bytes()).into_owned();
    assert!(!text.contains("guaranteed") && !text.contains("a test looks"));
    let content = test.archive.content(&entry).await.unwrap().unwrap();
    assert_eq!(content.text("query"), seen.query.as_deref());
    assert_eq!(content.text("purpose"), Some("a test looks"));
    assert_sound(&test).await;
}
