//! Executions of the state machine that carries out fixes.

use aws_sdk_sfn::Client;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    ids::FindingId,
    remediation::order::Order,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

const OPERATION: &str = "StartExecution";
/// What Step Functions answers to the name of an execution that has ended, or that runs with another input.
const EXISTS: &str = "ExecutionAlreadyExists";
/// Characters of the key's hash in a name; a name has 80 at most.
const HASH: usize = 40;

/// The input of an execution, and a message of the preview queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input<'a> {
    /// The key of the remediation.
    pub key: &'a str,
    /// Which attempt it is; 0 for a preview.
    pub attempt: u32,
    /// The order.
    pub order: &'a Order,
    /// The findings about it.
    pub findings: &'a [FindingId],
    /// Who made the resource as it is, if a finding says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<&'a str>,
}

/// A gateway to the state machine.
#[derive(Debug)]
pub struct Executions {
    client: Client,
    state_machine: String,
}

impl Executions {
    /// What it calls.
    pub const CALLS: &[&str] = &["states:StartExecution"];

    /// A gateway over `client` to the state machine with this ARN.
    #[must_use]
    pub fn new(client: Client, state_machine: String) -> Self {
        Self {
            client,
            state_machine,
        }
    }

    /// Starts the execution of an attempt. One that was started before is success: its name says which attempt it is.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn start(&self, input: &Input<'_>) -> Result<(), AwsCallError> {
        let started = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine)
            .name(name(input.key, input.attempt))
            .input(serde_json::json!(input).to_string())
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sfn, OPERATION, &error));
        match started {
            Err(error) if error.has_code(EXISTS) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

/// The name of an attempt's execution.
fn name(key: &str, attempt: u32) -> String {
    let hash = hex::encode(Sha256::digest(key));
    format!("{}-{attempt}", &hash[..HASH])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_has_a_name_of_its_own() {
        let key = "111122223333#global#S3.8#arn:aws:s3:::logs";
        assert_eq!(name(key, 1), name(key, 1));
        assert_ne!(name(key, 1), name(key, 2));
        assert_ne!(name(key, 1), name("other", 1));
        assert!(name(key, u32::MAX).len() <= 80);
    }
}
