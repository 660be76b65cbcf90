//! The flows and their queues, as `template.yaml` has them.

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Flow {
    /// Findings get account, unit and contacts.
    Enrich,
    /// Accounts are created.
    Vend,
    /// Alerts are published.
    Alert,
    /// Findings are fixed.
    Remediate,
    /// Outages are rehearsed.
    Rehearse,
    /// Accounts and Regions are surveyed.
    Posture,
}

impl Flow {
    /// All flows.
    pub const ALL: [Self; 6] = [
        Self::Enrich,
        Self::Vend,
        Self::Alert,
        Self::Remediate,
        Self::Rehearse,
        Self::Posture,
    ];

    /// The parameter that switches it.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Enrich => "EnrichFlow",
            Self::Vend => "VendFlow",
            Self::Alert => "AlertFlow",
            Self::Remediate => "RemediateFlow",
            Self::Rehearse => "RehearsalFlow",
            Self::Posture => "PostureFlow",
        }
    }
}

/// A queue with a dead-letter queue.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// What the command calls it.
    pub name: &'static str,
    /// Its name in the template.
    pub queue: &'static str,
    /// The name of its dead-letter queue.
    pub dead_letters: &'static str,
    /// The function that reads it.
    pub function: &'static str,
}

/// Every queue of the template that has a dead-letter queue.
pub const QUEUES: &[QueueRow] = &[
    row(
        "findings",
        "FindingsQueue",
        "FindingsDeadLetterQueue",
        "finding-enricher",
    ),
    row(
        "directory",
        "DirectoryQueue",
        "DirectoryDeadLetterQueue",
        "directory-refresher",
    ),
    row(
        "uploads",
        "UploadsQueue",
        "UploadsDeadLetterQueue",
        "new-account-handler",
    ),
    row(
        "account-events",
        "AccountEventsQueue",
        "AccountEventsDeadLetterQueue",
        "create-managed-account",
    ),
    row(
        "assignments",
        "AssignmentsQueue",
        "AssignmentsDeadLetterQueue",
        "create-account-assignment",
    ),
    row("alerts", "AlertsQueue", "AlertsDeadLetterQueue", "alerter"),
    row(
        "slack",
        "SlackQueue",
        "SlackDeadLetterQueue",
        "slack-notifier",
    ),
    row(
        "slack-critical",
        "SlackCriticalQueue",
        "SlackCriticalDeadLetterQueue",
        "slack-notifier",
    ),
    row(
        "remediation",
        "RemediationQueue",
        "RemediationDeadLetterQueue",
        "remediation-planner",
    ),
    row(
        "remediation-preview",
        "RemediationPreviewQueue",
        "RemediationPreviewDeadLetterQueue",
        "remediation-proxy",
    ),
    row(
        "archive",
        "ArchiveQueue",
        "ArchiveDeadLetterQueue",
        "finding-archiver",
    ),
    row(
        "baseline",
        "BaselineQueue",
        "BaselineDeadLetterQueue",
        "account-hydrator",
    ),
    row(
        "posture",
        "PostureQueue",
        "PostureDeadLetterQueue",
        "posture-planner",
    ),
    row(
        "survey",
        "SurveyQueue",
        "SurveyDeadLetterQueue",
        "organization-surveyor",
    ),
    row(
        "changes",
        "ChangesQueue",
        "ChangesDeadLetterQueue",
        "posture-keeper",
    ),
    row(
        "rehearsals",
        "RehearsalsQueue",
        "RehearsalsDeadLetterQueue",
        "outage-rehearser",
    ),
    row(
        "reporter",
        "ReporterQueue",
        "ReporterDeadLetterQueue",
        "posture-reporter",
    ),
];

const fn row(
    name: &'static str,
    queue: &'static str,
    dead_letters: &'static str,
    function: &'static str,
) -> QueueRow {
    QueueRow {
        name,
        queue,
        dead_letters,
        function,
    }
}

/// The row of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static QueueRow> {
    QUEUES.iter().find(|row| row.name == name)
}
