//! The table `Posture`: records of settings, and how far a run is.

use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::CallCounter,
    items::TableError,
    posture::{
        items::PostureItems, keep::KeepSummary, setting_record::SettingRecord,
        verdict::FileVerdicts,
    },
};

/// The table.
#[derive(Debug)]
pub struct PostureTable {
    items: PostureItems,
}

impl PostureTable {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            items: PostureItems::connect(sdk, calls, name),
        }
    }

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<FileVerdicts, TableError> {
        self.items.verdicts().await
    }

    /// The records with these keys, as far as there are any.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn records(
        &self,
        keys: &BTreeSet<String>,
    ) -> Result<HashMap<String, SettingRecord>, TableError> {
        let records: Vec<SettingRecord> = self.items.read_all(keys.iter().cloned()).await?;
        let records = records.into_iter();
        Ok(records
            .map(|record| (record.pair.clone(), record))
            .collect())
    }

    /// Writes a record in place of the one with the revision before, or of none: false if another invocation was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(&self, record: &SettingRecord) -> Result<bool, TableError> {
        let last = record.revision.checked_sub(1).filter(|last| *last > 0);
        let last = last.map(|last| ("Revision", AttributeValue::N(last.to_string())));
        self.items.replace(record, last).await
    }

    /// Notes that a part of a run has ended: once, however often it is noted. A run that is not known has no summary.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn end_part(&self, run: &str, part: u64, now: Timestamp) -> Result<(), TableError> {
        self.items
            .end_part(&KeepSummary::key(run), part, &[], now)
            .await
    }
}
