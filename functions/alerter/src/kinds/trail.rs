//! The audit trail: CloudTrail, Config, GuardDuty or Security Hub stopped, deleted or altered.

use crate::{
    draft::Draft,
    event::Event,
    kinds::{
        Kind, Reading,
        words::{self, Next, Words, row, say_call},
    },
};

const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const STOP: [&str; 2] = ["stop", "stopped"];

const RECORDER: &str = "Config recorder {configurationRecorderName}";
const DETECTOR: &str = "GuardDuty detector {detectorId}";

/// The calls that are told. EventBridge's rule has to name the same ones.
pub const CALLS: &[Words] = &[
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

const DONE: &str = "Put it back on now, unless it was announced. Then find out what was done while nothing \
    was recorded, and lock out whoever did it.";
const NOT_DONE: &str = "Nothing was changed, but somebody tried. Ask them now; if nobody knows, lock them out \
    and look in CloudTrail for what else they did.";

/// Reads a change of what is recorded.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let words = words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, Kind::TrailChange, words.what(event));
    let next = Next {
        done: DONE,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    say_call(&mut draft, words, event, next);
    Some(draft.into())
}
