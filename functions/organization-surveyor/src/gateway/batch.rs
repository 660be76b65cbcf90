//! What both tables have in common: errors, and writing many items.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, PutRequest, WriteRequest},
};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

/// What writing items calls.
pub const WRITE: &[&str] = &["dynamodb:BatchWriteItem"];
/// Requests of a `BatchWriteItem`.
const WRITES_PER_CALL: usize = 25;
/// How often what DynamoDB left unprocessed is sent again.
const TRIES: usize = 5;

/// An item of any table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A call failed.
    #[error("a table of the posture flow cannot be read or written")]
    Call(#[from] AwsCallError),
    /// An item is not of its form.
    #[error("an item of the posture flow is not understood")]
    Form(#[from] serde_dynamo::Error),
}

impl TableError {
    /// Whether the same can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable_or_denied(),
            Self::Form(_) => false,
        }
    }
}

/// Puts items, 25 a call, and those again that DynamoDB left unprocessed.
pub(super) async fn write_items(
    client: &Client,
    table: &str,
    items: Vec<Item>,
) -> Result<(), TableError> {
    const OPERATION: &str = "BatchWriteItem";
    let requests = items.into_iter().map(|item| {
        let put = PutRequest::builder().set_item(Some(item)).build();
        put.map(|put| WriteRequest::builder().put_request(put).build())
    });
    let requests = requests.collect::<Result<Vec<_>, _>>();
    let requests = requests.map_err(|_| AwsCallError::unfinished(OPERATION))?;
    for chunk in requests.chunks(WRITES_PER_CALL) {
        let mut left = chunk.to_vec();
        for _ in 0..TRIES {
            let answer = client
                .batch_write_item()
                .request_items(table, std::mem::take(&mut left))
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
            let rest = answer
                .unprocessed_items
                .and_then(|mut all| all.remove(table));
            left = rest.unwrap_or_default();
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            return Err(AwsCallError::unfinished(OPERATION).into());
        }
    }
    Ok(())
}
