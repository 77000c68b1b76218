//! What a parameter may be, where its type in the code does not say.
//!
//! Invariant: what fits is not refused for its own sake. Rules over several parameters, and the grammar of `words`, are said in words.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::access::Operation;
use crate::api::v1::events::event::NAMES as EVENTS;
use crate::api::v1::records::filter::{ContentWord, OutcomeWord};
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
        ("diacritics", _) => text.enum_values(Some(["folded", "exact"])),
        ("sort", _) => text.enum_values(Some(["ledger", "relevance"])),
        ("events", _) => text.pattern(Some(format!("^({0})(,({0})){{0,4}}$", EVENTS.join("|")))),
        ("flag" | "gap", _) => text.pattern(Some("^[a-z0-9][a-z0-9_.-]{0,63}$")),
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
