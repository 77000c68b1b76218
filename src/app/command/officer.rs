//! `muniment officer`: the people who may look.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{operator, show, visit, visit_lists};
use crate::access::{Operation, Role, ScopeWord, Token};
use crate::app::expiry::Expiry;
use crate::app::{AppError, Output, Verdict};
use crate::archive::{Archive, Limits};
use crate::capture::Entropy;
use crate::record::{OfficerId, Timestamp};
use crate::settings::{Settings, Span};

#[derive(Serialize)]
struct Added {
    id: OfficerId,
    name: String,
    roles: Vec<Role>,
    /// From when on the token is refused; none for never.
    expires_at: Option<Timestamp>,
    /// What the token reaches; all that the roles allow where it is empty.
    scope: Vec<ScopeWord>,
    /// Shown once.
    token: String,
    api_url: String,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        writeln!(f, "added `{}` as {} ({}). The token is shown once:\n", self.name, roles.join(", "), self.id)?;
        writeln!(f, "  {}\n", self.token)?;
        if let Some(end) = self.expires_at {
            writeln!(f, "It is refused from {end} on.")?;
        }
        if !self.scope.is_empty() {
            let scope: Vec<String> = self.scope.iter().map(ToString::to_string).collect();
            writeln!(f, "It reaches {} only.", scope.join(", "))?;
        }
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
    limits: &Limits,
) -> Result<(OfficerId, String), AppError> {
    let token = Token::fresh(entropy)?;
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let added = archive.add_officer_within(operator()?, name, &words, token.digest(), limits).await?;
    Ok((added.id, token.reveal().to_owned()))
}

/// When the token ends, and what it reaches.
fn limits(
    expires: Option<Expiry>,
    lifetime: Duration,
    roles: &[Role],
    scope: &[ScopeWord],
    now: Timestamp,
) -> Result<Limits, AppError> {
    let expires_at = expires.unwrap_or(Expiry::After(Span(lifetime))).from(now);
    if expires_at.is_some_and(|end| end <= now) {
        return Err(AppError::Expired);
    }
    let mut limits = Limits { expires_at, ..Limits::default() };
    for word in scope {
        match word {
            ScopeWord::Reach(word) => limits.operations.push((*word).to_owned()),
            ScopeWord::Advisor(advisor) => limits.advisors.push(*advisor),
        }
    }
    // The other roles answer for the whole of the archive.
    if !limits.advisors.is_empty() && roles != [Role::Compliance] {
        return Err(AppError::ScopeOfRole);
    }
    Ok(limits)
}

/// What a token reaches, as it was typed.
fn words(limits: Limits) -> Vec<String> {
    let advisors = limits.advisors.into_iter().map(|advisor| ScopeWord::Advisor(advisor).to_string());
    limits.operations.into_iter().chain(advisors).collect()
}

pub(in crate::app) fn add(
    settings: Settings,
    name: &str,
    roles: &[Role],
    expires: Option<Expiry>,
    scope: &[ScopeWord],
    output: Output,
) -> Result<Verdict, AppError> {
    let name = super::named(name)?;
    let mut scope = scope.to_vec();
    scope.sort_unstable();
    scope.dedup();
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    let scheme = if settings.api.tls.is_some() { "https" } else { "http" };
    let api_url = format!("{scheme}://{}", settings.api.listen);
    let lifetime = settings.api.token_lifetime;
    let (id, token, expires_at) = visit(settings, async |context, archive| {
        let limits = limits(expires, lifetime, &roles, &scope, context.clock.now())?;
        for advisor in &limits.advisors {
            archive.check_advisor(*advisor).await?;
        }
        let (id, token) = register(archive, &*context.entropy, name, &roles, &limits).await?;
        Ok((id, token, limits.expires_at))
    })?;
    output.print(&Added { id, name: name.to_owned(), roles, expires_at, scope, token, api_url })?;
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
    expires_at: Option<Timestamp>,
    scope: Vec<String>,
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
        let mut table = Table::new(&["id", "name", "roles", "added", "expires", "scope", "state"]);
        for item in &self.officers {
            let state = if item.revoked { "revoked" } else { "active" };
            let (name, roles) = (or_dash(item.name.as_ref()), item.roles.join(","));
            let expires = or_dash(item.expires_at.map(|end| end.to_string()).as_ref());
            let scope = if item.scope.is_empty() { "all".to_owned() } else { item.scope.join(",") };
            let added = item.added_at.to_string();
            table.row([item.id.to_string(), name, roles, added, expires, scope, state.to_owned()]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.officers(slice).await?), |row| row.index).await?;
        show(context, archive, Operation::OfficersList, None, rows, |row| row.officer.uuid()).await
    })?;
    let officers = rows.into_iter().map(|row| Item {
        id: row.officer,
        name: row.name,
        roles: row.roles,
        added_at: row.added_at,
        index: row.index,
        revoked: row.revoked_index.is_some(),
        expires_at: row.limits.expires_at,
        scope: words(row.limits),
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
