//! The firm CA: until when it can speak, and for which hosts.

use std::sync::Arc;
use std::time::Duration;

use super::Check;
use crate::app::{Home, SystemClock, recognition};
use crate::capture::SystemEntropy;
use crate::proxy::intercept::authority::{Authority, RootKey, Setup, Standing};
use crate::record::{Clock as _, Timestamp};
use crate::settings::{MasterKey, Settings};

/// Devices have to be given a new root in time.
const ROOT_SOON: Duration = Duration::from_secs(90 * 24 * 3600);
/// `serve` renews nine days after an issue of fourteen: with less left, something has kept it from it.
const ISSUING_SOON: Duration = Duration::from_secs(4 * 24 * 3600);

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "ca";
    let dir = settings.data_dir.join("ca");
    if !dir.is_dir() {
        return vec![Check::ok(NAME, "will be made at first start")];
    }
    match look(settings) {
        Ok(Some((standing, names))) => told(&standing, &names, SystemClock.now()),
        Ok(None) => vec![Check::ok(NAME, "will be made at first start")],
        Err(error) => {
            vec![Check::wrong(NAME, error.to_string(), "restore the directory `ca` and the master key from a backup")]
        }
    }
}

fn look(settings: &Settings) -> Result<Option<(Standing, Vec<String>)>, crate::app::AppError> {
    // The directory is there, or there would be no CA in it; and a key is not made for a look.
    let home = Home::open(&settings.data_dir)?;
    let key = match &settings.master_key {
        MasterKey::File { path, .. } => MasterKey::File { path: path.clone(), may_make: false },
        other => other.clone(),
    };
    let setup = Setup {
        dir: home.path("ca"),
        firm: settings.firm.name.clone(),
        master: home.master_key(&key, &SystemEntropy)?,
        passphrase: settings.ca_passphrase.clone(),
        clock: Arc::new(SystemClock),
    };
    let Some(authority) = Authority::open(setup)? else { return Ok(None) };
    let (rules, _sources) = recognition::load(settings)?;
    let listed = recognition::listed(settings)?;
    Ok(Some((authority.standing(), recognition::hosts(&rules, &listed, settings).names())))
}

fn told(standing: &Standing, names: &[String], now: Timestamp) -> Vec<Check> {
    vec![root(standing, now), root_key(standing), issuing(standing, now), permitted(standing, names)]
}

/// What is left of a time; none when it is over.
fn left(until: Timestamp, now: Timestamp) -> Option<Duration> {
    let micros = u64::try_from(until.unix_micros().saturating_sub(now.unix_micros())).ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

fn root(standing: &Standing, now: Timestamp) -> Check {
    const NAME: &str = "ca root";
    let saw = format!("`{}`, until {}, sha256 {}", standing.root, standing.root_until, standing.fingerprint);
    match left(standing.root_until, now) {
        None => Check::wrong(
            NAME,
            saw,
            "it has ended: no device believes it; make or import a new one (`muniment ca import`) and give it to every device",
        ),
        Some(left) if left < ROOT_SOON => {
            Check::warning(NAME, saw, "it ends soon: plan a new one (`muniment ca import`) and give it to every device")
        }
        Some(_) => Check::ok(NAME, saw),
    }
}

fn root_key(standing: &Standing) -> Check {
    const NAME: &str = "ca root key";
    match &standing.root_key {
        RootKey::Here => Check::ok(NAME, "here, sealed; it can be taken offline until the next issuing certificate"),
        RootKey::Away if standing.by_firm => Check::ok(NAME, "none: the firm brought its issuing CA"),
        RootKey::Away => Check::ok(NAME, "kept elsewhere"),
        RootKey::Unusable(error) => Check::warning(
            NAME,
            error.to_string(),
            "set MUNIMENT_CA_PASSPHRASE to what it was sealed with, or restore ca/root.key",
        ),
    }
}

/// Whether `serve` makes the next issuing certificate by itself.
const fn renews(standing: &Standing) -> bool {
    matches!(standing.root_key, RootKey::Here) && !standing.by_firm
}

const fn how_to_renew(standing: &Standing) -> &'static str {
    if standing.by_firm {
        "have your CA issue a new one, and `muniment ca import` it"
    } else if matches!(standing.root_key, RootKey::Here) {
        "`muniment serve` makes a new one within a minute of running, `muniment ca rotate` does it now"
    } else {
        "bring ca/root.key back (and its passphrase), then `muniment ca rotate`"
    }
}

fn issuing(standing: &Standing, now: Timestamp) -> Check {
    const NAME: &str = "ca issuing";
    let Some((subject, until)) = &standing.issuing else {
        let saw = "there is none yet";
        return if renews(standing) {
            Check::ok(NAME, format!("{saw}: made at the next start"))
        } else {
            Check::wrong(NAME, saw, how_to_renew(standing))
        };
    };
    let saw = format!("`{subject}`, until {until}");
    match left(*until, now) {
        None if renews(standing) => Check::warning(NAME, format!("{saw}: it has ended"), how_to_renew(standing)),
        None => Check::wrong(NAME, format!("{saw}: it has ended, nothing can be intercepted"), how_to_renew(standing)),
        Some(left) if left < ISSUING_SOON => Check::warning(NAME, saw, how_to_renew(standing)),
        Some(_) => Check::ok(NAME, saw),
    }
}

fn permitted(standing: &Standing, names: &[String]) -> Check {
    const NAME: &str = "ca hosts";
    if standing.issuing.is_none() {
        return Check::ok(NAME, "will be those that rules and settings list");
    }
    let covers = |name: &&String| {
        // A permitted name permits the names below it.
        let name = name.trim_start_matches("*.");
        standing.permitted.iter().any(|permitted| {
            let permitted = permitted.trim_start_matches("*.");
            name == permitted || name.strip_suffix(permitted).is_some_and(|below| below.ends_with('.'))
        })
    };
    let missing: Vec<&str> = names.iter().filter(|name| !covers(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Check::ok(NAME, format!("{} permitted; all that are intercepted", standing.permitted.len()));
    }
    let shown = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let saw = format!("{} intercepted hosts are not permitted: {shown}", missing.len());
    if renews(standing) {
        Check::warning(NAME, saw, how_to_renew(standing))
    } else {
        Check::wrong(NAME, saw, how_to_renew(standing))
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::record::Digest;

    const DAY: i64 = 24 * 3600;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_unix_micros(days * DAY * 1_000_000).unwrap()
    }

    fn standing(root_key: RootKey) -> Standing {
        Standing {
            root: "CN=The firm".to_owned(),
            fingerprint: Digest::ZERO,
            root_until: at(1_000),
            root_key,
            by_firm: false,
            issuing: Some(("CN=Issuing".to_owned(), at(14))),
            permitted: vec!["social.test".to_owned()],
        }
    }

    fn states(standing: &Standing, names: &[&str], day: i64) -> Vec<State> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        told(standing, &names, at(day)).iter().map(|check| check.state).collect()
    }

    #[test]
    fn what_ends_is_a_warning_while_serve_renews_it_and_wrong_when_nobody_can() {
        let names = ["social.test", "a.social.test", "*.social.test"];
        assert_eq!(states(&standing(RootKey::Here), &names, 0), [State::Ok; 4]);
        assert_eq!(states(&standing(RootKey::Here), &names, 11)[2], State::Warning);
        assert_eq!(states(&standing(RootKey::Here), &names, 14)[2], State::Warning);
        assert_eq!(states(&standing(RootKey::Away), &names, 14)[2], State::Wrong);
        assert_eq!(states(&Standing { by_firm: true, ..standing(RootKey::Away) }, &names, 15)[2], State::Wrong);
        assert_eq!(states(&standing(RootKey::Away), &names, 950)[0], State::Warning);
        assert_eq!(states(&standing(RootKey::Away), &names, 1_000)[0], State::Wrong);
    }

    #[test]
    fn a_host_that_is_not_permitted_and_a_key_that_does_not_open_are_said() {
        assert_eq!(states(&standing(RootKey::Here), &["social.test", "new.test"], 0)[3], State::Warning);
        assert_eq!(states(&standing(RootKey::Away), &["antisocial.test"], 0)[3], State::Wrong);
        let unusable = crate::proxy::intercept::authority::AuthorityError::NoIssuer;
        assert_eq!(states(&standing(RootKey::Unusable(unusable)), &["social.test"], 0)[1], State::Warning);
        assert_eq!(states(&Standing { issuing: None, ..standing(RootKey::Away) }, &[], 0)[2], State::Wrong);
    }
}
