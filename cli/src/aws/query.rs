//! The query protocol of AWS: a form is sent, XML comes back. Signed, retried and limited in time as the SDK does it.

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_types::error::ErrorMetadata;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    signed::{Destination, Request, domain, send},
};

use super::xml::Element;

/// A service that speaks the protocol.
#[derive(Clone, Copy, Debug)]
pub struct QueryService {
    /// For the classes of its errors.
    pub service: Service,
    /// Its name in addresses and signatures.
    pub name: &'static str,
    /// The version of its API.
    pub version: &'static str,
}

/// Calls an operation with these fields; gives the root element of the answer.
///
/// # Errors
/// If the call fails.
pub async fn call(
    sdk: &SdkConfig,
    service: QueryService,
    operation: &'static str,
    fields: &[(String, String)],
) -> Result<Element, AwsCallError> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", operation)
        .append_pair("Version", service.version)
        .extend_pairs(fields)
        .finish();
    let region = sdk.region().map(ToString::to_string).unwrap_or_default();
    let destination = Destination {
        host: host(service.name, &region),
        signing_name: service.name,
        region,
    };
    let retries = sdk.retry_config().cloned();
    let retries = retries.unwrap_or_else(RetryConfig::standard);
    let answer = send(
        sdk,
        &destination,
        operation,
        form_post(form),
        &retries,
        read,
        None,
    )
    .await;
    answer.map_err(|error| AwsCallError::new(service.service, operation, &error))
}

/// A form as a request.
#[must_use]
pub fn form_post(form: String) -> Request {
    let kind = "application/x-www-form-urlencoded".to_owned();
    Request {
        method: "POST",
        path: "/".to_owned(),
        headers: vec![("content-type", kind)],
        body: form,
    }
}

/// The root element of an answer.
///
/// # Errors
/// What the service refused, or an answer that is not XML.
pub fn read(response: &HttpResponse) -> Result<Element, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    let root = std::str::from_utf8(body).ok().map(Element::parse);
    if response.status().is_success() {
        return match root {
            Some(Ok(root)) => Ok(root),
            _ => Err(OrchestratorError::other("the answer is not XML")),
        };
    }
    let mut error = ErrorMetadata::builder();
    if let Some(Ok(root)) = root {
        if let Some(code) = root.text_of("Code") {
            error = error.code(code);
        }
        error = error.message(root.text_of("Message").unwrap_or_default());
    }
    Err(OrchestratorError::operation(error.build()))
}

/// The host of a service in a Region.
fn host(name: &str, region: &str) -> String {
    format!("{name}.{region}.{}", domain(region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_domain_of_its_partition() {
        for (region, expected) in [
            ("eu-west-1", "monitoring.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "monitoring.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "monitoring.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(host("monitoring", region), expected);
        }
    }
}
