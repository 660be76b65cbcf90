//! What AWS Control Tower governs: its registered organizational units and enrolled accounts, and what it set up.

use std::sync::OnceLock;

use aws_sdk_controltower::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{EnabledBaselineFilter, EnablementStatus},
};
use aws_smithy_types::Document;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    calls::{Calls, NO_RESOURCE, calls},
};

use crate::organization::{Governed, LandingZone, SharedAccount};

/// The baseline that registers a unit and enrols an account ("Types of baselines", Control Tower user guide).
const BASELINE: &str = "AWSControlTowerBaseline";
/// Entries of a page (`ListEnabledBaselines`: 5 to 100).
const PAGE: i32 = 100;
/// From this version of the landing zone on Control Tower manages no unit of its own ("Landing zone 4.0 migration
/// guide"). Before, the unit of the shared accounts is assumed to be closed to Account Factory: controls and baselines
/// are ("Exception to controls for the Security OU"), for new accounts it was not tried on AWS.
const WITHOUT_OWN_UNIT: u32 = 4;
/// Where the manifest of a landing zone has the accounts that its set-up created.
const SHARED_ACCOUNTS: [(&str, SharedAccount); 2] = [
    ("centralizedLogging", SharedAccount::LogArchive),
    ("securityRoles", SharedAccount::Audit),
];

/// The gateway to AWS Control Tower.
#[derive(Debug)]
pub struct ControlTower {
    client: Client,
    /// Read once: what the set-up created is not exchanged.
    landing_zone: OnceLock<LandingZone>,
}

impl ControlTower {
    /// What it calls that has no resource type.
    pub const LISTS: Calls = calls(
        &[
            "controltower:ListBaselines",
            "controltower:ListEnabledBaselines",
            "controltower:ListLandingZones",
        ],
        NO_RESOURCE,
    );
    /// What else it calls.
    pub const READS: Calls = calls(
        &["controltower:GetLandingZone"],
        &["arn:${AWS::Partition}:controltower:${AWS::Region}:${AWS::AccountId}:landingzone/*"],
    );

    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            landing_zone: OnceLock::new(),
        }
    }

    /// Everything that has the baseline, except what failed to get it.
    ///
    /// # Errors
    /// If a call fails: never a part of it.
    pub async fn governed(&self) -> Result<Governed, AwsCallError> {
        let (landing_zone, governed) = tokio::try_join!(self.landing_zone(), self.enabled())?;
        Ok(Governed {
            landing_zone,
            ..governed
        })
    }

    /// Everything that has the baseline.
    async fn enabled(&self) -> Result<Governed, AwsCallError> {
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

    /// What Control Tower set up; nothing if there is no landing zone.
    async fn landing_zone(&self) -> Result<LandingZone, AwsCallError> {
        if let Some(known) = self.landing_zone.get() {
            return Ok(known.clone());
        }
        // There is one at most, in the home Region.
        let list = self
            .client
            .list_landing_zones()
            .send()
            .await
            .map_err(|error| failed("ListLandingZones", &error))?;
        let Some(arn) = list.landing_zones().first().and_then(|it| it.arn()) else {
            return Ok(LandingZone::default());
        };
        let answer = self
            .client
            .get_landing_zone()
            .landing_zone_identifier(arn)
            .send()
            .await
            .map_err(|error| failed("GetLandingZone", &error))?;
        let read = answer
            .landing_zone()
            .map(|found| landing_zone_of(found.version(), found.manifest()))
            .unwrap_or_default();
        Ok(self.landing_zone.get_or_init(|| read).clone())
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

/// What a landing zone of this version with this manifest has of its own.
fn landing_zone_of(version: &str, manifest: &Document) -> LandingZone {
    let at = |path: &[&str]| {
        let value = path
            .iter()
            .try_fold(manifest, |value, name| value.as_object()?.get(*name));
        value.and_then(Document::as_string).map(str::to_owned)
    };
    let major = version
        .split('.')
        .next()
        .and_then(|it| it.parse::<u32>().ok());
    let manages_a_unit = major.is_none_or(|major| major < WITHOUT_OWN_UNIT);
    let accounts = SHARED_ACCOUNTS.iter().filter_map(|(name, account)| {
        let id = at(&[name, "accountId"])?.parse().ok()?;
        Some((id, *account))
    });
    LandingZone {
        version: version.to_owned(),
        own_unit: at(&["organizationStructure", "security", "name"]).filter(|_| manages_a_unit),
        shared_accounts: accounts.collect(),
    }
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::ControlTower, operation, error)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn object(members: &[(&str, Document)]) -> Document {
        let members = members.iter();
        Document::Object(
            members
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn manifest() -> Document {
        let account = |id: &str| object(&[("accountId", Document::String(id.to_owned()))]);
        let security = object(&[("name", Document::String("Core".to_owned()))]);
        object(&[
            ("organizationStructure", object(&[("security", security)])),
            ("centralizedLogging", account("222222222221")),
            ("securityRoles", account("222222222222")),
        ])
    }

    #[test]
    fn what_the_set_up_created_is_in_the_manifest() {
        let read = landing_zone_of("3.3", &manifest());
        assert_eq!(read.own_unit.as_deref(), Some("Core"));
        assert_eq!(
            read.shared_accounts,
            HashMap::from([
                ("222222222221".parse().unwrap(), SharedAccount::LogArchive),
                ("222222222222".parse().unwrap(), SharedAccount::Audit),
            ])
        );
    }

    #[test]
    fn from_version_4_on_no_unit_is_its_own() {
        let read = landing_zone_of("4.0", &manifest());
        assert_eq!(read.own_unit, None);
        assert_eq!(read.shared_accounts.len(), 2);
        let empty = landing_zone_of("4.0", &object(&[]));
        assert!(empty.shared_accounts.is_empty());
    }
}
