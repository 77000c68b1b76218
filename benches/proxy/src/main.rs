//! CPU of the proxy process per intercepted request, against hudsucker.
//!
//! Three kinds of processes, all of this binary: an origin, the proxies, and this one, which makes the load and reads
//! `/proc/<pid>/stat` of the proxies. Rounds are interleaved, and only ratios within one run mean anything: the machine moves every
//! figure, and both alike.
//!
//! `cargo run --release --manifest-path benches/proxy/Cargo.toml [rounds]`

mod load;
mod muniment_proxy;
mod origin;
mod peer_proxy;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Connections beside each other.
const CONNECTIONS: usize = 32;
/// Idle connections: a first lot that fills what is pooled, then those that are counted.
const IDLE: (usize, usize) = (200, 800);
/// One measurement.
const SPAN: Duration = Duration::from_secs(3);
const SIZES: [(usize, &str); 2] = [(1 << 10, "1 KiB"), (64 << 10, "64 KiB")];
/// The goal of this bench: at most this many times the peer's CPU.
const GOAL: f64 = 1.3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["origin", directory] => run(origin::run(Path::new(directory))),
        ["muniment", directory, origin] => run(muniment_proxy::run(Path::new(directory), origin.parse().unwrap())),
        ["hudsucker", directory] => run(peer_proxy::run(Path::new(directory))),
        [] => measure(5),
        [rounds] => measure(rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: muniment-bench-proxy [rounds]"),
    }
}

fn run(task: impl Future<Output = ()>) -> ExitCode {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(task);
    ExitCode::SUCCESS
}

/// A process of ours that prints its address when it is ready, and dies with us.
struct Process {
    child: Child,
    port: u16,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap_or_else(|_| panic!("{arguments:?} did not start")) }
    }

    /// User and system time so far.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // USER_HZ is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The root of the origin, the CA of the peer.
fn make_certificates(directory: &Path) {
    let ca = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key, params)
    };
    let (root, key, params) = ca("root of the origin");
    fs::write(directory.join("origin-root.pem"), root).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    fs::write(directory.join("origin.pem"), own.pem()).unwrap();
    fs::write(directory.join("origin.key"), own_key.serialize_pem()).unwrap();
    let (peer, key, _) = ca("the peer's own ca");
    fs::write(directory.join("hudsucker.pem"), peer).unwrap();
    fs::write(directory.join("hudsucker.key"), key.serialize_pem()).unwrap();
}

struct Measured {
    per_request_us: f64,
    per_second: f64,
}

/// Says whether the goals are met. Ends its processes before it returns.
fn measure(rounds: usize) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let path = directory.path().to_str().unwrap();
    let origin = Process::start(&["origin", path]);
    let muniment = Process::start(&["muniment", path, &format!("127.0.0.1:{}", origin.port)]);
    let peer = Process::start(&["hudsucker", path]);
    let proxies = [("muniment", &muniment, "muniment.pem"), ("hudsucker", &peer, "hudsucker.pem")];
    println!("{CONNECTIONS} connections, HTTP/1.1 over TLS on both legs, {rounds} rounds of {} s", SPAN.as_secs());
    println!("{:<8} {:<10} {:>14} {:>14} {:>14}", "size", "proxy", "CPU us/request", "requests/s", "RSS KiB");
    let mut missed = false;
    for (size, label) in SIZES {
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            // The first round only warms up. Who goes first changes, so that nobody is always the second.
            for turn in 0..proxies.len() {
                let which = (turn + round) % proxies.len();
                let (_, proxy, ca) = proxies[which];
                let measured = once(proxy, &directory.path().join(ca), origin.port, size);
                if round > 0 {
                    all[which].push(measured);
                }
            }
        }
        let medians: Vec<f64> = all.iter().map(|list| median(list.iter().map(|m| m.per_request_us))).collect();
        for (which, (name, proxy, _)) in proxies.iter().enumerate() {
            let per_second = median(all[which].iter().map(|m| m.per_second));
            println!("{label:<8} {name:<10} {:>14.1} {per_second:>14.0} {:>14}", medians[which], proxy.resident_kib());
        }
        let ratios = all[0].iter().zip(&all[1]).map(|(ours, theirs)| ours.per_request_us / theirs.per_request_us);
        let ratio = median(ratios);
        missed |= ratio > GOAL;
        println!("{label:<8} ratio      {ratio:>14.2}   (muniment / hudsucker, median of the rounds; goal: at most {GOAL})");
    }
    for (name, proxy, ca) in proxies {
        println!("idle     {name:<10} {:>10.1} KiB for one more connection", idle(proxy, &directory.path().join(ca), origin.port));
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn once(proxy: &Process, ca: &Path, origin: u16, size: usize) -> Measured {
    let load = load::Load { proxy: proxy.port, origin, size, connections: CONNECTIONS, span: SPAN };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connections = load.connect(ca).await;
        let (began, cpu) = (Instant::now(), proxy.cpu());
        let requests = load.run(connections).await;
        let (took, used) = (began.elapsed(), proxy.cpu() - cpu);
        Measured {
            per_request_us: used.as_secs_f64() * 1e6 / requests as f64,
            per_second: requests as f64 / took.as_secs_f64(),
        }
    })
}

/// What one more idle connection costs the proxy: device leg and upstream leg, each used once. A slope between two counts, so that
/// what the process takes anyway is left out.
fn idle(proxy: &Process, ca: &Path, origin: u16) -> f64 {
    let few = load::Load { proxy: proxy.port, origin, size: 1 << 10, connections: IDLE.0, span: SPAN };
    let many = load::Load { connections: IDLE.1, ..few };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first = few.connect(ca).await;
        let before = proxy.resident_kib();
        let more = many.connect(ca).await;
        let after = proxy.resident_kib();
        drop((first, more));
        (after as f64 - before as f64) / IDLE.1 as f64
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
