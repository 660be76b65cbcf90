//! Central root access: what the management account may do as the root user of member accounts.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// Anyone who may call `sts:AssumeRoot` acts as the root user of every member account.
const SESSIONS_ON: Content = Content::grave("root sessions were enabled");

/// A feature of central root access was switched on or off.
pub const KIND: &Kind = &Kind {
    name: "root.central-access",
    plural: "changes of central root access",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(SESSIONS_ON).fixed(),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "central management of root credentials, or root sessions for member accounts, switched on or off, or an attempt",
    rules: &[EventRule::of_calls(
        "RootCentralAccess",
        "Central root access that is switched on or off",
    )],
    calls: CALLS,
    samples: &["root-central-access"],
    classify,
};

const fn iam(operation: &'static str, verb: [&'static str; 2], object: &'static str) -> CallWords {
    call_words::row("iam", operation, verb, object, "")
}

const DISABLE: [&str; 2] = ["disable", "disabled"];
const ENABLE: [&str; 2] = ["enable", "enabled"];

const CREDENTIALS: &str = "the central management of root credentials";
const SESSIONS: &str = "the central root sessions for member accounts";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    iam(
        "EnableOrganizationsRootCredentialsManagement",
        ENABLE,
        CREDENTIALS,
    ),
    iam(
        "DisableOrganizationsRootCredentialsManagement",
        DISABLE,
        CREDENTIALS,
    ),
    iam("EnableOrganizationsRootSessions", ENABLE, SESSIONS),
    iam("DisableOrganizationsRootSessions", DISABLE, SESSIONS),
];

/// What to do, by operation.
const NEXT: &[(&str, &str)] = &[
    (
        "EnableOrganizationsRootCredentialsManagement",
        "The management account can now delete root credentials of member accounts and allow their recovery. If this was \
            not planned, switch it off again and ask them.",
    ),
    (
        "DisableOrganizationsRootCredentialsManagement",
        "Root credentials of member accounts are in the hands of their owners again. If this was not planned, switch it \
            on again, and check which root users have a password or keys.",
    ),
    (
        "EnableOrganizationsRootSessions",
        "Anyone who may call AssumeRoot in the management account can act as the root user of every member account now. If \
            this was not planned, switch it off again, and check in CloudTrail for calls of AssumeRoot.",
    ),
    (
        "DisableOrganizationsRootSessions",
        "Tasks of root users need their own sign-in again. If this was not planned, switch it on again and ask them.",
    ),
];
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Classifies a change of central root access.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    if words.operation == "EnableOrganizationsRootSessions" {
        draft.is_about(SESSIONS_ON);
    }
    let (_, done) = NEXT
        .iter()
        .find(|(operation, _)| *operation == words.operation)?;
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, call as event, judged};

    #[test]
    fn sessions_as_every_root_user_are_critical() {
        let nothing = Value::Object(serde_json::Map::new());
        for (operation, role, severity) in [
            (
                "EnableOrganizationsRootSessions",
                PERSON,
                Severity::Critical,
            ),
            ("EnableOrganizationsRootSessions", DEPLOYER, Severity::Info),
            ("DisableOrganizationsRootSessions", PERSON, Severity::Error),
            (
                "EnableOrganizationsRootCredentialsManagement",
                PERSON,
                Severity::Error,
            ),
            (
                "DisableOrganizationsRootCredentialsManagement",
                PERSON,
                Severity::Error,
            ),
        ] {
            let (kind, judged, _) = judged(&event("iam", operation, role, &nothing)).unwrap();
            assert_eq!((kind, judged), (KIND.name, severity), "{operation} {role}");
        }
    }
}
