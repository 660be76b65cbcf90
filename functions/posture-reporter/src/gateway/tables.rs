//! The tables `Posture` and `Exposure`, of which this function only reads.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client, error::SdkError, operation::scan::ScanError, types::AttributeValue,
};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    items::Item,
    posture::{
        enrolment::{EnrolmentSummary, KEY_PREFIX},
        exposure::Exposure,
        keep::KeepSummary,
        pair::{KEY, PairRecord},
        setting_record::{self, SettingRecord},
        survey::SurveySummary,
        verdict::{self, FileVerdicts},
    },
};
use serde::de::DeserializeOwned;

use crate::report::enrolment_csv::Enrolment;

/// A gateway to both tables.
#[derive(Debug)]
pub struct PostureTables {
    client: Client,
    posture: String,
    exposure: String,
}

/// What a survey left behind.
#[derive(Debug, Default)]
pub struct Everything {
    /// The pairs of account and Region.
    pub pairs: Vec<PairRecord>,
    /// What faces the internet, without what is gone.
    pub exposures: Vec<Exposure>,
}

impl PostureTables {
    /// What reading a survey or a run calls.
    pub const READ_SURVEYS: &[&str] = &["dynamodb:GetItem"];
    /// What reading everything calls.
    pub const LIST: &[&str] = &["dynamodb:Scan"];

    /// A gateway to the tables with these names. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, posture: &str, exposure: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            posture: posture.to_owned(),
            exposure: exposure.to_owned(),
        }
    }

    /// A survey; nothing if the table does not have it any more.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read.
    pub async fn survey(&self, id: &str) -> Result<Option<SurveySummary>, AwsCallError> {
        self.item(SurveySummary::key(id)).await
    }

    async fn item<T: DeserializeOwned>(&self, key: String) -> Result<Option<T>, AwsCallError> {
        const OPERATION: &str = "GetItem";
        let answer = self
            .client
            .get_item()
            .table_name(&self.posture)
            .key(KEY, AttributeValue::S(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
        let item = answer.item.map(serde_dynamo::from_item).transpose();
        item.map_err(|error| unreadable(OPERATION, error))
    }

    /// A run over settings; nothing if the table does not have it any more.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read.
    pub async fn run(&self, run: &str) -> Result<Option<KeepSummary>, AwsCallError> {
        self.item(KeepSummary::key(run)).await
    }

    /// What is known of all settings.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read.
    pub async fn settings(&self) -> Result<Vec<SettingRecord>, AwsCallError> {
        let settings = |item: &Item| {
            let key = item.get(KEY).and_then(|key| key.as_s().ok());
            key.is_some_and(|key| key.starts_with(setting_record::KEY_PREFIX))
        };
        self.scan(&self.posture, settings).await
    }

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read.
    pub async fn verdicts(&self) -> Result<FileVerdicts, AwsCallError> {
        let verdicts = self.item(verdict::KEY.to_owned()).await?;
        Ok(verdicts.unwrap_or_default())
    }

    /// What was found out about accounts outside Control Tower.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read.
    pub async fn enrolment(&self) -> Result<Enrolment, AwsCallError> {
        let summary = self
            .item::<EnrolmentSummary>(EnrolmentSummary::key())
            .await?;
        let records = if summary.is_some() {
            let accounts = |item: &Item| {
                let key = item.get(KEY).and_then(|key| key.as_s().ok());
                let id = key.and_then(|key| key.strip_prefix(KEY_PREFIX));
                id.is_some_and(|id| id.parse::<AccountId>().is_ok())
            };
            self.scan(&self.posture, accounts).await?
        } else {
            Vec::new()
        };
        Ok(Enrolment::of(summary, records))
    }

    /// All pairs and exposures.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read: a report is never a part of the truth.
    pub async fn everything(&self) -> Result<Everything, AwsCallError> {
        // Other items of the table have another form of key.
        let pairs = |item: &Item| {
            let key = item.get(KEY).and_then(|key| key.as_s().ok());
            key.is_some_and(|key| key.parse::<orgkeeper_shared::posture::pair::Pair>().is_ok())
        };
        let pairs = self.scan(&self.posture, pairs).await?;
        let mut exposures: Vec<Exposure> = self.scan(&self.exposure, |_| true).await?;
        exposures.retain(|exposure| exposure.gone_at.is_none());
        Ok(Everything { pairs, exposures })
    }

    async fn scan<T: DeserializeOwned>(
        &self,
        table: &str,
        wanted: impl Fn(&Item) -> bool,
    ) -> Result<Vec<T>, AwsCallError> {
        const OPERATION: &str = "Scan";
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .scan()
                .table_name(table)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
            for item in page.items.unwrap_or_default().into_iter().filter(&wanted) {
                all.push(
                    serde_dynamo::from_item(item).map_err(|error| unreadable(OPERATION, error))?,
                );
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(all);
            }
        }
    }
}

/// An item that is not of its form.
pub(super) fn unreadable(operation: &'static str, error: serde_dynamo::Error) -> AwsCallError {
    let error = SdkError::<ScanError, _>::construction_failure(error);
    AwsCallError::new(Service::DynamoDb, operation, &error)
}
