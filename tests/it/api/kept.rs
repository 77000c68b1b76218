//! Records to look at: captures with chosen facts and fields, and large fields in files.

use std::io::Write as _;

use muniment::archive::{Append as _, Disposal, SealedField, Stored, Submission};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{AdvisorId, Clock as _, Commitment, EntryId, FieldName, Ids as _, RecordId, seal};
use serde_json::{Map, Value, json};

use crate::support::archive::TestArchive;
use crate::support::submissions::{NewRecord, capture_detail, detail, outcome, sealed};

/// A record that was appended.
pub(super) struct Kept {
    pub(super) record: NewRecord,
    pub(super) entry: EntryId,
    pub(super) index: u64,
    pub(super) advisors: Vec<AdvisorId>,
}

impl Kept {
    pub(super) fn id(&self) -> RecordId {
        self.record.id
    }

    /// The origin accepts it.
    pub(super) async fn accepted(self, test: &TestArchive) -> Self {
        test.archive.append(outcome(test, &self.record, self.entry, &self.advisors)).await.unwrap();
        self
    }
}

/// Appends a capture with these facts changed and these fields.
pub(super) async fn keep(
    test: &TestArchive,
    advisors: &[AdvisorId],
    facts: &[(&str, Value)],
    fields: &[(&str, &[u8])],
) -> Kept {
    keep_with(test, advisors, facts, fields, &[]).await
}

/// The same, with fields that are kept in files.
pub(super) async fn keep_with(
    test: &TestArchive,
    advisors: &[AdvisorId],
    facts: &[(&str, Value)],
    fields: &[(&str, &[u8])],
    large: &[(&str, &[u8])],
) -> Kept {
    let record = NewRecord::new(test);
    let mut detail: Map<String, Value> = capture_detail(test.ids.fresh());
    detail.extend(facts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let mut submission = sealed(test, &record, EntryType::Capture, detail, advisors, fields);
    let entry = submission.draft.id;
    for (name, value) in large {
        let name: FieldName = name.parse().unwrap();
        let ciphertext = seal(&record.key.sealing_key(entry, &name), value).unwrap();
        let mut writer = test.archive.blobs().writer().unwrap();
        writer.write_all(&ciphertext).unwrap();
        let (digest, size) = writer.finish().unwrap();
        let commitment = Commitment::to(&record.key.salt(entry, &name), value);
        submission.draft.commitments.insert(name.clone(), commitment);
        submission.sealed.push(SealedField { name, ciphertext: Stored::Blob { digest, size } });
    }
    let submission = Submission { key: Some(record.wrapped()), ..submission };
    let appended = test.archive.append(submission).await.unwrap();
    Kept { record, entry, index: appended.index, advisors: advisors.to_vec() }
}

/// The years that content is kept at least have passed, and a rule disposes of these.
pub(super) async fn dispose(test: &TestArchive, records: &[RecordId]) -> u64 {
    test.database.tamper("update content.retention set minimum = '0'").await;
    let disposal = Disposal {
        records: records.to_vec(),
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await.unwrap().index
}

/// An account that turned out to be an advisor's.
pub(super) async fn account(test: &TestArchive, advisor: AdvisorId, network_id: &str) -> String {
    let (id, record) = (test.ids.fresh().to_string(), NewRecord::new(test));
    let facts = json!({ "subject": "account", "change": "added", "id": id, "advisor": advisor.to_string(), "network": "bluesky" });
    let fields: &[(&str, &[u8])] = &[("id", network_id.as_bytes()), ("handle", b"ada.example")];
    let submission = sealed(test, &record, EntryType::Identity, detail(facts), &[advisor], fields);
    test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap();
    id
}
