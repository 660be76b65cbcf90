//! What a policy of the organization decides: it counts as held, and is not fought over.

use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass};
use remediator::action::Plan;

/// The value of `ManagedBy` in an answer where a policy of the organization sets what it has.
const BY_POLICY: &str = "declarative-policy";
/// Why nothing is changed where a declarative policy sets the value.
pub const WHY: &str = "a declarative policy of the organization sets it";

/// Words of a denial that a policy of the organization caused.
const POLICIES: &[&str] = &[
    "service control policy",
    "resource control policy",
    "declarative policy",
    "organization policy",
    "organizations policy",
    "S3 policy",
];

/// Whether `ManagedBy` in an answer names such a policy.
#[must_use]
pub fn by_policy(managed_by: Option<&str>) -> bool {
    managed_by == Some(BY_POLICY)
}

/// What follows then.
#[must_use]
pub fn plan<S>() -> Plan<S> {
    Plan::NotApplicable(WHY.to_owned())
}

/// What IAM says in each of its own denials, and S3 does not where an S3 policy of the organization refuses a change.
const OF_IAM: &str = "not authorized to perform";

/// Whether a policy of the organization refused a call.
#[must_use]
pub fn refused_by_policy(error: &AwsCallError) -> bool {
    let words = error.in_words();
    let named = || POLICIES.iter().any(|policy| words.contains(policy));
    let of_s3 = || error.operation() == "PutPublicAccessBlock" && !words.contains(OF_IAM);
    error.class() == AwsErrorClass::Denied && (named() || of_s3())
}
