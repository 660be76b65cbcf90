//! What is wrong with a row by itself and beside the others, in words for the person who wrote it.

use std::collections::HashMap;

use crate::{
    characters::spoilt,
    contacts::faults_of_contacts,
    csv::{Column, Fault, Owner, Row, shown},
    tags,
    text_rules::{Rule, free_text, others, text_of, too_long},
};

/// The rules of each column that a file needs, whatever the organization looks like.
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

/// `CreateAccount`: 1 to 50 characters of printable ASCII. Account Factory's own template takes any name.
const ACCOUNT_NAME_CHARACTERS: usize = 50;
/// `CreateAccount` takes an e-mail address of 6 to 64 characters; the pipeline's own rule is over seven.
const EMAIL_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=64;
/// The identity store's longest name.
const PERSON_NAME_CHARACTERS: usize = 1_024;
/// Everything that is wrong with the form of a row's cells. The name of an account that exists already
/// (`named_already`) may have any form.
#[must_use]
pub fn faults_of_form(row: &Row, named_already: bool, owner: Owner) -> Vec<Fault> {
    let rules = RULES.iter().filter(|(column, _)| {
        let empty_owner = Column::OWNER.contains(column) && row.get(*column).is_empty();
        let left_out = named_already && *column == Column::AccountName;
        !left_out && (owner == Owner::Required || !empty_owner)
    });
    let found = rules.flat_map(|(column, rule)| {
        let texts = rule(text_of(row, *column));
        texts.into_iter().map(|text| Fault::of(*column, text))
    });
    let of_tags = row.tags().flat_map(|(key, value)| {
        let texts = tags::faults_of_value(value).into_iter();
        texts
            .map(|text| Fault::of_tag(key, text))
            .collect::<Vec<_>>()
    });
    let own = row.faults.iter().cloned();
    own.chain(found)
        .chain(of_tags)
        .chain(faults_of_contacts(row))
        .collect()
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
        .map(|Fault { column, tag, text }| match (column, tag) {
            (Some(column), _) => format!("line {line}, {column}: {text}"),
            (None, Some(key)) => format!("line {line}, tag:{key}: {text}"),
            (None, None) => format!("line {line}: {text}"),
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
        character == ' ' || character.is_ascii_graphic()
    });
    found.extend(strange.map(|strange| {
        format!("has {strange}: only the letters a to z, digits, spaces and ASCII marks like - _ . & / are taken")
    }));
    found.extend(spoilt(name).map(|spoilt| spoilt.in_words(name)));
    found
}

fn person_name(name: &str) -> Vec<String> {
    let mut found = not_empty(name);
    found.extend(free_text(name, PERSON_NAME_CHARACTERS));
    if name.contains('?') {
        found.push(format!(
            "has a question mark, {}: a program could not write a letter; write the name again and save the file as \
             \"CSV UTF-8\"",
            shown(name)
        ));
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
        in_words(row.line, &faults_of_form(&row, false, Owner::Required))
    }

    #[test]
    fn a_good_row_has_no_fault() {
        assert_eq!(faults_of_form(&row(GOOD), false, Owner::Required), []);
        for (column, cell) in [
            (Column::AccountName, "-_aZ09"),
            (Column::AccountName, "Skipper's Log (2027) & more/eu-west"),
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
                "Büro\u{200B}",
                "has ü and U+200B (a zero-width space): only the letters a to z, digits, spaces and ASCII marks like \
                 - _ . & / are taken",
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
        ] {
            assert_eq!(faults(column, cell), format!("line 12, {column}: {words}"));
        }
    }

    #[test]
    fn hidden_and_spoilt_letters_are_named() {
        for (column, cell, words) in [
            (
                Column::SsoUserLastName,
                "Nicol\u{C3}\u{A0}",
                "has U+00A0 (a no-break space) after \"NicolÃ\": write it without it; line 12, SSOUserLastName: has \
                 spoilt letters, \"NicolÃ[U+00A0]\": a program read the file in another encoding; write the cell \
                 again (\"Nicolà\") and save the file as \"CSV UTF-8\"",
            ),
            (
                Column::SsoUserLastName,
                "Sil\u{A0}va",
                "has U+00A0 (a no-break space) after \"Sil\": write it without it",
            ),
            (
                Column::SsoUserFirstName,
                "RenÃ©",
                "has spoilt letters, \"RenÃ©\": a program read the file in another encoding; write the cell again \
                 (\"René\") and save the file as \"CSV UTF-8\"",
            ),
            (
                Column::SsoUserFirstName,
                "Ren?",
                "has a question mark, \"Ren?\": a program could not write a letter; write the name again and save \
                 the file as \"CSV UTF-8\"",
            ),
            (Column::OrgUnit, "", "is empty"),
        ] {
            assert_eq!(faults(column, cell), format!("line 12, {column}: {words}"));
        }
    }

    #[test]
    fn without_control_tower_a_row_needs_no_owner() {
        let mut row = row(GOOD);
        for column in Column::OWNER {
            row.set(column, "");
        }
        assert_eq!(faults_of_form(&row, false, Owner::Optional), []);
        assert_eq!(faults_of_form(&row, false, Owner::Required).len(), 3);
        row.set(Column::SsoUserEmail, "ana");
        assert_eq!(faults_of_form(&row, false, Owner::Optional).len(), 2);
    }

    #[test]
    fn the_value_of_a_tag_has_the_limits_of_aws() {
        let mut row = row(GOOD);
        row.set_tag("Team", " blue ");
        row.set_tag("Empty", " ");
        assert_eq!(row.tags().collect::<Vec<_>>(), [("Team", "blue")]);
        assert_eq!(faults_of_form(&row, false, Owner::Required), []);
        row.set_tag("Team", &"v".repeat(257));
        let found = in_words(row.line, &faults_of_form(&row, false, Owner::Required));
        assert_eq!(
            found,
            "line 12, tag:Team: has 257 characters, 256 are the most"
        );
    }

    #[test]
    fn every_fault_of_a_row_is_found() {
        let row = row(["", "ana", "x y@z", "", "", ""]);
        let words = in_words(row.line, &faults_of_form(&row, false, Owner::Required));
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
        row.set(Column::AccountName, "Älter & grown (2)");
        assert_eq!(faults_of_form(&row, true, Owner::Required), []);
        assert_eq!(faults_of_form(&row, false, Owner::Required).len(), 1);
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
            let Ok(file) = read(&writer.into_inner().unwrap(), Owner::Required) else { return Ok(()) };
            for row in &file.rows {
                if !faults_of_form(row, false, Owner::Required).is_empty() {
                    continue;
                }
                let name = row.get(Column::AccountName);
                prop_assert!((1..=50).contains(&name.len()));
                prop_assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
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
