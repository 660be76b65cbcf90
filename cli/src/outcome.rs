//! How a command ends: exit codes and errors.

use std::{io, process::ExitCode};

use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass};

use crate::aws::failure::words;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and there is nothing to say.
    Done,
    /// It failed.
    Failed,
    /// The arguments are wrong.
    WrongUsage,
    /// Done, and there is something, for example faults in a file.
    Found,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::WrongUsage => 2,
            Outcome::Found => 3,
        })
    }
}

/// Why a command failed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}. {hint}")]
    Unreadable {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// A file is not JSON.
    #[error("{file} is not JSON (line {line}, column {column}). {hint}")]
    NotJson {
        /// The file.
        file: String,
        /// Where it stops to be JSON.
        line: usize,
        /// The column in that line.
        column: usize,
        /// What to do.
        hint: &'static str,
    },
    /// No Region is known.
    #[error("no Region is given. Give --region, or set AWS_REGION")]
    NoRegion,
    /// A call to AWS failed.
    #[error("{}. {hint}", words(.0), hint = hint(.0))]
    Call(#[from] AwsCallError),
    /// There is no such stack.
    #[error(
        "there is no stack {stack} in {region}. Give --stack and --region, or deploy it: see docs/deploy.md"
    )]
    NoStack {
        /// Its name.
        stack: String,
        /// The Region.
        region: String,
    },
    /// The stack has no such queue.
    #[error("the stack has no queue {name}. It has: {others}")]
    NoQueue {
        /// The name that was given.
        name: String,
        /// Those that the stack has.
        others: String,
    },
    /// AWS did not answer what was asked.
    #[error(
        "cannot read {what}: {said}. Check the credentials, the Region, and that they may read it"
    )]
    Aws {
        /// What was read.
        what: &'static str,
        /// What AWS said.
        said: String,
    },
    /// No function has such a name.
    #[error(
        "no function of this account and Region has {part} in its name. Check the credentials and the Region, or name the \
         function with --function"
    )]
    NoFunction {
        /// A part of the name.
        part: &'static str,
    },
    /// Several functions have such a name.
    #[error("several functions have {part} in their name: {names}. Name one with --function")]
    SeveralFunctions {
        /// A part of the name.
        part: &'static str,
        /// Their names.
        names: String,
    },
    /// The function has other settings than expected.
    #[error("the settings of the function are wrong: {0}. Is it orgkeeper's, in this version?")]
    Settings(String),
    /// The stack does not have what the command works on.
    #[error("the stack has no {what}. Is the remediate flow on (RemediateFlow=on)?")]
    NotInStack {
        /// What it lacks.
        what: &'static str,
    },
    /// No record has this id.
    #[error("no remediation has the id {0}. orgkeeper remediation list shows them")]
    NoRemediation(String),
    /// Several records have ids that begin so.
    #[error("several remediations have ids that begin with {0}. Give more of it")]
    SeveralRemediations(String),
    /// What was asked for cannot be done.
    #[error("{0}")]
    NotPossible(String),
    /// The reader of the output is gone: no error for a pipe.
    #[error("the output is closed")]
    OutputClosed,
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }
}

/// What to do about a failed call.
fn hint(error: &AwsCallError) -> &'static str {
    match error.class() {
        AwsErrorClass::Denied => "Use credentials with this permission",
        AwsErrorClass::SetUp => "Change what AWS names, and run the command again",
        AwsErrorClass::Unreachable => {
            "Check the network and the credentials. Those of IAM Identity Center become variables by: \
             eval \"$(aws configure export-credentials --format env)\""
        }
        AwsErrorClass::Throttled
        | AwsErrorClass::TimedOut
        | AwsErrorClass::ServiceFault
        | AwsErrorClass::Conflict => "Run the command again",
        AwsErrorClass::ConditionFailed | AwsErrorClass::NotFound | AwsErrorClass::Refused => {
            "Check --stack, --region and the credentials"
        }
    }
}
