//! Processor time of the proxy for each GiB that passes through a tunnel it does not look into, against squid's tunnel.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::load::{Ask, Load};
use crate::others::squid;
use crate::pair::{Pair, Side, muniment_tunnel};
use crate::{Protocol, make_certificates, median, runtime};

/// Beside each other.
const CONNECTIONS: usize = 8;
/// In each answer: what a picture or a piece of a film has.
const SIZE: usize = 1 << 20;
const SPAN: Duration = Duration::from_secs(3);
/// The goal: at most this many times the peer's processor time.
const GOAL: f64 = 1.0;

pub fn measure(program: &Path, rounds: usize) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let pair = Pair::start(directory.path(), Protocol::Http1, |origin| {
        [muniment_tunnel(directory.path(), origin), squid(program, directory.path())]
    });
    println!(
        "tunnels, {CONNECTIONS} connections, answers of {} KiB, {rounds} rounds of {} s",
        SIZE >> 10,
        SPAN.as_secs()
    );
    let load = Load { connections: CONNECTIONS, ask: Ask::Get(SIZE), span: SPAN, ..pair.load() };
    let root = directory.path().join("origin-root.pem");
    let [ours, theirs] = pair.rounds(rounds, |side| once(&load, side, &root));
    for (side, list) in pair.sides().iter().zip([&ours, &theirs]) {
        let (cpu, rate) = (median(list.iter().map(|round| round.0)), median(list.iter().map(|round| round.1)));
        println!("{:<10} {cpu:>8.3} CPU s/GiB {rate:>8.2} GiB/s {:>8} KiB", side.name, side.process.resident_kib());
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours.0 / theirs.0));
    println!("ratio      {ratio:>8.2}   (goal: at most {GOAL})");
    if ratio > GOAL { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Processor time in seconds for each GiB, and GiB a second.
fn once(load: &Load, side: &Side, root: &Path) -> (f64, f64) {
    let load = Load { proxy: side.process.port, ..load.clone() };
    runtime().block_on(async {
        let connections = load.connect(root).await.expect("connections");
        let cpu = side.process.cpu();
        let answers = load.run(connections).await.all(side.name).len();
        let gib = (answers * SIZE) as f64 / f64::from(1 << 30);
        (((side.process.cpu() - cpu).as_secs_f64()) / gib, gib / SPAN.as_secs_f64())
    })
}
