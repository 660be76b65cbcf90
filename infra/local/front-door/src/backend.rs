//! The HTTP client for the emulators behind the front door.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};

use crate::reply::json_answer;
use crate::scope::authorization;

/// The header that tells moto the caller's account.
pub(crate) const MOTO_ACCOUNT: HeaderName = HeaderName::from_static("x-moto-account-id");

/// Headers of a single connection, which are not forwarded.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Shorter than the emulators' own idle timeouts, so that no connection is used while it is being closed.
const IDLE: Duration = Duration::from_secs(2);

/// An emulator on this machine accepts a connection at once or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// One emulator.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    name: &'static str,
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An emulator that did not answer.
#[derive(Debug)]
pub(crate) struct Unreachable {
    backend: &'static str,
    base: String,
    reason: String,
}

/// A call that the front door makes by itself.
#[derive(Debug)]
pub(crate) struct OwnCall<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'static str,
    pub(crate) content_type: &'static str,
    /// Empty for the query protocol.
    pub(crate) target: &'a str,
    pub(crate) body: String,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Backend {
    /// The emulator `name` at `base`, an address without a path.
    pub(crate) fn new(name: &'static str, base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self {
            name,
            base: base.to_owned(),
            client,
        }
    }

    /// Forwards a request with its headers and body unchanged.
    pub(crate) async fn forward(
        &self,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let headers = end_to_end(&parts.headers);
        let response = self.send(&parts.method, path, headers, body).await?;
        let (mut parts, body) = response.into_parts();
        parts.headers = end_to_end(&parts.headers);
        Ok(Response::from_parts(parts, body))
    }

    /// Forwards a request and reads the whole answer.
    pub(crate) async fn forward_and_read(
        &self,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Answer, Unreachable> {
        self.read(self.forward(parts, body).await?).await
    }

    /// Makes a call of the front door's own.
    pub(crate) async fn call(&self, call: OwnCall<'_>) -> Result<Answer, Unreachable> {
        let authorization = authorization(call.account, call.region, call.service);
        // MiniStack ignores the header for moto.
        let texts = [
            (AUTHORIZATION, authorization.as_str()),
            (CONTENT_TYPE, call.content_type),
            (HeaderName::from_static("x-amz-target"), call.target),
            (MOTO_ACCOUNT, call.account),
        ];
        let mut headers = HeaderMap::new();
        for (name, text) in texts {
            if !text.is_empty() {
                let value = HeaderValue::from_str(text).map_err(|it| self.unreachable(&it))?;
                headers.insert(name, value);
            }
        }
        let body = Bytes::from(call.body);
        let response = self.send(&Method::POST, "/", headers, body).await?;
        self.read(response).await
    }

    /// Whether it answers, with any status.
    pub(crate) async fn health(&self, path: &str) -> Result<(), Unreachable> {
        let answer = self.send(&Method::GET, path, HeaderMap::new(), Bytes::new());
        match tokio::time::timeout(CONNECT, answer).await {
            Ok(answer) => answer.map(drop),
            Err(elapsed) => Err(self.unreachable(&elapsed)),
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = Uri::try_from(format!("{}{path}", self.base))
            .map_err(|error| self.unreachable(&error))?;
        *request.headers_mut() = headers;
        let response = self.client.request(request).await;
        response
            .map(|it| it.map(Body::new))
            .map_err(|error| self.unreachable(&error))
    }

    /// Reads the whole body of an answer.
    pub(crate) async fn read(&self, response: Response) -> Result<Answer, Unreachable> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|it| self.unreachable(&it))?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    fn unreachable(&self, error: &dyn Error) -> Unreachable {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        Unreachable {
            backend: self.name,
            base: self.base.clone(),
            reason,
        }
    }
}

impl Answer {
    /// The body as JSON, `null` if it is not.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The unchanged answer.
    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// The answer with another JSON body.
    pub(crate) fn with_json(mut self, body: &Value) -> Response {
        self.headers.remove(CONTENT_LENGTH);
        self.body = Bytes::from(body.to_string());
        self.into_response()
    }
}

impl Unreachable {
    /// A 502 that names the unreachable emulator.
    pub(crate) fn response(&self) -> Response {
        let message = self.to_string();
        tracing::warn!("{message}");
        let body = json!({"__type": "BadGateway", "message": message});
        json_answer(StatusCode::BAD_GATEWAY, &body)
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            backend,
            base,
            reason,
        } = self;
        write!(f, "{backend} does not answer at {base}: {reason}")
    }
}

/// Accepts `http://host:port`.
pub(crate) fn base_address(text: &str) -> Result<String, String> {
    let hint = "an address looks like http://127.0.0.1:4567";
    let uri: Uri = text.parse().map_err(|error| format!("{error}; {hint}"))?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some("http"), Some(authority), "" | "/") => Ok(format!("http://{authority}")),
        _ => Err(hint.to_owned()),
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in HOP_BY_HOP {
        kept.remove(*name);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        let good = "http://127.0.0.1:4567";
        assert_eq!(base_address(good).unwrap(), good);
        assert_eq!(base_address("http://127.0.0.1:4567/").unwrap(), good);
        for bad in [
            "127.0.0.1:4567",
            "https://127.0.0.1",
            "http://host/path",
            "",
        ] {
            assert!(base_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_of_the_connection_are_not_forwarded() {
        let names = ["host", "expect", "x-amz-date", "transfer-encoding"];
        let all = names.map(|it| (HeaderName::from_static(it), HeaderValue::from_static("x")));
        let kept = end_to_end(&HeaderMap::from_iter(all));
        let kept: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(kept, ["host", "x-amz-date"]);
    }
}
