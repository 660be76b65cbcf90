//! Titles and sentences for calls that CloudTrail recorded, by tables of words.

use crate::{
    draft::Draft,
    event::{Call, Event},
    outcome::Outcome,
    text::{capitalized, name_of},
};

/// The words for one operation.
///
/// `object` and `rest` can contain values of the request in braces: `policy {policyArn}`. If a value is missing, its
/// part is left out, up to the next `|`; of the object's first part the words stay. Titles leave out an article before
/// the object.
#[derive(Clone, Copy, Debug)]
pub struct CallWords {
    /// The service, as in [`Call::service`].
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// The verb: `attach`.
    pub verb: &'static str,
    /// Its participle: `attached`.
    pub done: &'static str,
    /// The object: `policy {policyArn}`.
    pub object: &'static str,
    /// The rest of the sentence: `to role {roleName}`.
    pub rest: &'static str,
}

/// The words of an operation as a row of a table.
#[must_use]
pub const fn row(
    service: &'static str,
    operation: &'static str,
    [verb, done]: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    CallWords {
        service,
        operation,
        verb,
        done,
        object,
        rest,
    }
}

/// AWS's reason why a call failed.
#[must_use]
pub fn why(event: &Event) -> Option<String> {
    let part = |name: &str| event.value(&format!("/detail/{name}"));
    match (part("errorCode"), part("errorMessage")) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

/// The words of a call in one of the tables.
#[must_use]
pub fn find<'t>(table: &'t [CallWords], call: &Call) -> Option<&'t CallWords> {
    table
        .iter()
        .find(|words| words.service == call.service && words.operation == call.operation)
}

impl CallWords {
    /// The call in a few words: `Policy Reader attached to role app`; of a denied one
    /// `Denied: attach policy Reader to role app`.
    #[must_use]
    pub fn what(&self, event: &Event) -> String {
        let (object, rest) = self.filled(event);
        match Outcome::of(event) {
            Outcome::Done => capitalized(&joined(&[bare(&object), self.done, &rest])),
            Outcome::Denied => {
                format!("Denied: {}", joined(&[self.verb, bare(&object), &rest]))
            }
            Outcome::NotThere => {
                format!(
                    "Nothing to {}: {}",
                    self.verb,
                    joined(&[bare(&object), &rest])
                )
            }
            Outcome::Failed => {
                format!("Failed: {}", joined(&[self.verb, bare(&object), &rest]))
            }
        }
    }

    /// What the call is about, without an article: `GuardDuty detector 12ab`.
    #[must_use]
    pub fn bare_object(&self, event: &Event) -> String {
        let (object, rest) = self.filled(event);
        joined(&[bare(&object), &rest])
    }

    /// The call as a sentence about its actor.
    #[must_use]
    pub fn sentence(&self, event: &Event, who: &str) -> String {
        let (object, rest) = self.filled(event);
        let who = capitalized(who);
        let tried = joined(&[&who, "tried to", self.verb, &object, &rest]);
        match Outcome::of(event) {
            Outcome::Done => format!("{}.", joined(&[&who, self.done, &object, &rest])),
            Outcome::Denied => format!("{tried}, and was denied."),
            Outcome::NotThere => format!("{tried}, which does not exist."),
            Outcome::Failed => format!("{tried}, which failed."),
        }
    }

    fn filled(&self, event: &Event) -> (String, String) {
        let (first, others) = self.object.split_once('|').unwrap_or((self.object, ""));
        let first = fill(first, event).unwrap_or_else(|| nameless(first));
        (
            joined(&[&first, &fill_parts(others, event)]),
            fill_parts(self.rest, event),
        )
    }
}

/// What to do next, by how the call ended.
#[derive(Clone, Copy, Debug)]
pub struct NextSteps {
    /// If it succeeded.
    pub done: &'static str,
    /// If it was denied.
    pub denied: &'static str,
    /// If it failed.
    pub failed: &'static str,
}

const NOTHING_THERE: &str = "Nothing: it does not exist, so nothing was changed.";

/// Adds to a draft what happened, why it failed, and what to do next.
pub fn describe_call(draft: &mut Draft, words: &CallWords, event: &Event, next: NextSteps) {
    draft.what_happened(words.sentence(event, draft.actor_name()));
    add_failure_reason(draft, event);
    draft.what_to_do(match Outcome::of(event) {
        Outcome::Done => next.done,
        Outcome::Denied => next.denied,
        Outcome::NotThere => NOTHING_THERE,
        Outcome::Failed => next.failed,
    });
}

/// Adds to a draft why a call failed.
pub fn add_failure_reason(draft: &mut Draft, event: &Event) {
    let label = match Outcome::of(event) {
        Outcome::Done => return,
        Outcome::Denied => "Denied",
        Outcome::NotThere | Outcome::Failed => "Failed",
    };
    draft.detail(label, why(event));
}

/// The parts of a template whose values are in the request.
fn fill_parts(template: &str, event: &Event) -> String {
    let parts: Vec<String> = template
        .split('|')
        .filter_map(|part| fill(part, event))
        .collect();
    parts.join(" ")
}

/// A part with the request's values in place of the braces; `None` if one is missing.
fn fill(part: &str, event: &Event) -> Option<String> {
    let mut texts = part.split('{');
    let mut filled = texts.next()?.to_owned();
    for text in texts {
        let (field, rest) = text.split_once('}')?;
        let pointer = format!("/detail/requestParameters/{}", field.replace('.', "/"));
        filled.push_str(name_of(&event.value(&pointer)?));
        filled.push_str(rest);
    }
    Some(filled)
}

/// The words of a part without its values: `policy {policyArn}` -> `a policy`.
fn nameless(part: &str) -> String {
    let words: Vec<&str> = part
        .split('{')
        .enumerate()
        .map(|(place, text)| match text.split_once('}') {
            Some((_, rest)) if place > 0 => rest,
            _ => text,
        })
        .collect();
    let words = joined(&words);
    let article = if words.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {words}")
}

/// An object without its article.
fn bare(object: &str) -> &str {
    ["a ", "an ", "the ", "their "]
        .iter()
        .find_map(|article| object.strip_prefix(article))
        .unwrap_or(object)
}

/// The words, separated by one space.
fn joined(words: &[&str]) -> String {
    words
        .iter()
        .flat_map(|words| words.split_whitespace())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    const ATTACH: CallWords = row(
        "iam",
        "AttachRolePolicy",
        ["attach", "attached"],
        "policy {policyArn}",
        "to role {roleName}",
    );

    fn event(detail: &Value) -> Event {
        let body = json!({ "detail": detail }).to_string();
        Event::read(&body, "", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_call_has_a_title_and_a_sentence() {
        let request = json!({ "policyArn": "arn:aws:iam::aws:policy/Reader", "roleName": "app" });
        let done = event(&json!({ "requestParameters": request }));
        assert_eq!(ATTACH.what(&done), "Policy Reader attached to role app");
        assert_eq!(
            ATTACH.sentence(&done, "role Admin"),
            "Role Admin attached policy Reader to role app."
        );
        let denied = event(&json!({ "requestParameters": request, "errorCode": "AccessDenied" }));
        assert_eq!(
            ATTACH.what(&denied),
            "Denied: attach policy Reader to role app"
        );
        assert_eq!(
            ATTACH.sentence(&denied, "role Admin"),
            "Role Admin tried to attach policy Reader to role app, and was denied."
        );
        let failed = event(&json!({ "errorCode": "LimitExceededException" }));
        assert_eq!(ATTACH.what(&failed), "Failed: attach policy");
        assert_eq!(
            ATTACH.sentence(&failed, "somebody"),
            "Somebody tried to attach a policy, which failed."
        );
        let absent = event(&json!({ "errorCode": "NoSuchEntityException" }));
        assert_eq!(ATTACH.what(&absent), "Nothing to attach: policy");
        assert_eq!(
            ATTACH.sentence(&absent, "somebody"),
            "Somebody tried to attach a policy, which does not exist."
        );
    }
}
