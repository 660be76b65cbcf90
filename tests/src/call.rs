//! A call as it arrives.

use axum::http::HeaderMap;
use serde_json::Value;

/// A request that a client sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// The API's name of the operation, `BatchGetItem` say.
    pub operation: String,
    /// The access key id that it was signed with.
    pub access_key: String,
    /// Its JSON body, or the fields of a form of the query protocol; nothing for any other body.
    pub body: Value,
    /// Its path and query, as sent.
    pub uri: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as text.
    pub text: String,
}

impl Call {
    /// A header; empty if it was not sent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        header_of(&self.headers, name)
    }
}

/// A header; empty if it was not sent.
pub(crate) fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
