//! Rehearsed outages on the local cloud, with the deployed template: attached, gone by the schedule alone, refused, reported.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_organizations::types::{PolicyType, Tag};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_tests::{alerts::Notification, local_cloud::LocalCloud};
use serde_json::{Value, json};

const UNIT: &str = "Root/Sandbox";
const ACCOUNT: &str = "sandbox-anna";
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the policy is attached in the test: one-time schedules are exact to the second here.
const WINDOW: SignedDuration = SignedDuration::from_secs(90);
const QUEUES: [&str; 1] = ["RehearsalsQueueUrl"];
const PREFIX: &str = "orgkeeper-rehearsal-";
const DENIED: &str = include_str!("../../../events/outage-rehearser/denied-call.json");

/// The cloud, and what the test asks of it.
struct Rehearsal<'c> {
    cloud: &'c LocalCloud,
    organizations: aws_sdk_organizations::Client,
    tables: aws_sdk_dynamodb::Client,
    storage: aws_sdk_s3::Client,
    unit: String,
    id: String,
}

impl<'c> Rehearsal<'c> {
    fn of(cloud: &'c LocalCloud, name: &str, from: Timestamp) -> Result<Self> {
        let unit = cloud.organizational_units.get(UNIT).context(UNIT)?;
        Ok(Self {
            cloud,
            organizations: aws_sdk_organizations::Client::new(&cloud.sdk),
            tables: aws_sdk_dynamodb::Client::new(&cloud.sdk),
            storage: aws_sdk_s3::Client::new(&cloud.sdk),
            unit: unit.clone(),
            id: format!("{name}#{from}"),
        })
    }

    async fn upload(&self, file: &str) -> Result<()> {
        self.storage
            .put_object()
            .bucket(self.cloud.output("RehearsalsBucketName")?)
            .key("rehearsals.toml")
            .body(file.as_bytes().to_vec().into())
            .send()
            .await?;
        Ok(())
    }

    async fn plan(&self) -> Result<()> {
        aws_sdk_sqs::Client::new(&self.cloud.sdk)
            .send_message()
            .queue_url(self.cloud.output("RehearsalsQueueUrl")?)
            .message_body(json!({ "task": "plan" }).to_string())
            .send()
            .await?;
        Ok(())
    }

    /// An attribute of the record.
    async fn attribute(&self, name: &str) -> Result<Option<String>> {
        let item = self
            .tables
            .get_item()
            .table_name(self.cloud.output("RehearsalsTableName")?)
            .key("Id", AttributeValue::S(self.id.clone()))
            .send()
            .await?
            .item;
        let text = |value: &AttributeValue| value.as_s().ok().cloned();
        Ok(item.as_ref().and_then(|item| item.get(name)).and_then(text))
    }

    async fn until_state(&self, state: &str) -> Result<()> {
        self.cloud
            .eventually(
                &QUEUES,
                &format!("{} is {state}", self.id),
                PATIENCE,
                async || Ok(self.attribute("State").await?.as_deref() == Some(state)),
            )
            .await
    }

    /// The names of our policies that the unit has.
    async fn attached(&self) -> Result<Vec<String>> {
        let answer = self
            .organizations
            .list_policies_for_target()
            .target_id(&self.unit)
            .filter(PolicyType::ServiceControlPolicy)
            .send()
            .await?;
        let names = answer.policies.unwrap_or_default().into_iter();
        Ok(names
            .filter_map(|policy| policy.name)
            .filter(|name| name.starts_with(PREFIX))
            .collect())
    }

    async fn policies(&self) -> Result<usize> {
        let answer = self
            .organizations
            .list_policies()
            .filter(PolicyType::ServiceControlPolicy)
            .send()
            .await?;
        let names = answer.policies.unwrap_or_default().into_iter();
        Ok(names
            .filter(|policy| policy.name().is_some_and(|name| name.starts_with(PREFIX)))
            .count())
    }

    /// Sets an attribute of the record, as if it had been so for long.
    async fn set(&self, name: &str, time: Timestamp) -> Result<()> {
        self.tables
            .update_item()
            .table_name(self.cloud.output("RehearsalsTableName")?)
            .key("Id", AttributeValue::S(self.id.clone()))
            .update_expression("SET #Name = :time")
            .expression_attribute_names("#Name", name)
            .expression_attribute_values(":time", AttributeValue::S(time.to_string()))
            .send()
            .await?;
        Ok(())
    }
}

fn row(name: &str, target: &str, from: Timestamp, until: Timestamp) -> String {
    format!(
        "[[rehearsal]]\nname = \"{name}\"\ntarget = \"{target}\"\ndeny = [\"route53\"]\nfrom = {from}\nuntil = {until}\n\
         exempt-role = \"BreakGlass\"\n\n"
    )
}

/// A call of Route 53 that was denied to a role of the account, as its rule forwards it.
fn denied(bus: &str, account: &str, role: &str, id: &str, time: Timestamp) -> Result<Value> {
    let mut event: Value = serde_json::from_str(&DENIED.replace("111122223333", account))?;
    event["bus"] = bus.into();
    event["time"] = time.to_string().into();
    let detail = &mut event["detail"];
    detail["eventTime"] = time.to_string().into();
    detail["eventID"] = id.into();
    detail["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] =
        format!("arn:aws:iam::{account}:role/{role}").into();
    Ok(event)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a policy's window is compared with the clock of the local cloud"
)]
fn now() -> Result<Timestamp> {
    let now = Timestamp::now().as_second();
    Ok(Timestamp::from_second(now)?)
}

/// The report names the callers, in the bucket and by mail.
async fn reported(
    cloud: &LocalCloud,
    rehearsal: &Rehearsal<'_>,
    name: &str,
    (from, until): (Timestamp, Timestamp),
) -> Result<()> {
    let account = cloud.accounts.get(ACCOUNT).context(ACCOUNT)?;
    // As if late events had had their time.
    let hour = SignedDuration::from_hours(1);
    rehearsal.set("From", from - hour).await?;
    rehearsal.set("EndedAt", until - hour).await?;
    rehearsal.plan().await?;
    let key = format!(
        "reports/{name}-{}.csv",
        (from - hour).strftime("%Y%m%dT%H%MZ")
    );
    let bucket = cloud.output("RehearsalsBucketName")?;
    let mut report = String::new();
    cloud
        .eventually(&QUEUES, "the report is there", PATIENCE, async || {
            let object = rehearsal
                .storage
                .get_object()
                .bucket(bucket)
                .key(&key)
                .send()
                .await;
            let Ok(object) = object else { return Ok(false) };
            report = String::from_utf8(object.body.collect().await?.to_vec())?;
            Ok(true)
        })
        .await?;
    let of = |role: &str, calls: usize| {
        format!("arn:aws:iam::{account}:role/{role},route53:ListHostedZones,us-east-1,{calls}\n")
    };
    let expected = format!(
        "caller,action,region,calls\n{}{}",
        of("ExternalDns", 2),
        of("Deployer", 1)
    );
    ensure!(report == expected, "{report}");
    cloud
        .eventually(
            &QUEUES,
            "the callers are named by mail",
            PATIENCE,
            async || {
                let mails: Vec<Notification> = cloud.mails()?;
                let words = format!("Rehearsal {name}: 2 callers were denied 3 calls");
                Ok(mails.iter().any(|mail| mail.text.contains(&words)))
            },
        )
        .await
}

#[tokio::test]
async fn a_rehearsal_is_attached_ends_by_its_schedule_alone_and_names_the_callers() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let from = now()? - SignedDuration::from_secs(5);
    let until = from + WINDOW;
    let name = format!("dns-{}", from.as_second());
    let rehearsal = Rehearsal::of(&cloud, &name, from)?;
    let tag = Tag::builder().key("rehearsal").value("allowed").build()?;
    let organizations = &rehearsal.organizations;
    organizations
        .tag_resource()
        .resource_id(&rehearsal.unit)
        .tags(tag)
        .send()
        .await?;

    // One that is allowed, and one of the root.
    let root = organizations.list_roots().send().await?;
    let root = root
        .roots()
        .first()
        .and_then(|root| root.id())
        .context("a root")?;
    let refused = Rehearsal {
        id: format!("root-{name}#{from}"),
        ..Rehearsal::of(&cloud, &name, from)?
    };
    let file =
        row(&name, &rehearsal.unit, from, until) + &row(&format!("root-{name}"), root, from, until);
    rehearsal.upload(&file).await?;
    rehearsal.plan().await?;
    rehearsal.until_state("ATTACHED").await?;
    refused.until_state("REFUSED").await?;
    let attached = rehearsal.attached().await?;
    ensure!(
        attached.len() == 1 && attached[0].contains(&name),
        "{attached:?}"
    );

    let account = cloud.accounts.get(ACCOUNT).context(ACCOUNT)?;
    let bus = cloud.output("RehearsalsBusArn")?;
    let calls = [
        ("ExternalDns", "1"),
        ("ExternalDns", "2"),
        ("ExternalDns", "2"),
        ("Deployer", "3"),
    ];
    let calls = calls.map(|(role, id)| {
        denied(
            bus,
            account,
            role,
            &format!("{name}-{id}"),
            from + SignedDuration::from_secs(2),
        )
    });
    let calls: Vec<Value> = calls.into_iter().collect::<Result<_>>()?;
    cloud.send_service_events(calls).await?;

    // No plan runs meanwhile: the schedule alone detaches it.
    cloud
        .eventually(&QUEUES, "the policy is detached", PATIENCE, async || {
            Ok(rehearsal.attached().await?.is_empty())
        })
        .await?;
    ensure!(now()? >= until, "detached before its end");
    ensure!(rehearsal.attribute("State").await?.as_deref() == Some("ATTACHED"));
    rehearsal.plan().await?;
    rehearsal.until_state("ENDED").await?;
    ensure!(rehearsal.policies().await? == 0, "a policy is left");
    cloud.until_empty("RehearsalsQueueUrl", PATIENCE).await?;

    reported(&cloud, &rehearsal, &name, (from, until)).await?;
    rehearsal.upload("").await?;
    ensure!(
        cloud
            .depth(cloud.output("RehearsalsDeadLetterQueueUrl")?)
            .await?
            == 0
    );
    Ok(())
}
