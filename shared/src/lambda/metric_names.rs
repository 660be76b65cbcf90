//! The metrics that functions write, by name: alarms, the dashboard and the page for operators name them, too.

/// The metrics of each function.
pub const METRICS: &[(&str, &[&str])] = &[
    ("account-hydrator", &["AccountsHydrated"]),
    (
        "finding-enricher",
        &[
            "FindingsEnriched",
            "FindingsRetried",
            "FindingsFailed",
            "FindingsWaiting",
            "FindingEvents",
            "LongestWaitSeconds",
            "DirectoryHits",
            "DirectoryMisses",
        ],
    ),
    (
        "directory-refresher",
        &[
            "AccountsRead",
            "AccountsChanged",
            "AccountsGone",
            "ContactsDenied",
            "FindingsReEnriched",
            "FindingsUnchanged",
            "FindingsRefused",
        ],
    ),
    (
        "new-account-handler",
        &["RowsStarted", "RowsFound", "RowsRefused"],
    ),
    (
        "create-managed-account",
        &[
            "RecordsReturned",
            "AccountsValid",
            "AccountsProvisioning",
            "AccountsAssigning",
            "AccountsSucceeded",
            "AccountsFailed",
            "OldestOperationSeconds",
        ],
    ),
    (
        "create-account-assignment",
        &["RequestsSucceeded", "RequestsFailed", "RequestsWaiting"],
    ),
    (
        "alerter",
        &[
            "AlertsPublished",
            "AlertsUnremembered",
            "AlertsDuplicate",
            "AlertsSummarized",
            "AlertsSilenced",
            "AlertsUnrecognized",
            "AlertsForged",
            "AlertsCritical",
            "AlertsError",
            "AlertsInfo",
            "TopicsUnconfirmed",
            "TrailEvents",
        ],
    ),
    (
        "slack-notifier",
        &["AlertsPosted", "AlertsDuplicate", "AlertsDeadLettered"],
    ),
    (
        "remediation-planner",
        &[
            "RemediationsStarted",
            "RemediationsRunning",
            "RemediationsRecent",
            "RemediationsObserved",
            "RemediationsSuppressed",
            "RemediationsExempt",
            "RemediationsRefused",
            "RemediationsAsked",
            "RemediationsWaiting",
            "RemediationsHeld",
            "RemediationsLeft",
            "FindingsIgnored",
            "UndosStarted",
            "UndosRefused",
        ],
    ),
    (
        "finding-archiver",
        &[
            "FindingsArchived",
            "FindingsFailed",
            "FindingsWaiting",
            "ResultsRecorded",
            "AlertsPublished",
            "FindingsLookedAtAgain",
        ],
    ),
    (
        "posture-reporter",
        &[
            "RecordsReturned",
            "ExposuresNew",
            "ExposuresGone",
            "PostureReports",
            "SurveysIncomplete",
            "SettingsDrifted",
            "InsightsNew",
            "InsightRegionsUnread",
        ],
    ),
    (
        "posture-keeper",
        &["SettingsInPlace", "SettingsDiffering", "SettingsBlocked"],
    ),
    (
        "outage-rehearser",
        &[
            "RehearsalsAttached",
            "RehearsalsEnded",
            "RehearsalsRefused",
            "RehearsalsOverdue",
            "ReportsPublished",
            "DeniedCalls",
        ],
    ),
    (
        "organization-surveyor",
        &["PairsSeen", "PairsNotSeen", "ExposuresWritten"],
    ),
    (
        "posture-planner",
        &["SurveysStarted", "PairsHinted", "HintsJoined"],
    ),
    // None but those of all functions.
    ("remediation-approver", &[]),
    ("remediation-proxy", &[]),
    ("remediator", &[]),
    ("root-credentials", &[]),
];

/// The metrics of every function, those on a queue first.
pub const METRICS_OF_ALL: &[&str] = &[
    "MessagesReturned",
    "MessagesPostponed",
    "AwsCalls",
    "AwsCallsThrottled",
    "AwsCallsFailed",
];

/// Whether a function may write a metric. Functions without a row are those of tests.
pub(super) fn is_listed(function: &str, name: &str) -> bool {
    let row = METRICS.iter().find(|(of, _)| *of == function);
    METRICS_OF_ALL.contains(&name) || row.is_none_or(|(_, names)| names.contains(&name))
}
