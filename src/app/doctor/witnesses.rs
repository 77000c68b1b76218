//! Whether what the settings say of witnesses can be meant. Nobody is asked: a witness that is away shows in the metrics.

use super::Check;
use crate::ledger::{SigningKey, VerifyingKey};
use crate::settings::Settings;
use crate::witness::Quorum;

pub(super) fn check(settings: &Settings) -> Check {
    const NAME: &str = "witnesses";
    const HINT: &str = "see `[[witnesses]]` and `[witnessing]` in config/muniment.toml";
    let asked = settings.witnessing.witnesses.len();
    if asked == 0 && settings.witnessing.policy.is_none() {
        return Check::ok(NAME, "none: checkpoints have the log's own signature only");
    }
    let Some(key) = log_key(settings) else {
        return Check::warning(NAME, "not looked at: there is no log key yet", "look again after the first start");
    };
    match Quorum::new(&settings.witnessing, &key) {
        Ok(Some(quorum)) if quorum.policy.needs_witnesses() => {
            let named = quorum.policy.witnesses().len();
            Check::ok(NAME, format!("{asked} are asked to cosign; the policy names {named}"))
        }
        Ok(_) => Check::warning(NAME, "the policy asks for no cosignature", HINT),
        Err(error) => Check::wrong(NAME, error.to_string(), HINT),
    }
}

fn log_key(settings: &Settings) -> Option<VerifyingKey> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(settings.data_dir.join("log.key")).ok()?);
    Some(SigningKey::from_secret_text(text.trim()).ok()?.verifying_key().clone())
}
