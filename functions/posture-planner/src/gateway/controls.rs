//! The controls of Security Hub, by one signed request a page: the SDK's crate would be the largest part of the function.

use std::collections::BTreeSet;

use aws_config::{SdkConfig, retry::RetryConfig};
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::{AwsCallError, Service},
    signed::{Destination, Request, domain, read_json, send},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Asks Security Hub in the stack's Region.
#[derive(Debug)]
pub struct Controls {
    sdk: SdkConfig,
    calls: CallCounter,
    region: String,
}

impl Controls {
    /// What it calls. The action has no resource type.
    pub const CALLS: &[&str] = &["securityhub:ListSecurityControlDefinitions"];

    /// A gateway. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter) -> Self {
        Self {
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            sdk: sdk.clone(),
            calls: calls.clone(),
        }
    }

    /// The ids of all controls, those too that this Region does not have: the list says of each whether it is available.
    ///
    /// # Errors
    /// If a call fails: never a part of them. Security Hub answers no account in which it is off.
    pub async fn all(&self) -> Result<BTreeSet<String>, AwsCallError> {
        const OPERATION: &str = "ListSecurityControlDefinitions";
        let destination = Destination {
            host: format!("securityhub.{}.{}", self.region, domain(&self.region)),
            signing_name: "securityhub",
            region: self.region.clone(),
        };
        let retries = self.sdk.retry_config().cloned();
        let retries = retries.unwrap_or_else(RetryConfig::standard);
        let (mut ids, mut path) = (BTreeSet::new(), first());
        loop {
            let request = Request {
                method: "GET",
                path,
                ..Request::default()
            };
            let sent = send(
                &self.sdk,
                &destination,
                OPERATION,
                request,
                &retries,
                read_json,
                Some(&self.calls),
            );
            let page = Box::pin(sent)
                .await
                .map_err(|error| AwsCallError::new(Service::SecurityHub, OPERATION, &error))?;
            let listed = page["SecurityControlDefinitions"].as_array();
            let listed = listed.into_iter().flatten();
            ids.extend(listed.filter_map(|it| it["SecurityControlId"].as_str().map(str::to_owned)));
            match page["NextToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => path = after(token),
                None => return Ok(ids),
            }
        }
    }
}

/// The path of the first page: 100 at most, as the API reference says.
fn first() -> String {
    "/securityControls/definitions?MaxResults=100".to_owned()
}

fn after(token: &str) -> String {
    let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
    format!("{}&NextToken={token}", first())
}
