//! The note on an enriched finding: the account in a sentence that a person reads.

use crate::{
    account_directory::entry::AccountEntry,
    security_hub::{Finding, NOTE_CHARS, Note},
};

use super::{
    fields::{Fields, NOT_IN_ORGANIZATION, contact, is_known, state, tags},
    style::Style,
    text::{clean, cut, list},
};

/// The author of our notes; a note by any other author is a person's and is kept.
pub const AUTHOR: &str = "orgkeeper/finding-enricher";
/// The most that one name or contact takes of the note, so that each has its place in it.
const PART_CHARS: usize = 120;
/// The most that the names of what is not shown take.
const NOT_SHOWN_CHARS: usize = 200;

/// The note to put on a finding that gets `fields`: `None` if the finding has another author's note, or
/// already ours, or if none is to be written.
#[must_use]
pub fn note(
    finding: &Finding,
    entry: &AccountEntry,
    style: &Style,
    fields: &Fields,
) -> Option<Note> {
    if !style.note {
        return None;
    }
    let text = text(finding, entry, style, fields);
    match &finding.note {
        Some(note) if note.updated_by != AUTHOR || note.text == text => None,
        _ => Some(Note {
            text,
            updated_by: AUTHOR.to_owned(),
        }),
    }
}

/// The account in words, then as many tags as fit, whole ones in their order, then how many did not.
fn text(finding: &Finding, entry: &AccountEntry, style: &Style, fields: &Fields) -> String {
    let mut text = about(entry);
    if finding.account != finding.publisher {
        text = format!(
            "{text} The finding was published by account {}.",
            finding.publisher
        );
    }
    if !is_known(entry) {
        return text;
    }
    if let Some(contact) = contact(entry, style) {
        text = format!("{text} Security contact: {}.", cut(&contact, PART_CHARS));
    }
    if !fields.says_so && !fields.not_shown.is_empty() {
        const BEFORE: &str = " Not shown in fields: ";
        let left = NOTE_CHARS.saturating_sub(text.chars().count() + BEFORE.len() + 1);
        let names = list(&fields.not_shown, left.min(NOT_SHOWN_CHARS));
        text = format!("{text}{BEFORE}{names}.");
    }
    let tags: Vec<String> = tags(entry, style)
        .map(|(name, value)| format!("{}={}", clean(name), clean(value)))
        .collect();
    let worth_a_try = tags
        .iter()
        .scan(0, |chars, tag| {
            *chars += tag.chars().count();
            Some(*chars)
        })
        .take_while(|chars| *chars <= NOTE_CHARS)
        .count();
    (0..=worth_a_try)
        .rev()
        .map(|shown| format!("{text}{}", tag_list(&tags[..shown], tags.len() - shown)))
        .find(|whole| whole.chars().count() <= NOTE_CHARS)
        .unwrap_or_else(|| cut(&text, NOTE_CHARS))
}

/// Which account it is and where it is.
fn about(entry: &AccountEntry) -> String {
    let part = |text: &str| cut(&clean(text), PART_CHARS);
    let id = &entry.account_id;
    if !is_known(entry) {
        return format!("Account {id} is not in the organization.");
    }
    let (name, path) = (part(&entry.name), part(&entry.ou_path.to_string()));
    match state(entry) {
        None => format!("Account {name} ({id}) in {path}."),
        Some(NOT_IN_ORGANIZATION) => {
            format!("Account {name} ({id}) is not in the organization, it was in {path}.")
        }
        Some(state) => format!(
            "Account {name} ({id}) in {path}. Its state is {}.",
            part(state)
        ),
    }
}

fn tag_list(shown: &[String], left_out: usize) -> String {
    match (shown, left_out) {
        ([], 0) => String::new(),
        ([], more) => format!(" {more} tags not shown."),
        (tags, 0) => format!(" Tags: {}.", tags.join(", ")),
        (tags, more) => format!(" Tags: {} and {more} more, not shown.", tags.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        enrichment::fields::{
            tests::{any_entry, bare, entry, published_for_another},
            user_defined_fields,
        },
        security_hub::FindingNote,
    };

    fn by(updated_by: &str, text: &str) -> FindingNote {
        FindingNote {
            text: text.into(),
            updated_by: updated_by.into(),
        }
    }

    fn note_on(finding: &Finding, entry: &AccountEntry, style: &Style) -> Option<Note> {
        let fields = user_defined_fields(finding, entry, style);
        note(finding, entry, style, &fields)
    }

    fn text_of(entry: &AccountEntry) -> String {
        note_on(&bare(), entry, &Style::default()).unwrap().text
    }

    fn noted(note: FindingNote) -> Finding {
        Finding {
            note: Some(note),
            ..bare()
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let entry = entry(&[("Environment", "PROD"), ("team", "payments")]);
        assert_eq!(
            text_of(&entry),
            "Account payments-prod (111122223333) in Root/Workloads/Prod. \
             Security contact: Sam Lee <sam@example.com>, +1 555 0100. \
             Tags: Environment=PROD, team=payments."
        );
    }

    #[test]
    fn the_order_of_tags_and_the_phone_number_are_a_matter_of_style() {
        let entry = entry(&[("Environment", "PROD"), ("team", "payments")]);
        let style = Style {
            tag_order: vec!["team".into()],
            phone: false,
            ..Style::default()
        };
        assert_eq!(
            note_on(&bare(), &entry, &style).unwrap().text,
            "Account payments-prod (111122223333) in Root/Workloads/Prod. \
             Security contact: Sam Lee <sam@example.com>. \
             Tags: team=payments, Environment=PROD."
        );
    }

    #[test]
    fn no_note_is_written_if_none_is_wanted() {
        let style = Style {
            note: false,
            ..Style::default()
        };
        assert_eq!(note_on(&bare(), &entry(&[]), &style), None);
        let ours = noted(by(AUTHOR, "an older text"));
        assert_eq!(note_on(&ours, &entry(&[]), &style), None);
    }

    #[test]
    fn it_names_the_account_that_published_the_finding() {
        let text = note_on(&published_for_another(), &entry(&[]), &Style::default())
            .unwrap()
            .text;
        assert_eq!(
            text,
            "Account payments-prod (111122223333) in Root/Workloads/Prod. \
             The finding was published by account 999900001111. \
             Security contact: Sam Lee <sam@example.com>, +1 555 0100."
        );
    }

    #[test]
    fn it_says_what_became_of_the_account() {
        let mut entry = entry(&[]);
        entry.security_contact = None;
        entry.state = Some("SUSPENDED".into());
        assert_eq!(
            text_of(&entry),
            "Account payments-prod (111122223333) in Root/Workloads/Prod. Its state is SUSPENDED."
        );
        entry.gone_since = Some(0);
        assert_eq!(
            text_of(&entry),
            "Account payments-prod (111122223333) is not in the organization, \
             it was in Root/Workloads/Prod."
        );
        entry.name = String::new();
        assert_eq!(
            text_of(&entry),
            "Account 111122223333 is not in the organization."
        );
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let finding = noted(by("ana", "accepted until May"));
        assert_eq!(note_on(&finding, &entry(&[]), &Style::default()), None);
    }

    #[test]
    fn our_own_note_is_written_again_only_if_it_differs() {
        let finding = noted(by(AUTHOR, &text_of(&entry(&[("team", "old")]))));
        let on_it = |value| note_on(&finding, &entry(&[("team", value)]), &Style::default());
        assert_eq!(on_it("old"), None);
        let new = on_it("new").unwrap();
        assert!(new.text.contains("team=new"), "{new:?}");
    }

    #[test]
    fn it_says_what_is_not_shown_if_no_field_is_left_for_that() {
        let others = |count| Finding {
            user_defined_fields: (0..count)
                .map(|n| (format!("theirs{n}"), "v".into()))
                .collect(),
            ..bare()
        };
        let entry = entry(&[("team", "payments")]);
        let text = |count| {
            note_on(&others(count), &entry, &Style::default())
                .unwrap()
                .text
        };
        assert!(!text(48).contains("Not shown"), "{}", text(48));
        assert!(
            text(49)
                .contains("Not shown in fields: AccountName, OU, OUPath, securityContact, team."),
            "{}",
            text(49)
        );
        assert!(
            text(50).contains("Not shown in fields: findingEnriched, AccountName, "),
            "{}",
            text(50)
        );
    }

    #[test]
    fn tags_that_do_not_fit_are_counted() {
        let names: Vec<String> = (0..60).map(|n| format!("cost-center-{n:02}")).collect();
        let tags: Vec<_> = names.iter().map(|name| (name.as_str(), "4711")).collect();
        let text = text_of(&entry(&tags));
        assert!(text.ends_with(" more, not shown."), "{text}");
        assert!(text.chars().count() <= 512);
        assert!(text.chars().count() > 450, "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn never_over_the_limit_and_never_blank(
            entry in any_entry(),
            others in 0_usize..=50,
            published_by_another: bool,
        ) {
            let mut finding = if published_by_another { published_for_another() } else { bare() };
            finding.user_defined_fields =
                (0..others).map(|n| (format!("theirs{n}"), "v".into())).collect();
            let text = note_on(&finding, &entry, &Style::default()).unwrap().text;
            prop_assert!((1..=512).contains(&text.chars().count()));
            prop_assert!(!text.contains(char::is_control));
            prop_assert!(text.starts_with("Account "));
        }
    }
}
