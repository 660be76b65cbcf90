//! What a finding gets, given what is on it.

use orgkeeper_shared::{
    enrichment::text::cut,
    security_hub::{
        FIELD_VALUE_CHARS, Finding, FindingUpdate, NOTE_CHARS, Note, OUR_NOTES, REMEDIATION_FIELD,
        USER_DEFINED_FIELDS, Workflow,
    },
};

/// The author of our notes.
pub const AUTHOR: &str = "orgkeeper/finding-archiver";
/// `Compliance.Status` of a finding whose control passes.
const PASSED: &str = "PASSED";

/// Where a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In the note; in the field if a person's note is there.
    Note,
    /// In the field [`REMEDIATION_FIELD`].
    Field,
}

/// What is to be changed on findings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// The workflow status.
    pub workflow: Option<Workflow>,
    /// Where the text is written.
    pub place: Place,
    /// The text.
    pub text: String,
}

/// What to change on a finding so that it shows the change, `None` if it does already or is to be left alone.
#[must_use]
pub fn update(finding: &Finding, change: &Change) -> Option<FindingUpdate> {
    let workflow = match change.workflow {
        None => None,
        Some(wanted) => match next(finding, wanted) {
            Next::LeaveAlone => return None,
            Next::Keep => None,
            Next::Set(workflow) => Some(workflow),
        },
    };
    let persons = finding
        .note
        .as_ref()
        .is_some_and(|note| !note.updated_by.starts_with(OUR_NOTES));
    let note = (change.place == Place::Note && !persons).then(|| note(change));
    let is_there = |note: &Note| {
        let there = finding.note.as_ref();
        there.is_some_and(|it| it.text == note.text && it.updated_by == note.updated_by)
    };
    let there = finding.user_defined_fields.get(REMEDIATION_FIELD);
    let text = cut(&change.text, FIELD_VALUE_CHARS);
    // A field that is there would say what is no longer so.
    let in_field = note.is_none() || there.is_some();
    let room = there.is_some() || finding.user_defined_fields.len() < USER_DEFINED_FIELDS;
    let mut user_defined_fields = std::collections::BTreeMap::new();
    if in_field && room && there != Some(&text) {
        user_defined_fields.clone_from(&finding.user_defined_fields);
        user_defined_fields.insert(REMEDIATION_FIELD.to_owned(), text);
    }
    let update = FindingUpdate {
        user_defined_fields,
        note: note.filter(|note| !is_there(note)),
        workflow,
    };
    (update != FindingUpdate::default()).then_some(update)
}

/// The same of a finding that is open and has nothing on it: it need not be read first.
#[must_use]
pub fn of_bare(change: &Change) -> FindingUpdate {
    FindingUpdate {
        note: Some(note(change)),
        workflow: change.workflow,
        ..FindingUpdate::default()
    }
}

fn note(change: &Change) -> Note {
    Note {
        text: cut(&change.text, NOTE_CHARS),
        updated_by: AUTHOR.to_owned(),
    }
}

/// What a finding gets that is too large for its update (`FindingSizeExceeded`): the workflow status alone.
#[must_use]
pub fn smallest(update: &FindingUpdate) -> FindingUpdate {
    match update.workflow {
        // Without a status nothing would be left: the same again is refused again, and the finding is left as it is.
        None => update.clone(),
        workflow => FindingUpdate {
            workflow,
            ..FindingUpdate::default()
        },
    }
}

/// What becomes of a finding's workflow status.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Set(Workflow),
    /// It stays; the text is written.
    Keep,
    /// The finding is not touched.
    LeaveAlone,
}

/// What people have set goes before what we want: a suppressed finding stays suppressed, and a status that is further
/// on stays. Security Hub itself resolves a finding whose control passes.
fn next(finding: &Finding, wanted: Workflow) -> Next {
    let passed = finding.compliance == PASSED;
    let now = finding.workflow.unwrap_or(Workflow::New);
    match (wanted, now) {
        (Workflow::Suppressed, _) if passed => Next::LeaveAlone,
        // Security Hub would leave it suppressed if the control failed again; it opens a resolved one.
        (Workflow::New, Workflow::Suppressed) if passed => Next::Set(Workflow::Resolved),
        (Workflow::New, Workflow::Suppressed) => Next::Set(Workflow::New),
        // Somebody has opened it before.
        (Workflow::New, _) => Next::LeaveAlone,
        _ if passed => Next::Keep,
        (Workflow::Suppressed, Workflow::New | Workflow::Notified | Workflow::Resolved)
        | (Workflow::Resolved, Workflow::New | Workflow::Notified)
        | (Workflow::Notified, Workflow::New) => Next::Set(wanted),
        (Workflow::Suppressed | Workflow::Resolved | Workflow::Notified, _) => Next::Keep,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orgkeeper_shared::{ids::FindingId, security_hub::FindingNote};

    use super::*;

    fn finding(workflow: Workflow) -> Finding {
        Finding {
            id: FindingId {
                id: "a".into(),
                product_arn: "p".into(),
            },
            account: "111122223333".parse().unwrap(),
            publisher: "111122223333".parse().unwrap(),
            user_defined_fields: BTreeMap::new(),
            note: None,
            compliance: "FAILED".into(),
            workflow: Some(workflow),
            seen_at: String::new(),
        }
    }

    fn change(workflow: Option<Workflow>, place: Place) -> Change {
        Change {
            workflow,
            place,
            text: "what was done".into(),
        }
    }

    fn noted(finding: &Finding, updated_by: &str) -> Finding {
        Finding {
            note: Some(FindingNote {
                text: "mine".into(),
                updated_by: updated_by.into(),
            }),
            ..finding.clone()
        }
    }

    /// The finding as it is after an update.
    fn after(finding: &Finding, update: FindingUpdate) -> Finding {
        let mut finding = finding.clone();
        if !update.user_defined_fields.is_empty() {
            finding.user_defined_fields = update.user_defined_fields;
        }
        if let Some(note) = update.note {
            finding.note = Some(FindingNote {
                text: note.text,
                updated_by: note.updated_by,
            });
        }
        finding.workflow = update.workflow.or(finding.workflow);
        finding
    }

    #[test]
    fn what_people_have_set_stays() {
        use Workflow::{New, Notified, Resolved, Suppressed};
        for (wanted, now, expected) in [
            (Resolved, New, Some(Resolved)),
            (Resolved, Notified, Some(Resolved)),
            (Resolved, Resolved, None),
            (Resolved, Suppressed, None),
            (Notified, New, Some(Notified)),
            (Notified, Notified, None),
            (Notified, Resolved, None),
            (Notified, Suppressed, None),
            (Suppressed, New, Some(Suppressed)),
            (Suppressed, Notified, Some(Suppressed)),
            (Suppressed, Resolved, Some(Suppressed)),
            (Suppressed, Suppressed, None),
        ] {
            let update = update(&finding(now), &change(Some(wanted), Place::Note)).unwrap();
            assert_eq!(update.workflow, expected, "{wanted:?} on {now:?}");
            assert!(update.note.is_some());
        }
        // Nothing is opened that somebody has opened or resolved meanwhile.
        for now in [New, Notified, Resolved] {
            let reopen = change(Some(New), Place::Note);
            assert_eq!(update(&finding(now), &reopen), None, "{now:?}");
        }
    }

    #[test]
    fn the_workflow_of_a_finding_that_passed_is_security_hubs() {
        use Workflow::{New, Notified, Resolved, Suppressed};
        let passed = |now| Finding {
            compliance: PASSED.into(),
            ..finding(now)
        };
        for wanted in [Resolved, Notified] {
            let update = update(&passed(New), &change(Some(wanted), Place::Note)).unwrap();
            assert_eq!(update.workflow, None, "{wanted:?}");
        }
        let suppress = change(Some(Suppressed), Place::Note);
        assert_eq!(update(&passed(New), &suppress), None);
        // Left suppressed, it would stay so when the control fails again.
        let reopen = change(Some(New), Place::Note);
        let update = update(&passed(Suppressed), &reopen).unwrap();
        assert_eq!(update.workflow, Some(Resolved));
    }

    #[test]
    fn a_persons_note_stays_and_the_field_says_it() {
        let mut theirs = noted(&finding(Workflow::New), "ana");
        theirs.user_defined_fields = [("ticket".to_owned(), "SEC-1".to_owned())].into();
        let update = update(&theirs, &change(Some(Workflow::Resolved), Place::Note)).unwrap();
        assert_eq!(update.note, None);
        assert_eq!(update.user_defined_fields["ticket"], "SEC-1");
        assert_eq!(
            update.user_defined_fields[REMEDIATION_FIELD],
            "what was done"
        );
        assert_eq!(update.workflow, Some(Workflow::Resolved));
    }

    #[test]
    fn notes_of_orgkeeper_are_replaced_and_fields_left() {
        for author in ["orgkeeper/finding-enricher", AUTHOR] {
            let mut ours = noted(&finding(Workflow::New), author);
            ours.user_defined_fields = [("AccountName".to_owned(), "payments".to_owned())].into();
            let update = update(&ours, &change(None, Place::Note)).unwrap();
            assert_eq!(update.note.unwrap().text, "what was done");
            assert!(update.user_defined_fields.is_empty());
        }
    }

    #[test]
    fn a_field_that_says_what_is_no_longer_so_is_replaced() {
        let mut previewed = finding(Workflow::New);
        let fields = [(REMEDIATION_FIELD, "would fix: it"), ("ticket", "SEC-1")];
        previewed.user_defined_fields = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let update = update(&previewed, &change(Some(Workflow::Resolved), Place::Note)).unwrap();
        assert_eq!(
            update.user_defined_fields[REMEDIATION_FIELD],
            "what was done"
        );
        assert_eq!(update.user_defined_fields["ticket"], "SEC-1");
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        for theirs in [
            finding(Workflow::New),
            noted(&finding(Workflow::New), "ana"),
        ] {
            for change in [
                change(Some(Workflow::Resolved), Place::Note),
                change(None, Place::Field),
            ] {
                let first = update(&theirs, &change).unwrap();
                assert_eq!(update(&after(&theirs, first), &change), None, "{change:?}");
            }
        }
    }

    #[test]
    fn fifty_fields_leave_no_room() {
        let mut full = finding(Workflow::New);
        full.user_defined_fields = (0..50).map(|n| (n.to_string(), "v".into())).collect();
        assert_eq!(update(&full, &change(None, Place::Field)), None);
    }

    #[test]
    fn a_text_fits() {
        let long = Change {
            text: "ä".repeat(2_000),
            ..change(None, Place::Note)
        };
        let update_of = |finding: &Finding| update(finding, &long).unwrap();
        let note = update_of(&finding(Workflow::New)).note.unwrap();
        assert_eq!(note.text.chars().count(), 512);
        let theirs = noted(&finding(Workflow::New), "ana");
        let field = &update_of(&theirs).user_defined_fields[REMEDIATION_FIELD];
        assert_eq!(field.chars().count(), 1_024);
    }

    #[test]
    fn a_bare_finding_gets_what_it_would_get_if_it_were_read() {
        for now in [Workflow::New, Workflow::Notified] {
            let suppress = change(Some(Workflow::Suppressed), Place::Note);
            let ours = noted(&finding(now), "orgkeeper/finding-enricher");
            for read in [finding(now), ours] {
                assert_eq!(update(&read, &suppress), Some(of_bare(&suppress)));
            }
        }
    }

    #[test]
    fn the_status_goes_where_there_is_no_room_for_more() {
        let whole = update(
            &finding(Workflow::New),
            &change(Some(Workflow::Suppressed), Place::Note),
        )
        .unwrap();
        let expected = FindingUpdate {
            workflow: Some(Workflow::Suppressed),
            ..FindingUpdate::default()
        };
        assert_eq!(smallest(&whole), expected);
    }
}
