//! The headers of answers: those that every answer of its status may bear are described here once, the rest stands at its handler.
//!
//! Invariant: a header that is described nowhere is sent nowhere, but for those that belong to the connection and to the body's framing.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Response, Schema};

/// What is said of an operation's answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    /// They may be compressed.
    pub(super) compressible: bool,
    /// They are bytes of which a part can be asked for.
    pub(super) ranged: bool,
    /// They say that something was changed.
    pub(super) changes: bool,
}

/// Describes what an answer of this status bears.
pub(super) fn describe(status: &str, response: &mut Response, answers: Answers) {
    let mut put = |name: &str, schema: ObjectBuilder, says: &'static str| {
        let header = || HeaderBuilder::new().schema(Some(Schema::from(schema))).description(Some(says)).build();
        response.headers.entry(name.to_owned()).or_insert_with(|| RefOr::T(header()));
    };
    let uuid = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    put("x-request-id", text().format(Some(uuid)), "Id of the request: in the log, and in `instance` of problems");
    put("cache-control", word("no-store"), "No cache keeps it");
    put("x-content-type-options", word("nosniff"), "It is what its type says");
    match status {
        "200" | "304" => {
            put("etag", text(), "Changes when the answer does; answers that are sent as they are read have none")
        }
        "201" => {
            put("location", text(), "Where it is");
            put("etag", text(), "Changes when it does");
        }
        "401" => put("www-authenticate", text(), "How to show who asks"),
        "409" | "429" | "503" => put("retry-after", count(), "Seconds after which it makes sense to ask again"),
        "416" => put("content-range", text(), "How many bytes there are"),
        _ => {}
    }
    if answers.ranged && matches!(status, "200" | "206" | "304") {
        put("etag", text(), "SHA-256 of the whole: parts with one tag belong together");
        put("accept-ranges", word("bytes"), "A part can be asked for");
        put("content-disposition", text(), "A download, and never a page");
        put("content-security-policy", text(), "Nothing in it runs");
    }
    if answers.ranged && status == "206" {
        put("content-range", text(), "Which part of how many bytes");
    }
    if answers.changes && status.starts_with('2') {
        put("idempotency-replayed", word("true"), "It was done before, under the same `Idempotency-Key`");
    }
    if answers.compressible && status == "200" {
        put("content-encoding", text().enum_values(Some(["gzip", "br", "zstd"])), "Where it is compressed");
        put("vary", text(), "What of the request it depends on");
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn word(only: &'static str) -> ObjectBuilder {
    text().enum_values(Some([only]))
}

fn count() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}
