//! The query protocol of AWS: a form is sent, XML comes back. Signed, retried and limited in time as the SDK does it.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_runtime::{
    auth::{
        SigV4OperationSigningConfig,
        sigv4::{SCHEME_ID, SigV4AuthScheme},
    },
    retries::classifiers::AwsErrorCodeClassifier,
};
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation, retries::classifiers::HttpStatusCodeClassifier,
};
use aws_smithy_runtime_api::client::{
    auth::{
        AuthSchemeOptionResolverParams, SharedAuthSchemeOptionResolver,
        static_resolver::StaticAuthSchemeOptionResolver,
    },
    orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
    result::SdkError,
    runtime_components::RuntimeComponentsBuilder,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::{body::SdkBody, config_bag::Layer, error::ErrorMetadata};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

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
    let answer = send(sdk, service, operation, form).await;
    answer.map_err(|error| AwsCallError::new(service.service, operation, &error))
}

async fn send(
    sdk: &SdkConfig,
    service: QueryService,
    operation: &'static str,
    form: String,
) -> Result<Element, SdkError<ErrorMetadata, HttpResponse>> {
    let region = sdk.region().map(ToString::to_string).unwrap_or_default();
    let url = match sdk.endpoint_url() {
        Some(url) => url.to_owned(),
        None => address(service.name, &region),
    };
    let retries = sdk.retry_config().cloned();
    let mut builder = Operation::builder()
        .service_name(service.name)
        .operation_name(operation)
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(&url)
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .standard_retry(&retries.unwrap_or_else(RetryConfig::standard))
        .runtime_plugin(signing(sdk, service.name));
    if let Some(client) = sdk.http_client() {
        builder = builder.http_client(client);
    }
    if let Some(sleep) = sdk.sleep_impl() {
        builder = builder.sleep_impl(sleep);
    }
    if let Some(time) = sdk.time_source() {
        builder = builder.time_source(time);
    }
    if let Some(timeouts) = sdk.timeout_config() {
        builder = builder.timeout_config(timeouts.clone());
    }
    let operation = builder
        .serializer(|form: String| {
            let mut request = HttpRequest::new(SdkBody::from(form));
            request.set_method("POST")?;
            request.set_uri("/")?;
            let headers = request.headers_mut();
            headers.insert("content-type", "application/x-www-form-urlencoded");
            Ok(request)
        })
        .deserializer(read)
        .build();
    operation.invoke(form).await
}

/// How requests are signed.
fn signing(sdk: &SdkConfig, name: &'static str) -> StaticRuntimePlugin {
    let mut config = Layer::new("signing");
    config.store_put(AuthSchemeOptionResolverParams::new(()));
    config.store_put(SigV4OperationSigningConfig {
        region: sdk.region().cloned().map(Into::into),
        name: Some(name.into()),
        ..SigV4OperationSigningConfig::default()
    });
    let schemes = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("signing")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(schemes)))
        .with_identity_cache(sdk.identity_cache());
    if let Some(credentials) = sdk.credentials_provider() {
        components = components.with_identity_resolver(SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new()
        .with_config(config.freeze())
        .with_runtime_components(components)
}

fn read(response: &HttpResponse) -> Result<Element, OrchestratorError<ErrorMetadata>> {
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

/// The address of a service in a Region.
fn address(name: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://{name}.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_domain_of_its_partition() {
        for (region, expected) in [
            ("eu-west-1", "https://monitoring.eu-west-1.amazonaws.com"),
            (
                "us-gov-west-1",
                "https://monitoring.us-gov-west-1.amazonaws.com",
            ),
            (
                "cn-north-1",
                "https://monitoring.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            assert_eq!(address("monitoring", region), expected);
        }
    }
}
