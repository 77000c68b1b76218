//! Processor time of the proxy for each new connection, from CONNECT to the first answer, against hudsucker: to a host whose leaf it has
//! made already (warm), and to one that it has never seen (cold).
//!
//! hudsucker answers CONNECT before it knows whether the origin is there, and sends the request over any upstream connection that is idle:
//! to a warm host it makes no upstream handshake. muniment dials the origin and verifies its certificate first, for each.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::load::Load;
use crate::pair::{Pair, Side};
use crate::{Protocol, cold_host, make_certificates, median, runtime};

/// In one round.
const CONNECTIONS: usize = 240;
/// How many are being made at a time.
const BESIDE: usize = 8;
/// The goal: at most this many times the peer's processor time.
const GOAL: f64 = 1.0;
/// Rounds there are names for, with the one that warms up.
pub const ROUNDS: usize = 8;
/// How many names there are.
pub const HOSTS: usize = ROUNDS * CONNECTIONS;

pub fn measure(rounds: usize) -> ExitCode {
    let rounds = rounds.min(ROUNDS - 1);
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let pair = Pair::with_hudsucker(directory.path(), Protocol::Http1);
    println!("new connections, {rounds} rounds of {CONNECTIONS}, {BESIDE} at a time");
    let mut missed = false;
    // A host is cold once for each proxy: each counts its own.
    let counters = [AtomicUsize::new(0), AtomicUsize::new(0)];
    for what in ["warm leaf", "cold leaf"] {
        let [ours, theirs] = pair.rounds(rounds, |side| {
            let next = (what == "cold leaf").then(|| &counters[usize::from(side.name != pair.sides()[0].name)]);
            once(&pair.load(), side, next)
        });
        for (side, list) in pair.sides().iter().zip([&ours, &theirs]) {
            println!("{what:<34} {:<10} {:>12.0} us", side.name, median(list.iter().copied()));
        }
        let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs));
        println!("{what:<34} ratio      {ratio:>12.2}   (goal: at most {GOAL})");
        missed |= ratio > GOAL;
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Processor time of the proxy for each connection, in microseconds.
fn once(load: &Load, side: &Side, next: Option<&AtomicUsize>) -> f64 {
    let load = Load { proxy: side.process.port, ..load.clone() };
    let hosts = (0..CONNECTIONS)
        .map(|_| next.map_or_else(|| "localhost".to_owned(), |next| cold_host(next.fetch_add(1, Ordering::Relaxed))));
    runtime().block_on(async {
        let connector = load.connector(&side.ca);
        // One that is there already: what is warm was used before.
        let kept = load.fresh(&connector, "localhost").await;
        let before = side.process.cpu();
        let mut open = JoinSet::new();
        for host in hosts {
            if open.len() == BESIDE {
                open.join_next().await.unwrap().unwrap();
            }
            let (load, connector) = (load.clone(), connector.clone());
            open.spawn(async move { drop(load.fresh(&connector, &host).await.expect("an answer")) });
        }
        while let Some(done) = open.join_next().await {
            done.unwrap();
        }
        let used = side.process.cpu() - before;
        drop(kept);
        used.as_secs_f64() * 1e6 / CONNECTIONS as f64
    })
}
