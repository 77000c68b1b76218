//! `muniment officer`: the people who may look.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{operator, show, visit, visit_lists};
use crate::access::{Operation, Role, Token};
use crate::app::{AppError, Output, Verdict};
use crate::archive::Archive;
use crate::capture::Entropy;
use crate::record::{OfficerId, Timestamp};
use crate::settings::Settings;

#[derive(Serialize)]
struct Added {
    id: OfficerId,
    name: String,
    roles: Vec<Role>,
    /// Shown once.
    token: String,
    api_url: String,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        writeln!(f, "added `{}` as {} ({}). The token is shown once:\n", self.name, roles.join(", "), self.id)?;
        writeln!(f, "  {}\n", self.token)?;
        write!(
            f,
            "Try it: curl -H 'Authorization: Bearer {}' -H 'Muniment-Purpose: first look' {}/v1/records",
            self.token, self.api_url
        )
    }
}

/// A new officer: the id, and the token in the clear.
pub(in crate::app) async fn register(
    archive: &Archive,
    entropy: &dyn Entropy,
    name: &str,
    roles: &[Role],
) -> Result<(OfficerId, String), AppError> {
    let token = Token::fresh(entropy)?;
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let added = archive.add_officer(operator()?, name, &words, token.digest()).await?;
    Ok((added.id, token.reveal().to_owned()))
}

pub(in crate::app) fn add(settings: Settings, name: &str, roles: &[Role], output: Output) -> Result<Verdict, AppError> {
    let name = super::named(name)?;
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    let scheme = if settings.api.tls.is_some() { "https" } else { "http" };
    let api_url = format!("{scheme}://{}", settings.api.listen);
    let (id, token) =
        visit(settings, async |context, archive| register(archive, &*context.entropy, name, &roles).await)?;
    output.print(&Added { id, name: name.to_owned(), roles, token, api_url })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Item {
    id: OfficerId,
    name: Option<String>,
    roles: Vec<String>,
    added_at: Timestamp,
    index: u64,
    revoked: bool,
}

#[derive(Serialize)]
struct List {
    officers: Vec<Item>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.officers.is_empty() {
            return f.write_str("there are no officers yet; `muniment officer add <NAME> --role <ROLE>` adds one");
        }
        let mut table = Table::new(&["id", "name", "roles", "added", "state"]);
        for item in &self.officers {
            let state = if item.revoked { "revoked" } else { "active" };
            let (name, roles) = (or_dash(item.name.as_ref()), item.roles.join(","));
            table.row([item.id.to_string(), name, roles, item.added_at.to_string(), state.to_owned()]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.officers(slice).await?), |row| row.index).await?;
        show(context, archive, Operation::OfficersList, None, rows).await
    })?;
    let officers = rows.into_iter().map(|row| Item {
        id: row.officer,
        name: row.name,
        roles: row.roles,
        added_at: row.added_at,
        index: row.index,
        revoked: row.revoked_index.is_some(),
    });
    output.print(&List { officers: officers.collect() })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Revoked {
    id: OfficerId,
    index: u64,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked {}, entry {}; the token is refused from now on", self.id, self.index)
    }
}

pub(in crate::app) fn revoke(settings: Settings, officer: OfficerId, output: Output) -> Result<Verdict, AppError> {
    let revoked = visit_lists(settings, async |_context, archive| {
        let all = every(async |slice| Ok(archive.officers(slice).await?), |row| row.index).await?;
        let known = all.into_iter().find(|row| row.officer == officer).ok_or(AppError::NoSuchOfficer(officer))?;
        if known.revoked_index.is_some() {
            return Err(AppError::AlreadyRevoked);
        }
        let entry = archive.revoke_officer(operator()?, officer).await?;
        Ok(Revoked { id: officer, index: entry.index })
    })?;
    output.print(&revoked)?;
    Ok(Verdict::Done)
}
