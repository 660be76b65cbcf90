//! The remediate flow on the local cloud, with the deployed template: from Security Hub's event to the member account
//! and back. Each single fix is shown by the remediator's own tests (`functions/remediator/tests/emulators`).

mod asking;
mod root_credentials;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use aws_sdk_securityhub::types::WorkflowStatus;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use futures::FutureExt as _;
use orgkeeper_shared::security_hub::REMEDIATION_FIELD;
use orgkeeper_tests::{
    findings::{field, findings, send, unique},
    local_cloud::{LocalCloud, eventually},
    organization::{MANAGEMENT_ACCOUNT, finding},
    sqs::{create_unencrypted, encrypted},
};
use serde_json::{Value, json};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_mins(2);
const ACCOUNT: &str = "webshop-dev";
const OTHER_ACCOUNT: &str = "webshop-prod";
const REGION: &str = "us-east-1";
const QUEUES: [&str; 3] = [
    "RemediationQueueUrl",
    "RemediationPreviewQueueUrl",
    "ArchiveQueueUrl",
];
const DEAD_LETTER_QUEUES: [&str; 3] = [
    "RemediationDeadLetterQueueUrl",
    "RemediationPreviewDeadLetterQueueUrl",
    "ArchiveDeadLetterQueueUrl",
];

/// A fifth of these calls fails.
const FAULTS: [(&str, &str, u16); 6] = [
    ("dynamodb.PutItem", "ThrottlingException", 400),
    ("lambda.Invoke", "TooManyRequestsException", 429),
    (
        "securityhub.BatchUpdateFindings",
        "TooManyRequestsException",
        429,
    ),
    ("sqs.SetQueueAttributes", "ServiceUnavailable", 503),
    ("states.StartExecution", "ThrottlingException", 400),
    ("sts.AssumeRole", "Throttling", 400),
];

/// A member account, for its root user.
struct Member {
    id: String,
    sqs: aws_sdk_sqs::Client,
    s3: aws_sdk_s3::Client,
}

impl Member {
    fn of(cloud: &LocalCloud, name: &str) -> Result<Self> {
        let id = cloud.accounts.get(name).context("no such account")?.clone();
        let root = Credentials::new(id.as_str(), "test", None, None, "root");
        let sdk = cloud
            .sdk
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(root))
            .build();
        let s3 = aws_sdk_s3::config::Builder::from(&sdk)
            .force_path_style(true)
            .build();
        Ok(Self {
            id,
            sqs: aws_sdk_sqs::Client::new(&sdk),
            s3: aws_sdk_s3::Client::from_conf(s3),
        })
    }

    async fn open_queue(&self, name: &str) -> Result<String> {
        create_unencrypted(&self.sqs, name).await
    }

    async fn encrypted(&self, queue_url: &str) -> Result<bool> {
        encrypted(&self.sqs, queue_url).await
    }

    /// A bucket without a public access block (S3.8).
    async fn open_bucket(&self, name: &str) -> Result<()> {
        self.s3
            .create_bucket()
            .bucket(name)
            .send()
            .boxed_local()
            .await?;
        self.s3
            .delete_public_access_block()
            .bucket(name)
            .send()
            .boxed_local()
            .await?;
        Ok(())
    }

    async fn block(&self, bucket: &str) -> Option<PublicAccessBlockConfiguration> {
        let block = self.s3.get_public_access_block().bucket(bucket);
        let answer = block.send().boxed_local().await.ok()?;
        answer.public_access_block_configuration
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the functions compare the time of a finding with their own clock"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A finding of a control about a resource, as Security Hub sends it.
fn failed(id: &str, account: &str, control: &str, kind: &str, resource: &str) -> Value {
    let mut finding = finding(id, account);
    finding["GeneratorId"] = format!("security-control/{control}").into();
    finding["Compliance"] = json!({ "Status": "FAILED", "SecurityControlId": control });
    finding["Resources"] =
        json!([{ "Type": kind, "Id": resource, "Partition": "aws", "Region": REGION }]);
    finding["Region"] = REGION.into();
    finding["UpdatedAt"] = now().to_string().into();
    finding
}

fn queue_arn(account: &str, name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{account}:{name}")
}

fn of_queue(id: &str, account: &str, name: &str) -> Value {
    failed(
        id,
        account,
        "SQS.1",
        "AwsSqsQueue",
        &queue_arn(account, name),
    )
}

type Item = std::collections::HashMap<String, AttributeValue>;

/// The record of a control on a resource; `None` if there is none.
async fn record(cloud: &LocalCloud, key: &str) -> Result<Option<Item>> {
    let answer = aws_sdk_dynamodb::Client::new(&cloud.sdk)
        .get_item()
        .table_name(cloud.output("RemediationsTableName")?)
        .key("Key", AttributeValue::S(key.to_owned()))
        .send()
        .boxed_local()
        .await?;
    Ok(answer.item)
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}

async fn until_status(cloud: &LocalCloud, key: &str, status: &str) -> Result<Item> {
    eventually(&format!("{key} is {status}"), PATIENCE, async || {
        let item = record(cloud, key).await?;
        Ok(item.is_some_and(|item| text(&item, "Status") == status))
    })
    .await?;
    record(cloud, key).await?.context("it is there")
}

fn key_of_queue(account: &str, name: &str) -> String {
    format!("{account}#{REGION}#SQS.1#{}", queue_arn(account, name))
}

fn key_of_bucket(account: &str, name: &str) -> String {
    format!("{account}#global#S3.8#arn:aws:s3:::{name}")
}

async fn all_done_and_no_dead_letter(cloud: &LocalCloud) -> Result<()> {
    for queue in QUEUES {
        // With the visibility timeouts of a batch whose function was killed.
        cloud.until_empty(queue, PATIENCE * 5).await?;
    }
    for queue in DEAD_LETTER_QUEUES {
        assert_eq!(cloud.depth(cloud.output(queue)?).await?, 0, "{queue}");
    }
    Ok(())
}

/// Runs a test with this ceiling, and puts it back.
async fn with_ceiling(
    cloud: &LocalCloud,
    ceiling: &str,
    test: impl AsyncFnOnce(&LocalCloud) -> Result<()>,
) -> Result<()> {
    cloud.deploy(&format!("RemediationMode={ceiling}")).await?;
    let done = test(cloud).await;
    cloud.deploy("RemediationMode=observe").await?;
    done
}

/// Runs a test with the ceiling `auto`, and puts it back.
async fn with_auto(
    cloud: &LocalCloud,
    test: impl AsyncFnOnce(&LocalCloud) -> Result<()>,
) -> Result<()> {
    with_ceiling(cloud, "auto", test).await
}

#[tokio::test]
async fn observing_says_what_a_fix_then_does() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let member = Member::of(&cloud, ACCOUNT)?;
    let (name, bucket) = (unique("observed-q"), unique("observed-b"));
    let (name, bucket) = (name.trim_end_matches('-'), bucket.trim_end_matches('-'));
    let url = member.open_queue(name).await?;
    member.open_bucket(bucket).await?;
    let arn = format!("arn:aws:s3:::{bucket}");
    let sent = [
        of_queue(&format!("{name}-finding"), &member.id, name),
        failed(
            &format!("{bucket}-finding"),
            &member.id,
            "S3.8",
            "AwsS3Bucket",
            &arn,
        ),
    ];
    send(&cloud, &sent).await?;

    let keys = [
        key_of_queue(&member.id, name),
        key_of_bucket(&member.id, bucket),
    ];
    let mut predicted = BTreeMap::new();
    for key in &keys {
        eventually("the preview is there", PATIENCE, async || {
            let item = record(&cloud, key).await?;
            Ok(item.is_some_and(|item| !text(&item, "After").is_empty()))
        })
        .await?;
        let item = until_status(&cloud, key, "OBSERVED").await?;
        assert_ne!(text(&item, "Before"), text(&item, "After"), "{key}");
        predicted.insert(key.clone(), text(&item, "After").to_owned());
    }
    assert!(!member.encrypted(&url).await?, "observing changes nothing");
    assert!(
        member.block(bucket).await.is_none(),
        "observing changes nothing"
    );
    eventually(
        "the finding says what would be changed",
        PATIENCE,
        async || {
            let found = findings(&cloud, name).await?;
            let said = found
                .values()
                .filter_map(|finding| field(finding, REMEDIATION_FIELD));
            Ok(said.count() == 1)
        },
    )
    .await?;

    with_auto(&cloud, async |cloud| {
        let again: Vec<Value> = sent
            .iter()
            .map(|finding| {
                let mut again = finding.clone();
                again["UpdatedAt"] = now().to_string().into();
                again
            })
            .collect();
        send(cloud, &again).await?;
        for key in &keys {
            let item = until_status(cloud, key, "FIXED").await?;
            assert_eq!(text(&item, "After"), predicted[key], "{key}");
        }
        Ok(())
    })
    .await?;
    assert!(member.encrypted(&url).await?);
    assert!(member.block(bucket).await.is_some());
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn a_failed_finding_is_fixed_within_seconds_in_its_own_account() -> Result<()> {
    const FIXES: usize = 20;
    let cloud = LocalCloud::attach().await?;
    with_auto(&cloud, async |cloud| {
        let (member, other) = (
            Member::of(cloud, ACCOUNT)?,
            Member::of(cloud, OTHER_ACCOUNT)?,
        );
        let prefix = unique("fixed");
        let mut times = Vec::new();
        for n in 0..FIXES {
            let name = format!("{prefix}{n}");
            let url = member.open_queue(&name).await?;
            let same = other.open_queue(&name).await?;
            let started = Instant::now();
            send(cloud, &[of_queue(&name, &member.id, &name)]).await?;
            cloud
                .eventually(&QUEUES, "the queue is encrypted", PATIENCE, async || {
                    member.encrypted(&url).await
                })
                .await?;
            times.push(started.elapsed());
            assert!(
                !other.encrypted(&same).await?,
                "another account's queue stays"
            );
        }
        times.sort_unstable();
        println!(
            "from event to fixed: p50 {:?}, p99 {:?} ({FIXES} fixes)",
            times[FIXES / 2],
            times[FIXES - 1]
        );
        for n in 0..FIXES {
            let name = format!("{prefix}{n}");
            let item = until_status(cloud, &key_of_queue(&member.id, &name), "FIXED").await?;
            assert!(!text(&item, "Execution").is_empty());
        }
        eventually(
            "every finding is resolved, with a note",
            PATIENCE,
            async || {
                let found = findings(cloud, &prefix).await?;
                let resolved = found.values().filter(|finding| {
                    let status = finding.workflow().and_then(|it| it.status());
                    status == Some(&WorkflowStatus::Resolved) && finding.note().is_some()
                });
                Ok(resolved.count() == FIXES)
            },
        )
        .await?;
        all_done_and_no_dead_letter(cloud).await
    })
    .await
}

#[tokio::test]
async fn everything_twice_a_crash_and_faults_and_each_fix_is_applied_once() -> Result<()> {
    const FIXES: usize = 20;
    let cloud = LocalCloud::attach().await?;
    with_auto(&cloud, async |cloud| {
        let member = Member::of(cloud, ACCOUNT)?;
        let prefix = unique("twice");
        let mut sent = Vec::new();
        let mut urls = Vec::new();
        for n in 0..FIXES {
            let name = format!("{prefix}{n}");
            urls.push(member.open_queue(&name).await?);
            sent.push(of_queue(&name, &member.id, &name));
        }
        cloud.deliver_twice(true)?;
        for (operation, error, status) in FAULTS {
            cloud
                .set_fault(json!({ "operation": operation, "error": error, "status": status, "share": 0.2 }))
                .await?;
        }
        send(cloud, &sent).await?;
        let names = ["RemediationPlanner", "RemediationProxy", "FindingArchiver", "Remediator"]
            .map(|name| cloud.output(&format!("{name}FunctionName")))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        cloud.kill(&names)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        cloud.clear_faults().await?;
        cloud.deliver_twice(false)?;
        // A killed batch is invisible for its queue's timeout, which is skipped.
        cloud
            .eventually(&QUEUES, "every queue is encrypted", PATIENCE * 5, async || {
                for url in &urls {
                    if !member.encrypted(url).await? {
                        return Ok(false);
                    }
                }
                Ok(true)
            })
            .await?;
        for n in 0..FIXES {
            let key = key_of_queue(&member.id, &format!("{prefix}{n}"));
            cloud
                .eventually(&QUEUES, "the result is recorded", PATIENCE * 5, async || {
                    let item = record(cloud, &key).await?;
                    let done = ["FIXED", "ALREADY_COMPLIANT"];
                    Ok(item.is_some_and(|item| done.contains(&text(&item, "Status"))))
                })
                .await?;
        }
        all_done_and_no_dead_letter(cloud).await
    })
    .await
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_invoked() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    with_auto(&cloud, async |cloud| {
        let member = Member::of(cloud, ACCOUNT)?;
        let closed = cloud.accounts.get("old-crm").context("no such account")?;
        let prefix = unique("refused");
        let other = cloud
            .accounts
            .get(OTHER_ACCOUNT)
            .context("no such account")?;
        let name = format!("{prefix}q");
        let sent = [
            // The resource belongs to another account, or is in another Region.
            failed(
                &format!("{prefix}1"),
                &member.id,
                "SQS.1",
                "AwsSqsQueue",
                &queue_arn(other, &name),
            ),
            failed(
                &format!("{prefix}2"),
                &member.id,
                "SQS.1",
                "AwsSqsQueue",
                &format!("arn:aws:sqs:eu-west-1:{}:{name}", member.id),
            ),
            // A closed account, and the management account.
            of_queue(&format!("{prefix}3"), closed, &name),
            of_queue(&format!("{prefix}4"), MANAGEMENT_ACCOUNT, &name),
            // An identifier that matches everything.
            failed(
                &format!("{prefix}5"),
                &member.id,
                "SQS.1",
                "AwsSqsQueue",
                &queue_arn(&member.id, "*"),
            ),
        ];
        send(cloud, &sent).await?;
        eventually("every finding is refused", PATIENCE, async || {
            let mut refused = 0;
            let mut from = None;
            loop {
                let page = aws_sdk_dynamodb::Client::new(&cloud.sdk)
                    .scan()
                    .table_name(cloud.output("RemediationsTableName")?)
                    .set_exclusive_start_key(from)
                    .send()
                    .boxed_local()
                    .await?;
                let of_test = |item: &&Item| {
                    text(item, "Status") == "REFUSED"
                        && format!("{:?}", item.get("Findings")).contains(&prefix)
                };
                refused += page.items().iter().filter(of_test).count();
                from = page.last_evaluated_key;
                if from.is_none() {
                    return Ok(refused == sent.len());
                }
            }
        })
        .await?;
        let calls = cloud.calls_of("sts.AssumeRole").await?;
        println!("roles assumed: {}", calls.calls);
        all_done_and_no_dead_letter(cloud).await
    })
    .await
}
