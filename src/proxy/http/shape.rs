//! The malformed shapes that are refused on a leg that speaks HTTP/1.
//!
//! Two readers that disagree about where a message ends let one request hide inside another. So whatever two careful readers
//! could read differently is refused by name, and the connection is closed: nothing is repaired.

/// Why a head or a body's framing is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Shape {
    /// A line ends in LF without CR (RFC 9112 §2.2 lets readers differ).
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    /// A header line is continued on the next (obs-fold).
    #[error("a header line is folded")]
    Folded,
    /// White space between a field's name and its colon.
    #[error("there is white space before a colon")]
    SpaceBeforeColon,
    /// The first line is not method, target, version.
    #[error("the first line is not one of http")]
    StartLine,
    /// A version other than 1.0 and 1.1.
    #[error("the http version is not 1.0 or 1.1")]
    Version,
    /// A field line that is none.
    #[error("a header line is malformed")]
    Field,
    /// The target is not an origin, absolute, authority or asterisk form.
    #[error("the request target is malformed")]
    Target,
    /// The head is over its limit in bytes.
    #[error("the head is too large")]
    HeadTooLarge,
    /// The head has too many field lines.
    #[error("the head has more than {} fields", super::head::FIELD_LIMIT)]
    TooManyFields,
    /// Both Content-Length and Transfer-Encoding.
    #[error("content-length and transfer-encoding are both there")]
    LengthAndEncoding,
    /// Content-Length twice, or with a list of values.
    #[error("content-length is there more than once")]
    RepeatedLength,
    /// Content-Length is not a number.
    #[error("content-length is not a number")]
    Length,
    /// A transfer coding other than one `chunked`.
    #[error("transfer-encoding is not just chunked")]
    Encoding,
    /// Transfer-Encoding where the version does not know it.
    #[error("transfer-encoding in an http/1.0 message")]
    EncodingInOldVersion,
    /// No Host, or more than one.
    #[error("an http/1.1 request has exactly one host field")]
    Host,
    /// A chunk's size line or end is malformed.
    #[error("a chunk is malformed")]
    Chunk,
    /// The trailer section is malformed or over its limit.
    #[error("the trailers are malformed")]
    Trailers,
}

impl Shape {
    /// The word in metrics and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare_line_feed",
            Self::Folded => "folded_header",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::StartLine => "start_line",
            Self::Version => "http_version",
            Self::Field => "header_line",
            Self::Target => "request_target",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::RepeatedLength => "repeated_length",
            Self::Length => "content_length",
            Self::Encoding => "transfer_encoding",
            Self::EncodingInOldVersion => "encoding_in_old_version",
            Self::Host => "host_field",
            Self::Chunk => "chunk",
            Self::Trailers => "trailers",
        }
    }

    /// The status that tells the device.
    #[must_use]
    pub const fn status(self) -> http::StatusCode {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => http::StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}
