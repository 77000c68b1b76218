//! Why a text was found: which words of it answer which term, and how.

use std::collections::BTreeSet;
use std::ops::Range;

use super::fold::{fold_char, folded};
use super::query::{Term, WordQuery};
use super::stem::{Language, stems};
use super::token::{Token, is_hidden, tokens};

/// Places told of one term at most.
const TOLD: usize = 10;

/// Something in a text that answers a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The term as typed.
    pub term: String,
    /// What stands there, as written.
    pub found: String,
    /// Characters before it.
    pub at: usize,
    /// How it answers.
    pub how: How,
}

/// How a text answers a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The same letters, in any case.
    Same,
    /// The same letters when diacritics do not count.
    Folded,
    /// It begins so.
    Begins,
    /// Another form of the word in this language (BCP 47).
    Inflected(&'static str),
    /// The characters stand there, whatever is around them.
    Substring,
}

impl WordQuery {
    /// Where in the text its terms are answered, in order of the terms; at most ten places of each.
    #[must_use]
    pub fn explain(&self, text: &str) -> Vec<Match> {
        let tokens: Vec<Token> = tokens(text).collect();
        let wanted = self.any.iter().flatten().filter(|term| !term.without);
        wanted.flat_map(|term| self.places(term, text, &tokens)).collect()
    }

    fn places<'a>(&'a self, term: &'a Term, text: &'a str, tokens: &'a [Token]) -> impl Iterator<Item = Match> {
        let words: Vec<Wanted> = term.words.iter().map(|word| Wanted::new(word)).collect();
        let last = words.len().saturating_sub(1);
        let runs = tokens.windows(words.len().max(1)).filter_map(move |run| {
            let each = run.iter().zip(&words).enumerate();
            // The loosest of them says how the whole answers.
            let hows =
                each.map(|(nth, (token, wanted))| self.how(term, wanted, term.begins && nth == last, &token.word));
            let how = hows.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|how| how.looseness())?;
            let range = run.first()?.range.start..run.last()?.range.end;
            told(text, &term.typed, range, how)
        });
        runs.take(TOLD)
    }

    fn how(&self, term: &Term, wanted: &Wanted, begins: bool, word: &str) -> Option<How> {
        if word == wanted.word {
            return Some(How::Same);
        }
        if self.exact {
            return (begins && word.starts_with(&wanted.word)).then_some(How::Begins);
        }
        let plain = folded(word);
        if plain == wanted.plain {
            return Some(How::Folded);
        }
        if begins {
            return plain.starts_with(&wanted.plain).then_some(How::Begins);
        }
        if term.quoted {
            return None;
        }
        let same = stems(word).into_iter().find(|stem| wanted.stems.contains(stem));
        let whole = || wanted.stems.iter().find(|(_language, stem)| *stem == plain).cloned();
        same.or_else(whole).map(|(language, _stem)| How::Inflected(language.name()))
    }
}

struct Wanted {
    word: String,
    plain: String,
    stems: BTreeSet<(Language, String)>,
}

impl Wanted {
    fn new(word: &str) -> Self {
        Self { word: word.to_owned(), plain: folded(word), stems: stems(word) }
    }
}

impl How {
    const fn looseness(self) -> u8 {
        match self {
            Self::Same => 0,
            Self::Folded => 1,
            Self::Begins => 2,
            Self::Inflected(_) => 3,
            Self::Substring => 4,
        }
    }
}

fn told(text: &str, term: &str, range: Range<usize>, how: How) -> Option<Match> {
    let at = text.get(..range.start)?.chars().count();
    Some(Match { term: term.to_owned(), found: text.get(range)?.to_owned(), at, how })
}

/// Where in the text these characters stand, folded; at most ten places.
pub(in crate::archive) fn substrings(text: &str, typed: &str) -> Vec<Match> {
    let wanted = folded(typed);
    if wanted.is_empty() {
        return Vec::new();
    }
    // Each folded character with the byte of the text it comes from.
    let (mut plain, mut from) = (String::new(), Vec::new());
    for (at, c) in text.char_indices().filter(|(_at, c)| !is_hidden(*c)) {
        for folded in fold_char(c) {
            plain.push(folded);
            from.extend(std::iter::repeat_n(at..at + c.len_utf8(), folded.len_utf8()));
        }
    }
    let places = plain.match_indices(&wanted).filter_map(|(start, found)| {
        let range = from.get(start)?.start..from.get(start + found.len() - 1)?.end;
        told(text, typed, range, How::Substring)
    });
    places.take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn explained(typed: &str, text: &str) -> Vec<(String, usize, How)> {
        let query = WordQuery::parse(typed, false).unwrap();
        query.explain(text).into_iter().map(|found| (found.found, found.at, found.how)).collect()
    }

    #[test]
    fn each_place_is_named_with_how_it_answers() {
        let text = "Žádné záruky, but guaranteed returns";
        assert_eq!(explained("zaruky", text), [("záruky".to_owned(), 6, How::Folded)]);
        assert_eq!(explained("guarantee", text), [("guaranteed".to_owned(), 18, How::Inflected("en"))]);
        assert_eq!(explained("\"Guaranteed Returns\"", text), [("guaranteed returns".to_owned(), 18, How::Same)]);
        assert_eq!(explained("guar*", text), [("guaranteed".to_owned(), 18, How::Begins)]);
        assert_eq!(explained("\"guarantee\" or záruky -no", text), [("záruky".to_owned(), 6, How::Same)]);
    }

    #[test]
    fn a_substring_is_found_whatever_its_diacritics() {
        let found = substrings("Účet č. 12/34, učetní", "ucet");
        assert_eq!(
            found.iter().map(|found| (found.found.as_str(), found.at)).collect::<Vec<_>>(),
            [("Účet", 0), ("učet", 15)]
        );
        assert!(substrings("text", "\u{ad}").is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_found_stands_where_it_says(text in "\\PC{0,60}", typed in "\\PC{1,8}") {
            let words = WordQuery::parse(&typed, false).map(|query| query.explain(&text)).unwrap_or_default();
            for found in words.into_iter().chain(substrings(&text, &typed)) {
                let there: String = text.chars().skip(found.at).take(found.found.chars().count()).collect();
                prop_assert_eq!(there, found.found);
            }
        }
    }
}
