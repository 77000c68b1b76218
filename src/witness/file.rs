//! The settings of a witness: one TOML file of its own, since whoever runs a witness has none of the firm's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::WitnessError;
use crate::ledger::VerifyingKey;

const LARGEST: u64 = 1 << 20;
/// The most logs that one witness watches: all that it knows is written anew with each cosignature.
const LOGS_MAX: usize = 1_000;

/// The file as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessFile {
    /// Name of the witness, such as `witness.auditor.example/w1`: part of its key, and fixed by it.
    pub name: String,
    /// Where it listens. Default: 127.0.0.1:8490.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Directory of key and state, beside the file where it is relative. Default: that of the file.
    #[serde(default)]
    pub state: PathBuf,
    /// PEM file: certificate, then intermediates. With `tls_key`; without both it speaks plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file: the private key.
    pub tls_key: Option<PathBuf>,
    /// The logs it watches.
    #[serde(default)]
    pub logs: Vec<LogEntry>,
}

/// `[[logs]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Verifier key of the log, as the firm published it. Its name is the log's origin.
    pub vkey: String,
    /// For `muniment witness audit`: where the log's API is, such as `https://archive.firm.example:8471/v1`.
    pub url: Option<String>,
    /// For `muniment witness audit`: PEM files trusted besides the system's roots.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
}

fn listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8490))
}

/// What the file means.
#[derive(Debug, Clone)]
pub struct WitnessSettings {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Directory of key and state.
    pub state: PathBuf,
    /// Certificate and key, where it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Keys of each log, by origin.
    pub logs: BTreeMap<String, Vec<VerifyingKey>>,
    /// The logs as typed.
    pub entries: Vec<LogEntry>,
}

impl WitnessSettings {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that cannot be meant.
    pub fn load(path: &Path) -> Result<Self, WitnessError> {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(WitnessError::io(path))?;
        file.take(LARGEST).read_to_string(&mut text).map_err(WitnessError::io(path))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, WitnessError> {
        let wrong = |problem: String| WitnessError::Settings { path: path.to_owned(), problem };
        let file: WitnessFile = toml::from_str(text).map_err(|error| wrong(error.to_string().trim().to_owned()))?;
        let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let tls = match (&file.tls_certificate, &file.tls_key) {
            (Some(certificate), Some(key)) => Some((beside.join(certificate), beside.join(key))),
            (None, None) => None,
            _ => return Err(wrong("`tls_certificate` and `tls_key` go together".to_owned())),
        };
        if file.logs.len() > LOGS_MAX {
            return Err(wrong(format!("at most {LOGS_MAX} logs")));
        }
        let mut logs: BTreeMap<String, Vec<VerifyingKey>> = BTreeMap::new();
        for log in &file.logs {
            let key: VerifyingKey = log.vkey.parse().map_err(|error| wrong(format!("`logs.vkey`: {error}")))?;
            if !key.is_log_key() {
                return Err(wrong(
                    "`logs.vkey`: a witness's key is no log's; `muniment checkpoint --json` says it".to_owned(),
                ));
            }
            logs.entry(key.name().to_owned()).or_default().push(key);
        }
        let mut entries = file.logs;
        for entry in &mut entries {
            entry.roots.iter_mut().for_each(|root| *root = beside.join(&root));
        }
        Ok(Self { name: file.name, listen: file.listen, state: beside.join(file.state), tls, logs, entries })
    }
}

/// A file to begin with.
#[must_use]
pub fn template(name: &str) -> String {
    format!(
        "# Settings of this witness: `muniment witness run FILE`.\n\
         name = {name:?}\n\
         listen = \"127.0.0.1:8490\"\n\
         # Key and state; never restore an older copy over a newer one.\n\
         state = \".\"\n\
         # TLS, unless something in front speaks it:\n\
         #tls_certificate = \"certificate.pem\"\n\
         #tls_key = \"key.pem\"\n\n\
         # The logs it watches, each with the key that the firm published.\n\
         #[[logs]]\n\
         #vkey = \"archive.firm.example/ledger+00000000+AAAA\"\n\
         # For `muniment witness audit`, which reads every entry (token in MUNIMENT_TOKEN):\n\
         #url = \"https://archive.firm.example:8471/v1\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{CosigningKey, SigningKey};

    fn parse(text: &str) -> Result<WitnessSettings, WitnessError> {
        WitnessSettings::parse(Path::new("/etc/witness/witness.toml"), text)
    }

    #[test]
    fn the_file_that_init_writes_is_read_and_paths_are_beside_it() {
        let settings = parse(&template("w.example/w1")).unwrap();
        assert_eq!((settings.name.as_str(), settings.listen.port()), ("w.example/w1", 8490));
        assert_eq!(settings.state, Path::new("/etc/witness/."));
        assert!(settings.logs.is_empty() && settings.tls.is_none());
    }

    #[test]
    fn a_log_may_have_two_keys_and_a_witness_is_no_log() {
        let keys = [1, 2].map(|n| SigningKey::new("log.example", &[n; 32]).unwrap().verifying_key().to_string());
        let text = format!("name = \"w\"\n[[logs]]\nvkey = \"{}\"\n[[logs]]\nvkey = \"{}\"\n", keys[0], keys[1]);
        assert_eq!(parse(&text).unwrap().logs["log.example"].len(), 2);
        let witness = CosigningKey::new("log.example", &[1; 32]).unwrap().verifying_key().to_string();
        assert!(parse(&format!("name = \"w\"\n[[logs]]\nvkey = \"{witness}\"\n")).is_err());
        for bad in [
            "",
            "name = \"w\"\nnonsense = 1\n",
            "name = \"w\"\ntls_key = \"x\"\n",
            "name = \"w\"\n[[logs]]\nvkey = \"x\"\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
