//! Matters, from `matter` entries: one after the other, because each changes the last.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::communication::text;
use super::facts::Facts;
use crate::archive::read::Content;
use crate::archive::row::number;

/// One `matter` entry.
#[derive(Debug)]
pub(super) struct Matter {
    matter: Uuid,
    index: u64,
    at: String,
    change: String,
    actor: String,
    advisor: Option<Uuid>,
    notice: Option<Uuid>,
    name: Option<String>,
    description: Option<String>,
    external: Option<String>,
    reason: Option<String>,
    text: Option<String>,
    record: Option<Uuid>,
}

impl Matter {
    pub(super) fn read(facts: &Facts<'_>, content: &Content) -> Option<Self> {
        Some(Self {
            matter: facts.id("matter")?,
            index: facts.index(),
            at: facts.at(),
            change: facts.word("change"),
            actor: facts.0.actor().to_string(),
            advisor: facts.id("advisor"),
            notice: facts.id("notice"),
            name: text(content, "name"),
            description: text(content, "description"),
            external: text(content, "external"),
            reason: text(content, "reason"),
            text: text(content, "text"),
            record: facts.record(),
        })
    }

    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into matter_entries (entry_index, matter, at, change, actor, advisor, notice, name, description, external,
                                         reason, text, record)
             values ($1, $2, $3::timestamptz, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(number(self.index))
        .bind(self.matter)
        .bind(&self.at)
        .bind(&self.change)
        .bind(&self.actor)
        .bind(self.advisor)
        .bind(self.notice)
        .bind(&self.name)
        .bind(&self.description)
        .bind(&self.external)
        .bind(&self.reason)
        .bind(&self.text)
        .bind(self.record)
        .execute(&mut *connection)
        .await?;
        // What is opened twice is changed: the first entry is the one that opened it.
        let state = match self.change.as_str() {
            "opened" | "reopened" => Some("open"),
            "closed" => Some("closed"),
            _ => None,
        };
        let statement = if self.change == "opened" {
            "insert into matters (matter, entry_index, added_index, added_at, changed_at, state, name, description, external, record)
             values ($1, $2, $2, $3::timestamptz, $3::timestamptz, $4, nullif($5, ''), nullif($6, ''), nullif($7, ''), $8)
             on conflict (matter) do nothing"
        } else {
            "update matters set entry_index = $2, changed_at = $3::timestamptz, state = coalesce($4, state),
                                name = nullif(coalesce($5, name), ''), description = nullif(coalesce($6, description), ''),
                                external = nullif(coalesce($7, external), ''), record = coalesce(record, $8)
              where matter = $1"
        };
        sqlx::query(statement)
            .bind(self.matter)
            .bind(number(self.index))
            .bind(&self.at)
            .bind(state)
            .bind(&self.name)
            .bind(&self.description)
            .bind(&self.external)
            .bind(self.record)
            .execute(connection)
            .await?;
        Ok(())
    }
}
