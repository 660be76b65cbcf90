//! AWS over a loopback socket with scripted answers: real SDK clients, real requests, no network.
//!
//! A script that panics fails its test when the [`Wire`] is dropped, whatever the code under test made
//! of the answer.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::config::Credentials;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use crate::call::Call;
use crate::{call::header_of, recorded::Recorder};

/// The status of what is no answer.
const NO_HOST: u16 = 0;

/// What the wire answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    error: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

impl Answer {
    /// Success with this body.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every caller builds the body in place"
    )]
    pub fn ok(body: Value) -> Self {
        Self {
            status: 200,
            error: None,
            headers: Vec::new(),
            body: body.to_string(),
            delay: Duration::ZERO,
        }
    }

    /// No answer, in process: there is no such host.
    #[must_use]
    pub fn no_host() -> Self {
        Self::xml(NO_HOST, "")
    }

    /// An AWS error with this code, as the JSON protocols carry it.
    #[must_use]
    pub fn error(status: u16, code: &'static str) -> Self {
        Self {
            status,
            error: Some(code),
            headers: Vec::new(),
            body: json!({ "__type": code, "message": "refused by the test" }).to_string(),
            delay: Duration::ZERO,
        }
    }

    /// Any other body, as the query protocol of STS has it.
    #[must_use]
    pub fn xml(status: u16, body: &str) -> Self {
        Self {
            status,
            error: None,
            headers: Vec::new(),
            body: body.to_owned(),
            delay: Duration::ZERO,
        }
    }

    /// An AWS error with this code, as S3 has it.
    #[must_use]
    pub fn xml_error(status: u16, code: &str) -> Self {
        let body =
            format!("<Error><Code>{code}</Code><Message>refused by the test</Message></Error>");
        Self::xml(status, &body)
    }

    /// An AWS error with this code, as the query protocol of SNS and STS has it.
    #[must_use]
    pub fn query_error(status: u16, code: &str) -> Self {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>refused by the test</Message></Error></ErrorResponse>"
        );
        Self::xml(status, &body)
    }

    /// What SNS answers to a message that it has published.
    #[must_use]
    pub fn published() -> Self {
        const BODY: &str = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        Self::xml(200, BODY)
    }

    /// The same answer with another header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same answer with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same answer, `delay` later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// A script for the first `times` calls of `operation`.
pub fn at_first(
    operation: &'static str,
    times: usize,
    answer: Answer,
) -> impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static {
    let calls = AtomicUsize::new(0);
    move |call| {
        (call.operation == operation && calls.fetch_add(1, Ordering::Relaxed) < times)
            .then(|| answer.clone())
    }
}

type Script = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Shared {
    script: Script,
    calls: Arc<Mutex<Vec<Call>>>,
    panics: Arc<Mutex<Vec<String>>>,
    recorder: Arc<Mutex<Recorder>>,
}

/// A running wire. It ends with the runtime that it was started on.
pub struct Wire {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    /// What scripts panicked with.
    panics: Arc<Mutex<Vec<String>>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        let panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            panics.is_empty() || std::thread::panicking(),
            "the script of the wire panicked: {}",
            panics.join("; ")
        );
    }
}

impl Wire {
    /// Listens on a free port and answers each call by the script.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (calls, panics) = (Arc::default(), Arc::default());
        let shared = Shared {
            script: Arc::new(script),
            calls: Arc::clone(&calls),
            panics: Arc::clone(&panics),
            recorder: Arc::new(Mutex::new(Recorder::of_this_test())),
        };
        let router = axum::Router::new().fallback(answer).with_state(shared);
        let listener = listener.tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
        tokio::spawn(async move {
            // A server on a bound loopback socket ends with the runtime only.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, calls, panics })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The calls so far, in the order in which they came.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The calls since the last time that this was asked.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The calls of one operation.
    #[must_use]
    pub fn calls_of(&self, operation: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.operation == operation);
        calls
    }

    /// An SDK configuration whose clients call here, without the SDK's own retries.
    pub async fn sdk_config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .endpoint_url(&self.url)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("111111111111", "test", None, None, "wire"))
            .retry_config(RetryConfig::disabled())
            .load()
            .await
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call_of(&method, &uri, &headers, &body);
    shared
        .recorder
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .record(service_of(&headers), &call);
    let answer =
        catch_unwind(AssertUnwindSafe(|| (shared.script)(&call))).unwrap_or_else(|panic| {
            let mut panics = shared.panics.lock().unwrap_or_else(PoisonError::into_inner);
            panics.push(words_of(&*panic));
            Answer::error(400, "ScriptPanicked")
        });
    shared
        .calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(call);
    tokio::time::sleep(answer.delay).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    for (name, value) in answer.headers {
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if let Some(code) = answer.error {
        headers.insert("x-amzn-errortype", header::HeaderValue::from_static(code));
    }
    response
}

/// AWS in the test's own process: the same calls and answers without a socket, so that time can be virtual
/// (`tokio::time::pause`).
#[derive(Clone)]
pub struct InProcess(Script);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl InProcess {
    /// Answers each call by the script.
    #[must_use]
    pub fn new(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(script))
    }

    /// An SDK configuration whose clients call here, with the SDK's ordinary retries.
    pub async fn sdk_config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .endpoint_url("http://in-process")
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("111111111111", "test", None, None, "wire"))
            .http_client(self.clone())
            .load()
            .await
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let script = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().unwrap_or_default();
            let answer = script(&call_of(&parts.method, &parts.uri, &parts.headers, body));
            tokio::time::sleep(answer.delay).await;
            if answer.status == NO_HOST {
                return Err(ConnectorError::io("there is no such host".into()));
            }
            let status = answer
                .status
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            let headers = response.headers_mut();
            headers.insert("content-type", "application/json");
            if let Some(code) = answer.error {
                headers.insert("x-amzn-errortype", code);
            }
            for (name, value) in answer.headers {
                headers.insert(name, value);
            }
            Ok(response)
        })
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let literal = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned());
    let formatted = || panic.downcast_ref::<String>().cloned();
    literal.or_else(formatted).unwrap_or_default()
}

fn call_of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Call {
    let form = form_of(body);
    let in_form = || Some(form.as_ref()?["Action"].as_str()?.to_owned());
    let access_key = scope_of(headers).next().unwrap_or_default().to_owned();
    let service = service_of(headers);
    let operation = match header_of(headers, "x-amz-target").rsplit_once('.') {
        Some((_, operation)) => operation.to_owned(),
        None => in_form().unwrap_or_else(|| rest_operation(service, method, uri.path())),
    };
    Call {
        operation,
        access_key,
        body: form.unwrap_or_else(|| serde_json::from_slice(body).unwrap_or_default()),
        uri: uri.to_string(),
        headers: headers.clone(),
        text: String::from_utf8_lossy(body).into_owned(),
    }
}

/// The parts of the credential scope, `<access key>/<date>/<region>/<service>/aws4_request`.
fn scope_of(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    header_of(headers, "authorization")
        .split_once("Credential=")
        .map(|(_, rest)| rest.split('/'))
        .into_iter()
        .flatten()
}

fn service_of(headers: &HeaderMap) -> &str {
    scope_of(headers).nth(3).unwrap_or_default()
}

/// The fields of a form of the query protocol.
fn form_of(body: &[u8]) -> Option<Value> {
    let form = std::str::from_utf8(body).ok()?;
    if !form.starts_with("Action=") {
        return None;
    }
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).ok()?;
    let fields = form
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
    Some(Value::Object(fields.collect()))
}

/// The operations of the REST services that orgkeeper calls.
fn rest_operation(service: &str, method: &Method, path: &str) -> String {
    match (method.as_str(), path) {
        ("GET", _) if service == "s3" => "GetObject",
        ("HEAD", _) if service == "s3" => "HeadObject",
        ("PUT", _) if service == "s3" => "PutObject",
        ("POST", path) if service == "lambda" && path.ends_with("/invocations") => "Invoke",
        ("GET", path) if service == "lambda" && path.ends_with("/functions") => "ListFunctions",
        ("GET", path) if service == "lambda" && path.ends_with("/configuration") => {
            "GetFunctionConfiguration"
        }
        ("POST", path) if service == "scheduler" && path.starts_with("/schedules/") => {
            "CreateSchedule"
        }
        ("DELETE", path) if service == "scheduler" && path.starts_with("/schedules/") => {
            "DeleteSchedule"
        }
        ("POST", "/get-landingzone") => "GetLandingZone",
        ("POST", "/list-landingzones") => "ListLandingZones",
        ("POST", "/list-baselines") => "ListBaselines",
        ("POST", "/organization/insights") => "ListOrganizationInsights",
        ("POST", "/list-enabled-baselines") => "ListEnabledBaselines",
        ("PATCH", "/findings/batchupdate") => "BatchUpdateFindings",
        ("POST", "/findings") => "GetFindings",
        ("POST", "/getAlternateContact") => "GetAlternateContact",
        ("POST", "/putAlternateContact") => "PutAlternateContact",
        ("POST", "/getContactInformation") => "GetContactInformation",
        (method, path) => return format!("{method} {path}"),
    }
    .to_owned()
}
