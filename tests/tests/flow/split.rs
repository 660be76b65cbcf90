//! orgkeeper in a management, a security and a service account, on the local cloud: events, contacts and fixes between
//! accounts, with the policies of buses, queues and roles checked. `infra/local/split.py` deploys it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aws_config::{Region, SdkConfig};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_securityhub::types::{AwsSecurityFindingFilters, StringFilter, StringFilterComparison};
use aws_sdk_sqs::{
    config::{Credentials, SharedCredentialsProvider},
    types::QueueAttributeName,
};
use futures::FutureExt as _;
use orgkeeper_tests::{
    alerts::SampleEvent,
    findings::unique,
    local_cloud::{LocalCloud, eventually, state_file},
    organization::finding,
    sqs::{create_unencrypted, encrypted},
};
use serde::Deserialize;
use serde_json::{Value, json};

const HOME: &str = "us-east-1";
const PATIENCE: Duration = Duration::from_mins(1);
/// Members with no part in orgkeeper.
const MEMBER: &str = "webshop-prod";
const OTHER_MEMBER: &str = "kundenportal-prod";
/// The security contact of the other member.
const CONTACT: &str = "juergen@example.com";

/// What one of the accounts has.
#[derive(Debug, Deserialize)]
struct Part {
    account: String,
    outputs: BTreeMap<String, String>,
}

/// What `cloud.py` writes about the form.
#[derive(Debug, Deserialize)]
struct Form {
    management: Part,
    security: Part,
    service: Part,
    other_region: String,
}

/// The local cloud with several accounts.
struct Split {
    cloud: LocalCloud,
    form: Form,
}

impl Split {
    async fn attach() -> Result<Self> {
        let cloud = LocalCloud::attach().await?;
        let form = state_file("split.json").context("ORGKEEPER_FORM=split make up")?;
        let form = serde_json::from_str(&form)?;
        cloud.clear_slack().await?;
        Ok(Self { cloud, form })
    }

    fn member(&self, name: &str) -> Result<&str> {
        let id = self.cloud.accounts.get(name).context("no such account")?;
        Ok(id)
    }

    /// For clients of an account's own.
    fn sdk(&self, account: &str, region: &str) -> SdkConfig {
        let own = Credentials::new(account, "test", None, None, "own");
        let sdk = self.cloud.sdk.to_builder();
        sdk.credentials_provider(SharedCredentialsProvider::new(own))
            .region(Region::new(region.to_owned()))
            .build()
    }

    /// Sends a sample as AWS does: on the default bus of this account and Region.
    async fn occurs(&self, sample: &'static str, account: &str, region: &str) -> Result<()> {
        let event = SampleEvent::about(sample, rand::random(), 0, account.to_owned())?
            .with("/region", region.into())?
            .with("/detail/awsRegion", region.into())?;
        self.cloud
            .send_service_events(vec![event.message().clone()])
            .await
    }

    /// How many messages in Slack have all these texts.
    async fn posts(&self, texts: &[&str]) -> Result<usize> {
        let posts = self.cloud.slack().await?.into_iter();
        let fitting = posts.filter(|post| texts.iter().all(|text| post.text.contains(text)));
        Ok(fitting.count())
    }

    async fn in_slack(&self, texts: &[&str]) -> Result<()> {
        eventually(&format!("{texts:?} is in Slack"), PATIENCE, async || {
            Ok(self.posts(texts).await? == 1)
        })
        .await
    }

    /// Puts an event on the bus of alerts, as a principal of that account may try; returns the error code.
    async fn put(&self, account: &str, source: &str, detail: &Value) -> Result<Option<String>> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.form.management.outputs["AlertsBusArn"])
            .source(source)
            .detail_type("AWS Console Sign In via CloudTrail")
            .detail(detail.to_string())
            .build();
        let events = aws_sdk_eventbridge::Client::new(&self.sdk(account, HOME));
        let answer = events.put_events().entries(entry).send().await;
        match answer {
            Ok(answer) => Ok(answer.entries().iter().find_map(|it| it.error_code.clone())),
            Err(error) => {
                let service = error.into_service_error();
                Ok(service.meta().code().map(str::to_owned))
            }
        }
    }
}

#[tokio::test]
async fn a_root_sign_in_of_a_member_in_another_region_reaches_slack_once() -> Result<()> {
    let split = Split::attach().await?;
    let elsewhere = split.form.other_region.clone();
    let member = split.member(MEMBER)?;
    split.occurs("root-sign-in", member, &elsewhere).await?;
    split
        .in_slack(&["Root user signed in", member, &elsewhere])
        .await?;
    // The accounts that have a part of orgkeeper are members too, and what StackSets leave out has a stack of its own.
    for account in [&split.form.security.account, &split.form.management.account] {
        split.occurs("root-sign-in", account, &elsewhere).await?;
        split
            .in_slack(&["Root user signed in", account, &elsewhere])
            .await?;
    }
    ensure!(split.cloud.slack().await?.len() == 3, "another alert");
    Ok(())
}

#[tokio::test]
async fn a_security_contact_is_on_the_finding_of_a_member() -> Result<()> {
    let split = Split::attach().await?;
    let (member, security) = (split.member(OTHER_MEMBER)?, &split.form.security.account);
    let id = unique("split");
    let event = json!({
        "source": "aws.securityhub",
        "detail-type": "Security Hub Findings - Imported",
        "account": security,
        "detail": { "findings": [finding(&id, member)] },
    });
    split.cloud.send_service_events(vec![event]).await?;
    let hub = aws_sdk_securityhub::Client::new(&split.sdk(security, HOME));
    let filter = StringFilter::builder()
        .value(&id)
        .comparison(StringFilterComparison::Equals)
        .build();
    let filters = AwsSecurityFindingFilters::builder().id(filter).build();
    eventually("the contact is on the finding", PATIENCE, async || {
        let found = hub
            .get_findings()
            .filters(filters.clone())
            .send()
            .boxed_local()
            .await?;
        let fields = found
            .findings()
            .iter()
            .filter_map(|it| it.user_defined_fields());
        Ok(fields
            .flatten()
            .any(|(name, value)| name == "securityContact" && value.contains(CONTACT)))
    })
    .await
}

#[tokio::test]
async fn a_fix_reaches_a_member() -> Result<()> {
    let split = Split::attach().await?;
    let (member, security) = (split.member(MEMBER)?, &split.form.security.account);
    let name = unique("split");
    let name = name.trim_end_matches('-');
    let queues = aws_sdk_sqs::Client::new(&split.sdk(member, HOME));
    let url = create_unencrypted(&queues, name).await?;
    let mut failed = finding(name, member);
    failed["GeneratorId"] = "security-control/SQS.1".into();
    failed["Compliance"] = json!({ "Status": "FAILED", "SecurityControlId": "SQS.1" });
    let arn = format!("arn:aws:sqs:{HOME}:{member}:{name}");
    failed["Resources"] =
        json!([{ "Type": "AwsSqsQueue", "Id": arn, "Partition": "aws", "Region": HOME }]);
    failed["Region"] = HOME.into();
    let event = json!({
        "source": "aws.securityhub",
        "detail-type": "Security Hub Findings - Imported",
        "account": security,
        "detail": { "findings": [failed] },
    });
    split.cloud.send_service_events(vec![event]).await?;
    eventually("the queue is encrypted", PATIENCE, async || {
        encrypted(&queues, &url).await
    })
    .await?;
    ensure!(
        split
            .form
            .service
            .outputs
            .contains_key("RemediatorFunctionName"),
        "the service account has the remediator"
    );
    Ok(())
}

#[tokio::test]
async fn a_members_forged_root_event_reaches_nobody_and_raises_an_alarm() -> Result<()> {
    let split = Split::attach().await?;
    let (member, victim) = (split.member(MEMBER)?, split.member(OTHER_MEMBER)?);
    let management = &split.form.management.account;
    // Whatever was measured before has been reported.
    split.cloud.evaluate_alarms(management, HOME).await?;
    let sign_in = SampleEvent::about("root-sign-in", rand::random(), 0, victim.to_owned())?;
    let detail = &sign_in.message()["detail"];

    let refused = |code: Option<String>| code.unwrap_or_default();
    ensure!(
        refused(split.put(member, "aws.signin", detail).await?)
            == "NotAuthorizedForSourceException"
    );
    ensure!(
        refused(split.put("999999999999", "signin", detail).await?) == "AccessDeniedException",
        "an account outside of the organization"
    );
    ensure!(split.put(member, "signin", detail).await?.is_none());
    split
        .in_slack(&["Forged or misrouted event", member])
        .await?;
    ensure!(
        split.posts(&["Root user"]).await? == 0,
        "somebody got an alert"
    );
    ensure!(split.posts(&[victim]).await? == 0, "the content is shown");
    ensure!(
        !split
            .cloud
            .mails()?
            .iter()
            .any(|mail| mail.text.contains("Root user") && mail.text.contains(victim)),
        "somebody got an alert by mail"
    );

    let changed = split.cloud.evaluate_alarms(management, HOME).await?;
    ensure!(
        changed
            .iter()
            .any(|name| name.contains("ForgedEventsAlarm")),
        "{changed:?}"
    );
    eventually("the alarm is in the mail", PATIENCE, async || {
        let mails = split.cloud.mails()?;
        Ok(mails
            .iter()
            .any(|mail| mail.text.starts_with("ALARM") && mail.text.contains("ForgedEventsAlarm")))
    })
    .await
}

#[tokio::test]
async fn what_a_member_cannot_forward_is_kept_and_raises_an_alarm() -> Result<()> {
    let split = Split::attach().await?;
    let (member, elsewhere) = (split.member(OTHER_MEMBER)?, split.form.other_region.clone());
    let queues = aws_sdk_sqs::Client::new(&split.sdk(member, &elsewhere));
    let found = queues.list_queues().send().await?;
    let dead = found
        .queue_urls()
        .iter()
        .find(|url| url.contains("StackSet-orgkeeper-alert-events"))
        .context("no dead-letter queue")?;
    split.cloud.evaluate_alarms(member, &elsewhere).await?;
    let events = aws_sdk_eventbridge::Client::new(&split.sdk(&split.form.management.account, HOME));
    let bus = events
        .describe_event_bus()
        .name("orgkeeper-alerts")
        .send()
        .await?;
    let policy = bus.policy.context("the bus has no policy")?;
    events
        .remove_permission()
        .event_bus_name("orgkeeper-alerts")
        .remove_all_permissions(true)
        .send()
        .await?;
    split.occurs("root-sign-in", member, &elsewhere).await?;
    eventually("the event is kept", PATIENCE, async || {
        let depth = queues
            .get_queue_attributes()
            .queue_url(dead)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .send()
            .await?;
        let messages = depth
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::ApproximateNumberOfMessages));
        Ok(messages.is_some_and(|messages| messages != "0"))
    })
    .await?;
    ensure!(split.cloud.slack().await?.is_empty());
    events
        .put_permission()
        .event_bus_name("orgkeeper-alerts")
        .policy(policy)
        .send()
        .await?;

    // The bus is open again, so that the alarm reaches the people on call by the same way.
    let changed = split.cloud.evaluate_alarms(member, &elsewhere).await?;
    ensure!(
        changed
            .iter()
            .any(|name| name.contains("ForwardingFailedAlarm")),
        "{changed:?}"
    );
    split.in_slack(&["went off in", member]).await
}

#[tokio::test]
async fn a_new_account_forwards_its_events_without_anybody_doing_anything() -> Result<()> {
    let split = Split::attach().await?;
    let name = unique("new");
    let name = name.trim_end_matches('-');
    let organizations = aws_sdk_organizations::Client::new(&split.cloud.sdk);
    organizations
        .create_account()
        .account_name(name)
        .email(format!("{name}@example.com"))
        .send()
        .await?;
    eventually("the account exists", PATIENCE, async || {
        Ok(split
            .cloud
            .accounts_now()
            .boxed_local()
            .await?
            .contains_key(name))
    })
    .await?;
    let id = split.cloud.accounts_now().await?[name].clone();
    eventually("its root sign-in is in Slack", PATIENCE * 2, async || {
        split
            .occurs("root-sign-in", &id, HOME)
            .boxed_local()
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(split.posts(&["Root user signed in", &id]).await? > 0)
    })
    .await
}
