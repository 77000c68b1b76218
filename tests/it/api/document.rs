//! The OpenAPI document is true: what it says an operation answers is what it answers, problems and examples included.

use serde_json::Value;

use super::call::Answer;
use super::routes::{ROUTES, SEARCHES, Shown, document};
use super::schema::check;
use super::world::World;
use super::writes::WRITES;

/// Fails unless the answer is one that the document describes for the operation.
pub(super) fn assert_documented(document: &Value, template: &str, path: &str, answer: &Answer) {
    assert_documented_as(document, "get", template, path, answer);
}

/// The same for another method.
pub(super) fn assert_documented_as(document: &Value, method: &str, template: &str, path: &str, answer: &Answer) {
    let status = answer.status.as_u16().to_string();
    let responses = &document["paths"][template][method]["responses"];
    let Some(response) = responses.get(&status) else {
        panic!("{path}: {status} is not documented for {template}: {}", answer.text());
    };
    // These belong to the connection, or to how the body is framed.
    let framing = ["content-type", "content-length", "date", "transfer-encoding", "connection", "allow"];
    for name in answer.headers.keys().map(http::HeaderName::as_str).filter(|name| !framing.contains(name)) {
        assert!(response["headers"].get(name).is_some(), "{path}: {name} is not documented for {template} {status}");
    }
    if answer.body.is_empty() && response.get("content").is_none() {
        return;
    }
    let content_type = answer.header("content-type").unwrap_or("none");
    let essence = content_type.split(';').next().unwrap();
    let Some(content) = response["content"].get(essence) else {
        panic!("{path}: {status} as {content_type} is not documented for {template}: {response}");
    };
    if essence.ends_with("json") {
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        check(document, &content["schema"], &value, "$").unwrap_or_else(|error| panic!("{path}: {error}"));
        if status.starts_with(['4', '5']) {
            let name = value["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned();
            let said = response["description"].as_str().unwrap();
            assert!(
                said.contains(&format!("`{name}`")),
                "{path}: {name} is not documented for {template} {status}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_is_one_that_the_document_describes() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let document = document(&world).await;
    let (officer, nobody) = (world.officer(&["compliance"]).await, world.officer(&["admin"]).await);
    for route in ROUTES {
        let operations =
            if route.written.is_empty() { vec![None] } else { route.written.iter().copied().map(Some).collect() };
        for operation in operations {
            let path = shown.address(route.template, operation);
            let good = world.get(&path).officer(&officer).send().await;
            assert_eq!(good.status, 200);
            assert_documented(&document, route.template, &path, &good);
            let mut others = vec![
                world.get(&path).officer(&nobody),
                world.get(&path),
                world.get(&path).token(&officer.token),
                world.get(&path).officer(&officer).header("muniment-purpose", "again"),
            ];
            // Another id, index or name in each place of the path, and another parameter.
            for wrong in ["x", "%ff", "99999"] {
                let mut parts: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
                *parts.last_mut().unwrap() = wrong;
                if route.template.ends_with('}') {
                    others.push(world.get(&parts.join("/")).officer(&officer));
                }
            }
            others.push(world.get(&format!("{}?limit=x", path.split('?').next().unwrap())).officer(&officer));
            for call in others {
                assert_documented(&document, route.template, &path, &call.send().await);
            }
        }
    }
}

/// Every `$ref` of the document.
fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            into.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_hangs_together() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(all.len() > 20, "only {}", all.len());
    for reference in all {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let items = document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap());
    let ids: std::collections::BTreeSet<&str> =
        items.flat_map(|item| item.values()).map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), ROUTES.len() + WRITES.len(), "each operation has a name of its own: {ids:?}");
    assert!(ids.contains("v1_records_by_id") && ids.contains("v1_tile_by_path"), "{ids:?}");
    // What a description leads on to is there, and takes what it is given.
    let operations: Vec<&Value> = ROUTES.iter().map(|route| &document["paths"][route.template]["get"]).collect();
    let links = operations.iter().filter_map(|operation| operation["responses"]["200"]["links"].as_object()).flatten();
    let mut leads = 0;
    for (name, link) in links {
        let to = operations.iter().find(|operation| operation["operationId"] == link["operationId"]);
        let takes = to.unwrap_or_else(|| panic!("{name} leads nowhere"))["parameters"].as_array().unwrap();
        for given in link["parameters"].as_object().unwrap().keys() {
            assert!(takes.iter().any(|parameter| parameter["name"] == given.as_str()), "{name} is given {given}");
        }
        leads += 1;
    }
    assert!(leads > 10, "only {leads}");
    let bytes = "/paths/~1v1~1tile~1{path}/get/responses/200/content/application~1octet-stream/schema";
    assert_eq!(document.pointer(bytes), Some(&serde_json::json!({ "type": "string", "format": "binary" })));
}

#[tokio::test]
async fn every_word_that_a_parameter_may_be_is_taken() {
    let world = World::new().await;
    let document = document(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let mut words = 0;
    for parameter in document["paths"]["/v1/records"]["get"]["parameters"].as_array().unwrap() {
        for word in parameter["schema"]["enum"].as_array().into_iter().flatten() {
            // Some mean nothing without a search.
            let name = parameter["name"].as_str().unwrap();
            let more = if matches!(name, "diacritics" | "sort") { "&words=rates" } else { "" };
            let path = format!("/v1/records?{name}={}{more}", word.as_str().unwrap());
            assert_eq!(world.get(&path).officer(&officer).send().await.status, 200, "{path}");
            words += 1;
        }
    }
    assert!(words > 20, "only {words}");
}

#[tokio::test]
async fn every_example_of_the_document_fits_its_own_schema() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut examples = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (property, described) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(example) = described.get("example") {
                check(&document, described, example, &format!("{name}.{property}")).unwrap();
                examples += 1;
            }
        }
    }
    assert!(examples >= 10, "only {examples}");
    // An example of a parameter is one that is taken.
    let officer = world.officer(&["compliance"]).await;
    for parameter in document["paths"]["/v1/records"]["get"]["parameters"].as_array().unwrap() {
        let example = parameter.get("example").or(parameter["schema"].get("example")).and_then(Value::as_str);
        if let (Some(example), "query") = (example, parameter["in"].as_str().unwrap()) {
            let example: String = form_urlencoded::byte_serialize(example.as_bytes()).collect();
            let path = format!("/v1/records?{}={example}", parameter["name"].as_str().unwrap());
            assert_eq!(world.get(&path).officer(&officer).send().await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn every_operation_is_described_with_its_parameters() {
    let world = World::new().await;
    let document = document(&world).await;
    for route in ROUTES {
        let operation = &document["paths"][route.template]["get"];
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{}", route.template);
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named = |place: &str| -> Vec<String> {
            let there = parameters.iter().filter(|parameter| parameter["in"] == place);
            there.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let in_path: Vec<&str> =
            route.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(named("path"), in_path, "{}", route.template);
        let asks = route.purpose || route.written.iter().any(|word| SEARCHES.contains(word));
        let mut headers = named("header");
        // Bytes can be asked for in parts.
        let conditions = ["Range", "If-Range", "If-None-Match"];
        headers.retain(|name| name != "Last-Event-ID" || route.template != "/v1/events");
        let parts = headers.iter().filter(|name| conditions.contains(&name.as_str())).count();
        // What is sent as it is read has no tag.
        let streams = ["/v1/events", "/v1/records/export"].contains(&route.template);
        let expected = if route.written == ["fields.get"] { 3 } else { usize::from(!streams) };
        assert_eq!(parts, expected, "{}: {headers:?}", route.template);
        headers.retain(|name| !conditions.contains(&name.as_str()));
        assert_eq!(headers, if asks { vec!["Muniment-Purpose"] } else { vec![] }, "{}", route.template);
        for parameter in &parameters {
            assert!(
                parameter["description"].as_str().is_some_and(|text| text.len() > 4),
                "{}: {parameter}",
                route.template
            );
        }
        // What the operation names as known is what the document has.
        if route.roles.is_empty() {
            continue;
        }
        let officer = world.officer(&["compliance"]).await;
        let path = route.template.replace("{id}", "01890000-0000-7000-8000-000000000000").replace("{path}", "0/000");
        let path =
            ["{index}", "{number}", "{position}", "{name}"].iter().fold(path, |path, part| path.replace(part, "0"));
        let detail = world.get(&format!("{path}?nonsense=1")).officer(&officer).send().await.wrong("query");
        let known = detail.split("known here: ").nth(1).unwrap().to_owned();
        let mut documented = named("query");
        let mut known: Vec<String> = known.split(", ").filter(|name| *name != "none").map(ToOwned::to_owned).collect();
        documented.sort();
        known.sort();
        assert_eq!(documented, known, "{}", route.template);
    }
}
