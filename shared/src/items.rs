//! Items of DynamoDB's tables: reading and writing many, and what became of a condition.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest},
};

use crate::aws_error::{AwsCallError, AwsErrorClass, Service};

/// Keys that one `BatchGetItem` takes (its API reference).
const KEYS_PER_READ: usize = 100;
/// Requests that one `BatchWriteItem` takes (its API reference).
const REQUESTS_PER_WRITE: usize = 25;
/// How often what DynamoDB left unprocessed is sent, and the longest pause before the second time; it doubles with each
/// further one.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// An item, or the key of one.
pub type Item = HashMap<String, AttributeValue>;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A call failed.
    #[error("a table cannot be read or written")]
    Call(#[from] AwsCallError),
    /// An item is not of its form.
    #[error("an item of a table is not understood")]
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

/// The items with these keys, as far as there are any, read consistently.
///
/// # Errors
/// If a call fails, or DynamoDB leaves some unprocessed each time: never a part of them.
pub async fn read_items(
    client: &Client,
    table: &str,
    keys: Vec<Item>,
) -> Result<Vec<Item>, AwsCallError> {
    const OPERATION: &str = "BatchGetItem";
    let mut items = Vec::new();
    for chunk in keys.chunks(KEYS_PER_READ) {
        let mut left = chunk.to_vec();
        for sent in 0..TRIES {
            pause(sent).await;
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut left)))
                .consistent_read(true)
                .build()
                .map_err(|_| AwsCallError::unfinished(OPERATION))?;
            let answer = client
                .batch_get_item()
                .request_items(table, asked)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
            let of_table = answer.responses.and_then(|mut all| all.remove(table));
            items.extend(of_table.unwrap_or_default());
            let rest = answer
                .unprocessed_keys
                .and_then(|mut all| all.remove(table));
            left = rest.map(|rest| rest.keys).unwrap_or_default();
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            return Err(AwsCallError::unfinished(OPERATION));
        }
    }
    Ok(items)
}

/// Puts items, over what is there.
///
/// # Errors
/// If a call fails, or DynamoDB leaves some unprocessed each time: some may be written then.
pub async fn write_items(
    client: &Client,
    table: &str,
    items: Vec<Item>,
) -> Result<(), AwsCallError> {
    const OPERATION: &str = "BatchWriteItem";
    let requests = items.into_iter().map(|item| {
        let put = PutRequest::builder().set_item(Some(item)).build();
        put.map(|put| WriteRequest::builder().put_request(put).build())
    });
    let requests = requests.collect::<Result<Vec<_>, _>>();
    let requests = requests.map_err(|_| AwsCallError::unfinished(OPERATION))?;
    for chunk in requests.chunks(REQUESTS_PER_WRITE) {
        let mut left = chunk.to_vec();
        for sent in 0..TRIES {
            pause(sent).await;
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
            return Err(AwsCallError::unfinished(OPERATION));
        }
    }
    Ok(())
}

/// Waits before what DynamoDB left unprocessed is sent again: it was throttled.
async fn pause(sent: u32) {
    let longest = match sent.checked_sub(1) {
        None => return,
        Some(before) => FIRST_PAUSE * 2_u32.pow(before),
    };
    tokio::time::sleep(longest.mul_f64(f64::midpoint(fastrand::f64(), 1.0))).await;
}

/// Whether the condition of a call held.
///
/// # Errors
/// If the call failed for another reason.
pub fn held<T>(answer: Result<T, AwsCallError>) -> Result<bool, AwsCallError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_sent_again_after_a_growing_pause() {
        let mut pauses = Vec::new();
        for sent in 0..TRIES {
            let began = Instant::now();
            pause(sent).await;
            pauses.push(began.elapsed());
        }
        assert_eq!(pauses[0], Duration::ZERO);
        for (before, pause) in (0..).zip(&pauses[1..]) {
            let longest = FIRST_PAUSE * 2_u32.pow(before);
            // The timer has whole milliseconds.
            assert!(*pause >= longest / 2, "{pauses:?}");
            assert!(*pause <= longest + Duration::from_millis(1), "{pauses:?}");
        }
    }
}
