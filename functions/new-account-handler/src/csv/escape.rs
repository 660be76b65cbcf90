//! What keeps a spreadsheet program from calculating a cell.

use crate::characters::is_invisible;

/// With what a spreadsheet program begins to calculate; the last four are full width.
pub(super) const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet program could take the cell for a formula, whatever blanks precede it.
fn starts_formula(cell: &str) -> bool {
    let blank = |character: char| {
        character.is_whitespace() || character.is_control() || is_invisible(character)
    };
    let first = cell.chars().next();
    first.is_some_and(char::is_control)
        || cell.trim_start_matches(blank).starts_with(FORMULA_STARTS)
}

/// A cell with a mark before it, if a spreadsheet program could take it for a formula.
pub(super) fn escaped(cell: &str) -> String {
    let mark = if starts_formula(cell) { "'" } else { "" };
    format!("{mark}{cell}")
}

/// A cell without the mark that [`escaped`] gives it.
pub(super) fn unescaped(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if starts_formula(rest) => rest,
        _ => cell,
    }
}

/// Lines that are no rows, with such marks in them.
pub(super) fn harmless(text: &str, separator: char) -> String {
    let ends = [separator, '\r', '\n'];
    let cells = text.split_inclusive(ends).map(|cell| {
        let inner = cell.trim_start_matches('"');
        let quotes = &cell[..cell.len() - inner.len()];
        let text = inner.trim_end_matches(ends);
        let mark = if starts_formula(text) { "'" } else { "" };
        format!("{quotes}{mark}{inner}")
    });
    cells.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_calculates_nothing() {
        for (text, written) in [
            ("Spring, really\r\n,,,\r\n", "Spring, really\r\n,,,\r\n"),
            ("=1+1,\"=x\"\n", "'=1+1,\"'=x\"\n"),
            ("# a,-b\n", "# a,'-b\n"),
        ] {
            assert_eq!(harmless(text, ','), written);
            assert_eq!(harmless(written, ','), written);
        }
    }
}
