//! Text that fits: cut the same way every time.

/// The mark for text that was cut.
const CUT: char = '…';

/// The text without control characters and without space around it.
///
/// Tags and names are anybody's text; Security Hub wants a visible character in every value, and a
/// line break in a note does not help a reader of a table.
#[must_use]
pub fn clean(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// The text if it has at most `limit` characters, else its beginning with `…` as the last of them.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(limit.saturating_sub(1))
            .chain((limit > 0).then_some(CUT))
            .collect(),
    }
}

/// As many of the names as fit into `limit` characters, whole ones, then how many more there are.
#[must_use]
pub fn list(names: &[String], limit: usize) -> String {
    let text = |shown: usize| match (shown, names.len() - shown) {
        (_, 0) => names.join(", "),
        (0, left_out) => format!("{left_out} more"),
        (_, left_out) => format!("{} and {left_out} more", names[..shown].join(", ")),
    };
    let mut chars = 0;
    let worth_a_try = names
        .iter()
        .take_while(|name| {
            chars += name.chars().count();
            chars <= limit
        })
        .count();
    (0..=worth_a_try)
        .rev()
        .map(text)
        .find(|text| text.chars().count() <= limit)
        .unwrap_or_else(|| cut(&text(0), limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_characters() {
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("größen", 5), "größ…");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn a_list_says_how_much_it_leaves_out() {
        let names = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(list(&names, 15), "one, two, three");
        assert_eq!(list(&names, 14), "one and 2 more");
        assert_eq!(list(&names, 8), "3 more");
        assert_eq!(list(&names, 3), "3 …");
        assert_eq!(list(&[], 3), "");
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(clean("\u{0}a\nb\u{85}c\t"), "a b c");
        assert_eq!(clean("\r\n"), "");
    }
}
