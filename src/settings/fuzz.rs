//! What must hold of what an operator may type. For `crate::fuzzing` only.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::{Cidr, HostName, ParentProxy, Size, Span};

/// A settings file means something, or is refused with its place and a reason on one line.
pub(crate) fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = BTreeMap::from([("HOME".to_owned(), "/nowhere".to_owned())]);
    match super::load::from_text(text.to_owned(), &environment) {
        Ok(settings) => assert!(settings.in_force().is_object()),
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.trim_end().contains('\n'), "{words:?}");
        }
    }
}

fn reads_back<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} is written as {written:?}");
    }
}

/// Small values are written in a way that reads back as the same.
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    reads_back::<Span>(text);
    reads_back::<Size>(text);
    reads_back::<Cidr>(text);
    reads_back::<HostName>(text);
    reads_back::<ParentProxy>(text);
    reads_back::<crate::record::Timestamp>(text);
    reads_back::<crate::record::Commitment>(text);
    reads_back::<crate::record::FieldName>(text);
}
