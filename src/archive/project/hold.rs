//! Holds, from `hold` and `release` entries: one after the other, because each adds to the last.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::communication::text;
use super::facts::Facts;
use crate::archive::read::Content;
use crate::archive::row::number;

/// One entry of a hold, or its release.
#[derive(Debug)]
pub(super) struct Hold {
    hold: Uuid,
    is_release: bool,
    index: u64,
    at: String,
    actor: String,
    matter: Option<Uuid>,
    scope: String,
    targets: Vec<Uuid>,
    since: Option<String>,
    until: Option<String>,
    evaluated: Option<u64>,
    name: Option<String>,
    reason: Option<String>,
    query: Option<String>,
    record: Option<Uuid>,
}

impl Hold {
    pub(super) fn read(facts: &Facts<'_>, is_release: bool, content: &Content) -> Option<Self> {
        Some(Self {
            hold: facts.id("hold")?,
            is_release,
            index: facts.index(),
            at: facts.at(),
            actor: facts.0.actor().to_string(),
            matter: facts.id("matter"),
            scope: facts.word("scope"),
            targets: facts.ids("targets"),
            since: facts.text("from"),
            until: facts.text("until"),
            evaluated: facts.count("evaluated").map(|evaluated| evaluated.min(facts.index())),
            name: text(content, "name"),
            reason: text(content, "reason"),
            query: text(content, "query"),
            record: facts.record(),
        })
    }

    /// How many records it names.
    fn named(&self) -> i64 {
        if self.scope == "record" { number(self.targets.len() as u64) } else { 0 }
    }

    fn advisors(&self) -> &[Uuid] {
        if self.scope == "stream" { &self.targets } else { &[] }
    }

    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.history(connection).await?;
        if self.is_release {
            // Released once is released.
            sqlx::query(
                "update holds set entry_index = $2, changed_at = $3::timestamptz,
                        release_reason = case when released_index is null then $5 else release_reason end,
                        released_by = coalesce(released_by, $4), released_at = coalesce(released_at, $3::timestamptz),
                        released_index = coalesce(released_index, $2)
                  where hold = $1",
            )
            .bind(self.hold)
            .bind(number(self.index))
            .bind(&self.at)
            .bind(&self.actor)
            .bind(&self.reason)
            .execute(connection)
            .await?;
            return Ok(());
        }
        sqlx::query(
            "insert into holds (hold, entry_index, added_index, added_at, changed_at, matter, scope, selects, advisors, since,
                                until, targets, evaluated, name, reason, query, actor, record)
             values ($1, $2, $2, $3::timestamptz, $3::timestamptz, $4, $5, $6::bigint is not null, $7, $8::timestamptz,
                     $9::timestamptz, $10, $6, $11, $12, $13, $14, $15)
             on conflict (hold) do update
                set entry_index = excluded.entry_index, changed_at = excluded.changed_at,
                    matter = coalesce(holds.matter, excluded.matter), selects = holds.selects or excluded.selects,
                    evaluated = greatest(holds.evaluated, excluded.evaluated), targets = holds.targets + excluded.targets,
                    advisors = (select coalesce(array_agg(distinct a order by a), '{}')
                                  from unnest(holds.advisors || excluded.advisors) a)",
        )
        .bind(self.hold)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(self.matter)
        .bind(&self.scope)
        .bind(self.evaluated.map(number))
        .bind(self.advisors())
        .bind(&self.since)
        .bind(&self.until)
        .bind(self.named())
        .bind(&self.name)
        .bind(&self.reason)
        .bind(&self.query)
        .bind(&self.actor)
        .bind(self.record)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn history(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into hold_entries (entry_index, hold, at, change, actor, targets, evaluated, reason, record)
             values ($1, $2, $3::timestamptz,
                     case when $4 then 'released' when exists (select from holds where hold = $2) then 'extended' else 'placed' end,
                     $5, $6, $7, $8, $9)",
        )
        .bind(number(self.index))
        .bind(self.hold)
        .bind(&self.at)
        .bind(self.is_release)
        .bind(&self.actor)
        .bind(number(self.targets.len() as u64))
        .bind(self.evaluated.map(number))
        .bind(&self.reason)
        .bind(self.record)
        .execute(connection)
        .await?;
        Ok(())
    }
}
