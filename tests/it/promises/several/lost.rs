//! A proxy that is lost with its disk: an operator gives it up at another one, and what it left open is closed, with who said so.

use std::process::Output;
use std::time::Duration;

use super::house::House;
use super::{NAMES, advisor, goes_on, loads, post};
use crate::service::eventually;

const LOST: usize = 0;
const OTHER: usize = 1;

/// Captures of the lost one that nobody closed, once everything that is there is projected.
fn open(house: &House, source: &str) -> u64 {
    let size = house.one("select size from ledger.head");
    let projected = format!("select next_index >= {size} from projection.progress");
    eventually(|| (house.one(&projected) == "t").then_some(()));
    let query = format!(
        "select count(*) from projection.records where source = '{source}' and type = 'capture' and outcome is null"
    );
    house.one(&query).parse().unwrap()
}

fn close(house: &House, source: &str, silent_for: &str) -> Output {
    let firm = &house.nodes[OTHER].firm;
    firm.command(&["source", "close", source, "--silent-for", silent_for]).output().unwrap()
}

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains(words), "{:?}: {said}", output.status);
}

#[test]
fn p4_a_proxy_that_is_lost_with_its_disk_is_given_up_on_record_and_what_it_left_open_is_closed() {
    let mut house = House::start(2, "refuse", "");
    let (_advisor, device) = advisor(&house);
    let lost = house.source(LOST);
    let loads = loads(&house, &device, 4);
    goes_on(&house, LOST);
    // Killed with posts on their way, as often as it takes for some to be caught between record and answer.
    let mut left = 0;
    for attempt in 0..30 {
        std::thread::sleep(Duration::from_millis(100 + 37 * attempt % 200));
        house.kill(LOST);
        left = open(&house, &lost);
        if left > 0 {
            break;
        }
        house.serve(LOST);
        goes_on(&house, LOST);
    }
    assert!(left > 0, "each kill met an idle moment");
    // Its disk is gone.
    let (data, away) = (house.nodes[LOST].firm.data(), house.nodes[LOST].firm.dir().join("elsewhere"));
    std::fs::rename(&data, &away).unwrap();
    goes_on(&house, OTHER);

    // What may be alive, is this one, or is none, is not given up.
    refused(&close(&house, &lost, "1h"), "stop it, or wait");
    refused(&close(&house, &house.source(OTHER), "0s"), "closes what it left open");
    refused(&close(&house, "0198c0de-0000-7000-8000-000000000001", "0s"), "no proxy");
    assert_eq!(open(&house, &lost), left);

    let closed = house.nodes[OTHER].firm.ask(&["source", "close", &lost, "--silent-for", "0s"]);
    assert_eq!(closed["closed"].as_u64(), Some(left), "{closed}");
    assert_eq!(open(&house, &lost), 0);
    let said = format!(
        "select count(*) from ledger.entries e, lateral (select convert_from(e.body, 'UTF8')::json as said) j
          where said ->> 'type' = 'identity' and said ->> 'actor' = 'service:command' and said ->> 'source' = '{}'
            and said -> 'detail' ->> 'change' = 'revoked' and said -> 'detail' ->> 'id' = '{lost}'
            and e.index = {}",
        house.source(OTHER),
        closed["index"]
    );
    assert_eq!(house.one(&said), "1", "who said so, and where");
    let outcomes = "select count(*) from projection.outcomes where state = 'unknown' and cause = 'source_lost'";
    assert_eq!(house.one(outcomes), left.to_string());
    assert_eq!(house.rows("select cause from projection.gaps where cause like 'source%'"), ["source_lost"]);
    // Said again, there is nothing to close.
    assert_eq!(house.nodes[OTHER].firm.ask(&["source", "close", &lost, "--silent-for", "0s"])["closed"], 0);

    // Its disk turns up all the same: it goes on as ever.
    std::fs::rename(&away, &data).unwrap();
    house.serve(LOST);
    post(&house, LOST, &device, &format!("{}here again", NAMES[LOST]), 200);
    for load in loads {
        load.stop();
    }
    house.assert_kept();
    assert_eq!(house.nodes[OTHER].firm.ask(&["verify"])["sound"], true);
    house.stop();
}
