//! How Postgres is reached: a server that somebody else runs, or the private one in the data directory.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::AppError;
use crate::archive::embedded::Embedded;
use crate::archive::{Migrated, migrate};
use crate::settings::{Postgres, Settings};

/// A reachable Postgres, and the private server behind it where there is one.
pub(super) struct Database {
    embedded: Option<Embedded>,
    owner: PgConnectOptions,
    service: PgConnectOptions,
    /// What migrating the private server did as it was reached.
    migrated: Option<Migrated>,
}

impl Database {
    /// For `serve`: starts the private server and migrates it; on a server of somebody else's, migrating is the owner's act.
    pub(super) async fn host(settings: &Settings) -> Result<Self, AppError> {
        match &settings.archive.postgres {
            Postgres::Server { url, owner_url } => Self::server(url, owner_url),
            Postgres::Embedded { dir, bindir } => Self::private(Embedded::start(dir, bindir.as_deref()).await?).await,
        }
    }

    /// For a command: joins the private server that `serve` runs, else runs it for as long as the command takes.
    pub(super) async fn visit(settings: &Settings) -> Result<Self, AppError> {
        match &settings.archive.postgres {
            Postgres::Server { url, owner_url } => Self::server(url, owner_url),
            Postgres::Embedded { dir, bindir } => {
                Self::private(Embedded::join_or_start(dir, bindir.as_deref()).await?).await
            }
        }
    }

    async fn private(embedded: Embedded) -> Result<Self, AppError> {
        let (owner, service) = (embedded.owner().clone(), embedded.service().clone());
        let database = Self { owner, service, embedded: Some(embedded), migrated: None };
        match migrate(&database.owner, database.service.get_username()).await {
            Ok(migrated) => Ok(Self { migrated: Some(migrated), ..database }),
            Err(error) => {
                database.close().await;
                Err(error.into())
            }
        }
    }

    fn server(url: &SecretString, owner_url: &SecretString) -> Result<Self, AppError> {
        Ok(Self { embedded: None, migrated: None, owner: options(owner_url)?, service: options(url)? })
    }

    /// Brings tables and roles up to date, as the owner.
    pub(super) async fn migrate(&self) -> Result<Migrated, AppError> {
        match self.migrated {
            Some(migrated) => Ok(migrated),
            None => Ok(migrate(&self.owner, self.service.get_username()).await?),
        }
    }

    /// For the running service.
    pub(super) const fn service(&self) -> &PgConnectOptions {
        &self.service
    }

    /// For what only the owner may.
    pub(super) const fn owner(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// Stops the private server if it is ours.
    pub(super) async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// The settings have checked the form already; what the driver says may repeat the password and is not passed on.
fn options(url: &SecretString) -> Result<PgConnectOptions, AppError> {
    PgConnectOptions::from_str(url.expose_secret()).map_err(|_secret| AppError::Url)
}
