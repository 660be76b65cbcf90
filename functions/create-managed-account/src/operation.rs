//! What comes of ordering an account, and how far an operation is.

use orgkeeper_shared::ids::AccountId;

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
}
