//! A file: reading it, and writing its results.

use ::csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::{
    column::{Column, Heading, list},
    encoding::text_of,
    escape::{escaped, harmless, unescaped},
    layout::{self, Layout},
    lines::Lines,
    refusal::Refusal,
    row::{Fault, Row},
};
use crate::characters::{self, shown};

/// Bytes that a file may have.
pub const MOST_BYTES: usize = 5 * 1024 * 1024;
/// Rows that a file may have.
pub const MOST_ROWS: usize = 5_000;
/// Who owns the accounts of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Every row has to say it: Account Factory's own parameters.
    Required,
    /// A row can say it: Organizations creates accounts without it.
    Optional,
}

impl Owner {
    /// The columns that a file needs.
    #[must_use]
    pub fn required(self) -> Vec<Column> {
        let mut columns = Column::REQUIRED.to_vec();
        if self == Self::Optional {
            columns.retain(|column| !Column::OWNER.contains(column));
        }
        columns
    }
}

/// A file that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    layout: Layout,
    headings: Vec<Heading>,
    /// Its rows, those with faults included.
    pub rows: Vec<Row>,
    /// The comments and empty lines after the last row.
    after: String,
}

/// Reads a file. Lines above the one that names the columns, comments (`#`) and rows without any text are no rows.
///
/// # Errors
/// If it is no CSV with the columns that are needed, or has no rows or too many.
pub fn read(bytes: &[u8], owner: Owner) -> Result<File, Refusal> {
    let (text, encoding) = text_of(bytes)?;
    let layout = Layout::of(&text, encoding)?;
    let begin = layout.above.len();
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(layout.separator)
        // The reader ends a comment at a line feed only.
        .comment((layout.line_end != "\r").then_some(COMMENT))
        .from_reader(&text.as_bytes()[begin..]);
    let mut record = StringRecord::new();
    let mut lines = Lines::new(&text);
    // Where the last row ended; what is between two rows is kept.
    let mut end = begin;
    let mut headings = Vec::new();
    let mut rows = Vec::new();
    loop {
        let more = reader
            .read_record(&mut record)
            .map_err(|error| Refusal(format!("the file is not a CSV: {error}")))?;
        if !more {
            break;
        }
        let place = record.position().map_or(0, ::csv::Position::byte);
        let place = begin + usize::try_from(place).unwrap_or_default();
        let place = start_of_row(&text, place, layout.line_end);
        let next = begin + usize::try_from(reader.position().byte()).unwrap_or_default();
        let line = lines.of(place);
        if headings.is_empty() {
            headings = layout::headings(&record, line, &owner.required())?;
            end = after_break(&text, next);
            continue;
        }
        if is_no_row(&record) || text.as_bytes().get(place) == Some(&COMMENT) {
            continue;
        }
        if rows.len() == MOST_ROWS {
            return Err(Refusal(format!(
                "the file has more than {MOST_ROWS} rows: split it into several files"
            )));
        }
        let mut row = row(&record, line, &headings, &layout, owner);
        text.get(end..place)
            .unwrap_or_default()
            .clone_into(&mut row.before);
        rows.push(row);
        end = after_break(&text, next);
    }
    if rows.is_empty() {
        return Err(Refusal(
            "the file has a header, but no rows below it".to_owned(),
        ));
    }
    Ok(File {
        after: text.get(end..).unwrap_or_default().to_owned(),
        layout,
        headings,
        rows,
    })
}

/// What begins a comment.
const COMMENT: u8 = b'#';

/// Whether there is no text in a record, or only a comment that a spreadsheet program has put between quotation marks.
fn is_no_row(record: &StringRecord) -> bool {
    let mut texts = record
        .iter()
        .filter(|cell| !characters::bare(cell).is_empty());
    match (texts.next(), texts.next()) {
        (None, _) => true,
        (Some(only), None) => {
            record.get(0) == Some(only) && only.trim_start().as_bytes().first() == Some(&COMMENT)
        }
        _ => false,
    }
}

/// Where the record begins that is read from `place` on: behind line breaks, and behind comments that end with a line
/// feed.
fn start_of_row(text: &str, place: usize, line_end: &str) -> usize {
    let bytes = text.as_bytes();
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let mut at = place.min(bytes.len());
    loop {
        at += bytes[at..].iter().take_while(|byte| is_break(byte)).count();
        if bytes.get(at) != Some(&COMMENT) || line_end == "\r" {
            return at;
        }
        at += bytes[at..]
            .iter()
            .take_while(|byte| **byte != b'\n')
            .count();
    }
}

/// The end of a line break of two characters whose first one ends at `place`.
fn after_break(text: &str, place: usize) -> usize {
    let bytes = text.as_bytes();
    let between =
        place > 0 && bytes.get(place - 1) == Some(&b'\r') && bytes.get(place) == Some(&b'\n');
    place + usize::from(between)
}

fn row(
    record: &StringRecord,
    line: usize,
    headings: &[Heading],
    layout: &Layout,
    owner: Owner,
) -> Row {
    let mut row = Row::at(line);
    for (place, cell) in record.iter().enumerate() {
        let cell = unescaped(cell);
        match headings.get(place) {
            Some(Heading::Column(column)) => row.set(*column, cell),
            Some(Heading::Tag(key)) => row.set_tag(key, cell),
            _ => {
                if !characters::bare(cell).is_empty() {
                    row.faults.push(Fault::of_row(format!(
                        "has {} in cell {}, for which line {} names no column",
                        shown(cell.trim()),
                        place + 1,
                        layout.line
                    )));
                }
                row.others.insert(place, cell.to_owned());
            }
        }
    }
    let missing: Vec<Column> = owner
        .required()
        .into_iter()
        .filter(|column| {
            let place = headings
                .iter()
                .position(|heading| *heading == Heading::Column(*column));
            place.is_some_and(|place| place >= record.len())
        })
        .collect();
    if !missing.is_empty() {
        // After a quotation mark that is not closed, the next lines belong to the cell.
        let several_lines = record.iter().any(|cell| cell.contains('\n'));
        let hint = if several_lines {
            "; is a quotation mark not closed?"
        } else {
            ""
        };
        row.faults.push(Fault::of_row(format!(
            "has {} cells, but line {} names {} columns: {} is missing{hint}",
            record.len(),
            layout.line,
            headings.len(),
            list(&missing)
        )));
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
            layout: Layout::default(),
            headings: Column::REQUIRED.map(Heading::Column).to_vec(),
            rows: vec![row],
            after: String::new(),
        }
    }

    /// The file as CSV, as it came, and the columns that the results fill.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let missing = Column::FILLED
            .map(Heading::Column)
            .into_iter()
            .filter(|heading| !self.headings.contains(heading));
        // What is behind the last column of a row stays there; every row gets as many cells.
        let rows = self.rows.iter();
        let last = rows.filter_map(|row| row.others.keys().next_back());
        let width = last.map(|last| last + 1).max().unwrap_or_default();
        let behind = (self.headings.len()..width).map(|_| Heading::Other(String::new()));
        let own = self.headings.iter().cloned();
        let headings: Vec<Heading> = own.chain(behind).chain(missing).collect();
        let mut text = self.harmless(&self.layout.above);
        text += &self.line(headings.iter().map(|heading| escaped(&heading.written())));
        for row in &self.rows {
            text += &self.harmless(&row.before);
            text += &self.line(cells(row, &headings));
        }
        text += &self.harmless(&self.after);
        self.layout.encoding.bytes(&text)
    }

    fn harmless(&self, text: &str) -> String {
        harmless(text, char::from(self.layout.separator))
    }

    /// A line of the file.
    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let mut writer = WriterBuilder::new()
            .flexible(true)
            .delimiter(self.layout.separator)
            .comment(Some(COMMENT))
            .buffer_capacity(1_024)
            .from_writer(Vec::new());
        // Memory takes whatever is written.
        let _ = writer.write_record(cells.collect::<Vec<_>>());
        let line = writer.into_inner().unwrap_or_default();
        let line = String::from_utf8(line).unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(&line);
        format!("{line}{}", self.layout.line_end)
    }
}

/// The cells of a row below these headings.
fn cells<'r>(row: &'r Row, headings: &'r [Heading]) -> impl Iterator<Item = String> + 'r {
    let cells = headings
        .iter()
        .enumerate()
        .map(|(place, heading)| match heading {
            Heading::Column(column) => row.as_written(*column),
            Heading::Tag(key) => row.tag_as_written(key),
            Heading::Other(_) => row.others.get(&place).map_or("", String::as_str),
        });
    cells.map(escaped)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::csv::{ContactPart, encoding::Encoding, escape::FORMULA_STARTS};
    use orgkeeper_shared::vending::request::ContactKind;

    pub(crate) const HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,ErrorMsg";
    const ROW: &str = "dev,ana@example.com,aws+dev@example.com,Ana,Silva,Sandbox,,,";

    fn rows(lines: &[&str]) -> File {
        read(
            format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes(),
            Owner::Required,
        )
        .unwrap()
    }

    fn refusal(file: impl AsRef<[u8]>) -> String {
        read(file.as_ref(), Owner::Required).unwrap_err().0
    }

    #[test]
    fn columns_come_in_any_order_case_and_dress() {
        let text = "\u{FEFF}errroMSG, OrgUnit ,\"SSOUserLastName\",ssouserfirstname,AccountEmail,SSOUserEmail,ACCOUNTNAME,groups,\r\n\
                    \r\n,Workloads/Prod,\"O\"\"Hara, the second\", Ana ,a@b.example,c@d.example,\"dev\",\"one; two\",\r\n";
        let file = read(text.as_bytes(), Owner::Required).unwrap();
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
                "\u{FEFF}ErrorMsg,OrgUnit,SSOUserLastName,SSOUserFirstName,AccountEmail,SSOUserEmail,AccountName,Groups,,Status,AccountId"
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
            let file = read(lines.join(end).as_bytes(), Owner::Required).unwrap();
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
                vec![
                    "has 3 cells, but line 1 names 9 columns: SSOUserFirstName,SSOUserLastName,OrgUnit is missing"
                ],
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
            (refusal(HEADER.replace(',', ";")), "no rows"),
            (
                refusal(format!("title\n{HEADER},sep")),
                "line 2 names a column \"sep\"",
            ),
            (refusal(b"\xFF\xFEA\0c\0"), "line 1 has to name the columns"),
            (refusal(b"PK\x03\x04rest"), "Excel workbook"),
            (refusal(b"%PDF-1.7"), "a PDF"),
            (refusal("a,b\nc,\0"), "zero character in line 2"),
            (
                refusal(b"a\nb\nc\xFC,d"),
                "not UTF-8, first in line 3: save it as \"CSV UTF-8\"",
            ),
            (
                with_rows(&HEADER.replace("OrgUnit", "OU")),
                "names a column \"OU\" that is not known, lacks the column OrgUnit. Needed are",
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
        assert_eq!(cells, ["-dev", "=x", "''=y", "'plain", "@z", "'-"]);
        let written = String::from_utf8(file.write()).unwrap();
        assert!(
            written.ends_with("\n'-dev,'=x,''=y,'plain,' @z,\"'\r'-\",,,\n"),
            "{written}"
        );
    }

    /// What a spreadsheet program shows of a file: cells by lines, without what is no text of theirs.
    fn cells_of(bytes: &[u8], separator: u8) -> Vec<Vec<String>> {
        let (text, _) = text_of(bytes).unwrap();
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(text.as_bytes());
        let records = reader.records().map(Result::unwrap);
        records
            .map(|record| record.iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn results_are_laid_out_as_the_file_came() {
        let table = [
            [
                "AccountName",
                "SSOUserEmail",
                "AccountEmail",
                "SSOUserFirstName",
                "SSOUserLastName",
                "OrgUnit",
                "Status",
            ],
            [
                "007",
                "a@b.example",
                "c@d.example",
                "Zoë",
                "O\"Hara, the; second\n\"x\"",
                " Tide",
                "",
            ],
            ["'=1+1", "", "'+1", "two\tcells", " blanks ", "\u{A0}x", ""],
        ];
        for separator in [b',', b';', b'\t', b'|'] {
            for (mark, end) in [("", "\n"), ("\u{FEFF}", "\r\n"), ("", "\r")] {
                let mut writer = WriterBuilder::new();
                // A line break that ends no line is put between quotation marks whatever the terminator.
                writer
                    .delimiter(separator)
                    .quote_style(::csv::QuoteStyle::Always);
                if end == "\r\n" {
                    writer.terminator(::csv::Terminator::CRLF);
                } else {
                    writer.terminator(::csv::Terminator::Any(end.as_bytes()[0]));
                }
                let mut writer = writer.from_writer(Vec::new());
                for row in &table {
                    writer.write_record(row).unwrap();
                }
                let lines = writer.into_inner().unwrap();
                let lines = String::from_utf8(lines).unwrap();
                let comment = format!("# comment{end}{end}");
                let header = lines.find(end).unwrap() + end.len();
                let text = format!(
                    "{mark}Spring{end}{end}{}{comment}{}{comment}",
                    &lines[..header],
                    &lines[header..]
                );
                let mut file = read(text.as_bytes(), Owner::Required).unwrap();
                assert_eq!(file.rows.len(), 2);
                assert_eq!(file.rows[0].line, 6);
                file.rows[1].set(Column::Status, "FAILED");
                let written = file.write();
                let written = std::str::from_utf8(&written).unwrap();
                let expected = cells_of(text.as_bytes(), separator);
                let found = cells_of(written.as_bytes(), separator);
                assert_eq!(found.len(), expected.len(), "{text:?} {written:?}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(
                        found[..expected.len().min(6)],
                        expected[..expected.len().min(6)],
                        "{written:?}"
                    );
                }
                assert_eq!(written.starts_with(mark), text.starts_with(mark));
                assert!(written.ends_with(&comment), "{written:?}");
                let breaks = written.matches(end).count();
                assert!(breaks >= 8, "{written:?}");
                let again = read(written.as_bytes(), Owner::Required).unwrap();
                assert_eq!(std::str::from_utf8(&again.write()), Ok(written));
                assert_eq!(again.rows[0].line, file.rows[0].line);
            }
        }
    }

    #[test]
    fn utf_16_stays_utf_16() {
        let text = format!("{HEADER}\n{}\n", ROW.replace("Ana", "Zoë"));
        for encoding in [
            Encoding::Utf16LittleEndian,
            Encoding::Utf16BigEndian,
            Encoding::Utf8WithMark,
        ] {
            let file = read(&encoding.bytes(&text), Owner::Required).unwrap();
            assert_eq!(file.rows[0].get(Column::SsoUserFirstName), "Zoë");
            assert_eq!(file.write(), encoding.bytes(&text));
        }
    }

    #[test]
    fn comments_are_no_rows_however_they_are_quoted() {
        let file = rows(&[
            "# one, \"two",
            ROW,
            "\"# a, b\",,,",
            &ROW.replacen("dev", "\"#1\"", 1),
            "# end",
        ]);
        let lines: Vec<(usize, &str)> = file
            .rows
            .iter()
            .map(|row| (row.line, row.get(Column::AccountName)))
            .collect();
        assert_eq!(lines, [(3, "dev"), (5, "#1")]);
        let written = String::from_utf8(file.write()).unwrap();
        assert!(written.contains("\n# one, \"two\n"), "{written}");
        assert!(written.contains("\n\"# a, b\",,,\n\"#1\","), "{written}");
        assert!(written.ends_with("\n# end\n"), "{written}");
    }

    #[test]
    fn tags_and_contacts_have_columns() {
        let text = format!(
            "{HEADER},tag:Team, TAG: Cost Center ,securitycontactemail\n{ROW},blue,,sec@example.com\n"
        );
        let file = read(text.as_bytes(), Owner::Required).unwrap();
        let row = &file.rows[0];
        assert_eq!(row.tags().collect::<Vec<_>>(), [("Team", "blue")]);
        let email = Column::Contact(ContactKind::Security, ContactPart::Email);
        assert_eq!(row.get(email), "sec@example.com");
        let written = String::from_utf8(file.write()).unwrap();
        assert!(
            written.starts_with(&format!(
                "{HEADER},tag:Team,tag:Cost Center,SecurityContactEmail\n"
            )),
            "{written}"
        );
        for (header, part) in [
            ("tag:", "a tag without a key"),
            ("tag:aws:x", "names a tag \"aws:x\" that begins with aws:"),
            ("tag:a,tag:a", "names the column tag:a twice"),
            (
                "SecurityContactMail",
                "(did you mean SecurityContactEmail?)",
            ),
        ] {
            let found = refusal(format!("{HEADER},{header}\n{ROW}"));
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn an_owner_is_needed_only_for_control_tower() {
        let text = "AccountName,AccountEmail,OrgUnit\ndev,aws+dev@example.com,Sandbox\n";
        assert!(refusal(text).contains("lacks the column SSOUserEmail"));
        assert!(read(text.as_bytes(), Owner::Optional).is_ok());
    }

    #[test]
    fn a_refused_file_has_results_that_can_be_read() {
        let file = File::refused("not a CSV: =1+1, \"really\"");
        let text = String::from_utf8(file.write()).unwrap();
        assert_eq!(
            text,
            format!("{HEADER}\n,,,,,,FAILED,,\"not a CSV: =1+1, \"\"really\"\"\"\n")
        );
        assert!(read(text.as_bytes(), Owner::Required).is_ok());
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
            let _ = read(&bytes, Owner::Required);
            let _ = read(&[HEADER.as_bytes(), b"\n", &bytes].concat(), Owner::Required);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a,\"\r\n;=ü\\x00]{0,60}") {
            let _ = read(format!("{HEADER}\r\n{text}").as_bytes(), Owner::Required);
        }

        #[test]
        fn results_never_calculate_and_read_as_they_were(
            table in proptest::collection::vec(proptest::collection::vec(cells(), 12), 1..5),
            separator in 0..4_usize,
        ) {
            let columns: Vec<Column> = Column::all().take(12).collect();
            let rows = table.iter().map(|cells| {
                let mut row = Row::default();
                for (column, cell) in columns.iter().zip(cells) {
                    row.set(*column, cell);
                }
                row
            });
            let layout = Layout { separator: [b',', b';', b'\t', b'|'][separator], ..Layout::default() };
            let headings = columns.iter().copied().map(Heading::Column).collect();
            let file = File { headings, rows: rows.collect(), layout, after: String::new() };
            let written = file.write();
            let mut reader = ReaderBuilder::new()
                .has_headers(false)
                .delimiter(file.layout.separator)
                .from_reader(&written[..]);
            for record in reader.records().flatten() {
                for cell in &record {
                    prop_assert!(!cell.trim_start().starts_with(FORMULA_STARTS), "{cell:?}");
                    prop_assert!(!cell.starts_with(char::is_control), "{cell:?}");
                }
            }
            if let Ok(file) = read(&written, Owner::Required) {
                prop_assert_eq!(file.headings.len(), 12);
                let again = read(&file.write(), Owner::Required).unwrap();
                prop_assert_eq!(file, again);
            }
        }
    }
}
