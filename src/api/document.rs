//! The OpenAPI document: what every route has in common is put in here once, the rest stands at its handler.

mod choice;
mod headers;
mod links;
mod parameters;

use std::collections::BTreeMap;

use axum::http::Method;
use headers::Answers;
use utoipa::OpenApi;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};

use super::decision::Decision;
use super::deliver::message::WebhookMessage;
use super::page::Order;
use super::problem::{ProblemBody, ProblemKind};
use super::v1::events::event::Event;

/// The document, but for the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "muniment audit API",
        description = "Find, read and prove what was kept. Every look is itself kept: operations under /v1 that show records, people \
or content write an `access` entry before they answer (`x-muniment-access` says which). Reading content needs the header \
`Muniment-Purpose`. Refusals are RFC 9457 problems whose `type` is stable. Lists are paged by entry index: pass `next` as `after`.",
    ),
    tags(
        (name = "records", description = "What was kept"),
        (name = "ledger", description = "Why it can be trusted: entries, checkpoints, proofs, tiles"),
        (name = "people", description = "Advisors, their devices and accounts"),
        (name = "access", description = "Who looked at what, when and why"),
        (name = "integrity", description = "What is missing, and whether what is there holds"),
        (name = "holds", description = "Matters, their custodians and notices, and the holds that keep records from disposal"),
        (name = "system", description = "What it consists of, and how it is set"),
        (name = "live", description = "What happens, as it happens: event streams, and webhooks that are sent by themselves"),
        (name = "service", description = "Health, metrics, this document"),
    ),
    components(schemas(ProblemBody, Order, Event, WebhookMessage)),
    modifiers(&Token)
)]
pub(super) struct Document;

/// Officers' bearer tokens.
struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Adds the decision on each route, and the problems that any request can meet.
pub(super) fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    if let Some(components) = &mut document.components {
        choice::write_out(components, "Event");
        choice::write_out(components, "WebhookMessage");
    }
    let paths = std::mem::take(&mut document.paths.paths);
    for (template, mut item) in paths {
        let methods = [
            ("", Method::GET, &mut item.get),
            ("put_", Method::PUT, &mut item.put),
            ("post_", Method::POST, &mut item.post),
            ("delete_", Method::DELETE, &mut item.delete),
            ("patch_", Method::PATCH, &mut item.patch),
        ];
        for (before, method, operation) in methods {
            let Some(operation) = operation else { continue };
            let decision = Decision::on(&template, &method);
            if let Some(decision) = decision {
                let access = ExtensionsBuilder::new().add("x-muniment-access", decision.describe()).build();
                operation.extensions.get_or_insert_default().merge(access);
            }
            operation.operation_id = Some(format!("{before}{}", operation_id(&template)));
            operation.parameters.iter_mut().flatten().for_each(parameters::constrain);
            parameters::add(operation, &method);
            operation.responses.responses.values_mut().for_each(binary);
            problems(operation, decision);
            describe(operation, decision);
            links::add(operation);
        }
        document.paths.paths.insert(Decision::documented(&template), item);
    }
    document
}

/// A name for generated clients: `/v1/records/{id}` is `v1_records_by_id`.
fn operation_id(template: &str) -> String {
    let parts = template.split('/').filter(|part| !part.is_empty());
    let named = parts.map(|part| match part.strip_prefix('{') {
        Some(place) => format!("by_{}", place.trim_matches(['*', '}'])),
        None => part.replace(['.', '-'], "_"),
    });
    named.collect::<Vec<_>>().join("_")
}

/// Bytes are bytes, and not a list of numbers.
fn binary(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    if let Some(content) = response.content.get_mut("application/octet-stream") {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(format));
        *content = RefOr::T(ContentBuilder::new().schema(Some(RefOr::T(Schema::from(bytes)))).build());
    }
}

/// The problems that are not particular to an operation. What an operation says itself stays as it is.
fn problems(operation: &mut Operation, decision: Option<&Decision>) {
    let open = decision.is_some_and(Decision::is_open);
    let purpose = decision.is_some_and(Decision::needs_purpose);
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    let changes = decision.is_some_and(Decision::changes);
    let may_meet = |kind: &&ProblemKind| {
        kind.is_common(open)
            || purpose && **kind == ProblemKind::PurposeRequired
            || changes && matches!(kind, ProblemKind::KeyReused | ProblemKind::KeyInFlight)
    };
    for kind in ProblemKind::ALL.iter().filter(may_meet) {
        by_status.entry(kind.status().as_u16()).or_default().push(kind.name());
    }
    let said = &mut operation.responses.responses;
    if !changes {
        let unchanged = || ResponseBuilder::new().description("What `If-None-Match` names is unchanged").build();
        said.entry("304".to_owned()).or_insert_with(|| RefOr::T(unchanged()));
    }
    // An operation names a status with a problem of its own by a description alone.
    for (status, response) in said.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            let common = status.parse().ok().and_then(|status: u16| by_status.remove(&status)).unwrap_or_default();
            let common = common.iter().map(|name| format!("; `{name}`")).collect::<String>();
            response.description.push_str(&common);
            response.content.insert("application/problem+json".to_owned(), RefOr::T(problem_content()));
        }
    }
    for (status, names) in by_status {
        let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
        let response = ResponseBuilder::new().description(names.join(", "));
        let response = response.content("application/problem+json", problem_content()).build();
        said.insert(status.to_string(), RefOr::T(response));
    }
}

/// Says of each answer what it is, where its handler does not, and which headers it bears.
fn describe(operation: &mut Operation, decision: Option<&Decision>) {
    let summary = operation.summary.clone().unwrap_or_default();
    let responses = &mut operation.responses.responses;
    let answers = Answers {
        compressible: decision.is_some_and(Decision::is_unwritten),
        ranged: responses.contains_key("206"),
        changes: decision.is_some_and(Decision::changes),
    };
    // What the whole bears, a part of it bears too, and so does the answer that it is unchanged.
    let of_whole = match responses.get("200") {
        Some(RefOr::T(whole)) if answers.ranged => whole.headers.clone(),
        _ => BTreeMap::default(),
    };
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if matches!(status.as_str(), "206" | "304") {
            response.headers.extend(of_whole.clone());
        }
        if response.description.is_empty() {
            response.description.clone_from(&summary);
        }
        headers::describe(status, response, answers);
    }
}

fn problem_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}
