//! Findings on the local cloud: sends their events, reads them.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_securityhub::types::{
    AwsSecurityFinding, AwsSecurityFindingFilters, StringFilter, StringFilterComparison,
};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::local_cloud::LocalCloud;

/// Entries that one `PutEvents` call takes.
const EVENTS_PER_CALL: usize = 10;

/// A prefix of ids that no other run of a test uses.
#[must_use]
pub fn unique(name: &str) -> String {
    format!("{name}-{:016x}-", rand::rng().random::<u64>())
}

/// Sends an event for each finding, as Security Hub does.
///
/// # Errors
/// If a call fails or refuses an event.
pub async fn send(cloud: &LocalCloud, findings: &[Value]) -> Result<()> {
    let events = aws_sdk_eventbridge::Client::new(&cloud.sdk);
    for chunk in findings.chunks(EVENTS_PER_CALL) {
        let entries = chunk
            .iter()
            .map(|finding| {
                PutEventsRequestEntry::builder()
                    .source("aws.securityhub")
                    .detail_type("Security Hub Findings - Imported")
                    .detail(json!({ "findings": [finding] }).to_string())
                    .build()
            })
            .collect();
        let answer = events
            .put_events()
            .set_entries(Some(entries))
            .send()
            .await?;
        anyhow::ensure!(answer.failed_entry_count() == 0, "{answer:?}");
    }
    Ok(())
}

/// Every finding whose id starts with `prefix`, by its id.
///
/// # Errors
/// If a call fails.
pub async fn findings(
    cloud: &LocalCloud,
    prefix: &str,
) -> Result<BTreeMap<String, AwsSecurityFinding>> {
    let id = StringFilter::builder()
        .value(prefix)
        .comparison(StringFilterComparison::Prefix)
        .build();
    let mut pages = aws_sdk_securityhub::Client::new(&cloud.sdk)
        .get_findings()
        .filters(AwsSecurityFindingFilters::builder().id(id).build())
        .max_results(100)
        .into_paginator()
        .send();
    let mut findings = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for finding in page?.findings.unwrap_or_default() {
            findings.insert(finding.id.clone().unwrap_or_default(), finding);
        }
    }
    Ok(findings)
}

/// A user-defined field of a finding.
#[must_use]
pub fn field<'a>(finding: &'a AwsSecurityFinding, name: &str) -> Option<&'a str> {
    finding
        .user_defined_fields()
        .and_then(|fields| fields.get(name))
        .map(String::as_str)
}
