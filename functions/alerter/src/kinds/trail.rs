//! The audit trail: CloudTrail, Config, GuardDuty or Security Hub stopped, deleted or altered.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row},
        classifier::{Classification, Classifier},
    },
};

/// What is recorded of calls and resources changed.
const TRAIL_CHANGE: Kind = Kind::new(
    "trail.change",
    Severity::Critical,
    "changes of the audit trail",
);
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[TRAIL_CHANGE],
    calls: CALLS,
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
    row("cloudtrail", "StopLogging", STOP, "trail {name}", ""),
    row("cloudtrail", "DeleteTrail", DELETE, "trail {name}", ""),
    row("cloudtrail", "UpdateTrail", CHANGE, "trail {name}", ""),
    row(
        "cloudtrail",
        "PutEventSelectors",
        CHANGE,
        "the events that trail {trailName} records",
        "",
    ),
    row(
        "cloudtrail",
        "DeleteEventDataStore",
        DELETE,
        "event data store {eventDataStore}",
        "",
    ),
    row(
        "cloudtrail",
        "UpdateEventDataStore",
        CHANGE,
        "event data store {eventDataStore}",
        "",
    ),
    row(
        "cloudtrail",
        "StopEventDataStoreIngestion",
        STOP,
        "event data store {eventDataStore}",
        "",
    ),
    row(
        "cloudtrail",
        "DeregisterOrganizationDelegatedAdmin",
        REMOVE,
        "CloudTrail's administrator {delegatedAdminAccountId}",
        "",
    ),
    row("config", "StopConfigurationRecorder", STOP, RECORDER, ""),
    row(
        "config",
        "DeleteConfigurationRecorder",
        DELETE,
        RECORDER,
        "",
    ),
    row(
        "config",
        "PutConfigurationRecorder",
        CHANGE,
        "Config recorder {configurationRecorder.name}",
        "",
    ),
    row(
        "config",
        "DeleteDeliveryChannel",
        DELETE,
        "Config delivery channel {deliveryChannelName}",
        "",
    ),
    row(
        "config",
        "PutDeliveryChannel",
        CHANGE,
        "Config delivery channel {deliveryChannel.name}",
        "",
    ),
    row(
        "config",
        "PutRetentionConfiguration",
        CHANGE,
        "the time that Config keeps its records",
        "",
    ),
    row("guardduty", "DeleteDetector", DELETE, DETECTOR, ""),
    row("guardduty", "UpdateDetector", CHANGE, DETECTOR, ""),
    row(
        "guardduty",
        "UpdateMemberDetectors",
        CHANGE,
        "GuardDuty in member accounts",
        "",
    ),
    row(
        "guardduty",
        "StopMonitoringMembers",
        STOP,
        "GuardDuty in member accounts",
        "",
    ),
    row(
        "guardduty",
        "DisassociateMembers",
        REMOVE,
        "member accounts",
        "from GuardDuty",
    ),
    row(
        "guardduty",
        "DeleteMembers",
        REMOVE,
        "member accounts",
        "from GuardDuty",
    ),
    row(
        "guardduty",
        "DisassociateFromAdministratorAccount",
        REMOVE,
        "the account",
        "from GuardDuty's administrator",
    ),
    row(
        "guardduty",
        "DisassociateFromMasterAccount",
        REMOVE,
        "the account",
        "from GuardDuty's administrator",
    ),
    row(
        "guardduty",
        "DisableOrganizationAdminAccount",
        REMOVE,
        "GuardDuty's administrator {adminAccountId}",
        "",
    ),
    row(
        "guardduty",
        "UpdateOrganizationConfiguration",
        CHANGE,
        "the settings of GuardDuty in the organization",
        "",
    ),
    row(
        "guardduty",
        "CreateFilter",
        CREATE,
        "GuardDuty filter {name}",
        "",
    ),
    row(
        "guardduty",
        "UpdateFilter",
        CHANGE,
        "GuardDuty filter {filterName}",
        "",
    ),
    row(
        "guardduty",
        "CreateIPSet",
        CREATE,
        "list {name}|of trusted addresses of GuardDuty",
        "",
    ),
    row(
        "guardduty",
        "UpdateIPSet",
        CHANGE,
        "a list of trusted addresses of GuardDuty",
        "",
    ),
    row(
        "guardduty",
        "DeletePublishingDestination",
        DELETE,
        "the export of GuardDuty's findings",
        "",
    ),
    row(
        "securityhub",
        "DisableSecurityHub",
        DISABLE,
        "Security Hub",
        "",
    ),
    row(
        "securityhub",
        "DisableSecurityHubV2",
        DISABLE,
        "Security Hub",
        "",
    ),
    row(
        "securityhub",
        "BatchDisableStandards",
        DISABLE,
        "standards of Security Hub",
        "",
    ),
    row(
        "securityhub",
        "UpdateStandardsControl",
        CHANGE,
        "a control of Security Hub",
        "",
    ),
    row(
        "securityhub",
        "BatchUpdateStandardsControlAssociations",
        CHANGE,
        "controls of Security Hub",
        "",
    ),
    row(
        "securityhub",
        "DisassociateMembers",
        REMOVE,
        "member accounts",
        "from Security Hub",
    ),
    row(
        "securityhub",
        "DeleteMembers",
        REMOVE,
        "member accounts",
        "from Security Hub",
    ),
    row(
        "securityhub",
        "DisassociateFromAdministratorAccount",
        REMOVE,
        "the account",
        "from Security Hub's administrator",
    ),
    row(
        "securityhub",
        "DisassociateFromMasterAccount",
        REMOVE,
        "the account",
        "from Security Hub's administrator",
    ),
    row(
        "securityhub",
        "DisableOrganizationAdminAccount",
        REMOVE,
        "Security Hub's administrator {adminAccountId}",
        "",
    ),
    row(
        "securityhub",
        "UpdateOrganizationConfiguration",
        CHANGE,
        "the settings of Security Hub in the organization",
        "",
    ),
    row(
        "securityhub",
        "DisableImportFindingsForProduct",
        STOP,
        "an import into Security Hub",
        "",
    ),
    row(
        "securityhub",
        "DeleteFindingAggregator",
        DELETE,
        "the aggregation of Security Hub",
        "",
    ),
    row(
        "securityhub",
        "UpdateFindingAggregator",
        CHANGE,
        "the aggregation of Security Hub",
        "",
    ),
];

const DONE: &str = "If this was not planned, switch it on again now. Then find out what was done while nothing \
    was recorded, and revoke the access of the person who did it.";
const NOT_DONE: &str = "Nothing was changed, but somebody tried. Ask them now. If it was not planned, revoke \
    their access and check in CloudTrail what else they did.";

/// Classifies a change of what is recorded.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, TRAIL_CHANGE, words.what(event));
    let next = NextSteps {
        done: DONE,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}
