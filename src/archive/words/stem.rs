//! Stems: what the inflected forms of a word have in common, by the Snowball algorithms.

use std::collections::BTreeSet;

use frostem::{Algorithm, Stemmer};

use super::fold::folded;

/// A language whose inflected forms find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Czech,
    English,
    Polish,
    Russian,
}

/// Shorter words are left as they are: what would be cut off is most of them.
const SHORTEST: usize = 3;

impl Language {
    /// What the stems of this language begin with.
    pub(super) const fn mark(self) -> char {
        match self {
            Self::Czech => 'c',
            Self::English => 'n',
            Self::Polish => 'p',
            Self::Russian => 'r',
        }
    }

    /// Its name (BCP 47).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Czech => "cs",
            Self::English => "en",
            Self::Polish => "pl",
            Self::Russian => "ru",
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Czech => Algorithm::Czech,
            Self::English => Algorithm::English,
            Self::Polish => Algorithm::Polish,
            Self::Russian => Algorithm::Russian,
        }
    }
}

/// The languages a word may be of, by its script.
fn languages(word: &str) -> &'static [Language] {
    let is_cyrillic = |c: char| matches!(c, '\u{400}'..='\u{52f}');
    if word.chars().any(is_cyrillic) {
        &[Language::Russian]
    } else if word.chars().any(char::is_alphabetic) && word.chars().all(|c| c < '\u{250}') {
        &[Language::Czech, Language::English, Language::Polish]
    } else {
        &[]
    }
}

/// The stems of a word (in lower case), folded. People leave diacritics out, so the stem of the word without them is one too.
pub(super) fn stems(word: &str) -> BTreeSet<(Language, String)> {
    let mut stems = BTreeSet::new();
    if word.chars().nth(SHORTEST - 1).is_none() {
        return stems;
    }
    let plain = folded(word);
    for language in languages(word) {
        let stemmer = Stemmer::new(language.algorithm());
        // Most words have no diacritics.
        let other = Some(plain.as_str()).filter(|plain| *plain != word);
        for form in std::iter::once(word).chain(other) {
            let stem = folded(&stemmer.stem(form));
            if !stem.is_empty() {
                stems.insert((*language, stem));
            }
        }
    }
    stems
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meet(a: &str, b: &str) -> bool {
        !stems(a).is_disjoint(&stems(b))
    }

    #[test]
    fn inflected_forms_have_a_stem_in_common() {
        for (a, b) in [
            ("guarantee", "guaranteed"),
            ("returns", "returned"),
            ("вклад", "вкладами"),
            ("гарантия", "гарантии"),
            ("доходность", "доходности"),
            ("záruka", "záruky"),
            ("výnos", "výnosy"),
            ("investice", "investicí"),
            ("gwarancja", "gwarancji"),
            ("inwestycja", "inwestycjami"),
            ("zysk", "zyski"),
            // Typed without diacritics.
            ("vynosy", "výnos"),
        ] {
            assert!(meet(a, b), "{a} {b}: {:?} {:?}", stems(a), stems(b));
        }
    }

    #[test]
    fn words_of_other_scripts_and_numbers_have_none() {
        assert!(stems("12345").is_empty() && stems("保").is_empty() && stems("ab").is_empty());
    }

    proptest! {
        #[test]
        fn no_word_is_too_odd_to_be_stemmed(word in "\\PC{0,120}") {
            let word = word.to_lowercase();
            prop_assert!(stems(&word).len() <= 6);
        }
    }
}
