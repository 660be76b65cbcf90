//! Buckets, and the account's block of public access.

use anyhow::{Context as _, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3control::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use orgkeeper_shared::remediation::{order::Task, report::Outcome};
use serde_json::{Value, json};

use crate::common::{Check, Place, Stage, order, unique};

fn name_of(resource: &str) -> &str {
    resource.rsplit(':').next().unwrap_or_default()
}

async fn bucket(place: &Place) -> Result<String> {
    let name = unique("data");
    let client = Client::new(&place.sdk);
    client.create_bucket().bucket(&name).send().await?;
    // On AWS a new bucket has a block.
    client
        .delete_public_access_block()
        .bucket(&name)
        .send()
        .await?;
    Ok(format!("arn:aws:s3:::{name}"))
}

async fn block(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_public_access_block()
        .bucket(name_of(resource))
        .send()
        .await;
    let block = answer
        .ok()
        .and_then(|it| it.public_access_block_configuration);
    Ok(format!("{block:?}"))
}

#[tokio::test]
async fn public_access_to_a_bucket_is_blocked() -> Result<()> {
    let stage = Stage::open().await?;
    for control in ["S3.2", "S3.3", "S3.8", "CloudTrail.6"] {
        Check::of(control).run(&stage, bucket, block).await?;
    }
    Ok(())
}

/// The address as it is: the SDK puts the account id before it.
#[derive(Debug)]
struct BareAddress(String);

impl ResolveEndpoint for BareAddress {
    fn resolve_endpoint<'a>(&'a self, _params: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

fn account_settings(place: &Place) -> aws_sdk_s3control::Client {
    let address = place.sdk.endpoint_url().unwrap_or_default().to_owned();
    let config = aws_sdk_s3control::config::Builder::from(&place.sdk)
        .endpoint_resolver(BareAddress(address))
        .build();
    aws_sdk_s3control::Client::from_conf(config)
}

async fn open_account(place: &Place) -> Result<String> {
    account_settings(place)
        .delete_public_access_block()
        .account_id(place.account.as_str())
        .send()
        .await?;
    Ok(place.as_resource())
}

async fn account_block(place: &Place, _resource: &str) -> Result<String> {
    let answer = account_settings(place)
        .get_public_access_block()
        .account_id(place.account.as_str())
        .send()
        .await;
    let block = answer
        .ok()
        .and_then(|it| it.public_access_block_configuration);
    Ok(format!("{block:?}"))
}

#[tokio::test]
async fn public_access_is_blocked_in_the_account() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("S3.1")
        .run(&stage, open_account, account_block)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_gone_does_not_apply() -> Result<()> {
    let stage = Stage::open().await?;
    for control in ["S3.8", "S3.5", "S3.9"] {
        let gone = order(
            Task::Fix,
            control,
            &stage.here,
            "arn:aws:s3:::orgkeeper-gone",
        )?;
        let (report, _) = stage.run(&gone).await?;
        assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    }
    Ok(())
}

async fn bucket_with_policy(place: &Place) -> Result<String> {
    let resource = bucket(place).await?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Sid": "Reader",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{}:root", place.account) },
            "Action": "s3:GetObject",
            "Resource": format!("{resource}/*"),
        },
    });
    Client::new(&place.sdk)
        .put_bucket_policy()
        .bucket(name_of(&resource))
        .policy(policy.to_string())
        .send()
        .await?;
    Ok(resource)
}

async fn policy(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_bucket_policy()
        .bucket(name_of(resource))
        .send()
        .await;
    let policy = answer.ok().and_then(|it| it.policy);
    Ok(policy.unwrap_or_default())
}

#[tokio::test]
async fn a_bucket_requires_tls_and_keeps_its_policy() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("S3.5").run(&stage, bucket, policy).await?;
    let report = Check::of("S3.5")
        .run(&stage, bucket_with_policy, policy)
        .await?;
    let (before, after) = (
        report.before.context("no state")?,
        report.after.context("no state")?,
    );
    let statements = &after["Policy"]["Statement"];
    assert_eq!(statements[0], before["Policy"]["Statement"]);
    assert_eq!(statements[1]["Effect"], "Deny");
    Ok(())
}

async fn logging(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_bucket_logging()
        .bucket(name_of(resource))
        .send()
        .await?;
    Ok(format!("{:?}", answer.logging_enabled()))
}

/// A trail with a bucket of its own.
async fn trail_with_bucket(place: &Place) -> Result<String> {
    let bucket = bucket(place).await?;
    let answer = aws_sdk_cloudtrail::Client::new(&place.sdk)
        .create_trail()
        .name(unique("bucket"))
        .s3_bucket_name(name_of(&bucket))
        .send()
        .await?;
    answer.trail_arn.context("no trail")
}

async fn bucket_of_trail(place: &Place, trail: &str) -> Result<String> {
    let answer = aws_sdk_cloudtrail::Client::new(&place.sdk)
        .get_trail()
        .name(trail)
        .send()
        .await?;
    let bucket = answer.trail.and_then(|trail| trail.s3_bucket_name);
    Ok(format!("arn:aws:s3:::{}", bucket.context("no bucket")?))
}

#[tokio::test]
async fn a_bucket_has_access_logs() -> Result<()> {
    let stage = Stage::open().await?;
    // The first of them creates our bucket.
    for control in ["S3.9", "CloudTrail.7", "S3.9"] {
        let report = Check::of(control).run(&stage, bucket, logging).await?;
        let after = report.after.context("no state")?;
        let ours = format!("orgkeeper-access-logs-{}-us-east-1", stage.here.account);
        assert_eq!(after["TargetBucket"], json!(ours));
        let policy: Value = serde_json::from_str(&policy(&stage.here, &ours).await?)?;
        let statements = policy["Statement"].as_array().context("no statements")?;
        // Beside what load balancers need.
        let with_sid = |sid| statements.iter().filter(move |it| it["Sid"] == sid);
        for sid in ["OrgkeeperAccessLogs", "OrgkeeperRequireTls"] {
            assert_eq!(with_sid(sid).count(), 1, "{statements:?}");
        }
        assert!(
            block(&stage.here, &ours)
                .await?
                .contains("restrict_public_buckets: Some(true)")
        );
    }
    // As Prowler reports it.
    let of_trail = async |place: &Place, trail: &str| {
        let bucket = bucket_of_trail(place, trail).await?;
        logging(place, &bucket).await
    };
    let report = Check::of("CloudTrail.7")
        .run(&stage, trail_with_bucket, of_trail)
        .await?;
    let prefix = report.after.context("no state")?["TargetPrefix"].clone();
    assert!(prefix.as_str().is_some_and(|it| it.starts_with("data-")));
    let theirs = bucket(&stage.here).await?;
    Check::of("S3.9")
        .with("log_bucket", name_of(&theirs))
        .run(&stage, bucket, logging)
        .await?;
    let ours = format!(
        "arn:aws:s3:::orgkeeper-access-logs-{}-us-east-1",
        stage.here.account
    );
    let itself = order(Task::Fix, "S3.9", &stage.here, &ours)?;
    let (report, _) = stage.run(&itself).await?;
    assert_eq!(report.outcome, Outcome::Blocked, "{report:?}");
    Ok(())
}
