//! What other services know: AWS Config's aggregator, Control Tower, and DevOps Guru.

use anyhow::{Context as _, Result, ensure};
use orgkeeper_shared::posture::pair::Pair;
use orgkeeper_tests::local_cloud::eventually;
use serde_json::json;

use super::{HOME, OTHER_REGION, PATIENCE, POSTED, Posture, today};

const POSTURE: &str = r#"
[organization]
administrator = "security-tooling"
regions = ["us-east-1", "eu-central-1"]

[services]
devops-guru = { on = true }
"#;
const AGGREGATOR: &str = "organization";
/// An account whose addresses AWS Config records, and one of which it lacks a Region.
const RECORDED: &str = "shared-services";
const NOT_RECORDED: &str = "webshop-dev";
/// An account that Control Tower could enrol.
const READY: &str = "webshop-test";
const SEVERE: &str = "Lambda Duration Anomalous in shop";
const LATER: &str = "ApplicationELB latency anomalous in shop";
const MINOR: &str = "DynamoDB capacity is low";

impl Posture {
    /// Runs a statement with a client `it` of an account in a Region.
    async fn by(&self, account: &str, service: &str, region: &str, statement: &str) -> Result<()> {
        let code = format!(
            "import sys; sys.path.insert(0, 'infra/local'); from account_settings import Account; \
             it = Account('{account}').client('{service}', '{region}'); {statement}"
        );
        self.cloud.python(&["-c", &code]).await.map(drop)
    }

    async fn list_insights(&self) -> Result<()> {
        aws_sdk_sqs::Client::new(&self.cloud.sdk)
            .send_message()
            .queue_url(self.cloud.output("ReporterQueueUrl")?)
            .message_body(include_str!(
                "../../../../events/posture-reporter/insights.json"
            ))
            .send()
            .await?;
        Ok(())
    }
}

/// A cell of the row of a pair that was seen: nothing in front of the last column has a comma then.
fn cell<'csv>(csv: &'csv str, pair: &Pair, column: &str) -> Option<&'csv str> {
    let mut lines = csv.lines();
    let place = lines.next()?.split(',').position(|name| name == column)?;
    let row = lines.find(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        cells.first() == Some(&pair.account.as_str()) && cells.get(3) == Some(&pair.region.as_str())
    });
    row?.split(',').nth(place)
}

#[tokio::test]
async fn what_other_services_know_is_in_the_report_and_in_slack() -> Result<()> {
    let posture = Posture::attach().await?;
    let aggregate = format!(
        "it.put_configuration_aggregator(ConfigurationAggregatorName='{AGGREGATOR}', OrganizationAggregationSource=\
         {{'RoleArn': 'arn:aws:iam::{0}:role/aggregator', 'AllAwsRegions': True}})",
        posture.management
    );
    posture
        .by(&posture.management, "config", HOME, &aggregate)
        .await?;
    let trust = "it.enable_aws_service_access(ServicePrincipal='devops-guru.amazonaws.com')";
    posture
        .by(&posture.management, "organizations", HOME, trust)
        .await?;
    let ready = posture.cloud.accounts[READY].clone();
    let role = "it.create_role(RoleName='AWSControlTowerExecution', AssumeRolePolicyDocument='{}')";
    posture.by(&ready, "iam", HOME, role).await?;
    let pair = |name: &str| {
        Ok::<_, anyhow::Error>(Pair::new(
            &posture.cloud.accounts[name].parse()?,
            OTHER_REGION,
        ))
    };
    let (recorded, lacking) = (pair(RECORDED)?, pair(NOT_RECORDED)?);
    let started = posture.start(&[recorded.clone(), lacking.clone()]).await?;
    let missing = json!({ "missing": [format!("{}/{}", lacking.account, lacking.region)] });
    posture.cloud.set_stand_in("recorder", missing).await?;
    posture.upload(POSTURE).await?;
    let parameter = format!("ConfigAggregator={AGGREGATOR}");
    posture.cloud.deploy(&parameter).await?;

    posture.survey(async || Ok(())).await?;
    let folder = format!("reports/{}", today());
    let coverage = format!("{folder}/coverage.csv");
    let mut csv = String::new();
    eventually("AWS Config was asked", PATIENCE, async || {
        csv = posture.object(&coverage).await.unwrap_or_default();
        Ok(cell(&csv, &lacking, "RecordedByConfig") == Some("no"))
    })
    .await
    .with_context(|| csv.clone())?;
    ensure!(
        cell(&csv, &recorded, "RecordedByConfig") == Some("yes"),
        "{csv}"
    );
    let resources = cell(&csv, &lacking, "NotRecordedResources");
    ensure!(
        resources.is_some_and(|them| them.contains(&started[&lacking].0)),
        "{csv}"
    );

    // No account of the example organization was enrolled, and one of them can be.
    let enrolment = posture.object(&format!("{folder}/enrolment.csv")).await?;
    println!("{enrolment}");
    let (can, cannot): (Vec<&str>, Vec<&str>) = enrolment
        .lines()
        .skip(1)
        .partition(|line| !line.starts_with('#'));
    ensure!(can.len() == 1 && can[0].contains(&ready), "{enrolment}");
    ensure!(
        cannot
            .iter()
            .any(|line| line.contains(lacking.account.as_str())
                && line.contains("BLOCKED")
                && line.contains("AWSControlTowerExecution")),
        "{enrolment}"
    );

    // An insight of high severity is one message, however often the insights are listed.
    let insight = |name: &str, severity: &str| json!({ "account": lacking.account, "region": OTHER_REGION, "name": name, "severity": severity });
    let open = json!({ "open": [insight(SEVERE, "HIGH"), insight(MINOR, "MEDIUM")] });
    posture.cloud.set_stand_in("insights", open).await?;
    posture.list_insights().await?;
    eventually("the insight is in Slack", POSTED, async || {
        Ok(!posture.posts(SEVERE).await?.is_empty())
    })
    .await?;
    let later = json!({ "open": [insight(LATER, "HIGH")] });
    posture.cloud.set_stand_in("insights", later).await?;
    posture.list_insights().await?;
    eventually("the later insight is in Slack", POSTED, async || {
        Ok(!posture.posts(LATER).await?.is_empty())
    })
    .await?;
    posture.cloud.deploy("ConfigAggregator=").await?;
    ensure!(posture.posts(SEVERE).await?.len() == 1, "published twice");
    ensure!(
        posture.posts(MINOR).await?.is_empty(),
        "a minor one was published"
    );
    posture.no_dead_letters().await
}
