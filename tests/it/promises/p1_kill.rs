//! P1 under kill -9: of the proxy, of Postgres, of both, at random moments, under load.
//!
//! The network runs in the test and outlives every kill. At the end: what it accepted is a subset of what is archived, each
//! exactly once; every capture has an outcome; the whole archive verifies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::load::Load;
use super::power::{kill_postgres, psql};
use crate::service::{Firm, Origin, Service};

/// Kills; `MUNIMENT_KILL_TRIALS` overrides.
const TRIALS: u64 = 200;
/// Outcome and text of every captured post.
const QUERY: &str = "select coalesce(r.state, ''), c.text from projection.records r join projection.communications c using (record) \
                     where r.type = 'capture' and c.kind = 'post' and c.text is not null";
/// Devices that post without pause.
const DEVICES: usize = 4;
/// Longest until a text gets through again after a kill, and until the archive has caught up at the end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn p1_what_the_network_accepted_is_archived_exactly_once_whatever_is_killed_and_when() {
    let trials = std::env::var("MUNIMENT_KILL_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(TRIALS);
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let load = Load::start(&firm, &origin, (device.id, device.secret), DEVICES);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for trial in 0..trials {
        std::thread::sleep(Duration::from_millis(dice.roll(150)));
        let before = origin.statuses().len();
        match trial % 3 {
            0 => service = restarted(&firm, service),
            1 => kill_postgres(&firm.data()),
            // The order within the pair is chance, too.
            _ if dice.roll(2) == 0 => {
                kill_postgres(&firm.data());
                service = restarted(&firm, service);
            }
            _ => {
                service.signal("KILL");
                kill_postgres(&firm.data());
                service = restarted(&firm, service);
            }
        }
        // A trial without load would prove nothing: something new must get through before the next kill.
        let deadline = Instant::now() + PATIENCE;
        while origin.statuses().len() <= before {
            assert!(Instant::now() < deadline, "after kill {trial} nothing gets through: {:#?}", service.lines());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let attempts = load.stop();
    let accepted: Vec<String> = origin.statuses().into_iter().map(|status| status.text).collect();
    let archived = archived(&firm, &accepted);

    let missing: Vec<&String> = accepted.iter().filter(|text| !archived.contains_key(*text)).collect();
    assert!(missing.is_empty(), "{} of {} accepted are not archived: {missing:?}", missing.len(), accepted.len());
    let twice: Vec<_> = archived.iter().filter(|(_text, records)| records.len() != 1).collect();
    assert!(twice.is_empty(), "captured more than once: {twice:?}");
    let open: Vec<&String> =
        archived.iter().filter(|(_text, found)| found.contains(&None)).map(|(text, _)| text).collect();
    assert!(open.is_empty(), "captures without an outcome: {open:?}");
    let verified = firm.ask(&["verify"]);
    assert_eq!(service.stop(), 0, "a drained service ends well");
    println!(
        "{trials} kills, {attempts} attempts, {} accepted, {} archived: {verified}",
        accepted.len(),
        archived.len()
    );
}

fn restarted(firm: &Firm, mut service: Service) -> Service {
    service.signal("KILL");
    service.wait();
    firm.serve()
}

/// The outcome of every record with a text, by text. Waits until the spool is replayed, the projector has caught up and every
/// capture is closed. Read with psql, because thousands of looks through the API would be thousands of entries more.
fn archived(firm: &Firm, wanted: &[String]) -> BTreeMap<String, Vec<Option<String>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
        for row in psql(&firm.data(), QUERY).lines() {
            let (outcome, text) = row.split_once('|').unwrap();
            let outcome = (!outcome.is_empty()).then(|| outcome.to_owned());
            found.entry(text.to_owned()).or_default().push(outcome);
        }
        let whole = wanted.iter().all(|text| found.contains_key(text)) && found.values().flatten().all(Option::is_some);
        if whole || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A small generator with a fixed seed: the moments differ from run to run with the machine, the sequence does not.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
