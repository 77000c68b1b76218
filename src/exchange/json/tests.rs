//! What JSON is, and where its values stand.

use super::*;

fn at<'a>(text: &'a str, path: &[Step]) -> Option<&'a str> {
    let mut spans = locate(text.as_bytes(), &[vec![key("nowhere")], path.to_vec()], 64).unwrap();
    spans.pop().unwrap().map(|span| text.get(span).unwrap())
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

#[test]
fn a_value_is_taken_out_byte_for_byte() {
    let text = r#" {"a" : [1, {"b":"x\"y" }, [2.50e1] ], "a\u0062": null, "é":{ "c" :true}} "#;
    assert_eq!(at(text, &[key("a"), Step::Index(1)]), Some(r#"{"b":"x\"y" }"#));
    assert_eq!(at(text, &[key("a"), Step::Index(1), key("b")]), Some(r#""x\"y""#));
    assert_eq!(at(text, &[key("a"), Step::Index(2), Step::Index(0)]), Some("2.50e1"));
    assert_eq!(at(text, &[key("ab")]), Some("null"));
    assert_eq!(at(text, &[key("é"), key("c")]), Some("true"));
    assert_eq!(at(text, &[]), Some(text.trim()));
    assert_eq!(at(text, &[key("a"), Step::Index(3)]), None);
    assert_eq!(at(text, &[key("b")]), None);
    assert_eq!(at(r#"{"k":1,"k":[2]}"#, &[key("k")]), Some("[2]"), "the last of a repeated key counts");
    assert_eq!(at(r#"{"k":{"a":1},"k":[2]}"#, &[key("k"), key("a")]), None, "also for what was below the first");
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        "-",
        "1e",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\n\"",
        "tru",
        "[]]",
        "{} {}",
        "[}",
        "nul",
        "+1",
        ".5",
    ] {
        assert!(check(text.as_bytes(), 8).is_err(), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    let deep = "[".repeat(1_000_000);
    assert_eq!(check(deep.as_bytes(), 128), Err(JsonError::Depth(128)));
    assert!(check(format!("{}{}", "[".repeat(128), "]".repeat(128)).as_bytes(), 128).is_ok());
}

#[test]
fn invalid_utf8_in_a_string_is_read() {
    assert_eq!(check(b"{\"a\":\"\xff\"}", 8), Ok(()));
}

proptest::proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_what_json_is(text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn \\\\u]{0,24}") {
        let ours = check(text.as_bytes(), 100).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        proptest::prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn unescaping_gives_what_serde_json_gives(text in ".{0,40}") {
        let raw = serde_json::to_string(&text).unwrap();
        let inner = &raw.as_bytes()[1..raw.len() - 1];
        let (bytes, origins) = unescape(inner);
        proptest::prop_assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        proptest::prop_assert_eq!(origins.len(), bytes.len() + 1);
        proptest::prop_assert_eq!(*origins.last().unwrap() as usize, inner.len());
    }
}
