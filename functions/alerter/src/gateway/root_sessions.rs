//! Who opened which central root session, in the table `AlertsSent`. Sessions are recognized by the access key id in
//! the answer to `AssumeRoot` (IAM User Guide, track privileged tasks in CloudTrail).

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

/// The table's key.
const KEY: &str = "Id";
const OPENED_BY: &str = "OpenedBy";
/// How long a call takes at most: an alert waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A session lasts for 15 minutes at most; its records arrive within hours.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// A gateway to what the table knows of root sessions. It is a comfort: what fails is logged, and unknown.
#[derive(Debug)]
pub struct RootSessions {
    client: Client,
    table: String,
}

impl RootSessions {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem"];

    /// A gateway over `client` to the table with this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Remembers for a day who opened the session with this access key.
    pub async fn remember(&self, access_key_id: &str, who: &str, now: Timestamp) {
        let expires = now
            .saturating_add(REMEMBERED)
            .map_or(i64::MAX, Timestamp::as_second);
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(record_id(access_key_id)))
            .item(OPENED_BY, AttributeValue::S(who.to_owned()))
            .item("ExpiresAt", AttributeValue::N(expires.to_string()))
            .send();
        match timeout(PATIENCE, call).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = AwsCallError::new(Service::DynamoDb, "PutItem", &error);
                tracing::warn!(%error, "a root session is not remembered");
            }
            Err(_) => tracing::warn!("a root session is not remembered: the table does not answer"),
        }
    }

    /// Who opened the session with this access key.
    pub async fn who_opened(&self, access_key_id: &str) -> Option<String> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(record_id(access_key_id)))
            .consistent_read(true)
            .send();
        match timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => {
                let item = answer.item?;
                item.get(OPENED_BY)?.as_s().ok().cloned()
            }
            Ok(Err(error)) => {
                let error = AwsCallError::new(Service::DynamoDb, "GetItem", &error);
                tracing::warn!(%error, "a root session is not looked up");
                None
            }
            Err(_) => {
                tracing::warn!("a root session is not looked up: the table does not answer");
                None
            }
        }
    }
}

/// The id of a session's record. It holds no access key id.
fn record_id(access_key_id: &str) -> String {
    let digest = Sha256::digest(access_key_id);
    format!("root-session#{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_does_not_hold_the_access_key_id() {
        let id = record_id("ASIAEXAMPLE");
        assert!(!id.contains("ASIAEXAMPLE") && id.len() < 100, "{id}");
        assert_ne!(id, record_id("ASIAEXAMPLE2"));
    }
}
