//! The archive's directory, as the proxy asks it who a device is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::archive::{Directory, Password};
use crate::proxy::{Credential, Device, Devices, DevicesError};
use crate::record::DeviceId;

/// How soon a revocation by another process is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// See the module.
pub(in crate::app) struct ArchiveDevices {
    directory: Directory,
    generation: watch::Sender<u64>,
}

impl ArchiveDevices {
    pub(in crate::app) fn new(directory: Directory) -> Arc<Self> {
        Arc::new(Self { directory, generation: watch::Sender::new(0) })
    }

    /// Keeps the generation fresh until `stop`. While the database is away it stays as it is: nobody can be revoked then.
    pub(in crate::app) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            if let Ok(newest) = self.directory.generation().await {
                self.generation.send_if_modified(|known| std::mem::replace(known, newest) != newest);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

impl Devices for ArchiveDevices {
    fn verify<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>> {
        Box::pin(async move {
            let Credential::Basic { user, password } = credential;
            // A device's user name is its id; anything else is nobody's.
            let Ok(id) = user.parse::<DeviceId>() else { return Ok(None) };
            let password = Password::given(password.expose_secret());
            let known = self.directory.device(id, password).await;
            let known = known.map_err(|error| DevicesError(error.to_string()))?;
            Ok(known.map(|known| Device { id: known.device, advisor: known.advisor }))
        })
    }

    fn stands(&self, device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>> {
        Box::pin(async move { self.directory.stands(device).await.map_err(|error| DevicesError(error.to_string())) })
    }

    fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}
