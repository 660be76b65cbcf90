//! The table of remediations and the queues of a stack.

use std::time::Duration;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    queue::Queue,
    remediation::{
        archive::ArchiveTask, planning::PlanningTask, record::Record, table::RemediationTable,
    },
};
use serde_json::json;

use crate::{outcome::CommandError, stack::Stack};

/// The least characters of an id that name a record.
const LEAST_ID: usize = 6;

/// The table and the queues.
#[derive(Debug)]
pub struct Store {
    /// The table.
    pub table: RemediationTable,
    queue: Queue,
    archive_queue_url: String,
    planner_queue_url: String,
}

impl Store {
    /// Those of a stack. Makes no call.
    ///
    /// # Errors
    /// If the stack does not have them.
    pub fn of(sdk: &SdkConfig, stack: &Stack) -> Result<Self, CommandError> {
        let calls = CallCounter::default();
        let needed = |name: &str, what| {
            let found = stack.resource(name).map(str::to_owned);
            found.ok_or(CommandError::NotInStack { what })
        };
        let name = needed("Remediations", "table Remediations")?;
        Ok(Self {
            table: RemediationTable::connect(sdk, &calls, &name),
            queue: Queue::new(client!(aws_sdk_sqs, sdk, calls)),
            archive_queue_url: needed("ArchiveQueue", "queue ArchiveQueue")?,
            planner_queue_url: needed("RemediationQueue", "queue RemediationQueue")?,
        })
    }

    /// Every record, and how many cannot be read.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn all(&self) -> Result<(Vec<Record>, usize), AwsCallError> {
        let (mut records, mut unreadable, mut after) = (Vec::new(), 0, None);
        loop {
            let page = self.table.page(after).await?;
            records.extend(page.records);
            unreadable += page.unreadable;
            after = page.next;
            if after.is_none() {
                return Ok((records, unreadable));
            }
        }
    }

    /// The record with this id, the beginning of its id, or its key.
    ///
    /// # Errors
    /// If there is none, or there are several, or a call fails.
    pub async fn by_id(&self, id: &str) -> Result<Record, CommandError> {
        if id.contains('#') {
            let record = self.table.read(id).await?;
            return record.ok_or_else(|| CommandError::NoRemediation(id.to_owned()));
        }
        let (records, _) = self.all().await?;
        let mut named: Vec<Record> = records
            .into_iter()
            .filter(|record| id.len() >= LEAST_ID && record.id().starts_with(id))
            .collect();
        match (named.pop(), named.is_empty()) {
            (Some(record), true) => Ok(record),
            (Some(_), false) => Err(CommandError::SeveralRemediations(id.to_owned())),
            (None, _) => Err(CommandError::NoRemediation(id.to_owned())),
        }
    }

    /// Sends a task to `finding-archiver`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn archive(&self, task: &ArchiveTask) -> Result<(), AwsCallError> {
        let body = vec![(json!(task).to_string(), Duration::ZERO)];
        self.queue.send(&self.archive_queue_url, body).await
    }

    /// Sends a task to `remediation-planner`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn plan(&self, task: &PlanningTask) -> Result<(), AwsCallError> {
        let body = vec![(json!(task).to_string(), Duration::ZERO)];
        self.queue.send(&self.planner_queue_url, body).await
    }
}

/// Who runs the command, as AWS knows them.
///
/// # Errors
/// If the call fails.
pub async fn caller(sdk: &SdkConfig) -> Result<String, AwsCallError> {
    let identity = aws_sdk_sts::Client::new(sdk).get_caller_identity().send();
    let identity = identity
        .await
        .map_err(|error| AwsCallError::new(Service::Sts, "GetCallerIdentity", &error))?;
    Ok(identity.arn.unwrap_or_default())
}
