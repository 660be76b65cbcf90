//! A batch of the uploads queue: which of its messages are done, and which failed.

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    lambda::{MessageError, Outcomes, Time, Work, each},
    queue::{Failure, receives},
};

use crate::{
    message::{self, Message},
    results::Counts,
    upload_processor::{UploadError, UploadProcessor},
};

/// One after the other: two uploads at once would change the same requests.
const MESSAGES_AT_ONCE: usize = 1;

/// Why a message was not processed.
type ProcessError = MessageError<UploadError>;

impl Work for UploadProcessor {
    const FUNCTION: &'static str = "new-account-handler";
    type Reason = ProcessError;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, ProcessError> {
        let mut all = Counts::default();
        let mut failures = Vec::new();
        let results = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process_message(message, time.began())
        });
        for (message, result) in results.await {
            match result {
                Ok(counts) => all += counts,
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        Outcomes::new(failures)
            .count("RowsStarted", all.started)
            .count("RowsFound", all.in_progress + all.done)
            .count("RowsRefused", all.refused)
    }
}

impl UploadProcessor {
    async fn process_message(
        &self,
        message: &SqsMessage,
        now: Timestamp,
    ) -> Result<Counts, ProcessError> {
        let body = message.body.as_deref().unwrap_or_default();
        match message::read(body, self.bucket.name())? {
            Message::Upload(upload) if upload.is_file() => {
                // A failure is published once, however often its message is retried.
                let first_time = receives(message) == 1;
                let counts = self.process(&upload, now, first_time);
                counts.await.map_err(ProcessError::Failed)
            }
            Message::Upload(_) => Ok(Counts::default()),
            Message::Results(file) => {
                let refreshed = self.refresh_results(&file, now).await;
                refreshed.map_err(ProcessError::Failed)?;
                Ok(Counts::default())
            }
        }
    }
}
