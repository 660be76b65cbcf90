//! Why a call to one of the front door's own services fails.

use axum::response::Response;
use serde_json::Value;

use crate::backend::Unreachable;
use crate::operation::Operation;
use crate::reply::{Refusal, success};

/// An error of AWS, or an unreachable emulator.
#[derive(Debug)]
pub(crate) enum Problem {
    Refused(Refusal),
    Unreachable(Unreachable),
}

impl Problem {
    /// An error with this code.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// An unknown operation; an emulator might answer it wrongly.
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
