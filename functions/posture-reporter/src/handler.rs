//! A batch of a stream: what people have to know is noted. A batch of the queue: it is published, and reports are written.

use std::borrow::Cow;

use aws_lambda_events::{dynamodb::EventRecord, sqs::SqsMessage};
use orgkeeper_shared::{
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each, stream::StreamWork},
    queue::{Failure, Postponed},
};
use tokio::time::timeout_at;

use crate::{
    reporter::{Done, Reporter, ReporterError, followed},
    task::Task,
};

/// Messages processed at once.
const MESSAGES_AT_ONCE: usize = 5;

/// Why a message was not processed.
type NotReported = MessageError<ReporterError>;

impl Work for Reporter {
    const FUNCTION: &'static str = "posture-reporter";
    type Reason = NotReported;

    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, NotReported> {
        let results = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, time)
        });
        let (mut failures, mut postponed, mut all) = (Vec::new(), Vec::new(), Done::default());
        for (message, result) in results.await {
            match result {
                Ok(done) => {
                    all.new += done.new;
                    all.gone += done.gone;
                    all.reports += done.reports;
                    all.incomplete += done.incomplete;
                    all.drifts += done.drifts;
                    all.insights += done.insights;
                    all.insights_unread += done.insights_unread;
                    postponed.extend(done.again.map(|delay| Postponed {
                        message,
                        body: Cow::Borrowed(message.body.as_deref().unwrap_or_default()),
                        delay,
                    }));
                }
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        [
            ("ExposuresNew", all.new),
            ("ExposuresGone", all.gone),
            ("PostureReports", all.reports),
            ("SurveysIncomplete", all.incomplete),
            ("SettingsDrifted", all.drifts),
            ("InsightsNew", all.insights),
            ("InsightRegionsUnread", all.insights_unread),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .fold(
            Outcomes::new(failures).postpone(postponed),
            |outcomes, (metric, count)| outcomes.count(metric, count),
        )
    }
}

impl StreamWork for Reporter {
    async fn changes(&self, records: Vec<EventRecord>, time: &Time) -> Option<String> {
        // Noting is idempotent, so that all of them can be retried.
        let first = records
            .first()
            .and_then(|record| record.change.sequence_number.clone());
        let followed = followed(records, time);
        match timeout_at(time.deadline(), self.follow(&followed)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "changes of the tables are retried"
                );
                first
            }
            Err(_) => {
                tracing::warn!("changes of the tables are retried: the invocation's time ran out");
                first
            }
        }
    }
}

impl Reporter {
    async fn process(&self, message: &SqsMessage, time: &Time) -> Result<Done, NotReported> {
        let task = task_in(message)?;
        self.carry_out(&task, time)
            .await
            .map_err(MessageError::Failed)
    }
}

fn task_in(message: &SqsMessage) -> Result<Task, Malformed> {
    let body = message.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).map_err(|error| Malformed::json("task", &error))
}
