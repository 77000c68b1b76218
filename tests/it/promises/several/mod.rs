//! Several proxies on one archive, under fire: killed with -9, cut off from the database, with real clients posting through all of them.
//!
//! The same as of one is asked of all together: what the network accepted is archived, once, and closed; and that people, figures and
//! duties are what the operator guide says.

mod house;
mod late;
mod lost;
mod together;

use std::time::{Duration, Instant};

use house::House;
use serde_json::json;

use super::load::Load;
use crate::service::{Device, eventually};

/// Whoever was revoked at one proxy is refused at all of them, in the end. That nobody's silence puts it off is shown where a clock can show
/// it, in `archive::silence`: here commands, proxies and clients share a machine with their load, and how long it took is printed.
const REVOKED: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["one: ", "two: ", "three: ", "four: "];

/// An advisor whose device every proxy knows, and whose account is known.
fn advisor(house: &House) -> (String, Device) {
    let firm = &house.nodes[0].firm;
    let advisor = firm.add_advisor("Ada Advisor");
    let device = firm.add_device(&advisor, "laptop");
    post(house, 0, &device, "the first", 200);
    eventually(|| (house.one("select count(*) from projection.accounts") == "1").then_some(()));
    (advisor, device)
}

/// Posts through one proxy; what came back has this status.
fn post(house: &House, number: usize, device: &Device, words: &str, status: u16) {
    let curl = house.device(number, device).json(&json!({ "status": words }));
    let answer = curl.send(&house.origin.url("/api/v1/statuses")).unwrap();
    assert_eq!(answer.status, status, "{words}: {}", String::from_utf8_lossy(&answer.body));
}

fn loads(house: &House, device: &Device, each: usize) -> Vec<Load> {
    let credential = || (device.id.clone(), device.secret.clone());
    let nodes = house.nodes.iter().zip(NAMES);
    nodes.map(|(node, name)| Load::named(name, &node.firm, &house.origin, credential(), each)).collect()
}

/// Something new gets through this proxy.
fn goes_on(house: &House, number: usize) {
    let of = || house.origin.statuses().iter().filter(|status| status.text.starts_with(NAMES[number])).count();
    let before = of();
    eventually(|| (of() > before).then_some(()));
}

/// Each proxy answers for itself, and knows of the others.
fn assert_told_apart(house: &House, token: &str) {
    let mut sources: Vec<String> = (0..house.nodes.len()).map(|number| house.source(number)).collect();
    for number in 0..house.nodes.len() {
        let metrics = house.metrics(number);
        let here =
            format!("node_info{{source=\"{}\",version=\"{}\"}} 1", house.source(number), env!("CARGO_PKG_VERSION"));
        assert!(metrics.lines().any(|line| line == here), "{here} is not in\n{metrics}");
        // The archive's figures are the same whoever says them.
        eventually(|| {
            let size = house.one("select size from ledger.head");
            let age = house.metrics(number);
            let age = age.lines().find_map(|line| line.strip_prefix("checkpoint_age_seconds "))?.parse::<f64>().ok()?;
            (house.metrics(number).contains(&format!("ledger_size {size}")) && age < 30.0).then_some(())
        });
        let system = house.read(number, token, "/v1/system");
        let listed = system["sources"].as_array().unwrap();
        let mut ids: Vec<&str> = listed.iter().map(|source| source["source"].as_str().unwrap()).collect();
        ids.sort_unstable();
        sources.sort_unstable();
        assert_eq!(ids, sources);
        for source in listed {
            assert_eq!(source["here"] == true, source["source"] == house.source(number).as_str());
            let id = source["source"].as_str().unwrap();
            let counted = house.one(&format!(
                "select count(*) from ledger.entries where convert_from(body, 'UTF8')::json ->> 'source' = '{id}'"
            ));
            // It may have appended since.
            assert!(source["entries"].as_u64().unwrap() <= counted.parse().unwrap(), "{source} {counted}");
        }
    }
}

/// The first proxy through which a revoked device still gets, if there is one.
fn admitted(house: &House, device: &Device) -> Option<usize> {
    (0..house.nodes.len()).find(|number| {
        let answer = house.device(*number, device).get(&house.origin.url("/api/v1/instance"));
        // curl says so when CONNECT is refused.
        answer.is_ok()
    })
}

#[test]
fn p1_four_proxies_killed_and_cut_off_under_load_lose_nothing_and_keep_nothing_twice() {
    let mut house = House::start(4, "refuse", "");
    let (advisor, device) = advisor(&house);
    let token = house.nodes[1].firm.add_officer("Olga", "compliance");
    let lost = house.nodes[2].firm.add_device(&advisor, "lost phone");
    for (number, name) in NAMES.into_iter().enumerate() {
        post(&house, number, &device, &format!("{name}to begin with"), 200);
        post(&house, number, &lost, &format!("{name}from the phone"), 200);
        // In a file of its own, which every proxy reads. The network takes no text of that size.
        post(&house, number, &device, &format!("{name}{}", "long ".repeat(20_000)), 422);
    }
    let loads = loads(&house, &device, 2);
    for (round, victim) in [2, 0, 3, 1, 0, 2].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(137 * (round as u64 + 1) % 400));
        house.kill(victim);
        // The others go on meanwhile.
        goes_on(&house, (victim + 1) % 4);
        house.serve(victim);
        goes_on(&house, victim);
        if round % 3 == 1 {
            // A network that is cut says nothing; whoever posts there is refused, and nobody else notices.
            let cut = (victim + 2) % 4;
            house.nodes[cut].line.silence();
            std::thread::sleep(Duration::from_secs(1));
            // Refused, and yet it may be on record: whether the database took it could not be known. So no two say the same.
            post(&house, cut, &device, &format!("{}while it is cut off, round {round}", NAMES[cut]), 503);
            goes_on(&house, victim);
            house.nodes[cut].line.speak();
            goes_on(&house, cut);
        }
    }
    // Revoked at one, refused at all.
    let revoked = Instant::now();
    house.nodes[1].firm.ask(&["device", "revoke", &lost.id]);
    let said = revoked.elapsed();
    while let Some(number) = admitted(&house, &lost) {
        assert!(revoked.elapsed() < REVOKED, "proxy {number} still lets the revoked device in");
    }
    println!("revoked everywhere within {:?}, of which the command took {said:?}", revoked.elapsed());
    let attempts: u64 = loads.into_iter().map(Load::stop).sum();

    let kept = house.assert_kept();
    assert!(kept.len() > 100, "only {} of {attempts} attempts", kept.len());
    for (number, name) in NAMES.iter().enumerate() {
        let source = house.source(number);
        let said: Vec<_> = kept.iter().filter(|(text, _)| text.starts_with(name)).collect();
        assert!(said.len() > 10, "{name}{}", said.len());
        // What was said through this proxy says so.
        assert!(said.iter().all(|(_, kept)| kept.iter().all(|kept| kept.source == source)), "{name}");
    }
    let accounts = house.rows("select account, network_id from projection.accounts where revoked_index is null");
    assert_eq!(accounts.len(), 1, "one account is listed once, whoever learns of it: {accounts:?}");
    eventually(|| {
        (house.one("select count(*) from projection.gaps where cause = 'write_refused'") != "0").then_some(())
    });
    assert_told_apart(&house, &token);
    // Anybody may verify.
    for number in [0, 3] {
        let verified = house.nodes[number].firm.ask(&["verify"]);
        assert_eq!(verified["sound"], true, "{verified}");
    }
    house.stop();
}

#[test]
fn p1_two_proxies_with_spools_go_on_when_the_other_dies_and_while_they_are_cut_off() {
    let mut house = House::start(2, "spool", "");
    let (_advisor, device) = advisor(&house);
    let published = |house: &House| house.one("select max(size) from ledger.checkpoints").parse::<u64>().unwrap();
    // Whoever is left publishes and projects alone. Nobody can tell which of them did before.
    for (dead, alive) in [(0, 1), (1, 0)] {
        house.kill(dead);
        let text = format!("{}after the other died", NAMES[alive]);
        post(&house, alive, &device, &text, 200);
        let there: u64 = house.one("select size from ledger.head").parse().unwrap();
        eventually(|| (published(&house) >= there).then_some(()));
        eventually(|| house.kept(std::slice::from_ref(&text)).contains_key(&text).then_some(()));
        house.serve(dead);
    }

    let loads = loads(&house, &device, 2);
    for (round, victim) in [0, 1, 0, 1].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(200 + 150 * round as u64));
        if round % 2 == 0 {
            house.kill(victim);
            goes_on(&house, 1 - victim);
            house.serve(victim);
        } else {
            // With a spool it goes on by itself.
            house.nodes[victim].line.silence();
            std::thread::sleep(Duration::from_secs(3));
            goes_on(&house, victim);
            goes_on(&house, 1 - victim);
            house.nodes[victim].line.speak();
        }
        goes_on(&house, victim);
    }
    for load in loads {
        load.stop();
    }
    let kept = house.assert_kept();
    for (number, name) in NAMES.iter().enumerate().take(2) {
        let said: Vec<_> = kept.iter().filter(|(text, _)| text.starts_with(name)).collect();
        assert!(said.len() > 10 && said.iter().all(|(_, kept)| kept[0].source == house.source(number)), "{name}");
    }
    assert_eq!(house.nodes[0].firm.ask(&["verify"])["sound"], true);
    house.stop();
}
