//! An error by whose name a state machine decides whether to retry.

use lambda_runtime::{Diagnostic, Error};

/// An error with a name that does not change: what `Retry` and `Catch` of a state machine list.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NamedError {
    /// The name, such as `Throttled`.
    pub name: &'static str,
    /// What failed.
    pub message: String,
}

/// What the Lambda runtime reports of an error: its name, if it has one, else that of its type.
pub(super) fn diagnostic(error: Error) -> Diagnostic {
    match error.downcast::<NamedError>() {
        Ok(named) => Diagnostic {
            error_type: named.name.to_owned(),
            error_message: named.message,
        },
        Err(other) => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept() {
        let (name, message) = ("Throttled", "too many calls".to_owned());
        let reported = diagnostic(Box::new(NamedError { name, message }));
        assert_eq!(reported.error_type, "Throttled");
        assert_eq!(reported.error_message, "too many calls");
        assert_ne!(diagnostic("other".into()).error_type, "Throttled");
    }
}
