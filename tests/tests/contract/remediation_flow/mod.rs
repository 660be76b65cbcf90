//! The remediate flow in one process: planner, archiver, approver and the operator's command, with real SDK clients over
//! the wire, on the same tables, queues and findings. What the remediator would answer is scripted.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod asking;
mod limits;
mod links;
mod plan;
mod undoing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::SdkConfig;
use finding_archiver::handler::Archiver;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::{
    aws::CallCounter,
    lambda::{Function as _, Invocation, QueueFunction},
    remediation::{
        control::control,
        record::{Record, asking::id_of},
        table::RemediationTable,
        target::Target,
    },
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, REMEDIATIONS},
    organization::{MANAGEMENT_ACCOUNT, account, directory_item, finding},
    sqs,
    wire::{Answer, Call, Wire},
};
use remediation_approver::handler::Approver;
use remediation_planner::handler::Planner;
use serde_json::{Value, json};

use crate::operator::{NOW, Run, healthy, orgkeeper_on, url};

const URL: &str = "https://x.lambda-url.us-east-1.on.aws/";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:111111111111:secret:links";
/// The person who runs the command.
const PERSON: &str = "arn:aws:iam::111111111111:user/ana";

/// What the remediator answers: the control and the task of an order, and its report.
type Script = Arc<Mutex<BTreeMap<(String, String), Value>>>;

/// The flow.
struct Flow {
    tables: Arc<DynamoDb>,
    /// The findings in Security Hub.
    hub: Arc<Mutex<BTreeMap<String, Value>>>,
    /// The executions that were started, by name.
    executions: Arc<Mutex<Vec<(String, Value)>>>,
    playbook: Arc<Mutex<(u32, String)>>,
    script: Script,
    wire: Wire,
    sdk: SdkConfig,
    planner: QueueFunction<Planner>,
    archiver: QueueFunction<Archiver>,
    approver: Approver,
    /// The messages of each queue, and the executions, that were delivered.
    delivered: Mutex<BTreeMap<&'static str, usize>>,
    /// The time.
    now: Mutex<Timestamp>,
}

fn stored(tables: &DynamoDb, hub: &Mutex<BTreeMap<String, Value>>, call: &Call) -> Option<Answer> {
    dynamodb(tables, call).or_else(|| security_hub(hub, call))
}

/// The tables, by the names that the functions have and by those that the stack has.
fn dynamodb(tables: &DynamoDb, call: &Call) -> Option<Answer> {
    const OF_STACK: &str = "\"orgkeeper-";
    let body = call.body.to_string();
    if !call.header("x-amz-target").starts_with("DynamoDB_") || !body.contains(OF_STACK) {
        return tables.answer(call);
    }
    let request = serde_json::from_str(&body.replace(OF_STACK, "\"")).unwrap();
    Some(match tables.evaluate(&call.operation, &request) {
        Ok(answer) => {
            let directory = format!("\"{ACCOUNT_DIRECTORY}\"");
            let of_stack = format!("{OF_STACK}{ACCOUNT_DIRECTORY}\"");
            let answer = answer.to_string().replace(&directory, &of_stack);
            Answer::ok(serde_json::from_str(&answer).unwrap())
        }
        Err(error) => Answer::xml(400, &error.to_string()),
    })
}

fn security_hub(hub: &Mutex<BTreeMap<String, Value>>, call: &Call) -> Option<Answer> {
    let mut hub = hub.lock().unwrap();
    match call.operation.as_str() {
        "GetFindings" => {
            let ids = call.body["Filters"]["Id"].as_array().unwrap();
            assert!(ids.len() <= 20, "{} ids", ids.len());
            let found = ids
                .iter()
                .filter_map(|filter| hub.get(filter["Value"].as_str()?));
            Some(Answer::ok(json!({ "Findings": found.collect::<Vec<_>>() })))
        }
        "BatchUpdateFindings" => {
            for identifier in call.body["FindingIdentifiers"].as_array().unwrap() {
                let finding = hub.get_mut(identifier["Id"].as_str().unwrap()).unwrap();
                for field in ["Note", "UserDefinedFields", "Workflow"] {
                    if !call.body[field].is_null() {
                        finding[field] = call.body[field].clone();
                    }
                }
            }
            Some(Answer::ok(
                json!({ "ProcessedFindings": [], "UnprocessedFindings": [] }),
            ))
        }
        _ => None,
    }
}

/// The flow with this playbook, at the time of the command. `settings` replace those of the functions.
async fn flow_with(playbook: &str, settings: &'static [(&'static str, &'static str)]) -> Flow {
    let tables = Arc::new(DynamoDb::new());
    for number in 0..3 {
        let mut item = directory_item(number, NOW.parse::<Timestamp>().unwrap().as_second());
        item["State"] = json!({ "S": "ACTIVE" });
        tables.put(ACCOUNT_DIRECTORY, &item);
    }
    let hub = Arc::new(Mutex::new(BTreeMap::new()));
    let executions: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let playbook = Arc::new(Mutex::new((1, playbook.to_owned())));
    let of_wire = (
        Arc::clone(&tables),
        Arc::clone(&hub),
        Arc::clone(&executions),
        Arc::clone(&playbook),
    );
    let wire = Wire::start(move |call| {
        let (tables, hub, executions, playbook) = &of_wire;
        stored(tables, hub, call).unwrap_or_else(|| match call.operation.as_str() {
            "GetObject" => {
                let (version, text) = playbook.lock().unwrap().clone();
                Answer::xml(200, &text)
                    .with_header("etag", &format!("\"{version}\""))
                    .with_header("x-amz-version-id", &format!("v{version}"))
            }
            "StartExecution" => {
                let name = call.body["name"].as_str().unwrap().to_owned();
                let input = serde_json::from_str(call.body["input"].as_str().unwrap()).unwrap();
                let mut executions = executions.lock().unwrap();
                if executions.iter().any(|(known, _)| *known == name) {
                    return Answer::error(400, "ExecutionAlreadyExists");
                }
                executions.push((name, input));
                Answer::ok(json!({ "executionArn": "arn", "startDate": 1_772_360_130.0 }))
            }
            "Publish" => Answer::published(),
            "GetSecretValue" => Answer::ok(json!({ "SecretString": "k".repeat(64) })),
            "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            "ListFunctions" => {
                Answer::ok(json!({ "Functions": [{ "FunctionName": "orgkeeper-RemediationPlanner-1",
                    "Environment": { "Variables": { "PLAYBOOK_BUCKET": "playbooks", "PROTECTED_ACCOUNTS": MANAGEMENT_ACCOUNT } } }] }))
            }
            _ => healthy(call),
        })
    })
    .await
    .unwrap();
    let setting = |name: &str| -> Option<String> {
        if let Some((_, value)) = settings.iter().find(|(known, _)| *known == name) {
            return (!value.is_empty()).then(|| (*value).to_owned());
        }
        Some(match name {
            "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY.to_owned(),
            "REMEDIATIONS_TABLE" => REMEDIATIONS.to_owned(),
            "PLAYBOOK_BUCKET" => "playbooks".to_owned(),
            "REMEDIATION_MODE" => "auto".to_owned(),
            "PROTECTED_ACCOUNTS" => MANAGEMENT_ACCOUNT.to_owned(),
            "STATE_MACHINE_ARN" => {
                "arn:aws:states:us-east-1:111111111111:stateMachine:r".to_owned()
            }
            "REMEDIATION_QUEUE_URL" => url("RemediationQueue"),
            "PREVIEW_QUEUE_URL" => url("RemediationPreviewQueue"),
            "ARCHIVE_QUEUE_URL" => url("ArchiveQueue"),
            "DIRECTORY_QUEUE_URL" => url("DirectoryQueue"),
            "INFO_TOPIC_ARN" => "arn:aws:sns:us-east-1:111111111111:info".to_owned(),
            "ERROR_TOPIC_ARN" => "arn:aws:sns:us-east-1:111111111111:error".to_owned(),
            "OWNER_TAGS" => "owner".to_owned(),
            "APPROVAL_URL" => URL.to_owned(),
            "APPROVAL_SECRET_ARN" => SECRET.to_owned(),
            "QUOTA_PERCENT" => "0".to_owned(),
            _ => return None,
        })
    };
    let sdk = wire.sdk_config().await;
    let planner = remediation_planner::config::Config::from_env(&setting).unwrap();
    let archiver = finding_archiver::config::Config::from_env(&setting).unwrap();
    let approver = remediation_approver::config::Config::from_env(&|name| {
        let secret = (name == "APPROVAL_SECRET_ARN").then(|| SECRET.to_owned());
        secret.or_else(|| setting(name))
    });
    let approver = approver.unwrap();
    Flow {
        planner: remediation_planner::setup::function(&planner, &sdk),
        archiver: finding_archiver::setup::function(&archiver, &sdk),
        approver: remediation_approver::setup::function(&approver, &sdk),
        tables,
        hub,
        executions,
        playbook,
        script: Script::default(),
        wire,
        sdk,
        delivered: Mutex::default(),
        now: Mutex::new(NOW.parse().unwrap()),
    }
}

async fn flow(playbook: &str) -> Flow {
    flow_with(playbook, &[]).await
}

impl Flow {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn later(&self, hours: i64) {
        *self.now.lock().unwrap() += SignedDuration::from_hours(hours);
    }

    fn upload(&self, text: &str) {
        let mut playbook = self.playbook.lock().unwrap();
        *playbook = (playbook.0 + 1, text.to_owned());
        // It is read again after five minutes.
        *self.now.lock().unwrap() += SignedDuration::from_mins(10);
    }

    fn invocation(&self) -> Invocation {
        Invocation {
            now: self.now(),
            remaining: Duration::from_mins(1),
            account: MANAGEMENT_ACCOUNT.parse().ok(),
        }
    }

    /// What was sent since the last time: the messages of a queue, or the inputs of executions.
    fn newly_sent(&self, name: &'static str) -> Vec<Value> {
        let all: Vec<Value> = if name == "executions" {
            let executions = self.executions.lock().unwrap();
            executions.iter().map(|(_, input)| input.clone()).collect()
        } else {
            let sent = sqs::sent(&self.wire, &url(name)).into_iter();
            sent.map(|(body, _)| body).collect()
        };
        let mut delivered = self.delivered.lock().unwrap();
        let known = delivered.entry(name).or_default();
        let new = all[*known..].to_vec();
        *known = all.len();
        new
    }

    async fn plan(&self, messages: &[Value]) {
        for messages in messages.chunks(100) {
            let event = sqs::event(&sqs::batch(messages, 1));
            let response = self.planner.handle(event, self.invocation()).await;
            assert_eq!(sqs::returned(response), [""; 0]);
        }
    }

    async fn archive(&self, messages: &[Value]) {
        for messages in messages.chunks(100) {
            let event = sqs::event(&sqs::batch(messages, 1));
            let response = self.archiver.handle(event, self.invocation()).await;
            assert_eq!(sqs::returned(response), [""; 0]);
        }
    }

    /// What the remediator says to an order.
    fn result(&self, input: &Value) -> Value {
        let order = &input["order"];
        let (control, task) = (
            order["control"].as_str().unwrap(),
            order["task"].as_str().unwrap(),
        );
        let scripted = self.script.lock().unwrap();
        let scripted = scripted
            .get(&(control.to_owned(), task.to_owned()))
            .cloned();
        let report = scripted.unwrap_or_else(|| {
            let outcome = match task {
                "preview" => "WOULD_FIX",
                "whoChanged" => "LOOKED",
                "undo" => "UNDONE",
                _ => "FIXED",
            };
            json!({ "outcome": outcome, "before": { "Public": true }, "after": { "Public": false } })
        });
        let mut result = input.clone();
        result["task"] = "result".into();
        result["report"] = report;
        if !matches!(task, "preview" | "whoChanged") {
            result["execution"] = "arn:aws:states:us-east-1:111111111111:execution:r:x".into();
        }
        result
    }

    /// Delivers what is on its way until there is nothing left.
    async fn settle(&self) {
        loop {
            *self.now.lock().unwrap() += SignedDuration::from_secs(1);
            let mut to_archive = self.newly_sent("ArchiveQueue");
            let previews = self.newly_sent("RemediationPreviewQueue");
            let executions = self.newly_sent("executions");
            let orders = previews.iter().chain(&executions);
            to_archive.extend(orders.map(|input| self.result(input)));
            let to_plan = self.newly_sent("RemediationQueue");
            if to_archive.is_empty() && to_plan.is_empty() {
                return;
            }
            self.archive(&to_archive).await;
            self.plan(&to_plan).await;
        }
    }

    /// Security Hub finds that this control fails, now: the event about it.
    fn event(&self, finding: &Value) -> Value {
        let mut finding = finding.clone();
        finding["UpdatedAt"] = self.now().to_string().into();
        let id = finding["Id"].as_str().unwrap().to_owned();
        let mut hub = self.hub.lock().unwrap();
        // What others have written on it stays.
        for field in ["Note", "UserDefinedFields"] {
            if let Some(value) = hub.get(&id).map(|known| known[field].clone()) {
                finding[field] = value;
            }
        }
        hub.insert(id, finding.clone());
        json!({ "detail-type": "Security Hub Findings - Imported", "time": self.now().to_string(),
            "detail": { "findings": [finding] } })
    }

    /// Security Hub finds that these controls fail, now.
    async fn found(&self, findings: &[Value]) {
        let events: Vec<Value> = findings.iter().map(|it| self.event(it)).collect();
        self.plan(&events).await;
        self.settle().await;
    }

    /// A message of the planner's queue that was received before.
    async fn receive_again(&self, event: &Value) {
        let event = sqs::event(&sqs::batch(std::slice::from_ref(event), 2));
        let response = self.planner.handle(event, self.invocation()).await;
        assert_eq!(sqs::returned(response), [""; 0]);
    }

    /// The schedule of what waits.
    async fn schedule(&self) {
        self.archive(&[json!({ "task": "endWaits" })]).await;
        self.settle().await;
    }

    fn table(&self) -> RemediationTable {
        RemediationTable::connect(&self.sdk, &CallCounter::default(), REMEDIATIONS)
    }

    async fn record(&self, key: &str) -> Record {
        self.table().read(key).await.unwrap().unwrap()
    }

    async fn status(&self, key: &str) -> &'static str {
        self.record(key).await.status.word()
    }

    /// How many records have each status.
    fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for item in self.tables.items(REMEDIATIONS).into_values() {
            if let Some(status) = item["Status"]["S"].as_str() {
                *counts.entry(status.to_owned()).or_default() += 1;
            }
        }
        counts
    }

    /// The mails of the alerts whose title begins so.
    fn alerts(&self, title: &str) -> Vec<String> {
        let calls = self.wire.calls_of("Publish").into_iter();
        let mails = calls.map(|call| {
            let message: Value =
                serde_json::from_str(call.body["Message"].as_str().unwrap()).unwrap();
            message["email"].as_str().unwrap().to_owned()
        });
        mails.filter(|mail| mail.starts_with(title)).collect()
    }

    /// The orders that were carried out: task and control.
    fn orders(&self) -> Vec<String> {
        let executions = self.executions.lock().unwrap();
        let orders = executions.iter().map(|(_, input)| &input["order"]);
        orders
            .map(|order| {
                let (task, control) = (&order["task"], &order["control"]);
                format!("{} {}", task.as_str().unwrap(), control.as_str().unwrap())
            })
            .collect()
    }

    /// The orders to find out who changed a resource, each with the delay of its message in seconds.
    fn looks(&self) -> Vec<(Value, i64)> {
        let sent = sqs::sent(&self.wire, &url("RemediationPreviewQueue")).into_iter();
        let orders = sent.map(|(mut body, delay)| (body["order"].take(), delay));
        orders
            .filter(|(order, _)| order["task"] == "whoChanged")
            .collect()
    }

    /// What a finding says in our field.
    fn field(&self, id: &str) -> String {
        let hub = self.hub.lock().unwrap();
        let field = hub[id]["UserDefinedFields"]["orgkeeper:Remediation"].as_str();
        field.unwrap_or_default().to_owned()
    }

    /// The operator's command.
    async fn command(&self, arguments: &[&str]) -> Run {
        let arguments: Vec<&str> = ["remediation"].iter().chain(arguments).copied().collect();
        orgkeeper_on(self.sdk.clone(), &arguments).await.unwrap()
    }

    async fn command_done(&self, arguments: &[&str]) -> String {
        let run = self.command(arguments).await;
        assert_eq!(run.outcome, Outcome::Done, "{} {}", run.out, run.err);
        run.out
    }
}

fn key(id: &str, resource: &str) -> String {
    let control = control(id).unwrap();
    let target = Target::new(control, account(0).parse().unwrap(), "us-east-1", resource);
    target.unwrap().key(control)
}

fn about(id: &str, control: &str, resource: &str) -> Value {
    let mut finding = finding(id, &account(0));
    finding["Region"] = "us-east-1".into();
    finding["GeneratorId"] = format!("security-control/{control}").into();
    finding["Compliance"] = json!({ "Status": "FAILED", "SecurityControlId": control });
    finding["Workflow"] = json!({ "Status": "NEW" });
    finding["RecordState"] = "ACTIVE".into();
    finding["Resources"] =
        json!([{ "Type": "Other", "Id": resource, "Tags": { "Owner": "Team Shop" } }]);
    finding
}

/// A finding about a bucket.
fn bucket(name: &str) -> Value {
    about(name, "S3.8", &format!("arn:aws:s3:::{name}"))
}

fn key_of(bucket: &str) -> String {
    key("S3.8", &format!("arn:aws:s3:::{bucket}"))
}

fn id(bucket: &str) -> String {
    id_of(&key_of(bucket))
}

fn mode(mode: &str) -> String {
    format!("[control]\n\"S3.8\" = {{ mode = \"{mode}\" }}\n")
}
