//! Whom the reader of a bundle believes, beyond what the bundle says: logs, witnesses, auditors.
//!
//! Invariant: nothing of this comes from the bundle. A policy inside it says what the firm asks for, and whoever made the bundle wrote it.

use super::{Context, Examiner};
use crate::bundle::report::Check;
use crate::ledger::{Attestation, Policy, VerifyingKey};

/// What the reader brings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    /// Keys of logs; of auditors, too.
    pub keys: &'a [VerifyingKey],
    /// Whose cosignatures are enough, and which logs are believed besides `keys`.
    pub policy: Option<&'a Policy>,
    /// What auditors attest (signed notes), each with what to call it. Believed of the policy's witnesses, and of `keys`.
    pub attestations: &'a [(String, Vec<u8>)],
}

impl Trust<'_> {
    /// Keys that checkpoints and statements are checked with.
    pub(super) fn log_keys(&self) -> Vec<VerifyingKey> {
        let of_policy = self.policy.map_or(&[][..], Policy::logs);
        self.keys.iter().chain(of_policy).cloned().collect()
    }

    fn auditors(&self) -> Vec<VerifyingKey> {
        let of_policy = self.policy.map_or(&[][..], Policy::witnesses);
        self.keys.iter().chain(of_policy).filter(|key| key.is_witness_key()).cloned().collect()
    }
}

impl Examiner<'_> {
    /// Holds the bundle's checkpoint against the policy.
    pub(super) fn quorum(&mut self, note: &str) {
        let Some(policy) = self.trust.policy else {
            self.findings.not_made(Check::Quorum, "no policy was given");
            return;
        };
        if self.keys.is_empty() {
            self.findings.not_made(Check::Quorum, "neither the policy nor anybody else names the log's key");
        } else if let Err(error) = policy.open(note.as_bytes(), self.keys) {
            self.findings.fail(Check::Quorum, error.to_string());
        }
    }

    /// Who attests that no stream forked up to the bundle's checkpoint. An attestation that says anything else does not count, and is named; one
    /// by somebody believed of another root of this size shows that the log forked.
    pub(super) fn attested(&mut self, context: &Context) -> Vec<String> {
        let (auditors, checkpoint) = (self.trust.auditors(), &context.checkpoint);
        let mut by = Vec::new();
        for (name, note) in self.trust.attestations {
            match Attestation::open(note, &auditors) {
                Err(error) => self.findings.fail(Check::Range, format!("attestation {name}: {error}")),
                Ok((said, _vouched)) if said.origin != checkpoint.origin || said.size != checkpoint.size => {
                    let problem = format!(
                        "attestation {name} is of {} entries of `{}`: ask the auditor for one at this checkpoint",
                        said.size, said.origin
                    );
                    self.findings.fail(Check::Range, problem);
                }
                Ok((said, _vouched)) if said.root != checkpoint.root => {
                    let problem = format!("attestation {name} names another root of this size: the log forked");
                    self.findings.fail(Check::Checkpoint, problem);
                }
                Ok((_said, vouched)) => by.extend(vouched.into_iter().map(|by| by.name)),
            }
        }
        by.sort();
        by.dedup();
        by
    }
}
