//! The machine: Postgres programs, disks, open files, clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::Resource;

use super::{Check, existing};
use crate::app::SystemClock;
use crate::app::descriptors::{BESIDE, EACH};
use crate::archive::embedded::Programs;
use crate::record::Clock as _;
use crate::settings::{Postgres, Settings, Size};

/// Less free space than this is wrong: a full disk stops every write of every advisor.
const DISK_LEAST: u64 = 256 << 20;
/// Less than this deserves a look.
const DISK_GOOD: u64 = 2 << 30;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Postgres::Embedded { dir, bindir } = &settings.archive.postgres {
        checks.push(programs(dir, bindir.as_deref()));
    }
    checks.extend(disks(settings));
    checks.push(files(settings.proxy.limits.connections));
    checks.push(clock());
    checks
}

fn programs(dir: &Path, bindir: Option<&Path>) -> Check {
    match Programs::find(bindir, std::env::var_os("PATH").as_deref(), &dir.join("cluster")) {
        Ok(programs) => {
            let saw = format!("postgres {} at {}", programs.major(), programs.path("postgres").display());
            Check::ok("postgres programs", saw)
        }
        Err(error) => Check::wrong("postgres programs", error.to_string(), "see above; nothing is ever downloaded"),
    }
}

/// The file systems that writes go to, each once.
fn disks(settings: &Settings) -> Vec<Check> {
    let mut places =
        vec![("disk data_dir", settings.data_dir.as_path()), ("disk blobs", settings.archive.blobs.as_path())];
    if let Postgres::Embedded { dir, .. } = &settings.archive.postgres {
        places.push(("disk postgres", dir.as_path()));
    }
    let mut seen = Vec::new();
    places.retain(|(_name, path)| {
        // What cannot be looked at is looked at, and then said.
        let device = std::fs::metadata(existing(path)).map(|found| found.dev()).ok();
        let is_new = device.is_none() || !seen.contains(&device);
        seen.push(device);
        is_new
    });
    places.into_iter().map(|(name, path)| disk(name, path, settings.archive.spool)).collect()
}

fn disk(name: &'static str, path: &Path, spool: u64) -> Check {
    let dir = existing(path);
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let saw = format!("{} MiB free at {}", free >> 20, dir.display());
            if free < DISK_LEAST {
                Check::wrong(name, saw, "free some space: with a full disk nothing can be kept, and so nothing sent")
            } else if free < DISK_GOOD.max(spool) {
                Check::warning(name, saw, format!("make room: the spool alone may take {}", Size(spool)))
            } else {
                Check::ok(name, saw)
            }
        }
        Err(error) => Check::wrong(name, format!("{}: {error}", dir.display()), "check that it is mounted"),
    }
}

fn files(connections: usize) -> Check {
    // `serve` raises its own limit as far as it is allowed to.
    let limit = rustix::process::getrlimit(Resource::Nofile).maximum;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(EACH).saturating_add(BESIDE);
    match limit {
        Some(limit) if limit < wanted => Check::warning(
            "open files",
            format!("limit {limit}, {wanted} wanted for {connections} connections"),
            "raise it (`ulimit -Hn`, LimitNOFILE=), or lower proxy.limits.connections",
        ),
        Some(limit) => Check::ok("open files", format!("limit {limit}")),
        None => Check::ok("open files", "no limit"),
    }
}

/// A clock that was never set shows a year before this program was written.
fn clock() -> Check {
    let now = SystemClock.now();
    if now.date_time().year() < 2026 {
        return Check::wrong(
            "clock",
            now.to_string(),
            "set it (ntp): entries carry its time, certificates depend on it",
        );
    }
    Check::ok("clock", now.to_string())
}
