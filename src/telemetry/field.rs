//! The fixed list of log field names. A log line names its fields with these and no others.
//!
//! | field | holds | never holds |
//! |---|---|---|
//! | `device.id`, `device.addr` | our id of the device; the address it came from | the credential |
//! | `advisor.id`, `officer.id` | our ids | names |
//! | `upstream.authority` | host and port of the target | path or query |
//! | `upstream.addr` | the address dialled | |
//! | `network` | the rule set's name | the account |
//! | `rule` | the rule's name | what it extracted |
//! | `exchange.id`, `record.id`, `entry.id` | our ids | |
//! | `entry.index`, `tree.size` | positions in the ledger | |
//! | `http.request.method`, `http.route`, `http.response.status_code` | method, route template, status | the path as sent |
//! | `request.id` | id of an API request | |
//! | `reason`, `cause` | a word from a closed list | |
//! | `operation` | what was asked, a word from a closed list | its arguments |
//! | `duration_ms`, `size_bytes`, `count` | measures | |
//! | `error` | an error's own text (errors carry ids, never content) | |

/// Our id of the device.
pub const DEVICE_ID: &str = "device.id";
/// The address the device came from.
pub const DEVICE_ADDR: &str = "device.addr";
/// Our id of the advisor.
pub const ADVISOR_ID: &str = "advisor.id";
/// Our id of the officer.
pub const OFFICER_ID: &str = "officer.id";
/// Host and port of the target.
pub const UPSTREAM_AUTHORITY: &str = "upstream.authority";
/// The address dialled.
pub const UPSTREAM_ADDR: &str = "upstream.addr";
/// The rule set's name.
pub const NETWORK: &str = "network";
/// The rule's name.
pub const RULE: &str = "rule";
/// Our id of the exchange.
pub const EXCHANGE_ID: &str = "exchange.id";
/// Our id of the record.
pub const RECORD_ID: &str = "record.id";
/// Our id of the entry.
pub const ENTRY_ID: &str = "entry.id";
/// The entry's position.
pub const ENTRY_INDEX: &str = "entry.index";
/// Number of entries a tree head covers.
pub const TREE_SIZE: &str = "tree.size";
/// Request method.
pub const METHOD: &str = "http.request.method";
/// Route template, never the path as sent.
pub const ROUTE: &str = "http.route";
/// Response status.
pub const STATUS: &str = "http.response.status_code";
/// Id of an API request.
pub const REQUEST_ID: &str = "request.id";
/// Why, as a word from a closed list.
pub const REASON: &str = "reason";
/// What led to it, as a word from a closed list.
pub const CAUSE: &str = "cause";
/// What was asked, as a word from a closed list.
pub const OPERATION: &str = "operation";
/// How long it took.
pub const DURATION_MS: &str = "duration_ms";
/// How large it is.
pub const SIZE_BYTES: &str = "size_bytes";
/// How many.
pub const COUNT: &str = "count";
/// An error's own text.
pub const ERROR: &str = "error";

/// Every field name there is.
pub const ALL: &[&str] = &[
    DEVICE_ID,
    DEVICE_ADDR,
    ADVISOR_ID,
    OFFICER_ID,
    UPSTREAM_AUTHORITY,
    UPSTREAM_ADDR,
    NETWORK,
    RULE,
    EXCHANGE_ID,
    RECORD_ID,
    ENTRY_ID,
    ENTRY_INDEX,
    TREE_SIZE,
    METHOD,
    ROUTE,
    STATUS,
    REQUEST_ID,
    REASON,
    CAUSE,
    OPERATION,
    DURATION_MS,
    SIZE_BYTES,
    COUNT,
    ERROR,
];
