//! What a token reaches, inside what the officer's roles allow.
//!
//! Invariant: a scope only ever takes away. Words that mean nothing here (an older or newer program wrote them) allow nothing.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Operation, Permission};
use crate::record::AdvisorId;

/// The scope of a token. What is empty does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Operations (`records.get`) and permissions (`read-ledger`).
    pub operations: Vec<String>,
    /// Whose records, devices and accounts.
    pub advisors: Vec<AdvisorId>,
}

impl Scope {
    /// Whether it reaches an operation.
    #[must_use]
    pub fn reaches(&self, operation: Operation) -> bool {
        self.reaches_all(operation.permission()) || self.operations.iter().any(|word| word == operation.as_str())
    }

    /// Whether it reaches everything that needs a permission: also what is not written down.
    #[must_use]
    pub fn reaches_all(&self, permission: Permission) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|word| word == permission.as_str())
    }
}

/// One word of a scope, as an operator types it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum ScopeWord {
    /// An operation or a permission.
    Reach(&'static str),
    /// An advisor.
    Advisor(AdvisorId),
}

/// The text was not a word of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no scope; write an operation such as records.get, a permission such as read-ledger, or advisor:<id> \
     (the document at /openapi.json has all of them under x-muniment-access)"
)]
pub struct UnknownScope(String);

impl FromStr for ScopeWord {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let unknown = || UnknownScope(text.chars().take(64).collect());
        if let Some(id) = text.strip_prefix("advisor:") {
            return id.parse().map(Self::Advisor).map_err(|_source| unknown());
        }
        let operations = Operation::ALL.iter().map(|operation| operation.as_str());
        let mut words = operations.chain(Permission::ALL.iter().map(|permission| permission.as_str()));
        words.find(|word| *word == text).map(Self::Reach).ok_or_else(unknown)
    }
}

impl fmt::Display for ScopeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reach(word) => f.write_str(word),
            Self::Advisor(id) => write!(f, "advisor:{id}"),
        }
    }
}

impl From<ScopeWord> for String {
    fn from(word: ScopeWord) -> Self {
        word.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_takes_away_and_never_adds() {
        let of = |words: &[&str]| Scope {
            operations: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Scope::default()
        };
        for operation in Operation::ALL.iter().copied() {
            assert!(Scope::default().reaches(operation));
            assert!(of(&[operation.as_str()]).reaches(operation));
            assert!(of(&[operation.permission().as_str()]).reaches(operation));
            assert!(!of(&["emperor.crown"]).reaches(operation));
        }
        let one = of(&["records.get"]);
        assert!(one.reaches(Operation::RecordsGet) && !one.reaches(Operation::RecordsSearch));
        assert!(!one.reaches_all(Permission::ReadContent) && !one.reaches_all(Permission::ReadLedger));
    }

    #[test]
    fn the_words_of_a_scope_read_back() {
        let id = "advisor:0198c0de-0000-7000-8000-000000000000";
        for word in ["records.get", "read-ledger", id] {
            assert_eq!(word.parse::<ScopeWord>().unwrap().to_string(), word);
        }
        for bad in ["", "records", "advisor:", "advisor:ada", "read-everything"] {
            assert!(bad.parse::<ScopeWord>().is_err(), "{bad}");
        }
    }
}
