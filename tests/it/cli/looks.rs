//! P5 on the firm's own machine: a command that shows people leaves the entry that the API would leave.

use serde_json::Value;

use crate::service::{Firm, Origin};

/// The entries from this place on, and where the next will be.
fn entries(firm: &Firm, token: &str, from: u64) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        let at = from + u64::try_from(found.len()).unwrap();
        let answer = firm.officer(token).get(&firm.api(&format!("/v1/entries/{at}"))).unwrap();
        if answer.status == 404 {
            return found;
        }
        found.push(answer.json(200));
        assert!(found.len() < 200, "asking writes entries too, one a question: this must end before them");
        if found.last().is_some_and(|entry| entry["detail"]["operation"] == "entries.get") {
            return found;
        }
    }
}

fn length(firm: &Firm, token: &str) -> u64 {
    firm.officer(token).get(&firm.api("/v1/integrity")).unwrap().json(200)["entries"].as_u64().unwrap()
}

#[test]
fn p5_a_list_of_people_on_the_command_line_is_in_the_ledger() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let advisor = firm.add_advisor("Ada");
    firm.add_device(&advisor, "Ada's laptop");
    let token = firm.add_officer("Olga", "auditor");
    for (command, operation, count) in [
        (vec!["advisor", "list"], "advisors.list", 1),
        (vec!["device", "list"], "devices.list", 1),
        (vec!["device", "list", "--advisor", &advisor], "devices.list", 1),
        (vec!["officer", "list"], "officers.list", 1),
        (vec!["account", "list"], "accounts.list", 0),
        (vec!["webhook", "list"], "webhooks.list", 0),
        (vec!["matter", "list"], "matters.list", 0),
        (vec!["hold", "list"], "holds.list", 0),
    ] {
        let before = length(&firm, &token);
        firm.ask(&command);
        let looks: Vec<Value> =
            entries(&firm, &token, before).into_iter().filter(|entry| entry["actor"] == "service:command").collect();
        assert_eq!(looks.len(), 1, "{command:?}: {looks:#?}");
        let look = &looks[0];
        assert_eq!(look["type"], "access");
        assert_eq!(look["detail"]["operation"], operation);
        assert_eq!(look["detail"]["count"], count, "{command:?}");
        assert_eq!(look["detail"]["allowed"], true);
        assert_eq!(
            look["detail"].get("advisor").is_some(),
            command.contains(&"--advisor"),
            "{command:?} says whom it was about"
        );
        assert!(!look.to_string().contains("Ada"), "never in the clear");
    }
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    assert_eq!(service.stop(), 0);
}
