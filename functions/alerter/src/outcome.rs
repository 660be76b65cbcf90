//! How a call ended, by its record.

use crate::event::Event;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It was denied.
    Denied,
    /// It failed, because what it names does not exist.
    NotThere,
    /// It failed for another reason.
    Failed,
}

/// Parts of the error codes for a denial: they differ between services.
const DENIALS: &[&str] = &["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"];
/// Parts of the error codes for something that does not exist.
const ABSENCES: &[&str] = &[
    "NotFound",
    "NoSuch",
    "NotExist",
    "NonExistent",
    "NoAvailable",
    "NoRunning",
    "UnknownResource",
    "NotRegistered",
    "NotInOrganization",
];
/// What the messages of services say that have one code for every fault: GuardDuty, Security Hub.
const ABSENCES_IN_WORDS: &[&str] = &[
    "does not exist",
    "not owned by the current account",
    "is not subscribed to",
    "cannot be found",
    "could not be found",
    "was not found",
];

impl Outcome {
    /// How a call ended. Events of sign-in have their outcome in the answer instead of an error code.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let Some(error) = event.first(&["/detail/errorCode", "/detail/errorMessage"]) else {
            let answer = event.value("/detail/eventName").is_some_and(|operation| {
                event.is(&format!("/detail/responseElements/{operation}"), "Failure")
            });
            return if answer { Self::Failed } else { Self::Done };
        };
        let message = event.value("/detail/errorMessage").unwrap_or_default();
        let any = |parts: &[&str], text: &str| parts.iter().any(|part| text.contains(part));
        if any(DENIALS, &error) {
            Self::Denied
        } else if any(ABSENCES, &error) || any(ABSENCES_IN_WORDS, &message) {
            Self::NotThere
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn outcome(event: &Event) -> Outcome {
        Outcome::of(event)
    }

    fn event(detail: &Value) -> Event {
        let body = json!({ "detail": detail }).to_string();
        Event::read(&body, "", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn outcomes_have_many_error_codes() {
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "Client.UnauthorizedOperation",
            "UnauthorizedException",
            "NotAuthorized",
        ] {
            assert_eq!(
                outcome(&event(&json!({ "errorCode": code }))),
                Outcome::Denied
            );
        }
        for detail in [
            json!({ "errorCode": "TrailNotFoundException" }),
            json!({ "errorCode": "NoSuchConfigurationRecorderException" }),
            json!({ "errorCode": "BadRequestException", "errorMessage": "The request is rejected because the input detectorId is not owned by the current account." }),
            json!({ "errorCode": "InvalidAccessException", "errorMessage": "Account 111122223333 is not subscribed to AWS Security Hub" }),
        ] {
            assert_eq!(outcome(&event(&detail)), Outcome::NotThere, "{detail}");
        }
        // A name in the message of a denial decides nothing.
        let denied = json!({ "errorCode": "AccessDenied", "errorMessage": "not authorized on role does not exist" });
        assert_eq!(outcome(&event(&denied)), Outcome::Denied);
        let refused = json!({ "eventName": "PasswordUpdated", "responseElements": { "PasswordUpdated": "Failure" } });
        assert_eq!(outcome(&event(&refused)), Outcome::Failed);
        assert_eq!(
            outcome(&event(&json!({ "errorCode": "Throttling" }))),
            Outcome::Failed
        );
        assert_eq!(outcome(&event(&json!({ "errorCode": "" }))), Outcome::Done);
    }
}
