//! How people write organizational units.

use unicode_normalization::UnicodeNormalization;

use crate::characters::is_unusual_blank;

/// A text as people see it: composed and decomposed letters are the same ("Unicode Normalization Forms", Unicode
/// Standard Annex 15), and so are all blanks.
#[must_use]
pub fn seen(text: &str) -> String {
    let blank = |character| match character {
        _ if is_unusual_blank(character) => ' ',
        _ => character,
    };
    text.nfc().map(blank).collect()
}

/// The names of a path, without blanks around them.
#[must_use]
pub fn names_of(path: &str) -> Vec<String> {
    let path = seen(path);
    let names = path.split('/').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// What ids of roots begin with.
pub const ROOT: &str = "r-";
/// What ids of organizational units begin with.
const UNIT: &str = "ou-";

/// The id that a text is, or that its ARN ends with.
#[must_use]
pub fn id_alone(text: &str) -> Option<String> {
    let text = text.trim();
    let is_arn = text.starts_with("arn:");
    let id = match text.rsplit_once('/') {
        Some((_, id)) if is_arn => id,
        _ => text.trim_matches('/').trim(),
    };
    is_id(id).then(|| id.to_ascii_lowercase())
}

/// Whether a text has the form of an id: `ou-a1b2-cdefgh34`, `r-a1b2`.
fn is_id(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let parts = |rest: &str| {
        rest.chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '-')
    };
    let of_unit = lower
        .strip_prefix(UNIT)
        .is_some_and(|rest| rest.contains('-') && parts(rest));
    let of_root = lower
        .strip_prefix(ROOT)
        .is_some_and(|rest| !rest.contains('-') && rest.len() > 3 && parts(rest));
    of_unit || of_root
}

/// The parts of `Name (ou-a1b2-cdefgh34)`.
#[must_use]
pub fn name_and_id(text: &str) -> Option<(&str, String)> {
    let (name, id) = text.trim().strip_suffix(')')?.rsplit_once('(')?;
    let id = id.trim();
    is_id(id).then(|| (name.trim_end(), id.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_names() {
        for text in [
            "ou-a1b2-cdefgh34",
            "OU-A1B2-CDEFGH34",
            " /ou-a1b2-cdefgh34/ ",
            "r-a1b2",
        ] {
            assert!(id_alone(text).is_some(), "{text}");
        }
        for text in [
            "ou-",
            "ou-house",
            "r-d",
            "r-and-d",
            "ou-a1b2 cdefgh34",
            "Dev (ou-a1b2-cdefgh34)",
        ] {
            assert_eq!(id_alone(text), None, "{text}");
        }
        let (name, id) = name_and_id("R-D (Team) ( ou-a1b2-cdefgh34 )").unwrap();
        assert_eq!((name, id.as_str()), ("R-D (Team)", "ou-a1b2-cdefgh34"));
        assert_eq!(name_and_id("Team (blue)"), None);
    }

    #[test]
    fn paths_have_names_without_blanks_around_them() {
        assert_eq!(names_of("/ Work /\u{A0}Dev/"), ["Work", "Dev"]);
        assert_eq!(names_of(" / "), Vec::<String>::new());
        assert_eq!(seen("n\u{303}\u{A0}x"), "ñ x");
    }
}
