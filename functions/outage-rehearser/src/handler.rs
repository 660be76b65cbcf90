//! A batch of the queue: the plan is carried out once, and denied calls are counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aws_lambda_events::sqs::SqsMessage;
use orgkeeper_shared::{
    aws_error::AwsCallError,
    lambda::{Malformed, MessageError, Outcomes, Time, Work},
    queue::{Failure, Reason},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    denied_call::{DeniedCall, denied_call},
    gateway::table::Caller,
    record::Record,
    rehearser::{Done, Rehearsed, Rehearser},
};

/// The metric of each outcome.
const METRICS: &[(Done, &str)] = &[
    (Done::Attached, "RehearsalsAttached"),
    (Done::Ended, "RehearsalsEnded"),
    (Done::Refused, "RehearsalsRefused"),
    (Done::Reported, "ReportsPublished"),
    (Done::Overdue, "RehearsalsOverdue"),
];

/// A call that failed. Several messages can fail because of one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a call failed")]
pub struct CallFailed(#[source] Arc<AwsCallError>);

impl Reason for CallFailed {
    fn retryable(&self) -> bool {
        self.0.retryable_or_denied()
    }
}

/// Why a message was not processed.
type NotRehearsed = MessageError<CallFailed>;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    /// Do what is to be done now.
    Plan,
    /// A call was denied.
    Denied(DeniedCall),
    /// Nothing for this function.
    Nothing,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Task {
    Named {
        task: String,
    },
    /// What a schedule puts into the dead-letter queue if it could not detach a policy: the plan does that too.
    Detach {
        #[serde(rename = "PolicyId")]
        _policy: String,
    },
}

fn message_in(message: &SqsMessage) -> Result<Message, Malformed> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Task::Named { task }) if task == "plan" => return Ok(Message::Plan),
        Ok(Task::Named { .. }) => return Err("it is a task that nobody knows".into()),
        Ok(Task::Detach { .. }) => return Ok(Message::Plan),
        Err(_) => {}
    }
    match denied_call(body) {
        Ok(call) => Ok(call.map_or(Message::Nothing, Message::Denied)),
        Err(error) => Err(Malformed::json("task or event", &error)),
    }
}

impl Work for Rehearser {
    const FUNCTION: &'static str = "outage-rehearser";
    type Reason = NotRehearsed;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, NotRehearsed> {
        let mut failures = Vec::new();
        let mut plans = Vec::new();
        let mut denied = Vec::new();
        for message in messages {
            match message_in(message) {
                Ok(Message::Plan) => plans.push(message),
                Ok(Message::Denied(call)) => denied.push((message, call)),
                Ok(Message::Nothing) => {}
                Err(malformed) => failures.push(Failure {
                    message,
                    reason: malformed.into(),
                }),
            }
        }
        let mut done = Vec::new();
        if !plans.is_empty() {
            let rehearsing = Box::pin(self.rehearse(time.began()));
            let rehearsed = timeout_at(time.deadline(), rehearsing).await;
            // A plan that was cut off goes on with the next one: each of its steps can be made again.
            let rehearsed = rehearsed.unwrap_or_else(|_| Rehearsed {
                failed: Some(AwsCallError::timed_out("Plan")),
                ..Rehearsed::default()
            });
            done = rehearsed.done;
            if let Some(error) = rehearsed.failed {
                let reason = CallFailed(Arc::new(error));
                failures.extend(plans.into_iter().map(|message| Failure {
                    message,
                    reason: MessageError::Failed(reason.clone()),
                }));
            }
        }
        let (counted, uncounted) = self.count(denied, time).await;
        failures.extend(uncounted);
        let count = |of: Done| done.iter().filter(|one| **one == of).count();
        METRICS
            .iter()
            .map(|(of, metric)| (*metric, count(*of)))
            .chain([("DeniedCalls", counted)])
            .filter(|(_, value)| *value > 0)
            .fold(Outcomes::new(failures), |outcomes, (metric, value)| {
                outcomes.count(metric, value)
            })
    }
}

impl Rehearser {
    /// Counts denied calls, and gives how many and those that could not be counted.
    async fn count<'a>(
        &self,
        denied: Vec<(&'a SqsMessage, DeniedCall)>,
        time: &Time,
    ) -> (usize, Vec<Failure<'a, NotRehearsed>>) {
        if denied.is_empty() {
            return (0, Vec::new());
        }
        let records = match self.table.records().await {
            Ok(records) => records,
            Err(error) => {
                let reason = CallFailed(Arc::new(error));
                let failed = denied.into_iter().map(|(message, _)| Failure {
                    message,
                    reason: MessageError::Failed(reason.clone()),
                });
                return (0, failed.collect());
            }
        };
        let mut callers: BTreeMap<Caller, (i64, BTreeSet<String>, Vec<&SqsMessage>)> =
            BTreeMap::new();
        for (message, call) in denied {
            for record in records.iter().filter(|record| call.is_of(record)) {
                let (expires_at, calls, of) = callers.entry(caller_of(&call, record)).or_default();
                *expires_at = record.expires_at;
                calls.insert(call.id.clone());
                of.push(message);
            }
        }
        let mut counted = 0;
        let mut failures: BTreeMap<String, Failure<'a, NotRehearsed>> = BTreeMap::new();
        for (caller, (expires_at, calls, of)) in callers {
            let result = if Instant::now() < time.start_until() {
                self.table
                    .count(&caller, &calls, expires_at)
                    .await
                    .map_err(|error| MessageError::Failed(CallFailed(Arc::new(error))))
            } else {
                Err(MessageError::OutOfTime)
            };
            match result {
                Ok(()) => counted += calls.len(),
                Err(reason) => failures.extend(of.into_iter().map(|message| {
                    let id = message.message_id.clone().unwrap_or_default();
                    let reason = reason.clone();
                    (id, Failure { message, reason })
                })),
            }
        }
        (counted, failures.into_values().collect())
    }
}

fn caller_of(call: &DeniedCall, record: &Record) -> Caller {
    Caller {
        rehearsal: record.id.clone(),
        caller: call.caller.clone(),
        action: call.action.clone(),
        region: call.region.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Message, Malformed> {
        let mut message = SqsMessage::default();
        message.body = Some(body.to_owned());
        message_in(&message)
    }

    #[test]
    fn a_message_is_a_task_or_an_event() {
        let plan = include_str!("../../../events/outage-rehearser/plan.json");
        assert_eq!(read(plan), Ok(Message::Plan));
        let undetached = r#"{ "PolicyId": "p-1", "TargetId": "ou-ab12-34cdefgh" }"#;
        assert_eq!(read(undetached), Ok(Message::Plan));
        let denied = include_str!("../../../events/outage-rehearser/denied-call.json");
        assert!(matches!(read(denied), Ok(Message::Denied(_))));
        let other = r#"{ "source": "aws.s3", "account": "111122223333", "detail": {} }"#;
        assert_eq!(read(other), Ok(Message::Nothing));
        for wrong in [r#"{ "task": "other" }"#, "{}", "", "[1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
