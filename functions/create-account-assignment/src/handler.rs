//! A batch of the assignments queue: which of its messages are done, and which failed.

use aws_lambda_events::sqs::SqsMessage;
use orgkeeper_shared::{
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each},
    queue::Failure,
    vending::task::AssignmentsTask,
};
use tokio::time::Instant;

use crate::assigner::{AssignError, AssignOutcome, Assigner};

/// Messages processed at once.
const MESSAGES_AT_ONCE: usize = 5;

/// Why a message was not processed.
type TaskError = MessageError<AssignError>;

impl Work for Assigner {
    const FUNCTION: &'static str = "create-account-assignment";
    type Reason = TaskError;

    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, TaskError> {
        // What was requested by then can still be stored.
        let until = time.start_until();
        let results = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, until, time)
        })
        .await;
        let count = |of: AssignOutcome| {
            let is =
                |result: &Result<AssignOutcome, TaskError>| matches!(result, Ok(it) if *it == of);
            results.iter().filter(|(_, result)| is(result)).count()
        };
        let succeeded = count(AssignOutcome::Succeeded);
        let failed = count(AssignOutcome::Failed);
        let waiting = count(AssignOutcome::Waiting);
        let failures = results.into_iter().filter_map(|(message, result)| {
            let reason = result.err()?;
            Some(Failure { message, reason })
        });
        Outcomes::new(failures.collect())
            .count("RequestsSucceeded", succeeded)
            .count("RequestsFailed", failed)
            .count("RequestsWaiting", waiting)
    }
}

impl Assigner {
    async fn process(
        &self,
        message: &SqsMessage,
        until: Instant,
        time: &Time,
    ) -> Result<AssignOutcome, TaskError> {
        let body = message.body.as_deref().unwrap_or_default();
        let AssignmentsTask::Assign(task) =
            serde_json::from_str(body).map_err(|error| Malformed::json("task", &error))?;
        let outcome = self.assign(task, until, time.now()).await;
        outcome.map_err(TaskError::Failed)
    }
}
