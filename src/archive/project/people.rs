//! Advisors, devices, accounts and officers, from `identity` entries: one after the other, because each changes the last.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::communication::text;
use super::facts::Facts;
use crate::archive::people::Limits;
use crate::archive::read::Content;
use crate::archive::row::number;
use crate::ledger::{Entry, EntryType};

/// Does it say something about who may do what?
pub(super) fn is_of_people(entry: &Entry) -> bool {
    let subject = entry.detail().get("subject").and_then(serde_json::Value::as_str);
    entry.entry_type() == EntryType::Identity && matches!(subject, Some("advisor" | "device" | "officer"))
}

/// One `identity` entry, as far as it concerns people.
#[derive(Debug, Serialize)]
pub(super) struct Identity {
    subject: String,
    change: String,
    id: Option<Uuid>,
    #[serde(rename = "entry_index")]
    index: u64,
    at: String,
    actor: String,
    #[serde(skip)]
    limits: Limits,
    advisor: Option<Uuid>,
    network: Option<String>,
    role: Option<String>,
    name: Option<String>,
    handle: Option<String>,
    network_id: Option<String>,
    record: Option<Uuid>,
}

impl Identity {
    pub(super) fn read(facts: &Facts<'_>, content: &Content) -> Self {
        Self {
            subject: facts.word("subject"),
            change: facts.word("change"),
            id: facts.id("id"),
            index: facts.index(),
            at: facts.at(),
            actor: facts.0.actor().to_string(),
            limits: text(content, "limits").and_then(|text| Limits::read(&text)).unwrap_or_default(),
            advisor: facts.id("advisor"),
            network: facts.text("network"),
            role: facts.text("role"),
            name: text(content, "name"),
            handle: text(content, "handle"),
            network_id: text(content, "id"),
            record: facts.record(),
        }
    }

    /// Sources and keys are no people.
    pub(super) fn is_of_people(&self) -> bool {
        self.id.is_some() && matches!(self.subject.as_str(), "advisor" | "device" | "account" | "officer")
    }

    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Some(id) = self.id else { return Ok(()) };
        if self.change == "revoked" {
            return self.revoke(connection, id).await;
        }
        match self.subject.as_str() {
            "advisor" => self.advisor(connection, id).await,
            "device" => self.device(connection, id).await,
            "account" => self.account(connection, id).await,
            "officer" => self.officer(connection, id).await,
            // Sources and keys are no people.
            _ => Ok(()),
        }
    }

    async fn revoke(&self, connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
        let statement = match self.subject.as_str() {
            "advisor" => "update advisors set revoked_index = coalesce(revoked_index, $2) where advisor = $1",
            "device" => "update devices set revoked_index = coalesce(revoked_index, $2) where device = $1",
            "account" => "update accounts set revoked_index = coalesce(revoked_index, $2) where account = $1",
            "officer" => "update officers set revoked_index = coalesce(revoked_index, $2) where officer = $1",
            _ => return Ok(()),
        };
        sqlx::query(statement).bind(id).bind(number(self.index)).execute(connection).await?;
        Ok(())
    }

    async fn advisor(&self, connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into advisors (advisor, name, added_index, added_at, record) values ($1, $2, $3, $4::timestamptz, $5)
             on conflict (advisor) do update set name = coalesce(excluded.name, advisors.name),
                                                 record = coalesce(excluded.record, advisors.record)",
        )
        .bind(id)
        .bind(&self.name)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(self.record)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn device(&self, connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into devices (device, advisor, name, added_index, added_at, record)
             values ($1, $2, $3, $4, $5::timestamptz, $6)
             on conflict (device) do update set name = coalesce(excluded.name, devices.name),
                                                record = coalesce(excluded.record, devices.record)",
        )
        .bind(id)
        .bind(self.advisor)
        .bind(&self.name)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(self.record)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn account(&self, connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into accounts (account, advisor, network, network_id, handle, name, added_index, added_at, record)
             values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, $9)
             on conflict (account) do update set advisor = coalesce(excluded.advisor, accounts.advisor),
                                                 handle = coalesce(excluded.handle, accounts.handle),
                                                 name = coalesce(excluded.name, accounts.name),
                                                 network_id = coalesce(excluded.network_id, accounts.network_id),
                                                 record = coalesce(excluded.record, accounts.record)",
        )
        .bind(id)
        .bind(self.advisor)
        .bind(&self.network)
        .bind(&self.network_id)
        .bind(&self.handle)
        .bind(&self.name)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(self.record)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "insert into account_versions (account, entry_index, network, network_id, handle, record)
             select account, $2, network, network_id, handle, record from accounts where account = $1
             on conflict do nothing",
        )
        .bind(id)
        .bind(number(self.index))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// An officer may have several roles: each is an entry of its own.
    async fn officer(&self, connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
        let roles: Vec<&String> = self.role.iter().collect();
        sqlx::query(
            "insert into officers (officer, roles, name, added_index, added_at, record, expires_at, operations, advisors)
             values ($1, $2, $3, $4, $5::timestamptz, $6, $7, $8, $9)
             on conflict (officer) do update set name = coalesce(excluded.name, officers.name),
                    record = coalesce(excluded.record, officers.record),
                    roles = (select array_agg(distinct role order by role) from unnest(officers.roles || excluded.roles) role)",
        )
        .bind(id)
        .bind(roles)
        .bind(&self.name)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(self.record)
        .bind(self.limits.expires_at.map(|time| time.date_time()))
        .bind(&self.limits.operations)
        .bind(self.limits.advisors.iter().map(|advisor| advisor.uuid()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}
