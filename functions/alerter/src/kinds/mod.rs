//! What happened: each kind of event and what is told of it.
//!
//! A file for each row of the table of alerts; [`words`] has the words for calls that they share.

pub mod alarm;
pub mod budget;
pub mod control_tower;
pub mod guardduty;
pub mod health;
pub mod iam;
pub mod organization;
pub mod root;
pub mod sign_in;
pub mod trail;
pub mod words;

use std::{fmt, str::FromStr};

use orgkeeper_shared::alert::Severity;

use crate::{draft::Draft, event::Event, unrecognized};

/// A kind of alert. Its name is stable: rules and alerts carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The root user signed in.
    RootSignIn,
    /// Somebody tried to sign in as the root user.
    RootSignInFailed,
    /// Something was done with the root user's credentials.
    RootUse,
    /// The root user's credentials changed.
    RootCredentials,
    /// Who may do what changed.
    IamChange,
    /// What is recorded of what happens changed.
    TrailChange,
    /// The organization changed.
    OrganizationChange,
    /// A finding of GuardDuty.
    GuardDutyFinding,
    /// A budget is used up.
    BudgetExceeded,
    /// A budget will be used up.
    BudgetForecast,
    /// A budget has come to a part of itself.
    BudgetBelow,
    /// Costs that nobody expected.
    CostAnomaly,
    /// An alarm of CloudWatch.
    CloudWatchAlarm,
    /// An event of AWS Health.
    HealthEvent,
    /// Control Tower could not make an account.
    AccountFailed,
    /// Nobody knows.
    Unrecognized,
}

use Severity::{Critical, Error, Info};

/// Every kind: its name, its severity unless a rule says another, and many of it in words.
const KINDS: &[(Kind, &str, Severity, &str)] = &[
    (
        Kind::RootSignIn,
        "root.sign-in",
        Critical,
        "sign-ins of the root user",
    ),
    (
        Kind::RootSignInFailed,
        "root.sign-in-failed",
        Error,
        "failed sign-ins of the root user",
    ),
    (
        Kind::RootUse,
        "root.use",
        Critical,
        "calls in the root user's name",
    ),
    (
        Kind::RootCredentials,
        "root.credentials",
        Critical,
        "changes of the root user's credentials",
    ),
    (Kind::IamChange, "iam.change", Error, "IAM changes"),
    (
        Kind::TrailChange,
        "trail.change",
        Critical,
        "changes of the audit trail",
    ),
    (
        Kind::OrganizationChange,
        "organization.change",
        Error,
        "changes of the organization",
    ),
    (
        Kind::GuardDutyFinding,
        "guardduty.finding",
        Error,
        "GuardDuty findings",
    ),
    (
        Kind::BudgetExceeded,
        "budget.exceeded",
        Error,
        "exceeded budgets",
    ),
    (
        Kind::BudgetForecast,
        "budget.forecast",
        Error,
        "budgets that are forecast to be exceeded",
    ),
    (Kind::BudgetBelow, "budget.below", Info, "budget thresholds"),
    (Kind::CostAnomaly, "cost.anomaly", Error, "cost anomalies"),
    (
        Kind::CloudWatchAlarm,
        "cloudwatch.alarm",
        Error,
        "CloudWatch alarms",
    ),
    (Kind::HealthEvent, "health.event", Info, "AWS Health events"),
    (
        Kind::AccountFailed,
        "account.failed",
        Error,
        "failed accounts",
    ),
    (
        Kind::Unrecognized,
        "unrecognized",
        Error,
        "unrecognized messages",
    ),
];

impl Kind {
    fn row(self) -> (&'static str, Severity, &'static str) {
        KINDS
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(("unrecognized", Error, ""), |(_, name, severity, many)| {
                (name, *severity, many)
            })
    }

    /// How much it matters unless a rule says otherwise.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.row().1
    }

    /// Many of it, in words.
    #[must_use]
    pub fn many(self) -> &'static str {
        self.row().2
    }

    /// The names of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(_, name, ..)| *name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.row().0)
    }
}

/// The text is not the name of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a kind")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        KINDS
            .iter()
            .find(|(_, name, ..)| *name == text)
            .map(|(kind, ..)| *kind)
            .ok_or(UnknownKind)
    }
}

/// What is told of an event.
#[derive(Clone, Debug)]
pub enum Reading {
    /// This.
    Tell(Box<Draft>),
    /// Nothing: it is known, and no news.
    Nothing,
}

impl From<Draft> for Reading {
    fn from(draft: Draft) -> Self {
        Self::Tell(Box::new(draft))
    }
}

/// Who may know what an event is, in the order in which they are asked: what the root user does is
/// told as such, whatever it is.
const READERS: &[fn(&Event) -> Option<Reading>] = &[
    sign_in::read,
    root::read,
    trail::read,
    iam::read,
    organization::read,
    guardduty::read,
    budget::read,
    budget::read_anomaly,
    alarm::read,
    health::read,
    control_tower::read,
];

/// What is told of an event: if nobody knows it, the event as it came.
#[must_use]
pub fn read(event: &Event) -> Reading {
    READERS
        .iter()
        .find_map(|read| read(event))
        .unwrap_or_else(|| unrecognized::draft(event).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for (kind, name, ..) in KINDS {
            assert_eq!(kind.to_string(), *name);
            assert_eq!(name.parse(), Ok(*kind));
            assert!(!kind.many().is_empty());
        }
        assert_eq!("root".parse::<Kind>(), Err(UnknownKind));
    }
}
