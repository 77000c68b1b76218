//! The machine: Postgres programs, ports, disk, open files, clock.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::Resource;

use super::{Check, existing};
use crate::app::SystemClock;
use crate::archive::embedded::Programs;
use crate::record::Clock as _;
use crate::settings::{Postgres, Settings, Size};

/// Less free space than this is wrong: a full disk stops every write of every advisor.
const DISK_LEAST: u64 = 256 << 20;
/// Less than this deserves a look.
const DISK_GOOD: u64 = 2 << 30;
/// Each intercepted connection takes two descriptors; the rest is for files and the database.
const FILES_BESIDE: u64 = 256;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Postgres::Embedded { dir, bindir } = &settings.archive.postgres {
        checks.push(programs(dir, bindir.as_deref()));
    }
    checks.push(port("port proxy.listen", settings.proxy.listen));
    if let Some(tls) = &settings.proxy.tls {
        checks.push(port("port proxy.tls", tls.listen));
    }
    checks.push(port("port api.listen", settings.api.listen));
    checks.push(disk(&settings.data_dir, settings.archive.spool));
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

/// Bound and let go at once. A running `serve` holds it, which is no fault.
fn port(name: &'static str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_bound) => Check::ok(name, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Check::warning(
            name,
            format!("{address} is in use"),
            "fine while `muniment serve` runs; otherwise find out by whom, or choose another port",
        ),
        Err(error) => {
            Check::wrong(name, format!("{address}: {error}"), "choose an address of this machine, or another port")
        }
    }
}

fn disk(data_dir: &Path, spool: u64) -> Check {
    let dir = existing(data_dir);
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let saw = format!("{} MiB free at {}", free >> 20, dir.display());
            if free < DISK_LEAST {
                Check::wrong("disk", saw, "free some space: with a full disk nothing can be kept, and so nothing sent")
            } else if free < DISK_GOOD.max(spool) {
                let hint = format!("the spool alone may take {}", Size(spool));
                Check::warning("disk", saw, hint)
            } else {
                Check::ok("disk", saw)
            }
        }
        Err(error) => Check::wrong("disk", format!("{}: {error}", dir.display()), "check that data_dir is mounted"),
    }
}

fn files(connections: usize) -> Check {
    // `serve` raises its own limit as far as it is allowed to.
    let limit = rustix::process::getrlimit(Resource::Nofile).maximum;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(FILES_BESIDE);
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
