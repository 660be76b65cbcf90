//! What a failed call in a member account means: whether the order is retried, or what is reported.

use std::{error::Error, fmt};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{
    ErrorMetadata, metadata::ProvideErrorMetadata, operation::BuildError,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    remediation::report::{Outcome, Report},
};

/// A call in a member account failed.
pub type CallFailed = Box<Failed>;

/// A call that failed, as an error of the function.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failed(#[from] pub AwsCallError);

impl From<AwsCallError> for CallFailed {
    fn from(error: AwsCallError) -> Self {
        Box::new(Failed(error))
    }
}

/// Classifies a failed call, for `map_err`.
pub fn failed<E>(
    service: Service,
    operation: &'static str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> AwsCallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| AwsCallError::new(service, operation, &error)
}

/// A call that cannot be made, since a part of it lacks a field; for `map_err`.
pub fn incomplete(
    service: Service,
    operation: &'static str,
) -> impl FnOnce(BuildError) -> AwsCallError {
    move |error| {
        let error = SdkError::construction_failure(error);
        AwsCallError::new::<ErrorMetadata>(service, operation, &error)
    }
}

/// A reason for which nothing was changed, and what somebody can do.
#[derive(Debug)]
struct Remedy {
    what: &'static str,
    remedy: &'static str,
}

const fn remedy(what: &'static str, remedy: &'static str) -> Remedy {
    Remedy { what, remedy }
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what, self.remedy)
    }
}

const FAULT: Remedy = remedy(
    "the session policy of orgkeeper's action does not allow it",
    "please report this as a fault of orgkeeper",
);

/// Words in a denial, what decided it, and what somebody can do. The first that fits counts ("Troubleshoot access
/// denied error messages" in IAM's user guide).
const DENIALS: &[(&str, Remedy)] = &[
    (
        "service control policy",
        remedy(
            "a service control policy of the organization denies it",
            "exempt the role OrgkeeperRemediation there, or the resource in the playbook",
        ),
    ),
    (
        "resource control policy",
        remedy(
            "a resource control policy of the organization denies it",
            "exempt the role OrgkeeperRemediation there, or the resource in the playbook",
        ),
    ),
    (
        "permissions boundary",
        remedy(
            "the permissions boundary of the role OrgkeeperRemediation does not allow it",
            "extend the boundary, or exempt the account in the playbook",
        ),
    ),
    // A policy that was public is to be restored.
    (
        "BlockPublicPolicy",
        remedy(
            "the bucket or its account blocks public policies",
            "undo the fix of that block first (S3.1, S3.8)",
        ),
    ),
    ("session policy", FAULT),
    // As some services write it.
    ("sessions policy", FAULT),
    (
        "sts:AssumeRole",
        remedy(
            "the account has no role OrgkeeperRemediation that trusts the remediator, or is closed",
            "deploy infra/member-account.yaml there",
        ),
    ),
    (
        "resource-based policy",
        remedy(
            "the policy of the resource itself denies it",
            "allow it there, or exempt the resource in the playbook",
        ),
    ),
    (
        "explicit deny in an identity-based policy",
        remedy(
            "a policy that was added to the role OrgkeeperRemediation denies it",
            "remove that policy, or exempt the account in the playbook",
        ),
    ),
    // The session policy allows all that an action declares, so the role is older than the action.
    (
        "identity-based policy",
        remedy(
            "the role OrgkeeperRemediation is older than this version, or the account has not opted in",
            "update infra/member-account.yaml there; IAM.2 needs its parameter UserPolicies=on",
        ),
    ),
];
/// A denial that does not say what decided it.
const UNKNOWN_DENIAL: Remedy = remedy(
    "AWS denies it and does not say why",
    "update infra/member-account.yaml there; if it is of this version, look for a policy of the organization",
);

/// Error codes that say what somebody has to do first, whatever they are classified as.
const CODES: &[(&[&str], Remedy)] = &[
    (
        &[
            "AuthFailure",
            "InvalidClientTokenId",
            "RegionDisabledException",
            "UnrecognizedClientException",
        ],
        remedy(
            "the Region is not enabled in the account",
            "enable it, or set the account's controls to off in the playbook",
        ),
    ),
    (
        &["OptInRequired", "SubscriptionRequiredException"],
        remedy(
            "the account cannot use the service, or the Region is not enabled",
            "a new account can after some hours; else enable it, or set the control to off there in the playbook",
        ),
    ),
    (
        &["DeleteConflict"],
        remedy(
            "something still uses it",
            "take it out of use, then order the fix again",
        ),
    ),
    (
        &["UnmodifiableEntity"],
        remedy(
            "another AWS service keeps it and allows no change",
            "change it in that service",
        ),
    ),
    (
        &["LimitExceeded", "LimitExceededException"],
        remedy(
            "a quota of the account is reached",
            "raise it in Service Quotas, then order the fix again",
        ),
    ),
    (
        &[
            "InvalidTargetBucketForLogging",
            "InvalidConfigurationRequest",
        ],
        remedy(
            "the bucket for logs does not exist in this Region, or does not let AWS write",
            "create it, or name another one by the parameter log_bucket",
        ),
    ),
];

impl Failed {
    /// What is reported instead of an error: what a retry does not change. Nothing if the order is to be retried.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let error = &self.0;
        let has_one = |codes: &[&str]| codes.iter().any(|code| error.has_code(code));
        let known = CODES.iter().find(|(codes, _)| has_one(codes));
        // What is to be retried is, whatever its code.
        if let Some((_, remedy)) = known.filter(|_| !error.retryable()) {
            return Some(Report::blocked(remedy.to_string()));
        }
        match error.class() {
            AwsErrorClass::NotFound => Some(Report {
                reason: Some("the resource does not exist any more".to_owned()),
                ..Report::of(Outcome::NotApplicable)
            }),
            AwsErrorClass::Denied => Some(Report::blocked(denial(error))),
            AwsErrorClass::Refused | AwsErrorClass::SetUp | AwsErrorClass::ConditionFailed => {
                Some(Report::blocked(format!("AWS refused the call: {error}")))
            }
            AwsErrorClass::Throttled
            | AwsErrorClass::TimedOut
            | AwsErrorClass::Unreachable
            | AwsErrorClass::ServiceFault
            | AwsErrorClass::Conflict => None,
        }
    }

    /// The stable name that the state machine retries by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0.class() {
            AwsErrorClass::Throttled => "Throttled",
            AwsErrorClass::Conflict => "Busy",
            AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault => {
                "Unavailable"
            }
            AwsErrorClass::ConditionFailed
            | AwsErrorClass::NotFound
            | AwsErrorClass::Denied
            | AwsErrorClass::SetUp
            | AwsErrorClass::Refused => "Refused",
        }
    }
}

fn denial(error: &AwsCallError) -> String {
    let words = error.in_words();
    let known = DENIALS.iter().find(|(sign, _)| words.contains(sign));
    let remedy = known.map_or(&UNKNOWN_DENIAL, |(_, remedy)| remedy);
    format!("{remedy} ({})", error.operation())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn the_documentation_has_every_reason_with_its_remedy() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/remediation.md");
        let page = fs::read_to_string(page).unwrap();
        let section = page.split("## When nothing was changed").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let documented: BTreeSet<&str> = section
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| reason"))
            .collect();
        let denials = DENIALS.iter().map(|(_, remedy)| remedy);
        let codes = CODES.iter().map(|(_, remedy)| remedy);
        let rows: BTreeSet<String> = denials
            .chain(codes)
            .chain([&UNKNOWN_DENIAL])
            .map(|it| format!("| {} | {} |", it.what, it.remedy))
            .collect();
        let rows: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
        assert_eq!(documented, rows);
    }
}
