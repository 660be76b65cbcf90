//! The local cloud that `make up` starts: its clients, its faults, its counts.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::{config::Credentials, types::QueueAttributeName};
use orgkeeper_shared::config::environment;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// Faults and counts are the whole cloud's: one flow at a time.
static ONE_FLOW: Mutex<()> = Mutex::const_new(());
/// Messages that one call receives.
const RECEIVED_PER_CALL: i32 = 10;

/// What `make up` writes down about the example organization.
#[derive(Debug, Deserialize)]
struct Written {
    accounts: BTreeMap<String, String>,
    organizational_units: BTreeMap<String, String>,
    identity_center: IdentityCenter,
}

/// The example organization's IAM Identity Center.
#[derive(Debug, Deserialize)]
pub struct IdentityCenter {
    /// The instance.
    pub instance_arn: String,
    /// Groups: name to id.
    pub groups: BTreeMap<String, String>,
    /// Permission sets: name to ARN.
    pub permission_sets: BTreeMap<String, String>,
}

/// The running local cloud, held by one flow until it is dropped.
pub struct LocalCloud {
    /// For clients of the management account.
    pub sdk: SdkConfig,
    /// The stack's outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// The example organization's accounts: name to id.
    pub accounts: BTreeMap<String, String>,
    /// Its organizational units: path to id.
    pub organizational_units: BTreeMap<String, String>,
    /// Its IAM Identity Center.
    pub identity_center: IdentityCenter,
    endpoint: String,
    http: reqwest::Client,
    _alone: MutexGuard<'static, ()>,
}

/// How many calls of an operation the front door has seen.
#[derive(Debug, Default, Deserialize)]
pub struct Calls {
    /// All of them.
    pub calls: u64,
    /// Those that were answered with an error.
    pub refused: u64,
    /// The most in any one second.
    pub busiest_second: u64,
}

impl LocalCloud {
    /// The local cloud on `ORGKEEPER_PORT` (4566 if not set) of `ORGKEEPER_INSTANCE` (`local` if not set), with no
    /// fault set and counts at zero.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn attach() -> Result<Self> {
        let alone = ONE_FLOW.lock().await;
        let port = environment("ORGKEEPER_PORT").unwrap_or_else(|| "4566".to_owned());
        let state = state_folder();
        let read = |name: &str| {
            std::fs::read_to_string(state.join(name))
                .with_context(|| format!("the local cloud does not run on port {port}: make up"))
        };
        let outputs = serde_json::from_str(&read("outputs.json")?)?;
        let written: Written = serde_json::from_str(&read("organization.json")?)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .endpoint_url(&endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "local"))
            // Faults strike the tests' own calls too.
            .retry_config(RetryConfig::standard().with_max_attempts(8))
            .load()
            .await;
        let cloud = Self {
            sdk,
            outputs,
            accounts: written.accounts,
            organizational_units: written.organizational_units,
            identity_center: written.identity_center,
            endpoint,
            http: reqwest::Client::new(),
            _alone: alone,
        };
        cloud.clear_faults().await?;
        cloud.reset_calls().await?;
        cloud.reset_vending().await?;
        cloud.slack_answers(None).await?;
        cloud.deliver_twice(false)?;
        Ok(cloud)
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// If the stack has none of that name.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output {name}"))
    }

    /// Sets a fault; the front door's own documentation has the form.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn set_fault(&self, fault: Value) -> Result<()> {
        self.control(reqwest::Method::POST, "faults", Some(fault))
            .await
            .map(drop)
    }

    /// Clears every fault.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.control(reqwest::Method::DELETE, "faults", None)
            .await
            .map(drop)
    }

    /// The calls of an operation, `securityhub.BatchUpdateFindings` say, since the flow began or the counts were reset.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn calls_of(&self, operation: &str) -> Result<Calls> {
        let answer = self.control(reqwest::Method::GET, "calls", None).await?;
        let mut all: BTreeMap<String, Calls> = serde_json::from_str(&answer)?;
        Ok(all.remove(operation).unwrap_or_default())
    }

    /// Sets every count of calls to zero.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn reset_calls(&self) -> Result<()> {
        self.control(reqwest::Method::DELETE, "calls", None)
            .await
            .map(drop)
    }

    pub(crate) async fn control(
        &self,
        method: reqwest::Method,
        what: &str,
        body: Option<Value>,
    ) -> Result<String> {
        let url = format!("{}/_orgkeeper/{what}", self.endpoint);
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{url} answers {status}: {text}");
        Ok(text)
    }

    /// Sets how the Account Factory behaves; the front door's own documentation has the form.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn set_factory(&self, settings: Value) -> Result<()> {
        self.control(reqwest::Method::POST, "factory", Some(settings))
            .await
            .map(drop)
    }

    /// What the Account Factory has counted.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn factory(&self) -> Result<Value> {
        let answer = self.control(reqwest::Method::GET, "factory", None).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// What has been counted of the assignments in IAM Identity Center.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn assignments(&self) -> Result<Value> {
        let answer = self
            .control(reqwest::Method::GET, "assignments", None)
            .await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Sets the Account Factory and the assignments back, their counts too.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn reset_vending(&self) -> Result<()> {
        for what in ["factory", "assignments"] {
            self.control(reqwest::Method::DELETE, what, None).await?;
        }
        Ok(())
    }

    /// Has every event, message and change of a table delivered twice, or no longer.
    ///
    /// # Errors
    /// If the switch, a file that the local cloud looks at, cannot be set.
    pub fn deliver_twice(&self, twice: bool) -> Result<()> {
        let switch = state_folder().join("deliver-twice");
        if twice {
            std::fs::write(switch, "")?;
        } else if switch.exists() {
            std::fs::remove_file(switch)?;
        }
        Ok(())
    }

    /// Deploys the stack again with another parameter, `Name=value`.
    ///
    /// # Errors
    /// If the deployment fails.
    pub async fn deploy(&self, parameter: &str) -> Result<()> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let done = tokio::process::Command::new(root.join(".venv/cloud/bin/python"))
            .arg(root.join("infra/local/cloud.py"))
            .args(["set", parameter])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(done.status.success(), "cloud.py set: {said}");
        Ok(())
    }

    /// Kills every running process of these functions on this local cloud; gives their number.
    ///
    /// # Errors
    /// If the processes cannot be listed or killed.
    pub fn kill(&self, functions: &[&str]) -> Result<usize> {
        // Another local cloud of this machine has functions of the same names.
        let here = format!("AWS_ENDPOINT_URL={}", self.endpoint);
        let names: Vec<String> = functions
            .iter()
            .map(|function| format!("AWS_LAMBDA_FUNCTION_NAME={function}"))
            .collect();
        let mut killed = 0;
        for process in std::fs::read_dir("/proc")? {
            let path = process?.path();
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            let has = |wanted: &str| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == wanted.as_bytes())
            };
            let is_one = has(&here) && names.iter().any(|name| has(name));
            if let (true, Some(id)) = (is_one, path.file_name()) {
                let ended = std::process::Command::new("kill")
                    .arg("-9")
                    .arg(id)
                    .status()?;
                killed += usize::from(ended.success());
            }
        }
        Ok(killed)
    }

    /// The organization's accounts as they are now: name to id.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn accounts_now(&self) -> Result<BTreeMap<String, String>> {
        let pages = aws_sdk_organizations::Client::new(&self.sdk)
            .list_accounts()
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.accounts.unwrap_or_default())
            .filter_map(|account| Some((account.name?, account.id?)))
            .collect())
    }

    /// The messages in a queue, in flight ones included.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn depth(&self, queue_url: &str) -> Result<usize> {
        let answer = aws_sdk_sqs::Client::new(&self.sdk)
            .get_queue_attributes()
            .queue_url(queue_url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await?;
        let count = |name| {
            answer
                .attributes()
                .and_then(|all| all.get(&name)?.parse::<usize>().ok())
                .unwrap_or_default()
        };
        Ok(count(QueueAttributeName::ApproximateNumberOfMessages)
            + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            + count(QueueAttributeName::ApproximateNumberOfMessagesDelayed))
    }

    /// Takes every message out of a queue and gives their bodies.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn drain(&self, queue_url: &str) -> Result<Vec<String>> {
        let queues = aws_sdk_sqs::Client::new(&self.sdk);
        let mut bodies = Vec::new();
        loop {
            let answer = queues
                .receive_message()
                .queue_url(queue_url)
                .max_number_of_messages(RECEIVED_PER_CALL)
                .send()
                .await?;
            let messages = answer.messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(bodies);
            }
            for message in messages {
                queues
                    .delete_message()
                    .queue_url(queue_url)
                    .receipt_handle(message.receipt_handle.unwrap_or_default())
                    .send()
                    .await?;
                bodies.push(message.body.unwrap_or_default());
            }
        }
    }
}

/// The folder where the local cloud of `ORGKEEPER_INSTANCE` keeps its state.
pub(crate) fn state_folder() -> PathBuf {
    let instance = environment("ORGKEEPER_INSTANCE").unwrap_or_else(|| "local".to_owned());
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target")
        .join(instance)
}

/// Asks `holds` again and again until it says yes.
///
/// # Errors
/// If it has not within `patience`, or fails.
pub async fn eventually(
    what: &str,
    patience: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !holds().await? {
        if start.elapsed() > patience {
            bail!("not within {patience:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
