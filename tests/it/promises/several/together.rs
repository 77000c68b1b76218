//! Two proxies that see an account for the first time at the same moment: each puts it on record, and whoever comes second takes its own back.

use std::sync::Barrier;

use serde_json::json;

use super::house::House;
use crate::service::{Device, eventually};

/// Accounts of as many advisors: some are seen within the tenth of a second in which neither proxy knows of the other.
const ADVISORS: usize = 12;

#[test]
fn an_account_that_two_proxies_see_at_the_same_moment_is_listed_once() {
    let mut house = House::start(2, "refuse", "");
    let firm = &house.nodes[0].firm;
    let token = firm.add_officer("Olga", "compliance");
    // The network's one member, at the device of another advisor each time: an account is an advisor's.
    let devices: Vec<Device> = (0..ADVISORS)
        .map(|number| firm.add_device(&firm.add_advisor(&format!("Advisor {number}")), "laptop"))
        .collect();
    let count = |query: &str| house.one(query).parse::<usize>().unwrap();
    eventually(|| (count("select count(*) from projection.devices") == ADVISORS).then_some(()));
    for (number, device) in devices.iter().enumerate() {
        let (together, url) = (Barrier::new(2), house.origin.url("/api/v1/statuses"));
        let through = |node: usize| {
            let said = json!({ "status": format!("{number} through {node}") });
            house.device(node, device).json(&said)
        };
        std::thread::scope(|scope| {
            for curl in [through(0), through(1)] {
                let (together, url) = (&together, &url);
                scope.spawn(move || {
                    together.wait();
                    assert_eq!(curl.send(url).unwrap().status, 200);
                });
            }
        });
    }
    let listed = "select count(*) from projection.accounts where revoked_index is null";
    let twice = "select count(*) from (select from projection.accounts where revoked_index is null
                                        group by advisor, network, network_id having count(*) > 1) t";
    let said = |change: &str| {
        count(&format!(
            "select count(*) from ledger.entries e, lateral (select convert_from(e.body, 'UTF8')::json -> 'detail' as said) j
              where said ->> 'subject' = 'account' and said ->> 'change' = '{change}'"
        ))
    };
    eventually(|| {
        let is_settled = said("added") - said("revoked") == ADVISORS;
        (is_settled && count(listed) == ADVISORS && count(twice) == 0).then_some(())
    });
    println!("{} of {ADVISORS} were put on record twice", said("revoked"));
    for node in 0..2 {
        let shown = house.read(node, &token, "/v1/accounts?limit=100");
        assert_eq!(shown["accounts"].as_array().unwrap().len(), ADVISORS, "{shown}");
    }
    house.assert_kept();
    assert_eq!(house.nodes[1].firm.ask(&["verify"])["sound"], true);
    house.stop();
}
