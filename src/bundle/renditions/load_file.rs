//! A volume that review platforms load: a Concordance DAT, with the text of each document and a mail as its native file.
//!
//! A convention, not a standard: columns end in U+0014, cells stand between U+00FE, a line break in a cell is U+00AE; UTF-8 with a byte order
//! mark. Those three characters cannot stand in a cell: there they are `th`, a space and `(R)`; the text files have them.

use super::eml;
use super::message::{Message, Person};
use crate::bundle::paths;
use crate::bundle::query::BundleQuery;
use crate::record::{Digest, Part};

/// Documents of a folder.
const FOLDER: u64 = 5_000;

const COLUMNS: [&str; 30] = [
    "BEGBATES",
    "ENDBATES",
    "BEGATTACH",
    "ENDATTACH",
    "CUSTODIAN",
    "FROM",
    "TO",
    "DATESENT",
    "TIMESENT",
    "DOCTYPE",
    "PLATFORM",
    "ACCOUNT",
    "THREADID",
    "PARENTID",
    "EVENTTYPE",
    "POSTURL",
    "CAPTURED_UTC",
    "PLATFORM_UTC",
    "DIRECTION",
    "OUTCOME",
    "WITHHELD",
    "FILENAME",
    "FILEEXT",
    "FILESIZE",
    "SHA256HASH",
    "RECORDID",
    "LEAFINDEX",
    "LEAFHASH",
    "NATIVEPATH",
    "TEXTPATH",
];

/// The columns' names.
pub(super) fn header(into: &mut String) {
    into.push('\u{feff}');
    row(COLUMNS.into_iter(), into);
}

fn row<'a>(cells: impl Iterator<Item = &'a str>, into: &mut String) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            into.push('\u{14}');
        }
        into.push('\u{fe}');
        for c in cell.replace("\r\n", "\n").chars() {
            match c {
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => into.push('\u{ae}'),
                '\u{14}' => into.push(' '),
                '\u{fe}' => into.push_str("th"),
                '\u{ae}' => into.push_str("(R)"),
                c => into.push(c),
            }
        }
        into.push('\u{fe}');
    }
    into.push_str("\r\n");
}

fn people(people: &[Person]) -> String {
    people.iter().map(person).collect::<Vec<_>>().join("; ")
}

/// The characters that part people and addresses stay where we put them.
fn person(person: &Person) -> String {
    let plain = |text: &str| text.replace([';', '<', '>'], " ");
    let (display, account) = (plain(person.display()), plain(person.account()));
    match account.as_str() {
        "" => display,
        same if same == display => account,
        account => format!("{display} <{account}>"),
    }
}

/// One document.
pub(super) struct Document {
    pub(super) row: String,
    pub(super) text_path: String,
    pub(super) text: String,
    pub(super) native_path: String,
    pub(super) native: String,
}

/// The document of this number, from 1.
pub(super) fn document(number: u64, message: &Message<'_>, query: &BundleQuery) -> Document {
    let control = format!("MUN{number:08}");
    let folder = format!("{:04}", number.saturating_sub(1) / FOLDER + 1);
    let (text_name, native_name) = (format!("TEXT/{folder}/{control}.txt"), format!("NATIVES/{folder}/{control}.eml"));
    let native = eml::mail(message, query);
    let entry = &message.shown.entry;
    let sent = message.sent_at().to_string();
    let (date, time) = sent.split_once('T').unwrap_or_default();
    let part = |part| message.part(part).unwrap_or_default();
    let windows = |name: &str| format!(".\\{}", name.replace('/', "\\"));
    let cells: [String; 30] = [
        control.clone(),
        control.clone(),
        control.clone(),
        control.clone(),
        message.shown.advisors().replace(' ', "; "),
        message.author.as_ref().map_or_else(|| message.by().to_owned(), person),
        people(&message.recipients),
        date.to_owned(),
        time.get(..8).unwrap_or_default().to_owned(),
        "Social media".to_owned(),
        message.network.clone(),
        message.author.as_ref().map(|author| author.account().to_owned()).unwrap_or_default(),
        message.thread(),
        part(Part::Parent),
        message.kind.clone(),
        part(Part::Permalink),
        entry.captured_at().to_string(),
        part(Part::OccurredAt),
        message.direction.clone(),
        message.outcome.clone(),
        message.withheld().replace(' ', "; "),
        format!("{control}.eml"),
        "eml".to_owned(),
        native.len().to_string(),
        Digest::of(&[native.as_bytes()]).to_string(),
        message.record.id.to_string(),
        entry.index().to_string(),
        entry.leaf().to_string(),
        windows(&native_name),
        windows(&text_name),
    ];
    let mut line = String::new();
    row(cells.iter().map(String::as_str), &mut line);
    Document {
        row: line,
        text: message.words() + "\n",
        text_path: format!("{}{text_name}", paths::VOLUME),
        native,
        native_path: format!("{}{native_name}", paths::VOLUME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_ends_its_cell_or_its_line() {
        let mut line = String::new();
        row(["a\u{fe}\u{14}\r\nb", "\u{ae}"].into_iter(), &mut line);
        assert_eq!(line, "\u{fe}ath \u{ae}b\u{fe}\u{14}\u{fe}(R)\u{fe}\r\n");
    }
}
