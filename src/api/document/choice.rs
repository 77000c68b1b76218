//! A choice among objects that share some properties is written out as whole objects.
//!
//! A struct with a flattened enum is described as "all of: one of several, and this": true, and more than most generators of clients can
//! read. The same, distributed: one of several objects, each with all of its properties and a name of its own.

use utoipa::openapi::schema::{Object, OneOfBuilder};
use utoipa::openapi::{Components, Ref, RefOr, Schema};

/// Writes out the choice of this name. Whatever has another shape stays as it is.
pub(super) fn write_out(components: &mut Components, name: &str) {
    let schemas = &mut components.schemas;
    let Some(RefOr::T(Schema::AllOf(whole))) = schemas.get(name) else { return };
    let [RefOr::Ref(choice), RefOr::T(Schema::Object(shared))] = whole.items.as_slice() else { return };
    let Some(choice) = choice.ref_location.rsplit('/').next().map(ToOwned::to_owned) else { return };
    let (description, shared) = (whole.description.clone(), shared.clone());
    let Some(RefOr::T(Schema::OneOf(among))) = schemas.get(&choice) else { return };
    let mut written = OneOfBuilder::new().description(description);
    let mut named = Vec::new();
    for (place, variant) in among.items.iter().enumerate() {
        let RefOr::T(Schema::Object(own)) = variant else { return };
        let variant = format!("{name}{}", tag(own).unwrap_or_else(|| place.to_string()));
        written = written.item(Ref::from_schema_name(&variant));
        named.push((variant, RefOr::T(Schema::from(both(&shared, own.clone())))));
    }
    schemas.remove(&choice);
    schemas.insert(name.to_owned(), RefOr::T(Schema::from(written.build())));
    schemas.extend(named);
}

/// The one word that tells this variant from the others, as a name.
fn tag(object: &Object) -> Option<String> {
    let words = object.properties.values().filter_map(|property| match property {
        RefOr::T(Schema::Object(property)) => property.enum_values.as_deref(),
        _ => None,
    });
    let word = words.filter_map(|words| if let [word] = words { word.as_str() } else { None }).next()?;
    let (first, rest) = word.split_at_checked(1)?;
    Some(format!("{}{rest}", first.to_uppercase()))
}

fn both(shared: &Object, mut own: Object) -> Object {
    own.properties.extend(shared.properties.clone());
    own.required.extend(shared.required.iter().cloned());
    own
}
