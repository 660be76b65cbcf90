//! The aggregator of AWS Config: the public addresses that it knows, and the sources that it could not read.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_config::{Client, types::AggregatedSourceStatusType};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    posture::pair::Pair,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::report::recording::{PoorSource, Recorded, SecondSource};

/// Rows of a page (`SelectAggregateResourceConfig`: 100 at most).
const PAGE: i32 = 100;
/// A report does not wait longer for it.
const LONGEST: Duration = Duration::from_secs(100);
/// The most characters of a reason that are shown.
const LONGEST_REASON: usize = 300;
/// Interfaces with a public address, be it of their first private address or of another.
const QUERY: &str = "SELECT accountId, awsRegion, resourceId, configuration.association.publicIp, \
     configuration.privateIpAddresses WHERE resourceType = 'AWS::EC2::NetworkInterface' AND \
     (configuration.association.publicIp > '0.0.0.0' OR configuration.privateIpAddresses.association.publicIp > '0.0.0.0')";

/// A gateway to the aggregator.
#[derive(Debug)]
pub struct ConfigAggregator {
    client: Client,
    name: Option<String>,
}

/// A row of the answer, which is a text in JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    account_id: String,
    aws_region: String,
    #[serde(default)]
    configuration: Configuration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    association: Option<Association>,
    private_ip_addresses: Vec<PrivateAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PrivateAddress {
    association: Option<Association>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Association {
    public_ip: Option<String>,
}

/// The addresses of a row; none of one that is not understood.
fn addresses(row: &str) -> impl Iterator<Item = (Pair, String)> + use<> {
    let row = serde_json::from_str::<Row>(row)
        .inspect_err(|error| tracing::warn!(%error, "a row of AWS Config has another form"))
        .ok();
    let found = row.into_iter().flat_map(|row| {
        let pair = format!("{}#{}", row.account_id, row.aws_region);
        let pair: Option<Pair> = pair.parse().ok();
        let Configuration {
            association,
            private_ip_addresses,
        } = row.configuration;
        let others = private_ip_addresses.into_iter();
        let others = others.filter_map(|address| address.association);
        let all = association.into_iter().chain(others);
        let all = all.filter_map(|association| association.public_ip);
        all.filter_map(move |address| Some((pair.clone()?, address)))
    });
    found.collect::<Vec<_>>().into_iter()
}

impl ConfigAggregator {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "config:DescribeConfigurationAggregatorSourcesStatus",
        "config:SelectAggregateResourceConfig",
    ];

    /// A gateway over `client` to the aggregator with this name, if there is one.
    #[must_use]
    pub fn new(client: Client, name: Option<String>) -> Self {
        Self { client, name }
    }

    /// What it has recorded. It is a second source: whatever fails is a part of the answer.
    pub async fn ask(&self) -> SecondSource {
        let Some(name) = &self.name else {
            return SecondSource::Off;
        };
        let unasked = |reason: String| {
            tracing::warn!(reason, "AWS Config could not be asked");
            SecondSource::Unasked {
                aggregator: name.clone(),
                reason: reason.chars().take(LONGEST_REASON).collect(),
            }
        };
        match timeout(LONGEST, self.addresses(name)).await {
            Err(_) => unasked(format!("no answer within {} seconds", LONGEST.as_secs())),
            Ok(Err(error)) => unasked(error.to_string()),
            Ok(Ok(addresses)) => {
                let sources = timeout(LONGEST, self.poor_sources(name)).await;
                let sources = match sources {
                    Err(_) => Err("no answer in time".to_owned()),
                    Ok(sources) => sources.map_err(|error| error.to_string()),
                };
                SecondSource::Asked(Recorded {
                    aggregator: name.clone(),
                    addresses,
                    sources,
                })
            }
        }
    }

    /// All pages: a part of them would be a gap that is none.
    async fn addresses(&self, name: &str) -> Result<BTreeSet<(Pair, String)>, AwsCallError> {
        let (mut all, mut token) = (BTreeSet::new(), None);
        loop {
            let page = self
                .client
                .select_aggregate_resource_config()
                .configuration_aggregator_name(name)
                .expression(QUERY)
                .limit(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| {
                    AwsCallError::new(Service::Config, "SelectAggregateResourceConfig", &error)
                })?;
            for row in page.results() {
                all.extend(addresses(row));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    async fn poor_sources(&self, name: &str) -> Result<Vec<PoorSource>, AwsCallError> {
        const OPERATION: &str = "DescribeConfigurationAggregatorSourcesStatus";
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .describe_configuration_aggregator_sources_status()
                .configuration_aggregator_name(name)
                .update_status(AggregatedSourceStatusType::Failed)
                .update_status(AggregatedSourceStatusType::Outdated)
                .limit(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::Config, OPERATION, &error))?;
            for source in page.aggregated_source_status_list.unwrap_or_default() {
                let status = source.last_update_status.map(|it| it.as_str().to_owned());
                all.push(PoorSource {
                    id: source.source_id.unwrap_or_default(),
                    region: source.aws_region.unwrap_or_default(),
                    status: status.unwrap_or_default(),
                    error: source.last_error_code.unwrap_or_default(),
                });
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                all.sort();
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(row: &str) -> Vec<String> {
        let found = addresses(row);
        found
            .map(|(pair, address)| format!("{pair} {address}"))
            .collect()
    }

    #[test]
    fn a_row_has_the_addresses_of_all_its_private_ones() {
        let row = r#"{"accountId":"222222222222","awsRegion":"eu-west-1","resourceId":"eni-1","configuration":{
            "association":{"publicIp":"203.0.113.5"},"privateIpAddresses":[{"association":{"publicIp":"203.0.113.5"}},
            {"association":{"publicIp":"203.0.113.6"}},{"privateIpAddress":"10.0.0.1"}]}}"#;
        let pair = "222222222222#eu-west-1";
        let expected = ["203.0.113.5", "203.0.113.5", "203.0.113.6"];
        assert_eq!(of(row), expected.map(|address| format!("{pair} {address}")));
    }

    #[test]
    fn a_row_of_another_form_has_none() {
        for row in [
            "",
            "[]",
            "{}",
            r#"{"accountId":"222222222222","awsRegion":"eu-west-1"}"#,
            r#"{"accountId":"x","awsRegion":"y","configuration":{"association":{"publicIp":"203.0.113.5"}}}"#,
            r#"{"accountId":"222222222222","awsRegion":"eu-west-1","configuration":{"association":null}}"#,
        ] {
            assert_eq!(of(row), [""; 0], "{row}");
        }
    }
}
