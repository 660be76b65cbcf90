//! What is wrong with a row by itself and beside the others, in words for the person who wrote it.

use std::collections::{BTreeSet, HashMap};

use crate::csv::{Column, Fault, Row};

/// What a rule finds wrong with a cell; more than one thing if more is.
type Rule = fn(&str) -> Vec<String>;

/// The rules of each column, whatever the organization looks like.
const RULES: [(Column, Rule); 6] = [
    (Column::AccountName, account_name),
    (Column::SsoUserEmail, email),
    (Column::AccountEmail, email),
    (Column::SsoUserFirstName, person_name),
    (Column::SsoUserLastName, person_name),
    (Column::OrgUnit, not_empty),
];

/// Cells that no two rows may share, whatever their case.
const UNIQUE: [Column; 2] = [Column::AccountName, Column::AccountEmail];

/// Control Tower's Account Factory: "Account names" take letters, digits, - and _ here, so that the
/// provisioned product can have the same name; Organizations takes 50 characters.
const ACCOUNT_NAME_CHARACTERS: usize = 50;
/// `CreateAccount` takes an e-mail address of 6 to 64 characters; the pipeline's own rule is over seven.
const EMAIL_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=64;
/// The identity store's longest name.
const PERSON_NAME_CHARACTERS: usize = 1_024;

/// Everything that is wrong with the form of a row's cells. The name of an account that exists already
/// (`named_already`) may have any form.
#[must_use]
pub fn faults_of_form(row: &Row, named_already: bool) -> Vec<Fault> {
    let rules = RULES
        .iter()
        .filter(|(column, _)| !(named_already && *column == Column::AccountName));
    let found = rules.flat_map(|(column, rule)| {
        let texts = rule(row.get(*column));
        texts.into_iter().map(|text| Fault::of(*column, text))
    });
    row.faults.iter().cloned().chain(found).collect()
}

/// What each row repeats of an earlier one, in the order of the rows. The first one is accepted.
#[must_use]
pub fn faults_of_repetition(rows: &[Row]) -> Vec<Vec<Fault>> {
    let mut seen: HashMap<(Column, String), usize> = HashMap::new();
    rows.iter()
        .map(|row| {
            let repeated = UNIQUE.iter().filter_map(|column| {
                let text = row.get(*column).to_lowercase();
                if text.is_empty() {
                    return None;
                }
                let first = *seen.entry((*column, text)).or_insert(row.line);
                (first != row.line)
                    .then(|| Fault::of(*column, format!("is the same as in line {first}")))
            });
            repeated.collect()
        })
        .collect()
}

/// The faults of a row in one sentence: `line 12, AccountName: is empty; line 12, …`.
#[must_use]
pub fn in_words(line: usize, faults: &[Fault]) -> String {
    let sentences: Vec<String> = faults
        .iter()
        .map(|Fault { column, text }| match column {
            Some(column) => format!("line {line}, {column}: {text}"),
            None => format!("line {line}: {text}"),
        })
        .collect();
    sentences.join("; ")
}

fn not_empty(text: &str) -> Vec<String> {
    let empty = text.is_empty().then(|| "is empty".to_owned());
    empty.into_iter().collect()
}

fn account_name(name: &str) -> Vec<String> {
    let mut found = not_empty(name);
    found.extend(too_long(name, ACCOUNT_NAME_CHARACTERS));
    let strange = others(name, |character| {
        character.is_ascii_alphanumeric() || "-_".contains(character)
    });
    found.extend(strange.map(|strange| {
        format!("has {strange}: only the letters a to z, digits, - and _ are taken")
    }));
    found
}

fn person_name(name: &str) -> Vec<String> {
    let mut found = not_empty(name);
    found.extend(too_long(name, PERSON_NAME_CHARACTERS));
    if name.chars().any(char::is_control) {
        found.push("has a line break or another control character".to_owned());
    }
    found
}

/// As both Organizations (`CreateAccount`) and Control Tower (its precheck of the address) take it.
fn email(address: &str) -> Vec<String> {
    let mut found = not_empty(address);
    if !found.is_empty() {
        return found;
    }
    let length = address.chars().count();
    if length < *EMAIL_CHARACTERS.start() {
        let least = EMAIL_CHARACTERS.start();
        found.push(format!("has {length} characters, {least} are the least"));
    }
    found.extend(too_long(address, *EMAIL_CHARACTERS.end()));
    if address.contains("..") {
        found.push("has two dots in a row".to_owned());
    }
    let ats = address.matches('@').count();
    let (Some((local, domain)), 1) = (address.split_once('@'), ats) else {
        found.push(match ats {
            0 => "has no @".to_owned(),
            _ => format!("has {ats} @, an address has one"),
        });
        return found;
    };
    found.extend(local_part(local));
    found.extend(domain_part(domain));
    found
}

fn local_part(local: &str) -> Vec<String> {
    let mut found = Vec::new();
    if local.is_empty() {
        found.push("has nothing before the @".to_owned());
    }
    if local.starts_with('.') {
        found.push("starts with a dot".to_owned());
    }
    let strange = others(local, |character| {
        character.is_ascii_alphanumeric() || "._+-".contains(character)
    });
    found.extend(strange.map(|strange| {
        format!(
            "has {strange} before the @: only the letters a to z, digits and . _ + - are taken there"
        )
    }));
    found
}

fn domain_part(domain: &str) -> Vec<String> {
    let mut found = Vec::new();
    if domain.is_empty() {
        return vec!["has nothing after the @".to_owned()];
    }
    let strange = others(domain, |character| {
        character.is_ascii_alphanumeric() || ".-".contains(character)
    });
    found.extend(strange.map(|strange| {
        format!(
            "has {strange} after the @: only the letters a to z, digits, . and - are taken there"
        )
    }));
    let Some((_, last)) = domain.rsplit_once('.') else {
        found.push("has no dot after the @".to_owned());
        return found;
    };
    if domain.starts_with('.') || domain.ends_with('.') {
        found.push("has a domain that starts or ends with a dot".to_owned());
    }
    if domain
        .split('.')
        .any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        found.push("has a hyphen at the start or the end of a part of its domain".to_owned());
    }
    if last.contains(|character: char| character.is_ascii_digit() || character == '-') {
        found.push(format!(
            "ends in .{last}: only letters are taken after the last dot"
        ));
    }
    found
}

fn too_long(text: &str, most: usize) -> Option<String> {
    let length = text.chars().count();
    (length > most).then(|| format!("has {length} characters, {most} are the most"))
}

/// The characters that are not `taken`, each named once, a few of them at most.
fn others(text: &str, taken: impl Fn(char) -> bool) -> Option<String> {
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
            _ if character.is_whitespace() => "a blank".to_owned(),
            _ => character.to_string(),
        })
        .collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::csv::{read, tests as csv};

    pub(crate) fn row(cells: [&str; 6]) -> Row {
        let mut row = Row::at(12);
        for (column, cell) in Column::REQUIRED.into_iter().zip(cells) {
            row.set(column, cell);
        }
        row
    }

    pub(crate) const GOOD: [&str; 6] = [
        "payments",
        "ana@example.com",
        "AWS+payments@example.com",
        "Ana",
        "Silva",
        "Prod",
    ];

    fn faults(column: Column, cell: &str) -> String {
        let mut row = row(GOOD);
        row.set(column, cell);
        in_words(row.line, &faults_of_form(&row, false))
    }

    #[test]
    fn a_good_row_has_no_fault() {
        assert_eq!(faults_of_form(&row(GOOD), false), []);
        for (column, cell) in [
            (Column::AccountName, "-_aZ09"),
            (Column::AccountEmail, "a@b.cdef"),
            (Column::AccountEmail, "A.b_c+d-e@x-1.example.Co"),
            (Column::SsoUserFirstName, "Ärö 😀 O'Neil"),
            (Column::OrgUnit, "Name (with) / everything"),
        ] {
            assert_eq!(faults(column, cell), "", "{cell}");
        }
        let name = "n".repeat(50);
        assert_eq!(faults(Column::AccountName, &name), "");
    }

    #[test]
    fn every_fault_has_its_own_words() {
        let long_domain = format!("{}@example.com", "a".repeat(53));
        for (column, cell, words) in [
            (Column::AccountName, "", "is empty"),
            (
                Column::AccountName,
                &"n".repeat(51),
                "has 51 characters, 50 are the most",
            ),
            (
                Column::AccountName,
                "pay ments!",
                "has a space and !: only the letters a to z, digits, - and _ are taken",
            ),
            (Column::SsoUserEmail, "", "is empty"),
            (
                Column::SsoUserEmail,
                "a@b.com",
                "has 7 characters, 8 are the least",
            ),
            (
                Column::AccountEmail,
                &long_domain,
                "has 65 characters, 64 are the most",
            ),
            (Column::AccountEmail, "example.com", "has no @"),
            (
                Column::AccountEmail,
                "a@b@example.com",
                "has 2 @, an address has one",
            ),
            (
                Column::AccountEmail,
                "@example.com",
                "has nothing before the @",
            ),
            (Column::AccountEmail, "payments@", "has nothing after the @"),
            (
                Column::AccountEmail,
                ".pay@example.com",
                "starts with a dot",
            ),
            (
                Column::AccountEmail,
                "pay..ments@example.com",
                "has two dots in a row",
            ),
            (
                Column::AccountEmail,
                "o'neil@example.com",
                "has ' before the @: only the letters a to z, digits and . _ + - are taken there",
            ),
            (
                Column::AccountEmail,
                "ana@exa mple.com",
                "has a space after the @: only the letters a to z, digits, . and - are taken there",
            ),
            (
                Column::AccountEmail,
                "ana@localhost",
                "has no dot after the @",
            ),
            (
                Column::AccountEmail,
                "ana@example.com.",
                "has a domain that starts or ends with a dot",
            ),
            (
                Column::AccountEmail,
                "ana@-example.com",
                "has a hyphen at the start or the end of a part of its domain",
            ),
            (
                Column::AccountEmail,
                "ana@example.c0m",
                "ends in .c0m: only letters are taken after the last dot",
            ),
            (Column::SsoUserFirstName, "", "is empty"),
            (
                Column::SsoUserLastName,
                "Sil\nva",
                "has a line break or another control character",
            ),
            (
                Column::SsoUserLastName,
                &"x".repeat(1_025),
                "has 1025 characters, 1024 are the most",
            ),
            (Column::OrgUnit, "", "is empty"),
        ] {
            assert_eq!(faults(column, cell), format!("line 12, {column}: {words}"));
        }
    }

    #[test]
    fn every_fault_of_a_row_is_found() {
        let row = row(["", "ana", "x y@z", "", "", ""]);
        let words = in_words(row.line, &faults_of_form(&row, false));
        assert_eq!(
            words,
            "line 12, AccountName: is empty; \
             line 12, SSOUserEmail: has 3 characters, 8 are the least; \
             line 12, SSOUserEmail: has no @; \
             line 12, AccountEmail: has 5 characters, 8 are the least; \
             line 12, AccountEmail: has a space before the @: only the letters a to z, digits and . _ + - are taken there; \
             line 12, AccountEmail: has no dot after the @; \
             line 12, SSOUserFirstName: is empty; \
             line 12, SSOUserLastName: is empty; \
             line 12, OrgUnit: is empty"
        );
    }

    #[test]
    fn the_name_of_an_existing_account_may_have_any_form() {
        let mut row = row(GOOD);
        row.set(Column::AccountName, "Old & grown (2)");
        assert_eq!(faults_of_form(&row, true), []);
        assert_eq!(faults_of_form(&row, false).len(), 1);
    }

    #[test]
    fn the_first_of_two_rows_is_accepted() {
        let mut rows = vec![row(GOOD), row(GOOD), row(GOOD)];
        for (line, row) in (2..).zip(&mut rows) {
            row.line = line;
        }
        rows[1].set(Column::AccountName, "PAYMENTS");
        rows[1].set(Column::AccountEmail, "other@example.com");
        rows[2].set(Column::AccountName, "third");
        rows[2].set(Column::AccountEmail, "aws+PAYMENTS@example.com");
        assert_eq!(
            faults_of_repetition(&rows),
            [
                vec![],
                vec![Fault::of(Column::AccountName, "is the same as in line 2")],
                vec![Fault::of(Column::AccountEmail, "is the same as in line 2")],
            ]
        );
    }

    /// What Organizations and Control Tower say of an address, written down another way.
    fn is_address(text: &str) -> bool {
        let parts: Vec<&str> = text.split('@').collect();
        let [local, domain] = parts[..] else {
            return false;
        };
        let labels: Vec<&str> = domain.split('.').collect();
        let label_holds = |label: &&str| {
            let bytes = label.as_bytes();
            bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
                && bytes.first().is_some_and(|byte| *byte != b'-')
                && bytes.last().is_some_and(|byte| *byte != b'-')
        };
        (8..=64).contains(&text.len())
            && !text.contains("..")
            && local.bytes().next().is_some_and(|byte| byte != b'.')
            && local
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
            && labels.len() > 1
            && labels.iter().all(label_holds)
            && labels
                .last()
                .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_alphabetic()))
    }

    proptest! {
        #[test]
        fn an_address_passes_exactly_if_aws_takes_it(
            text in prop_oneof!["[aZ0._+@' -]{0,12}", "[a-z.+-]{1,8}@[a-z0-9-]{1,6}\\.[a-z0.-]{1,5}", ".*"]
        ) {
            prop_assert_eq!(email(&text).is_empty(), is_address(&text));
        }

        #[test]
        fn no_accepted_row_breaks_a_rule(
            cells in proptest::collection::vec(csv::cells(), 6),
            good in proptest::collection::vec(any::<bool>(), 6),
        ) {
            let cells: Vec<&str> = (0..6)
                .map(|place| if good[place] { GOOD[place] } else { cells[place].as_str() })
                .collect();
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            writer.write_record(Column::REQUIRED.map(Column::name)).unwrap();
            writer.write_record(&cells).unwrap();
            let Ok(file) = read(&writer.into_inner().unwrap()) else { return Ok(()) };
            for row in &file.rows {
                if !faults_of_form(row, false).is_empty() {
                    continue;
                }
                let name = row.get(Column::AccountName);
                prop_assert!((1..=50).contains(&name.len()));
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
                prop_assert!(is_address(row.get(Column::SsoUserEmail)));
                prop_assert!(is_address(row.get(Column::AccountEmail)));
                for column in [Column::SsoUserFirstName, Column::SsoUserLastName] {
                    let name = row.get(column);
                    prop_assert!(!name.is_empty() && !name.contains(char::is_control));
                }
                prop_assert!(!row.get(Column::OrgUnit).is_empty());
            }
        }
    }
}
