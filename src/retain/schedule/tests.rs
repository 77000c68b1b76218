use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::ledger::{Actor, Commitments, Draft, Position, Stamped, sequence};
use crate::record::{Digest, EntryId, RecordId, SourceId};

fn at(text: &str) -> Timestamp {
    format!("{text}.000000Z").parse().unwrap()
}

fn entry(entry_type: EntryType, when: &str, streams: &[u128], detail: Value) -> Entry {
    let Value::Object(detail) = detail else { panic!("{detail} is no object") };
    let draft = Draft {
        id: EntryId::new(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001)),
        entry_type,
        actor: Actor::Service("test".try_into().unwrap()),
        captured_at: at(when),
        record: Some(RecordId::new(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0002))),
        streams: streams.iter().map(|id| AdvisorId::new(Uuid::from_u128(*id))).collect(),
        commitments: Commitments::new(),
        detail,
    };
    let source = SourceId::new(Uuid::from_u128(3));
    let stream_indices = vec![0; streams.len()];
    let position = Position { index: 0, previous: Digest::ZERO, at: at(when), stream_indices };
    sequence(&Stamped { draft, source, source_index: 0 }, &position).unwrap()
}

fn capture(when: &str, network: &str, kind: &str) -> Entry {
    let exchange = "0198c0de-0000-7000-8000-00ec00000000";
    let detail = json!({
        "attachments": 0, "direction": "outbound", "exchange": exchange, "kinds": [kind], "network": network,
        "rules": Digest::ZERO.to_string(), "size": 1, "transport": "http",
    });
    entry(EntryType::Capture, when, &[1], detail)
}

fn facts(when: &str) -> Facts {
    Facts::of(&[capture(when, "bluesky", "post")]).unwrap()
}

const HEAD: &str = "fiscal_year_end = \"06-30\"\n[default]\nname = \"finra_4511\"\ncites = \"FINRA 4511\"\nkeep = \"6 years\"\nfrom = \"last_entry\"\n";

fn with(classes: &str) -> Schedule {
    Schedule::parse("retention.toml", &format!("{HEAD}{classes}")).unwrap()
}

fn class(name: &str, keep: &str, from: &str, matches: &str) -> String {
    let matches = if matches.is_empty() { String::new() } else { format!("match = {{ {matches} }}\n") };
    format!("[[class]]\nname = \"{name}\"\ncites = \"a rule\"\nkeep = \"{keep}\"\nfrom = \"{from}\"\n{matches}")
}

#[test]
fn the_schedule_that_is_built_in_keeps_every_communication_for_six_years_and_says_why() {
    let schedule = Schedule::built_in().unwrap();
    let facts = facts("2020-03-01T12:00:00");
    let term = schedule.term(&facts);
    assert_eq!((term.class.name.as_str(), term.ends), ("finra_2210", at("2026-03-01T12:00:00")));
    assert!(term.class.cites.contains("2210") && term.class.runs_from == RunsFrom::LastEntry);
    let early = Facts::of(&[capture("2020-01-01T12:00:00", "bluesky", "post")]).unwrap();
    assert!(
        schedule.term(&early).ends >= at("2026-01-01T12:00:00"),
        "five years from the fiscal year's end is no less"
    );
}

#[test]
fn of_the_classes_that_a_record_is_in_the_longest_holds_in_whatever_order_they_stand() {
    let (short, long) = (class("short", "3 years", "last_entry", ""), class("long", "5 years", "fiscal_year_end", ""));
    let facts = facts("2020-07-02T00:00:00");
    for text in [format!("{short}{long}"), format!("{long}{short}")] {
        let schedule = with(&text);
        let term = schedule.term(&facts);
        assert_eq!(term.class.name.as_str(), "long");
        assert_eq!((term.from, term.ends), (at("2021-07-01T12:00:00"), at("2026-07-01T12:00:00")));
    }
    assert_eq!(with(&short).term(&facts).class.name.as_str(), "short", "the default is for what is in no class");
    assert_eq!(with("").term(&facts).class.name.as_str(), "finra_4511");
}

#[test]
fn a_class_has_what_all_its_conditions_are_true_of() {
    let facts = facts("2020-07-02T00:00:00");
    for (matches, fits) in [
        (r#"networks = ["mastodon", "bluesky"]"#, true),
        (r#"networks = ["mastodon"]"#, false),
        (r#"networks = ["bluesky"], kinds = ["post"], directions = ["outbound"], types = ["capture"]"#, true),
        (r#"networks = ["bluesky"], kinds = ["message"]"#, false),
        (r#"directions = ["inbound"]"#, false),
        (r#"types = ["observation"]"#, false),
        (r#"flags = ["off_channel"]"#, false),
        (r#"advisors = ["00000000-0000-0000-0000-000000000001"]"#, true),
        (r#"advisors = ["00000000-0000-0000-0000-000000000002"]"#, false),
    ] {
        let schedule = with(&class("special", "9 years", "last_entry", matches));
        assert_eq!(schedule.term(&facts).class.name.as_str() == "special", fits, "{matches}");
    }
}

#[test]
fn a_record_is_what_any_of_its_entries_says_and_runs_from_the_last() {
    let outcome = json!({"capture": "0198c0de-0000-7000-8000-000000000001", "state": "accepted"});
    let entries = [
        capture("2020-01-01T00:00:00", "bluesky", "unclassified"),
        capture("2021-01-01T00:00:00", "bluesky", "message"),
        entry(EntryType::Outcome, "2022-01-01T00:00:00", &[2], outcome),
    ];
    let facts = Facts::of(&entries).unwrap();
    assert_eq!(facts.last_at, at("2022-01-01T00:00:00"));
    assert_eq!(facts.advisors.len(), 2);
    for kind in ["unclassified", "message"] {
        let schedule = with(&class("special", "9 years", "last_entry", &format!("kinds = [\"{kind}\"]")));
        assert_eq!(schedule.term(&facts).ends, at("2031-01-01T00:00:00"));
    }
}

#[test]
fn what_is_no_communication_has_no_class() {
    let settings = entry(EntryType::Settings, "2020-01-01T00:00:00", &[], json!({"change": "in_force"}));
    assert_eq!(Facts::of(&[settings]), None);
    assert_eq!(Facts::of(&[]), None);
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_with_its_line_and_what_would_be_right() {
    let good = class("a", "1 year", "last_entry", "");
    for (text, line, says) in [
        ("".to_owned(), 1, "fiscal_year_end"),
        (HEAD.replace("06-30", "06-31"), 1, "write month and day"),
        (HEAD.replace("6 years", "six years"), 5, "such as \"6 years\""),
        (HEAD.replace("6 years", "0 days"), 5, "such as \"6 years\""),
        (HEAD.replace("6 years", "300 years"), 5, "such as \"6 years\""),
        (HEAD.replace("last_entry", "birth"), 6, "fiscal_year_end"),
        (HEAD.replace("FINRA 4511", ""), 4, "names the rule of law"),
        (HEAD.replace("finra_4511", "FINRA 4511"), 3, "`name` is \"FINRA 4511\""),
        (format!("{HEAD}match = {{}}\n"), 7, "no `match`"),
        (format!("{HEAD}{good}{good}"), 13, "two classes"),
        (format!("{HEAD}{}", class("a", "1 year", "last_entry", "kinds = [\"song\"]")), 12, "`kinds` is \"song\""),
        (format!("{HEAD}{}", class("a", "1 year", "last_entry", "kinds = []")), 12, "1 to 4096 values"),
        (format!("{HEAD}{}", class("a", "1 year", "last_entry", "types = [\"access\"]")), 12, "no communication"),
        (format!("{HEAD}{}", class("a", "1 year", "last_entry", "kind = [\"post\"]")), 12, "unknown field"),
        (format!("{HEAD}{}", class("a", "1 year", "last_entry", "advisors = [\"ada\"]")), 12, "`advisors`"),
    ] {
        let error = Schedule::parse("retention.toml", &text).unwrap_err();
        assert_eq!((error.line, error.wrong.contains(says)), (line, true), "{error}\n{text}");
        assert!(error.to_string().starts_with(&format!("retention.toml:{line}: ")));
    }
}

#[test]
fn a_schedule_says_all_of_itself_in_json() {
    let said = with(&class("a", "18 months", "fiscal_year_end", "kinds = [\"post\"]")).to_json();
    assert_eq!(said["fiscal_year_end"], "06-30");
    assert_eq!(said["default"]["keep"], "6 years");
    assert_eq!(said["class"][0]["match"]["kinds"], json!(["post"]));
    assert_eq!(said["class"][0]["keep"], "18 months");
    let _object: &Map<String, Value> = said.as_object().unwrap();
}

#[test]
fn ends_that_fall_on_no_day_are_the_first_of_the_next_month() {
    for (from, keep, ends) in [
        ("2020-02-29T10:00:00", "1 year", "2021-03-01T10:00:00"),
        ("2020-02-29T10:00:00", "4 years", "2024-02-29T10:00:00"),
        ("2021-01-31T00:00:00", "1 month", "2021-03-01T00:00:00"),
        ("2023-08-31T23:59:59", "6 months", "2024-03-01T23:59:59"),
        ("2021-10-31T00:00:00", "1 month", "2021-12-01T00:00:00"),
        ("2020-12-31T00:00:00", "18 months", "2022-07-01T00:00:00"),
        ("2020-02-28T00:00:00", "2 days", "2020-03-01T00:00:00"),
        ("9990-01-01T00:00:00", "200 years", "9999-12-31T00:00:00"),
    ] {
        assert_eq!(keep.parse::<Length>().unwrap().after(at(from)), at(ends), "{from} + {keep}");
    }
}

#[test]
fn a_fiscal_year_ends_when_its_last_day_is_over_everywhere_on_earth() {
    for (end, moment, over) in [
        ("12-31", "2020-06-01T00:00:00", "2021-01-01T12:00:00"),
        ("12-31", "2020-12-31T09:59:59", "2021-01-01T12:00:00"),
        // In the first place on earth it is the next year already.
        ("12-31", "2020-12-31T10:00:00", "2022-01-01T12:00:00"),
        ("12-31", "2021-01-01T05:00:00", "2022-01-01T12:00:00"),
        ("02-29", "2021-02-10T00:00:00", "2021-03-01T12:00:00"),
        ("02-29", "2023-03-10T00:00:00", "2024-03-01T12:00:00"),
        ("06-30", "2020-06-30T00:00:00", "2020-07-01T12:00:00"),
    ] {
        assert_eq!(end.parse::<YearEnd>().unwrap().of(at(moment)), at(over), "{end} {moment}");
    }
    for bad in ["", "12", "13-01", "00-10", "02-30", "2-1", "12-31-2020", "+1-01"] {
        assert!(bad.parse::<YearEnd>().is_err(), "{bad}");
    }
}

fn lengths() -> impl Strategy<Value = Length> {
    (1_u16..=200, prop_oneof![Just("years"), Just("months"), Just("days")])
        .prop_map(|(number, unit)| format!("{number} {unit}").parse().unwrap())
}

fn moments() -> impl Strategy<Value = Timestamp> {
    // 1900 to 2200.
    (-2_208_988_800_000_000_i64..7_258_118_400_000_000).prop_map(|us| Timestamp::from_unix_micros(us).unwrap())
}

proptest! {
    #[test]
    fn a_longer_wait_and_a_later_start_never_end_earlier(keep in lengths(), a in moments(), b in moments()) {
        let (early, late) = (a.min(b), a.max(b));
        prop_assert!(keep.after(early) <= keep.after(late));
        prop_assert!(keep.after(early) > early);
    }

    #[test]
    fn nothing_younger_than_the_horizon_is_due(keep in lengths(), now in moments(), younger in 1_i64..100_000_000_000_000) {
        let before = keep.before(now);
        if let Ok(moment) = Timestamp::from_unix_micros(before.unix_micros() + younger) {
            prop_assert!(keep.after(moment) > now, "{moment} + {keep} is due at {now}, before {before}");
        }
    }

    #[test]
    fn a_length_is_read_as_it_is_written(keep in lengths()) {
        prop_assert_eq!(keep.to_string().parse::<Length>().unwrap(), keep);
    }

    #[test]
    fn a_fiscal_year_ends_after_the_moment_and_within_a_year_and_two_days(month in 1_u8..=12, day in 1_u8..=28, now in moments()) {
        let over = format!("{month:02}-{day:02}").parse::<YearEnd>().unwrap().of(now);
        prop_assert!(over > now);
        prop_assert!(over.unix_micros() - now.unix_micros() <= 368 * 86_400_000_000);
    }

    #[test]
    fn no_text_panics_and_what_is_wrong_has_a_line_of_the_file(text in "(fiscal_year_end = \"12-31\"|\\[default\\]|name = |\"a\"|keep|from|match|\\{|\\}|\\[|\\]|\n| |=|[a-z0-9\"]){0,60}") {
        if let Err(error) = Schedule::parse("f", &text) {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count() + 1);
        }
    }
}
