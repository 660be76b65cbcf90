//! The bytes of a file, and the text in them.

use super::{
    lines::line_of,
    refusal::{Refusal, SAVE_AS},
};

/// How a file writes its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-8 after a byte order mark.
    Utf8WithMark,
    /// UTF-16, the lower byte first, after a byte order mark.
    Utf16LittleEndian,
    /// UTF-16, the higher byte first, after a byte order mark.
    Utf16BigEndian,
}

/// The byte order marks.
const MARKS: [(&[u8], Encoding); 3] = [
    (b"\xEF\xBB\xBF", Encoding::Utf8WithMark),
    (b"\xFF\xFE", Encoding::Utf16LittleEndian),
    (b"\xFE\xFF", Encoding::Utf16BigEndian),
];

/// Files that people upload by mistake, by their first bytes.
const OTHER_FILES: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a rich text document"),
    (b"<", "HTML or XML"),
];

impl Encoding {
    /// The encoding that the first bytes of a file name, and the rest of the file.
    fn of(bytes: &[u8]) -> (Self, &[u8]) {
        for (mark, encoding) in MARKS {
            if let Some(rest) = bytes.strip_prefix(mark) {
                return (encoding, rest);
            }
        }
        (Self::Utf8, bytes)
    }

    /// The text as bytes in this encoding, with its byte order mark.
    pub(super) fn bytes(self, text: &str) -> Vec<u8> {
        let mark = MARKS.iter().find(|(_, encoding)| *encoding == self);
        let mark = mark.map(|(mark, _)| *mark).unwrap_or_default();
        let units = || text.encode_utf16();
        let text = match self {
            Self::Utf8 | Self::Utf8WithMark => text.as_bytes().to_vec(),
            Self::Utf16LittleEndian => units().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16BigEndian => units().flat_map(u16::to_be_bytes).collect(),
        };
        [mark, &text].concat()
    }
}

/// The content type of a CSV with these bytes.
#[must_use]
pub fn content_type(bytes: &[u8]) -> &'static str {
    match Encoding::of(bytes).0 {
        Encoding::Utf8 | Encoding::Utf8WithMark => "text/csv; charset=utf-8",
        Encoding::Utf16LittleEndian | Encoding::Utf16BigEndian => "text/csv; charset=utf-16",
    }
}

/// The text of a file, without its byte order mark, and its encoding.
pub(super) fn text_of(bytes: &[u8]) -> Result<(String, Encoding), Refusal> {
    for (start, kind) in OTHER_FILES {
        if bytes.starts_with(start) {
            return Err(Refusal(format!(
                "the file is not a CSV but {kind}: {SAVE_AS}"
            )));
        }
    }
    let (encoding, rest) = Encoding::of(bytes);
    let text = match encoding {
        Encoding::Utf8 | Encoding::Utf8WithMark => {
            let text = std::str::from_utf8(rest).map_err(|error| {
                let before = String::from_utf8_lossy(&rest[..error.valid_up_to()]);
                Refusal(format!(
                    "the file is not UTF-8, first in line {}: {SAVE_AS}",
                    line_of(&before, before.len())
                ))
            });
            text.map(str::to_owned)
        }
        Encoding::Utf16LittleEndian => utf16(rest, u16::from_le_bytes),
        Encoding::Utf16BigEndian => utf16(rest, u16::from_be_bytes),
    };
    // Zero characters first: UTF-16 without a mark has them, and is no UTF-8 only where a letter has an accent.
    if encoding == Encoding::Utf8
        && let Some(place) = rest.iter().position(|byte| *byte == 0)
    {
        let before = String::from_utf8_lossy(&rest[..place]);
        return Err(Refusal(format!(
            "the file is not a CSV: it has a zero character in line {}: {SAVE_AS}",
            line_of(&before, before.len())
        )));
    }
    let text = text?;
    match text.find('\0') {
        Some(place) => Err(Refusal(format!(
            "the file is not a CSV: it has a zero character in line {}: {SAVE_AS}",
            line_of(&text, place)
        ))),
        None => Ok((text, encoding)),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Refusal> {
    let (pairs, rest) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(Refusal(format!("the file is broken UTF-16: {SAVE_AS}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_written_as_it_is_read() {
        for encoding in [
            Encoding::Utf8,
            Encoding::Utf8WithMark,
            Encoding::Utf16LittleEndian,
            Encoding::Utf16BigEndian,
        ] {
            let bytes = encoding.bytes("Zoë,😀\n");
            assert_eq!(text_of(&bytes), Ok(("Zoë,😀\n".to_owned(), encoding)));
        }
        assert_eq!(Encoding::Utf16LittleEndian.bytes("a"), b"\xFF\xFEa\0");
        assert_eq!(Encoding::Utf16BigEndian.bytes("a"), b"\xFE\xFF\0a");
        assert_eq!(content_type(b"\xFF\xFEa\0"), "text/csv; charset=utf-16");
        assert_eq!(content_type(b"a"), "text/csv; charset=utf-8");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for (bytes, part) in [
            (&b"\xFF\xFEa"[..], "broken UTF-16"),
            (b"\xFF\xFE\x00\xD8", "broken UTF-16"),
            (b"\xFF\xFE\n\0\0\0", "zero character in line 2"),
            (b"a\0,\0\xE9\0", "zero character in line 1"),
        ] {
            let refusal = text_of(bytes).unwrap_err().0;
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
