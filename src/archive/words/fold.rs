//! Folding: the same text without case, diacritics and what nobody sees.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::token::is_hidden;

/// A text as it is compared where diacritics do not count.
pub(in crate::archive) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        // Most characters of most texts.
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else if !is_hidden(c) {
            folded.extend(fold_char(c));
        }
    }
    folded
}

/// What one character becomes: nothing, itself, or several.
pub(super) fn fold_char(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().nfkd().flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)).flat_map(plain)
}

/// Letters whose stroke or form is no mark to Unicode.
fn plain(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ł' => ('l', None),
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ø' => ('o', None),
        'ŧ' => ('t', None),
        'ı' => ('i', None),
        'ς' => ('σ', None),
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_diacritics_and_what_nobody_sees_do_not_count() {
        assert_eq!(folded("Příliš ŽLUŤOUČKÝ kůň"), "prilis zlutoucky kun");
        assert_eq!(folded("Zażółć gęślą jaźń"), "zazolc gesla jazn");
        assert_eq!(folded("Ёлка и йод"), "елка и иод");
        assert_eq!(folded("Straße, ﬁn\u{ad}al"), "strasse, final");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
