//! The features of the organization: all of them, or consolidated billing alone. An organization cannot go back to that,
//! so it is a setting of the local cloud.
//!
//! `GET /_orgkeeper/organization` returns, and `POST` sets: `{"features": "CONSOLIDATED_BILLING"}`; `DELETE` sets `ALL`.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Answer;
use crate::reply::Refusal;

/// Operations that need all features.
const NEED_ALL: &[&str] = &[
    "CreatePolicy",
    "DisableAWSServiceAccess",
    "EnableAWSServiceAccess",
    "EnablePolicyType",
    "ListAWSServiceAccessForOrganization",
    "ListDelegatedAdministrators",
    "RegisterDelegatedAdministrator",
];

const ALL: &str = "ALL";
const BILLING: &str = "CONSOLIDATED_BILLING";

/// The features.
#[derive(Debug, Default)]
pub(crate) struct Features {
    billing_only: AtomicBool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    features: String,
}

impl Features {
    /// The setting as JSON.
    pub(crate) fn report(&self) -> Value {
        json!({"features": self.name()})
    }

    /// Sets it; the error is a sentence that says how to correct it.
    pub(crate) fn set(&self, body: &[u8]) -> Result<(), String> {
        let setting = serde_json::from_slice::<Setting>(body).map(|it| it.features);
        let billing_only = match setting.as_deref() {
            Ok(ALL) => false,
            Ok(BILLING) => true,
            _ => return Err(format!("set features to {ALL} or {BILLING}")),
        };
        self.billing_only.store(billing_only, Ordering::Relaxed);
        Ok(())
    }

    /// All features.
    pub(crate) fn reset(&self) {
        self.billing_only.store(false, Ordering::Relaxed);
    }

    /// Why an operation is refused, if it is.
    pub(super) fn refusal(&self, operation: &str) -> Option<Refusal> {
        let refused = self.name() == BILLING && NEED_ALL.contains(&operation);
        refused.then(|| {
            let message = "The organization does not have all features enabled.";
            Refusal::new("ConstraintViolationException", message)
        })
    }

    /// The answer to `DescribeOrganization`, with the features.
    pub(super) fn show(&self, answer: Answer) -> Response {
        let mut organization = answer.json();
        if answer.status != StatusCode::OK || self.name() == ALL {
            return answer.into_response();
        }
        organization["Organization"]["FeatureSet"] = json!(BILLING);
        answer.with_json(&organization)
    }

    fn name(&self) -> &'static str {
        if self.billing_only.load(Ordering::Relaxed) {
            BILLING
        } else {
            ALL
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_all_features_is_refused_without_them() {
        let features = Features::default();
        assert_eq!(features.refusal("CreatePolicy"), None);
        features
            .set(br#"{"features": "CONSOLIDATED_BILLING"}"#)
            .unwrap();
        assert!(features.refusal("CreatePolicy").is_some());
        assert_eq!(features.refusal("ListAccounts"), None);
        features.set(br#"{"features": "SOME"}"#).unwrap_err();
        assert_eq!(features.report(), json!({"features": BILLING}));
        features.reset();
        assert_eq!(features.report(), json!({"features": ALL}));
    }
}
