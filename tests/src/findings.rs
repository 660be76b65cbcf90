//! Findings on the local cloud: sends their events, reads them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aws_sdk_securityhub::types::{
    AwsSecurityFinding, AwsSecurityFindingFilters, StringFilter, StringFilterComparison,
};
use futures::FutureExt as _;
use orgkeeper_shared::{
    aws::CallCounter,
    gateway::rates::QuotaShare,
    ids::FindingId,
    security_hub::{Finding, SecurityHub},
};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::{local_cloud::LocalCloud, organization::imported};

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
    let events = findings
        .iter()
        .map(|finding| {
            json!({
                "source": "aws.securityhub",
                "detail-type": "Security Hub Findings - Imported",
                "detail": { "findings": [finding] },
            })
        })
        .collect();
    cloud.send_service_events(events).await
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
    while let Some(page) = pages.next().boxed_local().await {
        for finding in page?.findings.unwrap_or_default() {
            findings.insert(finding.id.clone().unwrap_or_default(), finding);
        }
    }
    Ok(findings)
}

/// The findings of a sample event, with other accounts, and with ids that start with `prefix`.
///
/// # Errors
/// If the sample is no event with findings.
pub fn adapted(sample: &str, prefix: &str, accounts: &[(&str, &str)]) -> Result<Vec<Value>> {
    let text = accounts
        .iter()
        .fold(sample.to_owned(), |text, (from, to)| text.replace(from, to));
    let event: Value = serde_json::from_str(&text)?;
    let findings = event["detail"]["findings"]
        .as_array()
        .context("no findings")?;
    let mut findings = findings.clone();
    for finding in &mut findings {
        let id = finding["Id"].as_str().context("no id")?;
        finding["Id"] = format!("{prefix}{id}").into();
    }
    Ok(findings)
}

/// Puts the event of a finding into the findings queue once more, as a redrive of a dead-letter queue does.
///
/// # Errors
/// If the call fails.
pub async fn redrive(cloud: &LocalCloud, time: &str, finding: &Value) -> Result<()> {
    aws_sdk_sqs::Client::new(&cloud.sdk)
        .send_message()
        .queue_url(cloud.output("FindingsQueueUrl")?)
        .message_body(imported(time, std::slice::from_ref(finding)).to_string())
        .send()
        .boxed_local()
        .await?;
    Ok(())
}

/// These findings, up to twenty, as they are now, by their ids. They are read as the functions read them: the SDK's
/// types of all that a finding can hold overflow the stack of a debug build.
///
/// # Errors
/// If a call fails.
pub async fn as_they_are(
    cloud: &LocalCloud,
    findings: &[Value],
) -> Result<BTreeMap<String, Finding>> {
    let text = |finding: &Value, name: &str| {
        let text = finding[name].as_str();
        text.map(str::to_owned)
            .with_context(|| format!("no {name}"))
    };
    let mut ids = Vec::new();
    for finding in findings {
        ids.push(FindingId {
            id: text(finding, "Id")?,
            product_arn: text(finding, "ProductArn")?,
        });
    }
    let no_pace = QuotaShare::of("finding-enricher", 0);
    let hub = SecurityHub::connect(&cloud.sdk, &CallCounter::default(), no_pace);
    let found = hub.findings_by_id(&ids).boxed_local().await?.into_iter();
    Ok(found
        .map(|finding| (finding.id.id.clone(), finding))
        .collect())
}

/// A user-defined field of a finding.
#[must_use]
pub fn field<'a>(finding: &'a AwsSecurityFinding, name: &str) -> Option<&'a str> {
    finding
        .user_defined_fields()
        .and_then(|fields| fields.get(name))
        .map(String::as_str)
}
