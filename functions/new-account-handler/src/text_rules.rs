//! What rules of several columns have in common.

use std::collections::BTreeSet;

use crate::{
    characters::{first_hidden, is_hidden, named, spoilt},
    csv::{Column, Row},
};

/// What a rule finds wrong with a cell; more than one thing if more is.
pub type Rule = fn(&str) -> Vec<String>;

/// Invisible characters that some scripts write names with.
const JOINERS: [char; 2] = ['\u{200C}', '\u{200D}'];

/// A cell without the blanks around it, unless one of them is the second half of a spoilt letter.
#[must_use]
pub fn text_of(row: &Row, column: Column) -> &str {
    match spoilt(row.as_written(column)) {
        Some(_) => row.as_written(column),
        None => row.get(column),
    }
}

/// What is wrong with a text that may have any letters.
#[must_use]
pub fn free_text(text: &str, most: usize) -> Vec<String> {
    let mut found: Vec<String> = too_long(text, most).into_iter().collect();
    if text.chars().any(char::is_control) {
        found.push("has a line break or another control character".to_owned());
    }
    let hidden = first_hidden(text, &JOINERS);
    found.extend(hidden.map(|hidden| format!("has {hidden}: write it without it")));
    found.extend(spoilt(text).map(|spoilt| spoilt.in_words(text)));
    found
}

/// What is wrong with a text of more than `most` characters.
#[must_use]
pub fn too_long(text: &str, most: usize) -> Option<String> {
    let length = text.chars().count();
    (length > most).then(|| format!("has {length} characters, {most} are the most"))
}

/// The characters that are not `taken`, each named once, a few of them at most.
#[must_use]
pub fn others(text: &str, taken: impl Fn(char) -> bool) -> Option<String> {
    const MOST: usize = 5;
    let strange: BTreeSet<char> = text
        .chars()
        .filter(|character| !taken(*character))
        .collect();
    let names: Vec<String> = strange
        .iter()
        .take(MOST)
        .map(|character| match character {
            ' ' => "a space".to_owned(),
            _ if character.is_control() => "a control character".to_owned(),
            _ if is_hidden(*character) => named(*character),
            // It may look like one that is taken.
            _ if !character.is_ascii() && !is_latin(*character) => {
                format!("{character} (U+{:04X})", u32::from(*character))
            }
            _ => character.to_string(),
        })
        .collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

/// Whether it is a Latin letter with an accent.
fn is_latin(character: char) -> bool {
    matches!(character, '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_another_character_is_named() {
        let named = |text| others(text, |character| character.is_ascii_alphanumeric());
        assert_eq!(named("plain"), None);
        assert_eq!(named("a b"), Some("a space".to_owned()));
        assert_eq!(
            named("Bür\u{430}\u{2011}x"),
            Some("ü and а (U+0430) and ‑ (U+2011)".to_owned())
        );
        assert_eq!(named("\u{7}"), Some("a control character".to_owned()));
    }

    #[test]
    fn blanks_around_a_cell_belong_to_it_only_if_it_is_spoilt() {
        let mut row = Row::at(1);
        row.set(Column::SsoUserLastName, " Silva ");
        assert_eq!(text_of(&row, Column::SsoUserLastName), "Silva");
        row.set(Column::SsoUserLastName, "Nicol\u{C3}\u{A0}");
        assert_eq!(text_of(&row, Column::SsoUserLastName), "Nicol\u{C3}\u{A0}");
    }
}
