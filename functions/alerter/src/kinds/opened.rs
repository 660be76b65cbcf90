//! What the kinds about opened things say alike: keys, data.

use crate::{
    draft::Draft,
    event::Event,
    kinds::call_words::CallWords,
    policy_document::{EVERYBODY, OUTSIDE, PolicyDocument, UNREAD},
    severity::{Content, Outcome},
    text::capitalized,
};

/// Who has access after a change, by its content.
const TO_WHOM: &[(Content, &str)] = &[
    (EVERYBODY, "opened to everybody"),
    (OUTSIDE, "opened to another account"),
];

/// Adds whom the first policy at one of the pointers lets in; [`UNREAD`] if there is none that can be read.
pub(super) fn read_policy(draft: &mut Draft, event: &Event, pointers: &[&str]) {
    let found = pointers.iter().find_map(|place| event.json(place));
    match PolicyDocument::read(found).filter(PolicyDocument::is_understood) {
        Some(document) => draft.lets_in(document.lets_in(draft.account.as_ref())),
        None => draft.is_about(UNREAD),
    }
}

/// Whether a draft names nobody who was let in.
pub(super) fn lets_in_nobody(draft: &Draft) -> bool {
    draft.content.is_none() && !draft.details.iter().any(|(label, _)| *label == "Lets in")
}

/// Replaces the headline of a call that opened something: `Bucket invoices opened to everybody`. The object of `words`
/// is `access|to bucket {bucketName}`.
pub(super) fn name_whom(draft: &mut Draft, words: &CallWords, event: &Event) {
    let opened = TO_WHOM
        .iter()
        .find(|(content, _)| draft.content == Some(*content));
    draft.before_account = ": ";
    if let (Some((_, opened)), Outcome::Done) = (opened, draft.outcome) {
        let object = words.bare_object(event);
        let object = object.strip_prefix("access to ").unwrap_or(&object);
        let object = object.strip_prefix("a ").unwrap_or(object);
        draft.headline = format!("{} {opened}", capitalized(object));
    }
}
