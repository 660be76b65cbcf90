//! AWS STS: whether an existing account has the role that Control Tower enrols it through.

use aws_sdk_sts::Client;
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
};

/// The role that Control Tower works through ("Prerequisites for enrollment", Control Tower user guide).
pub const ROLE: &str = "AWSControlTowerExecution";
/// The session that is opened to see whether the role is there may do nothing at all.
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// AWS STS, only to look for the role.
#[derive(Debug)]
pub struct ExecutionRole {
    client: Client,
    partition: String,
}

impl ExecutionRole {
    /// A gateway over `client` for accounts of `partition` (`aws`, say).
    #[must_use]
    pub fn new(client: Client, partition: String) -> Self {
        Self { client, partition }
    }

    /// Whether the role is there and trusts the management account.
    ///
    /// # Errors
    /// If it cannot be found out.
    pub async fn is_in(&self, account: &AccountId) -> Result<bool, AwsCallError> {
        let opened = self
            .client
            .assume_role()
            .role_arn(format!("arn:{}:iam::{account}:role/{ROLE}", self.partition))
            .role_session_name("orgkeeper-prerequisites")
            .policy(NOTHING)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sts, "AssumeRole", &error));
        match opened {
            Ok(_) => Ok(true),
            // STS says the same of a role that is not there and of one that does not trust us.
            Err(error) if error.class() == AwsErrorClass::Denied => Ok(false),
            Err(error) => Err(error),
        }
    }
}
