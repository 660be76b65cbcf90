//! A large organization in virtual time: the real functions, SDK clients included, over queues, tables and a Security
//! Hub in the test's own process, at the published rates of AWS.
//!
//! An hour of waiting takes no time at all: the clock is tokio's (`start_paused`), and nothing here uses a socket.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what fails in a helper fails the test"
)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_config::SdkConfig;
use directory_refresher::refresher::Refresher;
use finding_enricher::handler::Enricher;
use futures::future::join_all;
use jiff::Timestamp;
use orgkeeper_shared::{
    gateway::rates::RATES,
    lambda::{Invocation, QueueFunction, Work},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, ORGANIZATIONAL_UNITS},
    organization::MANAGEMENT_ACCOUNT,
    sqs,
    template::{FunctionSettings, Template},
    wire::{Answer, Call, InProcess},
};

/// When the simulation begins, in seconds since 1970.
const BEGIN: i64 = 1_772_360_130;
/// How long AWS takes to answer a call.
const LATENCY: Duration = Duration::from_millis(30);
/// The most that an event source mapping hands over in one batch.
const BYTES_PER_BATCH: usize = 6 * 1024 * 1024;
/// The JSON around a message's body in a batch, about.
const BYTES_AROUND_BODY: usize = 900;
/// How often a queue without messages is looked at.
const BETWEEN_POLLS: Duration = Duration::from_millis(500);
/// Receives after which a message is a dead letter.
const MOST_RECEIVES: u32 = 8;

/// Every account's security contact.
const CONTACT: (&str, &str) = ("Sam Lee", "sam@example.com");

const FINDINGS_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const DIRECTORY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";

/// What an organization has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Member accounts.
    pub accounts: usize,
    /// Organizational units that hold them, a tenth of them under the root and the others under those.
    pub units: usize,
    /// Findings, spread over the accounts.
    pub findings: usize,
}

#[derive(Default)]
struct Message {
    body: Arc<str>,
    receives: u32,
    sent_at: Duration,
}

#[derive(Default)]
struct SimulatedQueue {
    /// By the time at which they are visible, and the order in which they came.
    visible: BTreeMap<(Duration, u64), Message>,
    in_flight: HashMap<String, Message>,
    returned_after: HashMap<String, Duration>,
    dead: Vec<Arc<str>>,
    sent: u64,
    most_receives: u32,
}

impl SimulatedQueue {
    fn send(&mut self, body: Arc<str>, sent_at: Duration, delay: Duration) {
        self.sent += 1;
        let message = Message {
            body,
            receives: 0,
            sent_at,
        };
        self.visible.insert((sent_at + delay, self.sent), message);
    }

    fn empty(&self) -> bool {
        self.visible.is_empty() && self.in_flight.is_empty()
    }

    /// Records of visible messages, at most so many, in addition to those that a batch has.
    fn receive(&mut self, now: Duration, most: usize, records: &mut Vec<Value>, bytes: &mut usize) {
        while records.len() < most {
            let Some(first) = self.visible.first_entry() else {
                return;
            };
            let size = first.get().body.len() + BYTES_AROUND_BODY;
            if first.key().0 > now || *bytes + size > BYTES_PER_BATCH {
                return;
            }
            *bytes += size;
            let mut message = first.remove();
            message.receives += 1;
            self.most_receives = self.most_receives.max(message.receives);
            self.sent += 1;
            let id = format!("m{}", self.sent);
            let mut record = sqs::record(&id, &message.body, message.receives);
            let sent_at = u64::try_from(BEGIN).unwrap() * 1_000
                + u64::try_from(message.sent_at.as_millis()).unwrap();
            record["attributes"]["SentTimestamp"] = sent_at.to_string().into();
            records.push(record);
            self.in_flight.insert(id, message);
        }
    }
}

/// A token bucket of AWS's.
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
}

/// What was written on a finding.
struct Finding {
    fields: Option<Value>,
    note: Option<Value>,
}

struct State {
    findings: Vec<Finding>,
    by_account: Vec<Vec<usize>>,
    queues: HashMap<&'static str, SimulatedQueue>,
    buckets: HashMap<&'static str, Bucket>,
    calls: BTreeMap<String, (u64, u64)>,
    enriched: usize,
    all_enriched_at: Option<Duration>,
    invocations: BTreeMap<&'static str, Invocations>,
}

/// The simulated organization.
pub struct Simulation {
    size: Size,
    tables: DynamoDb,
    state: Mutex<State>,
    start: Instant,
}

/// The invocations of a function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Invocations {
    /// How many there were.
    pub count: usize,
    /// How long they took together. The code itself takes no virtual time: this is the time that AWS takes to answer
    /// and the time that the pace takes.
    pub billed: Duration,
    /// When the last of them ended.
    pub ended: Duration,
}

/// What a simulation came to.
#[derive(Debug)]
pub struct Outcome {
    /// When the last finding was enriched.
    pub finished: Option<Duration>,
    /// Messages in dead-letter queues.
    pub dead: Vec<Arc<str>>,
    /// The most that a message was received.
    pub most_receives: u32,
    /// Calls by operation: all, and those that were throttled.
    pub calls: BTreeMap<String, (u64, u64)>,
    /// What the functions' invocations came to, by function.
    pub invocations: BTreeMap<&'static str, Invocations>,
}

impl Simulation {
    /// An organization with an empty directory.
    #[must_use]
    pub fn new(size: Size) -> Arc<Self> {
        let mut by_account = vec![Vec::new(); size.accounts];
        let findings = (0..size.findings)
            .map(|n| {
                let account = n % size.accounts;
                by_account[account].push(n);
                Finding {
                    fields: None,
                    note: None,
                }
            })
            .collect();
        let buckets = RATES
            .iter()
            .map(|rate| {
                let bucket = Bucket {
                    per_second: rate.quota.per_second.into(),
                    burst: rate.quota.burst.into(),
                    tokens: rate.quota.burst.into(),
                    at: Duration::ZERO,
                };
                (rate.bucket, bucket)
            })
            .collect();
        Arc::new(Self {
            size,
            tables: DynamoDb::new(),
            state: Mutex::new(State {
                findings,
                by_account,
                queues: HashMap::new(),
                buckets,
                calls: BTreeMap::new(),
                enriched: 0,
                all_enriched_at: None,
                invocations: BTreeMap::new(),
            }),
            start: Instant::now(),
        })
    }

    /// Fills the directory.
    #[must_use]
    pub fn with_directory(self: Arc<Self>) -> Arc<Self> {
        for n in 0..self.size.accounts {
            let path = self.path(n);
            let above: Vec<Value> = path[1..]
                .iter()
                .map(|unit| json!({ "M": { "Id": { "S": unit }, "Name": { "S": name_of(unit) } } }))
                .collect();
            let entry = json!({
                "AccountId": { "S": account(n) },
                "Name": { "S": format!("account-{n}") },
                "OuPath": { "L": above },
                "Tags": { "M": { "team": { "S": team(n) } } },
                "SecurityContact": { "M": {
                    "Name": { "S": CONTACT.0 }, "Email": { "S": CONTACT.1 } } },
                "RefreshedAt": { "N": BEGIN.to_string() },
                "Version": { "N": "1" },
            });
            self.tables.put(ACCOUNT_DIRECTORY, &entry);
        }
        self
    }

    /// Sends an event for each finding, in an order without any order.
    #[must_use]
    pub fn with_events(self: Arc<Self>) -> Arc<Self> {
        let mut order: Vec<usize> = (0..self.size.findings).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut order);
        let time = Timestamp::from_second(BEGIN).unwrap().to_string();
        for n in order {
            let finding = self.finding(n, None, None);
            let body = json!({ "time": time, "detail": { "findings": [finding] } });
            self.send(FINDINGS_QUEUE, body.to_string(), Duration::ZERO);
        }
        self
    }

    /// Sends a task to the directory queue.
    #[must_use]
    pub fn with_task(self: Arc<Self>, task: &Value) -> Arc<Self> {
        self.send(DIRECTORY_QUEUE, task.to_string(), Duration::ZERO);
        self
    }

    /// Runs both functions with the settings of the template until every finding is enriched and the queues are
    /// empty, at most for `time`.
    pub async fn run(self: Arc<Self>, time: Duration) -> Outcome {
        let answering = Arc::clone(&self);
        let sdk = InProcess::new(move |call| answering.answer(call))
            .sdk_config()
            .await;
        let template = Template::load("template.yaml").unwrap();
        let findings = template.function("FindingEnricher").unwrap();
        let tasks = template.function("DirectoryRefresher").unwrap();
        let of_findings = Batches::of(&findings, "Findings");
        let of_tasks = Batches::of(&tasks, "Tasks");
        let enrichers = join_all((0..of_findings.at_once).map(async |_| {
            let function = enricher(&sdk);
            Box::pin(self.serve(FINDINGS_QUEUE, &of_findings, &function, time)).await;
        }));
        let refreshers = join_all((0..of_tasks.at_once).map(async |_| {
            let function = refresher(&sdk).await;
            Box::pin(self.serve(DIRECTORY_QUEUE, &of_tasks, &function, time)).await;
        }));
        tokio::join!(enrichers, refreshers);
        let state = self.state();
        let queues = || state.queues.values();
        Outcome {
            finished: state.all_enriched_at,
            dead: queues().flat_map(|queue| queue.dead.clone()).collect(),
            most_receives: queues()
                .map(|queue| queue.most_receives)
                .max()
                .unwrap_or_default(),
            calls: state.calls.clone(),
            invocations: state.invocations.clone(),
        }
    }

    /// The entries of the directory.
    #[must_use]
    pub fn stored(&self, n: usize) -> Option<Value> {
        self.tables.get(ACCOUNT_DIRECTORY, &account(n))
    }

    /// What an event source mapping does: one batch after another.
    async fn serve<W: Work>(
        &self,
        queue: &'static str,
        batches: &Batches,
        function: &QueueFunction<W>,
        time: Duration,
    ) {
        while self.now() < time && !self.finished() {
            let (mut records, mut bytes) = (Vec::new(), 0);
            self.receive(queue, batches.size, &mut records, &mut bytes);
            if records.is_empty() {
                sleep(BETWEEN_POLLS).await;
                continue;
            }
            if records.len() < batches.size && bytes < BYTES_PER_BATCH / 2 {
                sleep(batches.window).await;
                self.receive(queue, batches.size, &mut records, &mut bytes);
            }
            let name = queue.rsplit('/').next().unwrap();
            for record in &mut records {
                record["eventSourceARN"] =
                    format!("arn:aws:sqs:us-east-1:111111111111:{name}").into();
            }
            let ids: Vec<String> = records
                .iter()
                .map(|record| record["messageId"].as_str().unwrap().to_owned())
                .collect();
            let invocation = Invocation {
                now: Timestamp::from_second(BEGIN + i64::try_from(self.now().as_secs()).unwrap())
                    .unwrap(),
                remaining: batches.timeout,
                account: MANAGEMENT_ACCOUNT.parse().ok(),
            };
            let event = sqs::event(&records);
            drop(records);
            let began = self.now();
            let returned = sqs::returned(function.handle(event, invocation).await);
            let ended = self.now();
            {
                let mut state = self.state();
                let invocations = state.invocations.entry(W::FUNCTION).or_default();
                invocations.count += 1;
                invocations.billed += ended.saturating_sub(began);
                invocations.ended = invocations.ended.max(ended);
            }
            self.end_batch(queue, &ids, &returned);
        }
    }

    fn receive(
        &self,
        queue: &'static str,
        most: usize,
        records: &mut Vec<Value>,
        bytes: &mut usize,
    ) {
        let now = self.now();
        let mut state = self.state();
        let queue = state.queues.entry(queue).or_default();
        queue.receive(now, most, records, bytes);
    }

    fn end_batch(&self, queue: &'static str, ids: &[String], returned: &[String]) {
        let now = self.now();
        let mut state = self.state();
        let queue = state.queues.entry(queue).or_default();
        for id in ids {
            let Some(message) = queue.in_flight.remove(id) else {
                continue;
            };
            let delay = queue.returned_after.remove(id);
            if !returned.contains(id) {
                continue;
            }
            if message.receives >= MOST_RECEIVES {
                queue.dead.push(message.body);
                continue;
            }
            queue.sent += 1;
            let at = now + delay.unwrap_or(Duration::from_mins(6));
            queue.visible.insert((at, queue.sent), message);
        }
    }

    fn finished(&self) -> bool {
        let state = self.state();
        state.enriched == self.size.findings && state.queues.values().all(SimulatedQueue::empty)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, queue: &'static str, body: String, delay: Duration) {
        let now = self.now();
        self.state()
            .queues
            .entry(queue)
            .or_default()
            .send(body.into(), now, delay);
    }

    /// The root, and the units above an account.
    fn path(&self, n: usize) -> Vec<String> {
        let unit = n % self.size.units.max(1);
        let parents = (self.size.units / 10).max(1);
        let mut path = vec!["r-a1b2".to_owned(), unit_id(unit % parents)];
        if unit >= parents {
            path.push(unit_id(unit));
        }
        path
    }

    fn finding(&self, n: usize, fields: Option<&Value>, note: Option<&Value>) -> Value {
        json!({
            "Id": format!("f{n}"),
            "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
            "AwsAccountId": account(n % self.size.accounts),
            "RecordState": "ACTIVE",
            "UserDefinedFields": fields,
            "Note": note,
        })
    }

    fn answer(&self, call: &Call) -> Answer {
        let throttled = self.throttled(&call.operation);
        {
            let mut state = self.state();
            let calls = state.calls.entry(call.operation.clone()).or_default();
            calls.0 += 1;
            calls.1 += u64::from(throttled);
        }
        if throttled {
            return Answer::error(429, "TooManyRequestsException").after(LATENCY);
        }
        if let Some(answer) = self.tables.answer(call) {
            return answer.after(Duration::from_millis(5));
        }
        let text = |name: &str| call.body[name].as_str().unwrap_or_default();
        let answer = match call.operation.as_str() {
            "BatchUpdateFindings" => self.update(&call.body),
            "GetFindings" => self.get_findings(&call.body),
            "SendMessageBatch" => self.send_batch(&call.body),
            "ChangeMessageVisibilityBatch" => self.return_batch(&call.body),
            "ListAccounts" => self.list_accounts(text("NextToken")),
            "DescribeAccount" => {
                let n: usize = text("AccountId")[4..].parse().unwrap();
                Answer::ok(json!({ "Account": self.described(n) }))
            }
            "ListOrganizationalUnitsForParent" => {
                self.list_units(text("ParentId"), text("NextToken"))
            }
            "DescribeOrganizationalUnit" => {
                let id = text("OrganizationalUnitId");
                Answer::ok(json!({ "OrganizationalUnit": { "Id": id, "Name": name_of(id) } }))
            }
            "ListTagsForResource" => {
                let n: usize = text("ResourceId")[4..].parse().unwrap();
                Answer::ok(json!({ "Tags": [{ "Key": "team", "Value": team(n) }] }))
            }
            "GetAlternateContact" => Answer::ok(json!({ "AlternateContact": {
                "Name": CONTACT.0, "EmailAddress": CONTACT.1 } })),
            _ => Answer::error(400, "UnknownOperationException"),
        };
        answer.after(LATENCY)
    }

    fn throttled(&self, operation: &str) -> bool {
        let now = self.now();
        let mut state = self.state();
        let Some(bucket) = state.buckets.get_mut(operation) else {
            return false;
        };
        let gained = now.saturating_sub(bucket.at).as_secs_f64() * bucket.per_second;
        bucket.tokens = (bucket.tokens + gained).min(bucket.burst);
        bucket.at = now;
        let throttled = bucket.tokens < 1.0;
        if !throttled {
            bucket.tokens -= 1.0;
        }
        throttled
    }

    fn update(&self, body: &Value) -> Answer {
        let now = self.now();
        let mut state = self.state();
        let ids = body["FindingIdentifiers"].as_array().unwrap();
        assert!(ids.len() <= 100);
        for id in ids {
            let n: usize = id["Id"].as_str().unwrap()[1..].parse().unwrap();
            let finding = &mut state.findings[n];
            let new = finding.fields.is_none();
            finding.fields = Some(body["UserDefinedFields"].clone());
            if body["Note"].is_object() {
                finding.note = Some(body["Note"].clone());
            }
            state.enriched += usize::from(new);
        }
        if state.enriched == self.size.findings && state.all_enriched_at.is_none() {
            state.all_enriched_at = Some(now);
        }
        Answer::ok(json!({ "ProcessedFindings": ids, "UnprocessedFindings": [] }))
    }

    fn get_findings(&self, body: &Value) -> Answer {
        let filters = &body["Filters"];
        let values = |name: &str| -> Vec<&str> {
            let values = filters[name].as_array().into_iter().flatten();
            values.filter_map(|value| value["Value"].as_str()).collect()
        };
        let state = self.state();
        let found: Vec<usize> = if filters["UserDefinedFields"].is_array() {
            Vec::new()
        } else if filters["Id"].is_array() {
            values("Id")
                .iter()
                .map(|id| id[1..].parse().unwrap())
                .collect()
        } else {
            values("AwsAccountId")
                .iter()
                .flat_map(|id| &state.by_account[id[4..].parse::<usize>().unwrap()])
                .copied()
                .collect()
        };
        assert!(values("AwsAccountId").len() <= 20 && values("Id").len() <= 20);
        let from: usize = body["NextToken"]
            .as_str()
            .map_or(0, |token| token.parse().unwrap());
        let page: Vec<Value> = found
            .iter()
            .skip(from)
            .take(100)
            .map(|n| {
                let Finding { fields, note, .. } = &state.findings[*n];
                self.finding(*n, fields.as_ref(), note.as_ref())
            })
            .collect();
        let next = (from + 100 < found.len()).then(|| (from + 100).to_string());
        Answer::ok(json!({ "Findings": page, "NextToken": next }))
    }

    fn send_batch(&self, body: &Value) -> Answer {
        let queue = match body["QueueUrl"].as_str().unwrap() {
            FINDINGS_QUEUE => FINDINGS_QUEUE,
            _ => DIRECTORY_QUEUE,
        };
        for entry in body["Entries"].as_array().unwrap() {
            let delay = Duration::from_secs(entry["DelaySeconds"].as_u64().unwrap_or_default());
            let text = entry["MessageBody"].as_str().unwrap().to_owned();
            self.send(queue, text, delay);
        }
        Answer::ok(json!({ "Successful": [], "Failed": [] }))
    }

    fn return_batch(&self, body: &Value) -> Answer {
        let mut state = self.state();
        for entry in body["Entries"].as_array().unwrap() {
            let id = entry["ReceiptHandle"]
                .as_str()
                .unwrap()
                .replace("receipt-", "");
            let delay = Duration::from_secs(entry["VisibilityTimeout"].as_u64().unwrap());
            for queue in state.queues.values_mut() {
                if queue.in_flight.contains_key(&id) {
                    queue.returned_after.insert(id.clone(), delay);
                }
            }
        }
        Answer::ok(json!({ "Successful": [], "Failed": [] }))
    }

    fn list_accounts(&self, token: &str) -> Answer {
        let from: usize = token.parse().unwrap_or_default();
        let end = (from + 20).min(self.size.accounts);
        let accounts: Vec<Value> = (from..end).map(|n| self.described(n)).collect();
        let next = (end < self.size.accounts).then(|| end.to_string());
        Answer::ok(json!({ "Accounts": accounts, "NextToken": next }))
    }

    fn described(&self, n: usize) -> Value {
        let path = self.path(n).join("/");
        let id = account(n);
        json!({ "Id": id, "Name": format!("account-{n}"), "State": "ACTIVE",
            "Paths": [format!("o-aa111/{path}/{id}/")] })
    }

    fn list_units(&self, parent: &str, token: &str) -> Answer {
        let parents = (self.size.units / 10).max(1);
        let children: Vec<usize> = match parent.strip_prefix("ou-a1b2-") {
            None => (0..parents).collect(),
            Some(parent) => {
                let parent: usize = parent.parse().unwrap();
                (parents..self.size.units)
                    .filter(|unit| parent < parents && unit % parents == parent)
                    .collect()
            }
        };
        let from: usize = token.parse().unwrap_or_default();
        let units: Vec<Value> = children
            .iter()
            .skip(from)
            .take(20)
            .map(|unit| {
                let id = unit_id(*unit);
                json!({ "Id": id, "Name": name_of(&id) })
            })
            .collect();
        let next = (from + 20 < children.len()).then(|| (from + 20).to_string());
        Answer::ok(json!({ "OrganizationalUnits": units, "NextToken": next }))
    }
}

/// What the template says of a function and its queue.
struct Batches {
    /// Messages in a batch, at most.
    size: usize,
    /// How long a batch is gathered.
    window: Duration,
    /// Invocations at once.
    at_once: u64,
    /// The function's timeout.
    timeout: Duration,
}

impl Batches {
    fn of(function: &FunctionSettings, event: &str) -> Self {
        let properties = &function.events[event]["Properties"];
        Self {
            size: function.batch_size(event).unwrap(),
            // The window can be a parameter.
            window: Duration::from_secs(
                properties["MaximumBatchingWindowInSeconds"]
                    .as_u64()
                    .unwrap_or(2),
            ),
            at_once: properties["ScalingConfig"]["MaximumConcurrency"]
                .as_u64()
                .unwrap(),
            timeout: function.timeout,
        }
    }
}

fn account(n: usize) -> String {
    format!("2222{n:08}")
}

fn team(n: usize) -> String {
    format!("team-{}", n % 7)
}

fn unit_id(n: usize) -> String {
    format!("ou-a1b2-{n:08}")
}

fn name_of(unit: &str) -> String {
    format!("Unit {unit}")
}

fn setting(name: &str) -> Option<String> {
    let value = match name {
        "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
        "ORGANIZATIONAL_UNITS_TABLE" => ORGANIZATIONAL_UNITS,
        "DIRECTORY_QUEUE_URL" => DIRECTORY_QUEUE,
        _ => return None,
    };
    Some(value.to_owned())
}

fn enricher(sdk: &SdkConfig) -> QueueFunction<Enricher> {
    let config = finding_enricher::config::Config::from_env(&setting).unwrap();
    finding_enricher::setup::function(&config, sdk)
}

async fn refresher(sdk: &SdkConfig) -> QueueFunction<Refresher> {
    let config = directory_refresher::config::Config::from_env(&setting).unwrap();
    directory_refresher::setup::function(&config, sdk).await
}
