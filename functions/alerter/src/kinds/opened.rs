//! What the kinds about opened things say alike: keys, data.

use crate::{
    draft::Draft,
    event::Event,
    kinds::call_words::CallWords,
    policy_document::{PolicyDocument, UNREAD},
    severity::Outcome,
    text::capitalized,
};

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

/// Replaces the headline of a call that opened something by what became of it: `Bucket invoices opened to everybody`.
/// The object of `words` is `access|to bucket {bucketName}`; an empty `opened` changes nothing.
pub(super) fn name_whom(draft: &mut Draft, words: &CallWords, event: &Event, opened: &str) {
    draft.before_account = ": ";
    if !opened.is_empty() && draft.outcome == Outcome::Done {
        let object = words.bare_object(event);
        let object = object.strip_prefix("access to ").unwrap_or(&object);
        let object = ["a ", "the "]
            .iter()
            .find_map(|article| object.strip_prefix(article))
            .unwrap_or(object);
        draft.headline = format!("{} {opened}", capitalized(object));
    }
}
