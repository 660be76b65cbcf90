//! What the kinds about opened things say alike: keys, data.

use orgkeeper_shared::alert::WHAT_HAPPENED;

use crate::{
    draft::Draft,
    event::Event,
    kinds::call_words::CallWords,
    outcome::Outcome,
    policy_document::{PolicyDocument, UNREAD},
    text::capitalized,
};

/// Adds whom the first policy at one of the pointers lets in; [`UNREAD`] if there is none that can be read.
pub(super) fn read_policy(draft: &mut Draft, event: &Event, pointers: &[&str]) {
    let found = pointers.iter().find_map(|place| event.node(place));
    match PolicyDocument::read(found).filter(PolicyDocument::is_understood) {
        Some(document) => draft.lets_in(document.lets_in(draft.account.as_ref())),
        None => draft.is_about(UNREAD),
    }
}

/// Whether a draft names nobody who was let in.
pub(super) fn lets_in_nobody(draft: &Draft) -> bool {
    draft.content.is_none() && !draft.details.iter().any(|(label, _)| *label == "Lets in")
}

/// Says in headline and sentence what became of what a call opened: `Bucket invoices opened to everybody`. The object of
/// `words` is `access|to bucket {bucketName}`; an empty `opened` adds nothing. Call it after the sentence is there.
pub(super) fn name_whom(draft: &mut Draft, words: &CallWords, event: &Event, opened: &str) {
    if opened.is_empty() || draft.outcome != Outcome::Done {
        return;
    }
    let object = words.bare_object(event);
    let object = object.strip_prefix("access to ").unwrap_or(&object);
    let object = ["a ", "the "]
        .iter()
        .find_map(|article| object.strip_prefix(article))
        .unwrap_or(object);
    draft.headline = format!("{} {opened}", capitalized(object));
    // "to everybody in payments-dev" would be less than what happened.
    draft.before_account = ": ";
    let mut details = draft.details.iter_mut();
    if let Some((_, sentence)) = details.find(|(label, _)| *label == WHAT_HAPPENED) {
        sentence.push_str(" It is ");
        sentence.push_str(opened);
        sentence.push_str(" now.");
    }
}
