//! The front door's own answers: JSON, and errors in each AWS protocol.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::operation::{Operation, Protocol};

/// An error of an AWS service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    /// `None`: the status that AWS uses for this code in the call's protocol.
    pub(crate) status: Option<StatusCode>,
}

/// Statuses of error names over REST; any other name is 400.
const REST_STATUS: &[(&str, StatusCode)] = &[
    ("AccessDenied", StatusCode::FORBIDDEN),
    ("AccessDeniedException", StatusCode::FORBIDDEN),
    ("ConflictException", StatusCode::CONFLICT),
    ("InvalidAccessException", StatusCode::UNAUTHORIZED),
    ("LimitExceededException", StatusCode::TOO_MANY_REQUESTS),
    ("NoSuchBucket", StatusCode::NOT_FOUND),
    ("NoSuchKey", StatusCode::NOT_FOUND),
    ("PreconditionFailed", StatusCode::PRECONDITION_FAILED),
    ("RequestLimitExceeded", StatusCode::SERVICE_UNAVAILABLE),
    ("ResourceConflictException", StatusCode::CONFLICT),
    ("ResourceInUseException", StatusCode::CONFLICT),
    ("ResourceNotFoundException", StatusCode::NOT_FOUND),
    ("SlowDown", StatusCode::SERVICE_UNAVAILABLE),
    ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
    ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
];

/// Prefixes of error names that are the service's own fault, in every protocol.
const SERVER_FAULTS: &[(&str, StatusCode)] = &[
    ("Internal", StatusCode::INTERNAL_SERVER_ERROR),
    ("ServiceException", StatusCode::INTERNAL_SERVER_ERROR),
    ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
];

impl Refusal {
    /// An error with the status of its name.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: None,
        }
    }

    /// The error in the protocol of this service.
    pub(crate) fn response(&self, operation: &Operation) -> Response {
        let protocol = operation.protocol;
        let status = self
            .status
            .unwrap_or_else(|| default_status(protocol, &self.code));
        let (code, message) = (self.code.as_str(), self.message.as_str());
        let mut response = match protocol {
            Protocol::Json10 | Protocol::Json11 => {
                let body = json!({"__type": code, "message": message, "Message": message});
                answer(status, content_type(protocol), body.to_string())
            }
            Protocol::RestJson => {
                // Security Hub capitalizes its error members, the others do not.
                let body = match operation.service.as_str() {
                    "securityhub" => json!({"Message": message, "Code": code}),
                    _ => json!({"message": message}),
                };
                answer(status, content_type(protocol), body.to_string())
            }
            Protocol::Cbor => answer(status, content_type(protocol), cbor_error(code, message)),
            Protocol::Query | Protocol::Ec2Query | Protocol::RestXml => {
                let body = xml_error(protocol, status, code, message);
                answer(status, content_type(protocol), body)
            }
        };
        if let Ok(value) = HeaderValue::from_str(code) {
            response.headers_mut().insert("x-amzn-errortype", value);
        }
        if protocol == Protocol::Cbor {
            let value = HeaderValue::from_static("rpc-v2-cbor");
            response.headers_mut().insert("smithy-protocol", value);
        }
        response
    }
}

/// An operation's answer in JSON.
pub(crate) fn success(operation: &Operation, body: &Value) -> Response {
    let content_type = content_type(operation.protocol);
    answer(StatusCode::OK, content_type, body.to_string())
}

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    answer(status, "application/json", body.to_string())
}

/// A plain text answer.
pub(crate) fn text_answer(status: StatusCode, body: impl Into<Body>) -> Response {
    answer(status, "text/plain; charset=utf-8", body)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    let id = uuid::Uuid::new_v4().to_string();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::RestJson => "application/json",
        Protocol::Cbor => "application/cbor",
        Protocol::Query | Protocol::Ec2Query | Protocol::RestXml => "text/xml",
    }
}

fn default_status(protocol: Protocol, code: &str) -> StatusCode {
    let own_fault = SERVER_FAULTS.iter().find(|it| code.starts_with(it.0));
    if let Some((_, status)) = own_fault {
        return *status;
    }
    match protocol {
        // Errors of these protocols differ by name only.
        Protocol::Json10 | Protocol::Json11 | Protocol::Cbor => StatusCode::BAD_REQUEST,
        Protocol::Query if !code.starts_with("AccessDenied") => StatusCode::BAD_REQUEST,
        Protocol::Ec2Query if code != "RequestLimitExceeded" => StatusCode::BAD_REQUEST,
        Protocol::RestJson | Protocol::RestXml | Protocol::Query | Protocol::Ec2Query => {
            REST_STATUS
                .iter()
                .find(|it| it.0 == code)
                .map_or(StatusCode::BAD_REQUEST, |it| it.1)
        }
    }
}

fn xml_error(protocol: Protocol, status: StatusCode, code: &str, message: &str) -> String {
    let (code, message) = (escape(code), escape(message));
    let id = uuid::Uuid::new_v4();
    let side = if status.is_server_error() {
        "Receiver"
    } else {
        "Sender"
    };
    match protocol {
        Protocol::RestXml => format!(
            "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"
        ),
        Protocol::Ec2Query => format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>{id}</RequestID></Response>"
        ),
        _ => format!(
            "<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
        ),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `{"__type": code, "message": message}` in CBOR: a map of two pairs of text strings.
fn cbor_error(code: &str, message: &str) -> Vec<u8> {
    const MAP_OF_TWO: u8 = 0xa2;
    let mut out = vec![MAP_OF_TWO];
    for text in ["__type", code, "message", message] {
        cbor_text(&mut out, text);
    }
    out
}

fn cbor_text(out: &mut Vec<u8>, text: &str) {
    const SHORT: u8 = 0x60;
    const LENGTH_IN_FOUR_BYTES: u8 = 0x7a;
    match u8::try_from(text.len()) {
        Ok(length) if length < 24 => out.push(SHORT | length),
        _ => {
            out.push(LENGTH_IN_FOUR_BYTES);
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(service: &str, protocol: Protocol, code: &str) -> Response {
        Refusal::new(code, "no").response(&Operation::new(service, "Op", protocol))
    }

    #[test]
    fn the_status_follows_name_and_protocol() {
        let cases = [
            (Protocol::RestJson, "TooManyRequestsException", 429),
            (Protocol::Json11, "TooManyRequestsException", 400),
            (Protocol::RestJson, "InvalidInputException", 400),
            (Protocol::RestJson, "InternalException", 500),
            (Protocol::Json10, "InternalServerError", 500),
            (Protocol::Query, "AccessDenied", 403),
            (Protocol::Query, "Throttling", 400),
            (Protocol::RestXml, "SlowDown", 503),
            (Protocol::Ec2Query, "RequestLimitExceeded", 503),
        ];
        for (protocol, code, status) in cases {
            let response = refuse("x", protocol, code);
            assert_eq!(response.status().as_u16(), status, "{code} in {protocol:?}");
            assert_eq!(response.headers()["x-amzn-errortype"], code);
        }
    }

    #[test]
    fn a_set_status_takes_precedence() {
        let refusal = Refusal {
            status: Some(StatusCode::IM_A_TEAPOT),
            ..Refusal::new("InternalException", "no")
        };
        let operation = Operation::new("securityhub", "Op", Protocol::RestJson);
        assert_eq!(
            refusal.response(&operation).status(),
            StatusCode::IM_A_TEAPOT
        );
    }

    #[test]
    fn markup_in_a_message_is_escaped() {
        let body = xml_error(Protocol::Query, StatusCode::BAD_REQUEST, "A", "<b> & c");
        assert!(
            body.contains("<Message>&lt;b&gt; &amp; c</Message>"),
            "{body}"
        );
    }

    #[test]
    fn a_cbor_error_is_a_map_of_texts() {
        let mut expected = vec![0xa2, 0x66];
        expected.extend_from_slice(b"__type\x61A\x67message\x62no");
        assert_eq!(cbor_error("A", "no"), expected);
    }
}
