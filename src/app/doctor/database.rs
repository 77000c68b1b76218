//! The database as the running service would meet it: version, schema, roles and their rights, durability, clock.

use std::str::FromStr as _;

use secrecy::ExposeSecret as _;
use sqlx::postgres::PgConnectOptions;

use super::Check;
use crate::app::{SystemClock, master};
use crate::archive::embedded::{Embedded, LEAST};
use crate::archive::{Examined, WrappedUnder, examine};
use crate::record::{Clock as _, MasterKey, Timestamp};
use crate::settings::{Postgres, Settings};

/// What the archive refuses: entries further ahead of the database's clock.
const REFUSED_MICROS: u64 = 60_000_000;
/// What network time never does.
const ODD_MICROS: u64 = 2_000_000;
/// Rights named one by one.
const SHOWN: usize = 4;

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "database";
    let login = match &settings.archive.postgres {
        Postgres::Embedded { dir, .. } => match Embedded::running(dir) {
            Ok(Some(login)) => login,
            Ok(None) if dir.join("cluster").is_dir() => {
                return vec![Check::ok(NAME, "the private postgres is stopped; `muniment serve` starts it")];
            }
            Ok(None) => return vec![Check::ok(NAME, "will be made at first start")],
            Err(error) => return vec![Check::wrong(NAME, error.to_string(), "check the data directory's owner")],
        },
        // What the driver says of an address may repeat its password.
        Postgres::Server { url, .. } => match PgConnectOptions::from_str(url.expose_secret()) {
            Ok(login) => login,
            Err(_secret) => {
                return vec![Check::wrong(NAME, "its address cannot be read", "see archive.url and DATABASE_URL")];
            }
        },
    };
    match examine(&login).await {
        Ok(examined) => {
            let mut checks = told(&examined, SystemClock.now());
            checks.extend(master_keys(settings, &examined.wrapped));
            checks
        }
        Err(error) => {
            let mut saw = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                saw = format!("{saw}: {source}");
            }
            vec![Check::wrong(
                NAME,
                saw,
                "start it, check archive.url, or run `muniment migrate`; while it is away writes are spooled or refused",
            )]
        }
    }
}

/// What was seen, in lines; `now` is our clock, read right after the database's.
fn told(examined: &Examined, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![version(examined), rights(&examined.excess)];
    if let Err(error) = &examined.durable {
        let hint = "turn it on: the server may lose what it acknowledged, and so what was sent";
        checks.push(Check::wrong("database durability", error.to_string(), hint));
    }
    checks.push(clock(now, examined.now));
    checks
}

/// Whether every key can be opened by the master keys that are given, and whether former ones are needed still.
fn master_keys(settings: &Settings, wrapped: &[WrappedUnder]) -> Option<Check> {
    const NAME: &str = "master keys";
    // Said by the check of the file, where it cannot be read.
    let given = MasterKey::of(&master::read(&settings.master_key).ok()?);
    let (current, former) = (given.id().to_string(), given.former());
    let former: Vec<String> = former.iter().map(ToString::to_string).collect();
    let count = |is: &dyn Fn(&str) -> bool| -> u64 {
        wrapped.iter().filter(|of| is(&of.master)).map(|of| of.records + of.secrets).sum()
    };
    let (under_former, all) = (count(&|name| former.iter().any(|known| known == name)), count(&|_name| true));
    let missing = all.saturating_sub(under_former).saturating_sub(count(&|name| name == current));
    Some(match (missing, under_former, former.is_empty()) {
        (0, 0, true) => Check::ok(NAME, format!("all {all} keys are wrapped by {current}")),
        (0, 0, false) => Check::warning(
            NAME,
            format!("all {all} keys are wrapped by {current}; none is left under {}", former.join(", ")),
            "once every proxy has the new key and its spool is empty: `muniment keys retire`",
        ),
        (0, left, _) => Check::warning(
            NAME,
            format!("{left} of {all} keys are still under a former master key"),
            "run `muniment keys rotate-master` until none is left",
        ),
        (missing, _, _) => Check::wrong(
            NAME,
            format!("{missing} of {all} keys are under a master key that is not given: what they open cannot be read"),
            "give it again: `muniment keys list` names it",
        ),
    })
}

fn version(examined: &Examined) -> Check {
    const NAME: &str = "database";
    let saw = format!("postgres {}, {} entries", examined.version, examined.entries);
    if examined.major < LEAST {
        return Check::wrong(NAME, saw, format!("muniment needs postgres {LEAST} or newer"));
    }
    Check::ok(NAME, saw)
}

fn rights(excess: &[String]) -> Check {
    const NAME: &str = "database roles";
    if excess.is_empty() {
        return Check::ok(NAME, "the service can add, and can change or remove nothing");
    }
    let mut saw = excess.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if excess.len() > SHOWN {
        saw.push_str(&format!(" and {} more", excess.len() - SHOWN));
    }
    let hint = "revoke it (`revoke update, delete, truncate on … from …`), and give `serve` a login that is neither owner nor superuser";
    Check::wrong(NAME, saw, hint)
}

fn clock(ours: Timestamp, theirs: Timestamp) -> Check {
    const NAME: &str = "clock and database";
    let apart = ours.unix_micros().abs_diff(theirs.unix_micros());
    let way = if ours > theirs { "ahead of" } else { "behind" };
    let saw = format!("this clock is {}.{:03} s {way} the database's", apart / 1_000_000, apart / 1_000 % 1_000);
    if apart > REFUSED_MICROS {
        Check::wrong(NAME, saw, "set both by ntp: entries more than a minute apart are refused, and so are writes")
    } else if apart > ODD_MICROS {
        Check::warning(NAME, saw, "set both by ntp: from a minute on writes are refused")
    } else {
        Check::ok(NAME, saw)
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::archive::ArchiveError;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    fn examined() -> Examined {
        let now = at(1_000);
        Examined {
            version: "15.1".to_owned(),
            major: 15,
            now,
            entries: 3,
            durable: Ok(()),
            excess: Vec::new(),
            wrapped: Vec::new(),
        }
    }

    fn states(examined: &Examined, now: i64) -> Vec<State> {
        told(examined, at(now)).iter().map(|check| check.state).collect()
    }

    #[test]
    fn a_clock_apart_from_the_databases_is_said_before_writes_are_refused_for_it() {
        for (now, state) in [
            (1_000, State::Ok),
            (1_002, State::Ok),
            (1_003, State::Warning),
            (990, State::Warning),
            (1_061, State::Wrong),
            (900, State::Wrong),
        ] {
            assert_eq!(states(&examined(), now), [State::Ok, State::Ok, state], "{now}");
        }
    }

    #[test]
    fn an_old_server_one_that_forgets_and_a_right_too_many_are_wrong() {
        let old = Examined { major: LEAST - 1, ..examined() };
        assert_eq!(states(&old, 1_000)[0], State::Wrong);
        let forgetful = Examined { durable: Err(ArchiveError::NotDurable { setting: "fsync = off" }), ..examined() };
        assert_eq!(states(&forgetful, 1_000), [State::Ok, State::Ok, State::Wrong, State::Ok]);
        let excess = (0..9).map(|n| format!("muniment_append may update table {n}")).collect();
        let checks = told(&Examined { excess, ..examined() }, at(1_000));
        assert_eq!(checks[1].state, State::Wrong);
        assert!(checks[1].saw.ends_with("and 5 more"), "{}", checks[1].saw);
    }
}
