//! What AWS Control Tower governs: its registered organizational units and enrolled accounts.

use aws_sdk_controltower::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{EnabledBaselineFilter, EnablementStatus},
};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::organization::Governed;

/// The baseline that registers a unit and enrols an account ("Types of baselines", Control Tower user guide).
const BASELINE: &str = "AWSControlTowerBaseline";
/// Entries of a page (`ListEnabledBaselines`: 5 to 100).
const PAGE: i32 = 100;

/// The gateway to AWS Control Tower.
#[derive(Debug)]
pub struct ControlTower {
    client: Client,
}

impl ControlTower {
    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Everything that has the baseline, except what failed to get it.
    ///
    /// # Errors
    /// If a call fails: never a part of it.
    pub async fn governed(&self) -> Result<Governed, AwsCallError> {
        let baseline = self.baseline().await?;
        let mut governed = Governed::default();
        let mut next_token = None;
        loop {
            let filter = EnabledBaselineFilter::builder()
                .baseline_identifiers(&baseline)
                .build();
            let page = self
                .client
                .list_enabled_baselines()
                .filter(filter)
                .include_children(true)
                .max_results(PAGE)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListEnabledBaselines", &error))?;
            for enabled in page.enabled_baselines() {
                let status = enabled
                    .status_summary()
                    .and_then(|summary| summary.status());
                if status == Some(&EnablementStatus::Failed) {
                    continue;
                }
                // arn:aws:organizations::<management>:ou/o-…/ou-…, or …:account/o-…/<id>.
                let target = enabled.target_identifier();
                let id = target.rsplit('/').next().unwrap_or_default();
                match id.parse() {
                    Ok(account) => governed.accounts.insert(account),
                    Err(_) => governed.units.insert(id.to_owned()),
                };
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(governed);
            }
        }
    }

    /// The baseline's ARN.
    async fn baseline(&self) -> Result<String, AwsCallError> {
        const OPERATION: &str = "ListBaselines";
        let mut next_token = None;
        loop {
            let page = self
                .client
                .list_baselines()
                .max_results(PAGE)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed(OPERATION, &error))?;
            let found = page
                .baselines()
                .iter()
                .find(|baseline| baseline.name() == BASELINE);
            if let Some(baseline) = found {
                return Ok(baseline.arn().to_owned());
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Err(AwsCallError::not_found(
                    OPERATION,
                    "Control Tower has no AWSControlTowerBaseline here: is this its home region?",
                ));
            }
        }
    }
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::ControlTower, operation, error)
}
