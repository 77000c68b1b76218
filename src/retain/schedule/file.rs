//! The schedule as typed. Unknown keys are refused, so that a condition that is misspelt cannot widen or empty a class.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::{Class, Conditions, RunsFrom, Schedule, is_communication};
use crate::ledger::EntryType;
use crate::record::Word;

/// A schedule has a few classes; a file of this size is none.
const LARGEST: usize = 256 << 10;
const CLASSES_MOST: usize = 256;
/// Values of one condition.
const VALUES_MOST: usize = 4_096;
const CITES_MOST: usize = 500;

/// A schedule that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {wrong}")]
pub struct ScheduleError {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub wrong: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fiscal_year_end: Spanned<String>,
    default: ClassFile,
    #[serde(default, rename = "class")]
    classes: Vec<ClassFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassFile {
    name: Spanned<String>,
    cites: Spanned<String>,
    keep: Spanned<String>,
    from: Spanned<From>,
    #[serde(default, rename = "match")]
    matches: Option<Spanned<MatchFile>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    LastEntry,
    FiscalYearEnd,
}

type Values = Spanned<Vec<Spanned<String>>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchFile {
    types: Option<Values>,
    kinds: Option<Values>,
    directions: Option<Values>,
    networks: Option<Values>,
    advisors: Option<Values>,
    flags: Option<Values>,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

pub(super) fn parse(name: &str, text: &str) -> Result<Schedule, ScheduleError> {
    let reader = Reader { file: name, text };
    if text.len() > LARGEST {
        return Err(reader.wrong(0..0, format!("a schedule has at most {LARGEST} bytes")));
    }
    let file: File = toml::from_str(text)
        .map_err(|error| reader.wrong(error.span().unwrap_or(0..0), error.message().replace('\n', "; ")))?;
    reader.schedule(file)
}

impl Reader<'_> {
    fn wrong(&self, span: Range<usize>, wrong: impl Into<String>) -> ScheduleError {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        ScheduleError { file: self.file.to_owned(), line, wrong: wrong.into() }
    }

    fn read<T: FromStr>(&self, typed: &Spanned<String>, what: &str) -> Result<T, ScheduleError>
    where
        T::Err: ToString,
    {
        let text = typed.get_ref();
        text.parse().map_err(|error: T::Err| {
            let shown: String = text.chars().take(64).collect();
            self.wrong(typed.span(), format!("`{what}` is \"{shown}\": {}", error.to_string()))
        })
    }

    fn schedule(&self, file: File) -> Result<Schedule, ScheduleError> {
        let year_end = self.read(&file.fiscal_year_end, "fiscal_year_end")?;
        if let Some(matches) = &file.default.matches {
            return Err(self.wrong(matches.span(), "the default is for what is in no class, and has no `match`"));
        }
        if file.classes.len() > CLASSES_MOST {
            return Err(self.wrong(0..0, format!("a schedule has at most {CLASSES_MOST} classes")));
        }
        let mut names = BTreeSet::new();
        for class in file.classes.iter().chain([&file.default]) {
            if !names.insert(class.name.get_ref()) {
                return Err(self.wrong(class.name.span(), "two classes have this name; disposals name the rule by it"));
            }
        }
        let default = self.class(&file.default)?;
        let classes = file.classes.iter().map(|class| self.class(class)).collect::<Result<_, _>>()?;
        Ok(Schedule { year_end, classes, default })
    }

    fn class(&self, class: &ClassFile) -> Result<Class, ScheduleError> {
        let cites = class.cites.get_ref().trim();
        let is_cited = (3..=CITES_MOST).contains(&cites.chars().count()) && !cites.chars().any(char::is_control);
        if !is_cited {
            let wrong = format!("`cites` names the rule of law in 3 to {CITES_MOST} characters");
            return Err(self.wrong(class.cites.span(), wrong));
        }
        Ok(Class {
            name: self.read::<Word>(&class.name, "name")?,
            cites: cites.to_owned(),
            keep: self.read(&class.keep, "keep")?,
            runs_from: match class.from.get_ref() {
                From::LastEntry => RunsFrom::LastEntry,
                From::FiscalYearEnd => RunsFrom::FiscalYearEnd,
            },
            matches: match &class.matches {
                Some(matches) => self.conditions(matches.get_ref())?,
                None => Conditions::default(),
            },
        })
    }

    fn conditions(&self, file: &MatchFile) -> Result<Conditions, ScheduleError> {
        Ok(Conditions {
            types: self.types(file.types.as_ref())?,
            kinds: self.values(file.kinds.as_ref(), "kinds")?,
            directions: self.values(file.directions.as_ref(), "directions")?,
            networks: self.values(file.networks.as_ref(), "networks")?,
            advisors: self.values(file.advisors.as_ref(), "advisors")?,
            flags: self.values(file.flags.as_ref(), "flags")?,
        })
    }

    fn values<T: FromStr>(&self, typed: Option<&Values>, what: &str) -> Result<Vec<T>, ScheduleError>
    where
        T::Err: ToString,
    {
        let Some(typed) = typed else { return Ok(Vec::new()) };
        // Of nothing, nothing is true; read as no condition it would be true of everything.
        if !(1..=VALUES_MOST).contains(&typed.get_ref().len()) {
            let wrong = format!("`{what}` has 1 to {VALUES_MOST} values; leave it out for any");
            return Err(self.wrong(typed.span(), wrong));
        }
        typed.get_ref().iter().map(|one| self.read(one, what)).collect()
    }

    fn types(&self, typed: Option<&Values>) -> Result<Vec<EntryType>, ScheduleError> {
        let types: Vec<EntryType> = self.values(typed, "types")?;
        let typed = typed.into_iter().flat_map(Spanned::get_ref);
        for (one, entry_type) in typed.zip(&types) {
            if !is_communication(*entry_type) {
                return Err(self.wrong(
                    one.span(),
                    "`types` are `capture` and `observation`: what is no communication is kept as long as the archive",
                ));
            }
        }
        Ok(types)
    }
}
