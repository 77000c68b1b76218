//! `muniment keys` beside a running service: the master key is replaced, and nobody notices but whoever holds an old backup.

use serde_json::{Value, json};

use super::{Curl, Firm, HOST, Origin, TOKEN, eventually};

fn post(curl: &Curl, origin: &Origin, words: &str) {
    curl.clone().json(&json!({ "status": words })).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
}

fn texts(firm: &Firm, token: &str, word: &str) -> Vec<String> {
    let officer = firm.officer(token).header("muniment-purpose", "after the rotation");
    let page = officer.get(&firm.api(&format!("/v1/records?text={word}"))).unwrap().json(200);
    let ids = page["records"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
    ids.map(|id| {
        let record = officer.get(&firm.api(&format!("/v1/records/{id}"))).unwrap().json(200);
        record["communications"][0]["text"].as_str().unwrap_or_default().to_owned()
    })
    .collect()
}

fn check<'a>(doctor: &'a Value, name: &str) -> &'a Value {
    doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn the_master_key_is_rotated_under_a_running_service_and_the_old_one_is_forgotten() {
    let origin = Origin::start();
    let firm = Firm::beside(&[(HOST.to_owned(), origin.address().to_string())], origin.root_pem(), "");
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let token = firm.add_officer("Olga", "compliance");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    post(&curl, &origin, "before the rotation: xyzzy");
    let old = std::fs::read_to_string(firm.data().join("master.key")).unwrap();
    let authority = std::fs::read_to_string(firm.data().join("ca/root.key")).unwrap();
    let before = firm.ask(&["keys", "list"])["keys"].as_array().unwrap().clone();
    assert_eq!((before.len(), &before[0]["state"]), (1, &json!("wraps")));

    let rotated = firm.ask(&["keys", "rotate-master", "--reason", "yearly rotation"]);
    assert_eq!((&rotated["made"], &rotated["left"], &rotated["authority"]), (&json!(true), &json!(0), &json!(true)));
    assert!(rotated["records"].as_u64().unwrap() >= before[0]["records"].as_u64().unwrap());
    assert_ne!(std::fs::read_to_string(firm.data().join("master.key")).unwrap(), old);
    assert_ne!(std::fs::read_to_string(firm.data().join("ca/root.key")).unwrap(), authority);
    post(&curl, &origin, "after the rotation: xyzzy");
    let said = eventually(|| Some(texts(&firm, &token, "xyzzy")).filter(|texts| texts.len() == 2));
    assert!(said.contains(&"before the rotation: xyzzy".to_owned()), "{said:?}");
    let under = eventually(|| {
        let keys = firm.ask(&["keys", "list"])["keys"].as_array().unwrap().clone();
        (keys.len() == 2 && keys[1]["records"] == 0).then_some(keys)
    });
    assert_eq!((&under[0]["state"], &under[1]["state"]), (&json!("wraps"), &json!("opens")));
    let doctor = firm.ask(&["doctor"]);
    let keys = check(&doctor, "master keys");
    assert_eq!(keys["state"], "warning", "{keys}");
    assert!(keys["saw"].as_str().unwrap().contains("none is left under"), "{keys}");
    // Nothing new is begun before the old one is forgotten.
    assert_eq!(firm.ask(&["keys", "rotate-master", "--reason", "again"])["made"], json!(false));

    let early = firm.command(&["keys", "retire", "--reason", "the rotation is through"]).output().unwrap();
    assert!(
        !early.status.success() && String::from_utf8_lossy(&early.stderr).contains("less than a day ago"),
        "{early:?}"
    );
    assert_eq!(service.stop(), 0);
    service = firm.serve();
    let retired = firm.ask(&["keys", "retire", "--restarted", "--reason", "the rotation is through"]);
    assert_eq!(retired["retired"], json!([under[1]["name"]]));
    assert!(!firm.data().join("master.key.former").exists());
    assert_eq!(service.stop(), 0);
    service = firm.serve();
    assert_eq!(texts(&firm, &token, "xyzzy").len(), 2, "all of it opens with the new key alone");
    post(&curl, &origin, "and it goes on: xyzzy");
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    assert_eq!(check(&firm.ask(&["doctor"]), "master keys")["state"], "ok");
    assert_eq!(service.stop(), 0);
    // Whoever has the old key and the archive of now has nothing.
    std::fs::write(firm.data().join("master.key"), old).unwrap();
    let keys = firm.ask(&["keys", "list"])["keys"].as_array().unwrap().clone();
    let missing = keys.iter().find(|key| key["state"] == "missing").unwrap();
    assert_eq!(missing["name"], under[0]["name"]);
    assert!(missing["records"].as_u64().unwrap() > 3 && keys[0]["records"] == 0, "{keys:?}");
}
