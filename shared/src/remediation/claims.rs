//! Claims of settings that several controls change, in the table `Remediations`: one fix at a time.
//!
//! A claim is one conditional write. It expires with the invocation that made it, so a crash keeps others waiting for
//! minutes at most, and the same order, retried, takes its own claim over at once.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;

use super::{control::Control, target::Target};
use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
};

/// The table's key.
const KEY: &str = "Key";
/// What the keys of claims start with; those of remediations start with an account.
const SETTING: &str = "setting";
/// The item may be deleted so long after its claim has expired, in seconds.
const KEPT_FOR: i64 = 24 * 3_600;

/// A setting that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    key: String,
    until: Timestamp,
}

/// A gateway to the claims.
#[derive(Clone, Debug)]
pub struct SettingClaims {
    client: Client,
    table: String,
}

impl SettingClaims {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:DeleteItem", "dynamodb:PutItem"];

    /// A gateway to the claims in `table`. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, table: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            table: table.to_owned(),
        }
    }

    /// Claims `setting` of the target's account for the fix of a control, until `until`; `None` if another fix has
    /// claimed it.
    ///
    /// # Errors
    /// If the call fails: nothing is known to be claimed.
    pub async fn claim(
        &self,
        setting: &str,
        control: &Control,
        target: &Target,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, AwsCallError> {
        let key = format!("{SETTING}#{}#{setting}", target.account);
        let (text, number) = (AttributeValue::S, |value: i64| {
            AttributeValue::N(value.to_string())
        });
        let claimed_by = target.key(control);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, text(key.clone()))
            .item("ClaimedBy", text(claimed_by.clone()))
            .item("ClaimedUntil", number(until.as_millisecond()))
            .item("ExpiresAt", number(until.as_second() + KEPT_FOR))
            .condition_expression(
                "attribute_not_exists(#Key) OR ClaimedUntil <= :now OR ClaimedBy = :claimant",
            )
            .expression_attribute_names("#Key", KEY)
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":claimant", text(claimed_by))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        held(put.map(|_| Claim { key, until }))
    }

    /// Gives a claim back; nothing happens if it has expired and somebody else has claimed the setting.
    ///
    /// # Errors
    /// If the call fails: the claim expires.
    pub async fn release(&self, claim: &Claim) -> Result<(), AwsCallError> {
        // Each claim ends later than the one that it follows.
        let until = claim.until.as_millisecond().to_string();
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(claim.key.clone()))
            .condition_expression("ClaimedUntil = :until")
            .expression_attribute_values(":until", AttributeValue::N(until))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "DeleteItem", &error));
        held(deleted).map(drop)
    }
}

/// The answer to a conditional write; `None` if its condition did not hold.
fn held<T>(answer: Result<T, AwsCallError>) -> Result<Option<T>, AwsCallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(None),
        Err(error) => Err(error),
    }
}
