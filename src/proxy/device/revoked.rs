//! Waits for the end of a device's standing: for whatever it has open that has no next request to be asked about.
//!
//! One task looks at the directory's generation; those who wait are woken by a change, and only then is the directory asked, for a few
//! of them at once. Invariant: what is open ends within [`LOOK`] and an answer of the directory after this process knows of the revocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::Gate;
use crate::record::DeviceId;

/// How often the generation is looked at, and the directory asked again that gave no answer.
const LOOK: Duration = Duration::from_secs(1);
/// After a change everybody wants to know.
const ASKED_AT_ONCE: usize = 4;

/// What those who wait are woken by.
pub(super) struct Changes {
    generation: watch::Sender<u64>,
    asking: Semaphore,
}

impl Changes {
    pub(super) fn since(generation: u64) -> Self {
        Self { generation: watch::Sender::new(generation), asking: Semaphore::new(ASKED_AT_ONCE) }
    }
}

impl Gate {
    /// Looks for changes of the directory, for as long as somebody waits for this.
    pub(crate) async fn look_for_changes(&self) {
        loop {
            sleep(LOOK).await;
            let newest = self.devices.generation();
            self.changes.generation.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
    }

    /// Ready once a device that was admitted is none any more; `confirmed` as for [`Gate::stands`].
    pub(crate) async fn revoked(&self, device: DeviceId, confirmed: &AtomicU64) {
        let mut changes = self.changes.generation.subscribe();
        let is_confirmed = || confirmed.load(Ordering::Acquire) == self.devices.generation();
        loop {
            if !is_confirmed() {
                let _turn = self.changes.asking.acquire().await;
                if !self.stands(device, confirmed).await {
                    return;
                }
            }
            if !is_confirmed() {
                // The directory could not be asked, or has changed meanwhile.
                sleep(LOOK).await;
            } else if changes.changed().await.is_err() {
                // Nobody looks for changes any more, so there are none.
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
    use tokio::time::{Instant, timeout};
    use uuid::Uuid;

    use super::*;
    use crate::proxy::device::{Credential, Device, Devices, DevicesError};

    #[derive(Default)]
    struct Directory {
        generation: AtomicU64,
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

        fn generation(&self) -> u64 {
            self.generation.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_noticed_at_once_and_nobody_is_asked_while_nothing_changes() {
        let directory = Arc::new(Directory::default());
        let gate = Arc::new(Gate::new(directory.clone()).unwrap());
        let confirmed = AtomicU64::new(0);
        let looking = Arc::clone(&gate);
        let looking = tokio::spawn(async move { looking.look_for_changes().await });
        let device = DeviceId::new(Uuid::nil());
        let mut revoked = std::pin::pin!(gate.revoked(device, &confirmed));
        assert!(timeout(Duration::from_secs(3600), &mut revoked).await.is_err());
        assert_eq!(directory.asked.load(Ordering::SeqCst), 0);
        // Somebody else came or went.
        directory.generation.fetch_add(1, Ordering::SeqCst);
        assert!(timeout(Duration::from_secs(3600), &mut revoked).await.is_err());
        assert_eq!(directory.asked.load(Ordering::SeqCst), 1);
        // While it cannot be asked it is asked again, and nobody is cut off for that.
        directory.away.store(true, Ordering::SeqCst);
        directory.revoked.store(true, Ordering::SeqCst);
        directory.generation.fetch_add(1, Ordering::SeqCst);
        assert!(timeout(Duration::from_secs(60), &mut revoked).await.is_err());
        directory.away.store(false, Ordering::SeqCst);
        let began = Instant::now();
        timeout(Duration::from_secs(60), &mut revoked).await.unwrap();
        assert!(began.elapsed() <= 2 * LOOK, "{:?}", began.elapsed());
        looking.abort();
    }
}
