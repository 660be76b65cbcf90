//! `orgkeeper doctor`, `status` and `redrive` on the local cloud, with the deployed stack.

mod breakages;
mod redrive;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_config::SdkConfig;
use aws_sdk_securityhub::types::RecordState;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use jiff::Timestamp;
use orgkeeper_cli::{outcome::Outcome, queues::QUEUES};
use orgkeeper_tests::{
    documents::Block,
    findings::findings,
    local_cloud::{LocalCloud, eventually},
    orgkeeper::{Run, orgkeeper},
};
use serde_json::Value;

use breakages::{BREAKAGES, Breakage, CLEAN_UP, PRELUDE, PREPARE, Restore};

/// The time between two looks of the command at something.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a check may take to see a change: a stack set deploys within seconds.
const PATIENCE: Duration = Duration::from_mins(2);
/// The account of the second set-up, by its name in the example organization.
const SECURITY: &str = "security-tooling";

/// An operator of the local cloud.
struct Operator<'c> {
    cloud: &'c LocalCloud,
    security: String,
    variables: Vec<(String, String)>,
}

impl<'c> Operator<'c> {
    async fn of(cloud: &'c LocalCloud) -> Result<Self> {
        let endpoint = cloud.sdk.endpoint_url().context("no endpoint")?.to_owned();
        let security = cloud.accounts.get(SECURITY).context(SECURITY)?.clone();
        let roots = aws_sdk_organizations::Client::new(&cloud.sdk);
        let roots = roots.list_roots().send().await?.roots.unwrap_or_default();
        let organization = aws_sdk_organizations::Client::new(&cloud.sdk);
        let organization = organization.describe_organization().send().await?;
        let organization = organization.organization.and_then(|it| it.id);
        let unit = cloud.organizational_units.get("Root/Workloads");
        let mut variables = vec![
            ("AWS_ENDPOINT_URL".to_owned(), endpoint),
            ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
            ("AWS_DEFAULT_REGION".to_owned(), "us-east-1".to_owned()),
            ("AWS_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
            (
                "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
                "/dev/null".to_owned(),
            ),
            ("SECURITY".to_owned(), security.clone()),
            (
                "ORGANIZATION".to_owned(),
                organization.context("no organization")?,
            ),
            (
                "ROOT".to_owned(),
                roots
                    .into_iter()
                    .find_map(|root| root.id)
                    .context("no root")?,
            ),
            (
                "UNIT".to_owned(),
                unit.context("no organizational unit")?.clone(),
            ),
            (
                "INSTANCE".to_owned(),
                cloud.identity_center.instance_arn.clone(),
            ),
        ];
        variables.extend(cloud.outputs.clone());
        Ok(Self {
            cloud,
            security,
            variables,
        })
    }

    /// Executes commands of the AWS CLI as a person would.
    fn shell(&self, commands: &str) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let block = Block {
            file: "tests/tests/flow/operator/breakages.rs".to_owned(),
            section: String::new(),
            line: 0,
            text: commands.to_owned(),
        };
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let done = block.execute(PRELUDE, &variables)?;
        ensure!(
            done.status.success(),
            "{commands}: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Runs the command in the management account.
    async fn run(&self, arguments: &[&str]) -> Result<Run> {
        run(self.cloud.sdk.clone(), arguments).await
    }

    async fn doctor(&self, in_security: bool, more: &[&str]) -> Result<(Run, Value)> {
        let sdk = if in_security {
            let account = Credentials::new(&self.security, "test", None, None, "local");
            let account = SharedCredentialsProvider::new(account);
            let builder = self.cloud.sdk.to_builder();
            builder.credentials_provider(account).build()
        } else {
            self.cloud.sdk.clone()
        };
        let mut arguments = vec![
            "doctor",
            "--output=json",
            "--stack-set=operator-roles",
            "--forwarding-stack-set=operator-events",
        ];
        arguments.extend(more);
        let run = run(sdk, &arguments).await?;
        let report = run.json()?;
        Ok((run, report))
    }

    /// Waits until nothing is to do in this set-up.
    async fn healthy(&self, in_security: bool, more: &[&str]) -> Result<()> {
        let mut seen = Vec::new();
        let waited = eventually("nothing is to do", PATIENCE, async || {
            let (run, report) = self.doctor(in_security, more).await?;
            seen = to_do(&report);
            Ok(seen.is_empty() && run.outcome == Outcome::Done)
        });
        waited.await.with_context(|| format!("to do: {seen:?}"))
    }

    /// Breaks something, sees it named and nothing else, and restores it.
    async fn tried(&self, breakage: &Breakage) -> Result<()> {
        let Breakage {
            check,
            broken_by,
            found,
            restored_by,
            in_security,
            arguments,
            after,
        } = breakage;
        self.shell(broken_by)?;
        let mut seen = Vec::new();
        let named = eventually(found, PATIENCE, async || {
            let (run, report) = self.doctor(*in_security, arguments).await?;
            seen = to_do(&report);
            let exactly = seen.len() == 1 && seen[0].check == *check;
            Ok(exactly && seen[0].found.contains(found) && run.outcome == Outcome::Found)
        })
        .await;
        let restored = match restored_by {
            Restore::Nothing => Ok(()),
            Restore::By(commands) => self.shell(commands),
            Restore::AsPrinted => seen
                .iter()
                .find(|line| line.check == *check)
                .context("no advice")
                .and_then(|line| self.shell(&self.advice(&line.fix)?)),
        };
        let healthy = match restored_by {
            Restore::Nothing => Ok(()),
            _ => self.healthy(*in_security, arguments).await,
        };
        self.shell(after)?;
        named.with_context(|| format!("to do: {seen:?}"))?;
        restored?;
        healthy?;
        println!("{check}: {} -> {}", seen[0].found, seen[0].fix);
        Ok(())
    }

    /// The commands of what is printed as to do, with values in place of what a person fills in.
    fn advice(&self, fix: &str) -> Result<String> {
        let start = fix
            .find("aws ")
            .with_context(|| format!("no command: {fix}"))?;
        let endpoint = self.cloud.sdk.endpoint_url().unwrap_or_default();
        let file =
            std::env::temp_dir().join(format!("orgkeeper-operator-webhook-{}", self.security));
        std::fs::write(&file, format!("{endpoint}/_orgkeeper/slack/alerts\n"))?;
        Ok(fix[start..]
            .replace("<ErrorEmail>", "platform@example.com")
            .replace("file://<file>", &format!("file://{}", file.display())))
    }
}

async fn run(sdk: SdkConfig, arguments: &[&str]) -> Result<Run> {
    #[expect(
        clippy::disallowed_methods,
        reason = "messages are compared to the time of the run"
    )]
    let now = Timestamp::now();
    orgkeeper(sdk, arguments, now, PAUSE).await
}

/// A line of doctor that says that something is to do.
#[derive(Debug)]
struct ToDo {
    check: String,
    found: String,
    fix: String,
}

fn to_do(report: &Value) -> Vec<ToDo> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = report["checks"].as_array().into_iter().flatten();
    lines
        .filter(|line| line["state"] == "to-do")
        .map(|line| ToDo {
            check: text(line, "id"),
            found: text(line, "found"),
            fix: text(line, "fix"),
        })
        .collect()
}

/// Deletes what other flows left in the dead-letter queues.
async fn empty_dead_letters(cloud: &LocalCloud) -> Result<()> {
    for row in QUEUES {
        // A flow that is off has none.
        if let Ok(url) = cloud.output(&format!("{}Url", row.dead_letters)) {
            cloud.drain(url).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_each_breakage_and_nothing_else() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let operator = Operator::of(&cloud).await?;
    empty_dead_letters(&cloud).await?;
    operator.shell(PREPARE)?;
    operator.healthy(false, &[]).await?;
    let (_, report) = operator.doctor(false, &[]).await?;
    let not_ok: Vec<&Value> = report["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|line| line["state"] != "ok")
        .collect();
    ensure!(not_ok.is_empty(), "{not_ok:#?}");

    let mut wrong = Vec::new();
    for breakage in BREAKAGES {
        if let Err(error) = operator.tried(breakage).await {
            let text = format!("{} ({}): {error:#}", breakage.check, breakage.broken_by);
            println!("{text}");
            wrong.push(text);
        }
    }
    operator.shell(CLEAN_UP)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_reaches_the_end_of_each_flow() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let operator = Operator::of(&cloud).await?;
    empty_dead_letters(&cloud).await?;
    operator.shell(PREPARE)?;
    operator.healthy(false, &[]).await?;
    let (run, report) = operator.doctor(false, &["--send-test-event"]).await?;
    operator.shell(CLEAN_UP)?;
    let tests = report["flowTests"].as_array().context("no tests")?;
    let flows: Vec<&str> = tests.iter().filter_map(|it| it["flow"].as_str()).collect();
    ensure!(
        flows == ["directory", "enrich", "vend", "alert", "remediate"],
        "{flows:?}"
    );
    ensure!(tests.iter().all(|test| test["state"] == "ok"), "{tests:#?}");
    ensure!(run.outcome == Outcome::Done, "{report:#}");
    for finding in findings(&cloud, "TEST-orgkeeper-doctor-").await?.values() {
        let state = finding.record_state.as_ref().map(RecordState::as_str);
        ensure!(state == Some("ARCHIVED"), "{:?} is {state:?}", finding.id);
    }
    for line in tests {
        println!("{} -> {}", line["flow"], line["found"]);
    }
    Ok(())
}

/// Before the first deployment: what the account needs is checked, and what the stack needs is named in one line.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_deployment_doctor_checks_the_account() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let operator = Operator::of(&cloud).await?;
    let fresh = ["doctor", "--stack=another", "--flow=enrich", "--flow=vend"];
    let run = operator.run(&fresh).await?;
    println!("{}", run.out);
    ensure!(run.outcome == Outcome::Done, "{}{}", run.out, run.err);
    ensure!(
        run.out.contains("(not deployed yet)")
            && run.out.contains("after the deployment")
            && !run.out.contains("to do  "),
        "{}",
        run.out
    );
    let all = operator.run(&["doctor"]).await?;
    println!("{}", all.out);
    Ok(())
}
