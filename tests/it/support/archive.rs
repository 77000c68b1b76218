//! An archive on a fresh database, with everything a test may want to reach behind it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muniment::archive::{Append as _, AppendError, Appended, Archive, ArchiveError, Options, Submission};
use muniment::ledger::SigningKey;
use muniment::record::MasterKey;
use muniment::telemetry::Metrics;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::clock::{SteppingClock, TestIds};
use super::postgres::Database;

/// The log origin of test archives.
pub(crate) const ORIGIN: &str = "archive.firm.test/ledger";

/// An archive and its surroundings. Dropped last to first: archive, files, database.
pub(crate) struct TestArchive {
    pub(crate) archive: Archive,
    pub(crate) clock: Arc<SteppingClock>,
    pub(crate) ids: Arc<TestIds>,
    pub(crate) dir: TempDir,
    pub(crate) database: Database,
}

/// The master key of test archives.
pub(crate) fn master() -> MasterKey {
    MasterKey::new([7; 32])
}

/// The signing key of test archives.
pub(crate) fn signing() -> SigningKey {
    SigningKey::new(ORIGIN, &[9; 32]).unwrap()
}

/// Options as a test wants them: short waits, no demand for durability.
pub(crate) fn options(
    service: PgConnectOptions,
    data_dir: &Path,
    clock: &Arc<SteppingClock>,
    ids: &Arc<TestIds>,
) -> Options {
    Options {
        service,
        data_dir: data_dir.to_owned(),
        blobs: data_dir.join("blobs"),
        master: master(),
        signing: signing(),
        clock: Arc::<SteppingClock>::clone(clock),
        ids: Arc::<TestIds>::clone(ids),
        metrics: Arc::new(Metrics::new()),
        connections: 4,
        append_timeout: Duration::from_secs(10),
        durable: false,
    }
}

impl TestArchive {
    pub(crate) async fn new() -> Self {
        Self::on(Database::fresh().await, |options| options).await
    }

    pub(crate) async fn on(database: Database, change: impl FnOnce(Options) -> Options) -> Self {
        let (clock, ids, dir) = (SteppingClock::new(), TestIds::new(), tempfile::tempdir().unwrap());
        let options = change(options(database.service(), dir.path(), &clock, &ids));
        let archive = Archive::open(options).await.unwrap();
        Self { archive, clock, ids, dir, database }
    }

    /// One whose clock is so far behind: what it appends is old. Step the clock forward to come back to the present.
    pub(crate) async fn ago(by: Duration) -> Self {
        Self::ago_on(Database::fresh().await, by).await
    }

    /// The same on this database.
    pub(crate) async fn ago_on(database: Database, by: Duration) -> Self {
        let (clock, ids, dir) = (SteppingClock::new(), TestIds::new(), tempfile::tempdir().unwrap());
        clock.step_back(by);
        let archive = Archive::open(options(database.service(), dir.path(), &clock, &ids)).await.unwrap();
        Self { archive, clock, ids, dir, database }
    }

    /// Appends as those do who do not know whether the archive took it: they ask again for the same entry, which is there once. On a machine
    /// that has too much to do, an append may take longer than its time.
    pub(crate) async fn append(&self, submission: Submission) -> Appended {
        let mut left = 12;
        loop {
            match self.archive.append(submission.clone()).await {
                Err(AppendError::Unavailable) if left > 0 => left -= 1,
                appended => return appended.unwrap(),
            }
        }
    }

    /// Counts are kept for runs of so many entries; before anything is projected.
    pub(crate) async fn count_runs_of(&self, entries: u32) {
        let text = format!(
            "create or replace function ledger.counted_run() returns bigint language sql immutable parallel safe return {entries}"
        );
        self.database.tamper(&text).await;
    }

    /// The same archive in a copy of its database; this one must have been closed.
    pub(crate) async fn copy(&self) -> Self {
        let database = Database::copy_of(self.database.name()).await;
        let dir = tempfile::tempdir().unwrap();
        for file in ["source", "checkpoint"] {
            std::fs::copy(self.dir.path().join(file), dir.path().join(file)).unwrap();
        }
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let archive = Archive::open(options(database.service(), dir.path(), &clock, &ids)).await.unwrap();
        Self { archive, clock, ids, dir, database }
    }

    /// Opens the same archive once more, as another process with its own data directory would.
    pub(crate) async fn open_again(&self, data_dir: &Path) -> Result<Archive, ArchiveError> {
        Archive::open(options(self.database.service(), data_dir, &self.clock, &self.ids)).await
    }
}
