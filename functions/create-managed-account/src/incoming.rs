//! What starts the function: changes of the `Accounts` table, events, its own tasks.

use std::collections::BTreeSet;

use aws_lambda_events::{dynamodb::EventRecord, sqs::SqsMessage};
use orgkeeper_shared::{
    lambda::Malformed,
    lifecycle::{LifecycleEvent, OperationEnded},
    vending::{request::AccountRequest, task::AccountEventsTask},
};
use serde::Deserialize;
use serde_json::Value;

/// A message of the account events queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// An account operation has ended.
    OperationEnded(OperationEnded),
    /// Something to do.
    Task(AccountEventsTask),
    /// Lambda gave changes of the table up: a range of its stream, without the rows.
    ChangesLost,
    /// Nothing that concerns requests.
    Other,
}

/// Whether changes of the table were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The schedule does not know.
    Maybe,
    /// Lambda said so: whatever may depend on them is done at once.
    Certainly,
}

/// Reads a message.
///
/// # Errors
/// If it is neither an event nor a task.
pub fn message(message: &SqsMessage) -> Result<Message, Malformed> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Task(AccountEventsTask),
        /// "Retaining discarded records for a DynamoDB event source" (Lambda Developer Guide).
        Discarded {
            #[serde(rename = "DDBStreamBatchInfo")]
            _range: Value,
        },
        Event {
            detail: Value,
        },
    }
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(Body::Task(task)) => Ok(Message::Task(task)),
        Ok(Body::Discarded { .. }) => Ok(Message::ChangesLost),
        Ok(Body::Event { detail }) => Ok(match LifecycleEvent::read(&detail) {
            Some(LifecycleEvent::OperationEnded(ended)) => Message::OperationEnded(ended),
            Some(LifecycleEvent::AccountJoined { .. } | LifecycleEvent::AccountDeparted { .. })
            | None => Message::Other,
        }),
        Err(error) => Err(Malformed::json("task or event", &error)),
    }
}

/// What follows from a change of the table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The request, if its status or its attempt changed.
    pub request: Option<AccountRequest>,
    /// The open request that was deleted: somebody did that by hand.
    pub deleted: Option<AccountRequest>,
    /// The files whose results say something else by now.
    pub files: BTreeSet<String>,
}

/// What follows from a record of the stream. Nothing does from an item that is no request: somebody changed it by hand.
#[must_use]
pub fn changed(record: EventRecord) -> Change {
    let image = record.change.new_image;
    let old: Option<AccountRequest> = serde_dynamo::from_item(record.change.old_image).ok();
    if image.is_empty() {
        let deleted = old.filter(|old| !old.status.ended());
        let files = deleted.iter().flat_map(|old| old.files.clone()).collect();
        return Change {
            request: None,
            deleted,
            files,
        };
    }
    let new: Result<AccountRequest, _> = serde_dynamo::from_item(image);
    let Ok(new) = new.inspect_err(
        |error| tracing::error!(%error, "an item of the Accounts table is no request"),
    ) else {
        return Change::default();
    };
    let state = |request: &AccountRequest| (request.status, request.attempt, request.is_ready());
    if old.as_ref().map(state) == Some(state(&new)) {
        return Change::default();
    }
    let mut files: BTreeSet<String> = old.iter().flat_map(|old| old.files.clone()).collect();
    // The results of the file that has just asked for it say so already.
    let asked_for = old.as_ref().is_none_or(|old| old.attempt != new.attempt);
    if asked_for && !new.status.ended() {
        files.retain(|file| !new.files.contains(file));
    } else {
        files.extend(new.files.iter().cloned());
    }
    Change {
        request: Some(new),
        deleted: None,
        files,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Result<Message, Malformed> {
        let mut message = SqsMessage::default();
        message.body = Some(body.to_owned());
        super::message(&message)
    }

    /// A change of the table between two images.
    fn change(old: &Value, new: &Value) -> EventRecord {
        serde_json::from_value(json!({
            "eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "awsRegion": "us-east-1",
            "eventSource": "aws:dynamodb",
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:111111111111:table/Accounts/stream/1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_772_362_800.0, "SequenceNumber": "1", "SizeBytes": 1,
                "Keys": {}, "OldImage": old, "NewImage": new, "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        }))
        .unwrap()
    }

    fn image(status: &str, attempt: u32) -> Value {
        let mut image = json!({ "Files": { "SS": ["v1#accounts.csv"] }, "Unit": { "M": {
            "Id": { "S": "ou-1" }, "Name": { "S": "Prod" }, "Path": { "S": "Root/Prod" } } },
            "Attempt": { "N": attempt.to_string() }, "QueuedAt": { "N": "1" },
            "Status": { "S": status } });
        for text in [
            "AccountEmail",
            "AccountName",
            "SSOUserEmail",
            "SSOUserFirstName",
            "SSOUserLastName",
            "OrgUnit",
        ] {
            image[text] = json!({ "S": "x" });
        }
        image
    }

    #[test]
    fn a_task_is_read() {
        let sample = include_str!("../../../events/create-managed-account/reconcile.json");
        assert_eq!(
            read(sample),
            Ok(Message::Task(AccountEventsTask::Reconcile))
        );
    }

    #[test]
    fn an_event_ends_an_operation_or_is_ignored() {
        let created =
            include_str!("../../../events/create-managed-account/create-managed-account.json");
        assert!(matches!(read(created), Ok(Message::OperationEnded(_))));
        for other in [
            r#"{"detail":{}}"#,
            r#"{"detail":null}"#,
            r#"{"detail":"x"}"#,
        ] {
            assert_eq!(read(other), Ok(Message::Other), "{other}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_without_repeating_it() {
        for body in [
            "",
            "half",
            "[]",
            "7",
            "{}",
            r#"{"task":"s3cret"}"#,
            r#"{"task":"#,
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.starts_with("it is no task or event"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(super::message(&SqsMessage::default()).is_err());
    }

    #[test]
    fn a_range_that_lambda_gave_up_is_read() {
        let sample =
            include_str!("../../../events/create-managed-account/cases/05-stream-failure.json");
        assert_eq!(read(sample), Ok(Message::ChangesLost));
    }

    #[test]
    fn only_a_change_of_state_is_one() {
        let nothing = json!({});
        let mut ready = image("SUCCEEDED", 1);
        ready["ErrorMsg"] = json!({ "S": "ready" });
        for (old, new, found) in [
            (nothing.clone(), image("VALID", 1), true),
            (image("PROVISIONING", 1), image("ASSIGNING", 1), true),
            (image("ASSIGNING", 1), image("SUCCEEDED", 1), true),
            (image("PROVISIONING", 1), image("VALID", 1), true),
            (image("VALID", 1), image("PROVISIONING", 1), true),
            // A corrected row.
            (image("FAILED", 1), image("VALID", 2), true),
            (image("FAILED", 1), image("FAILED", 2), true),
            // The former item was no request.
            (json!({ "Status": { "S": "?" } }), image("VALID", 1), true),
            (image("VALID", 1), image("VALID", 1), false),
            (image("SUCCEEDED", 1), ready.clone(), true),
            (ready.clone(), ready, false),
            (image("FAILED", 1), nothing.clone(), false),
            (nothing.clone(), image("DONE", 1), false),
            (nothing, json!({ "AccountEmail": { "S": "x" } }), false),
        ] {
            let shown = format!("{} -> {}", old["Status"], new["Status"]);
            let change = changed(change(&old, &new));
            assert_eq!(change.request.is_some(), found, "{shown}");
            if let Some(request) = change.request {
                assert_eq!(request.status.as_str(), new["Status"]["S"], "{shown}");
            }
        }
    }

    #[test]
    fn the_files_are_known_whose_results_are_out_of_date() {
        let nothing = json!({});
        let mut of_another = image("VALID", 2);
        of_another["Files"] = json!({ "SS": ["v2#other.csv"] });
        for (old, new, files) in [
            // The upload has written that itself.
            (nothing.clone(), image("VALID", 1), &[][..]),
            (image("FAILED", 1), image("VALID", 2), &[]),
            (image("VALID", 1), of_another, &["v1#accounts.csv"]),
            (
                image("VALID", 1),
                image("PROVISIONING", 1),
                &["v1#accounts.csv"],
            ),
            (
                image("PROVISIONING", 1),
                image("VALID", 1),
                &["v1#accounts.csv"],
            ),
            (
                image("ASSIGNING", 1),
                image("FAILED", 1),
                &["v1#accounts.csv"],
            ),
            (
                image("PROVISIONING", 1),
                nothing.clone(),
                &["v1#accounts.csv"],
            ),
            (image("SUCCEEDED", 1), nothing, &[]),
        ] {
            let shown = format!("{} -> {}", old["Status"], new["Status"]);
            let change = changed(change(&old, &new));
            let found: Vec<&str> = change.files.iter().map(String::as_str).collect();
            assert_eq!(found, files, "{shown}");
            let open = change.deleted.is_some();
            assert_eq!(open, new == json!({}) && !files.is_empty(), "{shown}");
        }
    }
}
