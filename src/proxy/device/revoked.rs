//! Waits for the end of a device's standing: for whatever it has open that has no next request to be asked about.
//!
//! Those who wait are woken when the directory's generation changes, and only then is it asked, for a few of them at once. Invariant: what is
//! open ends with the answer that the directory gives after this process knows of the revocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::Gate;
use crate::record::DeviceId;

/// How soon the directory is asked again that gave no answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How many are asked about at once.
pub(super) const ASKED_AT_ONCE: usize = 4;

impl Gate {
    /// Ready once a device that was admitted is none any more; `confirmed` as for [`Gate::stands`].
    pub(crate) async fn revoked(&self, device: DeviceId, confirmed: &AtomicU64) {
        let mut changes = self.generation.clone();
        let is_confirmed = || confirmed.load(Ordering::Acquire) == self.generation();
        loop {
            changes.mark_unchanged();
            if !is_confirmed() {
                let _turn = self.asking.acquire().await;
                if !self.stands(device, confirmed).await {
                    return;
                }
            }
            if !is_confirmed() {
                // The directory could not be asked, or has changed meanwhile.
                sleep(AGAIN).await;
            } else if changes.changed().await.is_err() {
                // Nobody tells of changes any more, so there are none.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use futures_util::future::BoxFuture;
    use tokio::sync::watch;
    use tokio::time::{Instant, timeout};
    use uuid::Uuid;

    use super::*;
    use crate::proxy::device::{Credential, Device, Devices, DevicesError};

    #[derive(Default)]
    struct Directory {
        generation: watch::Sender<u64>,
        revoked: AtomicBool,
        away: AtomicBool,
        asked: AtomicU64,
    }

    impl Devices for Directory {
        fn verify<'a>(&'a self, _credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>> {
            Box::pin(async { Ok(None) })
        }

        fn stands(&self, _device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                if self.away.load(Ordering::SeqCst) {
                    return Err(DevicesError("a test says so".to_owned()));
                }
                Ok(!self.revoked.load(Ordering::SeqCst))
            })
        }

        fn generation(&self) -> watch::Receiver<u64> {
            self.generation.subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_noticed_at_once_and_nobody_is_asked_while_nothing_changes() {
        let directory = Arc::new(Directory::default());
        let gate = Gate::new(directory.clone()).unwrap();
        let confirmed = AtomicU64::new(0);
        let device = DeviceId::new(Uuid::nil());
        let mut revoked = std::pin::pin!(gate.revoked(device, &confirmed));
        assert!(timeout(Duration::from_secs(3600), &mut revoked).await.is_err());
        assert_eq!(directory.asked.load(Ordering::SeqCst), 0);
        // Somebody else came or went.
        directory.generation.send_modify(|generation| *generation += 1);
        assert!(timeout(Duration::from_secs(3600), &mut revoked).await.is_err());
        assert_eq!(directory.asked.load(Ordering::SeqCst), 1);
        // While it cannot be asked it is asked again, and nobody is cut off for that.
        directory.away.store(true, Ordering::SeqCst);
        directory.revoked.store(true, Ordering::SeqCst);
        directory.generation.send_modify(|generation| *generation += 1);
        assert!(timeout(Duration::from_secs(60), &mut revoked).await.is_err());
        directory.away.store(false, Ordering::SeqCst);
        let began = Instant::now();
        timeout(Duration::from_secs(60), &mut revoked).await.unwrap();
        assert!(began.elapsed() <= 2 * AGAIN, "{:?}", began.elapsed());
    }
}
