//! The alert about what came of a fix.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    remediation::{
        record::{Ended, Status, Subject},
        report::Outcome,
        target::Target,
    },
};

use crate::difference::changes;

/// Changes that are listed; the rest is counted.
const MOST_CHANGES: usize = 20;
/// What the resource of a control about the whole account starts with.
const ACCOUNT: &str = "AWS::::Account:";
/// The console of each partition.
const CONSOLES: [(&str, &str); 3] = [
    ("aws", "console.aws.amazon.com"),
    ("aws-cn", "console.amazonaws.cn"),
    ("aws-us-gov", "console.amazonaws-us-gov.com"),
];

/// What is said about a status.
struct Words {
    severity: Severity,
    kind: &'static str,
    title: &'static str,
    what_happened: &'static str,
    what_to_do: &'static str,
}

/// The alert about an attempt that ended at `time`; `None` for what nobody has to know at once.
#[must_use]
pub fn alert(
    subject: &Subject,
    attempt: u32,
    ended: &Ended,
    account: AlertAccount,
    time: Timestamp,
) -> Option<Alert> {
    let words = match ended.outcome {
        Some(Outcome::Unconfirmed) => UNCONFIRMED,
        _ => words(ended.status())?,
    };
    let target = &subject.target;
    let mut details = vec![
        (WHAT_HAPPENED, words.what_happened.to_owned()),
        ("Control", subject.control.clone()),
        ("Resource", target.resource.clone()),
    ];
    details.extend(changed(ended).map(|changed| ("Changed", changed)));
    details.extend(ended.reason.clone().map(|reason| ("Why", reason)));
    details.push((WHAT_TO_DO, words.what_to_do.to_owned()));
    Some(Alert {
        severity: words.severity,
        kind: words.kind.to_owned(),
        title: format!("{}: {} on {}", words.title, subject.control, name(target)),
        account: Some(account),
        region: target.region.clone(),
        time,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: ended.execution.as_deref().and_then(link),
        dedup_key: format!("{}#{}#{attempt}", words.kind, subject.key),
    })
}

const UNCONFIRMED: Words = Words {
    severity: Severity::Error,
    kind: "remediation.failed",
    title: "Changed, but perhaps not fixed",
    what_happened: "orgkeeper changed the resource, but could not read it back as the control asks for.",
    what_to_do: "Look at the resource. If it is not as it should be, choose the custom action Remediate of its finding, \
                 or wait for the next check.",
};

fn words(status: Status) -> Option<Words> {
    match status {
        Status::Fixed => Some(Words {
            severity: Severity::Info,
            kind: "remediation.fixed",
            title: "Fixed",
            what_happened: "orgkeeper changed the resource, and read it back as the control asks for.",
            what_to_do: "Nothing. If somebody needs it as it was, exempt the resource in playbook.toml and change it \
                         back.",
        }),
        Status::Blocked => Some(Words {
            severity: Severity::Error,
            kind: "remediation.failed",
            title: "Not fixed",
            what_happened: "The resource is not as the control asks for. Somebody has to do something first.",
            what_to_do: "Do what is named above, or exempt the resource in playbook.toml. Then choose the custom \
                         action Remediate of its finding, or wait for the next check.",
        }),
        Status::Failed => Some(Words {
            severity: Severity::Error,
            kind: "remediation.failed",
            title: "Not fixed",
            what_happened: "The fix failed, also when it was retried.",
            what_to_do: "Open the execution and see what failed. Then choose the custom action Remediate of the \
                         finding, or wait for the next check.",
        }),
        Status::AlreadyCompliant
        | Status::NotApplicable
        | Status::Needs
        | Status::Observed
        | Status::Started
        | Status::Suppressed
        | Status::Refused
        | Status::Exempt => None,
    }
}

/// The changes, each on its line.
fn changed(ended: &Ended) -> Option<String> {
    // Without a state afterwards nothing is known to have changed.
    let after = ended.after.as_ref()?;
    let mut changes = changes(ended.before.as_ref(), Some(after));
    let more = changes.len().saturating_sub(MOST_CHANGES);
    changes.truncate(MOST_CHANGES);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    (!changes.is_empty()).then(|| changes.join("\n"))
}

/// The resource in a few words.
fn name(target: &Target) -> &str {
    if target.resource.starts_with(ACCOUNT) {
        "the account"
    } else {
        target.name()
    }
}

/// Where the execution with this ARN is shown.
fn link(execution: &str) -> Option<String> {
    let parts: Vec<&str> = execution.splitn(5, ':').collect();
    let ["arn", partition, "states", region, _] = parts[..] else {
        return None;
    };
    let (_, console) = CONSOLES.iter().find(|(of, _)| *of == partition)?;
    Some(format!(
        "https://{region}.{console}/states/home?region={region}#/v2/executions/details/{execution}"
    ))
}
