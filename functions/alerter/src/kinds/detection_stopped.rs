//! What looks for attacks and open doors is off: Macie, Inspector, Detective, Access Analyzer, Security Lake. GuardDuty,
//! Security Hub and Config are in [`super::trail_change`].

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::ActorClass,
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_SERVICE, Content, NOT_THERE, row},
};

/// A service looks for nothing any more.
const OFF: Content = Content::grave("switched off");
/// Some of its findings are hidden, or some accounts are left out.
const LESS: Content = Content::grave("looks at less, or hides findings");
/// It works again.
const ON: Content = Content::new("switched on");

/// Something that looks for attacks was switched off.
pub const KIND: &Kind = &Kind {
    name: "detection.stopped",
    plural: "stopped detections",
    severities: &[
        NOT_THERE,
        BY_A_SERVICE,
        row(Severity::Info).content(ON).fixed(),
        row(Severity::Info)
            .outcome(Outcome::Done)
            .content(LESS)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error).by(ActorClass::DeploymentTool),
        row(Severity::Error).content(LESS),
        row(Severity::Error).outcome(Outcome::Failed),
        row(Severity::Critical),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "Macie, Inspector, Detective, Access Analyzer or Security Lake switched off or narrowed, or an attempt",
    rules: &[EventRule::of_calls(
        "DetectionStopped",
        "Macie, Inspector, Detective, Access Analyzer and Security Lake switched off",
    )],
    calls: CALLS,
    samples: &[
        "detection-stopped",
        "detection-stopped-analyzer",
        "detection-stopped-archive-rule",
    ],
    classify,
};

const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const SET: [&str; 2] = ["set", "set"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const MEMBERS: &str = "member accounts";
const ANALYZER: &str = "access analyzer {analyzerName}";
const ARCHIVE_RULE: &str = "archive rule {ruleName}|of access analyzer {analyzerName}";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    call("macie2", "DisableMacie", DISABLE, "Macie", ""),
    call("macie2", "UpdateMacieSession", SET, "Macie", "to {status}"),
    call(
        "macie2",
        "DisassociateMember",
        REMOVE,
        MEMBERS,
        "from Macie",
    ),
    call(
        "macie2",
        "DisassociateFromAdministratorAccount",
        REMOVE,
        "the account",
        "from Macie's administrator",
    ),
    call(
        "macie2",
        "DisableOrganizationAdminAccount",
        REMOVE,
        "Macie's administrator {adminAccountId}",
        "",
    ),
    call("inspector2", "Disable", DISABLE, "Inspector", ""),
    call(
        "inspector2",
        "DisableDelegatedAdminAccount",
        REMOVE,
        "Inspector's administrator {delegatedAdminAccountId}",
        "",
    ),
    call(
        "inspector2",
        "DisassociateMember",
        REMOVE,
        MEMBERS,
        "from Inspector",
    ),
    call("detective", "DeleteGraph", DISABLE, "Detective", ""),
    call(
        "detective",
        "DeleteMembers",
        REMOVE,
        MEMBERS,
        "from Detective",
    ),
    call(
        "detective",
        "DisassociateMembership",
        REMOVE,
        "the account",
        "from Detective",
    ),
    call("access-analyzer", "DeleteAnalyzer", DELETE, ANALYZER, ""),
    call(
        "access-analyzer",
        "CreateArchiveRule",
        CREATE,
        ARCHIVE_RULE,
        "",
    ),
    call(
        "access-analyzer",
        "UpdateArchiveRule",
        CHANGE,
        ARCHIVE_RULE,
        "",
    ),
    call(
        "securitylake",
        "DeleteDataLake",
        DELETE,
        "Security Lake",
        "",
    ),
    call(
        "securitylake",
        "DeleteAwsLogSource",
        REMOVE,
        "log sources",
        "from Security Lake",
    ),
    call(
        "securitylake",
        "DeleteDataLakeOrganizationConfiguration",
        DELETE,
        "the settings of Security Lake in the organization",
        "",
    ),
];

/// Calls that leave a service on, but for some accounts, or without some of its findings.
const LESSENING: &[&str] = &[
    "CreateArchiveRule",
    "DeleteAwsLogSource",
    "DeleteDataLakeOrganizationConfiguration",
    "DeleteMembers",
    "DisassociateMember",
    "UpdateArchiveRule",
];

const SWITCH_ON: &str = "If it was not planned, switch it on again now, in each Region. Then find out what was done while \
    nobody looked, and revoke the access of the person who did it.";
const UNDO: &str =
    "If it was not planned, undo it, and look at what is no longer seen. Ask them why.";
const IS_ON: &str = "Nothing: it looks at more than before.";
const NOT_DONE: &str = "Nothing was changed, but somebody tried. Ask them now. If it was not planned, revoke \
    their access and check in CloudTrail what else they did.";

/// What to do, by the content.
const NEXT: &[(Content, &str)] = &[(OFF, SWITCH_ON), (LESS, UNDO), (ON, IS_ON)];

const STATUS: &str = "/detail/requestParameters/status";

/// Classifies a call that switches a detection off, or on again.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let content = match words.operation {
        "UpdateMacieSession" if event.is(STATUS, "ENABLED") => ON,
        // Without a status it only changes how often findings are published.
        "UpdateMacieSession"
            if event.value(STATUS).is_none()
                && event
                    .value("/detail/requestParameters/findingPublishingFrequency")
                    .is_some() =>
        {
            return Some(Classification::NotReported);
        }
        operation if LESSENING.contains(&operation) => LESS,
        _ => OFF,
    };
    draft.is_about(content);
    let next = NEXT.iter().find(|(of, _)| *of == content);
    let next = NextSteps {
        done: next.map_or(SWITCH_ON, |(_, next)| next),
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, SERVICE, severity, severity_if_denied};

    #[test]
    fn what_is_off_is_critical_by_a_person() {
        for (service, operation, request, by_person, by_deployment) in [
            (
                "macie2",
                "DisableMacie",
                json!({}),
                Severity::Critical,
                Severity::Error,
            ),
            (
                "macie2",
                "UpdateMacieSession",
                json!({ "status": "PAUSED" }),
                Severity::Critical,
                Severity::Error,
            ),
            (
                "macie2",
                "UpdateMacieSession",
                json!({ "status": "ENABLED" }),
                Severity::Info,
                Severity::Info,
            ),
            (
                "inspector2",
                "Disable",
                json!({ "resourceTypes": ["EC2"] }),
                Severity::Critical,
                Severity::Error,
            ),
            (
                "detective",
                "DeleteGraph",
                json!({}),
                Severity::Critical,
                Severity::Error,
            ),
            (
                "access-analyzer",
                "DeleteAnalyzer",
                json!({}),
                Severity::Critical,
                Severity::Error,
            ),
            (
                "access-analyzer",
                "CreateArchiveRule",
                json!({}),
                Severity::Error,
                Severity::Info,
            ),
            (
                "securitylake",
                "DeleteDataLake",
                json!({}),
                Severity::Critical,
                Severity::Error,
            ),
        ] {
            let of = |actor| severity(KIND, service, operation, &request, actor);
            assert_eq!(of(PERSON), Some(by_person), "{operation} {request}");
            assert_eq!(of(DEPLOYMENT), Some(by_deployment), "{operation} {request}");
            assert_eq!(of(SERVICE), Some(Severity::Info), "{operation} {request}");
        }
        let frequency = json!({ "findingPublishingFrequency": "SIX_HOURS" });
        assert_eq!(
            severity(KIND, "macie2", "UpdateMacieSession", &frequency, PERSON),
            None
        );
        let denied = severity_if_denied(KIND, "macie2", "DisableMacie", &json!({}));
        assert_eq!(denied, Some(Severity::Critical));
    }
}
