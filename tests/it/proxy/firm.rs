//! A firm CA in a directory of its own, a clock that is moved by hand, and OpenSSL.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use muniment::proxy::intercept::authority::{Authority, Leaf, Setup};
use muniment::record::{Clock, MasterKey, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;
use time::Duration;
use time::macros::datetime;

/// The clock.
pub(crate) struct Time(Mutex<Timestamp>);

impl Time {
    /// Really now, since OpenSSL looks at the machine's clock; a minute ahead, so that what OpenSSL makes during the test is valid.
    pub(crate) fn now_really() -> Arc<Self> {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap() + std::time::Duration::from_secs(60);
        let micros = i64::try_from(since.as_micros()).unwrap();
        Arc::new(Self(Mutex::new(Timestamp::from_unix_micros(micros).unwrap())))
    }

    pub(crate) fn fixed() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::new(datetime!(2026-11-21 20:00:00 UTC)))))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.0.lock();
        *now = Timestamp::new(now.date_time() + time);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

pub(crate) fn listed(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

/// A firm with its CA.
pub(crate) struct Firm {
    dir: tempfile::TempDir,
    pub(crate) time: Arc<Time>,
}

impl Firm {
    pub(crate) fn new(time: Arc<Time>) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), time }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.time.now()
    }

    pub(crate) fn setup(&self, passphrase: Option<&str>) -> Setup {
        Setup {
            dir: self.ca(),
            firm: "Example Advisers".to_owned(),
            master: MasterKey::new([7; 32]),
            passphrase: passphrase.map(SecretString::from),
            clock: self.time.clone(),
        }
    }

    pub(crate) fn open(&self) -> Authority {
        Authority::open_or_create(self.setup(None)).unwrap()
    }

    /// Opened, with an issuing CA for these hosts.
    pub(crate) fn authority(&self, hosts: &[&str]) -> Arc<Authority> {
        let authority = self.open();
        authority.refresh(&listed(hosts)).unwrap();
        Arc::new(authority)
    }

    /// Writes certificates, one file each, and gives the paths.
    pub(crate) fn write(&self, name: &str, certificates: &[&[u8]]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, certificates.iter().map(|der| pem("CERTIFICATE", der)).collect::<String>()).unwrap();
        path
    }

    /// What `openssl verify` says of a leaf under this root: as strict as it can be, for a TLS server of that name.
    pub(crate) fn verify(&self, root: &str, leaf: &Leaf, host: &str) -> Result<(), String> {
        let chain: Vec<&[u8]> = leaf.chain.iter().map(|der| der.as_ref()).collect();
        self.verify_chain(root, &chain, host)
    }

    pub(crate) fn verify_chain(&self, root: &str, chain: &[&[u8]], host: &str) -> Result<(), String> {
        let root_file = self.path("root-for-openssl.pem");
        std::fs::write(&root_file, root).unwrap();
        let (leaf, between) = chain.split_first().unwrap();
        let leaf = self.write("leaf.pem", &[leaf]);
        let between = self.write("between.pem", between);
        let check = if host.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let output = openssl(&[
            "verify".as_ref(),
            "-x509_strict".as_ref(),
            "-purpose".as_ref(),
            "sslserver".as_ref(),
            check.as_ref(),
            host.as_ref(),
            "-CAfile".as_ref(),
            &root_file,
            "-no-CApath".as_ref(),
            "-no-CAstore".as_ref(),
            "-untrusted".as_ref(),
            &between,
            &leaf,
        ]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    }
}

pub(crate) fn openssl(arguments: &[&Path]) -> Output {
    Command::new("openssl").args(arguments).output().expect("openssl is installed (./dev test installs it)")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
