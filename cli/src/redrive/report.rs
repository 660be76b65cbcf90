//! What `orgkeeper redrive` prints. It never shows what a message says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    dead_letter::{DeadLetter, Source},
    mover::{After, Moved},
    stream_batch::Repair,
};
use crate::{aws::sqs::Depth, output::since, queues::QueueRow};

/// Messages that are listed one by one.
const LISTED: usize = 10;

/// The result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The queue's name.
    pub queue: &'static str,
    /// The function that reads it.
    pub function: &'static str,
    /// Messages in the dead-letter queue before.
    pub found: u64,
    /// How many messages were looked at.
    pub looked_at: usize,
    /// When the oldest of those was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// How those got there.
    pub sources: Vec<SourceCount>,
    /// Some of them.
    pub sample: Vec<Listed>,
    /// Tasks in place of failed batches, by queue.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repair: BTreeMap<&'static str, usize>,
    /// What was done; absent after a look only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
}

/// How many messages got there in one way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceCount {
    /// The way.
    pub source: Source,
    /// The code of the error, where it was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How many.
    pub count: usize,
}

/// A message, without what it says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// When it was sent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Timestamp>,
    /// How often it was received.
    pub receives: u32,
    /// How it got there.
    pub source: Source,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Messages that were sent to the flow's queue.
    pub moved: u64,
    /// Failed batches whose work was started from the table.
    pub batches: u64,
    /// Tasks that were sent in their place.
    pub tasks: u64,
    /// Messages that were sent and could not be deleted.
    pub undeleted: u64,
    /// Why it stopped early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Messages in both queues at the end; absent if the queues could not be watched.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

impl Done {
    /// What `moved` and the look at both queues afterwards say.
    #[must_use]
    pub fn new(moved: Moved, after: Option<After>) -> Self {
        Self {
            moved: moved.messages,
            batches: moved.batches,
            tasks: moved.tasks,
            undeleted: moved.undeleted,
            stopped: moved.stopped,
            after,
        }
    }

    /// Whether every message was processed, as far as could be seen.
    #[must_use]
    pub fn all_processed(&self) -> bool {
        self.after
            .is_some_and(|after| after.not_processed + after.came_back == 0)
    }
}

impl Report {
    /// The report on a look at the dead-letter queue.
    #[must_use]
    pub fn of(
        row: &'static QueueRow,
        depth: Depth,
        sample: &[DeadLetter],
        repair: &Repair,
    ) -> Self {
        let mut counts: BTreeMap<(Source, Option<String>), usize> = BTreeMap::new();
        for message in sample {
            *counts
                .entry((message.source, message.error_code.clone()))
                .or_default() += 1;
        }
        let listed = sample.iter().take(LISTED).map(|message| Listed {
            id: message.id.clone(),
            sent: message.sent,
            receives: message.receives,
            source: message.source,
        });
        Self {
            queue: row.name,
            function: row.function,
            found: depth.all(),
            looked_at: sample.len(),
            oldest: sample.iter().filter_map(|message| message.sent).min(),
            sources: counts
                .into_iter()
                .map(|((source, error_code), count)| SourceCount {
                    source,
                    error_code,
                    count,
                })
                .collect(),
            sample: listed.collect(),
            repair: repair
                .iter()
                .map(|(queue, tasks)| (*queue, tasks.len()))
                .collect(),
            done: None,
        }
    }

    /// The report as text for people.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let Self {
            queue,
            function,
            found,
            looked_at,
            ..
        } = self;
        if *found == 0 {
            return format!("The dead-letter queue of {queue} is empty.\n");
        }
        let ago = |sent: Timestamp| {
            let seconds = now.as_second().saturating_sub(sent.as_second());
            format!("{} ago", since(u64::try_from(seconds).unwrap_or_default()))
        };
        let mut lines = vec![format!(
            "{found} in the dead-letter queue of {queue}. Of {looked_at} looked at:"
        )];
        lines.extend(self.sources.iter().map(|it| {
            let code = it.error_code.as_ref().map(|code| format!(" ({code})"));
            format!(
                "  {:>5}  {}{}",
                it.count,
                it.source.words(),
                code.unwrap_or_default()
            )
        }));
        lines.extend(
            self.oldest
                .map(|sent| format!("The oldest was sent {}.", ago(sent))),
        );
        lines.push(String::new());
        lines.push(format!(
            "{:36}  {:>10}  {:>8}  HOW IT GOT THERE",
            "MESSAGE", "SENT", "RECEIVES"
        ));
        lines.extend(self.sample.iter().map(|it| {
            let sent = it.sent.map_or_else(|| "-".to_owned(), ago);
            format!(
                "{:36}  {sent:>10}  {:>8}  {}",
                it.id,
                it.receives,
                it.source.words()
            )
        }));
        lines.push(String::new());
        match &self.done {
            None => {
                lines.extend(self.planned());
                lines.push(format!(
                    "Nothing was changed. Remove the cause first, the log of {function} has it. Then: orgkeeper redrive \
                     {queue} --yes"
                ));
            }
            Some(done) => lines.extend(done.lines(queue, function)),
        }
        lines.join("\n") + "\n"
    }

    fn planned(&self) -> Option<String> {
        let tasks: Vec<String> = self
            .repair
            .iter()
            .map(|(queue, count)| format!("{count} to {queue}"))
            .collect();
        (!tasks.is_empty()).then(|| {
            format!(
                "A failed batch has no contents: in its place the table says what to do. Tasks that would be sent: {}.",
                tasks.join(", ")
            )
        })
    }
}

impl Done {
    fn lines(&self, queue: &str, function: &str) -> Vec<String> {
        let mut lines = vec![format!("{} sent to the queue {queue}.", self.moved)];
        if self.batches > 0 {
            lines.push(format!(
                "{} failed batches: {} tasks sent in their place.",
                self.batches, self.tasks
            ));
        }
        if self.undeleted > 0 {
            lines.push(format!(
                "{} could not be deleted from the dead-letter queue: the next redrive sends them a second time, which does \
                 no harm.",
                self.undeleted
            ));
        }
        if let Some(why) = &self.stopped {
            lines.push(format!(
                "It stopped: {why}. What was not sent is still there; run the command again."
            ));
        }
        let Some(after) = self.after else {
            lines.push(
                "What became of them could not be seen: look at orgkeeper status.".to_owned(),
            );
            return lines;
        };
        if after.not_processed > 0 {
            lines.push(format!(
                "{} are not processed yet: orgkeeper status shows when they are.",
                after.not_processed
            ));
        }
        lines.push(if after.came_back == 0 {
            "None came back.".to_owned()
        } else {
            format!(
                "{} are in the dead-letter queue now: the log of {function} has the reason.",
                after.came_back
            )
        });
        lines
    }
}
