//! What a matter shall be: the members of a body, each checked and named where it cannot be meant.

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::problem::Problem;

/// A name at most, in characters.
pub(in crate::api::v1) const NAME: usize = 200;
/// A text at most.
pub(in crate::api::v1) const TEXT: usize = 4_000;

/// A matter to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewMatter {
    /// What it is called
    #[schema(example = "Smith ./. Example Securities", max_length = 200)]
    pub(super) name: String,
    /// What it is about
    #[serde(default)]
    #[schema(example = "claims about the bond offering of May", max_length = 4000)]
    pub(super) description: Option<String>,
    /// What others call it, such as a court's docket number
    #[serde(default)]
    #[schema(example = "2:26-cv-01234", max_length = 200)]
    pub(super) external: Option<String>,
}

/// What of a matter shall change. What is left out stays as it is; `null` takes a text away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct MatterChanges {
    /// `open` or `closed`; one with holds in force is not closed
    #[serde(default)]
    #[schema(example = "closed")]
    pub(super) state: Option<String>,
    /// What it is called
    #[serde(default)]
    #[schema(example = "Smith ./. Example Securities", max_length = 200)]
    pub(super) name: Option<String>,
    /// What it is about
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "claims about the bond offering of May", max_length = 4000)]
    pub(super) description: Option<Option<String>>,
    /// What others call it
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "2:26-cv-01234", max_length = 200)]
    pub(super) external: Option<Option<String>>,
    /// Why
    #[serde(default)]
    #[schema(example = "settled", max_length = 4000)]
    pub(super) reason: Option<String>,
}

/// A custodian to be, or to be let go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CustodianWanted {
    /// Which advisor
    pub(super) advisor: Uuid,
    /// `true` lets them go
    #[serde(default)]
    pub(super) removed: bool,
}

/// A notice to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewNotice {
    /// To which custodian
    pub(super) advisor: Uuid,
    /// What they were told
    #[schema(example = "Keep everything about the bond offering of May.", max_length = 4000)]
    pub(super) text: String,
}

/// A notice that was acknowledged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Acknowledged {
    /// Which
    pub(super) notice: Uuid,
}

/// Tells `null` from what is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A text of at most so many characters; nothing but white space is none.
pub(in crate::api::v1) fn text(
    name: &'static str,
    given: Option<&str>,
    most: usize,
) -> Result<Option<String>, Problem> {
    let Some(text) = given.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    // A long text may have lines.
    let is_odd = |c: char| c.is_control() && !(most > NAME && matches!(c, '\n' | '\t'));
    if text.chars().nth(most).is_some() || text.chars().any(is_odd) {
        return Err(Problem::parameter(
            name,
            format!("write at most {most} characters, none of them a control character"),
        ));
    }
    Ok(Some(text.to_owned()))
}

/// The same where one must be given.
pub(in crate::api::v1) fn must(name: &'static str, given: &str, most: usize) -> Result<String, Problem> {
    text(name, Some(given), most)?.ok_or_else(|| Problem::parameter(name, format!("write 1 to {most} characters")))
}
