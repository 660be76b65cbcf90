//! `outage-rehearser`'s handler with real SDK clients over the wire, a simulated clock, and an AWS that refuses what AWS refuses.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails in a helper fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    dynamodb::{DynamoDb, REHEARSALS},
    sqs,
    wire::{Answer, Call, Wire},
};
use outage_rehearser::{config::Config, setup};
use serde_json::{Value, json};

use crate::operator::{healthy, orgkeeper_on};

const FILE: &str = include_str!("../../../events/outage-rehearser/rehearsals.toml");
const DENIED: &str = include_str!("../../../events/outage-rehearser/denied-call.json");
const UNIT: &str = "ou-ab12-34cdefgh";
const MEMBER: &str = "111122223333";
const SECURITY: &str = "222222222222";
const MANAGEMENT: &str = "111111111111";
const ID: &str = "dns#2026-12-01T10:00:00Z";
const INFO: &str = "arn:aws:sns:us-east-1:111111111111:info";
const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";
const END_ROLE: &str = "arn:aws:iam::111111111111:role/orgkeeper-RehearsalEnd";
/// Every call that changes something at a beginning, in its order.
const CHANGES: [&str; 5] = [
    "PutItem",
    "CreatePolicy",
    "CreateSchedule",
    "AttachPolicy",
    "Publish",
];

/// Minutes after the first rehearsal of the sample begins.
fn at(minutes: i64) -> Timestamp {
    let from: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
    from + SignedDuration::from_mins(minutes)
}

#[derive(Clone, Debug, Default)]
struct Policy {
    name: String,
    content: String,
    tag: Option<String>,
    targets: BTreeSet<String>,
}

/// An organization, its schedules and a bucket.
#[derive(Debug)]
struct Aws {
    policies: BTreeMap<String, Policy>,
    created: usize,
    schedules: BTreeMap<String, Value>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// The path of each account.
    accounts: BTreeMap<String, Vec<&'static str>>,
    /// Other policies of each target.
    others: usize,
    /// The most policies that a target takes.
    places: usize,
    /// The versions of `rehearsals.toml`, the oldest first.
    versions: Vec<String>,
    reports: BTreeMap<String, String>,
}

impl Default for Aws {
    fn default() -> Self {
        let allowed = || BTreeMap::from([("rehearsal".to_owned(), "allowed".to_owned())]);
        Self {
            policies: BTreeMap::new(),
            created: 0,
            schedules: BTreeMap::new(),
            tags: BTreeMap::from([
                (UNIT.to_owned(), allowed()),
                (MEMBER.to_owned(), allowed()),
                (SECURITY.to_owned(), allowed()),
                ("r-ab12".to_owned(), allowed()),
            ]),
            accounts: BTreeMap::from([
                (MANAGEMENT.to_owned(), vec!["r-ab12"]),
                (MEMBER.to_owned(), vec!["r-ab12", UNIT]),
                (SECURITY.to_owned(), vec!["r-ab12", "ou-ab12-security"]),
            ]),
            others: 1,
            places: 5,
            versions: vec![FILE.to_owned()],
            reports: BTreeMap::new(),
        }
    }
}

impl Aws {
    fn answer(&mut self, call: &Call) -> Answer {
        let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
        match call.operation.as_str() {
            "ListPolicies" => {
                let own = self
                    .policies
                    .iter()
                    .map(|(id, policy)| (id.as_str(), policy.name.as_str()));
                let mut all: Vec<Value> = own
                    .chain([("p-FullAWSAccess", "FullAWSAccess")])
                    .map(|(id, name)| json!({ "Id": id, "Name": name, "Type": "SERVICE_CONTROL_POLICY" }))
                    .collect();
                // Two pages.
                let second = call.body["NextToken"].is_string();
                let rest = all.split_off(1);
                let page = if second { rest } else { all };
                let next = if second { Value::Null } else { json!("second") };
                Answer::ok(json!({ "Policies": page, "NextToken": next }))
            }
            "ListTagsForResource" => {
                let id = text("ResourceId");
                let tags: Vec<Value> = if let Some(policy) = self.policies.get(&id) {
                    let tag = policy.tag.iter();
                    tag.map(|value| json!({ "Key": "orgkeeper-rehearsal", "Value": value }))
                        .collect()
                } else if let Some(tags) = self.tags.get(&id) {
                    let tags = tags.iter();
                    tags.map(|(key, value)| json!({ "Key": key, "Value": value }))
                        .collect()
                } else {
                    return Answer::error(400, "TargetNotFoundException");
                };
                Answer::ok(json!({ "Tags": tags }))
            }
            "ListAccounts" => {
                let accounts = self.accounts.iter().map(|(id, path)| {
                    json!({
                        "Id": id, "State": "ACTIVE", "Paths": [format!("o-aa111/{}/{id}/", path.join("/"))],
                        "Arn": format!("arn:aws:organizations::{MANAGEMENT}:account/o-aa111/{id}"),
                    })
                });
                Answer::ok(json!({ "Accounts": accounts.collect::<Vec<_>>() }))
            }
            "ListPoliciesForTarget" => {
                let target = text("TargetId");
                let own = self
                    .policies
                    .values()
                    .filter(|policy| policy.targets.contains(&target));
                let names = own.map(|policy| policy.name.clone());
                let others = (0..self.others).map(|number| format!("other-{number}"));
                let all = names.chain(others).map(|name| json!({ "Name": name }));
                Answer::ok(json!({ "Policies": all.collect::<Vec<_>>() }))
            }
            "CreatePolicy" => self.create(call),
            "CreateSchedule" => {
                let name = name_in(call);
                if self.schedules.contains_key(&name) {
                    return Answer::error(409, "ConflictException");
                }
                assert_eq!(call.body["ActionAfterCompletion"], "DELETE");
                assert_eq!(call.body["FlexibleTimeWindow"]["Mode"], "OFF");
                self.schedules.insert(name, call.body.clone());
                Answer::ok(
                    json!({ "ScheduleArn": "arn:aws:scheduler:us-east-1:111111111111:schedule/default/x" }),
                )
            }
            "DeleteSchedule" => match self.schedules.remove(&name_in(call)) {
                None => Answer::error(404, "ResourceNotFoundException"),
                Some(_) => Answer::ok(json!({})),
            },
            "GetObject" => self.object(call),
            "PutObject" => {
                let key = call.uri.split('?').next().unwrap().to_owned();
                self.reports.insert(key, call.text.clone());
                Answer::xml(200, "")
            }
            "AttachPolicy" | "ListTargetsForPolicy" | "DetachPolicy" | "DeletePolicy" => {
                self.change(call)
            }
            "Publish" => Answer::published(),
            "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
            other => panic!("nobody knows {other} {}", call.uri),
        }
    }

    /// A call about a policy that exists.
    fn change(&mut self, call: &Call) -> Answer {
        let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
        match call.operation.as_str() {
            "AttachPolicy" => {
                let target = text("TargetId");
                let taken = self
                    .policies
                    .values()
                    .filter(|it| it.targets.contains(&target))
                    .count();
                let is_scheduled = self.schedules.values().any(|schedule| {
                    let input = schedule["Target"]["Input"].as_str().unwrap();
                    input.contains(&text("PolicyId"))
                });
                assert!(is_scheduled, "attached before its end is set");
                let full = taken + self.others >= self.places;
                let Some(policy) = self.policies.get_mut(&text("PolicyId")) else {
                    return Answer::error(400, "PolicyNotFoundException");
                };
                if policy.targets.contains(&target) {
                    Answer::error(400, "DuplicatePolicyAttachmentException")
                } else if full {
                    Answer::error(400, "ConstraintViolationException")
                } else {
                    policy.targets.insert(target);
                    Answer::ok(json!({}))
                }
            }
            "ListTargetsForPolicy" => match self.policies.get(&text("PolicyId")) {
                None => Answer::error(400, "PolicyNotFoundException"),
                Some(policy) => {
                    let targets = policy.targets.iter().map(|id| json!({ "TargetId": id }));
                    Answer::ok(json!({ "Targets": targets.collect::<Vec<_>>() }))
                }
            },
            "DetachPolicy" => match self.policies.get_mut(&text("PolicyId")) {
                None => Answer::error(400, "PolicyNotFoundException"),
                Some(policy) => {
                    if policy.targets.remove(&text("TargetId")) {
                        Answer::ok(json!({}))
                    } else {
                        Answer::error(400, "PolicyNotAttachedException")
                    }
                }
            },
            _ => match self.policies.get(&text("PolicyId")) {
                None => Answer::error(400, "PolicyNotFoundException"),
                Some(policy) if !policy.targets.is_empty() => {
                    Answer::error(400, "PolicyInUseException")
                }
                Some(_) => {
                    self.policies.remove(&text("PolicyId"));
                    Answer::ok(json!({}))
                }
            },
        }
    }

    fn create(&mut self, call: &Call) -> Answer {
        let name = call.body["Name"].as_str().unwrap().to_owned();
        if self.policies.values().any(|policy| policy.name == name) {
            return Answer::error(400, "DuplicatePolicyException");
        }
        assert_eq!(call.body["Type"], "SERVICE_CONTROL_POLICY");
        let content = call.body["Content"].as_str().unwrap().to_owned();
        assert!(content.len() <= 5_120);
        let tag = &call.body["Tags"][0];
        assert_eq!(tag["Key"], "orgkeeper-rehearsal");
        let value = tag["Value"].as_str().unwrap();
        let is_allowed = |it: char| it.is_ascii_alphanumeric() || "_.:/=+-@ ".contains(it);
        assert!(value.chars().all(is_allowed), "{value}");
        self.created += 1;
        let id = format!("p-{:08}", self.created);
        let policy = Policy {
            name,
            content,
            tag: Some(value.to_owned()),
            targets: BTreeSet::new(),
        };
        self.policies.insert(id.clone(), policy);
        Answer::ok(json!({ "Policy": { "PolicySummary": { "Id": id } } }))
    }

    fn object(&self, call: &Call) -> Answer {
        let (path, query) = call.uri.split_once('?').unwrap_or((&call.uri, ""));
        if !path.ends_with("rehearsals.toml") {
            let mut xml = String::from("<ListVersionsResult>");
            for number in (1..=self.versions.len()).rev() {
                let _ = write!(
                    xml,
                    "<Version><Key>rehearsals.toml</Key><VersionId>v{number}</VersionId><IsLatest>{}</IsLatest>\
                     <LastModified>2026-11-01T10:00:{number:02}.000Z</LastModified></Version>",
                    number == self.versions.len()
                );
            }
            return Answer::xml(200, &(xml + "</ListVersionsResult>"));
        }
        let wanted = query
            .split('&')
            .find_map(|part| part.strip_prefix("versionId=v"));
        let number = wanted.map_or(self.versions.len(), |number| number.parse().unwrap());
        match number
            .checked_sub(1)
            .and_then(|place| self.versions.get(place))
        {
            None => Answer::xml_error(404, "NoSuchKey"),
            Some(text) => Answer::xml(200, text)
                .with_header("etag", &format!("\"tag-{number}\""))
                .with_header("x-amz-version-id", &format!("v{number}")),
        }
    }

    /// What EventBridge Scheduler does at this time, by itself.
    fn fire_schedules(&mut self, now: Timestamp) {
        let due: Vec<String> = self
            .schedules
            .iter()
            .filter(|(_, schedule)| {
                let time = schedule["ScheduleExpression"].as_str().unwrap();
                let time = time.strip_prefix("at(").unwrap().strip_suffix(')').unwrap();
                format!("{time}Z").parse::<Timestamp>().unwrap() <= now
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let schedule = self.schedules.remove(&name).unwrap();
            let target = &schedule["Target"];
            assert_eq!(
                target["Arn"],
                "arn:aws:scheduler:::aws-sdk:organizations:detachPolicy"
            );
            assert_eq!(target["RoleArn"], END_ROLE);
            let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
            if let Some(policy) = self.policies.get_mut(input["PolicyId"].as_str().unwrap()) {
                policy.targets.remove(input["TargetId"].as_str().unwrap());
            }
        }
    }

    /// The targets that a policy of a rehearsal is attached to.
    fn attached(&self) -> Vec<String> {
        self.policies
            .values()
            .flat_map(|policy| policy.targets.iter().cloned())
            .collect()
    }

    fn is_clean(&self) -> bool {
        self.policies.is_empty() && self.schedules.is_empty()
    }
}

fn name_in(call: &Call) -> String {
    let path = call.uri.split('?').next().unwrap();
    path.strip_prefix("/schedules/").unwrap().to_owned()
}

type Special = Arc<dyn Fn(&Call) -> Option<Answer> + Send + Sync>;

struct Fixture {
    aws: Arc<Mutex<Aws>>,
    tables: Arc<DynamoDb>,
    wire: Wire,
    special: Arc<Mutex<Option<Special>>>,
}

async fn fixture(aws: Aws) -> Fixture {
    let (aws, tables) = (Arc::new(Mutex::new(aws)), Arc::new(DynamoDb::new()));
    let special: Arc<Mutex<Option<Special>>> = Arc::default();
    let (of_wire, stored, first) = (Arc::clone(&aws), Arc::clone(&tables), Arc::clone(&special));
    let wire = Wire::start(move |call| {
        let special = first.lock().unwrap().clone();
        special
            .and_then(|special| special(call))
            .or_else(|| stored.answer(call))
            .unwrap_or_else(|| of_wire.lock().unwrap().answer(call))
    })
    .await
    .unwrap();
    Fixture {
        aws,
        tables,
        wire,
        special,
    }
}

fn config() -> Config {
    Config::from_env(&|name| {
        let value = match name {
            "REHEARSALS_TABLE" => REHEARSALS,
            "REHEARSALS_BUCKET" => "rehearsals",
            "PROTECTED_ACCOUNTS" => "111111111111,,222222222222",
            "END_ROLE_ARN" => END_ROLE,
            "DEAD_LETTER_QUEUE_ARN" => "arn:aws:sqs:us-east-1:111111111111:dead-letters",
            "INFO_TOPIC_ARN" => INFO,
            "ERROR_TOPIC_ARN" => ERROR,
            "QUOTA_PERCENT" => "0",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

impl Fixture {
    fn aws(&self) -> std::sync::MutexGuard<'_, Aws> {
        self.aws.lock().unwrap()
    }

    fn with(&self, special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) {
        *self.special.lock().unwrap() = Some(Arc::new(special));
    }

    fn without(&self) {
        *self.special.lock().unwrap() = None;
    }

    /// Runs a new process on these bodies, and gives the ids of the messages that come back.
    async fn run(&self, now: Timestamp, bodies: &[Value]) -> Vec<String> {
        let function = setup::function(&config(), &self.wire.sdk_config().await);
        let invocation = Invocation {
            now,
            remaining: Duration::from_mins(5),
            account: MANAGEMENT.parse().ok(),
        };
        let event = sqs::event(&sqs::batch(bodies, 1));
        sqs::returned(function.handle(event, invocation).await)
    }

    async fn plan(&self, minutes: i64) -> Vec<String> {
        self.run(at(minutes), &[json!({ "task": "plan" })]).await
    }

    /// A plan that has to succeed.
    async fn plans(&self, minutes: i64) {
        assert!(self.plan(minutes).await.is_empty(), "at minute {minutes}");
    }

    fn record(&self) -> Value {
        self.tables.get(REHEARSALS, ID).unwrap()
    }

    fn state(&self) -> String {
        self.record()["State"]["S"].as_str().unwrap().to_owned()
    }

    /// The alerts that were published: kind, topic and mail.
    fn alerts(&self) -> Vec<(String, String, String)> {
        let calls = self.wire.calls_of("Publish").into_iter();
        calls
            .map(|call| {
                let message: Value =
                    serde_json::from_str(call.body["Message"].as_str().unwrap()).unwrap();
                let whole: Value =
                    serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
                (
                    whole["kind"].as_str().unwrap().to_owned(),
                    call.body["TopicArn"].as_str().unwrap().to_owned(),
                    message["email"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    fn kinds(&self) -> Vec<String> {
        self.alerts().into_iter().map(|(kind, ..)| kind).collect()
    }
}

/// A call that was denied: who, what, and its id.
fn denied(id: &str, role: &str, operation: &str) -> Value {
    let mut event: Value = serde_json::from_str(DENIED).unwrap();
    let detail = &mut event["detail"];
    detail["eventID"] = json!(id);
    detail["eventName"] = json!(operation);
    detail["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] =
        json!(format!("arn:aws:iam::{MEMBER}:role/{role}"));
    detail["errorMessage"] = json!(format!(
        "User: x is not authorized to perform: route53:{operation} with an explicit deny in a service control policy"
    ));
    event
}

#[tokio::test]
async fn a_rehearsal_is_attached_before_its_window_gone_on_time_and_reported() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-120).await;
    assert_eq!(fixture.state(), "PLANNED");
    assert!(fixture.aws().is_clean());

    fixture.plans(-15).await;
    assert_eq!(fixture.state(), "ATTACHED");
    assert_eq!(fixture.aws().attached(), [UNIT]);
    let policy = fixture.aws().policies.values().next().unwrap().clone();
    let content: Value = serde_json::from_str(&policy.content).unwrap();
    let statement = &content["Statement"][0];
    assert_eq!(
        statement["Action"],
        json!(["route53:*", "route53domains:*"])
    );
    let condition = &statement["Condition"];
    assert_eq!(
        condition["DateGreaterThan"]["aws:CurrentTime"],
        "2026-12-01T10:00:00Z"
    );
    assert_eq!(
        condition["DateLessThan"]["aws:CurrentTime"],
        "2026-12-01T11:00:00Z"
    );
    assert_eq!(fixture.kinds(), ["rehearsal.attached"]);

    let calls = [
        denied("1", "ExternalDns", "ListHostedZones"),
        denied("2", "ExternalDns", "ListHostedZones"),
        denied("3", "Deployer", "ChangeResourceRecordSets"),
        // Of another account, which has another policy.
        {
            let mut other = denied("4", "Other", "ListHostedZones");
            other["account"] = json!(SECURITY);
            other["detail"]["recipientAccountId"] = json!(SECURITY);
            other
        },
    ];
    assert!(fixture.run(at(12), &calls).await.is_empty());
    // The same again, in another order, and one more after its end: CloudTrail is late.
    assert!(
        fixture
            .run(at(13), &[calls[1].clone(), calls[0].clone()])
            .await
            .is_empty()
    );

    fixture.plans(59).await;
    assert_eq!(fixture.aws().attached(), [UNIT]);
    fixture.plans(60).await;
    assert!(fixture.aws().is_clean());
    assert_eq!(fixture.state(), "ENDED");
    let late = denied("5", "Deployer", "ChangeResourceRecordSets");
    assert!(fixture.run(at(70), &[late]).await.is_empty());
    fixture.plans(75).await;
    assert_eq!(fixture.kinds(), ["rehearsal.attached"]);
    fixture.plans(80).await;
    fixture.plans(85).await;
    assert_eq!(fixture.kinds(), ["rehearsal.attached", "rehearsal.report"]);
    let (key, csv) = fixture.aws().reports.pop_first().unwrap();
    assert!(key.ends_with("/reports/dns-20261201T1000Z.csv"), "{key}");
    let expected = "caller,action,region,calls\n\
                    arn:aws:iam::111122223333:role/Deployer,route53:ChangeResourceRecordSets,us-east-1,2\n\
                    arn:aws:iam::111122223333:role/ExternalDns,route53:ListHostedZones,us-east-1,2\n";
    assert!(csv.contains(expected), "{csv}");
    let (_, topic, mail) = fixture.alerts().pop().unwrap();
    assert_eq!(topic, INFO);
    for words in [
        "2 callers were denied 4 calls",
        "role/ExternalDns: route53:ListHostedZones",
    ] {
        assert!(mail.contains(words), "{mail}");
    }
}

#[tokio::test]
async fn it_is_gone_by_the_schedule_alone() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-10).await;
    assert_eq!(fixture.aws().attached(), [UNIT]);
    fixture.aws().fire_schedules(at(59));
    assert_eq!(fixture.aws().attached(), [UNIT]);
    fixture.aws().fire_schedules(at(60));
    assert!(fixture.aws().attached().is_empty());
    // What the function does later, once it works again.
    fixture.plans(600).await;
    assert!(fixture.aws().is_clean());
    assert_eq!(fixture.state(), "ENDED");
}

/// Words of each reason, and an AWS in which it applies.
fn refused() -> Vec<(&'static str, Aws)> {
    let row = |changed: &[(&str, &str)]| {
        let mut file = FILE.split("\n\n").next().unwrap().to_owned();
        for (from, to) in changed {
            assert!(file.contains(from), "{from}");
            file = file.replace(from, to);
        }
        file
    };
    let good = || row(&[]);
    vec![
        (
            "the root is never a target",
            Aws {
                versions: vec![row(&[(UNIT, "r-ab12")])],
                ..Aws::default()
            },
        ),
        (
            "more than four hours",
            Aws {
                versions: vec![row(&[("T11:00:00Z", "T14:00:01Z")])],
                ..Aws::default()
            },
        ),
        (
            "no exempt-role",
            Aws {
                versions: vec![row(&[("exempt-role = \"BreakGlass\"", "")])],
                ..Aws::default()
            },
        ),
        (
            "no such unit or account",
            Aws {
                versions: vec![row(&[(UNIT, "ou-ab12-nowhere0")])],
                ..Aws::default()
            },
        ),
        (
            "an account that no rehearsal may reach",
            Aws {
                versions: vec![row(&[(UNIT, SECURITY)])],
                ..Aws::default()
            },
        ),
        (
            "an account that no rehearsal may reach",
            Aws {
                accounts: BTreeMap::from([(
                    SECURITY.to_owned(),
                    vec!["r-ab12", UNIT, "ou-ab12-deeper00"],
                )]),
                versions: vec![good()],
                ..Aws::default()
            },
        ),
        (
            "not tagged rehearsal=allowed",
            Aws {
                tags: BTreeMap::from([(UNIT.to_owned(), BTreeMap::new())]),
                versions: vec![good()],
                ..Aws::default()
            },
        ),
        (
            "no free place",
            Aws {
                others: 10,
                versions: vec![good()],
                ..Aws::default()
            },
        ),
        // Where AWS takes fewer than the largest of its published limits.
        (
            "AWS refused it: AttachPolicy",
            Aws {
                others: 5,
                versions: vec![good()],
                ..Aws::default()
            },
        ),
    ]
}

#[tokio::test]
async fn each_reason_refuses_and_is_reported_once() {
    for (reason, aws) in refused() {
        let fixture = fixture(aws).await;
        fixture.plans(-10).await;
        fixture.plans(-5).await;
        assert_eq!(fixture.aws().attached(), [] as [String; 0], "{reason}");
        let items = fixture.tables.items(REHEARSALS);
        let record = items.values().next().unwrap();
        assert_eq!(record["State"]["S"], "REFUSED", "{reason}");
        let stored = record["Reason"]["S"].as_str().unwrap();
        assert!(stored.contains(reason), "{stored}");
        let alerts = fixture.alerts();
        let [(kind, topic, mail)] = &alerts[..] else {
            panic!("{reason}: {alerts:?}")
        };
        assert_eq!(
            (kind.as_str(), topic.as_str()),
            ("rehearsal.refused", ERROR)
        );
        assert!(mail.contains(reason), "{mail}");
        // Nothing is left of what was made before AWS refused.
        fixture.plans(0).await;
        fixture.plans(5).await;
        fixture.plans(60).await;
        assert!(fixture.aws().is_clean(), "{reason}");
    }
}

#[tokio::test]
async fn a_refusal_that_goes_away_lets_it_begin() {
    let fixture = fixture(Aws {
        tags: BTreeMap::from([(UNIT.to_owned(), BTreeMap::new())]),
        ..Aws::default()
    })
    .await;
    fixture.plans(-10).await;
    assert_eq!(fixture.state(), "REFUSED");
    fixture.aws().tags = Aws::default().tags;
    fixture.plans(-5).await;
    assert_eq!(fixture.state(), "ATTACHED");
}

#[tokio::test]
async fn twice_at_once_or_again_it_is_attached_once() {
    let fixture = fixture(Aws::default()).await;
    let plan = json!({ "task": "plan" });
    assert!(fixture.run(at(-10), &[plan.clone(), plan]).await.is_empty());
    let (one, other) = tokio::join!(fixture.plan(-9), fixture.plan(-9));
    assert!(one.is_empty() && other.is_empty());
    fixture.plans(-8).await;
    assert_eq!(fixture.aws().created, 1);
    assert_eq!(fixture.aws().attached(), [UNIT]);
    assert_eq!(fixture.kinds(), ["rehearsal.attached"]);
}

#[tokio::test]
async fn two_that_begin_it_at_the_same_moment_make_one_policy() {
    let fixture = fixture(Aws::default()).await;
    // Both have listed the policies before either creates one.
    let aws = Arc::clone(&fixture.aws);
    fixture.with(move |call| {
        let answer = || aws.lock().unwrap().answer(call);
        (call.operation == "ListPolicies").then(|| answer().after(Duration::from_millis(50)))
    });
    tokio::join!(fixture.plan(-10), fixture.plan(-10));
    // Who was slower at a record comes back, and finds it done.
    fixture.plans(-9).await;
    assert_eq!(fixture.aws().created, 1);
    assert_eq!(fixture.state(), "ATTACHED");
}

/// After each call that changes something, and before it, the process ends: nothing comes back to it and nothing is sent any more.
#[tokio::test]
async fn a_crash_between_any_two_calls_leaves_nothing() {
    for after in [false, true] {
        for operation in CHANGES {
            for nth in 0..2 {
                let fixture = fixture(Aws::default()).await;
                let (aws, tables) = (Arc::clone(&fixture.aws), Arc::clone(&fixture.tables));
                let (count, crashed) = (AtomicUsize::new(0), AtomicUsize::new(0));
                fixture.with(move |call| {
                    if crashed.load(Ordering::Relaxed) > 0 {
                        return Some(Answer::error(503, "Crashed"));
                    }
                    if call.operation != operation || count.fetch_add(1, Ordering::Relaxed) != nth {
                        return None;
                    }
                    crashed.store(1, Ordering::Relaxed);
                    if after {
                        let _ = tables
                            .answer(call)
                            .unwrap_or_else(|| aws.lock().unwrap().answer(call));
                    }
                    Some(Answer::error(503, "Crashed"))
                });
                for minutes in [-15, 60, 80] {
                    let _ = fixture.plan(minutes).await;
                    fixture.without();
                    fixture.plans(minutes + 1).await;
                }
                // The one that crashed at an end begins anew, without a fault.
                let case = format!("{operation} {nth} {after}");
                assert!(fixture.aws().is_clean(), "{case}: {:?}", fixture.aws());
                assert_eq!(fixture.state(), "ENDED", "{case}");
                assert_eq!(fixture.aws().created, 1, "{case}");
                assert!(
                    fixture.kinds().contains(&"rehearsal.report".to_owned()),
                    "{case}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_crash_at_the_end_is_made_good_by_the_next_plan() {
    for after in [false, true] {
        for operation in [
            "DetachPolicy",
            "DeletePolicy",
            "DeleteSchedule",
            "PutItem",
            "PutObject",
            "Publish",
        ] {
            let fixture = fixture(Aws::default()).await;
            fixture.plans(-15).await;
            let (aws, tables) = (Arc::clone(&fixture.aws), Arc::clone(&fixture.tables));
            let crashed = AtomicUsize::new(0);
            fixture.with(move |call| {
                if call.operation != operation || crashed.fetch_add(1, Ordering::Relaxed) > 0 {
                    return None;
                }
                if after {
                    let _ = tables
                        .answer(call)
                        .unwrap_or_else(|| aws.lock().unwrap().answer(call));
                }
                Some(Answer::error(503, "Crashed"))
            });
            let mut returned = 0;
            for minutes in [60, 61, 80, 81, 82] {
                returned += fixture.plan(minutes).await.len();
            }
            assert_eq!(returned, 1, "{operation} {after}");
            assert!(fixture.aws().is_clean(), "{operation} {after}");
            assert_eq!(
                fixture.record()["Reported"]["BOOL"],
                true,
                "{operation} {after}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_throttled_or_denied_for_half_a_minute_is_retried_and_not_refused() {
    for (status, code) in [
        (429, "TooManyRequestsException"),
        (400, "AccessDeniedException"),
    ] {
        for operation in [
            "ListPolicies",
            "ListTagsForResource",
            "CreatePolicy",
            "CreateSchedule",
            "AttachPolicy",
            "Query",
        ] {
            let fixture = fixture(Aws::default()).await;
            fixture.with(move |call| {
                (call.operation == operation).then(|| Answer::error(status, code))
            });
            assert_eq!(fixture.plan(-10).await, ["0"], "{operation} {code}");
            assert!(fixture.aws().attached().is_empty());
            fixture.without();
            fixture.plans(-9).await;
            assert_eq!(fixture.state(), "ATTACHED", "{operation} {code}");
            assert_eq!(
                fixture.kinds(),
                ["rehearsal.attached"],
                "{operation} {code}"
            );
        }
    }
}

#[tokio::test]
async fn an_end_does_not_need_the_file_or_the_list_of_policies() {
    for operation in ["GetObject", "ListPolicies"] {
        let fixture = fixture(Aws::default()).await;
        fixture.plans(-10).await;
        fixture.with(move |call| {
            (call.operation == operation).then(|| Answer::xml_error(403, "AccessDenied"))
        });
        assert_eq!(fixture.plan(60).await, ["0"]);
        assert!(fixture.aws().is_clean(), "{operation}");
        assert_eq!(fixture.state(), "ENDED");
    }
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_lines_and_the_last_good_one_stays_in_force() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-10).await;
    fixture
        .aws()
        .versions
        .push("[[rehearsal]]\nname = \"x y\"\n".to_owned());
    fixture.plans(0).await;
    assert_eq!(fixture.aws().attached(), [UNIT]);
    let (kind, topic, mail) = fixture.alerts().pop().unwrap();
    assert_eq!(
        (kind.as_str(), topic.as_str()),
        ("rehearsal.file-refused", ERROR)
    );
    assert!(mail.contains("line 2: \"x y\" is no name"), "{mail}");
    // Taken out of a good file it ends.
    fixture.aws().versions.push(String::new());
    fixture.plans(5).await;
    assert!(fixture.aws().is_clean());
    assert_eq!(
        fixture.record()["Reason"]["S"],
        "it was taken out of rehearsals.toml"
    );
}

#[tokio::test]
async fn nothing_of_others_is_touched() {
    let fixture = fixture(Aws::default()).await;
    let policy = |tag: Option<&str>| Policy {
        name: "orgkeeper-rehearsal-by-hand".to_owned(),
        tag: tag.map(str::to_owned),
        targets: BTreeSet::from(["ou-ab12-other000".to_owned()]),
        ..Policy::default()
    };
    fixture
        .aws()
        .policies
        .insert("p-untagged".to_owned(), policy(None));
    let stale = policy(Some("gone/2026-01-01T00:00:00Z"));
    fixture.aws().policies.insert("p-stale".to_owned(), stale);
    fixture.plans(-200).await;
    let left: Vec<String> = fixture.aws().policies.keys().cloned().collect();
    assert_eq!(left, ["p-untagged"]);
}

#[tokio::test]
async fn a_message_that_nobody_understands_is_returned_alone() {
    let fixture = fixture(Aws::default()).await;
    let bodies = [
        json!({ "task": "other" }),
        json!({ "PolicyId": "p-1", "TargetId": UNIT }),
        denied("1", "Early", "ListHostedZones"),
    ];
    assert_eq!(fixture.run(at(-100), &bodies).await, ["0"]);
    // Nobody was denied anything by a rehearsal that has not begun.
    let callers = fixture.tables.items(REHEARSALS);
    assert!(callers.values().all(|item| item["Calls"].is_null()));
}

#[tokio::test]
async fn denied_calls_that_cannot_be_counted_come_back() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-10).await;
    let calls = [
        denied("1", "A", "ListHostedZones"),
        denied("2", "B", "ListHostedZones"),
    ];
    for operation in ["Query", "UpdateItem"] {
        fixture.with(move |call| {
            (call.operation == operation)
                .then(|| Answer::error(400, "ProvisionedThroughputExceededException"))
        });
        assert_eq!(fixture.run(at(5), &calls).await, ["0", "1"], "{operation}");
    }
    fixture.without();
    assert!(fixture.run(at(6), &calls).await.is_empty());
    // Beyond so many they are not counted one by one, and that is no failure.
    let many: Vec<Value> = (0..50).map(|n| json!(format!("n{n}"))).collect();
    let full: Vec<Value> = (0..40)
        .flat_map(|n| many.iter().map(move |it| json!(format!("{n}{it}"))))
        .collect();
    let items = fixture.tables.items(REHEARSALS);
    let (key, _) = items
        .iter()
        .find(|(_, item)| {
            item["Caller"]["S"]
                .as_str()
                .is_some_and(|it| it.ends_with("/A"))
        })
        .unwrap();
    fixture
        .tables
        .set(REHEARSALS, key, &json!({ "Calls": { "SS": full } }));
    assert!(
        fixture
            .run(at(7), &[denied("9", "A", "ListHostedZones")])
            .await
            .is_empty()
    );
    let item = fixture.tables.get(REHEARSALS, key).unwrap();
    assert_eq!(item["Calls"]["SS"].as_array().unwrap().len(), 2_000);
}

#[tokio::test]
async fn a_writer_that_is_slower_does_not_overwrite() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-100).await;
    let (tables, ended) = (Arc::clone(&fixture.tables), AtomicUsize::new(0));
    // Somebody ends it by command between the read and the write.
    fixture.with(move |call| {
        if call.operation == "ListPoliciesForTarget" && ended.fetch_add(1, Ordering::Relaxed) == 0 {
            let by_hand = json!({ "State": { "S": "ENDED" }, "EndedAt": { "S": "2026-12-01T09:50:00Z" }, "Version": { "N": "99" } });
            tables.set(REHEARSALS, ID, &by_hand);
        }
        None
    });
    assert_eq!(fixture.plan(-10).await, ["0"]);
    fixture.without();
    fixture.plans(-9).await;
    assert_eq!(fixture.state(), "ENDED");
    assert!(fixture.aws().is_clean());
}

#[tokio::test]
async fn a_person_ends_it_though_the_function_is_broken() {
    let fixture = fixture(Aws::default()).await;
    fixture.plans(-10).await;
    fixture.with(|call| match call.operation.as_str() {
        "DescribeStacks" | "GetCallerIdentity" => Some(healthy(call)),
        "ListStackResources" => Some(Answer::xml(
            200,
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member>\
             <LogicalResourceId>Rehearsals</LogicalResourceId><PhysicalResourceId>Rehearsals</PhysicalResourceId>\
             <ResourceType>AWS::DynamoDB::Table</ResourceType></member></StackResourceSummaries>\
             </ListStackResourcesResult></ListStackResourcesResponse>",
        )),
        _ => None,
    });
    let run = async |arguments: &[&str]| {
        let sdk = fixture.wire.sdk_config().await;
        orgkeeper_on(sdk, arguments).await.unwrap()
    };
    let listed = run(&["rehearsal", "list"]).await;
    assert_eq!(listed.outcome, Outcome::Found, "{}", listed.err);
    assert!(
        listed.out.contains("ATTACHED  dns#2026-12-01T10:00:00Z"),
        "{}",
        listed.out
    );

    let shown = run(&["rehearsal", "end", "dns"]).await;
    assert_eq!(shown.outcome, Outcome::Found, "{}", shown.err);
    assert!(
        shown.out.contains("Nothing was done. Add --yes to end it."),
        "{}",
        shown.out
    );
    assert_eq!(fixture.aws().attached(), [UNIT]);

    let ended = run(&["rehearsal", "end", ID, "--yes", "--output", "json"]).await;
    assert_eq!(ended.outcome, Outcome::Done, "{}", ended.err);
    let report = ended.json().unwrap();
    assert_eq!(report["state"], "ENDED");
    assert_eq!(report["done"], true);
    assert!(fixture.aws().is_clean());
    // The function attaches it no more.
    fixture.plans(0).await;
    assert!(fixture.aws().is_clean());
    // Again it does no harm, and what nobody knows is a failure.
    assert_eq!(
        run(&["rehearsal", "end", ID, "--yes"]).await.outcome,
        Outcome::Done
    );
    assert_eq!(
        run(&["rehearsal", "end", "dns", "--yes"]).await.outcome,
        Outcome::Failed
    );
}
