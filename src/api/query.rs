//! Query parameters whose refusal names the parameter.
//!
//! Strict: an unknown parameter is refused, because a misspelt filter would otherwise show everything; so is one given twice, and
//! one that is empty, because a script's unset variable would otherwise show everything.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::Problem;

/// The parameters of one request, taken out one by one.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The parameter's value.
    pub(super) fn take<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| Problem::parameter(name, error.to_string()))
    }

    /// Like [`Self::take`], where the type's own error would not say what to write.
    pub(super) fn take_as<T: FromStr>(&mut self, name: &'static str, write: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_source| Problem::parameter(name, format!("write {write}")))
    }

    /// A text of at most so many characters.
    pub(super) fn take_text(
        &mut self,
        name: &'static str,
        most: usize,
        write: &str,
    ) -> Result<Option<String>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        if text.chars().nth(most).is_some() {
            return Err(Problem::parameter(name, format!("is too long: write {write}, in at most {most} characters")));
        }
        Ok(Some(text))
    }
}

/// What an operation's parameters are.
pub(super) trait FromParameters: Sized {
    /// Every name, for the refusal of others.
    const NAMES: &'static [&'static str];
    /// Takes what it knows.
    fn from(parameters: &mut Parameters) -> Result<Self, Problem>;
}

/// For an operation without parameters: there are none to know.
pub(super) struct NoParameters;

impl FromParameters for NoParameters {
    const NAMES: &'static [&'static str] = &[];

    fn from(_parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Extracts the parameters of an operation.
pub(super) struct Query<T>(pub(super) T);

impl<T: FromParameters, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters(BTreeMap::new());
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let Some(known) = T::NAMES.iter().find(|known| **known == name) else {
                return Err(unknown(&name, T::NAMES));
            };
            if value.contains('\u{fffd}') {
                return Err(Problem::parameter(known, "is not utf-8"));
            }
            if value.is_empty() {
                return Err(Problem::parameter(known, "is empty: give it a value, or leave it out"));
            }
            if parameters.0.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Problem::parameter(known, "is given twice"));
            }
        }
        T::from(&mut parameters).map(Self)
    }
}

fn unknown(name: &str, known: &[&'static str]) -> Problem {
    let near = known.iter().map(|k| (strsim::jaro_winkler(name, k), *k)).filter(|(score, _)| *score > 0.75);
    let meant = near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| format!("; did you mean `{k}`?"));
    let name: String = name.chars().take(40).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::parameter(
        "query",
        format!("unknown parameter `{name}`{} known here: {known}", meant.unwrap_or(";".to_owned())),
    )
}
