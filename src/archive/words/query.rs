//! What is searched for: words, `"phrases"`, `-without`, `or`, `beginning*`.
//!
//! All terms must be found in one text; `or` stands between alternatives of such lists. A word finds its inflected forms; in
//! quotes it finds itself. Diacritics count only when they are asked for.

use std::fmt::Write as _;

use super::fold::folded;
use super::stem::stems;
use super::token::tokens;
use super::vector::quote;

/// Terms of a search, and words of all of them, at most.
const TERMS: usize = 50;
const WORDS: usize = 200;

/// A search for words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordQuery {
    /// One of these lists must be found whole.
    pub(super) any: Vec<Vec<Term>>,
    pub(super) exact: bool,
}

/// One term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// As typed, without the signs around it.
    pub(super) typed: String,
    /// The words that must follow each other.
    pub(super) words: Vec<String>,
    pub(super) without: bool,
    pub(super) quoted: bool,
    /// The last word may go on.
    pub(super) begins: bool,
}

/// Why a search for words cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordQueryError {
    /// No letters or digits in it.
    #[error("holds no word: write one, or look for signs with `text`")]
    NoWord,
    /// An alternative says only what shall not be there.
    #[error("says only what shall not be there: add a word that shall")]
    OnlyWithout,
    /// A quote that does not end.
    #[error("opens a quote and does not close it")]
    OpenQuote,
    /// `or` at the beginning or end, or twice.
    #[error("has an `or` with nothing on one side: put the word \"or\" in quotes to look for it")]
    LonelyOr,
    /// Too long.
    #[error("has more than {TERMS} terms or {WORDS} words")]
    TooMany,
}

impl WordQuery {
    /// Reads a search as people type it. With `exact`, diacritics count and words are found only as they are written.
    ///
    /// # Errors
    /// See [`WordQueryError`].
    pub fn parse(typed: &str, exact: bool) -> Result<Self, WordQueryError> {
        let mut any = vec![Vec::new()];
        let (mut terms, mut words) = (0, 0);
        for piece in pieces(typed) {
            let Some(term) = Term::read(piece?) else {
                any.push(Vec::new());
                continue;
            };
            terms += 1;
            words += term.words.len();
            if terms > TERMS || words > WORDS {
                return Err(WordQueryError::TooMany);
            }
            // Signs alone say nothing about words.
            if !term.words.is_empty()
                && let Some(all) = any.last_mut()
            {
                all.push(term);
            }
        }
        if any.iter().all(Vec::is_empty) {
            return Err(WordQueryError::NoWord);
        }
        if any.iter().any(Vec::is_empty) {
            return Err(WordQueryError::LonelyOr);
        }
        if any.iter().any(|all| all.iter().all(|term| term.without)) {
            return Err(WordQueryError::OnlyWithout);
        }
        Ok(Self { any, exact })
    }

    /// As `tsquery` input.
    pub(in crate::archive) fn to_tsquery(&self) -> String {
        let mut text = String::new();
        join(&mut text, " | ", &self.any, |text, all| {
            text.push('(');
            join(text, " & ", all, |text, term| self.write(text, term));
            text.push(')');
        });
        text
    }

    fn write(&self, text: &mut String, term: &Term) {
        text.push_str(if term.without { "!(" } else { "(" });
        let last = term.words.len().saturating_sub(1);
        let words: Vec<_> = term.words.iter().enumerate().collect();
        join(text, " <-> ", &words, |text, (nth, word)| {
            let begins = term.begins && *nth == last;
            let forms = self.forms(word, !term.quoted && !begins);
            text.push('(');
            join(text, " | ", &forms, |text, form| {
                quote(text, form);
                if begins {
                    // Writing to a string cannot fail.
                    let _infallible = write!(text, ":*");
                }
            });
            text.push(')');
        });
        text.push(')');
    }

    /// The forms under which a word is kept where it is found.
    fn forms(&self, word: &str, inflected: bool) -> Vec<String> {
        if self.exact {
            return vec![format!("e{word}")];
        }
        let plain = folded(word);
        let mut forms = vec![format!("e{plain}"), format!("f{plain}")];
        if inflected {
            // A stem that is a word by itself is not kept once more for that word.
            forms.extend(stems(word).into_iter().flat_map(|(language, stem)| {
                [format!("{}{stem}", language.mark()), format!("e{stem}"), format!("f{stem}")]
            }));
        }
        forms.sort_unstable();
        forms.dedup();
        forms
    }
}

fn join<T>(text: &mut String, between: &str, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            text.push_str(between);
        }
        write(text, item);
    }
}

/// A piece as typed.
enum Piece<'a> {
    Quoted { without: bool, text: &'a str },
    Plain(&'a str),
}

/// Splits at white space and quotes.
fn pieces(typed: &str) -> impl Iterator<Item = Result<Piece<'_>, WordQueryError>> {
    let mut rest = typed;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let bare = rest.strip_prefix('-').unwrap_or(rest);
        if let Some(open) = bare.strip_prefix('"') {
            let without = bare.len() < rest.len();
            let Some((text, after)) = open.split_once('"') else {
                rest = "";
                return Some(Err(WordQueryError::OpenQuote));
            };
            rest = after;
            return Some(Ok(Piece::Quoted { without, text }));
        }
        let (piece, after) = rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len()));
        rest = after;
        Some(Ok(Piece::Plain(piece)))
    })
}

impl Term {
    /// None for `or`.
    fn read(piece: Piece<'_>) -> Option<Self> {
        let (without, quoted, text) = match piece {
            Piece::Quoted { without, text } => (without, true, text),
            Piece::Plain(text) if text.eq_ignore_ascii_case("or") => return None,
            Piece::Plain(text) => text.strip_prefix('-').map_or((false, false, text), |text| (true, false, text)),
        };
        let begins = !quoted && text.ends_with('*') && text.chars().rev().nth(1).is_some_and(char::is_alphanumeric);
        let words = tokens(text).map(|token| token.word).collect();
        Some(Self { typed: text.to_owned(), words, without, quoted, begins })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(typed: &str) -> String {
        WordQuery::parse(typed, false).unwrap().to_tsquery()
    }

    #[test]
    fn a_quote_means_phrase_and_finds_words_as_they_are() {
        assert_eq!(written("\"vysoké výnosy\""), "((('evysoke' | 'fvysoke') <-> ('evynosy' | 'fvynosy')))");
        assert_eq!(written("12 -\"a b\""), "((('e12' | 'f12')) & !(('ea' | 'fa') <-> ('eb' | 'fb')))");
    }

    #[test]
    fn a_word_finds_its_inflected_forms_and_what_begins_with_it() {
        assert!(written("guaranteed").contains("'nguarante"));
        assert_eq!(written("guar*"), "((('eguar':* | 'fguar':*)))");
        assert_eq!(WordQuery::parse("café", true).unwrap().to_tsquery(), "((('ecafé')))");
        assert_eq!(written("1 2 or 3"), "((('e1' | 'f1')) & (('e2' | 'f2'))) | ((('e3' | 'f3')))");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for (typed, error) in [
            ("…", WordQueryError::NoWord),
            ("-returns", WordQueryError::OnlyWithout),
            ("a or -b", WordQueryError::OnlyWithout),
            ("\"open", WordQueryError::OpenQuote),
            ("or a", WordQueryError::LonelyOr),
            ("a or or b", WordQueryError::LonelyOr),
        ] {
            assert_eq!(WordQuery::parse(typed, false), Err(error), "{typed}");
        }
        assert_eq!(WordQuery::parse(&"a ".repeat(TERMS + 1), false), Err(WordQueryError::TooMany));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_a_search_or_an_error(typed in any::<String>(), exact in any::<bool>()) {
            if let Ok(query) = WordQuery::parse(&typed, exact) {
                prop_assert!(!query.to_tsquery().is_empty());
            }
        }
    }
}
