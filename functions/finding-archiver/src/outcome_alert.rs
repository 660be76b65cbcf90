//! The alert about what came of a fix.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    enrichment::text::{clean, cut},
    remediation::{
        difference::changes,
        order::Task,
        record::{
            Ended, Status, Subject,
            asking::id_of,
            undoing::{UNDO_WITHIN, not_undone},
        },
        report::Outcome,
        target,
    },
};
use serde_json::Value;

use crate::owner::About;

/// Changes that are listed; the rest is counted.
const MOST_CHANGES: usize = 20;
/// Characters of the name of the one who made the resource as it was.
const ACTOR_CHARS: usize = 300;
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
    /// What the person who asked for it is called.
    by: &'static str,
}

/// The alert about an attempt that ended at `time`; `None` for what nobody has to know at once.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "each is a part of the alert")]
pub fn alert(
    subject: &Subject,
    attempt: u32,
    task: Task,
    ended: &Ended,
    actor: Option<&str>,
    by: Option<&str>,
    about: About,
    time: Timestamp,
) -> Option<Alert> {
    let words = match (task, ended.outcome) {
        (Task::Undo, Some(Outcome::Undone | Outcome::AlreadyUndone)) => UNDONE,
        (Task::Undo, _) => NOT_UNDONE,
        (_, Some(Outcome::Unconfirmed)) => UNCONFIRMED,
        _ => words(ended.status())?,
    };
    let target = &subject.target;
    let id = id_of(&subject.key);
    let mut details = vec![
        (WHAT_HAPPENED, words.what_happened.to_owned()),
        ("Control", subject.control.clone()),
        ("Resource", target.resource.clone()),
    ];
    // Without a state afterwards nothing is known to have changed.
    let after = ended.after.as_ref();
    let changed = after.and_then(|after| changed(ended.before.as_ref(), Some(after)));
    details.extend(changed.map(|changed| ("Changed", changed)));
    let actor = actor.map(|actor| cut(&clean(actor), ACTOR_CHARS));
    let made_by = actor.filter(|actor| !actor.is_empty());
    details.extend(made_by.map(|actor| ("Made so by", actor)));
    details.extend(by.map(|by| (words.by, by.to_owned())));
    details.extend(about.owner.map(|owner| ("Owner", owner)));
    let why = match task {
        Task::Undo if words.severity != Severity::Info => Some(not_undone(ended)),
        _ => ended.reason.clone(),
    };
    details.extend(why.map(|reason| ("Why", reason)));
    if ended.outcome == Some(Outcome::Fixed) {
        let days = UNDO_WITHIN.as_hours() / 24;
        let undo = format!("orgkeeper remediation undo {id} (within {days} days)");
        details.push(("Undo", undo));
    }
    details.push((WHAT_TO_DO, words.what_to_do.to_owned()));
    Some(Alert {
        severity: words.severity,
        kind: words.kind.to_owned(),
        title: format!(
            "{}: {} on {}",
            words.title,
            subject.control,
            name_of(&target.resource)
        ),
        account: Some(about.account),
        region: target.region.clone(),
        time,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: ended.execution.as_deref().and_then(link),
        dedup_key: format!("{}#{}#{attempt}", words.kind, subject.key),
    })
}

const UNDONE: Words = Words {
    severity: Severity::Info,
    kind: "remediation.undone",
    title: "Undone",
    what_happened: "orgkeeper restored what was before its fix, and read it back exactly so. It is not fixed again.",
    what_to_do: "Exempt the resource in playbook.toml if it stays so. To have it fixed again, write a [[reapply]] there.",
    by: "Undone by",
};

const NOT_UNDONE: Words = Words {
    severity: Severity::Error,
    kind: "remediation.not-undone",
    title: "Not undone",
    what_happened: "A person asked for an undo, and nothing was changed.",
    what_to_do: "Change the resource by hand: orgkeeper remediation show has the state before the fix.",
    by: "Asked for by",
};

const UNCONFIRMED: Words = Words {
    severity: Severity::Error,
    kind: "remediation.failed",
    title: "Changed, but perhaps not fixed",
    what_happened: "orgkeeper changed the resource, but could not read it back as the control asks for.",
    what_to_do: "Look at the resource. If it is not as it should be, choose the custom action Remediate of its finding, \
                 or wait for the next check.",
    by: "Allowed by",
};

fn words(status: Status) -> Option<Words> {
    match status {
        Status::Fixed => Some(Words {
            severity: Severity::Info,
            kind: "remediation.fixed",
            title: "Fixed",
            what_happened: "orgkeeper changed the resource, and read it back as the control asks for.",
            what_to_do: "Nothing. If somebody needs it as it was, undo it, and exempt the resource in playbook.toml.",
            by: "Allowed by",
        }),
        Status::Blocked => Some(Words {
            severity: Severity::Error,
            kind: "remediation.failed",
            title: "Not fixed",
            what_happened: "The resource is not as the control asks for. Somebody has to do something first.",
            what_to_do: "Do what is named above, or exempt the resource in playbook.toml. Then choose the custom \
                         action Remediate of its finding, or wait for the next check.",
            by: "Allowed by",
        }),
        Status::Failed => Some(Words {
            severity: Severity::Error,
            kind: "remediation.failed",
            title: "Not fixed",
            what_happened: "The fix failed, also when it was retried.",
            what_to_do: "Open the execution and see what failed. Then choose the custom action Remediate of the \
                         finding, or wait for the next check.",
            by: "Allowed by",
        }),
        Status::AlreadyCompliant
        | Status::NotApplicable
        | Status::Needs
        | Status::Observed
        | Status::Started
        | Status::Suppressed
        | Status::Refused
        | Status::Exempt
        | Status::Waiting
        | Status::Declined
        | Status::Undone
        | Status::LeftOpen => None,
    }
}

/// The changes, each on its line.
pub(crate) fn changed(before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let mut changes = changes(before, after);
    let more = changes.len().saturating_sub(MOST_CHANGES);
    changes.truncate(MOST_CHANGES);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    (!changes.is_empty()).then(|| changes.join("\n"))
}

/// The resource in a few words.
pub(crate) fn name_of(resource: &str) -> &str {
    if resource.starts_with(ACCOUNT) {
        "the account"
    } else {
        target::name_of(resource)
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

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::{control::control, target::Target};
    use serde_json::json;

    use super::*;

    fn ended(status: &str, execution: &str) -> Ended {
        Ended {
            outcome: serde_json::from_value(json!(status)).ok(),
            before: Some(json!({ "BlockPublicAcls": false })),
            after: Some(json!({ "BlockPublicAcls": true })),
            reason: None,
            needs: None,
            execution: Some(execution.to_owned()),
            differences: Vec::new(),
        }
    }

    fn alert_of(ended: &Ended, actor: Option<&str>) -> Option<Alert> {
        let control = control("S3.8").unwrap();
        let account = "111122223333".parse().unwrap();
        let target = Target::new(control, account, "eu-west-1", "arn:aws:s3:::logs").unwrap();
        let subject = Subject::new(control, &target);
        let (by, about, at) = (Some("anna"), About::default(), Timestamp::UNIX_EPOCH);
        alert(&subject, 1, Task::Fix, ended, actor, by, about, at)
    }

    fn detail<'a>(alert: &'a Alert, label: &str) -> Option<&'a str> {
        let details = alert.details.0.iter();
        let mut named = details.filter(|(name, _)| name == label);
        named.next().map(|(_, text)| text.as_str())
    }

    #[test]
    fn a_fix_is_for_information_and_a_failure_an_error() {
        for (status, severity, kind) in [
            ("FIXED", Severity::Info, "remediation.fixed"),
            ("BLOCKED", Severity::Error, "remediation.failed"),
            ("none", Severity::Error, "remediation.failed"),
        ] {
            let alert = alert_of(&ended(status, ""), None).unwrap();
            assert_eq!((alert.severity, alert.kind.as_str()), (severity, kind));
        }
        for status in ["ALREADY_COMPLIANT", "NOT_APPLICABLE", "NEEDS"] {
            assert_eq!(alert_of(&ended(status, ""), None), None, "{status}");
        }
    }

    #[test]
    fn whoever_made_it_so_is_named_if_that_is_known() {
        let fixed = ended("FIXED", "");
        let made_by = |actor: Option<&str>| {
            let alert = alert_of(&fixed, actor).unwrap();
            detail(&alert, "Made so by").map(str::to_owned)
        };
        assert_eq!(made_by(None), None);
        assert_eq!(made_by(Some(" \n")), None);
        assert_eq!(made_by(Some("ana\nben")).unwrap(), "ana ben");
        assert_eq!(
            made_by(Some(&"x".repeat(1_000))).unwrap().chars().count(),
            300
        );
        let alert = alert_of(&fixed, None).unwrap();
        assert_eq!(
            detail(&alert, "Changed"),
            Some("BlockPublicAcls: false → true")
        );
    }

    #[test]
    fn the_execution_is_linked_in_every_partition() {
        for (partition, region, host) in [
            ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
            ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
            (
                "aws-us-gov",
                "us-gov-west-1",
                "us-gov-west-1.console.amazonaws-us-gov.com",
            ),
        ] {
            let arn = format!("arn:{partition}:states:{region}:111111111111:execution:m:0f1e-1");
            let expected =
                format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}");
            let alert = alert_of(&ended("FIXED", &arn), None).unwrap();
            assert_eq!(alert.link, Some(expected));
        }
        for odd in [
            "",
            "arn:aws-moon:states:r:1:execution:m:x",
            "arn:aws:s3:::logs",
        ] {
            assert_eq!(alert_of(&ended("FIXED", odd), None).unwrap().link, None);
        }
    }
}
