//! Processor time of the proxy for each intercepted GET, and memory of an idle connection, against hudsucker or mitmproxy.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::load::{Ask, Load};
use crate::others::mitmproxy;
use crate::pair::{Pair, Side, muniment};
use crate::{Protocol, SPAN, make_certificates, median, runtime};

/// Connections beside each other.
const CONNECTIONS: [usize; 2] = [32, 256];
/// Idle connections: a first lot that fills what is pooled, then those that are counted.
const IDLE: (usize, usize) = (200, 800);
const SIZES: [(usize, &str); 2] = [(1 << 10, "1 KiB"), (64 << 10, "64 KiB")];
/// The goals: at most this many times the peer's processor time, and this much memory.
const GOAL: f64 = 0.9;
const GOAL_OF_MITMPROXY: f64 = 1.0 / 40.0;
const IDLE_GOAL_KIB: f64 = 45.0;

struct Round {
    cpu_us: f64,
    per_second: f64,
}

/// Says whether the goals are met. Ends its processes before it returns.
pub fn measure(rounds: usize) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    say_columns(rounds);
    let mut missed = false;
    for protocol in Protocol::BOTH {
        for connections in CONNECTIONS {
            for (size, label) in SIZES {
                let pair = Pair::with_hudsucker(directory.path(), protocol);
                let what = format!("{}, {connections} connections, {label}", protocol.name());
                let load = Load { connections, ask: Ask::Get(size), ..pair.load() };
                missed |= !(compare(&pair, &load, rounds, &what, GOAL) <= GOAL);
            }
        }
    }
    let [ours, _theirs] = idle(directory.path());
    if missed || ours > IDLE_GOAL_KIB { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The same against mitmproxy, over HTTP/1.1 and few connections, which is enough for a ratio like that.
pub fn measure_mitmproxy(program: &Path, rounds: usize) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    say_columns(rounds);
    let pair = Pair::start(directory.path(), Protocol::Http1, |origin| {
        [muniment(directory.path(), origin), mitmproxy(program, directory.path(), None)]
    });
    let mut missed = false;
    for (size, label) in SIZES {
        let load = Load { connections: CONNECTIONS[0], ask: Ask::Get(size), ..pair.load() };
        let what = format!("HTTP/1.1, {} connections, {label}", CONNECTIONS[0]);
        missed |= compare(&pair, &load, rounds, &what, GOAL_OF_MITMPROXY) > GOAL_OF_MITMPROXY;
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn say_columns(rounds: usize) {
    println!("TLS on both legs, the same version of HTTP on both, {rounds} rounds of {} s", SPAN.as_secs());
    println!("{:<34} {:<10} {:>12} {:>12} {:>10}", "", "proxy", "CPU us/GET", "GETs/s", "RSS KiB");
}

/// The median of the rounds' ratios.
fn compare(pair: &Pair, load: &Load, rounds: usize, what: &str, goal: f64) -> f64 {
    let [ours, theirs] = pair.rounds(rounds, |side| once(load, side));
    // hudsucker now and then stops answering new connections; then nothing can be compared any more.
    let (ours, theirs): (Vec<_>, Vec<_>) =
        ours.into_iter().zip(theirs).filter_map(|(ours, theirs)| Some((ours?, theirs?))).unzip();
    if ours.len() < rounds {
        println!("{what:<34} {} of {rounds} rounds: the peer had no answer any more in the others", ours.len());
    }
    if ours.is_empty() {
        return f64::NAN;
    }
    for (side, list) in pair.sides().iter().zip([&ours, &theirs]) {
        let (cpu, rate) = (median(list.iter().map(|r| r.cpu_us)), median(list.iter().map(|r| r.per_second)));
        println!("{what:<34} {:<10} {cpu:>12.1} {rate:>12.0} {:>10}", side.name, side.process.resident_kib());
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us));
    println!("{what:<34} ratio      {ratio:>12.3}   (goal: at most {goal})");
    ratio
}

/// None where the peer does not answer; ours has to.
fn once(load: &Load, side: &Side) -> Option<Round> {
    let load = Load { proxy: side.process.port, ..load.clone() };
    runtime().block_on(async {
        let connections = load.connect(&side.ca).await;
        assert!(connections.is_some() || side.name != "muniment", "a new connection had no answer");
        let connections = connections?;
        let cpu = side.process.cpu();
        let requests = load.run(connections).await.all(side.name).len() as f64;
        let used = side.process.cpu() - cpu;
        Some(Round { cpu_us: used.as_secs_f64() * 1e6 / requests, per_second: requests / SPAN.as_secs_f64() })
    })
}

/// What one more idle connection costs the proxy: device leg and upstream leg, each used once. A slope between two counts, so that
/// what the process takes anyway is left out. In processes that have served nobody before.
fn idle(directory: &Path) -> [f64; 2] {
    let pair = Pair::with_hudsucker(directory, Protocol::Http1);
    pair.sides().each_ref().map(|side| {
        let few = Load { proxy: side.process.port, connections: IDLE.0, span: Duration::ZERO, ..pair.load() };
        let many = Load { connections: IDLE.1, ..few.clone() };
        let kib = runtime().block_on(async {
            let first = few.connect(&side.ca).await.expect("connections");
            let before = side.process.resident_kib();
            let more = many.connect(&side.ca).await.expect("connections");
            let after = side.process.resident_kib();
            drop((first, more));
            (after as f64 - before as f64) / IDLE.1 as f64
        });
        println!(
            "{:<34} {:<10} {kib:>12.1} KiB (goal: at most {IDLE_GOAL_KIB})",
            "one more idle connection", side.name
        );
        kib
    })
}
