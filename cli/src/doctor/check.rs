//! A check of `orgkeeper doctor`, and its verdict.

use futures::future::LocalBoxFuture;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass};

use super::subject::Subject;
use crate::aws::failure::words;

/// Why a check cannot be answered before the first deployment.
pub(super) const NOT_DEPLOYED: &str = "the stack does not exist yet";
/// What reading an encrypted value needs.
const DECRYPT: &str = "kms:Decrypt";

/// What Organizations says where there is none.
pub(super) const NO_ORGANIZATION: &str = "AWSOrganizationsNotInUseException";

/// What is checked.
pub struct Check {
    /// Its name.
    pub id: &'static str,
    /// The question that it answers.
    pub question: &'static str,
    /// The permissions that it needs.
    pub needs: &'static [&'static str],
    /// Whether it can only be answered after the first deployment.
    pub needs_stack: bool,
    /// Whether the flows that are on depend on it.
    pub applies: fn(&Subject) -> bool,
    /// Answers the question.
    pub run: for<'s> fn(&'s Subject) -> LocalBoxFuture<'s, Result<Verdict, AwsCallError>>,
}

/// The answer to a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Fine(String),
    /// There is something to do.
    ToDo {
        /// What was found.
        found: String,
        /// What to do, a command where there is one.
        fix: String,
    },
    /// It could not be read.
    NotChecked(String),
}

impl Verdict {
    /// All is well: this was found.
    pub fn fine(found: impl Into<String>) -> Self {
        Self::Fine(found.into())
    }

    /// This was found, and that is to be done.
    pub fn to_do(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::ToDo {
            found: found.into(),
            fix: fix.into(),
        }
    }
}

impl Check {
    /// The verdict on `subject`.
    pub async fn verdict(&self, subject: &Subject) -> Verdict {
        if self.needs_stack && subject.stack.is_none() {
            return Verdict::NotChecked(NOT_DEPLOYED.to_owned());
        }
        match (self.run)(subject).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::NotChecked(self.why_not(&error)),
        }
    }

    /// Why a call that failed keeps the check from an answer.
    fn why_not(&self, error: &AwsCallError) -> String {
        if error.has_code(NO_ORGANIZATION) {
            return "this account is in no organization".to_owned();
        }
        if error.class() != AwsErrorClass::Denied {
            return format!("{}; try again", words(error));
        }
        // A service calls KMS for its caller, and answers with an error of its own.
        let by_key = error.in_words().to_lowercase().contains("kms");
        if by_key && self.needs.contains(&DECRYPT) {
            return format!("needs {DECRYPT}");
        }
        let named = self.needs.iter().find(|action| {
            let operation = action.split(':').next_back();
            operation == Some(error.operation())
        });
        match named {
            Some(action) => format!("needs {action}"),
            None => format!("needs {}", self.needs.join(", ")),
        }
    }
}
