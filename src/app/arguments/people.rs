//! Of people and their devices: advisors, devices, accounts, officers.

use clap::Subcommand;

use crate::access::{Role, ScopeWord};
use crate::app::expiry::Expiry;
use crate::record::{AdvisorId, DeviceId, OfficerId};

/// `advisor`
#[derive(Debug, Subcommand)]
pub enum Advisor {
    /// Add an advisor; prints the id
    #[command(after_help = "Example:\n  muniment advisor add \"Ada Advisor\"")]
    Add {
        /// Full name
        name: String,
    },
    /// List all advisors
    List,
}

/// `device`
#[derive(Debug, Subcommand)]
pub enum Device {
    /// Add a device; prints its credential and the proxy address to configure, once
    #[command(
        after_help = "Example:\n  muniment device add --advisor 0198c0de-0000-7000-8000-000000000001 \"Ada's laptop\""
    )]
    Add {
        /// Whose it is
        #[arg(long, value_name = "ID")]
        advisor: AdvisorId,
        /// What it is
        name: String,
    },
    /// List devices
    List {
        /// Only this advisor's
        #[arg(long, value_name = "ID")]
        advisor: Option<AdvisorId>,
    },
    /// Refuse a device from now on
    Revoke {
        /// Which
        #[arg(value_name = "ID")]
        device: DeviceId,
    },
}

/// `account`
#[derive(Debug, Subcommand)]
pub enum Account {
    /// List the accounts that devices have acted as
    List,
}

/// `officer`
#[derive(Debug, Subcommand)]
pub enum Officer {
    /// Add an officer; prints the API token, once
    #[command(after_help = "Examples:\n  muniment officer add \"Olga\" --role compliance\n  \
        muniment officer add \"Otto\" --role auditor --role legal\n  \
        muniment officer add \"Examiner\" --role auditor --expires 14d --scope read-ledger\n  \
        muniment officer add \"Branch\" --role compliance --scope advisor:0198c0de-0000-7000-8000-000000000001")]
    Add {
        /// Full name
        name: String,
        /// What they may do; may be given more than once
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// How long the token is taken: a length such as 14d, a date such as 2026-12-31 (its first moment, UTC), or never [default:
        /// api.token_lifetime]
        #[arg(long, value_name = "LENGTH|DATE|never")]
        expires: Option<Expiry>,
        /// What the token reaches of what the roles allow: an operation (records.get), a permission (read-ledger), or, for the role
        /// compliance alone, advisor:<ID>; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE")]
        scope: Vec<ScopeWord>,
    },
    /// List all officers
    List,
    /// Refuse an officer's token from now on
    Revoke {
        /// Which
        #[arg(value_name = "ID")]
        officer: OfficerId,
    },
}
