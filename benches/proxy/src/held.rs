//! A post of 500 bytes that is on record before it leaves: `muniment serve`, which recognises, seals, chains and commits it to Postgres,
//! against hudsucker appending the body to a file and waiting for `fdatasync`, which all who wait share, or mitmproxy and SQLite.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::load::{Ask, Load};
use crate::others::{KEEP, mitmproxy};
use crate::pair::{Side, load};
use crate::process::Process;
use crate::service::Service;
use crate::{Protocol, SPAN, make_certificates, median, runtime};

/// Connections beside each other.
const CONNECTIONS: usize = 32;
/// The goals: at least this part of the peer's posts, and at most this many times its slowest hundredth.
const RATE: f64 = 0.5;
const SLOWEST: f64 = 2.0;
/// And of mitmproxy's.
const RATE_OF_MITMPROXY: f64 = 10.0;

struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// With what is left to do when the last post is answered.
    cpu_us: f64,
    /// How long that takes: outcomes, and what makes records be found.
    left: Duration,
}

pub fn measure(program: &Path, rounds: usize) -> ExitCode {
    compare(program, rounds, (RATE, SLOWEST), |directory, origin| {
        let process = Process::start(&["hudsucker-file", directory.to_str().unwrap(), &origin.port.to_string()]);
        Side { name: "hudsucker", process, ca: directory.join("hudsucker.pem") }
    })
}

pub fn measure_mitmproxy(program: &Path, peer: &Path, rounds: usize) -> ExitCode {
    compare(program, rounds, (RATE_OF_MITMPROXY, SLOWEST), |directory, _origin| mitmproxy(peer, directory, Some(KEEP)))
}

fn compare(program: &Path, rounds: usize, goals: (f64, f64), peer: impl FnOnce(&Path, &Process) -> Side) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let origin = Process::start(&["origin", directory.path().to_str().unwrap(), Protocol::Http1.name()]);
    let mut service = Service::start(program, directory.path(), origin.port);
    let peer = peer(directory.path(), &origin);
    println!(
        "posts of 500 bytes, {CONNECTIONS} connections, HTTP/1.1 over TLS on both legs, {rounds} rounds of {} s",
        SPAN.as_secs()
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut posts = 0;
    for round in 0..=rounds {
        let mut us = || {
            let (round, count) = once("muniment", &service.process, &service.root, &service.login, origin.port);
            posts += count;
            round
        };
        let them = || once(peer.name, &peer.process, &peer.ca, "bench:bench", origin.port).0;
        // The other one goes first every second time.
        let pair = if round % 2 == 0 {
            (us(), them())
        } else {
            let second = them();
            (us(), second)
        };
        // The first round only warms up.
        if round > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    println!(
        "{:<10} {:>10} {:>10} {:>10} {:>14} {:>14}",
        "proxy", "posts/s", "p50 ms", "p99 ms", "CPU us/post", "then busy, ms"
    );
    for (name, list) in [("muniment", &ours), (peer.name, &theirs)] {
        let millis = |of: fn(&Round) -> Duration| median(list.iter().map(|round| of(round).as_secs_f64() * 1e3));
        let (rate, cpu) = (median(list.iter().map(|r| r.per_second)), median(list.iter().map(|r| r.cpu_us)));
        let [p50, p99, left] = [millis(|r| r.p50), millis(|r| r.p99), millis(|r| r.left)];
        println!("{name:<10} {rate:>10.0} {p50:>10.2} {p99:>10.2} {cpu:>14.1} {left:>14.0}");
    }
    let ratio = |of: fn(&Round) -> f64| median(ours.iter().zip(&theirs).map(|(a, b)| of(a) / of(b)));
    let (rate, slowest) = (ratio(|round| round.per_second), ratio(|round| round.p99.as_secs_f64()));
    println!(
        "posts: {rate:.2} of the peer's (goal: at least {}); p99 {slowest:.2} times (goal: at most {})",
        goals.0, goals.1
    );
    // Everything that was answered is on record, and the record is sound.
    service.process.stop();
    let entries = service.verified();
    assert!(entries >= posts, "{posts} posts went through, {entries} entries are there");
    println!("{posts} posts, {entries} entries, verified");
    if rate >= goals.0 && slowest <= goals.1 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One measurement, and how many posts were answered.
fn once(name: &str, proxy: &Process, ca: &Path, login: &str, origin: u16) -> (Round, u64) {
    let asked = load(origin, Protocol::Http1);
    let load = Load { proxy: proxy.port, ask: Ask::Post, connections: CONNECTIONS, login: login.into(), ..asked };
    runtime().block_on(async {
        let connections = load.connect(ca).await.expect("connections");
        let cpu = proxy.cpu();
        let mut took = load.run(connections).await.all(name);
        let left = proxy.settle();
        let used = proxy.cpu() - cpu;
        took.sort_unstable();
        let part = |of: usize| took[(took.len() - 1) * of / 100];
        let count = took.len();
        let round = Round {
            per_second: count as f64 / SPAN.as_secs_f64(),
            p50: part(50),
            p99: part(99),
            cpu_us: used.as_secs_f64() * 1e6 / count as f64,
            left,
        };
        // One more on each connection before the clock was started.
        (round, (count + CONNECTIONS) as u64)
    })
}
