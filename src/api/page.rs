//! Pages: cursors in ledger order.
//!
//! A page goes on after an entry index. The ledger only grows, so a cursor never skips and never repeats, however long the
//! reader waits between two pages.

use std::str::FromStr;

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::query::{FromParameters, Parameters};
use crate::archive::Slice;

/// Items on a page when nobody says.
const USUAL: u32 = 50;
/// Items on a page at most.
const MOST: u32 = 500;

/// Which way to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// From the first entry on.
    Oldest,
    /// From the last entry back.
    #[default]
    Newest,
}

/// The parameters of every list.
#[derive(Debug, Clone, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the OpenAPI document only; `Page` is what they mean")]
pub(super) struct PageQuery {
    /// Items at most, 1 to 500
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Go on after this entry index: the `next` of the page before
    after: Option<u64>,
    /// `newest` (the default) or `oldest` first
    order: Option<Order>,
}

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Items at most.
    pub limit: u32,
    /// The index to go on after.
    pub after: Option<u64>,
    /// Which way.
    pub order: Order,
}

impl Page {
    /// The names of the parameters.
    pub(super) const NAMES: &'static [&'static str] = &["limit", "after", "order"];

    /// Takes the three parameters.
    pub(super) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let oldest = Self::take_oldest(parameters)?;
        Ok(Self { order: parameters.take("order")?.unwrap_or_default(), ..oldest })
    }

    /// Takes what a list takes that is read one way only, from the oldest on.
    pub(super) fn take_oldest(parameters: &mut Parameters) -> Result<Self, Problem> {
        let limit = parameters.take_as("limit", "a number from 1 to 500")?.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::parameter("limit", "write a number from 1 to 500"));
        }
        let after: Option<i64> = parameters.take_as("after", "the `next` of the page before")?;
        let after = after.map(u64::try_from).transpose();
        let after = after.map_err(|_negative| Problem::parameter("after", "write the `next` of the page before"))?;
        Ok(Self { limit, after, order: Order::Oldest })
    }
}

impl From<Page> for Slice {
    fn from(page: Page) -> Self {
        Self { after: page.after, newest_first: page.order == Order::Newest, limit: page.limit }
    }
}

impl Page {
    /// Where the next page goes on: none when this one was not full.
    pub(super) fn next<T>(&self, items: &[T], index: impl Fn(&T) -> u64) -> Option<u64> {
        let full = u32::try_from(items.len()).is_ok_and(|count| count >= self.limit);
        items.last().filter(|_| full).map(index)
    }
}

impl FromParameters for Page {
    const NAMES: &'static [&'static str] = Self::NAMES;

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Self::take(parameters)
    }
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            _ => Err("write `newest` or `oldest`"),
        }
    }
}
