//! Headers of requests that may be there once. Two of them would leave it to chance which one is meant.

use axum::http::{HeaderMap, HeaderValue};

use super::problem::Problem;

/// The header of this name, as refusals write it; none where it is not there.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::parameter(name, "is given twice"));
    }
    Ok(first)
}
