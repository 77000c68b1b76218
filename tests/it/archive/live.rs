//! P2: verifying while the service is at work finds what is wrong and nothing else.

use std::io::Write as _;
use std::time::{Duration, Instant};

use muniment::archive::{Append as _, Disposal, SealedField, Stored};
use muniment::ledger::Actor;
use muniment::record::{Clock as _, Commitment, FieldName, seal};

use crate::support::archive::TestArchive;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, gap, outcome, post_of};

/// A record with a field in a row and one in a file.
async fn with_film(test: &TestArchive) -> NewRecord {
    let record = NewRecord::new(test);
    let mut submission = post_of(test, &record, &[advisor(1), advisor(2)], "with a film");
    let (id, field) = (submission.draft.id, FieldName::attachment(0, 0));
    let film = vec![7; 300 << 10];
    submission.draft.commitments.insert(field.clone(), Commitment::to(&record.key.salt(id, &field), &film));
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&seal(&record.key.sealing_key(id, &field), &film).unwrap()).unwrap();
    let (digest, size) = writer.finish().unwrap();
    submission.sealed.push(SealedField { name: field, ciphertext: Stored::Blob { digest, size } });
    test.archive.append(submission).await.unwrap();
    test.archive.append(outcome(test, &record, id, &[advisor(1)])).await.unwrap();
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_verification_beside_a_service_that_appends_publishes_and_disposes_finds_nothing() {
    let test = TestArchive::new().await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    let until = Instant::now() + Duration::from_secs(12);
    let is_on = || Instant::now() < until;
    let appending = async {
        while is_on() {
            test.archive.append(gap(&test, "outage")).await.unwrap();
            let record = NewRecord::new(&test);
            test.archive.append(post_of(&test, &record, &[advisor(3)], "said")).await.unwrap();
        }
    };
    let publishing = async {
        while is_on() {
            test.archive.publish(false).await.unwrap();
            test.archive.project(u64::MAX).await.unwrap();
        }
    };
    let disposing = async {
        let mut disposed = 0_u32;
        while is_on() {
            let mut records = Vec::new();
            for _record in 0..3 {
                records.push(with_film(&test).await.id);
            }
            let disposal = Disposal {
                records,
                rule: "six_years".parse().unwrap(),
                backups_expire_at: test.clock.now(),
                by: Actor::Service("test".try_into().unwrap()),
            };
            test.archive.dispose(&disposal).await.unwrap();
            test.archive.sweep().await.unwrap();
            disposed += 3;
        }
        disposed
    };
    let verifying = async {
        let mut verified = 0_u32;
        while is_on() {
            let (found, verification) = verify(&test).await;
            assert!(verification.sound && found.is_empty(), "{found:#?}");
            verified += 1;
        }
        verified
    };
    let ((), (), disposed, verified) = tokio::join!(appending, publishing, disposing, verifying);
    assert!(disposed > 3 && verified > 1, "{disposed} disposed of, {verified} times verified");
    assert_sound(&test).await;
}
