//! What keeps a spreadsheet program from calculating a cell.

pub(super) use orgkeeper_shared::spreadsheet::{escaped, starts_formula, unescaped};

#[cfg(test)]
pub(super) use orgkeeper_shared::spreadsheet::FORMULA_STARTS;

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
