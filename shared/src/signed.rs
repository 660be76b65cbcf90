//! One signed request to a service of AWS, with retries and time limits as the SDK has them: for what has no SDK crate here.

use std::borrow::Cow;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
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
use serde_json::{Map, Value};

use crate::aws::CallCounter;

/// Where a request goes, and how it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The host, unless the configuration has an endpoint of its own.
    pub host: String,
    /// The service's name in signatures.
    pub signing_name: &'static str,
    /// The Region that it is signed for.
    pub region: String,
}

/// A request before it is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Headers beside those of the signature.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Sends a request; `read` understands the answer, and `calls` counts it.
///
/// # Errors
/// If the call fails.
pub async fn send<T: std::fmt::Debug + Send + Sync + 'static>(
    sdk: &SdkConfig,
    destination: &Destination,
    operation: impl Into<Cow<'static, str>>,
    request: Request,
    retries: &RetryConfig,
    read: fn(&HttpResponse) -> Result<T, OrchestratorError<ErrorMetadata>>,
    calls: Option<&CallCounter>,
) -> Result<T, SdkError<ErrorMetadata, HttpResponse>> {
    let url = match sdk.endpoint_url() {
        Some(url) => url.to_owned(),
        None => format!("https://{}", destination.host),
    };
    let mut builder = Operation::builder()
        .service_name(destination.signing_name)
        .operation_name(operation)
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(&url)
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .standard_retry(retries)
        .runtime_plugin(signing(sdk, destination));
    if let Some(calls) = calls {
        builder = builder.interceptor(calls.clone());
    }
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
        .serializer(|request: Request| {
            let mut http = HttpRequest::new(SdkBody::from(request.body));
            http.set_method(request.method)?;
            http.set_uri(request.path)?;
            for (name, value) in request.headers {
                http.headers_mut().insert(name, value);
            }
            Ok(http)
        })
        .deserializer(read)
        .build();
    operation.invoke(request).await
}

/// How requests are signed.
fn signing(sdk: &SdkConfig, destination: &Destination) -> StaticRuntimePlugin {
    let mut config = Layer::new("signing");
    config.store_put(AuthSchemeOptionResolverParams::new(()));
    config.store_put(SigV4OperationSigningConfig {
        region: Some(Region::new(destination.region.clone()).into()),
        name: Some(destination.signing_name.into()),
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

/// The domain of the services in the partition of a Region.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Reads an answer in JSON.
///
/// # Errors
/// What the service refused, or an answer that is not JSON.
pub fn read_json(response: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    let answer: Result<Value, _> = if body.is_empty() {
        Ok(Value::Object(Map::new()))
    } else {
        serde_json::from_slice(body)
    };
    if response.status().is_success() {
        return answer.map_err(|_| OrchestratorError::other("the answer is not JSON"));
    }
    let answer = answer.unwrap_or_default();
    let text = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| answer.get(*name)?.as_str().map(str::to_owned))
    };
    let code = response
        .headers()
        .get("x-amzn-errortype")
        .map(str::to_owned)
        .or_else(|| text(["__type", "code"]));
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code {
        // `namespace#Code:http://…` is the same as `Code`.
        let code = code.split(':').next().unwrap_or_default();
        error = error.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text(["message", "Message"]) {
        error = error.message(message);
    }
    Err(OrchestratorError::operation(error.build()))
}
