//! What is said: words as often as in real texts (the tenth word a tenth as often as the first), and a few that are planted.

use super::spec::mix;

/// The most frequent ones are real words of the four languages, so that stems are made as they are in service.
const WORDS: &[&str] = &[
    "market",
    "the",
    "and",
    "fund",
    "client",
    "return",
    "trh",
    "výnos",
    "rynek",
    "zysk",
    "рынок",
    "доход",
    "account",
    "meeting",
    "portfolio",
    "dluhopisy",
    "akcie",
    "obligacje",
    "вклад",
    "погода",
    "price",
    "tomorrow",
    "zítra",
    "jutro",
    "завтра",
    "risk",
    "call",
    "transfer",
    "invoice",
    "opinion",
    "quarter",
    "report",
    "zpráva",
    "raport",
    "отчёт",
    "thanks",
];
const SYLLABLES: &[&str] = &[
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "ze", "bri", "cho",
    "dra", "ště", "pra", "kon", "ver",
];
/// Different words there are, about.
const VOCABULARY: f64 = 40_000.0;

fn push_word(text: &mut String, rank: u64) {
    if let Some(word) = usize::try_from(rank).ok().and_then(|rank| WORDS.get(rank)) {
        text.push_str(word);
        return;
    }
    let mut rest = rank;
    while rest > 0 {
        text.push_str(SYLLABLES[usize::try_from(rest % SYLLABLES.len() as u64).unwrap()]);
        rest /= SYLLABLES.len() as u64;
    }
}

/// A text of 6 to 18 words.
pub(super) fn text(seed: u64) -> String {
    let mut text = String::with_capacity(120);
    for nth in 0..6 + seed % 13 {
        let chance = mix(seed.wrapping_add(nth + 1)) as f64 / u64::MAX as f64;
        // Uniform in the logarithm of the rank.
        let rank = (VOCABULARY.powf(chance) - 1.0) as u64;
        if nth > 0 {
            text.push(' ');
        }
        push_word(&mut text, rank);
    }
    text
}
