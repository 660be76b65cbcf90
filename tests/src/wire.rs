//! AWS over a loopback socket with scripted answers: real SDK clients, real requests, no network.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::config::Credentials;
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request that a client sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// The API's name of the operation, `BatchGetItem` say.
    pub operation: String,
    /// The access key id that it was signed with.
    pub access_key: String,
    /// Its JSON body; nothing for a form of the query protocol.
    pub body: Value,
}

/// What the wire answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    error: Option<&'static str>,
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
            body: body.to_string(),
            delay: Duration::ZERO,
        }
    }

    /// An AWS error with this code, as the JSON protocols carry it.
    #[must_use]
    pub fn error(status: u16, code: &'static str) -> Self {
        Self {
            status,
            error: Some(code),
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
            body: body.to_owned(),
            delay: Duration::ZERO,
        }
    }

    /// The same answer, `delay` later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

type Script = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Shared {
    script: Script,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A running wire. It ends with the runtime that it was started on.
pub struct Wire {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
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
        let calls = Arc::default();
        let shared = Shared {
            script: Arc::new(script),
            calls: Arc::clone(&calls),
        };
        let router = axum::Router::new().fallback(answer).with_state(shared);
        let listener = listener.tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
        tokio::spawn(async move {
            // A server on a bound loopback socket ends with the runtime only.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, calls })
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
    let answer = (shared.script)(&call);
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
    if let Some(code) = answer.error {
        headers.insert("x-amzn-errortype", header::HeaderValue::from_static(code));
    }
    response
}

fn call_of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Call {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let in_form = || {
        let form = std::str::from_utf8(body).ok()?;
        form.split('&')
            .find_map(|field| field.strip_prefix("Action="))
    };
    let operation = match header("x-amz-target").rsplit_once('.') {
        Some((_, operation)) => operation.to_owned(),
        None => in_form().map_or_else(|| rest_operation(method, uri.path()), str::to_owned),
    };
    let access_key = header("authorization")
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default()
        .to_owned();
    Call {
        operation,
        access_key,
        body: serde_json::from_slice(body).unwrap_or_default(),
    }
}

/// The operations of the REST services that orgkeeper calls.
fn rest_operation(method: &Method, path: &str) -> String {
    match (method.as_str(), path) {
        ("PATCH", "/findings/batchupdate") => "BatchUpdateFindings",
        ("POST", "/findings") => "GetFindings",
        ("POST", "/getAlternateContact") => "GetAlternateContact",
        ("POST", "/getContactInformation") => "GetContactInformation",
        (method, path) => return format!("{method} {path}"),
    }
    .to_owned()
}
