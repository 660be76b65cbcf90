//! The function on a simulated AWS, in virtual time: the queue, the tables, faults, and a function that is stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    lambda::{Invocation, QueueFunction},
    posture::{
        file::PostureFile,
        keep::{ACCOUNTS_PER_TASK, ChangedBy, KeepPlace, KeepTask, REGIONS_PER_TASK, Reason},
        setting::{self, Place, SETTINGS, home_region, regions_in_use},
        setting_record::SettingRecord,
    },
    versioned_file::active::Written,
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, POSTURE},
    sqs::{event, record},
    wire::{Answer, Call, InProcess},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use super::services::{ADMINISTRATOR, MANAGEMENT, Made, OWN, Services, made};
use crate::{config::Config, handler::Keeper, setup};

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
/// How long a call takes.
const A_CALL: Duration = Duration::from_millis(10);
/// How long the function may take.
const TIMEOUT: Duration = Duration::from_mins(3);
/// After what time the message of a function that was stopped is received again.
const VISIBILITY: Duration = Duration::from_secs(1_081);

/// What is answered instead, if anything.
type Fault = Box<dyn FnMut(&Made) -> Option<Answer> + Send>;

#[derive(Default)]
struct State {
    services: Services,
    made: Vec<Made>,
    sessions: usize,
    queue: Vec<(Instant, String, u32)>,
    fault: Option<Fault>,
    calls: usize,
    stop_at: Option<usize>,
    file: (String, String),
    slow: Option<(&'static str, Duration)>,
}

pub(super) struct Cloud {
    pub(super) tables: DynamoDb,
    state: Mutex<State>,
    stop: Notify,
    began: Instant,
}

/// The cloud and the function on it.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    function: QueueFunction<Keeper>,
    units: BTreeMap<String, Vec<String>>,
}

fn at(elapsed: Duration) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::try_from(elapsed).unwrap()
}

impl World {
    /// An organization with this `posture.toml`: so many accounts in `Root/Workloads/Prod`, twice as many in `Root/Workloads/Test`.
    pub(super) async fn with(mode: &str, file: &str, accounts: usize) -> Self {
        let cloud = Arc::new(Cloud {
            tables: DynamoDb::new(),
            state: Mutex::new(State {
                file: (file.to_owned(), "v1".to_owned()),
                ..State::default()
            }),
            stop: Notify::new(),
            began: Instant::now(),
        });
        let of_wire = Arc::clone(&cloud);
        let sdk = InProcess::new(move |call| of_wire.answer(call))
            .sdk_config()
            .await;
        let mode = mode.to_owned();
        let lookup = move |name: &str| {
            let value = match name {
                "POSTURE_TABLE" => POSTURE,
                "POSTURE_BUCKET" => "posture",
                "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
                "POSTURE_MODE" => &mode,
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::from_env(&lookup).unwrap();
        let function = setup::function(&config, &sdk);
        let mut world = Self {
            cloud,
            function,
            units: BTreeMap::new(),
        };
        world.know(MANAGEMENT, "management", &[]);
        world.know(ADMINISTRATOR, "security", &["Security"]);
        for number in 0..accounts {
            let unit = if number % 3 == 0 { "Prod" } else { "Test" };
            world.know(&format!("3{number:011}"), "member", &["Workloads", unit]);
        }
        world.upload(file, "v1");
        world
    }

    /// The directory and the organization know an account.
    pub(super) fn know(&mut self, account: &str, name: &str, units: &[&str]) {
        let path: Vec<Value> = units
            .iter()
            .map(|unit| json!({ "M": { "Id": { "S": format!("ou-{}", unit.to_lowercase()) }, "Name": { "S": unit } } }))
            .collect();
        self.cloud.tables.put(
            ACCOUNT_DIRECTORY,
            &json!({ "AccountId": { "S": account }, "Name": { "S": name }, "OuPath": { "L": path },
                "RefreshedAt": { "N": "0" }, "State": { "S": "ACTIVE" } }),
        );
        self.cloud
            .lock()
            .services
            .accounts
            .insert(account.to_owned());
        let units = units.iter().map(|unit| (*unit).to_owned());
        self.units.insert(account.to_owned(), units.collect());
    }

    /// Another version of the file.
    pub(super) fn upload(&self, text: &str, version: &str) {
        self.cloud.lock().file = (text.to_owned(), version.to_owned());
        self.cloud.tables.put(
            POSTURE,
            &json!({ "Pair": { "S": "file" }, "Newest": { "S": version }, "Refused": { "M": {} } }),
        );
    }

    fn tasks(&self, run: &str) -> Vec<KeepTask> {
        let (text, version) = self.cloud.lock().file.clone();
        let file = PostureFile::parse(&text).unwrap();
        let task = |setting: &str, places| KeepTask {
            run: run.to_owned(),
            version: version.clone(),
            reason: Reason::Upload,
            setting: setting.to_owned(),
            places,
            part: None,
            looks: 0,
            failures: 0,
            changed_by: None,
            controls: BTreeSet::new(),
            undo: false,
        };
        let place = |account: Option<&String>, regions: BTreeSet<String>| KeepPlace {
            account: account.map(|id| id.parse().unwrap()),
            regions,
        };
        let regions: Vec<String> = regions_in_use(&file, "us-east-1").into_iter().collect();
        let mut tasks = Vec::new();
        for row in SETTINGS.iter().filter(|row| row.is_wanted(&file)) {
            match row.place {
                Place::Organization => {
                    tasks.push(task(row.name, vec![place(None, BTreeSet::new())]));
                }
                Place::Home => {
                    let home = BTreeSet::from([home_region(&file, "us-east-1")]);
                    tasks.push(task(row.name, vec![place(None, home)]));
                }
                Place::Management => {
                    let all = regions.iter().cloned().collect();
                    tasks.push(task(row.name, vec![place(None, all)]));
                }
                Place::Administrator => {
                    for regions in regions.chunks(REGIONS_PER_TASK) {
                        let regions = regions.iter().cloned().collect();
                        tasks.push(task(row.name, vec![place(None, regions)]));
                    }
                }
                Place::Members => {
                    let accounts: Vec<&String> = self.units.keys().collect();
                    for accounts in accounts.chunks(ACCOUNTS_PER_TASK) {
                        let all = || regions.iter().cloned().collect();
                        let places = accounts.iter().map(|id| place(Some(id), all()));
                        tasks.push(task(row.name, places.collect()));
                    }
                }
            }
        }
        let parts = (1_u64..).zip(tasks);
        parts
            .map(|(part, task)| KeepTask {
                part: Some(part),
                ..task
            })
            .collect()
    }

    /// A run over all settings: so often each message, and worked on until nothing is left.
    pub(super) async fn run(&self, run: &str, times: usize) {
        let tasks = self.tasks(run);
        self.cloud.tables.put(
            POSTURE,
            &json!({ "Pair": { "S": format!("keep#{run}") }, "Run": { "S": run }, "Version": { "S": "v" },
                "Reason": { "S": "upload" }, "BeganAt": { "S": "2026-03-01T12:00:00Z" },
                "Parts": { "N": tasks.len().to_string() }, "ExpiresAt": { "N": "0" } }),
        );
        for task in tasks {
            for _ in 0..times {
                self.send(&task);
            }
        }
        self.work().await;
    }

    /// Whether every part of a run has ended.
    pub(super) fn has_ended(&self, run: &str) -> bool {
        let summary = self
            .cloud
            .tables
            .get(POSTURE, &format!("keep#{run}"))
            .unwrap();
        let ended = summary["Ended"]["NS"].as_array().map_or(0, Vec::len);
        let parts = summary["Parts"]["N"].as_str().map(str::parse);
        parts == Some(Ok(ended))
    }

    pub(super) fn send(&self, task: &KeepTask) {
        let body = serde_json::to_string(task).unwrap();
        self.cloud.lock().queue.push((Instant::now(), body, 1));
    }

    /// A task after a call that can have undone a setting.
    pub(super) fn event(
        &self,
        setting: &str,
        account: Option<&str>,
        region: &str,
        controls: &[&str],
    ) {
        let version = self.cloud.lock().file.1.clone();
        assert!(setting::named(setting).is_some());
        self.send(&KeepTask {
            run: "event".into(),
            version,
            reason: Reason::Hint,
            setting: setting.into(),
            places: vec![KeepPlace {
                account: account.map(|id| id.parse().unwrap()),
                regions: BTreeSet::from([region.to_owned()]),
            }],
            part: None,
            looks: 0,
            failures: 0,
            changed_by: Some(ChangedBy {
                who: "anna".into(),
                call: "Something".into(),
                at: at(self.cloud.began.elapsed()),
            }),
            controls: controls.iter().map(|id| (*id).to_owned()).collect(),
            undo: false,
        });
    }

    /// Works until the queue is empty.
    pub(super) async fn work(&self) {
        while let Some((due, body, receives)) = self.cloud.next() {
            tokio::time::sleep_until(due).await;
            self.receive(body, receives).await;
        }
    }

    /// Works on all messages that are there at once, each in an invocation of its own; then on the rest.
    pub(super) async fn work_at_once(&self) {
        let mut messages = Vec::new();
        while let Some((_, body, receives)) = self.cloud.next() {
            messages.push((body, receives));
        }
        let all = messages
            .into_iter()
            .map(|(body, receives)| Box::pin(self.receive(body, receives)));
        futures::future::join_all(all).await;
        self.work().await;
    }

    async fn receive(&self, body: String, receives: u32) {
        let message = record(&format!("{receives}-{:?}", Instant::now()), &body, receives);
        let invocation = Invocation {
            now: at(self.cloud.began.elapsed()),
            remaining: TIMEOUT,
            account: OWN.parse().ok(),
        };
        let handled = tokio::select! {
            biased;
            () = self.cloud.stop.notified() => None,
            response = self.function.handle(event(&[message]), invocation) => Some(response),
        };
        let again = match handled {
            None => Some(VISIBILITY),
            Some(response) if response.batch_item_failures.is_empty() => None,
            Some(_) => Some(Duration::from_secs(2 * 3_u64.pow(receives - 1))),
        };
        if let Some(delay) = again {
            assert!(receives < 8, "a message is received too often: {body}");
            let message = (Instant::now() + delay, body, receives + 1);
            self.cloud.lock().queue.push(message);
        }
    }

    /// The records by key, without what only a person reads.
    pub(super) fn records(&self) -> BTreeMap<String, SettingRecord> {
        let items = self.cloud.tables.items(POSTURE).into_iter();
        let records = items.filter(|(key, _)| key.starts_with("setting#"));
        records
            .map(|(key, item)| (key, serde_dynamo::from_item(plain(&item)).unwrap()))
            .collect()
    }

    pub(super) fn record(&self, setting: &str, account: &str, region: &str) -> SettingRecord {
        self.records()[&format!("setting#{setting}#{account}#{region}")].clone()
    }
}

/// An item of the wire as one of `serde_dynamo`.
fn plain(item: &Value) -> serde_dynamo::Item {
    let item: std::collections::HashMap<String, serde_dynamo::AttributeValue> =
        serde_json::from_value(item.clone()).unwrap();
    item.into()
}

impl Cloud {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Instant, String, u32)> {
        let mut state = self.lock();
        let queue = &mut state.queue;
        let place = (0..queue.len()).min_by_key(|place| queue[*place].0)?;
        Some(queue.remove(place))
    }

    /// Answers by `fault` where it gives an answer.
    pub(super) fn fault(&self, fault: impl FnMut(&Made) -> Option<Answer> + Send + 'static) {
        self.lock().fault = Some(Box::new(fault));
    }

    /// The calls of an operation take so long.
    pub(super) fn slow(&self, operation: &'static str, duration: Duration) {
        self.lock().slow = Some((operation, duration));
    }

    /// The function is stopped with the call after so many.
    pub(super) fn stop_after(&self, calls: usize) {
        let mut state = self.lock();
        state.stop_at = Some(state.calls + calls);
    }

    /// The calls since the last time, and how many sessions were begun.
    pub(super) fn take(&self) -> (Vec<Made>, usize) {
        let mut state = self.lock();
        let sessions = std::mem::take(&mut state.sessions);
        (std::mem::take(&mut state.made), sessions)
    }

    /// Looks at the services, or changes them by hand.
    pub(super) fn services<T>(&self, of: impl FnOnce(&mut Services) -> T) -> T {
        of(&mut self.lock().services)
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.lock();
        state.calls += 1;
        let is_stopped = state.stop_at == Some(state.calls);
        if is_stopped {
            state.stop_at = None;
            self.stop.notify_one();
        }
        let before = state.made.len();
        let answer = self.answer_of(&mut state, call);
        let made = state.made.get(before).map(|made| made.operation.name);
        let slow = state.slow.filter(|(name, _)| made == Some(*name));
        let answer = answer.after(slow.map_or(A_CALL, |(_, duration)| duration));
        // The call is made, and its answer is never seen.
        if is_stopped {
            return answer.after(Duration::from_hours(2));
        }
        answer
    }

    fn answer_of(&self, state: &mut State, call: &Call) -> Answer {
        if let Some(answer) = self.tables.answer(call) {
            return answer;
        }
        let credential = call.header("authorization").split("Credential=").nth(1);
        let scope: Vec<&str> = credential.unwrap_or_default().split('/').collect();
        let method = call.operation.split(' ').next().unwrap_or_default();
        match call.operation.as_str() {
            "AssumeRole" => {
                state.sessions += 1;
                let role = call.body["RoleArn"].as_str().unwrap();
                let account = role.split(':').nth(4).unwrap();
                assert!(role.ends_with(":role/OrgkeeperPosture"), "{role}");
                return Answer::xml(
                    200,
                    &format!(
                        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{account}</AccessKeyId>\
                         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                    ),
                );
            }
            "GetObject" if call.uri.contains("versions") => {
                return Answer::xml(200, "<ListVersionsResult/>");
            }
            "GetObject" => {
                return Answer::xml(200, &state.file.0)
                    .with_header("x-amz-version-id", &state.file.1);
            }
            "SendMessageBatch" => {
                let entries = call.body["Entries"].as_array().cloned().unwrap_or_default();
                assert_eq!(call.body["QueueUrl"], QUEUE);
                for entry in &entries {
                    let delay = entry["DelaySeconds"].as_u64().unwrap_or_default();
                    let due = Instant::now() + Duration::from_secs(delay);
                    let body = entry["MessageBody"].as_str().unwrap().to_owned();
                    state.queue.push((due, body, 1));
                }
                let sent = entries.iter().map(
                    |entry| json!({ "Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "" }),
                );
                return Answer::ok(json!({ "Successful": sent.collect::<Vec<_>>(), "Failed": [] }));
            }
            "ChangeMessageVisibilityBatch" => {
                return Answer::ok(json!({ "Successful": [], "Failed": [] }));
            }
            _ => {}
        }
        let method = if call.header("x-amz-target").is_empty() {
            method
        } else {
            "POST"
        };
        let found = made(
            (scope[0], scope[2], scope[3]),
            method,
            &call.uri,
            (call.header("x-amz-target"), &call.body),
        );
        let made = found.unwrap_or_else(|| panic!("{} {}", call.operation, call.uri));
        state.made.push(made.clone());
        if let Some(fault) = &mut state.fault
            && let Some(answer) = fault(&made)
        {
            return answer;
        }
        state.services.answer(&made)
    }
}
