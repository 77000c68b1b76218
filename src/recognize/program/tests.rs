//! What programs may use, what their faults look like, and bounds on what they give.

use super::*;

const LIMITS: OutputLimits = OutputLimits { count: 8, size: 10_000 };

fn text(text: &str, line: usize) -> ProgramText {
    ProgramText { text: text.to_owned(), line }
}

fn run_on(program: &str, input: &str) -> Outputs {
    let programs = Programs::compile(None, &[&text("error", 1), &text(program, 1)]);
    let programs = programs.unwrap_or_else(|faults| panic!("{faults:?}"));
    programs.run(ProgramNumber(1), jaq_json::read::parse_single(input.as_bytes()).unwrap(), LIMITS)
}

fn fault(program: &str) -> String {
    let faults = Programs::compile(None, &[&text(program, 1)]).map(|_program| ()).unwrap_err();
    faults.iter().map(|fault| format!("{}: {}\n", fault.line, fault.what)).collect()
}

#[test]
fn impure_filters_are_refused_with_the_reason() {
    for (program, word) in [
        ("now", "clock"),
        ("localtime", "time zone"),
        ("strflocaltime(\"%H\")", "time zone"),
        ("env.HOME", "environment"),
        ("$ENV.HOME", "environment"),
        ("input", "no further input"),
        ("[inputs]", "no further input"),
        ("input_filename", "no further input"),
        ("debug", "log"),
        ("debug(\"x\")", "log"),
        ("stderr", "log"),
        ("halt", "stop the worker"),
        ("halt_error", "stop the worker"),
        ("halt_error(1)", "stop the worker"),
        ("debug_empty", "log"),
        ("include \"x\"; .", "cannot import"),
        ("import \"x\" as x; .", "cannot import"),
        ("import \"x\" as $x; $x", "cannot import"),
    ] {
        let fault = fault(program);
        assert!(fault.contains(word), "{program}: {fault}");
    }
}

#[test]
fn faults_name_the_line_in_the_file() {
    let library = text("def one: 1;\ndef two: nope;\n", 10);
    let faults = |program: &ProgramText| {
        let faults = Programs::compile(Some(&library), &[&text(".", 5), program]).map(|_program| ()).unwrap_err();
        faults
            .into_iter()
            .map(|fault| (fault.program.map(|number| number.0), fault.line, fault.what))
            .collect::<Vec<_>>()
    };
    let undefined = |name: &str| format!("there is no {name}; `library` is where shared definitions go");
    assert_eq!(
        faults(&text("one | two\n| three(1)", 20)),
        [(None, 11, undefined("`nope`")), (Some(1), 21, undefined("`three` with 1 argument(s)")),]
    );
    assert_eq!(
        faults(&text(".a\n| one\n| .b[", 20)),
        [(Some(1), 22, "expected closing bracket at the end".to_owned())]
    );
    assert_eq!(faults(&text("1\n; def x: 2", 20)).first().map(|fault| fault.1), Some(21));
}

#[test]
fn outputs_are_bounded_in_number_size_and_depth() {
    let endless = run_on("range(infinite)", "null");
    assert!(endless.too_much && endless.values.len() == 8);
    assert!(run_on("\"x\" * 20000", "null").too_much);
    assert!(run_on("[range(2000)]", "null").too_much);
    assert!(run_on("reduce range(500) as $i (0; [.])", "null").too_much);
    let failed = run_on("1, error(\"x\"), 2", "null");
    assert!(failed.failed && failed.values == [Value::from(1)]);
}

#[test]
fn json_in_strings_is_read_to_a_bounded_depth() {
    assert_eq!(run_on("fromjson.a", r#""{\"a\":12345678901234567890123}""#).values, ["12345678901234567890123"]);
    let deep = format!("\"{}\"", "[".repeat(200_000));
    assert!(run_on("fromjson", &deep).failed);
    assert!(run_on("fromjson", "\"{\"").failed);
    assert!(run_on("fromjson", "\"NaN\"").failed);
}

#[test]
fn objects_are_found_by_their_keys_wherever_they_are() {
    let found =
        run_on("paths_with([\"a\", \"b\"])[]", r#"{"a":{"b":1,"a":[]},"c":[{"a":1,"b":2,"d":{"a":1}}, 3],"b":{}}"#);
    assert_eq!(found.values, [serde_json::json!([]), serde_json::json!(["a"]), serde_json::json!(["c", 0])]);
    assert!(run_on("paths_with(\"a\")", "{}").failed);
}

/// What `field` and `fields` stand for, in jq itself.
const IN_JQ: &str = r#"
def by_jq($name):
  first(
    (.request.json? | objects | .[$name] | values | if type == "object" or type == "array" then empty else tostring end),
    (.request.form, .request.query | objects | .[$name][0] | values)
  ) // null;
def all_by_jq($name):
  [ (.request.json? | objects | .[$name] | arrays | .[] | tostring),
    (.request.form, .request.query | objects | .[$name + "[]"], .[$name] | arrays | .[]) ];
"#;

#[test]
fn fields_are_found_wherever_the_client_put_them() {
    let inputs = [
        r#"{"request":{"json":{"a":"x","b":["1",2,null,{"c":[1.50]}],"c":{},"d":false,"e":1.50,"f":null,"g":12345678901234567890}}}"#,
        r#"{"request":{"form":{"a":["x","y"],"b[]":["1","2"],"b":["3"],"f":[]},"query":{"a":["z"],"c":["q"],"b":["4"]}}}"#,
        r#"{"request":{"json":{"a":null,"c":[]},"form":{"a":["f"]},"query":{"c":["q"],"d":[""]}}}"#,
        r#"{"request":{"json":"a","query":{"a":["z"]}}}"#,
        r#"{"request":{"json":["a"]}}"#,
        r#"{"message":{"json":{"a":"x"}}}"#,
    ];
    for input in inputs {
        for name in ["a", "b", "c", "d", "e", "f", "g", "nope", ""] {
            let ours = run_on(&format!("field(\"{name}\"), fields(\"{name}\")"), input);
            let jq = run_on(&format!("{IN_JQ} by_jq(\"{name}\"), all_by_jq(\"{name}\")"), input);
            assert!(!ours.failed && !jq.failed, "{input} {name}");
            assert_eq!(ours.values, jq.values, "{input} {name}");
        }
    }
}

#[test]
fn html_becomes_text() {
    assert_eq!(run_on("html_text", r#""<p>a<br>b</p>""#).values, ["a\nb"]);
}
