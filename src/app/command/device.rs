//! `muniment device`: the browsers and phones advisors use.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{operator, show, visit, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::archive::{Archive, Password, Slice};
use crate::record::{AdvisorId, DeviceId, Timestamp};
use crate::settings::Settings;

/// What a person has to configure on the device.
#[derive(Serialize)]
struct Added {
    id: DeviceId,
    advisor: AdvisorId,
    name: String,
    /// Shown once.
    secret: String,
    proxy_url: String,
    /// Where a TLS listener is configured.
    tls_proxy_url: Option<String>,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "added `{}`. Its credential is shown once:\n", self.name)?;
        writeln!(f, "  user      {}", self.id)?;
        writeln!(f, "  password  {}", self.secret)?;
        writeln!(f, "  proxy     {}", self.proxy_url)?;
        if let Some(url) = &self.tls_proxy_url {
            writeln!(f, "  over TLS  {url}")?;
        }
        write!(f, "\nThe device must trust the firm's root as well: muniment ca export > firm-ca.pem")
    }
}

/// A new device: its id, and its secret in the clear.
pub(in crate::app) async fn register(
    archive: &Archive,
    advisor: AdvisorId,
    name: &str,
) -> Result<(DeviceId, String), AppError> {
    let one = Slice { after: None, newest_first: false, limit: 1 };
    let known = archive.advisors(one, Some(advisor)).await?;
    if known.first().is_none_or(|known| known.revoked_index.is_some()) {
        return Err(AppError::NoSuchAdvisor(advisor));
    }
    let password = Password::fresh().map_err(crate::archive::ArchiveError::Password)?;
    let secret = password.reveal().to_owned();
    let added = archive.add_device(operator()?, advisor, name, password).await?;
    Ok((added.id, secret))
}

pub(in crate::app) fn add(
    settings: Settings,
    advisor: AdvisorId,
    name: &str,
    output: Output,
) -> Result<Verdict, AppError> {
    let name = super::named(name)?;
    let listen = settings.proxy.listen;
    let tls = settings.proxy.tls.as_ref().map(|tls| tls.listen);
    let (id, secret) = visit(settings, async |_context, archive| register(archive, advisor, name).await)?;
    let proxy_url = format!("http://{id}:{secret}@{listen}");
    let tls_proxy_url = tls.map(|listen| format!("https://{id}:{secret}@{listen}"));
    output.print(&Added { id, advisor, name: name.to_owned(), secret, proxy_url, tls_proxy_url })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Item {
    id: DeviceId,
    advisor: Option<AdvisorId>,
    name: Option<String>,
    added_at: Timestamp,
    index: u64,
    revoked: bool,
}

#[derive(Serialize)]
struct List {
    devices: Vec<Item>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.devices.is_empty() {
            return f.write_str("there are no devices; `muniment device add --advisor <ID> <NAME>` adds one");
        }
        let mut table = Table::new(&["id", "advisor", "name", "added", "state"]);
        for item in &self.devices {
            let state = if item.revoked { "revoked" } else { "active" };
            let (advisor, name) = (or_dash(item.advisor), or_dash(item.name.as_ref()));
            table.row([item.id.to_string(), advisor, name, item.added_at.to_string(), state.to_owned()]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(
    settings: Settings,
    advisor: Option<AdvisorId>,
    output: Output,
) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.devices(slice, advisor).await?), |row| row.index).await?;
        show(context, archive, Operation::DevicesList, advisor, rows, |row| row.device.uuid()).await
    })?;
    let devices = rows.into_iter().map(|row| Item {
        id: row.device,
        advisor: row.advisor,
        name: row.name,
        added_at: row.added_at,
        index: row.index,
        revoked: row.revoked_index.is_some(),
    });
    output.print(&List { devices: devices.collect() })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Revoked {
    id: DeviceId,
    index: u64,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked {}, entry {}; the proxy refuses it within a second", self.id, self.index)
    }
}

pub(in crate::app) fn revoke(settings: Settings, device: DeviceId, output: Output) -> Result<Verdict, AppError> {
    let revoked = visit_lists(settings, async |_context, archive| {
        let known = archive.device(device).await?.ok_or(AppError::NoSuchDevice(device))?;
        if known.revoked_index.is_some() {
            return Err(AppError::AlreadyRevoked);
        }
        let advisor = known.advisor.ok_or(AppError::NoSuchDevice(device))?;
        let entry = archive.revoke_device(operator()?, device, advisor).await?;
        Ok(Revoked { id: device, index: entry.index })
    })?;
    output.print(&revoked)?;
    Ok(Verdict::Done)
}
