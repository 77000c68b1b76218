//! The shapes of a disclosure that a derived reader takes too lightly: an object is an object and never an array of its values,
//! what is absent is absent and never `null`, an id has one spelling.
//!
//! Invariant: two readers of one disclosure see the same, or neither takes it. Says nothing of what the values mean.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use uuid::Uuid;

use crate::ledger::parse_uuid;
use crate::record::RecordId;

/// A value that is written as an object.
pub(super) struct Object<T>(pub(super) T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An array of objects.
pub(super) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|object| object.0).collect())
}

/// An array of objects that may be absent, but not `null`.
pub(super) fn some_objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    objects(deserializer).map(Some)
}

/// A text that may be absent, but not `null`.
pub(super) fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// A record's id in lower-case hex with hyphens.
pub(super) fn record_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecordId, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let id = <&[u8; 36]>::try_from(text.as_bytes()).ok().and_then(parse_uuid);
    id.map(|id| RecordId::new(Uuid::from_u128(id))).ok_or_else(|| D::Error::custom("record is not a lower-case uuid"))
}
