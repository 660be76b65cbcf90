//! One call of an operation: as a request, in an account and Region, at its pace, and again if it fails for a reason that
//! passes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{SdkConfig, retry::RetryConfig};
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    pace::Pace,
    signed::{Destination, Request, domain, read_json, send},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{
    operation::{Does, Operation},
    service::{ORGANIZATIONS, region_of_organizations},
};

/// Calls in flight, for all accounts and Regions of an invocation together.
const IN_FLIGHT: usize = 64;
/// Attempts of a call that fails for a reason that passes. The runtime's own retries are off: they would hold a place.
const ATTEMPTS: u32 = 5;
/// The longest wait before the second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// What stays as it is in a path or query.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same, where a parameter may have several parts of a path.
const KEPT_IN_PATH: &AsciiSet = &KEPT.remove(b'/');

/// No parameters.
pub const NONE: &Value = &Value::Null;

/// Makes the calls.
#[derive(Debug)]
pub struct Caller {
    places: Semaphore,
    paces: Mutex<HashMap<String, Arc<Pace>>>,
    calls: CallCounter,
}

impl Caller {
    /// One whose calls are counted.
    #[must_use]
    pub fn new(calls: &CallCounter) -> Self {
        Self {
            places: Semaphore::new(IN_FLIGHT),
            paces: Mutex::default(),
            calls: calls.clone(),
        }
    }

    /// Makes a call with the credentials of `sdk`; gives what was answered.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn call(
        &self,
        sdk: &SdkConfig,
        account: &AccountId,
        region: &str,
        operation: &'static Operation,
        parameters: &Value,
    ) -> Result<Value, AwsCallError> {
        let mut backoff = FIRST_BACKOFF;
        let mut attempt = 1;
        loop {
            if let Some(pace) = self.pace(account, region, operation) {
                pace.wait().await;
            }
            let answer = self.once(sdk, region, operation, parameters).await;
            match answer {
                Err(error) if attempt < ATTEMPTS && passes(&error, operation, region) => {
                    // Half of it at least, so that those that were throttled together do not come back together.
                    let part = f64::from(attempt % 3 + 3) / 5.0;
                    tokio::time::sleep(backoff.mul_f64(part)).await;
                    backoff *= 2;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn once(
        &self,
        sdk: &SdkConfig,
        region: &str,
        operation: &'static Operation,
        parameters: &Value,
    ) -> Result<Value, AwsCallError> {
        // It is never closed.
        let _place = self.places.acquire().await.ok();
        let service = operation.service;
        let region = if std::ptr::eq(service, &raw const ORGANIZATIONS) {
            region_of_organizations(region)
        } else {
            region
        };
        let destination = Destination {
            host: service.host(region, domain(region)),
            signing_name: service.signing_name,
            region: region.to_owned(),
        };
        let retries = RetryConfig::disabled();
        let sent = send(
            sdk,
            &destination,
            operation.name,
            request(operation, parameters),
            &retries,
            read_json,
            Some(&self.calls),
        );
        let answer = Box::pin(sent).await;
        answer.map_err(|error| AwsCallError::new(service.class, operation.name, &error))
    }

    fn pace(&self, account: &AccountId, region: &str, operation: &Operation) -> Option<Arc<Pace>> {
        let per_second = operation.per_second?;
        let key = format!("{account} {region} {}", operation.name);
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces
            .entry(key)
            .or_insert_with(|| Arc::new(Pace::new(per_second, 1)));
        Some(Arc::clone(pace))
    }
}

/// Whether another attempt can succeed a moment later. A host that is not there is none.
fn passes(error: &AwsCallError, operation: &Operation, region: &str) -> bool {
    let is_there = operation.service.is_listed_in(region);
    error.class().transient() && (is_there || error.class() != AwsErrorClass::Unreachable)
}

/// A call as a request: parameters in braces are in the path, those of a GET or DELETE in the query, and the others in the body.
#[must_use]
pub fn request(operation: &Operation, parameters: &Value) -> Request {
    let mut left: Map<String, Value> = parameters.as_object().cloned().unwrap_or_default();
    let mut path = String::new();
    for (place, part) in operation.path.split('/').enumerate() {
        if place > 0 {
            path.push('/');
        }
        let name = part.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        match name {
            Some(name) => {
                let value = left.remove(name.trim_end_matches('+')).unwrap_or_default();
                path.push_str(&encoded(&value, name.ends_with('+')));
            }
            None => path.push_str(part),
        }
    }
    let in_query = ["GET", "DELETE"].contains(&operation.method);
    let mut headers = Vec::new();
    if let Some(target) = operation.service.target {
        headers.push(("content-type", "application/x-amz-json-1.1".to_owned()));
        headers.push(("x-amz-target", format!("{target}.{}", operation.name)));
    } else if !in_query {
        headers.push(("content-type", "application/json".to_owned()));
    }
    let query: Vec<String> = if in_query {
        left.iter()
            .map(|(name, value)| format!("{name}={}", encoded(value, false)))
            .collect()
    } else {
        Vec::new()
    };
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let body = match (in_query, operation.does, left.is_empty()) {
        (true, ..) => String::new(),
        (false, Does::Read | Does::Change, _) => Value::Object(left).to_string(),
    };
    Request {
        method: operation.method,
        path,
        headers,
        body,
    }
}

fn encoded(value: &Value, is_path: bool) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let set = if is_path { KEPT_IN_PATH } else { KEPT };
    utf8_percent_encode(&text, set).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::{
        ENABLE_SERVICE_ACCESS, GUARDDUTY_UPDATE_CONFIGURATION, MACIE_DISABLE_ADMINISTRATOR,
        SECURITY_HUB_GET_AGGREGATOR,
    };

    #[test]
    fn a_parameter_is_where_the_api_has_it() {
        let of_path = request(
            &GUARDDUTY_UPDATE_CONFIGURATION,
            &json!({ "detectorId": "d", "autoEnableOrganizationMembers": "ALL" }),
        );
        assert_eq!(of_path.path, "/detector/d/admin");
        assert_eq!(of_path.body, r#"{"autoEnableOrganizationMembers":"ALL"}"#);
        let of_query = request(
            &MACIE_DISABLE_ADMINISTRATOR,
            &json!({ "adminAccountId": "111122223333" }),
        );
        assert_eq!(of_query.path, "/admin?adminAccountId=111122223333");
        assert_eq!(of_query.body, "");
        let arn = "arn:aws:securityhub:eu-west-1:111122223333:finding-aggregator/a";
        let of_arn = request(
            &SECURITY_HUB_GET_AGGREGATOR,
            &json!({ "FindingAggregatorArn": arn }),
        );
        assert_eq!(
            of_arn.path,
            "/findingAggregator/get/arn%3Aaws%3Asecurityhub%3Aeu-west-1%3A111122223333%3Afinding-aggregator/a"
        );
    }

    #[test]
    fn organizations_speaks_json() {
        let request = request(
            &ENABLE_SERVICE_ACCESS,
            &json!({ "ServicePrincipal": "macie.amazonaws.com" }),
        );
        let target = "AWSOrganizationsV20161128.EnableAWSServiceAccess".to_owned();
        assert!(request.headers.contains(&("x-amz-target", target)));
        assert_eq!((request.method, request.path.as_str()), ("POST", "/"));
    }
}
