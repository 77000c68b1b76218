//! Path patterns: `/api/v1/statuses/{id}/context`, `/xrpc/{nsid}`, `/{rest...}`.

use std::borrow::Cow;
use std::str::FromStr;

/// More segments than this are no API path.
pub(crate) const MAX_SEGMENTS: usize = 16;

/// The text was no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathPatternError {
    #[error("begin the path with `/`, such as /api/v1/statuses/{{id}}")]
    NoSlash,
    #[error("leave the query out of the path; say `when = [{{ query = \"name\", equals = \"value\" }}]`")]
    Query,
    #[error("a capture fills a whole segment and is named in lower case, such as {{id}}")]
    Capture,
    #[error("`{{name...}}` takes all that is left, so it is the last segment")]
    RestNotLast,
    #[error("two captures are called `{0}`; give each its own name")]
    Repeated(String),
    #[error("an empty segment can never match; write single slashes and no trailing slash")]
    EmptySegment,
    #[error("at most 16 segments")]
    TooLong,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// These bytes.
    Fixed(Box<str>),
    /// Any one segment, captured.
    Capture(Box<str>),
    /// One or more segments, captured; last only.
    Rest(Box<str>),
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathPattern {
    pub(crate) segments: Vec<Segment>,
}

impl PathPattern {
    /// Whether a path fits, segment by segment.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut rest = Some(trimmed(path)).filter(|path| !path.is_empty());
        for segment in &self.segments {
            let Some(path) = rest else { return false };
            let (head, tail) = split_segment(path);
            match segment {
                Segment::Fixed(name) if **name != *decode(head) => return false,
                Segment::Rest(_) => return true,
                Segment::Fixed(_) | Segment::Capture(_) => rest = tail,
            }
        }
        rest.is_none()
    }

    /// The captures of a path that this pattern matches, percent-decoded (invalid UTF-8 becomes U+FFFD).
    pub(crate) fn captures<'a>(&'a self, path: &'a str) -> Vec<(&'a str, Cow<'a, str>)> {
        let mut found = Vec::new();
        let mut rest = trimmed(path);
        for segment in &self.segments {
            let (head, tail) = split_segment(rest);
            match segment {
                Segment::Fixed(_) => {}
                Segment::Capture(name) => found.push((&**name, decode(head))),
                Segment::Rest(name) => found.push((&**name, decode(rest))),
            }
            rest = tail.unwrap_or("");
        }
        found
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').ok_or(PathPatternError::NoSlash)?;
        if rest.contains(['?', '#']) {
            return Err(PathPatternError::Query);
        }
        let mut segments = Vec::new();
        for part in rest.split('/') {
            if part.is_empty() {
                if rest.is_empty() {
                    break;
                }
                return Err(PathPatternError::EmptySegment);
            }
            segments.push(segment(part)?);
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(PathPatternError::TooLong);
        }
        let before_last = segments.len().saturating_sub(1);
        if segments.iter().take(before_last).any(|segment| matches!(segment, Segment::Rest(_))) {
            return Err(PathPatternError::RestNotLast);
        }
        let mut names = Vec::new();
        for segment in &segments {
            if let Segment::Capture(name) | Segment::Rest(name) = segment {
                if names.contains(&name) {
                    return Err(PathPatternError::Repeated(name.to_string()));
                }
                names.push(name);
            }
        }
        Ok(Self { segments })
    }
}

fn segment(part: &str) -> Result<Segment, PathPatternError> {
    let Some(inner) = part.strip_prefix('{') else {
        return if part.contains(['{', '}']) {
            Err(PathPatternError::Capture)
        } else {
            Ok(Segment::Fixed(part.into()))
        };
    };
    let name = inner.strip_suffix('}').ok_or(PathPatternError::Capture)?;
    let (name, rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(PathPatternError::Capture);
    }
    Ok(if rest { Segment::Rest(name.into()) } else { Segment::Capture(name.into()) })
}

/// A path without its leading slash and without one trailing slash: servers treat both forms alike.
pub(crate) fn trimmed(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

/// The first segment, and what follows its slash if there is one.
pub(crate) fn split_segment(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)))
}

/// Percent-decodes; borrows when there is nothing to decode.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let escaped = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?))).flatten();
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = ahead;
            }
            None => bytes.push(byte),
        }
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

/// Whether two careful readers could find different segments in a path: one resolves `..`, takes `\` or `%2F` for a slash, decodes
/// twice, or leaves out what follows `;`, `#` or a null, and another does not. An origin may be either.
pub(crate) fn is_doubtful(path: &str) -> bool {
    const ESCAPES: [&[u8]; 4] = [b"%00", b"%25", b"%2f", b"%5c"];
    let path = path.strip_prefix('/').unwrap_or(path);
    path.contains(['\\', '#'])
        || path.as_bytes().windows(3).any(|three| ESCAPES.iter().any(|escape| three.eq_ignore_ascii_case(escape)))
        || path.split('/').rev().skip(1).any(str::is_empty)
        || path.split('/').any(|segment| matches!(decode(segment).split(';').next(), Some("." | "..")))
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_percent_decoded() {
        let pattern: PathPattern = "/api/v1/pleroma/statuses/{id}/reactions/{emoji}".parse().unwrap();
        let captures = pattern.captures("/api/v1/pleroma/statuses/A%2fb/reactions/%F0%9F%91%8D/");
        assert_eq!(captures, [("id", Cow::Borrowed("A/b")), ("emoji", Cow::Borrowed("👍"))]);
    }

    #[test]
    fn a_rest_capture_takes_all_that_is_left() {
        let pattern: PathPattern = "/t/{rest...}".parse().unwrap();
        assert_eq!(pattern.captures("/t/a/b/c"), [("rest", Cow::Borrowed("a/b/c"))]);
    }

    #[test]
    fn a_path_that_two_readers_split_differently_is_doubtful() {
        for path in [
            "/a/../b",
            "/a/.",
            "/..",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a\\b",
            "/a%2Fb",
            "/a%5cb",
            "/a%252fb",
            "//a",
            "/a//b",
            "/a//",
            "/a#/b",
            "/a%00",
            "/a/..;x/b",
        ] {
            assert!(is_doubtful(path), "{path}");
        }
        for path in [
            "",
            "/",
            "*",
            "/a",
            "/a/",
            "/a/b.c",
            "/a/...",
            "/a/b..c/%F0%9F%91%8D",
            "/a/b%20c;d",
            "/xrpc/app.bsky.feed.post",
        ] {
            assert!(!is_doubtful(path), "{path}");
        }
    }

    #[test]
    fn bad_patterns_say_what_would_be_right() {
        for (text, error) in [
            ("api", PathPatternError::NoSlash),
            ("/a?b=c", PathPatternError::Query),
            ("/a/{Id}", PathPatternError::Capture),
            ("/a/x{id}", PathPatternError::Capture),
            ("/{rest...}/a", PathPatternError::RestNotLast),
            ("/{a}/{a}", PathPatternError::Repeated("a".into())),
            ("/a//b", PathPatternError::EmptySegment),
            ("/a/", PathPatternError::EmptySegment),
        ] {
            assert_eq!(text.parse::<PathPattern>(), Err(error), "{text}");
        }
        assert_eq!("/x".repeat(17).parse::<PathPattern>(), Err(PathPatternError::TooLong));
    }
}
