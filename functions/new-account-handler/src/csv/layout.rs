//! How a file is laid out: what separates its cells, and what precedes the line that names its columns.

use ::csv::{ReaderBuilder, StringRecord};

use super::{
    column::{Column, Heading, list},
    encoding::Encoding,
    refusal::Refusal,
};
use crate::{characters::shown, similar::similar, tags};

/// Lines in which the columns are looked for.
const LINES: usize = 30;
/// What separates cells, the usual one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Cells that have to name columns in the line that names them; a title can be the name of one.
const NAMED: usize = 2;

/// How a file is laid out, so that its results are laid out alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) encoding: Encoding,
    pub(super) separator: u8,
    pub(super) line_end: &'static str,
    /// The lines above the one that names the columns, as they are.
    pub(super) above: String,
    /// The line that names the columns.
    pub(super) line: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            encoding: Encoding::Utf8,
            separator: b',',
            line_end: "\n",
            above: String::new(),
            line: 1,
        }
    }
}

/// A line of the text, its number and what ends it.
struct Line<'t> {
    at: usize,
    number: usize,
    text: &'t str,
    end: &'static str,
}

/// The lines of a text, whatever ends them.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let (mut at, mut number) = (0, 0);
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let end = ["\r\n", "\n", "\r"]
            .into_iter()
            .find(|end| rest[length..].starts_with(end))
            .unwrap_or_default();
        number += 1;
        let line = Line {
            at,
            number,
            text: &rest[..length],
            end,
        };
        at += length + end.len();
        Some(line)
    })
}

impl Layout {
    /// Finds out how a text is laid out: the first line that names columns, and what separates them.
    ///
    /// # Errors
    /// If no line names columns.
    pub(super) fn of(text: &str, encoding: Encoding) -> Result<Self, Refusal> {
        let mut separators = SEPARATORS.to_vec();
        let mut first = None;
        // A line that names one column only, if no line names more.
        let mut doubtful = None;
        for line in lines(text).take(LINES) {
            if line.text.trim().is_empty() {
                continue;
            }
            if first.is_none()
                && let Some(separator) = declared(line.text)
            {
                separators.splice(.., separator);
                continue;
            }
            first.get_or_insert(line.number);
            let count = |separator: &u8| named(line.text, *separator);
            // The first of the best.
            let Some(separator) = separators.iter().rev().max_by_key(|it| count(it)) else {
                continue;
            };
            let layout = || Self {
                encoding,
                separator: *separator,
                line_end: if line.end.is_empty() { "\n" } else { line.end },
                above: text[..line.at].to_owned(),
                line: line.number,
            };
            match count(separator) {
                0 => {}
                some if some < NAMED => {
                    doubtful.get_or_insert_with(layout);
                }
                _ => return Ok(layout()),
            }
        }
        match (doubtful, first) {
            (Some(layout), _) => Ok(layout),
            (None, Some(first)) => Err(Refusal(format!(
                "line {first} has to name the columns: {}",
                list(&Column::REQUIRED)
            ))),
            (None, None) => Err(Refusal("the file is empty".to_owned())),
        }
    }
}

/// The separator that a line `sep=;` declares, as some spreadsheet programs read it; none if it declares nothing.
fn declared(line: &str) -> Option<Vec<u8>> {
    let line = line.trim_matches(['"', ' ']);
    let prefix = line.get(..4)?;
    if !prefix.eq_ignore_ascii_case("sep=") {
        return None;
    }
    let separator = line[4..].chars().next();
    match separator {
        None => Some(SEPARATORS.to_vec()),
        Some(separator) if separator.is_ascii_punctuation() || separator == '\t' => {
            let rest = line[4..].trim_matches(separator);
            (rest.is_empty() && separator != '"')
                .then(|| u8::try_from(separator).into_iter().collect())
        }
        Some(_) => None,
    }
}

/// How many columns a line names.
fn named(line: &str, separator: u8) -> usize {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(line.as_bytes());
    let mut record = StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record
            .iter()
            .filter(|cell| Heading::of(cell).is_known())
            .count(),
        _ => 0,
    }
}

/// What the cells of the header name.
///
/// # Errors
/// Everything that is wrong with them: unknown, twice, not there.
pub(super) fn headings(
    record: &StringRecord,
    line: usize,
    required: &[Column],
) -> Result<Vec<Heading>, Refusal> {
    let mut problems = Vec::new();
    let mut headings: Vec<Heading> = Vec::new();
    for cell in record {
        let heading = Heading::of(cell);
        match &heading {
            Heading::Other(text) if !text.trim().is_empty() => {
                problems.push(unknown(text.trim()));
            }
            Heading::Tag(key) if key.is_empty() => {
                problems.push("names a tag without a key: write tag:<Key>".to_owned());
            }
            known if known.is_known() && headings.contains(known) => {
                problems.push(format!("names the column {} twice", known.written()));
            }
            Heading::Tag(key) => problems.extend(tags::faults_of_key(key)),
            _ => {}
        }
        headings.push(heading);
    }
    let count_of_tags = headings
        .iter()
        .filter(|heading| matches!(heading, Heading::Tag(_)));
    problems.extend(tags::too_many(count_of_tags.count()));
    for column in required {
        if !headings.contains(&Heading::Column(*column)) {
            problems.push(format!("lacks the column {column}"));
        }
    }
    if problems.is_empty() {
        return Ok(headings);
    }
    Err(Refusal(format!(
        "line {line} {}. Needed are {}; there can also be {},tag:<Key> and, for Security, Billing and Operations \
         each, SecurityContactName,SecurityContactTitle,SecurityContactEmail,SecurityContactPhone; {} are filled in \
         by orgkeeper",
        problems.join(", "),
        list(required),
        list(&Column::ACCESS),
        list(&Column::FILLED)
    )))
}

fn unknown(cell: &str) -> String {
    let names: Vec<String> = Column::all().map(Column::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = similar(cell, &names);
    let hint = match near[..] {
        [near] => format!(" (did you mean {near}?)"),
        _ => String::new(),
    };
    format!("names a column {} that is not known{hint}", shown(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::of(text, Encoding::Utf8).unwrap()
    }

    #[test]
    fn the_separator_is_what_names_most_columns() {
        for (text, separator, line) in [
            ("AccountName,OrgUnit\n", b',', 1),
            ("AccountName;OrgUnit\n", b';', 1),
            ("\"AccountName\"\t\"OrgUnit\"\r\n", b'\t', 1),
            ("AccountName|OrgUnit", b'|', 1),
            ("Title, with a comma\n\nAccountName;OrgUnit\n", b';', 3),
            ("sep=;\nAccountName;OrgUnit\n", b';', 2),
            ("SEP=!\r\nAccountName!OrgUnit\r\n", b'!', 2),
            ("\"sep=,\"\rAccountName,OrgUnit\r", b',', 2),
            ("sep=;;;;\nAccountName;OrgUnit\n", b';', 2),
            ("sep=\t\nAccountName\tOrgUnit\n", b'\t', 2),
            ("sep=\nAccountName;OrgUnit\n", b';', 2),
            ("OrgUnit\nAccountName;OrgUnit\n", b';', 2),
            ("AccountName\n", b',', 1),
        ] {
            let found = layout(text);
            assert_eq!((found.separator, found.line), (separator, line), "{text:?}");
            let above: usize = found.above.matches(['\n', '\r']).count();
            assert!(above <= 2 * line, "{text:?}");
        }
        assert_eq!(layout("a\r\nAccountName,OrgUnit\r\n").above, "a\r\n");
        assert_eq!(layout("AccountName,OrgUnit\r\n").line_end, "\r\n");
    }
}
