//! The note on an enriched finding: the account in a sentence that a person reads.

use crate::{
    account_directory::entry::AccountEntry,
    security_hub::{FindingNote, NOTE_CHARS, Note},
};

use super::text::{clean, cut};

/// The author of our notes; a note by any other author is a person's and is kept.
pub const AUTHOR: &str = "orgkeeper/finding-enricher";
/// The most that one name or contact takes of the note, so that each has its place in it.
const PART_CHARS: usize = 120;

/// The note to put on a finding: `None` if the finding has another author's note, or already ours.
#[must_use]
pub fn note(existing: Option<&FindingNote>, entry: &AccountEntry) -> Option<Note> {
    let text = text(entry);
    match existing {
        Some(note) if note.updated_by != AUTHOR || note.text == text => None,
        _ => Some(Note {
            text,
            updated_by: AUTHOR.to_owned(),
        }),
    }
}

/// The account in words, then as many tags as fit, whole ones by name, then how many did not.
fn text(entry: &AccountEntry) -> String {
    let part = |text: &str| cut(&clean(text), PART_CHARS);
    let mut text = format!(
        "Account {} ({}) in {}.",
        part(&entry.name),
        entry.account_id,
        part(&entry.ou_path.to_string()),
    );
    if let Some(contact) = &entry.security_contact {
        text = format!("{text} Security contact: {}.", part(&contact.to_string()));
    }
    let tags: Vec<String> = entry
        .tags
        .iter()
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
    use crate::enrichment::fields::tests::{any_entry, entry};

    fn by(updated_by: &str, text: &str) -> FindingNote {
        FindingNote {
            text: text.into(),
            updated_by: updated_by.into(),
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let entry = entry(&[("Environment", "PROD"), ("team", "payments")]);
        assert_eq!(
            note(None, &entry).unwrap().text,
            "Account payments-prod (111122223333) in Root/Workloads/Prod. \
             Security contact: Sam Lee <sam@example.com>, +1 555 0100. \
             Tags: Environment=PROD, team=payments."
        );
    }

    #[test]
    fn what_a_person_wrote_stays() {
        assert_eq!(
            note(Some(&by("ana", "accepted until May")), &entry(&[])),
            None
        );
    }

    #[test]
    fn our_own_note_is_written_again_only_if_it_differs() {
        let old = note(None, &entry(&[("team", "old")])).unwrap();
        let standing = by(AUTHOR, &old.text);
        assert_eq!(note(Some(&standing), &entry(&[("team", "old")])), None);
        let new = note(Some(&standing), &entry(&[("team", "new")])).unwrap();
        assert!(new.text.contains("team=new"), "{new:?}");
    }

    #[test]
    fn tags_that_do_not_fit_are_counted() {
        let names: Vec<String> = (0..60).map(|n| format!("cost-center-{n:02}")).collect();
        let tags: Vec<_> = names.iter().map(|name| (name.as_str(), "4711")).collect();
        let text = note(None, &entry(&tags)).unwrap().text;
        assert!(text.ends_with(" more, not shown."), "{text}");
        assert!(text.chars().count() <= 512);
        assert!(text.chars().count() > 450, "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn never_over_the_limit_and_never_blank(entry in any_entry()) {
            let text = note(None, &entry).unwrap().text;
            prop_assert!((1..=512).contains(&text.chars().count()));
            prop_assert!(!text.contains(char::is_control));
            prop_assert!(text.starts_with("Account "));
        }
    }
}
