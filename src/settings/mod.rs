//! Settings: one TOML file, secrets from the environment, and defaults that work with neither.
//!
//! Two steps: [`file`] is what was typed, [`Settings`] is what it means. It is built once, at start, and only that travels
//! further. Whatever cannot be meant is refused with file, line and what would be right.

mod check;
mod cidr;
mod environment;
mod error;
pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod host;
mod load;
mod meaning;
mod quantity;

pub use cidr::{Cidr, CidrError, is_trusted_plain};
pub use environment::{Environment, Process};
pub use error::{Place, SettingsError};
pub use file::WhenUnavailable;
pub use host::{HostError, HostName, ParentProxy, ParentProxyError};
pub use load::load;
pub use meaning::{
    Api, Archive, Log, MasterKey, Postgres, Proxy, ProxyLimits, Recognition, Settings, Upstream, Webhooks, Witness,
    Witnessing,
};
pub use quantity::{QuantityError, Size, Span};

/// The environment variables muniment reads, each with what it is for. There are no others.
pub const VARIABLES: &[(&str, &str)] = &[
    ("MUNIMENT_CONFIG", "path of the settings file, where --config is not given"),
    ("DATABASE_URL", "archive.url, kept out of the file because it may hold a password"),
    (
        "MUNIMENT_OWNER_URL",
        "how `migrate`, `rebuild` and `verify` reach Postgres as the owner; DATABASE_URL where not set",
    ),
    ("MUNIMENT_MASTER_KEY", "the master key, 64 hex digits, instead of the key file"),
    (
        "MUNIMENT_FORMER_MASTER_KEYS",
        "beside it: what it was before, parted by spaces, until `muniment keys rotate-master` is through",
    ),
    ("MUNIMENT_CA_PASSPHRASE", "seals the key of the root certificate, instead of the master key"),
    ("MUNIMENT_PARENT_PROXY_LOGIN", "user:password for upstream.proxy"),
    ("MUNIMENT_TOKEN", "an officer's token for the log that `witness audit` reads"),
    ("PG_BINDIR", "where the Postgres programs are, for the embedded archive"),
];
