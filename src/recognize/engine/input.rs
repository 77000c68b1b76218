//! The exchange as a program sees it: what stands at a place, whether it meets a rule's condition, and what is put there first.

use jaq_json::{Map, Val};

use crate::recognize::rule::{Condition, Place, Rule};

pub(super) fn holds(condition: &Condition, input: &Val) -> bool {
    let request = get(input, &["request"]);
    let values: Vec<String> = match &condition.place {
        Place::Query(name) => texts(request.and_then(|request| get(request, &["query", name]))),
        Place::Form(name) => texts(request.and_then(|request| get(request, &["form", name]))),
        Place::Header(name) => texts(request.and_then(|request| get(request, &["headers", name]))),
        Place::Json(path) => {
            let path: Vec<&str> = std::iter::once("json").chain(path.iter().map(String::as_str)).collect();
            texts(request.and_then(|request| get(request, &path)))
        }
    };
    condition.test.holds(values.iter().map(String::as_str), matches!(condition.place, Place::Header(_)))
}

/// A value as the texts that a condition compares: a list gives each, `null` none, an object one that equals nothing sensible.
fn texts(value: Option<&Val>) -> Vec<String> {
    match value {
        None | Some(Val::Null) => Vec::new(),
        Some(Val::Arr(values)) => values.iter().flat_map(|value| texts(Some(value))).collect(),
        Some(Val::TStr(bytes) | Val::BStr(bytes)) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Some(Val::Obj(_)) => vec!["{}".to_owned()],
        Some(other) => vec![other.to_string()],
    }
}

pub(super) fn get<'v>(value: &'v Val, path: &[&str]) -> Option<&'v Val> {
    path.iter().try_fold(value, |value, key| match value {
        Val::Obj(members) => members.get(&Val::utf8_str(key.as_bytes().to_vec())),
        Val::Arr(values) => values.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

pub(super) fn text_at(value: &Val, path: &[&str]) -> Option<String> {
    match get(value, path)? {
        Val::TStr(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

pub(super) fn set(value: &mut Val, path: &[&str], new: Val) {
    let (Some((key, rest)), Val::Obj(members)) = (path.split_first(), value) else { return };
    let key = Val::utf8_str(key.as_bytes().to_vec());
    let members = jaq_json::Rc::make_mut(members);
    if rest.is_empty() {
        members.insert(key, new);
    } else if let Some(member) = members.get_mut(&key) {
        set(member, rest, new);
    }
}

/// `.request.params`: what the rule's path pattern captured.
pub(super) fn set_params(input: &mut Val, rule: &Rule, path: &str) {
    let Some(pattern) = rule.paths.iter().find(|pattern| pattern.matches(path)) else { return };
    let params: Map = pattern
        .captures(path)
        .into_iter()
        .map(|(name, value)| (Val::from(name.to_owned()), Val::from(value.into_owned())))
        .collect();
    set(input, &["request", "params"], Val::obj(params));
}
