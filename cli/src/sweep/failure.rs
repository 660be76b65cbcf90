//! Which failed call means what for an account and Region.

use orgkeeper_shared::{
    alert::one_line,
    aws_error::{AwsCallError, AwsErrorClass},
    posture::pair::Outcome,
};

use crate::aws::failure::words;

/// Characters of a reason.
const MOST_CHARACTERS: usize = 300;
/// What AWS says when a policy of the organization denies a call.
const POLICIES: [&str; 2] = ["service control policy", "resource control policy"];
/// What a Region answers that is off for the account. Wrong credentials get the same answer.
const OFF: [&str; 3] = [
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
];
/// How a resolver says that no host has such a name.
const NO_SUCH_HOST: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "nodename nor servname provided",
];

/// How a look ends if a call of it failed, and why in words. `is_on`: the account has this Region, by its own list.
#[must_use]
pub fn outcome_of(error: &AwsCallError, is_on: bool) -> (Outcome, String) {
    let code = error.code().unwrap_or_default();
    let said = error.in_words();
    let outcome = match error.class() {
        _ if OFF.contains(&code) && !is_on => Outcome::RegionOff,
        _ if OFF.contains(&code) => Outcome::Failed,
        AwsErrorClass::Denied if POLICIES.iter().any(|policy| said.contains(policy)) => {
            Outcome::DeniedByPolicy
        }
        _ if code == "OptInRequired" => Outcome::NotOffered,
        AwsErrorClass::Denied => Outcome::RoleMissing,
        AwsErrorClass::Unreachable if NO_SUCH_HOST.iter().any(|text| said.contains(text)) => {
            Outcome::NotOffered
        }
        AwsErrorClass::Unreachable
        | AwsErrorClass::Throttled
        | AwsErrorClass::TimedOut
        | AwsErrorClass::ServiceFault
        | AwsErrorClass::Conflict
        | AwsErrorClass::ConditionFailed
        | AwsErrorClass::NotFound
        | AwsErrorClass::SetUp
        | AwsErrorClass::Refused => Outcome::Failed,
    };
    (outcome, reason(error))
}

/// Why a call failed, on one line.
#[must_use]
pub fn reason(error: &AwsCallError) -> String {
    let text = match error.code() {
        Some(code) if error.in_words() == code => code.to_owned(),
        Some(code) => format!("{code}: {}", error.in_words()),
        None => words(error),
    };
    one_line(&text).chars().take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::{
        orchestrator::HttpResponse,
        result::{ConnectorError, SdkError},
    };
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};
    use orgkeeper_shared::aws_error::Service;

    use super::*;

    fn refused(code: &str, message: &str) -> AwsCallError {
        let error = ErrorMetadata::builder().code(code).message(message).build();
        let response = HttpResponse::new(403.try_into().unwrap(), SdkBody::empty());
        AwsCallError::new(
            Service::Ec2,
            "the call",
            &SdkError::service_error(error, response),
        )
    }

    fn unreachable(why: &'static str) -> AwsCallError {
        let error: SdkError<ErrorMetadata, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::io(why.into()));
        AwsCallError::new(Service::Ec2, "the call", &error)
    }

    #[test]
    fn each_failure_has_its_outcome() {
        let policy =
            "not authorized to perform it with an explicit deny in a service control policy";
        for (error, is_on, expected) in [
            (
                refused("UnauthorizedOperation", policy),
                true,
                Outcome::DeniedByPolicy,
            ),
            (
                refused("AccessDeniedException", policy),
                true,
                Outcome::DeniedByPolicy,
            ),
            (
                refused("UnauthorizedOperation", "no"),
                true,
                Outcome::RoleMissing,
            ),
            (refused("AuthFailure", "no"), false, Outcome::RegionOff),
            (refused("AuthFailure", "no"), true, Outcome::Failed),
            (
                refused("UnrecognizedClientException", "no"),
                false,
                Outcome::RegionOff,
            ),
            (refused("OptInRequired", "no"), true, Outcome::NotOffered),
            (
                refused("RequestLimitExceeded", "slow"),
                true,
                Outcome::Failed,
            ),
            (
                unreachable("dns error: Name or service not known"),
                true,
                Outcome::NotOffered,
            ),
            (unreachable("connection refused"), true, Outcome::Failed),
        ] {
            assert_eq!(outcome_of(&error, is_on).0, expected, "{error}");
        }
        let long = refused("UnauthorizedOperation", &"x\n".repeat(500));
        let (_, reason) = outcome_of(&long, true);
        assert!(reason.starts_with("UnauthorizedOperation: x x") && reason.len() == 300);
    }
}
