//! The alerts of this function: what could not be decided.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    remediation::{
        breaker::{ALL, Stop},
        record::Subject,
    },
};

use crate::active_playbook::RefusedPlaybook;

/// Faults of a playbook that are listed; the rest is counted.
const MOST_FAULTS: usize = 20;

/// The alert about a playbook that is refused.
#[must_use]
pub fn playbook_refused(refused: &RefusedPlaybook, region: &str, now: Timestamp) -> Alert {
    let faults = &refused.faults;
    let mut listed: Vec<String> = faults.iter().take(MOST_FAULTS).cloned().collect();
    if faults.len() > MOST_FAULTS {
        listed.push(format!("{} more", faults.len() - MOST_FAULTS));
    }
    Alert {
        severity: Severity::Error,
        kind: "remediation.playbook-refused".to_owned(),
        title: "playbook.toml is refused".to_owned(),
        account: None,
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details: [
            (
                WHAT_HAPPENED,
                "The newest version of playbook.toml is wrong. The last good one stays in force."
                    .to_owned(),
            ),
            ("Faults", listed.join("; ")),
            ("Version", refused.version.clone()),
            (
                WHAT_TO_DO,
                "Correct the file and upload it again.".to_owned(),
            ),
        ]
        .into_iter()
        .collect(),
        link: None,
        dedup_key: format!("remediation.playbook-refused#{}", refused.version),
    }
}

/// The alert about a finding on which nothing can be decided.
#[must_use]
pub fn finding_refused(subject: &Subject, reason: &str, now: Timestamp) -> Alert {
    Alert {
        severity: Severity::Error,
        kind: "remediation.refused".to_owned(),
        title: format!("Nothing is changed: {} in {}", subject.control, subject.target.account),
        account: Some(AlertAccount {
            id: Some(subject.target.account.clone()),
            ..AlertAccount::default()
        }),
        region: subject.target.region.clone(),
        time: now,
        actor: None,
        source: None,
        details: [
            (
                WHAT_HAPPENED,
                "A finding does not fit the organization, so nothing was changed.".to_owned(),
            ),
            ("Control", subject.control.clone()),
            ("Resource", subject.target.resource.clone()),
            ("Why", reason.to_owned()),
            (
                WHAT_TO_DO,
                "Look at the finding in Security Hub: find out which product sent it, and whether it can be trusted."
                    .to_owned(),
            ),
        ]
        .into_iter()
        .collect(),
        link: None,
        dedup_key: format!("remediation.refused#{}", subject.key),
    }
}

/// The alert about what the circuit breaker has stopped: an account, or all of them.
#[must_use]
pub fn stopped(account: Option<&str>, stop: &Stop, region: &str) -> Alert {
    let limit = stop.limit;
    let (place, option) = match account {
        Some(account) => (
            format!("account {account}"),
            format!(" --account {account}"),
        ),
        None => ("all accounts".to_owned(), String::new()),
    };
    Alert {
        severity: Severity::Error,
        kind: "remediation.stopped".to_owned(),
        title: format!("No more fixes in {place}: {limit} within an hour"),
        account: account.map(|account| AlertAccount {
            id: account.parse().ok(),
            ..AlertAccount::default()
        }),
        region: region.to_owned(),
        time: stop.at,
        actor: None,
        source: None,
        details: [
            (
                WHAT_HAPPENED,
                format!(
                    "{limit} fixes have started within an hour in {place}. The circuit breaker has stopped: everything \
                     else is only observed."
                ),
            ),
            ("What is held", "orgkeeper remediation list --waiting".to_owned()),
            (
                WHAT_TO_DO,
                format!(
                    "Find out why so much is to be fixed at once. If it is right, resume: orgkeeper remediation \
                     resume{option}. If not, set the controls to observe in playbook.toml first."
                ),
            ),
        ]
        .into_iter()
        .collect(),
        link: None,
        dedup_key: format!("remediation.stopped#{}#{}", account.unwrap_or(ALL), stop.at),
    }
}
