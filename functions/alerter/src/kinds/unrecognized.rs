//! Messages that no other kind recognizes: never dropped.

use orgkeeper_shared::alert::{ORIGINAL_MESSAGE, Severity};

use crate::{
    actor::{self, Actor},
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::classifier::Classifier,
    severity::row,
    text::fit,
};

/// A message that no other kind recognizes.
pub const KIND: &Kind = &Kind {
    name: "unrecognized",
    plural: "unrecognized messages",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "any other event that arrives, shown as it came",
    rules: &[],
    calls: &[],
    samples: &["unrecognized", "unrecognized-text"],
    classify: |event| Some(draft(event).into()),
};

/// Characters of the message: nobody reads more on a phone.
const SHOWN: usize = 4_000;

const TO_DO: &str = "Read it. If it matters, ask the people who run orgkeeper to add a kind of alert for it. If \
    not, exclude it in its EventBridge rule, or silence it for a while.";

/// The alert with the original message.
#[must_use]
pub fn draft(event: &Event) -> Draft {
    let kind = event
        .first(&["/detail-type", "/source", "/detail/eventName"])
        .or_else(|| event.subject().map(str::to_owned));
    let named = kind
        .as_deref()
        .map_or(String::new(), |kind| format!(": {}", fit(kind, 60)));
    let mut draft = Draft::of(event, KIND, format!("Unrecognized message{named}"));
    draft.what_happened("orgkeeper does not recognize this message. The original message follows.");
    draft.account = event.account(&[
        "/detail/recipientAccountId",
        "/detail/accountId",
        "/AWSAccountId",
    ]);
    draft.actor = Actor::of(event);
    draft.source_ip = actor::source_ip(event);
    draft.detail("Subject", event.subject().map(str::to_owned));
    draft.detail(
        "Event",
        event.first(&["/detail/eventName", "/detail/eventTypeCode"]),
    );
    draft.what_to_do(TO_DO);
    draft.details.push((ORIGINAL_MESSAGE, shown(event.text())));
    draft.burst_key = kind.unwrap_or_default();
    draft
}

/// The start of the message, and how long it is.
fn shown(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let characters = text.chars().count();
    if characters <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}\n(cut here: {SHOWN} of {characters} characters)")
}
