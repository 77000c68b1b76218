//! A text as a `tsvector`: which forms of which words stand where.
//!
//! Forms: `e` as written, `f` folded (where that differs), and stems under the mark of their language (where they differ from the
//! folded word). A `tsvector` counts places up to 16,383 and holds at most a megabyte; of a text that needs more, the stems that no longer
//! fit are left out first, then the words at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fold::folded;
use super::stem::stems;
use super::token::{Token, tokens};

/// Bytes of forms and places at most: below what Postgres takes (1 MiB, with its own bookkeeping).
const LARGEST: usize = 600_000;
/// Words of a text that are looked at.
const WORDS: usize = 100_000;
/// The last place there is, and the most of one form.
const LAST: u16 = 16_383;
const PLACES: usize = 255;

/// Writes texts as `tsvector` input. No phrase begins in one of them and ends in the next.
pub(in crate::archive) fn vector(texts: &[&str]) -> String {
    let mut vector = Vector::default();
    // Every word first, so that a long text loses stems rather than words.
    for (token, place) in places(texts) {
        let plain = folded(&token.word);
        if plain != token.word {
            vector.put('f', &plain, place);
        }
        if !vector.put('e', &token.word, place) {
            break;
        }
    }
    for (token, place) in places(texts) {
        let plain = folded(&token.word);
        let mut stems = stems(&token.word).into_iter().filter(|(_language, stem)| *stem != plain);
        if !stems.all(|(language, stem)| vector.put(language.mark(), &stem, place)) {
            break;
        }
    }
    vector.write()
}

/// Words with their places, one place left free between two texts.
fn places<'a>(texts: &'a [&str]) -> impl Iterator<Item = (Token, u16)> + 'a {
    let words = texts.iter().flat_map(|text| tokens(text).map(Some).chain([None]));
    let places = (1..=LAST).chain(std::iter::repeat(LAST));
    words.take(WORDS).zip(places).filter_map(|(token, place)| token.map(|token| (token, place)))
}

#[derive(Default)]
struct Vector {
    forms: BTreeMap<String, Vec<u16>>,
    size: usize,
}

impl Vector {
    /// Was there room?
    fn put(&mut self, mark: char, form: &str, place: u16) -> bool {
        if self.size >= LARGEST {
            return false;
        }
        let mut key = String::with_capacity(form.len() + 1);
        key.push(mark);
        key.push_str(form);
        let bytes = key.len();
        let places = self.forms.entry(key).or_default();
        if places.is_empty() {
            self.size += bytes + 8;
        }
        if places.last() != Some(&place) && places.len() < PLACES {
            places.push(place);
            self.size += 2;
        }
        true
    }

    fn write(&self) -> String {
        let mut text = String::with_capacity(self.size + self.forms.len() * 8);
        for (form, places) in &self.forms {
            if !text.is_empty() {
                text.push(' ');
            }
            quote(&mut text, form);
            for (nth, place) in places.iter().enumerate() {
                // Writing to a string cannot fail.
                let _infallible = write!(text, "{}{place}", if nth == 0 { ':' } else { ',' });
            }
        }
        text
    }
}

/// A form as Postgres reads it in a `tsvector` or a `tsquery`.
pub(super) fn quote(text: &mut String, form: &str) {
    text.push('\'');
    for c in form.chars() {
        if matches!(c, '\'' | '\\') {
            text.push(c);
        }
        text.push(c);
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_as_written_folded_and_stemmed() {
        let written = vector(&["Záruky: záruky"]);
        for form in ["'ezáruky':1,2", "'fzaruky':1,2", "'czaruk':1,2"] {
            assert!(written.contains(form), "{form}: {written}");
        }
        assert_eq!(vector(&["12 12", "12"]), "'e12':1,2,4");
        assert_eq!(vector(&[" … "]), "");
    }

    #[test]
    fn the_longest_text_has_a_bounded_vector() {
        let text: String = (0..100_000).map(|number| format!("slovo{number}é ")).collect();
        assert!(vector(&[&text]).len() < 1_000_000);
        assert!(vector(&[&"a ".repeat(100_000)]).len() < 2_000);
    }
}
