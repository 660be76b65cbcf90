//! The audit trail: CloudTrail, Config, GuardDuty or Security Hub stopped, deleted or altered.

use orgkeeper_shared::alert::Severity;
use serde_json::Value;

use crate::{
    actor::ActorClass,
    draft::Draft,
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_SERVICE, Content, NOT_THERE, row},
};

/// Something records more than before.
const SWITCHED_ON: Content = Content::new("switched on");
/// Something records less than before, or nothing.
const SWITCHED_OFF: Content = Content::grave("switched off");

/// What is recorded of calls and resources changed.
pub const KIND: &Kind = &Kind {
    name: "trail.change",
    plural: "changes of the audit trail",
    severities: &[
        NOT_THERE,
        row(Severity::Info).content(SWITCHED_ON).fixed(),
        BY_A_SERVICE,
        row(Severity::Error)
            .content(SWITCHED_OFF)
            .by(ActorClass::DeploymentTool),
        row(Severity::Info)
            .outcome(Outcome::Done)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error).by(ActorClass::DeploymentTool),
        row(Severity::Critical),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "CloudTrail, Config, GuardDuty or Security Hub stopped, deleted or changed, or an attempt",
    rules: &[EventRule::of_calls(
        "TrailChanged",
        "Changes to what CloudTrail, AWS Config, GuardDuty and Security Hub record",
    )],
    calls: CALLS,
    samples: &[
        "trail-change",
        "trail-change-by-service",
        "trail-change-denied",
        "trail-change-not-there",
        "trail-change-on",
    ],
    classify,
};

const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const STOP: [&str; 2] = ["stop", "stopped"];

const RECORDER: &str = "Config recorder {configurationRecorderName}";
const DETECTOR: &str = "GuardDuty detector {detectorId}";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    call("cloudtrail", "StopLogging", STOP, "trail {name}", ""),
    call("cloudtrail", "DeleteTrail", DELETE, "trail {name}", ""),
    call("cloudtrail", "UpdateTrail", CHANGE, "trail {name}", ""),
    call(
        "cloudtrail",
        "PutEventSelectors",
        CHANGE,
        "the events that trail {trailName} records",
        "",
    ),
    call(
        "cloudtrail",
        "DeleteEventDataStore",
        DELETE,
        "event data store {eventDataStore}",
        "",
    ),
    call(
        "cloudtrail",
        "UpdateEventDataStore",
        CHANGE,
        "event data store {eventDataStore}",
        "",
    ),
    call(
        "cloudtrail",
        "StopEventDataStoreIngestion",
        STOP,
        "event data store {eventDataStore}",
        "",
    ),
    call(
        "cloudtrail",
        "DeregisterOrganizationDelegatedAdmin",
        REMOVE,
        "CloudTrail's administrator {delegatedAdminAccountId}",
        "",
    ),
    call("config", "StopConfigurationRecorder", STOP, RECORDER, ""),
    call(
        "config",
        "DeleteConfigurationRecorder",
        DELETE,
        RECORDER,
        "",
    ),
    call(
        "config",
        "PutConfigurationRecorder",
        CHANGE,
        "Config recorder {configurationRecorder.name}",
        "",
    ),
    call(
        "config",
        "DeleteDeliveryChannel",
        DELETE,
        "Config delivery channel {deliveryChannelName}",
        "",
    ),
    call(
        "config",
        "PutDeliveryChannel",
        CHANGE,
        "Config delivery channel {deliveryChannel.name}",
        "",
    ),
    call(
        "config",
        "PutRetentionConfiguration",
        CHANGE,
        "the time that Config keeps its records",
        "",
    ),
    call("guardduty", "DeleteDetector", DELETE, DETECTOR, ""),
    call("guardduty", "UpdateDetector", CHANGE, DETECTOR, ""),
    call(
        "guardduty",
        "UpdateMemberDetectors",
        CHANGE,
        "GuardDuty in member accounts",
        "",
    ),
    call(
        "guardduty",
        "StopMonitoringMembers",
        STOP,
        "GuardDuty in member accounts",
        "",
    ),
    call(
        "guardduty",
        "DisassociateMembers",
        REMOVE,
        "member accounts",
        "from GuardDuty",
    ),
    call(
        "guardduty",
        "DeleteMembers",
        REMOVE,
        "member accounts",
        "from GuardDuty",
    ),
    call(
        "guardduty",
        "DisassociateFromAdministratorAccount",
        REMOVE,
        "the account",
        "from GuardDuty's administrator",
    ),
    call(
        "guardduty",
        "DisassociateFromMasterAccount",
        REMOVE,
        "the account",
        "from GuardDuty's administrator",
    ),
    call(
        "guardduty",
        "DisableOrganizationAdminAccount",
        REMOVE,
        "GuardDuty's administrator {adminAccountId}",
        "",
    ),
    call(
        "guardduty",
        "UpdateOrganizationConfiguration",
        CHANGE,
        "the settings of GuardDuty in the organization",
        "",
    ),
    call(
        "guardduty",
        "CreateFilter",
        CREATE,
        "GuardDuty filter {name}",
        "",
    ),
    call(
        "guardduty",
        "UpdateFilter",
        CHANGE,
        "GuardDuty filter {filterName}",
        "",
    ),
    call(
        "guardduty",
        "CreateIPSet",
        CREATE,
        "list {name}|of trusted addresses of GuardDuty",
        "",
    ),
    call(
        "guardduty",
        "UpdateIPSet",
        CHANGE,
        "a list of trusted addresses of GuardDuty",
        "",
    ),
    call(
        "guardduty",
        "DeletePublishingDestination",
        DELETE,
        "the export of GuardDuty's findings",
        "",
    ),
    call(
        "securityhub",
        "DisableSecurityHub",
        DISABLE,
        "Security Hub",
        "",
    ),
    call(
        "securityhub",
        "DisableSecurityHubV2",
        DISABLE,
        "Security Hub",
        "",
    ),
    call(
        "securityhub",
        "BatchDisableStandards",
        DISABLE,
        "standards of Security Hub",
        "",
    ),
    call(
        "securityhub",
        "UpdateStandardsControl",
        CHANGE,
        "a control of Security Hub",
        "",
    ),
    call(
        "securityhub",
        "BatchUpdateStandardsControlAssociations",
        CHANGE,
        "controls of Security Hub",
        "",
    ),
    call(
        "securityhub",
        "DisassociateMembers",
        REMOVE,
        "member accounts",
        "from Security Hub",
    ),
    call(
        "securityhub",
        "DeleteMembers",
        REMOVE,
        "member accounts",
        "from Security Hub",
    ),
    call(
        "securityhub",
        "DisassociateFromAdministratorAccount",
        REMOVE,
        "the account",
        "from Security Hub's administrator",
    ),
    call(
        "securityhub",
        "DisassociateFromMasterAccount",
        REMOVE,
        "the account",
        "from Security Hub's administrator",
    ),
    call(
        "securityhub",
        "DisableOrganizationAdminAccount",
        REMOVE,
        "Security Hub's administrator {adminAccountId}",
        "",
    ),
    call(
        "securityhub",
        "UpdateOrganizationConfiguration",
        CHANGE,
        "the settings of Security Hub in the organization",
        "",
    ),
    call(
        "securityhub",
        "DisableImportFindingsForProduct",
        STOP,
        "an import into Security Hub",
        "",
    ),
    call(
        "securityhub",
        "DeleteFindingAggregator",
        DELETE,
        "the aggregation of Security Hub",
        "",
    ),
    call(
        "securityhub",
        "UpdateFindingAggregator",
        CHANGE,
        "the aggregation of Security Hub",
        "",
    ),
];

const OFF: &str = "If this was not planned, switch it on again now. Then find out what was done while nothing was \
    recorded, and revoke the access of the person who did it.";
const CHANGED: &str = "If this was not planned, undo it now. Then find out what was done while less was recorded, and \
    revoke the access of the person who did it.";
const ON: &str = "Nothing: more is recorded than before.";
const BY_SERVICE: &str =
    "Nothing, if the organization is set up like this: the service did it with its own role.";
const NOT_DONE: &str = "Nothing was changed, but somebody tried. Ask them now. If it was not planned, revoke \
    their access and check in CloudTrail what else they did.";

/// Verbs of calls that switch something off, whatever the request says.
const OFF_VERBS: &[&str] = &[
    "Stop",
    "Delete",
    "Disable",
    "BatchDisable",
    "Disassociate",
    "Deregister",
];

/// Fields of a request that say whether something records, in lower case, and their values for on.
const SWITCHES: &[(&str, &[&str])] = &[
    ("associationstatus", &["enabled"]),
    ("autoenable", &["true", "new", "all"]),
    ("autoenableorganizationmembers", &["all", "new"]),
    ("controlstatus", &["enabled"]),
    ("enable", &["true"]),
    ("enablelogfilevalidation", &["true"]),
    ("includeglobalserviceevents", &["true"]),
    ("includemanagementevents", &["true"]),
    ("ismultiregiontrail", &["true"]),
    ("isorganizationtrail", &["true"]),
    ("multiregionenabled", &["true"]),
    ("organizationenabled", &["true"]),
    ("status", &["enabled"]),
    ("terminationprotectionenabled", &["true"]),
];

/// Services whose requests say by their switches alone whether more is recorded than before. A request to CloudTrail
/// or Config repeats the switches that stay as they are.
const SAY_ON: &[&str] = &["guardduty", "securityhub"];

/// Classifies a change of what is recorded.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let content = content(event, words);
    if let Some(content) = content {
        draft.is_about(content);
    }
    if words.verb == CHANGE[0] && draft.outcome == Outcome::Done {
        draft.headline = match content {
            Some(SWITCHED_OFF) => format!("Switched off: {}", words.bare_object(event)),
            Some(SWITCHED_ON) => format!("Switched on: {}", words.bare_object(event)),
            _ => draft.headline,
        };
    }
    let by_service = draft.actor.as_ref().is_some_and(|actor| actor.by_service);
    let done = match content {
        Some(SWITCHED_ON) => ON,
        _ if by_service => BY_SERVICE,
        Some(SWITCHED_OFF) => OFF,
        _ => CHANGED,
    };
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

/// Whether the request switches something on or off. One that does both counts as off.
fn content(event: &Event, words: &CallWords) -> Option<Content> {
    if OFF_VERBS
        .iter()
        .any(|verb| words.operation.starts_with(verb))
    {
        return Some(SWITCHED_OFF);
    }
    let mut switches = Vec::new();
    find_switches(event.node("/detail/requestParameters"), &mut switches);
    if switches.contains(&false) {
        return Some(SWITCHED_OFF);
    }
    let is_on = !switches.is_empty() && SAY_ON.contains(&words.service);
    is_on.then_some(SWITCHED_ON)
}

fn find_switches(value: Option<&Value>, switches: &mut Vec<bool>) {
    match value {
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                let name = name.to_lowercase();
                let switch = SWITCHES.iter().find(|(switch, _)| *switch == name);
                match (switch, text_of(Some(value))) {
                    (Some((_, on)), Some(text)) => {
                        switches.push(on.contains(&text.to_lowercase().as_str()));
                    }
                    _ => find_switches(Some(value), switches),
                }
            }
        }
        Some(Value::Array(values)) => {
            for value in values {
                find_switches(Some(value), switches);
            }
        }
        _ => {}
    }
}
