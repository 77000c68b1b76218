//! From what was typed, and the environment, to what it means; what cannot be meant is refused with its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::{
    Api, Archive, Log, MasterKey, Postgres, Proxy, ProxyLimits, Recognition, Settings, Upstream, Webhooks, Witness,
    Witnessing,
};
use crate::settings::load::Typed;
use crate::settings::{Environment, SettingsError, check, file};
use crate::telemetry::check_filter;

impl From<&file::ProxyLimits> for ProxyLimits {
    fn from(limits: &file::ProxyLimits) -> Self {
        Self {
            connections: usize::try_from(limits.connections).unwrap_or(usize::MAX),
            head: limits.head.in_memory(),
            body_memory: limits.body_memory.in_memory(),
            body: limits.body.0,
            held_disk: limits.held_disk.0,
            held_memory: limits.held_memory.in_memory(),
            read: limits.read.0,
            query: limits.query.0,
            answer: limits.answer.0,
            head_timeout: limits.head_timeout.0,
            idle_timeout: limits.idle_timeout.0,
            drain_timeout: limits.drain_timeout.0,
        }
    }
}

impl From<&file::File> for Witnessing {
    fn from(file: &file::File) -> Self {
        let witness = |witness: &file::Witness| Witness {
            vkey: witness.vkey.clone(),
            url: witness.url.clone(),
            timeout: witness.timeout.0,
        };
        Self {
            every: file.witnessing.every.0,
            quorum: file.witnessing.quorum.clone(),
            policy: file.witnessing.policy.clone(),
            wait: file.witnessing.export_wait.0,
            witnesses: file.witnesses.iter().map(witness).collect(),
        }
    }
}

impl Settings {
    pub(in crate::settings) fn new(typed: &Typed, environment: &dyn Environment) -> Result<Self, SettingsError> {
        let file = &typed.file;
        let data_dir = data_dir(file.data_dir.as_deref(), environment)?;
        check::origin(typed)?;
        check::limits(typed)?;
        check::listeners(typed)?;
        check_filter(&file.log.filter).map_err(|error| typed.wrong(&["log", "filter"], error.to_string()))?;
        let proxy_login = proxy_login(typed, environment)?;
        let master_key = master_key(typed, &data_dir, environment)?;
        let archive = archive(typed, &data_dir, environment)?;
        let in_force = in_force(file, &data_dir, &archive, &master_key);
        Ok(Self {
            witnessing: Witnessing::from(file),
            firm: file.firm.clone(),
            proxy: Proxy {
                listen: file.proxy.listen,
                plain_networks: file.proxy.plain_networks.clone(),
                tls: file.proxy.tls.clone(),
                limits: ProxyLimits::from(&file.proxy.limits),
            },
            api: Api {
                listen: file.api.listen,
                plain_networks: file.api.plain_networks.clone(),
                tls: file.api.tls.clone(),
                timeout: file.api.timeout.0,
                requests: usize::try_from(file.api.requests).unwrap_or(usize::MAX),
                rate_per_token: file.api.rate_per_token,
                rate_per_address: file.api.rate_per_address,
                token_lifetime: file.api.token_lifetime.0,
            },
            webhooks: Webhooks {
                allow_networks: file.webhooks.allow_networks.clone(),
                timeout: file.webhooks.timeout.0,
                attempts: file.webhooks.attempts,
                first_pause: file.webhooks.first_pause.0,
                longest_pause: file.webhooks.longest_pause.0,
                disable_after: file.webhooks.disable_after.0,
            },
            upstream: Upstream {
                extra_roots: file.upstream.extra_roots.clone(),
                resolve: file.upstream.resolve.clone(),
                proxy: file.upstream.proxy.clone(),
                proxy_login,
                allow_networks: file.upstream.allow_networks.clone(),
                ports: ports(&file.upstream),
                connect_timeout: file.upstream.connect_timeout.0,
            },
            intercept: file.intercept.clone(),
            recognition: Recognition {
                rules: file.recognition.rules.clone(),
                workers: workers(file.recognition.workers),
                run_timeout: file.recognition.run_timeout.0,
                memory: file.recognition.memory.0,
            },
            archive,
            master_key,
            ca_passphrase: environment.get("MUNIMENT_CA_PASSPHRASE").map(Into::into),
            schedule: file.retention.schedule.clone(),
            backup_retention: file.backup.retention.0,
            verify_every: file.verification.every.0,
            log: Log { filter: file.log.filter.clone(), format: file.log.format },
            data_dir,
            in_force,
        })
    }
}

fn data_dir(typed: Option<&Path>, environment: &dyn Environment) -> Result<PathBuf, SettingsError> {
    if let Some(dir) = typed {
        return Ok(dir.to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/muniment"));
    }
    let base = environment.get("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || environment.get("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).map(|base| base.join("muniment")).ok_or(SettingsError::NoDataDir)
}

fn ports(upstream: &file::Upstream) -> Vec<u16> {
    let mut ports = upstream.ports.clone();
    ports.extend(upstream.resolve.values().map(SocketAddr::port));
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn workers(typed: u16) -> usize {
    match typed {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8),
        n => usize::from(n),
    }
}

fn proxy_login(typed: &Typed, environment: &dyn Environment) -> Result<Option<SecretString>, SettingsError> {
    const NAME: &str = "MUNIMENT_PARENT_PROXY_LOGIN";
    let Some(login) = environment.get(NAME) else { return Ok(None) };
    let wrong = |wrong: &str| SettingsError::Variable { name: NAME, wrong: wrong.to_owned() };
    if typed.file.upstream.proxy.is_none() {
        return Err(wrong("there is no upstream.proxy it could be for; set that key, or unset the variable"));
    }
    if !login.contains(':') || login.chars().any(char::is_control) {
        return Err(wrong("write user:password"));
    }
    Ok(Some(login.into()))
}

fn master_key(typed: &Typed, data_dir: &Path, environment: &dyn Environment) -> Result<MasterKey, SettingsError> {
    const NAME: &str = "MUNIMENT_MASTER_KEY";
    const FORMER: &str = "MUNIMENT_FORMER_MASTER_KEYS";
    if let Some(key) = environment.get(NAME) {
        if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
            let wrong = "write 64 hex digits, such as `openssl rand -hex 32` prints".to_owned();
            return Err(SettingsError::Variable { name: NAME, wrong });
        }
        let former = environment.get(FORMER).unwrap_or_default();
        if !former.split_ascii_whitespace().all(|key| key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())) {
            let wrong = "write former master keys, 64 hex digits each, parted by spaces".to_owned();
            return Err(SettingsError::Variable { name: FORMER, wrong });
        }
        return Ok(MasterKey::Given(key.into(), former.into()));
    }
    if let Some(command) = &typed.file.keys.master_key_command {
        if command.first().is_none_or(String::is_empty) {
            return Err(typed.wrong(&["keys", "master_key_command"], "write a program and its arguments"));
        }
        return Ok(MasterKey::Command(command.clone()));
    }
    Ok(match &typed.file.keys.master_key_file {
        Some(path) => MasterKey::File { path: path.clone(), may_make: false },
        None => MasterKey::File { path: data_dir.join("master.key"), may_make: true },
    })
}

fn archive(typed: &Typed, data_dir: &Path, environment: &dyn Environment) -> Result<Archive, SettingsError> {
    let file = &typed.file.archive;
    let from_file = match &file.url {
        Some(url) => Some(check_url(url).map_err(|wrong| typed.wrong(&["archive", "url"], wrong))?),
        None => None,
    };
    let variable = |name: &'static str| match environment.get(name) {
        Some(url) => check_url(&url).map(Some).map_err(|wrong| SettingsError::Variable { name, wrong }),
        None => Ok(None),
    };
    let (service, owner) = (variable("DATABASE_URL")?, variable("MUNIMENT_OWNER_URL")?);
    let postgres = match service.or(from_file) {
        Some(url) => Postgres::Server { owner_url: owner.unwrap_or_else(|| url.clone()), url },
        None => Postgres::Embedded {
            dir: data_dir.join("postgres"),
            bindir: file.postgres_bindir.clone().or_else(|| environment.get("PG_BINDIR").map(PathBuf::from)),
        },
    };
    Ok(Archive {
        postgres,
        when_unavailable: file.when_unavailable,
        spool: file.spool.0,
        blobs: file.blobs.clone().unwrap_or_else(|| data_dir.join("blobs")),
        connections: file.connections,
        append_timeout: file.append_timeout.0,
        checkpoint_every: file.checkpoint_every.0,
    })
}

/// The driver's own words may repeat the password, so they are not passed on.
fn check_url(url: &str) -> Result<SecretString, String> {
    let form = "write postgres://user@host/database, with sslmode=verify-full off this machine";
    let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    match PgConnectOptions::from_str(url) {
        Ok(options) if scheme && options.get_database().is_some_and(|name| !name.is_empty()) => {
            Ok(url.to_owned().into())
        }
        _ => Err(form.to_owned()),
    }
}

fn in_force(file: &file::File, data_dir: &Path, archive: &Archive, master_key: &MasterKey) -> serde_json::Value {
    let mut file = file.clone();
    file.data_dir = Some(data_dir.to_owned());
    file.archive.blobs = Some(archive.blobs.clone());
    file.archive.url = match &archive.postgres {
        Postgres::Embedded { .. } => None,
        Postgres::Server { url, .. } => PgConnectOptions::from_str(url.expose_secret()).ok().map(|options| {
            let (host, port) = (options.get_host(), options.get_port());
            let database = options.get_database().unwrap_or_default();
            format!("postgres://{}@{host}:{port}/{database}", options.get_username())
        }),
    };
    file.keys.master_key_file = match master_key {
        MasterKey::File { path, .. } => Some(path.clone()),
        MasterKey::Given(..) | MasterKey::Command(_) => None,
    };
    serde_json::to_value(&file).unwrap_or_default()
}
