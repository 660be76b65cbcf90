//! What comes of ordering an account, and how far an operation is.

use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service, class_of_words},
    ids::AccountId,
};

/// What comes of ordering an account.
#[derive(Debug, PartialEq, Eq)]
pub enum OrderOutcome {
    /// The operation is in progress.
    InProgress {
        /// AWS's id of the operation.
        operation_id: String,
        /// The provisioned product, if there is one.
        provisioned_product_id: Option<String>,
    },
    /// The account exists.
    AccountExists(AccountId),
    /// Not now: the request has to wait for another slot.
    RetryLater,
    /// Not before somebody changes the set-up, in AWS's words.
    SetUp(String),
    /// Never, for this reason.
    Refused(String),
    /// It may have been ordered before, and AWS does not say now: the request keeps its slot.
    Unknown,
}

/// How far an operation is.
#[derive(Debug, PartialEq, Eq)]
pub enum OperationProgress {
    /// It has not ended.
    InProgress,
    /// The account exists.
    Succeeded(AccountId),
    /// It failed for this reason.
    Failed(String),
    /// It failed, and can succeed when it is ordered again.
    RetryLater,
    /// It failed, and can succeed when somebody has changed the set-up: AWS's words.
    SetUp(String),
    /// It failed inside AWS, which says this; it may succeed when it is ordered again.
    FailedInside(String),
}

impl OperationProgress {
    /// The end of an operation of `service` that failed for this reason, in AWS's words or codes; `shown` is what a
    /// person reads of it.
    #[must_use]
    pub fn failed(service: Service, reason: &str, shown: String) -> Self {
        match class_of_words(service, reason) {
            Some(AwsErrorClass::Throttled | AwsErrorClass::Conflict) => Self::RetryLater,
            Some(
                AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault,
            ) => Self::FailedInside(shown),
            Some(AwsErrorClass::SetUp | AwsErrorClass::Denied | AwsErrorClass::NotFound) => {
                Self::SetUp(shown)
            }
            Some(AwsErrorClass::ConditionFailed | AwsErrorClass::Refused) | None => {
                Self::Failed(shown)
            }
        }
    }
}
