//! AWS in the test's own process, in virtual time: accounts with their networks, the queue, and faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, EXPOSURE, POSTURE},
    sqs::{event, record},
    wire::{Answer, Call, InProcess},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use crate::{config::Config, handler::Surveyor, setup};

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
/// How long a call takes.
const A_CALL: Duration = Duration::from_millis(10);
/// How long a function may take.
const TIMEOUT: Duration = Duration::from_mins(3);
/// After what time the message of a function that was stopped is received again.
const VISIBILITY: Duration = Duration::from_secs(1_081);

/// The management account.
pub(super) const MANAGEMENT: &str = "999999999999";

/// 17 Regions, as an account has them from the start.
pub(super) const REGIONS: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "sa-east-1",
];
/// Regions that an account has to ask for.
pub(super) const OFF: [&str; 2] = ["af-south-1", "me-south-1"];

/// A call that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The account whose session made it, or the security account itself.
    pub(super) account: String,
    pub(super) region: String,
    pub(super) operation: String,
    /// The table of a call of DynamoDB.
    pub(super) table: String,
}

/// What is answered instead, if anything.
type Fault = Box<dyn FnMut(&Made) -> Option<Answer> + Send>;

#[derive(Default)]
struct State {
    /// What an operation lists in an account and Region, as XML or JSON, item by item.
    lists: BTreeMap<(String, String, &'static str), Vec<String>>,
    /// The most items of a page.
    page: usize,
    made: Vec<Made>,
    /// The messages of the queue: when each is received, and how often it was.
    queue: Vec<(Instant, String, u32)>,
    fault: Option<Fault>,
    /// The function is stopped with this call.
    stop_at: Option<usize>,
    file: String,
}

/// The simulated AWS.
pub(super) struct Cloud {
    pub(super) tables: DynamoDb,
    state: Mutex<State>,
    stop: Notify,
    began: Instant,
}

/// The cloud and the function on it.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    function: QueueFunction<Surveyor>,
}

fn at(elapsed: Duration) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::try_from(elapsed).unwrap()
}

impl World {
    /// An organization with this `posture.toml`.
    pub(super) async fn with(file: &str) -> Self {
        let cloud = Arc::new(Cloud {
            tables: DynamoDb::new(),
            state: Mutex::new(State {
                file: file.to_owned(),
                page: 2,
                ..State::default()
            }),
            stop: Notify::new(),
            began: Instant::now(),
        });
        let of_wire = Arc::clone(&cloud);
        let sdk = InProcess::new(move |call| of_wire.answer(call))
            .sdk_config()
            .await;
        let lookup = |name: &str| {
            let value = match name {
                "POSTURE_TABLE" => POSTURE,
                "EXPOSURE_TABLE" => EXPOSURE,
                "POSTURE_BUCKET" => "posture",
                "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
                "MANAGEMENT_ACCOUNT_ID" => MANAGEMENT,
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::from_env(&lookup).unwrap();
        let function = setup::function(&config, &sdk);
        Self { cloud, function }
    }

    /// Sends a message to the queue.
    pub(super) fn send(&self, body: &Value) {
        let message = (Instant::now(), body.to_string(), 1);
        self.cloud.lock().queue.push(message);
    }

    /// Works until the queue is empty.
    pub(super) async fn run(&self) {
        while let Some((due, body, receives)) = self.cloud.next() {
            tokio::time::sleep_until(due).await;
            self.receive(body, receives).await;
        }
    }

    /// Works on the next message.
    pub(super) async fn step(&self) {
        let (due, body, receives) = self.cloud.next().unwrap();
        tokio::time::sleep_until(due).await;
        self.receive(body, receives).await;
    }

    /// Works on all messages of the queue at once, each in an invocation of its own.
    pub(super) async fn run_at_once(&self) {
        let mut messages = Vec::new();
        while let Some((_, body, receives)) = self.cloud.next() {
            messages.push((body, receives));
        }
        let all = messages
            .into_iter()
            .map(|(body, receives)| Box::pin(self.receive(body, receives)));
        futures::future::join_all(all).await;
        self.run().await;
    }

    async fn receive(&self, body: String, receives: u32) {
        let message = record(&format!("{receives}-{:?}", Instant::now()), &body, receives);
        let invocation = Invocation {
            now: at(self.cloud.began.elapsed()),
            remaining: TIMEOUT,
            account: "111111111111".parse().ok(),
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

    /// The directory knows an account in a unit below the root.
    pub(super) fn know(&self, account: &str, unit: &str, state: &str) {
        self.tables.put(
            ACCOUNT_DIRECTORY,
            &json!({
                "AccountId": { "S": account },
                "Name": { "S": "payments" },
                "OuPath": { "L": [{ "M": { "Id": { "S": "ou-ab12-11112222" }, "Name": { "S": unit } } }] },
                "RefreshedAt": { "N": "0" },
                "State": { "S": state },
            }),
        );
    }

    /// What an operation lists in an account and Region.
    pub(super) fn list(&self, account: &str, region: &str, operation: &'static str, xml: &str) {
        let key = (account.to_owned(), region.to_owned(), operation);
        self.lock().lists.insert(key, items_of(xml));
    }

    /// A page has at most so many items.
    pub(super) fn pages_of(&self, items: usize) {
        self.lock().page = items;
    }

    /// Answers by `fault` where it gives an answer.
    pub(super) fn fault(&self, fault: impl FnMut(&Made) -> Option<Answer> + Send + 'static) {
        self.lock().fault = Some(Box::new(fault));
    }

    /// The function is stopped with the call after so many.
    pub(super) fn stop_after(&self, calls: usize) {
        let mut state = self.lock();
        state.stop_at = Some(state.made.len() + calls);
    }

    /// The file from now on; a process that is running has the old one for five minutes.
    pub(super) fn upload(&self, file: &str) {
        file.clone_into(&mut self.lock().file);
    }

    /// How often an operation was called since the last time.
    pub(super) fn count(&self, operation: &str) -> usize {
        let state = self.lock();
        let of_it = state.made.iter().filter(|made| made.operation == operation);
        of_it.count()
    }

    /// The calls since the last time.
    pub(super) fn take(&self) -> Vec<Made> {
        std::mem::take(&mut self.lock().made)
    }

    /// The exposures that are shown: id, reachable and whether they are stale.
    pub(super) fn shown(&self) -> BTreeSet<(String, String, bool)> {
        let items = self.tables.items(EXPOSURE).into_values();
        let here = items.filter(|item| item.get("GoneAt").is_none());
        let text = |value: &Value| value["S"].as_str().unwrap().to_owned();
        here.map(|item| {
            let stale = item["Stale"]["BOOL"].as_bool().unwrap();
            (text(&item["ExposureId"]), text(&item["Reachable"]), stale)
        })
        .collect()
    }

    /// How the last look at a pair ended.
    pub(super) fn outcome(&self, account: &str, region: &str) -> String {
        let item = self.tables.get(POSTURE, &format!("{account}#{region}"));
        let item = item.unwrap_or_default();
        item["Outcome"]["S"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that the tables show, without times.
    pub(super) fn tables(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for table in [POSTURE, EXPOSURE] {
            for (key, mut item) in self.tables.items(table) {
                if key.starts_with("account#") {
                    continue;
                }
                for time in ["LookedAt", "SeenAt", "FirstSeen", "LastChange", "EndedAt"] {
                    item.as_object_mut().unwrap().remove(time);
                }
                all.insert(format!("{table} {key}"), item);
            }
        }
        all
    }

    fn answer(&self, call: &Call) -> Answer {
        let made = made_by(call);
        let mut state = self.lock();
        state.made.push(made.clone());
        if state.stop_at == Some(state.made.len()) {
            state.stop_at = None;
            self.stop.notify_one();
            // The call is made, and its answer is never seen.
            let made = self
                .tables
                .answer(call)
                .unwrap_or_else(|| state.answer(call, &made));
            return made.after(Duration::from_hours(1));
        }
        if let Some(fault) = &mut state.fault
            && let Some(answer) = fault(&made)
        {
            return answer;
        }
        if let Some(answer) = self.tables.answer(call) {
            return answer.after(A_CALL);
        }
        state.answer(call, &made).after(A_CALL)
    }
}

fn made_by(call: &Call) -> Made {
    let credential = call.header("authorization").split("Credential=").nth(1);
    let scope: Vec<&str> = credential.unwrap_or_default().split('/').collect();
    let operation = match call.operation.as_str() {
        "GetObject" if call.uri.contains("versions") => "ListObjectVersions",
        _ if call.uri.contains("/urls") => "ListFunctionUrlConfigs",
        other => other,
    };
    let of_many = call.body["RequestItems"].as_object();
    let of_many = of_many.and_then(|tables| tables.keys().next().cloned());
    let table = call.body["TableName"].as_str().map(str::to_owned);
    Made {
        account: scope[0].to_owned(),
        region: scope.get(2).copied().unwrap_or_default().to_owned(),
        operation: operation.to_owned(),
        table: table.or(of_many).unwrap_or_default(),
    }
}

impl State {
    /// A page of a list, and the token of the next one. The first page of a list is empty: AWS gives such pages.
    fn page<'l>(&self, items: &'l [String], call: &Call) -> (&'l [String], Option<usize>) {
        let asked = ["NextToken", "Marker"].map(|name| {
            let in_form = call.body[name].as_str().map(str::to_owned);
            let begin = format!("{name}=");
            let query = call.uri.split_once('?').map_or("", |(_, query)| query);
            let mut in_query = query.split('&').filter_map(|it| it.strip_prefix(&begin));
            in_form.or_else(|| in_query.next().map(str::to_owned))
        });
        let asked = asked.into_iter().flatten().next();
        let most = ["MaxResults", "PageSize", "MaxRecords"]
            .into_iter()
            .find_map(|name| call.body[name].as_str()?.parse().ok());
        let size = self.page.min(most.unwrap_or(usize::MAX));
        let Some(page) = asked.map(|page| page.parse::<usize>().unwrap()) else {
            return (&[], (!items.is_empty()).then_some(1));
        };
        let end = (page * size).min(items.len());
        let next = (end < items.len()).then_some(page + 1);
        (&items[(page - 1) * size..end], next)
    }

    /// What the operation lists there.
    fn items(&self, made: &Made) -> &[String] {
        let mut lists = self.lists.iter();
        let found = lists.find(|((account, region, operation), _)| {
            (account, region, *operation) == (&made.account, &made.region, made.operation.as_str())
        });
        found.map_or(&[], |(_, items)| items)
    }

    /// What a read of a Region answers.
    fn listed(&self, call: &Call, made: &Made) -> Option<Answer> {
        let items = self.items(made);
        let operation = made.operation.as_str();
        let all = |set: &str| {
            let list = items.concat();
            Answer::xml(
                200,
                &format!("<{operation}Response><{set}>{list}</{set}></{operation}Response>"),
            )
        };
        let ec2 = |set: &str| {
            let (list, next) = self.page(items, call);
            let next = next.map_or(String::new(), |next| {
                format!("<nextToken>{next}</nextToken>")
            });
            Answer::xml(
                200,
                &format!(
                    "<{operation}Response><{set}>{}</{set}>{next}</{operation}Response>",
                    list.concat()
                ),
            )
        };
        let query = |set: &str, marker: &str| {
            let (list, next) = self.page(items, call);
            let next = next.map_or(String::new(), |next| format!("<{marker}>{next}</{marker}>"));
            Answer::xml(
                200,
                &format!(
                    "<{operation}Response><{operation}Result><{set}>{}</{set}>{next}</{operation}Result></{operation}Response>",
                    list.concat()
                ),
            )
        };
        let json = |set: &str, items: &[String]| {
            let (list, next) = self.page(items, call);
            let list = list.iter().map(|item| serde_json::from_str(item).unwrap());
            let list: Vec<Value> = list.collect();
            let next = next.map(|next| next.to_string());
            Answer::ok(json!({ set: list, "NextMarker": next }))
        };
        Some(match operation {
            "DescribeNetworkInterfaces" => ec2("networkInterfaceSet"),
            "DescribeAddresses" => all("addressesSet"),
            "DescribeRouteTables" => ec2("routeTableSet"),
            "DescribeInternetGateways" => ec2("internetGatewaySet"),
            "DescribeSubnets" => ec2("subnetSet"),
            "DescribeSecurityGroups" => ec2("securityGroupInfo"),
            "DescribeVpcBlockPublicAccessOptions" => all("vpcBlockPublicAccessOptions"),
            "DescribeVpcBlockPublicAccessExclusions" => ec2("vpcBlockPublicAccessExclusionSet"),
            "DescribeLoadBalancers" => query("LoadBalancers", "NextMarker"),
            "DescribeListeners" => query("Listeners", "NextMarker"),
            "DescribeDBInstances" => query("DBInstances", "Marker"),
            "ListFunctions" => json("Functions", items),
            "ListFunctionUrlConfigs" => {
                let name = call.uri.split("/functions/").nth(1).unwrap();
                let name = name.split('/').next().unwrap();
                let end = format!(":function:{name}\"");
                let of_it = items.iter().filter(|item| item.contains(&end));
                json("FunctionUrlConfigs", &of_it.cloned().collect::<Vec<_>>())
            }
            _ => return None,
        })
    }

    fn answer(&mut self, call: &Call, made: &Made) -> Answer {
        if let Some(answer) = self.listed(call, made) {
            return answer;
        }
        let list = || self.items(made).concat();
        match made.operation.as_str() {
            "AssumeRole" => {
                let role = call.body["RoleArn"].as_str().unwrap();
                let account = role.split(':').nth(4).unwrap();
                assert!(role.ends_with(":role/OrgkeeperAudit"), "{role}");
                Answer::xml(
                    200,
                    &format!(
                        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{account}</AccessKeyId>\
                         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                    ),
                )
            }
            "DescribeRegions" => {
                let mut regions = String::new();
                let on = REGIONS.iter().map(|region| (region, "opt-in-not-required"));
                let off = OFF.iter().map(|region| (region, "not-opted-in"));
                for (region, status) in on.chain(off) {
                    write!(
                        regions,
                        "<item><regionName>{region}</regionName><optInStatus>{status}</optInStatus></item>"
                    )
                    .unwrap();
                }
                Answer::xml(
                    200,
                    &format!(
                        "<DescribeRegionsResponse><regionInfo>{regions}</regionInfo></DescribeRegionsResponse>"
                    ),
                )
            }
            "GetRole"
            | "ListEnabledBaselines"
            | "ListAccounts"
            | "DescribeConfigurationRecorders"
            | "DescribeDeliveryChannels" => of_enrolment(call, made, &list()),
            "GetObject" => Answer::xml(200, &self.file),
            "ListObjectVersions" => Answer::xml(200, "<ListVersionsResult/>"),
            "SendMessageBatch" => {
                let entries = call.body["Entries"].as_array().cloned().unwrap_or_default();
                assert_eq!(call.body["QueueUrl"], QUEUE);
                for entry in &entries {
                    let delay = entry["DelaySeconds"].as_u64().unwrap_or_default();
                    let due = Instant::now() + Duration::from_secs(delay);
                    let body = entry["MessageBody"].as_str().unwrap().to_owned();
                    self.queue.push((due, body, 1));
                }
                let sent = entries.iter().map(
                    |entry| json!({ "Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "" }),
                );
                Answer::ok(json!({ "Successful": sent.collect::<Vec<_>>(), "Failed": [] }))
            }
            "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
            other => panic!("{other} {}", call.uri),
        }
    }
}

/// What a list consists of: the elements in XML of an answer, or the objects of a JSON list. What is several pages already is
/// one item.
fn items_of(list: &str) -> Vec<String> {
    if let Ok(Value::Array(items)) = serde_json::from_str(list) {
        return items.iter().map(Value::to_string).collect();
    }
    let Some(tag) = list.strip_prefix('<').and_then(|it| it.split('>').next()) else {
        return vec![list.to_owned()];
    };
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let (mut items, mut depth, mut from, mut place) = (Vec::new(), 0, 0, 0);
    while let Some(step) = list[place..].find('<') {
        place += step;
        if list[place..].starts_with(&begin) {
            depth += 1;
        } else if list[place..].starts_with(&end) {
            depth -= 1;
            if depth == 0 {
                let until = place + end.len();
                items.push(list[from..until].to_owned());
                from = until;
            }
        }
        place += 1;
    }
    items
}

/// What an account or the organization answers about enrolment: the name of a role, or pages in JSON, one a line.
fn of_enrolment(call: &Call, made: &Made, list: &str) -> Answer {
    if made.operation != "GetRole" {
        let token = ["nextToken", "NextToken"].map(|name| call.body[name].as_str());
        let page = token.iter().flatten().next();
        let page = page.map_or(0, |page| page.parse().unwrap());
        let text = list.lines().nth(page).unwrap_or("{}");
        return Answer::ok(serde_json::from_str(text).unwrap());
    }
    if list.is_empty() {
        return Answer::query_error(404, "NoSuchEntity");
    }
    Answer::xml(
        200,
        &format!(
            "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>{list}</RoleName><RoleId>A</RoleId>\
             <Arn>arn:aws:iam::{}:role/{list}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>\
             </GetRoleResult></GetRoleResponse>",
            made.account
        ),
    )
}
