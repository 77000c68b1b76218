//! The spool: what waits for the archive, and how much more it would take.

use super::Check;
use crate::settings::{Settings, Size};

const NAME: &str = "spool";
/// A segment that holds no frame yet is about as large.
const EMPTY: u64 = 256;

pub(super) fn check(settings: &Settings) -> Check {
    let dir = settings.data_dir.join("spool");
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Check::ok(NAME, "empty"),
        Err(error) => return Check::wrong(NAME, format!("{}: {error}", dir.display()), "run as the service's user"),
    };
    let (mut bytes, mut segments, mut damaged) = (0_u64, 0_u64, 0_u64);
    for entry in entries.flatten() {
        let path = entry.path();
        // One that goes away while we look was replayed.
        let size = entry.metadata().map(|found| found.len()).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("spool") if size > EMPTY => {
                bytes = bytes.saturating_add(size);
                segments += 1;
            }
            Some("damaged") => damaged += 1,
            _ => {}
        }
    }
    told(bytes, segments, damaged, settings.archive.spool)
}

fn told(bytes: u64, segments: u64, damaged: u64, total: u64) -> Check {
    let saw = format!("{} KiB of {} wait in {segments} segments", bytes >> 10, Size(total));
    if bytes >= total {
        let hint = "it is full and writes are refused: bring the archive back, then `muniment serve` works it off";
        Check::wrong(NAME, saw, hint)
    } else if damaged > 0 {
        let hint =
            "some of it did not open and was put aside (*.damaged): see the gap `spool_damaged`, and keep the files";
        Check::warning(NAME, format!("{saw}, {damaged} damaged"), hint)
    } else if bytes > 0 {
        Check::warning(NAME, saw, "the archive is or was away: a running `muniment serve` works it off when it is back")
    } else {
        Check::ok(NAME, "empty")
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_waits_is_a_warning_and_a_full_spool_is_wrong() {
        for (bytes, damaged, state) in
            [(0, 0, State::Ok), (5_000, 0, State::Warning), (0, 1, State::Warning), (1 << 20, 0, State::Wrong)]
        {
            assert_eq!(told(bytes, 1, damaged, 1 << 20).state, state, "{bytes} {damaged}");
        }
    }
}
