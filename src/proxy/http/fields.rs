//! Field lines as they came.
//!
//! Between two HTTP/1 legs the order and the case of field names survive, since some networks look at them; a leg that speaks
//! HTTP/2 has a map. Invariant: a raw field's name is a token and its value has no CR, LF or NUL ([`super::head`] checks both).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::shape::Shape;

/// Where one field line lies in its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

/// The field lines of an HTTP/1 head.
#[derive(Clone, Default)]
pub(crate) struct RawFields {
    pub(crate) head: Bytes,
    pub(crate) lines: Vec<Line>,
}

impl RawFields {
    fn part(&self, (from, to): (u32, u32)) -> &[u8] {
        self.head.get(from as usize..to as usize).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.part(line.name), self.part(line.value)))
    }

    /// As a map; values share the head's bytes.
    pub(crate) fn map(&self) -> Result<HeaderMap, Shape> {
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for line in &self.lines {
            let name = HeaderName::from_bytes(self.part(line.name)).map_err(|_source| Shape::Field)?;
            let value = self.head.slice(line.value.0 as usize..line.value.1 as usize);
            let value = HeaderValue::from_maybe_shared(value).map_err(|_source| Shape::Field)?;
            map.try_append(name, value).map_err(|_source| Shape::TooManyFields)?;
        }
        Ok(map)
    }
}

/// Field lines of either kind, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum FieldsRef<'a> {
    Raw(&'a RawFields),
    Map(&'a HeaderMap),
}

impl<'a> FieldsRef<'a> {
    /// Visits every line in order.
    pub(crate) fn each(self, mut visit: impl FnMut(&'a [u8], &'a [u8])) {
        match self {
            Self::Raw(raw) => raw.iter().for_each(|(name, value)| visit(name, value)),
            Self::Map(map) => map.iter().for_each(|(name, value)| visit(name.as_str().as_bytes(), value.as_bytes())),
        }
    }

    /// The first value of a field.
    pub(crate) fn get(self, wanted: &str) -> Option<&'a [u8]> {
        match self {
            Self::Raw(raw) => raw
                .iter()
                .find(|(name, _value)| name.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|(_name, value)| value),
            Self::Map(map) => map.get(wanted).map(HeaderValue::as_bytes),
        }
    }
}

/// Field lines of either kind.
#[derive(Clone)]
pub(crate) enum Fields {
    Raw(RawFields),
    Map(HeaderMap),
}

impl Fields {
    pub(crate) const fn as_ref(&self) -> FieldsRef<'_> {
        match self {
            Self::Raw(raw) => FieldsRef::Raw(raw),
            Self::Map(map) => FieldsRef::Map(map),
        }
    }

    pub(crate) fn map(&self) -> Result<HeaderMap, Shape> {
        match self {
            Self::Raw(raw) => raw.map(),
            Self::Map(map) => Ok(map.clone()),
        }
    }
}

/// The members of a comma-separated list, trimmed, empty ones left out.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
