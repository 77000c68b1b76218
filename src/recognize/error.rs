//! What can be wrong with a rule file, with its place and what would be right.

use std::fmt;

use super::host::HostPatternError;
use super::path::PathPatternError;

/// One fault in one rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The file, as the loader knows it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The rule, where the fault is inside one.
    pub rule: Option<String>,
    pub(crate) fault: Fault,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule `{rule}`: ")?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for RuleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

/// What the fault is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Toml(String),
    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error(transparent)]
    Path(#[from] PathPatternError),
    #[error("`{0}` is not a name: use lower-case letters, digits and `_`, such as create_post")]
    Name(String),
    #[error("a network called `{0}` is already there; one file per network")]
    RepeatedNetwork(String),
    #[error("a rule called `{0}` is already there; give each rule its own id")]
    RepeatedRule(String),
    #[error(
        "the network claims no host: give `hosts`, or `any_host = true` for rules that apply to hosts listed in settings"
    )]
    NoHosts,
    #[error("`{0}` is not a method: write it in upper case, such as POST")]
    Method(String),
    #[error(
        "`{0}` stands before it, takes the same requests and has no condition, so this rule can never speak: give `{0}` a `when`, or put this rule first"
    )]
    Unreachable(String),
    #[error("{0}")]
    Shape(&'static str),
    #[error("no decoder is called `{name}`; there is {known}")]
    Decoder { name: String, known: &'static str },
    #[error("{field}: {what}")]
    Program { field: &'static str, what: String },
}

/// Everything that is wrong with a rule set. Nothing of it was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleErrors(pub Vec<RuleError>);

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleErrors {}
