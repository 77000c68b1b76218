//! What runs in the background beside capture and proxy: the projector, the publisher, the watch over the ledger.
//!
//! Each owns nothing and can be stopped at any moment: what it did not do, the next run does.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::lifecycle::Alarm;
use crate::archive::{Archive, ArchiveError};

/// How soon entries of other processes are noticed; our own are at once.
const LOOK: Duration = Duration::from_millis(500);
/// A pause after a failure, so that a database that is away is not asked in a loop.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the projections up with the ledger.
pub(super) async fn project(archive: Archive, stop: CancellationToken) {
    let mut size = archive.size();
    loop {
        let projected = async {
            let head = archive.head_size().await?;
            archive.project(head).await
        };
        let pause = match projected.await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(error = %error, "entries cannot be projected yet");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = size.changed() => {
                // The writer is gone: only the clock wakes us from here on.
                if changed.is_err() {
                    tokio::time::sleep(pause).await;
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Publishes a checkpoint whenever there is something new, at most this often. The last one is published at the stop.
pub(super) async fn publish(archive: Archive, every: Duration, alarm: Alarm, stop: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            () = stop.cancelled() => true,
            _tick = ticks.tick() => false,
        };
        match archive.publish(false).await {
            Ok(_published) => {}
            // A ledger that does not continue what was signed is never signed, and nothing may be added to it either.
            Err(error @ ArchiveError::Inconsistent(_)) => {
                alarm.raise(&error);
                return;
            }
            Err(error) => tracing::warn!(error = %error, "no checkpoint could be published"),
        }
        if last {
            return;
        }
    }
}

/// Ends the service when appending has stopped for good: a proxy that can keep nothing must not look alive.
pub(super) async fn watch(archive: Archive, alarm: Alarm, stop: CancellationToken) {
    loop {
        if let Some(inconsistency) = archive.stopped() {
            alarm.raise(&inconsistency);
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
