//! The system as it is installed: components, keys by id, rules, retention, sources.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{RulesRow, SourceRow};
use crate::record::{Digest, Timestamp};

/// The system as it is installed.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct System {
    /// When this was found out.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// What it consists of.
    components: Components,
    /// Its keys, by id: none of them can be guessed, or used, from what is shown here.
    keys: Keys,
    /// The rules of each network that this process recognises by.
    networks: Vec<NetworkRules>,
    /// Which rules were in force when, oldest first; the provenance of every record names the digest.
    rules: Vec<RulesInForce>,
    /// How long things are kept.
    retention: Retention,
    /// Processes that have appended, the one that did so last first.
    sources: Vec<SourceSeen>,
}

/// Versions.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Components {
    /// This program.
    #[schema(example = "0.1.0")]
    muniment: &'static str,
    /// The version of entries, checkpoints and bundles: docs/FORMAT.md.
    format: u8,
    /// The database server.
    #[schema(example = "15.14")]
    postgres: String,
    /// The newest migration of the schema.
    schema: u64,
}

/// Keys by id.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Keys {
    /// The log's public key as a C2SP verifier key: name, key id, key.
    log: String,
    /// Name of the master key that wraps record keys now.
    #[schema(value_type = String)]
    master: String,
    /// SHA-256 of the certificate that devices trust; none where this process intercepts nothing.
    #[schema(value_type = Option<String>)]
    ca_root: Option<Digest>,
    /// SHA-256 of the issuing certificate in use.
    #[schema(value_type = Option<String>)]
    ca_issuing: Option<Digest>,
    /// Until when that one issues.
    #[schema(value_type = Option<String>, format = DateTime)]
    ca_issuing_until: Option<Timestamp>,
}

/// The rules of one network.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct NetworkRules {
    /// Which network.
    #[schema(example = "bluesky")]
    network: String,
    /// In words.
    title: String,
    /// Of its rule file.
    #[schema(value_type = String)]
    digest: Digest,
}

/// Rules that were in force.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RulesInForce {
    /// Digest of all rule sets together.
    digest: String,
    /// Index of the first entry that says so.
    since_index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Index of the newest entry that says so.
    last_index: u64,
    /// Whether this process recognises by them now.
    in_force: bool,
}

/// How long things are kept.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Retention {
    /// Content is kept at least so many days; longer where a hold applies.
    content_days: u64,
    /// Backups are kept so many days: a disposal is final when the last one that holds the keys has expired.
    backup_days: u64,
}

/// A process that has appended.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SourceSeen {
    /// Its source id: one a data directory.
    source: Uuid,
    /// Whether it is the one that answers.
    here: bool,
    /// Entries it has appended; it counts without gaps.
    entries: u64,
    /// Index of its last entry.
    last_index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

const DAY: u64 = 86_400;

/// The system as it is installed: components, keys by id, rules, retention, sources
///
/// What a regulator asks for when asking which system kept the records. Looking at it is not written down: it says nothing about anybody.
#[utoipa::path(get, path = "/v1/system", tag = "system", security(("token" = [])),
    responses((status = 200, body = System)))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<System>, Problem> {
    caller.require(Permission::ReadIntegrity)?;
    let inventory = api.archive.inventory().await?;
    let (installed, here) = (&api.installed, api.archive.source());
    let authority = installed.authority.as_ref();
    // Without an issuing certificate there is none to name.
    let issuer = authority.and_then(|authority| authority.issuer().ok());
    let digest = installed.rules_digest.map(|digest| digest.to_string());
    let rules = |row: RulesRow| {
        let RulesRow { digest: named, since_index, since, last_index } = row;
        let in_force = digest.as_ref() == Some(&named);
        RulesInForce { digest: named, since_index, since, last_index, in_force }
    };
    let source = |row: SourceRow| SourceSeen {
        source: row.source.uuid(),
        here: row.source == here,
        entries: row.entries,
        last_index: row.last_index,
        last_at: row.last_at,
    };
    let networks = installed.rules.iter().map(|rules| NetworkRules {
        network: rules.network.clone(),
        title: rules.title.clone(),
        digest: rules.digest,
    });
    Ok(Json(System {
        at: api.clock.now(),
        components: Components {
            muniment: env!("CARGO_PKG_VERSION"),
            format: 1,
            postgres: inventory.postgres,
            schema: inventory.schema,
        },
        keys: Keys {
            log: inventory.log_key,
            master: inventory.master_key.to_string(),
            ca_root: authority.map(|authority| Digest::of(&[&authority.export_der()])),
            ca_issuing: issuer.as_ref().map(|issuer| Digest::of(&[issuer.certificate()])),
            ca_issuing_until: issuer.as_ref().map(|issuer| issuer.until()),
        },
        networks: networks.collect(),
        rules: inventory.rules.into_iter().map(rules).collect(),
        retention: Retention {
            content_days: inventory.retention_days,
            backup_days: installed.backup_retention.as_secs() / DAY,
        },
        sources: inventory.sources.into_iter().map(source).collect(),
    }))
}
