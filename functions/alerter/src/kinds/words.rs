//! Words for calls that CloudTrail recorded.

use crate::{
    draft::{Draft, capitalized, name_of},
    event::{Call, Event},
};

/// The words for one operation.
///
/// `object` and `rest` can hold values of the request in braces: `policy {policyArn}`. Where one is
/// missing, its part goes, up to the next `|`; of the object's first part the words stay. An article in
/// front of the object is left out of titles.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The service, as in [`Call::service`].
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// What is done: `attach`.
    pub verb: &'static str,
    /// The same, done: `attached`.
    pub done: &'static str,
    /// What it is done to: `policy {policyArn}`.
    pub object: &'static str,
    /// What goes with it: `to role {roleName}`.
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
) -> Words {
    Words {
        service,
        operation,
        verb,
        done,
        object,
        rest,
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Denied,
    /// It failed for another reason.
    Failed,
}

/// Parts of the error codes that mean a denial: services spell theirs differently.
const DENIALS: &[&str] = &["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"];

impl Outcome {
    /// How the call ended that `event` is about.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event.first(&["/detail/errorCode", "/detail/errorMessage"]) {
            None => Self::Done,
            Some(error) if DENIALS.iter().any(|denial| error.contains(denial)) => Self::Denied,
            Some(_) => Self::Failed,
        }
    }
}

/// AWS's own words on why a call failed.
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
pub fn find<'t>(table: &'t [Words], call: &Call) -> Option<&'t Words> {
    table
        .iter()
        .find(|words| words.service == call.service && words.operation == call.operation)
}

impl Words {
    /// What was called, in a few words: `Policy Reader attached to role app`; of one that was not done
    /// `Denied: attach policy Reader to role app`.
    #[must_use]
    pub fn what(&self, event: &Event) -> String {
        let (object, rest) = self.filled(event);
        match Outcome::of(event) {
            Outcome::Done => capitalized(&joined(&[bare(&object), self.done, &rest])),
            Outcome::Denied => format!("Denied: {}", joined(&[self.verb, bare(&object), &rest])),
            Outcome::Failed => format!("Failed: {}", joined(&[self.verb, bare(&object), &rest])),
        }
    }

    /// The same as a sentence of whoever called.
    #[must_use]
    pub fn sentence(&self, event: &Event, who: &str) -> String {
        let (object, rest) = self.filled(event);
        let who = capitalized(who);
        let tried = joined(&[&who, "tried to", self.verb, &object, &rest]);
        match Outcome::of(event) {
            Outcome::Done => format!("{}.", joined(&[&who, self.done, &object, &rest])),
            Outcome::Denied => format!("{tried}, and was denied."),
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

/// What to do next about a call that was done, denied, or failed.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// If it was done.
    pub done: &'static str,
    /// If it was denied.
    pub denied: &'static str,
    /// If it failed.
    pub failed: &'static str,
}

/// Adds to a draft about a call of a table what happened, what became of it, and what to do next.
pub fn say_call(draft: &mut Draft, words: &Words, event: &Event, next: Next) {
    draft.happened(words.sentence(event, draft.who()));
    say_outcome(draft, event);
    draft.to_do(match Outcome::of(event) {
        Outcome::Done => next.done,
        Outcome::Denied => next.denied,
        Outcome::Failed => next.failed,
    });
}

/// Adds to a draft about a call what became of it.
pub fn say_outcome(draft: &mut Draft, event: &Event) {
    let label = match Outcome::of(event) {
        Outcome::Done => return,
        Outcome::Denied => "Denied",
        Outcome::Failed => "Failed",
    };
    draft.say(label, why(event));
}

/// The parts of a template whose values the request has.
fn fill_parts(template: &str, event: &Event) -> String {
    let parts: Vec<String> = template
        .split('|')
        .filter_map(|part| fill(part, event))
        .collect();
    parts.join(" ")
}

/// A part with the request's values in place of the braces, if it has all of them.
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

/// The words that there are, with a space between each two.
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
    use crate::event::Message;

    const ATTACH: Words = row(
        "iam",
        "AttachRolePolicy",
        ["attach", "attached"],
        "policy {policyArn}",
        "to role {roleName}",
    );

    fn event(detail: &Value) -> Event {
        let body = json!({ "detail": detail }).to_string();
        match Message::read(&body, "", Timestamp::UNIX_EPOCH) {
            Message::Event(event) => event,
            Message::Task(_) => panic!("no event"),
        }
    }

    #[test]
    fn words_say_what_was_done_or_tried() {
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
        let failed = event(&json!({ "errorCode": "NoSuchEntityException" }));
        assert_eq!(ATTACH.what(&failed), "Failed: attach policy");
        assert_eq!(
            ATTACH.sentence(&failed, "somebody"),
            "Somebody tried to attach a policy, which failed."
        );
    }

    #[test]
    fn denials_have_many_names() {
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "Client.UnauthorizedOperation",
            "UnauthorizedException",
            "NotAuthorized",
        ] {
            assert_eq!(
                Outcome::of(&event(&json!({ "errorCode": code }))),
                Outcome::Denied
            );
        }
        assert_eq!(
            Outcome::of(&event(&json!({ "errorCode": "Throttling" }))),
            Outcome::Failed
        );
        assert_eq!(
            Outcome::of(&event(&json!({ "errorCode": "" }))),
            Outcome::Done
        );
    }
}
