//! Periods covered, and the gaps between them, device by device.
//!
//! A device is covered from its registration until it is revoked, but for what the ledger says could not be kept or read. That a period is
//! covered does not say that the device was used in it, or that it was used only through the proxy.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::moment::Moment;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{DeviceRow, GapOf};
use crate::record::{AdvisorId, Timestamp};

/// Devices on a page: each asks several questions.
const MOST: u32 = 50;
/// Gaps of one device at most.
const GAPS: u32 = 500;

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) struct Period {
    /// Its first moment.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// The moment after it.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T20:00:00.000000Z")]
    until: Timestamp,
}

/// A gap of a device.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeviceGap {
    /// Index of its entry.
    index: u64,
    /// Why: a word of a closed list, explained in docs/FORMAT.md.
    cause: String,
    /// How many times.
    count: u64,
    /// The first moment concerned.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The last moment concerned.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// What was covered of one device.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeviceCoverage {
    /// Which.
    device: Uuid,
    /// Whose.
    advisor: Option<Uuid>,
    /// Its registration.
    index: u64,
    /// From when until when it was let in, as far as that was asked about; none where that is not at all.
    period: Option<Period>,
    /// Its first record in that period.
    #[schema(value_type = Option<String>, format = DateTime)]
    first_record_at: Option<Timestamp>,
    /// Its last record in that period.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_record_at: Option<Timestamp>,
    /// The periods without a gap.
    covered: Vec<Period>,
    /// The gaps: its own, its advisor's where no device is known, and those of everybody. A gap of one moment interrupts no period.
    gaps: Vec<DeviceGap>,
    /// There are more than 500, and what follows the last of them is not told: ask for a shorter time.
    more: bool,
}

/// A page of coverage.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Coverage {
    /// By registration of the device.
    coverage: Vec<DeviceCoverage>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Whose, and when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CoverageQuery {
    /// Only this advisor's devices
    #[param(value_type = Option<Uuid>)]
    advisor: Option<AdvisorId>,
    /// At or after this time: RFC 3339, or a date (its first moment, UTC)
    #[param(value_type = Option<String>, example = "2026-11-21")]
    since: Option<Moment>,
    /// Before this time; now where it is not given
    #[param(value_type = Option<String>, example = "2026-11-22")]
    until: Option<Moment>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for CoverageQuery {
    const NAMES: &'static [&'static str] = &["advisor", "since", "until", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let advisor = parameters.take("advisor")?;
        let [since, until] = Moment::take_span(parameters, ["since", "until"])?;
        let page = Page::take(parameters)?;
        Ok(Self { advisor, since, until, page: Page { limit: page.limit.min(MOST), ..page } })
    }
}

/// What is left of a period when the gaps, which come by their beginning, are taken out.
fn without(period: Period, gaps: &[GapOf]) -> Vec<Period> {
    let (mut covered, mut from) = (Vec::new(), period.from);
    for gap in gaps.iter().filter(|gap| gap.since < gap.until) {
        let until = gap.since.min(period.until);
        if from < until {
            covered.push(Period { from, until });
        }
        from = from.max(gap.until);
    }
    if from < period.until {
        covered.push(Period { from, until: period.until });
    }
    covered
}

impl CoverageQuery {
    /// When the device was let in, as far as that is asked about.
    async fn period(&self, api: &Api, row: &DeviceRow) -> Result<Option<Period>, Problem> {
        let revoked = match row.revoked_index {
            None => None,
            Some(_index) => api.history(row.device.uuid()).await?.until,
        };
        let asked = self.until.map_or_else(|| api.clock.now(), |moment| moment.0);
        let until = revoked.map_or(asked, |revoked| revoked.min(asked));
        let from = self.since.map_or(row.added_at, |moment| moment.0.max(row.added_at));
        Ok((from < until).then_some(Period { from, until }))
    }

    async fn of(&self, api: &Api, row: &DeviceRow) -> Result<DeviceCoverage, Problem> {
        let period = self.period(api, row).await?;
        let known = match period {
            Some(period) => {
                let times = (period.from, period.until);
                api.archive.coverage(row.device, row.advisor, times, GAPS.saturating_add(1)).await?
            }
            None => crate::archive::CoverageRow::default(),
        };
        let mut gaps = known.gaps;
        let more = gaps.len() > GAPS as usize;
        // What comes after the last gap that is told is not known to be covered.
        let told = if more { gaps.pop().map(|first_untold| first_untold.since) } else { None };
        let covered = period.map(|period| {
            let until = told.map_or(period.until, |told| told.min(period.until));
            without(Period { until, ..period }, &gaps)
        });
        let gap = |gap: GapOf| {
            let GapOf { index, cause, count, since, until } = gap;
            DeviceGap { index, cause, count, since, until }
        };
        Ok(DeviceCoverage {
            device: row.device.uuid(),
            advisor: row.advisor.map(AdvisorId::uuid),
            index: row.index,
            period,
            first_record_at: known.first_record_at,
            last_record_at: known.last_record_at,
            covered: covered.unwrap_or_default(),
            gaps: gaps.into_iter().map(gap).collect(),
            more,
        })
    }
}

/// List what was covered, device by device: periods, and the gaps between them
///
/// A device is covered from its registration until it is revoked, but for what the ledger says could not be kept or read. At most 50 devices on a
/// page.
#[utoipa::path(get, path = "/v1/coverage", tag = "integrity", security(("token" = [])), params(CoverageQuery, PageQuery),
    responses((status = 200, body = Coverage)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<CoverageQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Json<Coverage>, Problem> {
    let mut seen = Seen { advisor: query.advisor, query: typed, ..Seen::default() };
    let admission = caller.admit(&api, Operation::CoverageList, &seen).await?;
    let rows = api.archive.devices(query.page.into(), query.advisor).await?;
    seen.count = rows.len();
    let owners = rows.iter().filter_map(|row| row.advisor).map(AdvisorId::uuid);
    seen.subjects = owners.chain(rows.iter().map(|row| row.device.uuid())).collect();
    let next = query.page.next(&rows, |row| row.index);
    let mut coverage = Vec::with_capacity(rows.len());
    for row in &rows {
        coverage.push(query.of(&api, row).await?);
    }
    Ok(Json(api.show(admission, &seen, Withheld::new(Coverage { coverage, next })).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    fn left(gaps: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let gap =
            |&(since, until)| GapOf { index: 0, cause: String::new(), count: 1, since: at(since), until: at(until) };
        let gaps: Vec<GapOf> = gaps.iter().map(gap).collect();
        let left = without(Period { from: at(10), until: at(100) }, &gaps);
        left.iter().map(|p| (p.from.unix_micros() / 1_000_000, p.until.unix_micros() / 1_000_000)).collect()
    }

    #[test]
    fn what_is_covered_is_the_period_without_its_gaps() {
        assert_eq!(left(&[]), [(10, 100)]);
        assert_eq!(left(&[(20, 20)]), [(10, 100)], "a moment interrupts nothing");
        assert_eq!(left(&[(20, 30)]), [(10, 20), (30, 100)]);
        assert_eq!(left(&[(0, 30), (25, 40), (26, 28)]), [(40, 100)]);
        assert_eq!(left(&[(20, 30), (30, 40), (90, 200)]), [(10, 20), (40, 90)]);
        assert_eq!(left(&[(0, 200)]), []);
    }
}
