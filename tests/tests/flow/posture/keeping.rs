//! Settings of the organization: observed, then applied, and kept.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_shared::posture::{keep::KeepSummary, setting_record::SettingRecord};
use orgkeeper_tests::local_cloud::eventually;
use serde_json::json;

use super::{HOME, OTHER_REGION, PATIENCE, POSTED, Posture};

const ADMINISTRATOR: &str = "security-tooling";
/// Two settings of Security Hub: for all accounts, and for those of a unit.
const SETTINGS: &str = r#"
[organization]
administrator = "security-tooling"
home_region = "us-east-1"
regions = ["us-east-1", "eu-central-1"]

[services]
access-analyzer = { on = true }
detective = { on = true, members = "all" }
guardduty = { on = true, members = "all" }
inspector = { on = true, members = "all" }
macie = { on = true, members = "all" }

[[scope]]
target = "Root"
standards = ["aws-foundational-security-best-practices/v/1.0.0", "pci-dss/v/4.0.1"]

[[scope]]
target = "Root/Workloads/Prod"
controls_off = { "CloudTrail.5" = "logs go to the archive account", "EC2.7" = "by key policy", "S3.1" = "by S3 policy" }
"#;
const HOLDS_POLICIES: [&str; 2] = [
    "securityhub.CreateConfigurationPolicy",
    "securityhub.StartConfigurationPolicyAssociation",
];
/// Calls that change something, of every service in the file.
const CHANGING: [&str; 16] = [
    "access-analyzer.CreateAnalyzer",
    "detective.CreateMembers",
    "detective.EnableOrganizationAdminAccount",
    "detective.UpdateOrganizationConfiguration",
    "guardduty.EnableOrganizationAdminAccount",
    "guardduty.UpdateOrganizationConfiguration",
    "inspector2.AssociateMember",
    "inspector2.Enable",
    "inspector2.EnableDelegatedAdminAccount",
    "inspector2.UpdateOrganizationConfiguration",
    "macie2.EnableOrganizationAdminAccount",
    "macie2.UpdateOrganizationConfiguration",
    "organizations.EnableAWSServiceAccess",
    "organizations.RegisterDelegatedAdministrator",
    "securityhub.CreateConfigurationPolicy",
    "securityhub.StartConfigurationPolicyAssociation",
];

/// A change by hand.
struct ByHand {
    service: &'static str,
    region: &'static str,
    /// Statements with a client `it` of the administrator: what they find first, then what changes it, or prints it.
    find: &'static str,
    change: &'static str,
    show: &'static str,
    /// What is shown before, and has to be again.
    right: &'static str,
    /// Words of the message.
    words: &'static str,
}

const BY_HAND: &[ByHand] = &[
    ByHand {
        service: "guardduty",
        region: OTHER_REGION,
        find: "detector = it.list_detectors()['DetectorIds'][0]",
        change: "it.update_organization_configuration(DetectorId=detector, AutoEnableOrganizationMembers='NONE')",
        show: "print(it.describe_organization_configuration(DetectorId=detector)['AutoEnableOrganizationMembers'])",
        right: "ALL",
        words: "guardduty-members",
    },
    // One of three controls of a unit is on again.
    ByHand {
        service: "securityhub",
        region: HOME,
        find: "read = [it.get_configuration_policy(Identifier=one['Id']) for one in \
               it.list_configuration_policies()['ConfigurationPolicySummaries']]; \
               off = lambda one: one['ConfigurationPolicy']['SecurityHub']['SecurityControlsConfiguration']['DisabledSecurityControlIdentifiers']; \
               policy = max(read, key=lambda one: len(off(one)))",
        change: "off(policy).remove('EC2.7'); \
                 it.update_configuration_policy(Identifier=policy['Id'], ConfigurationPolicy=policy['ConfigurationPolicy'])",
        show: "print(*sorted(off(policy)))",
        right: "CloudTrail.5 EC2.7 S3.1",
        words: "security-hub-policies",
    },
];

impl Posture {
    /// Changes something by hand, and waits until it is as it was, and somebody was named for it.
    async fn put_back(&self, by_hand: &ByHand) -> Result<()> {
        let ByHand {
            service,
            region,
            find,
            words,
            ..
        } = by_hand;
        self.cloud.clear_slack().await?;
        let administrator = &self.cloud.accounts[ADMINISTRATOR];
        let run = async |statement: &str| {
            let code = format!(
                "import sys; sys.path.insert(0, 'infra/local'); from account_settings import Account; \
                 it = Account('{administrator}').client('{service}', '{region}'); {find}; {statement}"
            );
            self.cloud.python(&["-c", &code]).await
        };
        let shown = run(by_hand.show).await?;
        ensure!(shown.trim() == by_hand.right, "{service}: {shown}");
        run(by_hand.change).await?;
        let before = Instant::now();
        eventually("it is as it was", POSTED, async || {
            Ok(run(by_hand.show).await?.trim() == by_hand.right)
        })
        .await?;
        println!(
            "{service} changed by hand: as it was after {:.1?}",
            before.elapsed()
        );
        eventually("somebody is named", POSTED, async || {
            Ok(!self.posts(words).await?.is_empty())
        })
        .await
    }

    async fn settings(&self) -> Result<Vec<SettingRecord>> {
        self.items("PostureTableName").await
    }

    async fn changing_calls(&self) -> Result<u64> {
        let mut made = 0;
        for operation in CHANGING {
            made += self.cloud.calls_of(operation).await?.calls;
        }
        Ok(made)
    }

    /// Looks at all settings, and waits until a run that began afterwards has ended.
    async fn keep(&self) -> Result<()> {
        let runs = async || self.items::<KeepSummary>("PostureTableName").await;
        let known: BTreeSet<String> = runs().await?.into_iter().map(|run| run.run).collect();
        aws_sdk_sqs::Client::new(&self.cloud.sdk)
            .send_message()
            .queue_url(self.cloud.output("PostureQueueUrl")?)
            .message_body(r#"{"task":"keep"}"#)
            .send()
            .await?;
        eventually("the run has ended", PATIENCE, async || {
            let runs = runs().await?;
            Ok(runs
                .iter()
                .any(|run| run.has_ended() && !known.contains(&run.run)))
        })
        .await
    }

    async fn until_in_place(&self) -> Result<()> {
        let all = eventually("every setting is in place", PATIENCE, async || {
            let settings = self.settings().await?;
            Ok(settings.iter().all(|record| record.state.is_settled()))
        });
        let result = all.await;
        let left: Vec<_> = self.settings().await?;
        let left: Vec<_> = left
            .iter()
            .filter(|record| !record.state.is_settled())
            .collect();
        result.with_context(|| format!("{left:?}"))
    }
}

#[tokio::test]
async fn settings_are_observed_then_applied_and_kept() -> Result<()> {
    let posture = Posture::attach().await?;
    let hub = json!({ "at_first": "off" });
    posture.cloud.set_stand_in("hub", hub).await?;
    posture.cloud.reset_calls().await?;
    let version = posture.upload(SETTINGS).await?;

    // Observed: a plan, and no change.
    let plan = format!("plans/{version}.csv");
    let mut planned = String::new();
    eventually("the plan is written", PATIENCE, async || {
        planned = posture.object(&plan).await.unwrap_or_default();
        Ok(!planned.is_empty())
    })
    .await?;
    let made = posture.changing_calls().await?;
    ensure!(made == 0, "{made} calls were made");
    for operation in CHANGING {
        let (_, name) = operation.split_once('.').context("an operation")?;
        // An account that has to be associated first is not planned apart.
        ensure!(
            planned.contains(name) || name == "Enable",
            "{name} is not in the plan:\n{planned}"
        );
    }

    // Applied: every setting is in place, with one policy for each distinct setting and one call for each target.
    let before = Instant::now();
    posture.cloud.deploy("PostureMode=apply").await?;
    posture.keep().await?;
    posture.until_in_place().await?;
    println!(
        "{} settings in place after {:.1?}: {} changing calls",
        posture.settings().await?.len(),
        before.elapsed(),
        posture.changing_calls().await?
    );
    for operation in HOLDS_POLICIES {
        let calls = posture.cloud.calls_of(operation).await?;
        ensure!(
            calls.calls == 2 && calls.refused == 0,
            "{operation}: {calls:?}"
        );
    }

    // Again: nothing is left to change.
    posture.cloud.reset_calls().await?;
    posture.keep().await?;
    let made = posture.changing_calls().await?;
    ensure!(made == 0, "the second run made {made} changing calls");

    // Somebody changes it by hand: it is as it was again, and the message says who did it.
    for by_hand in BY_HAND {
        posture.put_back(by_hand).await?;
    }
    posture.cloud.deploy("PostureMode=observe").await
}
