//! The proxy beside hudsucker, the smallest intercepting proxy in Rust: processor time for each intercepted GET (`get`) and for each new
//! connection (`fresh`), and posts that are held until they are on record (`held`).
//!
//! Origin and proxies are processes of this binary, or the program itself; this one makes the load and reads `/proc/<pid>/stat` of
//! the proxies. Rounds are interleaved, and only ratios within one run mean anything: the machine moves every figure, and both alike.
//!
//! `cargo run --release --manifest-path benches/proxy/Cargo.toml -- <what>`, which is one of `get [rounds]`, `fresh [rounds]`,
//! `held <muniment> [rounds]` with the path of a release build of the program, and with the path of a peer `mitmproxy <mitmdump>`,
//! `held-mitmproxy <muniment> <mitmdump>`, `tunnel <squid>`.

mod fresh;
mod get;
mod held;
mod load;
mod muniment_proxy;
mod origin;
mod others;
mod pair;
mod peer_proxy;
mod process;
mod service;
mod tunnel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// One measurement.
const SPAN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const USAGE: &str = "muniment-bench-proxy get [rounds] | fresh [rounds] | held <muniment> [rounds] | mitmproxy <mitmdump> \
                     | held-mitmproxy <muniment> <mitmdump> | tunnel <squid>";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// What says it in the TLS handshake (RFC 7301).
    fn alpn(self) -> Vec<u8> {
        match self {
            Self::Http1 => b"http/1.1".to_vec(),
            Self::Http2 => b"h2".to_vec(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number of rounds");
    match words.as_slice() {
        ["origin", directory, protocol] => {
            let protocol = Protocol::BOTH.into_iter().find(|known| known.name() == *protocol).unwrap();
            run(origin::run(Path::new(directory), protocol))
        }
        ["muniment", directory, origin] => {
            run(muniment_proxy::run(Path::new(directory), origin.parse().unwrap(), true))
        }
        ["muniment-tunnel", directory, origin] => {
            run(muniment_proxy::run(Path::new(directory), origin.parse().unwrap(), false))
        }
        ["hudsucker", directory, origin] => run(peer_proxy::run(Path::new(directory), origin.parse().unwrap(), false)),
        ["hudsucker-file", directory, origin] => {
            run(peer_proxy::run(Path::new(directory), origin.parse().unwrap(), true))
        }
        ["get"] => get::measure(ROUNDS),
        ["get", rounds] => get::measure(number(rounds)),
        ["fresh"] => fresh::measure(ROUNDS),
        ["fresh", rounds] => fresh::measure(number(rounds)),
        ["held", path] => held::measure(&program(path), ROUNDS),
        ["held", path, rounds] => held::measure(&program(path), number(rounds)),
        ["held-mitmproxy", path, peer] => held::measure_mitmproxy(&program(path), &program(peer), ROUNDS),
        ["mitmproxy", path] => get::measure_mitmproxy(&program(path), ROUNDS),
        ["tunnel", path] => tunnel::measure(&program(path), ROUNDS),
        _ => panic!("usage: {USAGE}"),
    }
}

/// A program by its path from here: it is run in a directory of its own. A mere name is looked for in `PATH`.
fn program(path: &str) -> PathBuf {
    if !path.contains('/') {
        return path.into();
    }
    let whole = std::path::absolute(path).unwrap();
    assert!(whole.is_file(), "there is no program at {}", whole.display());
    whole
}

fn run(task: impl Future<Output = ()>) -> ExitCode {
    runtime().block_on(task);
    ExitCode::SUCCESS
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A host that is asked for once.
fn cold_host(number: usize) -> String {
    format!("n{number}.bench.test")
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
    let own = CertificateParams::new(vec!["localhost".to_owned(), "*.bench.test".to_owned()])
        .unwrap()
        .signed_by(&own_key, &issuer)
        .unwrap();
    fs::write(directory.join("origin.pem"), own.pem()).unwrap();
    fs::write(directory.join("origin.key"), own_key.serialize_pem()).unwrap();
    let (peer, key, _) = ca("the peer's own ca");
    fs::write(directory.join("hudsucker.pem"), peer).unwrap();
    fs::write(directory.join("hudsucker.key"), key.serialize_pem()).unwrap();
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
