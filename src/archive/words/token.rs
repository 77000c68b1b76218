//! A text as words.
//!
//! A word is a run of letters, digits and marks; in scripts that put no spaces between words, each character is one. Everything
//! else stands between words, so `@anna.example`, `example.com/a` and `don't` are sequences of words.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Characters of a word that count. What goes on for longer is no word of any language.
const LONGEST: usize = 100;

/// A word where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// In lower case, composed (NFC), with its diacritics.
    pub(super) word: String,
    /// Bytes of the text.
    pub(super) range: Range<usize>,
}

/// The words of a text, in order.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = chars.find(|(_at, c)| is_letter(*c))?;
        let (mut end, mut word) = (start + first.len_utf8(), String::from(first));
        let mut count = 1;
        // A mark goes with the character before it, in every script.
        while let Some((at, c)) = chars.next_if(|(_at, c)| {
            let joins = is_letter(*c) && !stands_alone(first) && !stands_alone(*c);
            joins || !c.is_ascii() && (is_hidden(*c) || is_combining_mark(*c))
        }) {
            end = at + c.len_utf8();
            if !is_hidden(c) && count < LONGEST {
                word.push(c);
                count += 1;
            }
        }
        Some(Token { word: lower(&word), range: start..end })
    })
}

/// Lower case, composed.
fn lower(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    word.nfc().flat_map(char::to_lowercase).nfc().collect()
}

fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
}

/// Characters that nobody sees, which would otherwise hide a word from a search for it: soft hyphen, zero-width characters,
/// directional marks, variation selectors.
pub(super) const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han.
const fn stands_alone(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).map(|token| token.word).collect()
    }

    #[test]
    fn handles_links_and_contractions_are_sequences_of_words() {
        assert_eq!(words("@Anna.example: don't!"), ["anna", "example", "don", "t"]);
        assert_eq!(words("https://example.com/a?b=1"), ["https", "example", "com", "a", "b", "1"]);
        assert_eq!(words(" #Übung, 3,5 % "), ["übung", "3", "5"]);
    }

    #[test]
    fn what_nobody_sees_hides_no_word() {
        assert_eq!(words("gua\u{ad}ran\u{200b}teed"), ["guaranteed"]);
        assert_eq!(words("e\u{301}te\u{301}"), words("\u{e9}t\u{e9}"), "composed or not");
    }

    #[test]
    fn scripts_without_spaces_have_a_word_for_each_character() {
        assert_eq!(words("投資 ok 保証"), ["投", "資", "ok", "保", "証"]);
    }

    proptest! {
        #[test]
        fn every_text_has_words_that_stand_where_they_say(text in any::<String>()) {
            let mut end = 0;
            for token in tokens(&text) {
                prop_assert!(token.range.start >= end && token.range.end > token.range.start);
                prop_assert!(text.get(token.range.clone()).is_some());
                prop_assert!(!token.word.is_empty());
                end = token.range.end;
            }
        }
    }
}
