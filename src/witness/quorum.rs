//! Whose word the firm asks for: the witnesses that its settings name, and the policy that says how many of them are enough.
//!
//! Invariant: the policy names the log, and every witness whose cosignature counts. What is made from the settings is a policy like one that
//! was written by hand.

use std::path::Path;
use std::time::Duration;

use super::Target;
use crate::ledger::{POLICY_MAX, Policy, PolicyError, VerifyingKey, bare_policy};
use crate::settings;

/// The witnesses cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum QuorumSettingsError {
    /// One of `[[witnesses]]`.
    #[error("witnesses: number {number}: {problem}")]
    Witness {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// The policy's file cannot be read.
    #[error("witnessing.policy: {} cannot be read", .path.display())]
    Unreadable {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The policy.
    #[error("witnessing.policy")]
    Policy(#[from] PolicyError),
    /// A policy for other logs.
    #[error("witnessing.policy names logs, and this one's key is not among them: {0}")]
    OtherLog(String),
    /// Nobody can meet it.
    #[error("witnessing.quorum: write all, any or how many of the witnesses, of whom there are {0}")]
    Quorum(usize),
}

/// A witness that is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What its cosignatures are checked with.
    pub key: VerifyingKey,
    pub(super) target: Target,
    pub(super) timeout: Duration,
}

/// Whom to ask, and who is enough.
#[derive(Debug, Clone)]
pub struct Quorum {
    /// The witnesses, in the order of the settings.
    pub witnesses: Vec<Asked>,
    /// Who is enough.
    pub policy: Policy,
    /// Its text for others to read: without comments and addresses.
    pub text: String,
    /// How often they are asked while there is something new.
    pub every: Duration,
    /// How long an export waits for them.
    pub wait: Duration,
}

impl Quorum {
    /// What the settings mean; none where they name no witness and no policy.
    ///
    /// # Errors
    /// See [`QuorumSettingsError`].
    pub fn new(settings: &settings::Witnessing, log: &VerifyingKey) -> Result<Option<Self>, QuorumSettingsError> {
        let mut witnesses: Vec<Asked> = Vec::with_capacity(settings.witnesses.len());
        for (witness, number) in settings.witnesses.iter().zip(1..) {
            let wrong = |problem: String| QuorumSettingsError::Witness { number, problem };
            let key: VerifyingKey = witness.vkey.parse().map_err(|error| wrong(format!("`vkey`: {error}")))?;
            if !key.is_witness_key() || witnesses.iter().any(|other| other.key.is_same_public_key(&key)) {
                return Err(wrong("`vkey`: not a witness's key (type 04), or the same as another's".to_owned()));
            }
            let target = Target::read(&witness.url).map_err(|problem| wrong(format!("`url`: {problem}")))?;
            witnesses.push(Asked { key, target, timeout: witness.timeout });
        }
        let text = match &settings.policy {
            Some(path) => read(path)?,
            None if witnesses.is_empty() => return Ok(None),
            None => written(settings, &witnesses, log)?,
        };
        let policy = Policy::parse(text.as_bytes())?;
        if !policy.logs().is_empty() && !policy.logs().contains(log) {
            return Err(QuorumSettingsError::OtherLog(log.to_string()));
        }
        let text = bare_policy(&text);
        Ok(Some(Self { witnesses, policy, text, every: settings.every, wait: settings.wait }))
    }
}

fn read(path: &Path) -> Result<String, QuorumSettingsError> {
    let unreadable = |source| QuorumSettingsError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, POLICY_MAX as u64 + 1), &mut bytes)
        .map_err(unreadable)?;
    // A bundle's files are text; what a policy's octets mean beyond ASCII is nobody's business but its writer's.
    String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}

/// The policy that the settings mean.
fn written(
    settings: &settings::Witnessing,
    witnesses: &[Asked],
    log: &VerifyingKey,
) -> Result<String, QuorumSettingsError> {
    let count = witnesses.len();
    let wrong = || QuorumSettingsError::Quorum(count);
    let wanted = match settings.quorum.as_str() {
        word @ ("all" | "any") => word.to_owned(),
        number => match number.parse::<usize>() {
            Ok(wanted) if (1..=count).contains(&wanted) => wanted.to_string(),
            _ => return Err(wrong()),
        },
    };
    let mut text = format!("log {log}\n");
    let mut names = String::new();
    for (witness, number) in witnesses.iter().zip(1_usize..) {
        text.push_str(&format!("witness w{number} {}\n", witness.key));
        names.push_str(&format!(" w{number}"));
    }
    text.push_str(&format!("group witnesses {wanted}{names}\nquorum witnesses\n"));
    Ok(text)
}
