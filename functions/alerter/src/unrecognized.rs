//! What nobody knows is told as it came: never dropped.

use orgkeeper_shared::alert::AS_IT_CAME;

use crate::{
    draft::{Draft, fit},
    event::Event,
    kinds::Kind,
    who::{self, Who},
};

/// Characters of a message that are shown: more would not be read on a phone.
const SHOWN: usize = 4_000;

const TO_DO: &str = "Read it. If it matters, tell the people who run orgkeeper that they should put it into words; \
    if not, have its EventBridge rule leave it out or silence it for a while.";

/// What is told of a message that nobody knows.
#[must_use]
pub fn draft(event: &Event) -> Draft {
    let kind = event
        .first(&["/detail-type", "/source", "/detail/eventName"])
        .or_else(|| event.subject().map(str::to_owned));
    let named = kind
        .as_deref()
        .map_or(String::new(), |kind| format!(": {}", fit(kind, 60)));
    let mut draft = Draft::of(
        event,
        Kind::Unrecognized,
        format!("Unrecognized message{named}"),
    );
    draft.happened("A message came that orgkeeper has no words for. It follows as it came.");
    draft.account = event.account(&[
        "/detail/recipientAccountId",
        "/detail/accountId",
        "/AWSAccountId",
    ]);
    draft.who = Who::of(event);
    draft.address = who::address(event);
    draft.say("Subject", event.subject().map(str::to_owned));
    draft.say(
        "Event",
        event.first(&["/detail/eventName", "/detail/eventTypeCode"]),
    );
    draft.to_do(TO_DO);
    draft.details.push((AS_IT_CAME, shown(event.text())));
    draft.like = kind.unwrap_or_default();
    draft
}

/// As much of the message as is shown, and how much that is.
fn shown(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "(it is empty)".to_owned();
    }
    let characters = text.chars().count();
    if characters <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}\n(cut here: {SHOWN} of {characters} characters)")
}
