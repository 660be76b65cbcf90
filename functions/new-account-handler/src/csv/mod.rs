//! The file: reading what somebody wrote, and writing its results.

use std::fmt;

use ::csv::{ReaderBuilder, StringRecord, WriterBuilder};

/// Bytes that a file may have.
pub const MOST_BYTES: usize = 5 * 1024 * 1024;
/// Rows that a file may have.
pub const MOST_ROWS: usize = 5_000;
/// What tells a person how to save a file that this can read.
const SAVE_AS: &str = "save it as \"CSV UTF-8\"";

/// A column of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The account's name.
    AccountName,
    /// The e-mail address of the user who owns the account.
    SsoUserEmail,
    /// The account's e-mail address.
    AccountEmail,
    /// The first name of the user who owns the account.
    SsoUserFirstName,
    /// The last name of the user who owns the account.
    SsoUserLastName,
    /// The organizational unit that the account goes into.
    OrgUnit,
    /// Groups that get access, by name, separated by `;`.
    Groups,
    /// The permission sets that they get, by name, separated by `;`.
    PermissionSet,
    /// Filled in the results: the status of the row's request.
    Status,
    /// Filled in the results: the account's id.
    AccountId,
    /// Filled in the results: what is wrong.
    ErrorMsg,
}

/// How many columns there are.
const COLUMNS: usize = 11;

impl Column {
    /// Those that a file needs, in the usual order.
    pub const REQUIRED: [Self; 6] = [
        Self::AccountName,
        Self::SsoUserEmail,
        Self::AccountEmail,
        Self::SsoUserFirstName,
        Self::SsoUserLastName,
        Self::OrgUnit,
    ];
    /// Those that a file can have beside.
    pub const OPTIONAL: [Self; 2] = [Self::Groups, Self::PermissionSet];
    /// Those that the results fill in.
    pub const FILLED: [Self; 3] = [Self::Status, Self::AccountId, Self::ErrorMsg];

    /// As line 1 names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountName => "AccountName",
            Self::SsoUserEmail => "SSOUserEmail",
            Self::AccountEmail => "AccountEmail",
            Self::SsoUserFirstName => "SSOUserFirstName",
            Self::SsoUserLastName => "SSOUserLastName",
            Self::OrgUnit => "OrgUnit",
            Self::Groups => "Groups",
            Self::PermissionSet => "PermissionSet",
            Self::Status => "Status",
            Self::AccountId => "AccountId",
            Self::ErrorMsg => "ErrorMsg",
        }
    }

    /// The column that a cell of line 1 names, in any case.
    fn named(cell: &str) -> Option<Self> {
        // The spelling of the AWS sample's own header.
        if cell.eq_ignore_ascii_case("ErrroMsg") {
            return Some(Self::ErrorMsg);
        }
        Self::REQUIRED
            .into_iter()
            .chain(Self::OPTIONAL)
            .chain(Self::FILLED)
            .find(|column| cell.eq_ignore_ascii_case(column.name()))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is wrong with a row, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The column that it is in; nothing for the row as a whole.
    pub column: Option<Column>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Fault {
    /// A fault of one cell.
    pub fn of(column: Column, text: impl Into<String>) -> Self {
        Self {
            column: Some(column),
            text: text.into(),
        }
    }
}

/// Why nothing of a file is read, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    /// The file has more than [`MOST_BYTES`].
    #[must_use]
    pub fn too_long() -> Self {
        Self("the file is longer than 5 MB: split it into several files".to_owned())
    }
}

/// A row of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The line of the file that it begins in.
    pub line: usize,
    cells: [String; COLUMNS],
    /// What is wrong with its form.
    pub faults: Vec<Fault>,
}

impl Row {
    /// An empty row in this line.
    #[must_use]
    pub fn at(line: usize) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }

    /// A cell, without spaces around it; empty if the file does not have the column.
    #[must_use]
    pub fn get(&self, column: Column) -> &str {
        &self.cells[column as usize]
    }

    /// Fills a cell.
    pub fn set(&mut self, column: Column, text: &str) {
        text.trim().clone_into(&mut self.cells[column as usize]);
    }

    /// The table's key for the row's account.
    #[must_use]
    pub fn key(&self) -> String {
        self.get(Column::AccountEmail).to_lowercase()
    }
}

/// A file that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    columns: Vec<Column>,
    /// Its rows, those with faults included.
    pub rows: Vec<Row>,
}

/// Reads a file. Rows without any text are left out.
///
/// # Errors
/// If it is no CSV with the columns that are needed, or has no rows or too many.
pub fn read(bytes: &[u8]) -> Result<File, Refusal> {
    let text = text_of(bytes)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = Lines {
        text,
        at: 0,
        line: 1,
    };
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        let more = reader
            .read_record(record)
            .map_err(|error| Refusal(format!("the file is not a CSV: {error}")))?;
        let begin = record
            .position()
            .and_then(|position| usize::try_from(position.byte()).ok())
            .unwrap_or_default();
        Ok::<_, Refusal>(more.then(|| lines.of(begin)))
    };

    let Some(line) = next(&mut record)? else {
        return Err(Refusal("the file is empty".to_owned()));
    };
    let places = header(&record, line, text)?;
    let mut rows = Vec::new();
    while let Some(line) = next(&mut record)? {
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if rows.len() == MOST_ROWS {
            return Err(Refusal(format!(
                "the file has more than {MOST_ROWS} rows: split it into several files"
            )));
        }
        rows.push(row(&record, line, &places));
    }
    if rows.is_empty() {
        return Err(Refusal(
            "the file has a header, but no rows below it".to_owned(),
        ));
    }
    Ok(File {
        columns: places.into_iter().flatten().collect(),
        rows,
    })
}

/// Files that people upload by mistake, by their first bytes.
const OTHER_FILES: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a rich text document"),
    (b"<", "HTML or XML"),
    (b"\xFF\xFE", "UTF-16 text"),
    (b"\xFE\xFF", "UTF-16 text"),
];

/// The text of the file, without its byte order mark.
fn text_of(bytes: &[u8]) -> Result<&str, Refusal> {
    for (start, kind) in OTHER_FILES {
        if bytes.starts_with(start) {
            return Err(Refusal(format!(
                "the file is not a CSV but {kind}: {SAVE_AS}"
            )));
        }
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let line_of = |place: usize| {
        let before = String::from_utf8_lossy(&bytes[..place]);
        Lines {
            text: &before,
            at: 0,
            line: 1,
        }
        .of(before.len())
    };
    if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Refusal(format!(
            "the file is not a CSV: it has a zero character in line {}: {SAVE_AS}",
            line_of(place)
        )));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        Refusal(format!(
            "the file is not UTF-8, first in line {}: {SAVE_AS}",
            line_of(error.valid_up_to())
        ))
    })
}

/// Counts the lines of a text, front to back.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of what follows `place`, line breaks that precede it left out.
    fn of(&mut self, place: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = bytes[place.min(bytes.len())..]
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'))
            .map_or(bytes.len(), |skipped| place + skipped);
        while self.at < end {
            let breaks = match bytes[self.at] {
                b'\n' => true,
                // The break of old Macs; in CRLF the second half counts.
                b'\r' => bytes.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(breaks);
            self.at += 1;
        }
        self.line
    }
}

/// Separators that some programs write instead of commas.
const OTHER_SEPARATORS: [(char, &str); 3] = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")];

/// The column of each cell of the header; nothing where it is empty.
fn header(record: &StringRecord, line: usize, text: &str) -> Result<Vec<Option<Column>>, Refusal> {
    let required = list(&Column::REQUIRED);
    let named: Vec<(&str, Option<Column>)> = record
        .iter()
        .map(str::trim)
        .map(|cell| (cell, Column::named(cell)))
        .collect();
    if named.iter().all(|(_, column)| column.is_none()) {
        let first = text.trim_start().lines().next().unwrap_or_default();
        let other = OTHER_SEPARATORS.iter().find(|(separator, _)| {
            first
                .split(*separator)
                .any(|cell| Column::named(cell.trim().trim_matches('"')).is_some())
        });
        return Err(Refusal(match other {
            Some((_, name)) => format!(
                "line {line} separates the columns by {name}: save the file with commas between them"
            ),
            None => format!("line {line} has to name the columns: {required}"),
        }));
    }
    let mut problems = Vec::new();
    let mut places = Vec::new();
    for (cell, column) in named {
        match column {
            None if !cell.is_empty() => {
                problems.push(format!("names a column {} that is not known", shown(cell)));
            }
            Some(column) if places.contains(&Some(column)) => {
                problems.push(format!("names the column {column} twice"));
            }
            _ => {}
        }
        places.push(column);
    }
    for column in Column::REQUIRED {
        if !places.contains(&Some(column)) {
            problems.push(format!("lacks the column {column}"));
        }
    }
    if problems.is_empty() {
        return Ok(places);
    }
    Err(Refusal(format!(
        "line {line} {}. Needed are {required}; there can also be {}; {} are filled in by orgkeeper",
        problems.join(", "),
        list(&Column::OPTIONAL),
        list(&Column::FILLED)
    )))
}

fn list(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    names.join(",")
}

fn row(record: &StringRecord, line: usize, places: &[Option<Column>]) -> Row {
    let mut row = Row::at(line);
    for (place, cell) in record.iter().enumerate() {
        let cell = unescaped(cell.trim());
        match places.get(place) {
            Some(Some(column)) => row.set(*column, cell),
            _ if cell.is_empty() => {}
            _ => row.faults.push(Fault {
                column: None,
                text: format!(
                    "has {} in cell {}, for which line 1 names no column",
                    shown(cell),
                    place + 1
                ),
            }),
        }
    }
    if record.len() < places.len() {
        // After a quotation mark that is not closed, the next lines belong to the cell.
        let several_lines = record.iter().any(|cell| cell.contains('\n'));
        let hint = if several_lines {
            "; is a quotation mark not closed?"
        } else {
            ""
        };
        row.faults.push(Fault {
            column: None,
            text: format!(
                "has {} cells, but line 1 names {} columns{hint}",
                record.len(),
                places.len()
            ),
        });
    }
    row
}

impl File {
    /// What the results say of a file of which nothing was read.
    #[must_use]
    pub fn refused(message: &str) -> Self {
        let mut row = Row::default();
        row.set(Column::Status, "FAILED");
        row.set(Column::ErrorMsg, message);
        Self {
            columns: Column::REQUIRED.to_vec(),
            rows: vec![row],
        }
    }

    /// The file as CSV: the columns that it had, and those that the results fill.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let missing = Column::FILLED
            .into_iter()
            .filter(|column| !self.columns.contains(column));
        let columns: Vec<Column> = self.columns.iter().copied().chain(missing).collect();
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        let header = columns.iter().map(|column| column.name().to_owned());
        let rows = self.rows.iter().map(|row| {
            let cells = columns.iter().map(|column| escaped(row.get(*column)));
            cells.collect::<Vec<_>>()
        });
        for record in std::iter::once(header.collect()).chain(rows) {
            // Memory takes whatever is written.
            let _ = writer.write_record(record);
        }
        writer.into_inner().unwrap_or_default()
    }
}

/// With what a spreadsheet program begins to calculate; the last four are full width. Tabs and line
/// breaks, which some take too, never begin a cell: it has no blanks around it.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet program could take the cell for a formula, whatever blanks precede it.
fn starts_formula(cell: &str) -> bool {
    let blank = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
    };
    cell.trim_start_matches(blank).starts_with(FORMULA_STARTS)
}

fn escaped(cell: &str) -> String {
    let mark = if starts_formula(cell) { "'" } else { "" };
    format!("{mark}{cell}")
}

fn unescaped(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if starts_formula(rest) => rest,
        _ => cell,
    }
}

/// Something that somebody wrote, as a message repeats it.
#[must_use]
pub fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let plain = |character: char| match character {
        _ if character.is_control() => ' ',
        '"' => '\'',
        _ => character,
    };
    let mut short: String = text.chars().take(MOST).map(plain).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,ErrorMsg";
    const ROW: &str = "dev,ana@example.com,aws+dev@example.com,Ana,Silva,Sandbox,,,";

    fn rows(lines: &[&str]) -> File {
        read(format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes()).unwrap()
    }

    fn refusal(file: impl AsRef<[u8]>) -> String {
        read(file.as_ref()).unwrap_err().0
    }

    #[test]
    fn columns_come_in_any_order_case_and_dress() {
        let text = "\u{FEFF}errroMSG, OrgUnit ,\"SSOUserLastName\",ssouserfirstname,AccountEmail,SSOUserEmail,ACCOUNTNAME,groups,\r\n\
                    \r\n,Workloads/Prod,\"O\"\"Hara, the second\", Ana ,a@b.example,c@d.example,\"dev\",\"one; two\",\r\n";
        let file = read(text.as_bytes()).unwrap();
        let [row] = &file.rows[..] else {
            panic!("{file:?}");
        };
        assert_eq!(row.line, 3);
        assert_eq!(row.faults, []);
        assert_eq!(row.get(Column::SsoUserLastName), "O\"Hara, the second");
        assert_eq!(row.get(Column::SsoUserFirstName), "Ana");
        assert_eq!(row.get(Column::Groups), "one; two");
        assert_eq!(row.get(Column::PermissionSet), "");
        let written = String::from_utf8(file.write()).unwrap();
        assert_eq!(
            written.lines().next(),
            Some(
                "ErrorMsg,OrgUnit,SSOUserLastName,SSOUserFirstName,AccountEmail,SSOUserEmail,AccountName,Groups,Status,AccountId"
            )
        );
    }

    #[test]
    fn rows_know_their_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                HEADER,
                "",
                ROW,
                ",,,,,,,,",
                "",
                "\"two",
                "lines\",x,,,,,,,",
                ROW,
            ];
            let file = read(lines.join(end).as_bytes()).unwrap();
            let lines: Vec<usize> = file.rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [3, 6, 8], "{end:?}");
        }
    }

    #[test]
    fn too_few_and_too_many_cells_are_faults_of_the_row() {
        let file = rows(&["a,b,c", &format!("{ROW},,"), &format!("{ROW},more"), ROW]);
        let faults: Vec<Vec<&str>> = file
            .rows
            .iter()
            .map(|row| row.faults.iter().map(|fault| fault.text.as_str()).collect())
            .collect();
        assert_eq!(
            faults,
            [
                vec!["has 3 cells, but line 1 names 9 columns"],
                vec![],
                vec!["has \"more\" in cell 10, for which line 1 names no column"],
                vec![],
            ]
        );
        let open = rows(&["dev,\"ana", ROW]);
        assert!(open.rows[0].faults[0].text.ends_with("not closed?"));
    }

    #[test]
    fn each_kind_of_wrong_file_has_its_message() {
        let with_rows = |header: &str| refusal(format!("{header}\n{ROW}\n"));
        for (message, part) in [
            (refusal(""), "is empty"),
            (refusal("\u{FEFF}"), "is empty"),
            (refusal("\r\n\n"), "is empty"),
            (refusal(HEADER), "no rows"),
            (refusal(format!("{HEADER}\n,,,,\n")), "no rows"),
            (refusal(ROW), "line 1 has to name the columns: AccountName,"),
            (refusal(",,,\n,,,"), "has to name the columns"),
            (refusal(HEADER.replace(',', ";")), "semicolons"),
            (refusal(HEADER.replace(',', "\t")), "tabs"),
            (refusal(b"PK\x03\x04rest"), "Excel workbook"),
            (refusal(b"%PDF-1.7"), "a PDF"),
            (refusal(b"\xFF\xFEA\0c\0"), "UTF-16"),
            (refusal("a,b\nc,\0"), "zero character in line 2"),
            (
                refusal(b"a\nb\nc\xFC,d"),
                "not UTF-8, first in line 3: save it as \"CSV UTF-8\"",
            ),
            (
                with_rows(&HEADER.replace("OrgUnit", "OU")),
                "names a column \"OU\" that is not known, lacks the column OrgUnit",
            ),
            (
                with_rows(&format!("{HEADER},errroMsg")),
                "the column ErrorMsg twice",
            ),
            (
                with_rows(&HEADER.replace("SSOUserEmail,", "")),
                "lacks the column SSOUserEmail",
            ),
            (
                refusal(format!("{HEADER}\n{}", format!("{ROW}\n").repeat(5_001))),
                "more than 5000 rows",
            ),
        ] {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        assert_eq!(rows(&vec![ROW; MOST_ROWS]).rows.len(), MOST_ROWS);
    }

    #[test]
    fn our_own_escape_is_taken_off_again() {
        let file = rows(&["'-dev,'=x,''=y,'plain,\"' @z\",\"'\r'-\",,,"]);
        let cells: Vec<&str> = Column::REQUIRED
            .iter()
            .map(|column| file.rows[0].get(*column))
            .collect();
        assert_eq!(cells, ["-dev", "=x", "''=y", "'plain", "@z", "'\r'-"]);
        let written = String::from_utf8(file.write()).unwrap();
        assert!(
            written.ends_with("\n'-dev,'=x,''=y,'plain,'@z,\"'\r'-\",,,\n"),
            "{written}"
        );
    }

    #[test]
    fn a_refused_file_has_results_that_can_be_read() {
        let file = File::refused("not a CSV: =1+1, \"really\"");
        let text = String::from_utf8(file.write()).unwrap();
        assert_eq!(
            text,
            format!("{HEADER}\n,,,,,,FAILED,,\"not a CSV: =1+1, \"\"really\"\"\"\n")
        );
        assert!(read(text.as_bytes()).is_ok());
    }

    #[test]
    fn what_a_message_repeats_is_short_and_on_one_line() {
        assert_eq!(shown("a\n\"b\""), "\"a 'b'\"");
        assert_eq!(shown(&"ü".repeat(61)), format!("\"{}…\"", "ü".repeat(60)));
    }

    /// Cells of the kinds that go wrong.
    pub(crate) fn cells() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ \t\r\n'\"=+@,;-]{0,6}",
            "[ ']{0,2}[=+@\u{FF1D}\u{200B}-]{0,2}[a-z]{0,3}",
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
            let _ = read(&[HEADER.as_bytes(), b"\n", &bytes].concat());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a,\"\r\n;=ü\\x00]{0,60}") {
            let _ = read(format!("{HEADER}\r\n{text}").as_bytes());
        }

        #[test]
        fn results_never_calculate_and_read_as_they_were(
            table in proptest::collection::vec(proptest::collection::vec(cells(), COLUMNS), 1..5)
        ) {
            let all = Column::REQUIRED.into_iter().chain(Column::OPTIONAL).chain(Column::FILLED);
            let columns: Vec<Column> = all.collect();
            let rows = table.iter().map(|cells| {
                let mut row = Row::default();
                for (column, cell) in columns.iter().zip(cells) {
                    row.set(*column, cell);
                }
                row
            });
            let written = File { columns: columns.clone(), rows: rows.collect() }.write();
            let mut reader = ReaderBuilder::new().has_headers(false).from_reader(&written[..]);
            for record in reader.records().flatten() {
                for cell in &record {
                    prop_assert!(!cell.trim_start().starts_with(FORMULA_STARTS), "{cell:?}");
                    prop_assert!(!cell.starts_with(char::is_whitespace), "{cell:?}");
                }
            }
            if let Ok(file) = read(&written) {
                prop_assert_eq!(file.columns.len(), COLUMNS);
                let again = read(&file.write()).unwrap();
                for (one, other) in file.rows.iter().zip(&again.rows) {
                    prop_assert_eq!(&one.cells, &other.cells);
                }
                prop_assert_eq!(file.rows.len(), again.rows.len());
            }
        }
    }
}
