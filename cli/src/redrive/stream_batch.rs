//! A batch of changes of the table `Accounts` that failed for good.
//!
//! Lambda's message names a range of the stream, whose records AWS deletes after a day; sending it to the queue again
//! would only bring it back. What the batch was to start follows from the table: the function's own tasks, each of
//! which is idempotent. Concerned are requests that were made before the batch ended.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    vending::{
        file::FileId,
        request::Status,
        task::{AccountEventsTask, AssignTask, AssignmentsTask, UploadsTask},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::queues::QueueRow;

/// Requests with these statuses have something that only the stream starts.
const STATUSES: [Status; 3] = [Status::Assigning, Status::Succeeded, Status::Failed];

/// A batch, as Lambda names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "camelCase"))]
pub struct StreamBatch {
    /// How many changes it had.
    pub batch_size: u64,
    /// When its first change was made.
    pub approximate_arrival_of_first_record: Timestamp,
    /// When its last change was made.
    pub approximate_arrival_of_last_record: Timestamp,
}

/// The tasks in place of a batch, by the queue that they are sent to.
pub type Repair = BTreeMap<&'static str, Vec<String>>;

impl StreamBatch {
    /// The batch that a message is about; `None` for every other message.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "DDBStreamBatchInfo")]
            batch: StreamBatch,
        }
        serde_json::from_str::<Body>(body)
            .ok()
            .map(|body| body.batch)
    }
}

/// What is sent in place of a batch: the check of all operations, the assignments of every account that waits for
/// them, and the results of every file with a request that ended.
///
/// # Errors
/// If the table cannot be read.
pub async fn repair(
    client: &Client,
    table: &str,
    batch: &StreamBatch,
) -> Result<Repair, AwsCallError> {
    let until = batch.approximate_arrival_of_last_record.as_millisecond();
    let mut assignments = Vec::new();
    let mut files: BTreeSet<FileId> = BTreeSet::new();
    for status in STATUSES {
        let mut pages = client
            .query()
            .table_name(table)
            .index_name("ByStatus")
            .key_condition_expression("#Status = :status AND #QueuedAt <= :until")
            .expression_attribute_names("#Status", "Status")
            .expression_attribute_names("#QueuedAt", "QueuedAt")
            .expression_attribute_values(":status", AttributeValue::S(status.as_str().to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(until.to_string()))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| AwsCallError::new(Service::DynamoDb, "Query", &error))?;
            for item in page.items.unwrap_or_default() {
                if status == Status::Assigning {
                    assignments.extend(assign_task(&item));
                } else {
                    let of_request = item.get("Files").and_then(|files| files.as_ss().ok());
                    let of_request = of_request.into_iter().flatten();
                    files.extend(of_request.filter_map(|file| file.parse::<FileId>().ok()));
                }
            }
        }
    }
    let results = files
        .into_iter()
        .map(|file| json!(UploadsTask::Results(file)).to_string());
    let reconcile = json!(AccountEventsTask::Reconcile).to_string();
    let mut repair = Repair::from([
        ("account-events", vec![reconcile]),
        ("assignments", assignments),
        ("uploads", results.collect()),
    ]);
    repair.retain(|_, tasks| !tasks.is_empty());
    Ok(repair)
}

fn assign_task(item: &std::collections::HashMap<String, AttributeValue>) -> Option<String> {
    let email = item.get("AccountEmail")?.as_s().ok()?;
    let attempt = item.get("Attempt")?.as_n().ok()?.parse().ok()?;
    let task = AssignmentsTask::Assign(AssignTask::first(email, attempt));
    Some(json!(task).to_string())
}

/// The table whose batches can be in the dead-letter queue of this row: its name in the template.
#[must_use]
pub fn table_of(row: &QueueRow) -> Option<&'static str> {
    (row.name == "account-events").then_some("Accounts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_batch_is_one() {
        let sample = include_str!("../../../events/create-managed-account/failed-batch.json");
        let batch = StreamBatch::parse(sample).unwrap();
        assert_eq!(batch.batch_size, 2);
        assert!(
            batch.approximate_arrival_of_first_record < batch.approximate_arrival_of_last_record
        );
        for other in [
            "",
            "{}",
            r#"{"task":"reconcile"}"#,
            r#"{"DDBStreamBatchInfo":{}}"#,
        ] {
            assert_eq!(StreamBatch::parse(other), None, "{other}");
        }
    }
}
