//! What the service does when the archive raises an alarm or can append no more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lifecycle::Alarm;
use crate::archive::{self, Archive, OnAlarm};
use crate::record::MasterKey;

/// How soon it is noticed.
const LOOK: Duration = Duration::from_millis(500);
const KEY_LOOK: Duration = Duration::from_millis(1_500);

/// What an alarm of the archive does to the service. A finding is on record and in the log, and the service goes on keeping; a
/// ledger that does not continue what was signed is never signed, and nothing may be added to it either.
pub(super) fn on_archive_alarm(service: Alarm) -> OnAlarm {
    Arc::new(move |told| match told {
        archive::Alarm::Inconsistent(why) => service.raise(&why),
        archive::Alarm::Finding(_) => {}
    })
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

/// Takes up another master key within a second or two, so that what is kept from then on is wrapped under it. What is wrapped under it already opens
/// before: a key that is not known is looked for when it is met.
pub(super) async fn follow_master(master: MasterKey, stop: CancellationToken) {
    loop {
        let read = master.clone();
        if tokio::task::spawn_blocking(move || read.refresh()).await.unwrap_or(false) {
            tracing::info!(key = %master.id(), "another master key wraps from now on");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEY_LOOK) => {}
        }
    }
}
