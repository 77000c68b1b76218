//! Signals: the first SIGTERM or SIGINT drains, the second stops.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end the service.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals no longer kill the process. Nor does a limit on the size of files: what would grow beyond it is a
    /// write that fails, as on a full disk.
    pub(super) fn listen() -> std::io::Result<Self> {
        // Nobody waits for it; it is caught for as long as the process lives.
        let _caught = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        // `None` means that no further signal can come: then the caller waits for whatever else ends it.
        let came = tokio::select! {
            came = self.terminate.recv() => came,
            came = self.interrupt.recv() => came,
        };
        if came.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Why the service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody asked.
    Asked,
    /// It cannot go on: see the log.
    Fatal,
}

/// Raised by whatever part finds that the service cannot go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarm(CancellationToken);

impl Alarm {
    /// Ends the service. Says why, once.
    pub(super) fn raise(&self, why: &dyn std::error::Error) {
        if !self.0.is_cancelled() {
            tracing::error!(error = %why, "the service cannot go on and stops");
            self.0.cancel();
        }
    }

    /// Waits until it is raised.
    pub(super) async fn raised(&self) {
        self.0.cancelled().await;
    }
}
