//! What the service does when the archive raises an alarm or can append no more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lifecycle::Alarm;
use crate::archive::{self, Archive, OnAlarm};

/// How soon it is noticed.
const LOOK: Duration = Duration::from_millis(500);

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
