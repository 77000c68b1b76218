//! What a parameter may be, where its type in the code does not say.
//!
//! Invariant: what fits is not refused for its own sake. Rules over several parameters, and the grammar of `words`, are said in words.

use axum::http::Method;
use utoipa::openapi::path::{Operation as Described, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Required, Response, Schema};

use crate::access::Operation;
use crate::api::v1::events::event::NAMES as EVENTS;
use crate::api::v1::records::filter::{ContentWord, OutcomeWord};
use crate::archive::DeliveryState;
use crate::record::{Direction, Kind};

/// Says what the parameter may be.
pub(super) fn constrain(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let text = ObjectBuilder::new().schema_type(Type::String);
    let schema = match (parameter.name.as_str(), &parameter.parameter_in) {
        ("kind", _) => text.enum_values(Some(Kind::ALL.iter().map(|kind| kind.as_str()))),
        ("direction", _) => text.enum_values(Some(Direction::ALL.iter().map(|direction| direction.as_str()))),
        ("operation", _) => text.enum_values(Some(Operation::ALL.iter().map(|operation| operation.as_str()))),
        ("outcome", _) => text.enum_values(Some(OutcomeWord::ALL.iter().copied())),
        ("format", _) => text.enum_values(Some(["jsonl", "csv"])),
        ("content", _) => text.enum_values(Some(ContentWord::ALL.iter().copied())),
        ("state", _) => text.enum_values(Some(DeliveryState::ALL.iter().map(|state| state.as_str()))),
        ("diacritics", _) => text.enum_values(Some(["folded", "exact"])),
        ("sort", _) => text.enum_values(Some(["ledger", "relevance"])),
        ("events", _) => text.pattern(Some(format!("^({0})(,({0})){{0,4}}$", EVENTS.join("|")))),
        ("flag" | "gap", _) => text.pattern(Some("^[a-z0-9][a-z0-9_.-]{0,63}$")),
        // Neither a field of a record nor a type of problem is named otherwise.
        ("name", ParameterIn::Path) => text.pattern(Some("^[a-z0-9_-][a-z0-9_.-]{0,63}$")),
        ("Muniment-Purpose", _) => text.min_length(Some(3)).max_length(Some(500)).pattern(Some(PURPOSE)),
        ("from" | "to" | "since" | "until", ParameterIn::Query) => return parameter.schema = Some(RefOr::T(moment())),
        // Left out, and not sent empty.
        ("Last-Event-ID", _) => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).format(Some(INDEX)),
        // What makes no sense in a condition or a range is passed over (RFC 9110): any text will do.
        (_, ParameterIn::Header) => text,
        (_, ParameterIn::Query | ParameterIn::Path) => return not_empty(parameter),
        _ => return,
    };
    parameter.schema = Some(RefOr::T(Schema::from(schema)));
}

/// Adds the headers that every operation of a method takes.
pub(super) fn add(operation: &mut Described, method: &Method) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let (name, description, text) = if *method == Method::GET {
        // What is sent as it is read has no tag.
        let streams = |response: &RefOr<Response>| {
            let RefOr::T(response) = response else { return false };
            ["text/event-stream", "application/jsonl"].iter().any(|streamed| response.content.contains_key(*streamed))
        };
        if operation.responses.responses.get("200").is_some_and(streams) {
            return;
        }
        ("If-None-Match", "Answer 304 where the `ETag` of the answer is among these", text)
    } else {
        let key = text.min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!#-~]+$"));
        (
            "Idempotency-Key",
            "A name of yours for this one thing: asked for again with it within a day, it is done once",
            key,
        )
    };
    let parameters = operation.parameters.get_or_insert_default();
    let is_it = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == name);
    if !parameters.iter().any(is_it) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
        let parameter = parameter.description(Some(description)).schema(Some(Schema::from(text)));
        parameters.push(RefOr::T(parameter.build()));
    }
}

/// Text without control characters, and without white space around it.
const PURPOSE: &str = r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]+[^\x00-\x20\x7f-\xa0]$";

const INDEX: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::Int64);

/// A time, or the first moment of a day.
fn moment() -> Schema {
    let text = |format| ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)));
    Schema::from(AnyOfBuilder::new().item(text(KnownFormat::Date)).item(text(KnownFormat::DateTime)).build())
}

/// A text that is given is not empty.
fn not_empty(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && object.schema_type == Type::String.into()
        && object.format.is_none()
        && object.enum_values.is_none()
    {
        object.min_length = object.min_length.or(Some(1));
    }
}
