//! Why a call that the door answers by itself does not get what it asked for.

use axum::response::Response;
use serde_json::Value;

use crate::backend::Unreachable;
use crate::operation::Operation;
use crate::reply::{Refusal, success};

/// A refusal, as AWS gives it, or an emulator that is not there.
#[derive(Debug)]
pub(crate) enum Problem {
    Refused(Refusal),
    Unreachable(Unreachable),
}

impl Problem {
    /// A refusal with this code.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// An operation that the door does not have: better said than passed on to an emulator that answers anything.
    pub(crate) fn no_such_operation(service: &str, operation: &str) -> Self {
        Self::Refused(Refusal {
            status: Some(http::StatusCode::NOT_IMPLEMENTED),
            ..Refusal::new(
                "NotImplemented",
                format!("The local {service} has no operation {operation}."),
            )
        })
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unreachable> for Problem {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}

/// The answer to an operation.
pub(crate) fn respond(
    operation: &Operation,
    answer: Result<Value, Problem>,
) -> Result<Response, Unreachable> {
    match answer {
        Ok(body) => Ok(success(operation, &body)),
        Err(Problem::Refused(refusal)) => Ok(refusal.response(operation)),
        Err(Problem::Unreachable(unreachable)) => Err(unreachable),
    }
}
