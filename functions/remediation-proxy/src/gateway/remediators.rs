//! The remediators: functions in the service account.

use aws_sdk_lambda::{Client, primitives::Blob};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    remediation::{order::Order, report::Report},
};
use serde::Deserialize;

/// Error names by which the state machine retries an order.
const RETRIED: &[&str] = &["Throttled", "Busy", "Unavailable"];

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum NoReport {
    /// The function was not invoked.
    #[error("the remediator was not invoked")]
    Call(#[source] AwsCallError),
    /// The function failed; its own name for the reason.
    #[error("the remediator failed ({name})")]
    Failed {
        /// The error's name.
        name: String,
        /// What it said.
        message: String,
    },
    /// The function answered something that is no report.
    #[error("the remediator's answer is no report")]
    Answer,
}

impl NoReport {
    /// The stable name that the state machine decides by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Call(error) if error.retryable() => "Throttled",
            Self::Failed { name, .. } => RETRIED
                .iter()
                .find(|retried| *retried == name)
                .copied()
                // A crash or a timeout of the function has AWS's own names (`Runtime.ExitError`, `Sandbox.Timedout`).
                .unwrap_or(if name.contains('.') {
                    "Unavailable"
                } else {
                    "Refused"
                }),
            Self::Call(_) | Self::Answer => "Refused",
        }
    }

    /// Whether the function may still be at work: the call has no answer.
    #[must_use]
    pub fn may_be_at_work(&self) -> bool {
        match self {
            Self::Call(error) => matches!(
                error.class(),
                AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault
            ),
            Self::Failed { .. } | Self::Answer => false,
        }
    }

    /// Whether the same order can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        RETRIED.contains(&self.name())
    }
}

/// A gateway to the remediators.
#[derive(Debug)]
pub struct Remediators {
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionError {
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error_message: String,
}

impl Remediators {
    /// What it calls.
    pub const CALLS: &[&str] = &["lambda:InvokeFunction"];

    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Invokes a function with an order and waits for its report.
    ///
    /// # Errors
    /// If it could not be invoked, or failed.
    pub async fn carry_out(&self, function: &str, order: &Order) -> Result<Report, NoReport> {
        let payload = serde_json::to_vec(order).map_err(|_| NoReport::Answer)?;
        let answer = self
            .client
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| {
                NoReport::Call(AwsCallError::new(Service::Lambda, "Invoke", &error))
            })?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        if answer.function_error.is_some() {
            let error: FunctionError =
                serde_json::from_slice(&payload).map_err(|_| NoReport::Answer)?;
            return Err(NoReport::Failed {
                name: error.error_type,
                message: error.error_message,
            });
        }
        serde_json::from_slice(&payload).map_err(|_| NoReport::Answer)
    }
}
