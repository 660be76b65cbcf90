//! A failed call in words for the operator.

use orgkeeper_shared::aws_error::AwsCallError;

/// How the SDK begins the part for programmers.
const DETAILS: &str = " (DispatchFailure(";

/// What failed and why, on one line, without what only a programmer reads.
#[must_use]
pub fn words(error: &AwsCallError) -> String {
    let text = error.to_string();
    let text = text.split(DETAILS).next().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.trim_end_matches(". Attempted:").to_owned()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::{
        orchestrator::HttpResponse,
        result::{ConnectorError, SdkError},
    };
    use aws_smithy_types::error::ErrorMetadata;
    use orgkeeper_shared::aws_error::Service;

    use super::*;

    fn unreachable(why: &'static str) -> String {
        let error: SdkError<ErrorMetadata, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::other(why.into(), None));
        words(&AwsCallError::new(
            Service::Sts,
            "GetCallerIdentity",
            &error,
        ))
    }

    #[test]
    fn what_programmers_read_is_left_out() {
        assert_eq!(
            unreachable("connection refused"),
            "GetCallerIdentity failed (Unreachable): dispatch failure: other: connection refused"
        );
        assert_eq!(
            unreachable("no credentials found. Attempted:\n  Environment: not set"),
            "GetCallerIdentity failed (Unreachable): dispatch failure: other: no credentials found"
        );
    }
}
