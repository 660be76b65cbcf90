//! Characters that nobody sees or meant: invisible ones, unusual blanks, and letters that another program spoilt.

use std::fmt::Write as _;

pub use orgkeeper_shared::spreadsheet::is_invisible;

/// Invisible characters and unusual blanks that have a name of their own.
const NAMES: [(char, &str); 14] = [
    ('\u{A0}', "a no-break space"),
    ('\u{AD}', "a soft hyphen"),
    ('\u{200B}', "a zero-width space"),
    ('\u{200C}', "a zero-width non-joiner"),
    ('\u{200D}', "a zero-width joiner"),
    ('\u{200E}', "a left-to-right mark"),
    ('\u{200F}', "a right-to-left mark"),
    ('\u{2007}', "a figure space"),
    ('\u{2028}', "a line separator"),
    ('\u{2029}', "a paragraph separator"),
    ('\u{202F}', "a narrow no-break space"),
    ('\u{2060}', "a word joiner"),
    ('\u{3000}', "an ideographic space"),
    ('\u{FEFF}', "a byte order mark"),
];

/// Windows-1252, bytes 80 to 9F; the five that it leaves out are the control characters of Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// What a program puts where it cannot write or read a character.
const REPLACEMENT: char = '\u{FFFD}';

/// Whether it looks like a space and is another character.
#[must_use]
pub fn is_unusual_blank(character: char) -> bool {
    character != ' ' && character.is_whitespace() && !character.is_control()
}

/// Whether two texts with and without it look alike.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    is_invisible(character) || is_unusual_blank(character)
}

/// A cell without blanks and invisible characters around it.
#[must_use]
pub fn bare(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || is_invisible(character))
}

/// A hidden character by its code point, and by its name if it has one: `U+200B (a zero-width space)`.
#[must_use]
pub fn named(character: char) -> String {
    let code = format!("U+{:04X}", u32::from(character));
    match NAMES.iter().find(|(known, _)| *known == character) {
        Some((_, name)) => format!("{code} ({name})"),
        None if is_unusual_blank(character) => format!("{code} (a blank)"),
        None => format!("{code} (invisible)"),
    }
}

/// The first hidden character of a text that is not `allowed`, and where it is:
/// `U+200B (a zero-width space) after "Sand"`.
#[must_use]
pub fn first_hidden(text: &str, allowed: &[char]) -> Option<String> {
    let wanted = |character: &char| is_hidden(*character) && !allowed.contains(character);
    let (place, found) = text
        .char_indices()
        .find(|(_, character)| wanted(character))?;
    let place = match &text[..place] {
        "" => "at its start".to_owned(),
        before => format!("after {}", shown(before)),
    };
    Some(format!("{} {place}", named(found)))
}

/// A text on one line, with the code points of what nobody sees.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::new();
    for character in text.chars() {
        if is_hidden(character) {
            // A string takes whatever is written.
            let _ = write!(visible, "[U+{:04X}]", u32::from(character));
        } else if character.is_control() {
            visible.push(' ');
        } else {
            visible.push(character);
        }
    }
    visible
}

/// Something that somebody wrote, as a message repeats it: between quotation marks, [visible], and not too long.
#[must_use]
pub fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let short: String = text.chars().take(MOST).collect();
    let more = if text.chars().nth(MOST).is_some() {
        "…"
    } else {
        ""
    };
    format!("\"{}{more}\"", visible(&short).replace('"', "'"))
}

/// A text whose letters a program spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoilt {
    /// What it probably was, if that can be known.
    pub original: Option<String>,
}

impl Spoilt {
    /// What is wrong with `text`, and what to do.
    #[must_use]
    pub fn in_words(&self, text: &str) -> String {
        let was = match &self.original {
            Some(original) => format!(" ({})", shown(original)),
            None => String::new(),
        };
        format!(
            "has spoilt letters, {}: a program read the file in another encoding; write the cell again{was} and \
             save the file as \"CSV UTF-8\"",
            shown(text)
        )
    }
}

/// Whether a program spoilt the letters of a text: it read UTF-8 in another code page, or put a replacement
/// character. Letters with accents are no sign of it.
#[must_use]
pub fn spoilt(text: &str) -> Option<Spoilt> {
    let box_drawing = |character: char| matches!(character, '\u{2500}'..='\u{257F}');
    let letters: Vec<char> = text.chars().collect();
    // √ is what C3, the first byte of é, is on a Mac.
    let mac = letters
        .windows(2)
        .any(|pair| pair[0] == '√' && !pair[1].is_ascii());
    if mac || text.contains(REPLACEMENT) || text.contains(box_drawing) {
        return Some(Spoilt { original: None });
    }
    let original = read_again(&letters)?;
    Some(Spoilt {
        original: Some(original),
    })
}

/// The text with each sequence of Windows-1252 characters that is UTF-8 read as UTF-8; nothing if there is none.
fn read_again(letters: &[char]) -> Option<String> {
    let bytes: Vec<Option<u8>> = letters.iter().map(|letter| byte_of(*letter)).collect();
    let mut text = String::new();
    let (mut certain, mut possible) = (0, 0);
    let mut at = 0;
    while at < letters.len() {
        let found = sequence(&bytes[at..]).map(|(character, length)| {
            (plausibility(character, letters[at + 1]), character, length)
        });
        let (character, length) = match found {
            Some((Plausibility::Certain, character, length)) => {
                certain += 1;
                (character, length)
            }
            Some((Plausibility::InCompany, character, length)) => {
                possible += 1;
                (character, length)
            }
            Some((Plausibility::None, ..)) | None => (letters[at], 1),
        };
        text.push(character);
        at += length;
    }
    (certain > 0 || possible > 1).then_some(text)
}

/// How surely a character is what was meant.
enum Plausibility {
    /// Nobody writes this sequence of letters.
    Certain,
    /// Somebody could write it once, not twice.
    InCompany,
    /// It can be what somebody wrote.
    None,
}

/// `second` is the second letter of the spoilt sequence.
fn plausibility(character: char, second: char) -> Plausibility {
    match character {
        // "Ä" and "Å" at the end of a quotation.
        '\u{100}'..='\u{17F}' if matches!(second, '’' | '“' | '”') => Plausibility::None,
        // Greek and Cyrillic.
        '\u{380}'..='\u{47F}' => Plausibility::InCompany,
        '\u{A0}'..='\u{17F}'
        | '\u{1E00}'..='\u{1EFF}'
        | '\u{2000}'..='\u{214F}'
        | '\u{3040}'..='\u{30FF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{FB00}'..='\u{FB06}'
        | '\u{FF00}'..='\u{FFFF}'
        | '\u{10000}'.. => Plausibility::Certain,
        _ => Plausibility::None,
    }
}

/// The character whose UTF-8 these bytes begin with, if it has more than one byte, and its length.
fn sequence(bytes: &[Option<u8>]) -> Option<(char, usize)> {
    let length = match bytes.first()?.as_ref()? {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let bytes: Vec<u8> = bytes
        .get(..length)?
        .iter()
        .copied()
        .collect::<Option<_>>()?;
    let character = std::str::from_utf8(&bytes).ok()?.chars().next()?;
    Some((character, length))
}

/// The byte of a character in Windows-1252 or Latin-1, if it is no ASCII.
fn byte_of(character: char) -> Option<u8> {
    match WINDOWS_1252.iter().position(|known| *known == character) {
        Some(place) => u8::try_from(0x80 + place).ok(),
        None => u8::try_from(u32::from(character))
            .ok()
            .filter(|byte| *byte >= 0x80),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_message_repeats_is_short_and_on_one_line() {
        assert_eq!(shown("a\n\"b\""), "\"a 'b'\"");
        assert_eq!(shown(&"ü".repeat(61)), format!("\"{}…\"", "ü".repeat(60)));
        assert_eq!(
            shown("Sand\u{200B}box\u{A0}"),
            "\"Sand[U+200B]box[U+00A0]\""
        );
    }

    #[test]
    fn hidden_characters_have_names_and_places() {
        for (text, words) in [
            (
                "Sand\u{200B}box",
                "U+200B (a zero-width space) after \"Sand\"",
            ),
            ("\u{A0}x", "U+00A0 (a no-break space) at its start"),
            ("x\u{2003}", "U+2003 (a blank) after \"x\""),
            ("x\u{202E}y", "U+202E (invisible) after \"x\""),
        ] {
            assert_eq!(first_hidden(text, &[]).as_deref(), Some(words), "{text:?}");
        }
        assert_eq!(first_hidden("plain text", &[]), None);
        assert_eq!(first_hidden("a\u{200D}b", &['\u{200D}']), None);
    }

    #[test]
    fn spoilt_letters_are_recognized() {
        for (text, original) in [
            ("RenÃ©", Some("René")),
            ("HÃ¶ll", Some("Höll")),
            ("Ã–zil", Some("Özil")),
            ("Å\u{81}ukasz", Some("Łukasz")),
            ("Åukasz Å\u{84}", Some("Åukasz ń")),
            ("Oâ€™Neil", Some("O’Neil")),
            ("Ð˜Ð²Ð°Ð½", Some("Иван")),
            ("æ\u{9D}±äº¬", Some("東京")),
            ("ðŸ˜€", Some("😀")),
            ("ï¿½", Some("\u{FFFD}")),
            ("M\u{FFFD}ller", None),
            ("Ren├®", None),
            ("Ren√©", None),
        ] {
            let found = spoilt(text).unwrap_or_else(|| panic!("{text} is not recognized"));
            assert_eq!(found.original.as_deref(), original, "{text}");
        }
    }

    #[test]
    fn real_letters_are_no_sign_of_it() {
        for text in [
            "João",
            "Sá",
            "SÃO PAULO",
            "IRMÃ",
            "Zoë Brün",
            "ÅÄÖ åäö",
            "CAFÉ’S",
            "Ñandú",
            "Þórður",
            "Ærø",
            "Łódź",
            "Иван",
            "東京",
            "😀",
            "ÄRÄ”",
            "√2",
            "Übung – Ö",
            "naïve façade",
            "Ðað’s",
        ] {
            assert_eq!(spoilt(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_latin_name_that_was_spoilt_is_recognized(name in "[A-Z][a-zäöüßéèêçñåæøãõ]{1,9}") {
            let broken: String = name
                .bytes()
                .map(|byte| match byte {
                    0x80..=0x9F => WINDOWS_1252[usize::from(byte) - 0x80],
                    _ => char::from(byte),
                })
                .collect();
            prop_assert_eq!(spoilt(&name), None);
            if name.is_ascii() {
                prop_assert_eq!(broken, name);
            } else {
                prop_assert_eq!(spoilt(&broken).and_then(|it| it.original), Some(name));
            }
        }
    }
}
