//! What a failed call in a member account means: whether the order is retried, or what is reported.

use std::error::Error;

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

/// Words in a denial, what decided it, and what somebody can do. The first that fits counts ("Troubleshoot access
/// denied error messages" in IAM's user guide).
const DENIALS: &[(&str, &str)] = &[
    (
        "service control policy",
        "a service control policy of the organization denies it: exempt the role OrgkeeperRemediation there, or the \
         resource in the playbook",
    ),
    (
        "resource control policy",
        "a resource control policy of the organization denies it: exempt the role OrgkeeperRemediation there, or the \
         resource in the playbook",
    ),
    (
        "permissions boundary",
        "the permissions boundary of the role OrgkeeperRemediation does not allow it",
    ),
    (
        "session policy",
        "the session policy of orgkeeper's action does not allow it: please report this as a fault of orgkeeper",
    ),
    // As some services write it.
    (
        "sessions policy",
        "the session policy of orgkeeper's action does not allow it: please report this as a fault of orgkeeper",
    ),
    (
        "sts:AssumeRole",
        "the account has no role OrgkeeperRemediation that trusts the remediator: deploy infra/member-account.yaml \
         there",
    ),
    (
        "resource-based policy",
        "the policy of the resource itself denies it",
    ),
    (
        "identity-based policy",
        "the role OrgkeeperRemediation does not allow it: update infra/member-account.yaml there",
    ),
];
/// Error codes of a Region that is not enabled in the account.
const REGION_OFF: &[&str] = &[
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "RegionDisabledException",
    "OptInRequired",
    "SubscriptionRequiredException",
];

impl Failed {
    /// What is reported instead of an error: what a retry does not change. Nothing if the order is to be retried.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let error = &self.0;
        // Some services do not answer it as a denial.
        if REGION_OFF.iter().any(|code| error.has_code(code)) {
            return Some(Report::blocked("the Region is not enabled in the account"));
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
    match known {
        Some((_, remedy)) => (*remedy).to_owned(),
        None => format!("AWS denies the call {}", error.operation()),
    }
}
