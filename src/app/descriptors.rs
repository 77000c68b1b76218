//! Open files: as many as we may have, and no more connections than fit beside what recording needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For what is no connection: database, workers, spool, files of content, bodies that are held, the API's clients.
pub(super) const BESIDE: u64 = 256;
/// For a connection: the device's side and the origin's.
pub(super) const EACH: u64 = 2;

/// The soft limit is raised as far as we may.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(error = %error, "the limit on open files stays as it is");
    }
}

/// As many connections as fit, at most those that settings allow: one more would take the file that a record needs.
pub(super) fn fitting(connections: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return connections };
    let fit = fit(limit);
    if fit < connections {
        tracing::warn!(
            limit,
            fit,
            "fewer connections are taken than proxy.limits.connections: the limit on open files is low"
        );
    }
    fit.min(connections)
}

fn fit(limit: u64) -> usize {
    // Where there is little, half of it is for keeping.
    let beside = BESIDE.min(limit / 2);
    usize::try_from((limit - beside) / EACH).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recording_needs_is_left() {
        assert_eq!([20_000, 1_024, 512, 300, 4, 0].map(fit), [9_872, 384, 128, 75, 1, 1]);
    }
}
