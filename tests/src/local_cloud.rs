//! The local cloud that `make up` starts: clients, faults, counts.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::{config::Credentials, types::QueueAttributeName};
use orgkeeper_shared::lambda::settings::environment;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// Faults and counts belong to the whole cloud: one flow at a time.
static ONE_FLOW: Mutex<()> = Mutex::const_new(());
/// Messages that one call receives.
const RECEIVED_PER_CALL: i32 = 10;
/// The interval of `eventually`.
const POLL: Duration = Duration::from_millis(250);
/// How long a call is slowed down, so that its function can be killed meanwhile.
const SLOW_CALL: Duration = Duration::from_secs(5);

/// What `make up` writes about the example organization.
#[derive(Debug, Deserialize)]
struct ExampleOrganization {
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

/// The running local cloud, which one flow holds until it drops it.
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
    /// Where it answers.
    pub endpoint: String,
    http: reqwest::Client,
    _alone: MutexGuard<'static, ()>,
}

/// The messages of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Those that can be received.
    pub visible: usize,
    /// Those that were received and are neither deleted nor visible again.
    pub in_flight: usize,
    /// Those whose delay has not passed.
    pub delayed: usize,
}

impl Messages {
    /// All of them.
    #[must_use]
    pub const fn all(self) -> usize {
        self.visible + self.in_flight + self.delayed
    }
}

/// The attributes of a queue.
struct Attributes(HashMap<QueueAttributeName, String>);

impl Attributes {
    /// A number; 0 if it is missing.
    fn count(&self, name: &QueueAttributeName) -> usize {
        let text = self.0.get(name);
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn messages(&self) -> Messages {
        Messages {
            visible: self.count(&QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: self.count(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: self.count(&QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        }
    }
}

/// The number of calls of an operation at the front door.
#[derive(Debug, Default, Deserialize)]
pub struct Calls {
    /// All of them.
    pub calls: u64,
    /// Those with an error as answer.
    pub refused: u64,
    /// The maximum in one second.
    pub busiest_second: u64,
}

impl LocalCloud {
    /// The local cloud on `ORGKEEPER_PORT` (4566 if not set) of `ORGKEEPER_INSTANCE` (`local` if not set), with no
    /// fault set, no quotas in force and counts at zero.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn attach() -> Result<Self> {
        let alone = ONE_FLOW.lock().await;
        let port = environment("ORGKEEPER_PORT").unwrap_or_else(|| "4566".to_owned());
        let state = state_folder();
        if let Some(test) = std::thread::current().name() {
            // For the record of who used which permission.
            _ = std::fs::write(state.join("running-test"), test);
        }
        let read = |name: &str| {
            std::fs::read_to_string(state.join(name))
                .with_context(|| format!("the local cloud does not run on port {port}: make up"))
        };
        let outputs = serde_json::from_str(&read("outputs.json")?)?;
        let organization: ExampleOrganization = serde_json::from_str(&read("organization.json")?)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .endpoint_url(&endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "local"))
            // Faults affect the tests' own calls too.
            .retry_config(RetryConfig::standard().with_max_attempts(8))
            .load()
            .await;
        let cloud = Self {
            sdk,
            outputs,
            accounts: organization.accounts,
            organizational_units: organization.organizational_units,
            identity_center: organization.identity_center,
            endpoint,
            http: reqwest::Client::new(),
            _alone: alone,
        };
        cloud.clear_faults().await?;
        cloud.quotas(false).await?;
        cloud.reset_calls().await?;
        cloud.reset_vending().await?;
        cloud
            .control(reqwest::Method::DELETE, "organization", None)
            .await?;
        cloud.slack_answers(None).await?;
        cloud.deliver_twice(false)?;
        Ok(cloud)
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// If the stack has no output of that name.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output {name}"))
    }

    /// Sets a fault, as the front door documents it.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn set_fault(&self, fault: Value) -> Result<()> {
        self.add_fault(fault).await.map(drop)
    }

    /// Sets a fault; returns its id.
    async fn add_fault(&self, fault: Value) -> Result<String> {
        let answer = self
            .control(reqwest::Method::POST, "faults", Some(fault))
            .await?;
        let rule: Value = serde_json::from_str(&answer)?;
        let id = rule["id"].as_str().context("a fault without an id")?;
        Ok(id.to_owned())
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

    /// Puts the published rates of AWS operations in force for the functions' calls, or ends that. The calls of tests
    /// are neither throttled nor counted against them.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn quotas(&self, on: bool) -> Result<()> {
        self.control(reqwest::Method::POST, "quotas", Some(json!({ "on": on })))
            .await
            .map(drop)
    }

    /// The calls of an operation such as `securityhub.BatchUpdateFindings`, since the start of the flow or the last reset.
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

    /// Sends events in the name of AWS's own services, in the form in which rules deliver them. `bus` names another bus
    /// than that of their account.
    ///
    /// # Errors
    /// If the front door refuses them.
    pub async fn send_service_events(&self, events: Vec<Value>) -> Result<()> {
        self.control(reqwest::Method::POST, "events", Some(events.into()))
            .await
            .map(drop)
    }

    /// Evaluates the alarms of an account in a Region, as CloudWatch does every minute; returns the names of those
    /// whose state changed.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn evaluate_alarms(&self, account: &str, region: &str) -> Result<Vec<String>> {
        let place = json!({ "account": account, "region": region });
        let answer = self
            .control(reqwest::Method::POST, "alarms", Some(place))
            .await?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        Ok(serde_json::from_value(answer["changed"].take())?)
    }

    /// The ARN of the default bus in the stack's account and Region.
    ///
    /// # Errors
    /// If the stack has no bus of alerts.
    pub fn default_bus(&self) -> Result<String> {
        let (here, _) = self
            .output("AlertsBusArn")?
            .rsplit_once('/')
            .context("an ARN of a bus")?;
        Ok(format!("{here}/default"))
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

    /// Sets how a part of the security services' stand-ins behaves, as the front door documents it.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn set_stand_in(&self, part: &str, settings: Value) -> Result<()> {
        self.control(
            reqwest::Method::POST,
            &format!("posture/{part}"),
            Some(settings),
        )
        .await
        .map(drop)
    }

    /// Sets how Account Factory behaves, as the front door documents it.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn set_account_factory(&self, settings: Value) -> Result<()> {
        self.control(reqwest::Method::POST, "account-factory", Some(settings))
            .await
            .map(drop)
    }

    /// The counts of Account Factory.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn account_factory(&self) -> Result<Value> {
        let answer = self
            .control(reqwest::Method::GET, "account-factory", None)
            .await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// The counts of account assignments in IAM Identity Center.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn assignments(&self) -> Result<Value> {
        let answer = self
            .control(reqwest::Method::GET, "assignments", None)
            .await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Resets Account Factory and the assignments, with their counts.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn reset_vending(&self) -> Result<()> {
        for what in ["account-factory", "assignments"] {
            self.control(reqwest::Method::DELETE, what, None).await?;
        }
        Ok(())
    }

    /// Switches the second delivery of every event, message and stream record on or off.
    ///
    /// # Errors
    /// If the file that the local cloud checks cannot be written or removed.
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
        let arguments = ["infra/local/cloud.py", "set", parameter];
        self.python(&arguments).await.map(drop)
    }

    /// What a program of the local cloud prints; `arguments` are those of Python, in the project's folder.
    ///
    /// # Errors
    /// If it fails: with what it wrote about that.
    pub async fn python(&self, arguments: &[&str]) -> Result<String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let done = tokio::process::Command::new(root.join(".venv/cloud/bin/python"))
            .args(arguments)
            .current_dir(root)
            .output()
            .await?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{arguments:?}: {printed}{said}");
        Ok(printed)
    }

    /// Kills every process of these functions on this local cloud; returns the number of processes.
    ///
    /// # Errors
    /// If the processes cannot be listed or killed.
    pub fn kill(&self, functions: &[&str]) -> Result<usize> {
        // Another local cloud on this machine has functions with the same names.
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

    /// Kills these functions while one of them waits for the answer to a call of `operation`; returns the number of
    /// processes.
    ///
    /// # Errors
    /// If no such call is made within `patience`, or a call fails.
    pub async fn kill_during(
        &self,
        operation: &str,
        functions: &[&str],
        patience: Duration,
    ) -> Result<usize> {
        let slow = json!({ "operation": operation, "delay_ms": SLOW_CALL.as_millis() });
        let fault = self.add_fault(slow).await?;
        let before = self.calls_of(operation).await?.calls;
        eventually(operation, patience, async || {
            Ok(self.calls_of(operation).await?.calls > before)
        })
        .await?;
        let killed = self.kill(functions)?;
        self.control(reqwest::Method::DELETE, &format!("faults/{fault}"), None)
            .await?;
        Ok(killed)
    }

    /// The organization's current accounts: name to id.
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

    /// The number of messages in a queue.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn depth(&self, queue_url: &str) -> Result<usize> {
        Ok(self.messages(queue_url).await?.all())
    }

    /// The messages of a queue.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn messages(&self, queue_url: &str) -> Result<Messages> {
        Ok(self.attributes(queue_url).await?.messages())
    }

    async fn attributes(&self, queue_url: &str) -> Result<Attributes> {
        let answer = aws_sdk_sqs::Client::new(&self.sdk)
            .get_queue_attributes()
            .queue_url(queue_url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await?;
        Ok(Attributes(answer.attributes.unwrap_or_default()))
    }

    /// Moves the queues' clock forward: every message becomes that much older.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn advance_clock(&self, time: Duration) -> Result<()> {
        let advance = json!({ "seconds": time.as_secs() });
        self.control(reqwest::Method::POST, "clock", Some(advance))
            .await
            .map(drop)
    }

    /// Lets the visibility timeouts of a killed function's messages pass, after checking that some are in flight.
    ///
    /// # Errors
    /// If no message is in flight, or a call fails.
    pub async fn pass_visibility_timeouts(&self, queues: &[&str]) -> Result<()> {
        let mut longest = 0;
        for queue in queues {
            let attributes = self.attributes(self.output(queue)?).await?;
            if attributes.messages().in_flight > 0 {
                longest = longest.max(attributes.count(&QueueAttributeName::VisibilityTimeout));
            }
        }
        ensure!(longest > 0, "no message is in flight in {queues:?}");
        let seconds = u64::try_from(longest)? + 1;
        println!("messages are in flight: {seconds} s of visibility timeouts are skipped");
        self.advance_clock(Duration::from_secs(seconds)).await
    }

    /// Repeats `holds` until it is true, and skips visibility timeouts: once the messages of these queues are all in
    /// flight and have not become visible for a while, the queues' clock is moved forward.
    ///
    /// `patience` covers both the time that passes and the time that is skipped.
    ///
    /// # Errors
    /// If it is not true within `patience`, or a call fails.
    pub async fn eventually(
        &self,
        queues: &[&str],
        what: &str,
        patience: Duration,
        mut holds: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut waiting = Waiting::new(start);
        while !holds().await? {
            let elapsed = start.elapsed() + waiting.skipped;
            ensure!(elapsed <= patience, "not within {patience:?}: {what}");
            let mut seen = Vec::new();
            for queue in queues {
                seen.push(self.messages(self.output(queue)?).await?);
            }
            if let Some(step) = waiting.see(seen, Instant::now()) {
                self.advance_clock(step).await?;
            }
            tokio::time::sleep(POLL).await;
        }
        if !waiting.skipped.is_zero() {
            println!(
                "{what}: after {:.1?}, and {:?} of visibility timeouts that were skipped",
                start.elapsed(),
                waiting.skipped
            );
        }
        Ok(())
    }

    /// Waits until a queue, by the name of its output, is empty.
    ///
    /// # Errors
    /// If it is not within `patience`, or a call fails.
    pub async fn until_empty(&self, queue: &str, patience: Duration) -> Result<()> {
        let url = self.output(queue)?;
        let what = format!("{queue} is empty");
        self.eventually(&[queue], &what, patience, async || {
            Ok(self.depth(url).await? == 0)
        })
        .await
    }

    /// Deletes every message of a queue and returns the bodies.
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

/// The text of a file that `cloud.py` writes about the local cloud.
///
/// # Errors
/// If there is none.
pub fn state_file(name: &str) -> Result<String> {
    let file = state_folder().join(name);
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// Repeats `holds` until it is true.
///
/// # Errors
/// If it is not true within `patience`, or fails.
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
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Whether flows use the larger numbers of `make soak`, which take too long for every change.
#[must_use]
pub fn soak() -> bool {
    environment("ORGKEEPER_SOAK").is_some_and(|value| value == "1")
}

/// Detects that the messages of some queues only wait for their visibility timeouts.
#[derive(Debug)]
struct Waiting {
    seen: Vec<Messages>,
    since: Instant,
    skipped: Duration,
}

impl Waiting {
    /// How long the counts of messages must stay the same, and how far the clock then moves.
    ///
    /// Visibility timeouts are six times the timeouts of the functions (30 s or more), so a message that comes back by
    /// these steps belongs to an invocation that has ended.
    const QUIET: Duration = Duration::from_secs(35);
    const STEP: Duration = Duration::from_secs(185);

    const fn new(now: Instant) -> Self {
        Self {
            seen: Vec::new(),
            since: now,
            skipped: Duration::ZERO,
        }
    }

    /// How far to move the clock after these counts.
    fn see(&mut self, seen: Vec<Messages>, now: Instant) -> Option<Duration> {
        let waiting = seen.iter().any(|queue| queue.in_flight > 0)
            && seen.iter().all(|queue| queue.visible + queue.delayed == 0);
        if seen != self.seen || !waiting {
            self.seen = seen;
            self.since = now;
            return None;
        }
        if now.duration_since(self.since) < Self::QUIET {
            return None;
        }
        self.since = now;
        self.skipped += Self::STEP;
        Some(Self::STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Waiting::QUIET;
    const STEP: Duration = Waiting::STEP;

    fn queue(visible: usize, in_flight: usize, delayed: usize) -> Messages {
        Messages {
            visible,
            in_flight,
            delayed,
        }
    }

    #[tokio::test]
    async fn the_clock_moves_only_while_every_message_is_in_flight_and_none_becomes_visible() {
        let start = Instant::now();
        let mut waiting = Waiting::new(start);
        let stuck = || vec![queue(0, 3, 0), queue(0, 0, 0)];
        assert_eq!(waiting.see(stuck(), start), None);
        assert_eq!(waiting.see(stuck(), start + QUIET / 2), None);
        assert_eq!(waiting.see(stuck(), start + QUIET), Some(STEP));
        assert_eq!(waiting.see(stuck(), start + QUIET * 3 / 2), None);
        assert_eq!(waiting.see(stuck(), start + QUIET * 2), Some(STEP));
        assert_eq!(waiting.skipped, STEP * 2);
        // A message was processed: the time starts again.
        let fewer = || vec![queue(0, 2, 0), queue(0, 0, 0)];
        assert_eq!(waiting.see(fewer(), start + QUIET * 3), None);
        assert_eq!(waiting.see(fewer(), start + QUIET * 4), Some(STEP));
        for busy in [
            vec![queue(0, 2, 0), queue(1, 0, 0)],
            vec![queue(0, 2, 0), queue(0, 0, 1)],
            vec![queue(0, 0, 0), queue(0, 0, 0)],
        ] {
            assert_eq!(waiting.see(busy.clone(), start + QUIET * 5), None);
            assert_eq!(waiting.see(busy, start + QUIET * 7), None);
        }
    }
}
