//! Everything a search finds, as a stream: what to ask, and the look on record before the first byte. [`super::stream`] sends it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use utoipa::IntoParams;

use super::bytes;
use super::filter::{Filters, names};
use super::stream;
use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::RecordFilter;

/// How it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON Lines.
    #[default]
    Jsonl,
    /// Comma-separated values.
    Csv,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            _ => Err("write jsonl or csv"),
        }
    }
}

/// Where an export has come: the place of a record, and the size of the ledger that is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) index: u64,
    pub(super) as_of: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.as_of)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let number = |text: &str| text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
        let both = text.split_once('@').and_then(|(index, size)| Some((number(index)?, number(size)?)));
        let both = both.filter(|(index, size)| index < size);
        both.map(|(index, as_of)| Self { index, as_of }).ok_or("write the `cursor` of the last line that arrived whole")
    }
}

/// What an export takes, besides the filters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the OpenAPI document only; `ExportQuery` is what they mean")]
pub(in crate::api) struct ExportParameters {
    /// `jsonl` (the default) or `csv`
    #[param(example = "jsonl")]
    format: Option<String>,
    /// Go on after this line: the `cursor` of the last one that arrived whole
    #[param(example = "4711@10000")]
    after: Option<String>,
}

pub(in crate::api) struct ExportQuery {
    filters: Filters,
    format: Format,
    after: Option<Cursor>,
}

impl FromParameters for ExportQuery {
    const NAMES: &'static [&'static str] = names!["format", "after"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let format = parameters.take("format")?.unwrap_or_default();
        let after: Option<Cursor> = parameters.take("after")?;
        let mut filters = Filters::take(parameters)?;
        let size = after.map(|cursor| cursor.as_of);
        if size.is_some() && filters.as_of.is_some() && filters.as_of != size {
            return Err(Problem::parameter("after", "is of another export: its `as_of` is behind the @"));
        }
        filters.as_of = filters.as_of.or(size);
        Ok(Self { filters, format, after })
    }
}

/// Export everything a search finds
///
/// Without a bound, in ledger order, with what was said: JSON Lines (one record a line; the last line says `"complete": true` with how many
/// there were, so an export without it was cut off) or CSV (one communication a line, no cell a formula). It is of one size of the ledger:
/// `as_of`, or all there is when it begins. A cut one goes on after any line's `cursor`, with the same filters. Two entries are written: one
/// before the first byte, and one with how far it came.
#[utoipa::path(get, path = "/v1/records/export", tag = "records", security(("token" = [])),
    params(Filters, ExportParameters, ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, description = "The records", content((String = "application/jsonl"), (String = "text/csv")),
            headers(("content-disposition" = String, description = "A file name with the size of the ledger that it is of"))),
        (status = 404, description = "`no-such-checkpoint`"), (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn export(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Response, Problem> {
    let ExportQuery { filters, format, after } = query;
    let mut filter = RecordFilter::from(&filters);
    let seen = Seen { advisor: filter.advisor, query: typed, ..Seen::default() };
    let admission = caller.admit(&api, Operation::RecordsExport, &seen).await?;
    let as_of = api.size_to_export(filter.as_of).await?;
    filter.as_of = Some(as_of);
    let begun = api.desk.begin(admission, &seen).await?;
    let (kind, ending) = match format {
        Format::Jsonl => ("application/jsonl", "jsonl"),
        // So that the parts of one that was cut make one file.
        Format::Csv if after.is_some() => ("text/csv; charset=utf-8; header=absent", "csv"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = format!("attachment; filename=\"records-{as_of}.{ending}\"");
    bytes::put(&mut headers, header::CONTENT_DISPOSITION, &name);
    let asked = stream::Asked { filter, as_of, format, after, seen, begun };
    Ok((headers, stream::body(api, asked)).into_response())
}

impl Api {
    /// What was asked for, or everything there is now, once a checkpoint covers it.
    async fn size_to_export(&self, as_of: Option<u64>) -> Result<u64, Problem> {
        if let Some(size) = self.check_as_of(as_of).await? {
            return Ok(size);
        }
        let head = self.archive.head_size().await?;
        if self.archive.checkpoint(Some(head)).await?.is_none() {
            self.archive.publish(false).await?;
        }
        let newest = self.archive.checkpoint(None).await?.map(|published| published.checkpoint.size);
        let newest = self.check_as_of(newest).await?;
        newest.ok_or_else(|| Problem::new(ProblemKind::NotPublished))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_place_below_a_size() {
        let cursor = Cursor { index: 4, as_of: 9 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "4", "4@", "@9", "9@9", "10@9", "-1@9", "4@9@9", "4@18446744073709551615", "x@y"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
