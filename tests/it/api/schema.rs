//! As much of JSON Schema as the OpenAPI document uses, strict: a property that is not described is an error.

use serde_json::{Map, Value};

/// Checks a value against a schema of the document; an error says where it differs.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let mut properties = Map::new();
    let mut free = false;
    gather(document, schema, &mut properties, &mut free)?;
    shape(document, schema, value, at)?;
    let names = value.as_object().into_iter().flat_map(Map::keys);
    match names.into_iter().find(|name| !free && !properties.contains_key(*name)) {
        Some(name) => Err(format!("{at}.{name} is not described")),
        None => Ok(()),
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> Result<&'a Value, String> {
    let Some(reference) = schema["$ref"].as_str() else { return Ok(schema) };
    let found = document.pointer(reference.trim_start_matches('#')).ok_or(format!("{reference} is not there"))?;
    resolve(document, found)
}

/// The properties an object may have; `free` when it may have any.
fn gather(document: &Value, schema: &Value, into: &mut Map<String, Value>, free: &mut bool) -> Result<(), String> {
    let schema = resolve(document, schema)?;
    if let Some(properties) = schema["properties"].as_object() {
        into.extend(properties.clone());
    }
    let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
    let mut any = false;
    for part in parts {
        any = true;
        gather(document, part, into, free)?;
    }
    *free |= !any && schema.get("properties").is_none();
    Ok(())
}

fn shape(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(document, schema)?;
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = resolve(document, part)?;
        // Of a whole that has other parts: what no part describes is found by whoever has gathered them all.
        match part["oneOf"].as_array() {
            Some(choices) if choices.iter().any(|choice| shape(document, choice, value, at).is_ok()) => {}
            Some(_) => return Err(format!("{at}: {value} fits no part of {part}")),
            None => shape(document, part, value, at)?,
        }
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = choices.iter().filter(|choice| check(document, choice, value, at).is_ok()).count();
        if fits == 0 {
            return Err(format!("{at}: {value} fits none of {}", Value::Array(choices.clone())));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|wanted| is(value, wanted)) {
        return Err(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is not one of {allowed:?}"));
    }
    if schema["format"] == "uuid"
        && let Some(text) = value.as_str()
        && uuid::Uuid::parse_str(text).is_err()
    {
        return Err(format!("{at}: {text} is not a uuid"));
    }
    if let (Some(minimum), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < minimum
    {
        return Err(format!("{at}: {number} is less than {minimum}"));
    }
    if let Value::Object(object) = value {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Err(format!("{at}.{name} is missing"));
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = object.get(name) {
                check(document, property, value, &format!("{at}.{name}"))?;
            }
        }
    }
    if let (Value::Array(items), Some(item)) = (value, schema.get("items")) {
        for (place, value) in items.iter().enumerate() {
            check(document, item, value, &format!("{at}[{place}]"))?;
        }
    }
    Ok(())
}

fn is(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let document = serde_json::json!({ "s": { "A": { "type": "object", "required": ["a"], "properties": {
        "a": { "type": "integer", "minimum": 0 }, "b": { "oneOf": [{ "type": "null" }, { "$ref": "#/s/A" }] },
        "c": { "type": ["array", "null"], "items": { "type": "string", "format": "uuid" } } } } } });
    let schema = serde_json::json!({ "$ref": "#/s/A" });
    for good in [r#"{"a":1}"#, r#"{"a":1,"b":{"a":2},"c":null}"#, r#"{"a":0,"b":null,"c":[]}"#] {
        check(&document, &schema, &serde_json::from_str(good).unwrap(), "$").unwrap();
    }
    for bad in [
        "[]",
        "{}",
        r#"{"a":-1}"#,
        r#"{"a":"1"}"#,
        r#"{"a":1,"d":1}"#,
        r#"{"a":1,"b":{}}"#,
        r#"{"a":1,"b":{"a":1,"x":1}}"#,
        r#"{"a":1,"c":["x"]}"#,
        r#"{"a":1,"c":{}}"#,
    ] {
        assert!(check(&document, &schema, &serde_json::from_str(bad).unwrap(), "$").is_err(), "{bad}");
    }
}
