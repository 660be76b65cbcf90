//! The alert about a resource that is left open: it was fixed again and again.

use orgkeeper_shared::{
    alert::{Alert, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    enrichment::text::{clean, cut},
    remediation::{
        archive::OrderError,
        record::{FIXES_BEFORE_LEFT, Record},
        report::Report,
    },
};

use crate::owner::About;

/// Characters of who changed it back: the longest ARN of a principal, the name of a call, and a time.
const CHANGED_BY_CHARS: usize = 2_300;
/// Characters of why that is not known.
const REASON_CHARS: usize = 500;

/// Why the trail says nothing, if no answer came.
pub const NO_ANSWER: &str = "the look at CloudTrail has no result";

/// Who changed a resource back, or why that is not known.
///
/// # Errors
/// Why it is not known.
pub fn changed_by(report: Option<&Report>, error: Option<&OrderError>) -> Result<String, String> {
    if let Some(by) = report.and_then(|report| report.changed_by.clone()) {
        return Ok(by);
    }
    let reason = report.and_then(|report| report.reason.clone());
    let reason = reason.or_else(|| error.map(OrderError::in_words));
    Err(reason.unwrap_or_else(|| NO_ANSWER.to_owned()))
}

/// The alert about a record that is left open.
#[must_use]
pub fn left_open(record: &Record, changed_by: &Result<String, String>, about: About) -> Alert {
    let (account, region) = (&record.account, &record.region);
    let changed_by = match changed_by {
        Ok(by) => cut(&clean(by), CHANGED_BY_CHARS),
        Err(reason) => format!(
            "not known: {}. Look at the event history of CloudTrail in account {account}, Region {region}, for the calls \
             on the resource",
            cut(&clean(reason), REASON_CHARS)
        ),
    };
    let left_at = record.left_at.unwrap_or(record.last_seen_at);
    let mut details = vec![
        (
            WHAT_HAPPENED,
            format!(
                "The resource was fixed {FIXES_BEFORE_LEFT} times within seven days, and each time somebody or something \
                 changed it back. It is not fixed any more."
            ),
        ),
        ("Control", record.control.clone()),
        ("Resource", record.resource.clone()),
        ("Changed back by", changed_by),
        ("Id", record.id()),
    ];
    details.extend(about.owner.map(|owner| ("Owner", owner)));
    details.push((
        WHAT_TO_DO,
        "Find out who needs it otherwise. Exempt the resource in playbook.toml, or have it fixed again with a [[reapply]] \
         there or with the custom action Remediate of its finding."
            .to_owned(),
    ));
    Alert {
        severity: Severity::Error,
        kind: "remediation.left-open".to_owned(),
        title: format!(
            "Left open: {} in {account} was reopened {FIXES_BEFORE_LEFT} times",
            record.control
        ),
        account: Some(about.account),
        region: region.clone(),
        time: left_at,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("remediation.left-open#{}#{left_at}", record.key),
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::report::Outcome;

    use super::*;

    #[test]
    fn what_the_trail_does_not_say_has_a_reason() {
        let found = Report {
            changed_by: Some("arn by Call at now".to_owned()),
            ..Report::of(Outcome::Looked)
        };
        assert_eq!(
            changed_by(Some(&found), None).as_deref(),
            Ok("arn by Call at now")
        );
        let error = OrderError {
            error: "Denied".to_owned(),
            cause: "not allowed".to_owned(),
        };
        let denied = Report::blocked("a policy denies it");
        for (report, error, reason) in [
            (Some(&denied), None, "a policy denies it"),
            (None, Some(&error), "Denied: not allowed"),
            (Some(&Report::of(Outcome::Looked)), None, NO_ANSWER),
            (None, None, NO_ANSWER),
        ] {
            assert_eq!(changed_by(report, error), Err(reason.to_owned()));
        }
    }
}
