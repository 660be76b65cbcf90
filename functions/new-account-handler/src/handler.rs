//! A batch of messages in, those that have to come back out.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use orgkeeper_shared::{
    aws::CallCounter,
    invocation::Invocation,
    queue::{Failure, Queue, Reason, receives},
    telemetry::Metrics,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    message::{self, Message, Unusable},
    results::Counts,
    upload_processor::{UploadError, UploadProcessor},
};

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the file was not processed, or its results not written")]
    Failed(#[from] UploadError),
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for NotDone {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable(_) => false,
            Self::Failed(reason) => reason.retryable(),
            Self::OutOfTime => true,
        }
    }
}

/// Works on one batch after another.
#[derive(Debug)]
pub struct Handler {
    processor: UploadProcessor,
    queue: Queue,
    calls: CallCounter,
}

impl Handler {
    /// A handler over `processor`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(processor: UploadProcessor, queue: Queue, calls: CallCounter) -> Self {
        Self {
            processor,
            queue,
            calls,
        }
    }

    /// Does what the messages ask for, one after the other, and names those that have to come back.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let deadline = Instant::now() + invocation.time_to_work();
        let mut all = Counts::default();
        let mut failures = Vec::new();
        for message in &event.records {
            // Boxed: the compiler does not follow so many futures within each other.
            let work = Box::pin(self.work_off(message, &invocation));
            let done = timeout_at(deadline, work).await;
            match done.unwrap_or(Err(NotDone::OutOfTime)) {
                Ok(counts) => all += counts,
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        Metrics::of("new-account-handler")
            .count("RowsStarted", all.started as u64)
            .count("RowsFound", (all.under_way + all.done) as u64)
            .count("RowsRefused", all.refused as u64)
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        response
    }

    async fn work_off(
        &self,
        message: &SqsMessage,
        invocation: &Invocation,
    ) -> Result<Counts, NotDone> {
        let body = message.body.as_deref().unwrap_or_default();
        match message::read(body, self.processor.bucket.name())? {
            Message::Upload(upload) if upload.is_file() => {
                // People are told of one failure once, however often its message comes back.
                let first_time = receives(message) == 1;
                let counts = self.processor.process(&upload, invocation.now, first_time);
                Ok(counts.await?)
            }
            Message::Upload(_) => Ok(Counts::default()),
            Message::Results(file) => {
                self.processor.refresh_results(&file).await?;
                Ok(Counts::default())
            }
        }
    }
}
