//! Cells of a CSV file that a spreadsheet program shows and never calculates.

/// With what a spreadsheet program begins to calculate; the last four are full width.
pub const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Whether nothing is seen of the character.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
            | '\u{FFA0}'
    )
}

/// Whether a spreadsheet program could take the cell for a formula, whatever blanks precede it.
#[must_use]
pub fn starts_formula(cell: &str) -> bool {
    let blank = |character: char| {
        character.is_whitespace() || character.is_control() || is_invisible(character)
    };
    let first = cell.chars().next();
    first.is_some_and(char::is_control)
        || cell.trim_start_matches(blank).starts_with(FORMULA_STARTS)
}

/// A cell with a mark before it, if a spreadsheet program could take it for a formula.
#[must_use]
pub fn escaped(cell: &str) -> String {
    let mark = if starts_formula(cell) { "'" } else { "" };
    format!("{mark}{cell}")
}

/// A cell without the mark that [`escaped`] gives it.
#[must_use]
pub fn unescaped(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if starts_formula(rest) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_calculated_gets_a_mark() {
        for cell in [
            "=cmd()",
            "+1",
            "-1",
            "@a",
            "\t=1",
            " \u{200B}=1",
            "＝1",
            "\u{1}",
        ] {
            assert_eq!(escaped(cell), format!("'{cell}"));
            assert_eq!(unescaped(&escaped(cell)), cell);
        }
        for cell in ["", "a=1", "i-0abc", "'quoted'", "10.0.0.1"] {
            assert_eq!(escaped(cell), cell);
        }
    }
}
