//! What AWS takes as an alternate contact of an account (`PutAlternateContact` of the Account Management API reference).

use orgkeeper_shared::vending::request::ContactKind;

use crate::{
    csv::{Column, ContactPart, Fault, Row},
    text_rules::{Rule, free_text, others, text_of, too_long},
};

/// The rules of each part of an alternate contact that is not empty.
const CONTACT_RULES: [(ContactPart, Rule); 4] = [
    (ContactPart::Name, contact_name),
    (ContactPart::Title, contact_title),
    (ContactPart::Email, contact_email),
    (ContactPart::Phone, contact_phone),
];

/// The longest name, title, e-mail address and telephone number.
const CONTACT_NAME_CHARACTERS: usize = 64;
const CONTACT_TITLE_CHARACTERS: usize = 50;
const CONTACT_EMAIL_CHARACTERS: usize = 254;
const CONTACT_PHONE_CHARACTERS: usize = 25;
/// What is wrong with the alternate contacts of a row.
#[must_use]
pub fn faults_of_contacts(row: &Row) -> Vec<Fault> {
    let kinds = ContactKind::ALL.into_iter();
    kinds.flat_map(|kind| faults_of(row, kind)).collect()
}

/// What is wrong with an alternate contact: AWS takes it with all of its parts only.
fn faults_of(row: &Row, kind: ContactKind) -> Vec<Fault> {
    let cell = |part| text_of(row, Column::Contact(kind, part));
    if ContactPart::ALL
        .into_iter()
        .all(|part| cell(part).is_empty())
    {
        return Vec::new();
    }
    let found = CONTACT_RULES.iter().flat_map(|(part, rule)| {
        let texts = match cell(*part) {
            "" => vec![
                "is empty: a contact needs name, title, e-mail address and telephone number"
                    .to_owned(),
            ],
            text => rule(text),
        };
        let column = Column::Contact(kind, *part);
        texts.into_iter().map(move |text| Fault::of(column, text))
    });
    found.collect()
}

fn contact_name(name: &str) -> Vec<String> {
    free_text(name, CONTACT_NAME_CHARACTERS)
}

fn contact_title(title: &str) -> Vec<String> {
    free_text(title, CONTACT_TITLE_CHARACTERS)
}

fn contact_phone(phone: &str) -> Vec<String> {
    let mut found: Vec<String> = too_long(phone, CONTACT_PHONE_CHARACTERS)
        .into_iter()
        .collect();
    let strange = others(phone, |character| {
        character.is_ascii_digit() || " ()+-".contains(character)
    });
    found.extend(
        strange.map(|strange| format!("has {strange}: only digits, spaces and ( ) + - are taken")),
    );
    found
}

fn contact_email(address: &str) -> Vec<String> {
    let mut found: Vec<String> = too_long(address, CONTACT_EMAIL_CHARACTERS)
        .into_iter()
        .collect();
    let Some((local, domain)) = address.split_once('@') else {
        found.push("has no @".to_owned());
        return found;
    };
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let strange = others(local, |character| {
        word(character) || "+=.#!&-".contains(character)
    });
    found.extend(strange.map(|strange| {
        format!("has {strange} before the @: only the letters a to z, digits and _ + = . # ! & - are taken there")
    }));
    let strange = others(domain, |character| {
        word(character) || ".-".contains(character)
    });
    found.extend(strange.map(|strange| {
        format!(
            "has {strange} after the @: only the letters a to z, digits, _ . and - are taken there"
        )
    }));
    let is_domain = domain
        .rsplit_once('.')
        .is_some_and(|(first, last)| !first.is_empty() && !last.is_empty());
    if local.is_empty() || !is_domain {
        found.push("is no address of the form name@example.com".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_complete_and_as_aws_takes_it() {
        use ContactPart::{Email, Name, Phone, Title};
        let security = |part| Column::Contact(ContactKind::Security, part);
        let mut row = Row::at(12);
        let all = [
            (Name, "Security Desk"),
            (Title, "Head of Security"),
            (Email, "security+aws@example.com"),
            (Phone, "+1 (555) 0100-7"),
        ];
        for (part, text) in all {
            row.set(security(part), text);
        }
        assert_eq!(faults_of_contacts(&row), []);
        for (part, text, words) in [
            (
                Phone,
                "",
                "is empty: a contact needs name, title, e-mail address and telephone number",
            ),
            (
                Phone,
                "0555/100",
                "has /: only digits, spaces and ( ) + - are taken",
            ),
            (Phone, &"1".repeat(26), "has 26 characters, 25 are the most"),
            (Title, &"t".repeat(51), "has 51 characters, 50 are the most"),
            (Name, &"n".repeat(65), "has 65 characters, 64 are the most"),
            (Email, "security", "has no @"),
            (
                Email,
                "security@example",
                "is no address of the form name@example.com",
            ),
            (
                Email,
                "sec urity@example.com",
                "has a space before the @: only the letters a to z, digits and _ + = . # ! & - are taken there",
            ),
        ] {
            let mut row = row.clone();
            row.set(security(part), text);
            assert_eq!(faults_of_contacts(&row), [Fault::of(security(part), words)]);
        }
    }
}
