//! Projections of an archive that repeats itself: the first period is projected by the program, and its rows are written again for
//! each later one, at other places and times and under other ids. A comparison finds them to be what the program would have made
//! (`archive::large`); for a million records it takes minutes less.

use muniment::archive::Archive;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::Firm;
use super::spec::{FIRST_GAP, GAPS, Of};

/// A table with rows of records, and how a row `r` of the first period becomes one of a later: what its record's number is there
/// (`x.n`; `x.at` is its time), and which columns are others.
struct Repeated {
    table: &'static str,
    number: &'static str,
    changed: &'static [(&'static str, &'static str)],
}

const NUMBER: &str = "pg_temp.number(r.record) + {k} * {period}";
const TABLES: &[Repeated] = &[
    Repeated {
        table: "records",
        number: NUMBER,
        changed: &[
            ("record", "pg_temp.id(x.at, {record}, x.n)"),
            ("entry", "pg_temp.id(x.at, {entry}, x.n)"),
            ("outcome", "case when r.outcome is not null then pg_temp.id(x.at, {outcome}, x.n) end"),
            ("exchange", "pg_temp.id(x.at, {exchange}, x.n)"),
            ("last_index", "r.last_index + {shift}"),
            ("at", "pg_temp.time(x.at)"),
            ("captured_at", "pg_temp.time(x.at)"),
        ],
    },
    Repeated {
        table: "communications",
        number: NUMBER,
        changed: &[
            ("record", "pg_temp.id(x.at, {record}, x.n)"),
            ("item", "case when r.item is not null then 'at://item/' || x.n end"),
            ("edited_from", "'at://item/' || substr(r.edited_from, 11)::bigint + {k} * {period}"),
        ],
    },
    Repeated { table: "advised", number: NUMBER, changed: &[("record", "pg_temp.id(x.at, {record}, x.n)")] },
    Repeated { table: "record_entries", number: NUMBER, changed: &[("record", "pg_temp.id(x.at, {record}, x.n)")] },
    Repeated {
        table: "made",
        number: NUMBER,
        changed: &[
            ("record", "pg_temp.id(x.at, {record}, x.n)"),
            ("item", "case when r.item is not null then 'at://item/' || x.n end"),
        ],
    },
    Repeated {
        table: "outcomes",
        number: "pg_temp.number(r.capture) + {k} * {period}",
        changed: &[
            ("record", "pg_temp.id(x.at, {record}, x.n)"),
            ("entry", "pg_temp.id(x.at, {outcome}, x.n)"),
            ("capture", "pg_temp.id(x.at, {entry}, x.n)"),
            ("at", "pg_temp.time(x.at + 1)"),
        ],
    },
    Repeated {
        table: "gaps",
        number: "{gap} + {gaps} * (select count(*) from projection.gaps g where g.entry_index < r.entry_index) + {k} * {period}",
        changed: &[("at", "pg_temp.time(x.at + 2)"), ("since", "pg_temp.time(x.at)"), ("until", "pg_temp.time(x.at)")],
    },
];

/// Ids, times and numbers as [`super::spec`] makes them.
fn functions(firm: &Firm) -> String {
    format!(
        "create function pg_temp.number(id uuid) returns bigint language sql immutable as
             $$ select ('x' || right(id::text, 12))::bit(48)::bigint $$;
         create function pg_temp.id(at bigint, of int, n bigint) returns uuid language sql immutable as
             $$ select (lpad(to_hex(at / 1000), 12, '0') || '7a' || lpad(to_hex(of), 2, '0') || '80' || lpad(to_hex(n), 14, '0'))::uuid $$;
         create function pg_temp.at(n bigint) returns bigint language sql immutable as
             $$ select {} + div({}::numeric * (n + 1), {})::bigint $$;
         create function pg_temp.time(at bigint) returns timestamptz language sql immutable as
             $$ select to_timestamp(at / 1000000) + (at % 1000000) * interval '1 microsecond' $$",
        firm.from,
        firm.until - firm.from,
        firm.records + 1
    )
}

/// Projects everything that [`super::fill`] has made; the firm's periods are as long as runs of counts.
pub(crate) async fn project(archive: &Archive, owner: &PgConnectOptions, firm: Firm) {
    let run = firm.run.unwrap();
    archive.project(2 * run).await.unwrap();
    let mut connection = owner.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(functions(&firm))).execute(&mut connection).await.unwrap();
    let indexes = drop_indexes(&mut connection).await;
    for period in 1..firm.records / firm.period {
        for of in TABLES {
            repeat(&mut connection, &firm, period, of).await;
        }
    }
    for index in indexes {
        sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql("analyze").execute(&mut connection).await.unwrap();
    // The last entry of each run is projected by the program, which then keeps the counts of the run.
    for end in (3..).map(|runs| runs * run).take(usize::try_from(firm.records / firm.period - 1).unwrap()) {
        sqlx::query("update projection.progress set next_index = $1")
            .bind(i64::try_from(end - 1).unwrap())
            .execute(&mut connection)
            .await
            .unwrap();
        archive.project(end).await.unwrap();
    }
}

/// Takes every index but those of keys away; answers with what makes them again.
async fn drop_indexes(connection: &mut PgConnection) -> Vec<String> {
    let names: Vec<&str> = TABLES.iter().map(|of| of.table).collect();
    let found: Vec<(String, String)> = sqlx::query_as(
        "select i.indexname::text, i.indexdef from pg_indexes i
          where i.schemaname = 'projection' and i.tablename = any ($1)
            and not exists (select from pg_constraint c where c.conname = i.indexname)",
    )
    .bind(names)
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut made = Vec::new();
    for (name, definition) in found {
        let text = format!("drop index projection.{name}");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await.unwrap();
        made.push(definition);
    }
    made
}

async fn repeat(
    connection: &mut PgConnection,
    firm: &Firm,
    period: u64,
    Repeated { table, number, changed }: &Repeated,
) {
    let run = firm.run.unwrap();
    let columns: Vec<String> = sqlx::query_scalar(
        "select a.attname::text from pg_attribute a
          where a.attrelid = ('projection.' || $1)::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let value = |column: &String| match changed.iter().find(|(name, _)| name == column) {
        Some((_, value)) => (*value).to_owned(),
        None if column == "entry_index" => "r.entry_index + {shift}".to_owned(),
        None => format!("r.{column}"),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let text = format!(
        "insert into projection.{table} ({}) select {} from projection.{table} r
          cross join lateral (select n.n, pg_temp.at(n.n) as at from (select {number} as n) n) x
          where r.entry_index >= {run} and r.entry_index < 2 * {run} order by r.entry_index",
        columns.join(", "),
        values.join(", ")
    );
    let marks = [
        ("{k}", period),
        ("{period}", firm.period),
        ("{shift}", period * run),
        ("{gap}", FIRST_GAP),
        ("{gaps}", GAPS),
        ("{record}", Of::Record as u64),
        ("{entry}", Of::Entry as u64),
        ("{outcome}", Of::Outcome as u64),
        ("{exchange}", Of::Exchange as u64),
    ];
    let text = marks.iter().fold(text, |text, (mark, value)| text.replace(mark, &value.to_string()));
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.unwrap();
}
