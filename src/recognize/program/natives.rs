//! What programs may call beside jq's own: things that jq can say as well, but at many times the cost, or not within a bound.
//!
//! Invariant: each is a function of its input alone, and takes time in proportion to it.

use jaq_core::Error as JqError;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_json::{Val, read};
use jaq_std::ValT as _;

use super::{Data, MAX_DEPTH};
use crate::exchange::check_json;
use crate::recognize::html;

/// `html_text`, `paths_with($keys)`, `field($name)`, `fields($name)`, and `fromjson` with a bound on nesting (jaq's own recurses
/// as deep as its input).
pub(super) fn own() -> [Fun<Data>; 5] {
    [
        run(("paths_with", v(1), |cv| {
            unary(cv, |value, keys| {
                let Val::Arr(keys) = keys else { return Err(JqError::typ(keys, "array")) };
                let mut found = Vec::new();
                paths_with(&value, &keys, &mut Vec::new(), &mut found);
                Ok(found.into_iter().collect())
            })
        })),
        run(("field", v(1), |cv| unary(cv, |exchange, name| Ok(field(&exchange, &name))))),
        run(("fields", v(1), |cv| unary(cv, |exchange, name| fields(&exchange, name)))),
        run(("fromjson", v(0), |cv| {
            let parsed = cv.1.try_as_utf8_bytes().and_then(|bytes| {
                check_json(bytes, MAX_DEPTH).map_err(JqError::str)?;
                read::parse_single(bytes).map_err(JqError::str)
            });
            bome(parsed)
        })),
        run(("html_text", v(0), |cv| {
            let text = cv.1.try_as_utf8_bytes().map(|bytes| html::text(&String::from_utf8_lossy(bytes)));
            bome(text.map(Val::from))
        })),
    ]
}

/// Paths to every object that has all of the keys: what `path(..)` and a `select` say, at a hundredth of the cost.
fn paths_with(value: &Val, keys: &[Val], path: &mut Vec<Val>, found: &mut Vec<Val>) {
    match value {
        Val::Obj(members) => {
            if keys.iter().all(|key| members.contains_key(key)) {
                found.push(path.iter().cloned().collect());
            }
            for (key, member) in members.iter() {
                path.push(key.clone());
                paths_with(member, keys, path, found);
                path.pop();
            }
        }
        Val::Arr(values) => {
            for (index, value) in values.iter().enumerate() {
                path.push(Val::from(index));
                paths_with(value, keys, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Where clients put the fields of a request.
const PLACES: [&str; 3] = ["json", "form", "query"];

fn member<'v>(value: &'v Val, name: &Val) -> Option<&'v Val> {
    let Val::Obj(members) = value else { return None };
    members.get(name)
}

fn named(name: &str) -> Val {
    Val::utf8_str(name.as_bytes().to_vec())
}

/// A value as a program gets it: words as they are, numbers and truths as JSON writes them.
fn scalar(value: &Val) -> Option<Val> {
    match value {
        Val::Null | Val::Arr(_) | Val::Obj(_) => None,
        Val::TStr(_) | Val::BStr(_) => Some(value.clone()),
        other => Some(Val::from(other.to_string())),
    }
}

/// The first value of this name that is no list and no object, as text: of the JSON body, of a form, or of the query.
fn field(exchange: &Val, name: &Val) -> Val {
    let found = member(exchange, &named("request")).and_then(|request| {
        PLACES.into_iter().find_map(|place| {
            let value = member(member(request, &named(place))?, name)?;
            // A form and a query have a list for each name.
            match value {
                Val::Arr(values) if place != "json" => scalar(values.first()?),
                other => scalar(other),
            }
        })
    });
    found.unwrap_or(Val::Null)
}

/// Every value of a list with this name, as text: of the JSON body; of a form and of the query under `name[]` and `name`.
fn fields(exchange: &Val, name: Val) -> Result<Val, JqError<Val>> {
    let request = member(exchange, &named("request"));
    let brackets = {
        let mut bytes = name.try_as_utf8_bytes()?.to_vec();
        bytes.extend_from_slice(b"[]");
        Val::utf8_str(bytes)
    };
    let mut found = Vec::new();
    for place in PLACES {
        let Some(of) = request.and_then(|request| member(request, &named(place))) else { continue };
        let names = if place == "json" { &[&name][..] } else { &[&brackets, &name] };
        for name in names {
            let Some(Val::Arr(values)) = member(of, name) else { continue };
            found.extend(values.iter().map(text));
        }
    }
    Ok(found.into_iter().collect())
}

/// What `tostring` makes of it.
fn text(value: &Val) -> Val {
    match value {
        Val::TStr(_) | Val::BStr(_) => value.clone(),
        other => Val::from(other.to_string()),
    }
}
