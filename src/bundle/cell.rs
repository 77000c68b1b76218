//! One cell of comma-separated values (RFC 4180), wherever such a table leaves the building.
//!
//! Invariant: no cell begins with what a spreadsheet takes for a formula; what did begin so has an apostrophe before it. Quotes, commas
//! and line breaks inside a cell stay inside it.

/// Writes a text as a cell. Every cell is quoted: nothing is left to guess, also not about spaces at its ends.
pub fn csv_cell(text: &str, into: &mut String) {
    into.push('"');
    // Also the wide forms, which some spreadsheets read alike.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        into.push('\'');
    }
    for c in text.chars() {
        if c == '"' {
            into.push('"');
        }
        into.push(c);
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_quotes_stay_inside() {
        let cells = ["=1+1", "a\"b", "\tx", "plain"].map(|value| {
            let mut text = String::new();
            csv_cell(value, &mut text);
            text
        });
        assert_eq!(cells, ["\"'=1+1\"", "\"a\"\"b\"", "\"'\tx\"", "\"plain\""]);
    }
}
