//! What is asked of an export: which records, why, and what of them is not shown.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::ExportError;
use crate::archive::{Archive, RecordFilter, WordQuery};
use crate::bundle::{REASON_MAX, Rendition};
use crate::record::{AdvisorId, FieldName, MatterId, RecordId, Timestamp};

/// Advisors whose streams an entry may stand in.
const ADVISORS_MAX: usize = 128;

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Of these advisors.
    pub advisors: Vec<AdvisorId>,
    /// These records, and no others.
    pub records: Vec<RecordId>,
    /// With these words, as typed.
    pub words: Option<(String, WordQuery)>,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until before.
    pub until: Option<Timestamp>,
    /// For this matter; where no advisor, record or word is asked for, all records of its custodians.
    pub matter: Option<MatterId>,
    /// Why.
    pub purpose: String,
    /// What is not shown.
    pub withhold: Vec<Withhold>,
    /// What the bundle holds besides what every bundle has.
    pub renditions: Vec<Rendition>,
}

/// Fields, or a record, that are not shown, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withhold {
    what: What,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A field by its name, or a part of every communication.
    Field(FieldName),
    /// All of a record.
    Record(RecordId),
}

/// The text said nothing to withhold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write FIELD=REASON or RECORD=REASON, such as `text=attorney-client privilege`, with a reason of 1 to {REASON_MAX} bytes"
)]
pub struct WithholdError;

impl FromStr for Withhold {
    type Err = WithholdError;

    fn from_str(text: &str) -> Result<Self, WithholdError> {
        let (what, reason) = text.split_once('=').ok_or(WithholdError)?;
        let reason = reason.trim().to_owned();
        if !(1..=REASON_MAX).contains(&reason.len()) || reason.chars().any(char::is_control) {
            return Err(WithholdError);
        }
        let what = match what.trim().parse::<RecordId>() {
            Ok(record) => What::Record(record),
            Err(_) => What::Field(what.trim().parse().map_err(|_source| WithholdError)?),
        };
        Ok(Self { what, reason })
    }
}

impl Withhold {
    /// The reason, where this field of this record is meant.
    pub(super) fn of(&self, record: RecordId, field: &FieldName) -> Option<&str> {
        let meant = match &self.what {
            What::Record(other) => *other == record,
            What::Field(name) if name == field => true,
            What::Field(part) => {
                let number = field.as_str().strip_suffix(part.as_str()).and_then(|number| number.strip_suffix('.'));
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            }
        };
        meant.then_some(self.reason.as_str())
    }
}

impl Withhold {
    /// Is this a part of a communication, which stands in the bytes that were sent or received as well?
    fn is_of_words(&self) -> bool {
        match &self.what {
            What::Record(_) => false,
            What::Field(name) => !is_of_bytes(name),
        }
    }
}

/// Does a field hold bytes as they were sent or received, or what else a part may be found in or guessed from?
pub(super) fn is_of_bytes(name: &FieldName) -> bool {
    let part = name.as_str().rsplit_once('.').map_or(name.as_str(), |(_number, part)| part);
    let exchange = ["request.", "response."].iter().any(|of| name.as_str().starts_with(of));
    exchange
        || name.as_str() == "message"
        || name.as_str().contains("attachment.")
        || matches!(part, "raw" | "detail" | "version")
}

/// The reason for which the bytes of a record are withheld too: because a part of any of its entries is.
pub(super) fn reason_for_bytes<'a>(
    withhold: &'a [Withhold],
    record: RecordId,
    fields: &[&FieldName],
) -> Option<&'a str> {
    let of_words = withhold.iter().filter(|withhold| withhold.is_of_words());
    of_words.filter_map(|withhold| fields.iter().find_map(|field| withhold.of(record, field))).next()
}

/// Are names of people and accounts withheld?
pub(super) fn hides_names(withhold: &[Withhold]) -> bool {
    let of_people = |name: &FieldName| {
        let part = name.as_str().rsplit_once('.').map_or(name.as_str(), |(_number, part)| part);
        matches!(part, "author" | "account" | "recipients" | "name" | "handle" | "id")
    };
    withhold.iter().any(|withhold| matches!(&withhold.what, What::Field(name) if of_people(name)))
}

impl Asked {
    /// Looks up the matter; where nothing else is asked for, its custodians are whom is asked for, also those who no longer are.
    ///
    /// # Errors
    /// [`ExportError::NoSuchMatter`], [`ExportError::NoCustodians`], and what the archive says.
    pub async fn resolve(&mut self, archive: &Archive) -> Result<(), ExportError> {
        let Some(matter) = self.matter else { return Ok(()) };
        archive.catch_up().await?;
        archive.matter(matter).await?.ok_or(ExportError::NoSuchMatter(matter))?;
        if self.is_of_custodians() {
            let custodians = archive.matter_custodians(matter).await?;
            self.advisors = custodians.into_iter().map(|custodian| custodian.advisor).collect();
            if self.advisors.is_empty() {
                return Err(ExportError::NoCustodians(matter));
            }
        }
        Ok(())
    }

    /// Puts it in order, and refuses what cannot be meant.
    pub(super) fn check(&mut self) -> Result<(), ExportError> {
        self.advisors.sort_unstable();
        self.advisors.dedup();
        self.renditions.sort_unstable();
        self.renditions.dedup();
        let filtered = !self.advisors.is_empty() || self.words.is_some() || self.from.is_some() || self.until.is_some();
        match (self.records.is_empty(), filtered) {
            (false, true) => return Err(ExportError::RecordsAndFilter),
            (true, _) if self.advisors.is_empty() && self.words.is_none() => return Err(ExportError::NothingAsked),
            _ => {}
        }
        if self.advisors.len() > ADVISORS_MAX {
            return Err(ExportError::TooManyAdvisors);
        }
        if self.from.zip(self.until).is_some_and(|(from, until)| from >= until) {
            return Err(ExportError::Backwards);
        }
        Ok(())
    }

    /// Is a matter all that was said?
    const fn is_of_custodians(&self) -> bool {
        self.matter.is_some() && self.advisors.is_empty() && self.records.is_empty() && self.words.is_none()
    }

    /// Is it all of somebody's, so that it can be proved complete?
    pub(super) fn is_of_streams(&self) -> bool {
        !self.advisors.is_empty() && self.words.is_none()
    }

    /// As a question to the archive, of one advisor where there are some.
    pub(super) fn filter(&self, advisor: Option<AdvisorId>, as_of: u64) -> RecordFilter {
        RecordFilter {
            advisor,
            since: self.from,
            until: self.until,
            words: self.words.as_ref().map(|(_typed, query)| query.clone()),
            as_of: Some(as_of),
            ..RecordFilter::default()
        }
    }

    /// As it was typed.
    pub(super) fn typed(&self) -> BTreeMap<String, String> {
        let list = |ids: Vec<String>| Some(ids.join(" ")).filter(|ids| !ids.is_empty());
        let said = [
            ("advisor", list(self.advisors.iter().map(ToString::to_string).collect())),
            ("record", list(self.records.iter().map(ToString::to_string).collect())),
            ("matter", self.matter.map(|matter| matter.to_string())),
            ("query", self.words.as_ref().map(|(typed, _query)| typed.clone())),
            ("from", self.from.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_a_field_a_part_of_each_communication_or_a_record() {
        let record: RecordId = "0198c0de-0000-7000-8000-00aa00000000".parse().unwrap();
        let other: RecordId = "0198c0de-0000-7000-8000-00aa00000001".parse().unwrap();
        let of = |text: &str, field: &str| {
            let withhold: Withhold = text.parse().unwrap();
            [record, other].map(|record| withhold.of(record, &field.parse().unwrap()).map(ToOwned::to_owned))
        };
        let why = Some("privilege".to_owned());
        assert_eq!(of("text=privilege", "3.text"), [why.clone(), why.clone()]);
        assert_eq!(of("text=privilege", "3.context"), [None, None]);
        assert_eq!(of("request.body = privilege", "request.body"), [why.clone(), why.clone()]);
        assert_eq!(of("body=privilege", "request.body"), [None, None]);
        assert_eq!(of(&format!("{record}=privilege"), "0.text"), [why, None]);
        for bad in ["text", "text=", "Te xt=why", "=why", "text=a\u{7}"] {
            assert_eq!(bad.parse::<Withhold>(), Err(WithholdError), "{bad}");
        }
    }
}
