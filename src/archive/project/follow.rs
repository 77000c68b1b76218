//! The task that follows the ledger.
//!
//! Any number of processes may run one: they take turns at the lock. It wakes when this process appends, and looks several times
//! a second for what others appended, so a record is found within about a tenth of a second of its append.

use std::time::Duration;

use sqlx::Row as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;

/// How often to look for what other processes appended.
const LOOK: Duration = Duration::from_millis(75);
/// Between two runs: what arrives meanwhile shares the next one. A post and its outcome mostly come together then, which saves half of
/// the work; whatever comes alone is projected at once.
const PACE: Duration = Duration::from_millis(50);
/// After an error. Whoever was cut off learns as soon as it is back who was revoked meanwhile.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How far the projections are, as this process last saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Followed {
    /// Entries projected.
    pub projected: u64,
    /// Entries there are.
    pub size: u64,
    /// Changes with every advisor, device, officer or role that comes or goes, whichever process it was: what was found out
    /// about a credential before is not to be believed after.
    pub people: u64,
}

/// Follows the ledger until it is stopped; dropping it stops it without waiting.
#[derive(Debug)]
pub struct Follower {
    stop: CancellationToken,
    task: JoinHandle<()>,
    followed: watch::Receiver<Followed>,
}

impl Follower {
    /// Starts following.
    #[must_use]
    pub fn start(archive: &Archive) -> Self {
        let stop = CancellationToken::new();
        let (sender, followed) = watch::channel(Followed::default());
        let (archive, token) = (archive.clone(), stop.clone());
        // A transaction that is under way when the task ends is rolled back with its connection.
        let task = tokio::spawn(async move {
            token.run_until_cancelled(follow(archive, sender)).await;
        });
        Self { stop, task, followed }
    }

    /// How far the projections are; changes as they follow.
    #[must_use]
    pub fn followed(&self) -> watch::Receiver<Followed> {
        self.followed.clone()
    }

    /// Stops following.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic in it would be in the log already.
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn follow(archive: Archive, sender: watch::Sender<Followed>) {
    let mut appended = archive.size();
    let mut pause = PAUSE;
    loop {
        match once(&archive, &sender).await {
            Ok(()) => {
                pause = PAUSE;
                sleep(PACE).await;
                let woken = async {
                    // The writer that has ended appends no more; others may.
                    if appended.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = woken => {}
                    () = sleep(LOOK) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the projections do not follow the ledger; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn once(archive: &Archive, sender: &watch::Sender<Followed>) -> Result<(), ArchiveError> {
    let followed = archive.look().await?;
    if followed.projected < followed.size {
        archive.project(followed.size).await?;
        tell(sender, archive.look().await?);
    } else {
        tell(sender, followed);
    }
    Ok(())
}

fn tell(sender: &watch::Sender<Followed>, followed: Followed) {
    sender.send_if_modified(|known| {
        let is_new = *known != followed;
        *known = followed;
        is_new
    });
}

impl Archive {
    async fn look(&self) -> Result<Followed, ArchiveError> {
        let row = sqlx::query(
            "select coalesce(p.next_index, 0) as projected, h.size, coalesce(p.people, 0) as people
               from ledger.head h left join projection.progress p on true",
        )
        .fetch_one(&self.parts.projector)
        .await?;
        Ok(Followed {
            projected: count(row.try_get("projected")?),
            size: count(row.try_get("size")?),
            people: count(row.try_get("people")?),
        })
    }
}
