//! `muniment demo`: the whole of it, with nothing configured.

use super::Cli;

#[test]
fn the_demo_keeps_what_is_sent_and_catches_who_tampers() {
    let shown = Cli::new().run(&["--json", "demo"]).json();
    let story = &shown["story"];
    assert_eq!(story["sent"], 5, "{shown}");
    assert!(story["records"].as_u64().unwrap() >= 6, "five writes and Carla's reply: {shown}");
    let caught = shown["caught"].as_array().unwrap();
    assert_eq!(caught.len(), 2, "{shown}");
    for attempt in caught {
        assert_eq!(attempt["index"], story["index"], "the record is named: {attempt}");
    }
}
