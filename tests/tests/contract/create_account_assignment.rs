//! `create-account-assignment`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use create_account_assignment::{config::Config, setup};
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    dynamodb::{self, ACCOUNTS, DynamoDb, VENDING_STATE as STATE},
    organization::{MANAGEMENT_ACCOUNT, account},
    sqs,
    wire::{Answer, Call, Wire, at_first},
};
use serde_json::{Value, json};

const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-1234567890abcdef";
const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/assignments";
const EMAIL: &str = "aws+payments@example.com";
/// Slots of the assignments in progress.
const SLOTS: usize = 3;

/// Batches after which a test no longer believes in an end.
const PATIENCE: usize = 60;

const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";

/// IAM Identity Center.
#[derive(Default)]
struct World {
    /// The requests that IAM Identity Center works on, and the group that each is for.
    in_progress: BTreeMap<String, String>,
    /// The requests that it worked on before.
    ended: BTreeMap<String, String>,
    /// The most of those at once.
    most_in_progress: usize,
    /// How many requests there were.
    requests: usize,
    /// Groups that have their access.
    given: BTreeSet<String>,
    /// Groups whose access fails, with the reason.
    fails: BTreeMap<String, &'static str>,
}

/// Both tables and IAM Identity Center.
struct Local {
    tables: DynamoDb,
    world: Mutex<World>,
}

type Shared = Arc<Local>;

fn look(local: &Shared) -> MutexGuard<'_, World> {
    local.world.lock().unwrap()
}

fn token(place: usize) -> String {
    format!("{EMAIL}#1#{place}")
}

fn group(place: usize) -> String {
    format!("group-{place}")
}

/// A request whose access for so many groups is to be assigned.
fn assigning(groups: usize) -> Shared {
    let access: Vec<Value> = (0..groups)
        .map(|place| {
            json!({ "M": {
                "GroupId": { "S": group(place) },
                "GroupName": { "S": format!("Team {place}") },
                "PermissionSetArn": { "S": format!("arn:aws:sso:::permissionSet/ssoins-1/ps-{place}") },
                "PermissionSetName": { "S": "Operator" },
            } })
        })
        .collect();
    let row = json!({
        "AccountEmail": { "S": EMAIL },
        "AccountName": { "S": "payments" },
        "SSOUserEmail": { "S": "ana@example.com" },
        "SSOUserFirstName": { "S": "Ana" },
        "SSOUserLastName": { "S": "Silva" },
        "OrgUnit": { "S": "Prod" },
        "Status": { "S": "ASSIGNING" },
        "AccountId": { "S": account(0) },
        "Unit": { "M": { "Id": { "S": "ou-a1b2-prod0000" }, "Name": { "S": "Prod" },
            "Path": { "S": "Root/Workloads/Prod" } } },
        "Access": { "L": access },
        "Attempt": { "N": "1" },
        "QueuedAt": { "N": "1000" },
        "Files": { "SS": ["v1#accounts.csv"] },
    });
    let tables = DynamoDb::new();
    tables.put(ACCOUNTS, &row);
    Arc::new(Local {
        tables,
        world: Mutex::default(),
    })
}

impl Local {
    fn row(&self) -> Value {
        self.tables.get(ACCOUNTS, EMAIL).unwrap_or_default()
    }

    fn text(&self, name: &str) -> String {
        self.row()[name]["S"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn set(&self, name: &str, value: &Value) {
        self.tables.set(ACCOUNTS, EMAIL, &json!({ name: value }));
    }

    /// Who holds a slot among the assignments in progress.
    fn slots(&self) -> BTreeSet<String> {
        let item = self.tables.get(STATE, "assignments").unwrap_or_default();
        let slots = item["Running"]["SS"].as_array().into_iter().flatten();
        slots
            .map(|slot| slot.as_str().unwrap().to_owned())
            .collect()
    }

    /// Has just these hold a slot.
    fn hold(&self, slots: impl IntoIterator<Item = String>) {
        self.tables.delete(STATE, "assignments");
        let slots: Vec<String> = slots.into_iter().collect();
        if !slots.is_empty() {
            let running = json!({ "Running": { "SS": slots } });
            self.tables.set(STATE, "assignments", &running);
        }
    }
}

impl World {
    fn answer(&mut self, call: &Call) -> Answer {
        match call.operation.as_str() {
            "CreateAccountAssignment" => self.create(&call.body),
            "DescribeAccountAssignmentCreationStatus" => self.describe(&call.body),
            "Publish" => Answer::published(),
            "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            _ => Answer::error(400, "UnknownOperationException"),
        }
    }

    fn create(&mut self, wanted: &Value) -> Answer {
        assert_eq!(wanted["InstanceArn"], INSTANCE);
        assert_eq!(wanted["TargetType"], "AWS_ACCOUNT");
        assert_eq!(wanted["TargetId"], account(0));
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        let group = wanted["PrincipalId"].as_str().unwrap();
        let (kind, place) = group.split_once('-').unwrap();
        assert_eq!(wanted["PrincipalType"], kind.to_uppercase());
        let set = format!("arn:aws:sso:::permissionSet/ssoins-1/ps-{place}");
        assert_eq!(wanted["PermissionSetArn"], set);
        self.in_progress.insert(id.clone(), group.to_owned());
        self.most_in_progress = self.most_in_progress.max(self.in_progress.len());
        status("IN_PROGRESS", &id, None)
    }

    /// A request has ended by the time that somebody asks.
    fn describe(&mut self, wanted: &Value) -> Answer {
        assert_eq!(wanted["InstanceArn"], INSTANCE);
        let id = wanted["AccountAssignmentCreationRequestId"]
            .as_str()
            .unwrap();
        if let Some(group) = self.in_progress.remove(id) {
            self.ended.insert(id.to_owned(), group);
        }
        let Some(group) = self.ended.get(id) else {
            return Answer::error(400, "ResourceNotFoundException");
        };
        if let Some(reason) = self.fails.get(group) {
            return status("FAILED", id, Some(reason));
        }
        self.given.insert(group.clone());
        status("SUCCEEDED", id, None)
    }
}

fn status(status: &str, id: &str, reason: Option<&str>) -> Answer {
    Answer::ok(json!({ "AccountAssignmentCreationStatus":
        { "Status": status, "RequestId": id, "FailureReason": reason } }))
}

/// A wire over a world; `special` answers first.
async fn wire_over(
    world: &Shared,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Wire {
    let world = Arc::clone(world);
    Wire::start(move |call| {
        special(call)
            .or_else(|| world.tables.answer(call))
            .unwrap_or_else(|| look(&world).answer(call))
    })
    .await
    .unwrap()
}

async fn plain(world: &Shared) -> Wire {
    wire_over(world, |_| None).await
}

fn first() -> Value {
    serde_json::from_str(include_str!(
        "../../../events/create-account-assignment/assign.json"
    ))
    .unwrap()
}

/// The message once `steps` are known.
fn later(steps: Value) -> Value {
    let mut message = first();
    message["steps"] = steps;
    message
}

/// Runs a batch of messages, named by their place, and gives those that come back.
async fn returned_in(wire: &Wire, bodies: &[Value], remaining: Duration) -> Vec<String> {
    returned_with(wire, bodies, remaining, ["*", "*"]).await
}

/// The same, with these groups and permission sets allowed.
async fn returned_with(
    wire: &Wire,
    bodies: &[Value],
    remaining: Duration,
    [groups, permission_sets]: [&str; 2],
) -> Vec<String> {
    let settings = |name: &str| {
        let value = match name {
            "ACCOUNTS_TABLE" => ACCOUNTS,
            "VENDING_STATE_TABLE" => STATE,
            "ERROR_TOPIC_ARN" => ERROR,
            "ASSIGNMENTS_QUEUE_URL" => QUEUE_URL,
            "IDENTITY_CENTER_INSTANCE_ARN" => INSTANCE,
            "ALLOWED_GROUPS" => groups,
            "ALLOWED_PERMISSION_SETS" => permission_sets,
            "OUTSTANDING_ASSIGNMENTS" => return Some(SLOTS.to_string()),
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&settings).unwrap();
    let handler = setup::function(&config, &wire.sdk_config().await);
    let invocation = Invocation {
        now: "2026-03-01T10:15:31Z".parse().unwrap(),
        remaining,
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    let event = sqs::event(&sqs::batch(bodies, 1));
    sqs::returned(handler.handle(event, invocation).await)
}

async fn returned(wire: &Wire, bodies: &[Value]) -> Vec<String> {
    returned_in(wire, bodies, Duration::from_secs(30)).await
}

/// Runs one message and tells whether it comes back.
async fn is_retried(wire: &Wire, body: &Value) -> bool {
    returned(wire, std::slice::from_ref(body)).await == ["0"]
}

/// The messages that were sent, with their delays in seconds.
fn sent(wire: &Wire) -> Vec<(Value, i64)> {
    for call in wire.calls_of("SendMessageBatch") {
        assert_eq!(call.body["QueueUrl"], QUEUE_URL);
    }
    sqs::sent(wire, QUEUE_URL)
}

fn forget(wire: &Wire) {
    drop(wire.take_calls());
}

/// Runs messages and what they send until nothing is sent any more; a message that comes back is run
/// again. Gives the delays of what was sent.
async fn to_the_end(wire: &Wire, messages: &[Value]) -> Vec<i64> {
    let mut left = messages.to_vec();
    let mut delays = Vec::new();
    for _ in 0..PATIENCE {
        if left.is_empty() {
            break;
        }
        forget(wire);
        let back = returned(wire, &left).await;
        left = back
            .iter()
            .map(|place| left[place.parse::<usize>().unwrap()].clone())
            .collect();
        for (message, delay) in sent(wire) {
            left.push(message);
            delays.push(delay);
        }
    }
    assert!(left.is_empty(), "no end after {PATIENCE} batches: {left:?}");
    delays
}

fn ended(world: &Shared, status: &str) {
    assert_eq!(world.text("Status"), status);
    assert_eq!(world.slots(), BTreeSet::new(), "no slot is left held");
    let world = look(world);
    assert_eq!(world.in_progress, BTreeMap::new(), "nothing is in progress");
    assert!(
        world.most_in_progress <= SLOTS,
        "{}",
        world.most_in_progress
    );
}

#[tokio::test]
async fn what_is_not_allowed_any_more_is_not_assigned() {
    let sets =
        "arn:aws:sso:::permissionSet/ssoins-1/ps-0,arn:aws:sso:::permissionSet/ssoins-1/ps-1";
    for (allowed, given, words) in [
        (
            ["group-0", sets],
            1,
            "access of group Team 1 with permission set Operator was not given: group Team 1 may not be given access by a file: \
             leave it out, or ask those who run orgkeeper to add its id, group-1, to the parameter AllowedGroups",
        ),
        (
            ["group-0,group-1", ""],
            0,
            "access of group Team 0 with permission set Operator was not given: permission set Operator may not be given by a \
             file: leave it out, or ask those who run orgkeeper to add its ARN, arn:aws:sso:::permissionSet/ssoins-1/ps-0, to \
             the parameter AllowedPermissionSets",
        ),
    ] {
        let local = assigning(2);
        let wire = plain(&local).await;
        let mut left = vec![first()];
        while let Some(message) = left.pop() {
            forget(&wire);
            let bodies = std::slice::from_ref(&message);
            let back = returned_with(&wire, bodies, Duration::from_secs(30), allowed).await;
            assert!(back.is_empty(), "{back:?}");
            left.extend(sent(&wire).into_iter().map(|(message, _)| message));
        }
        assert_eq!(local.text("Status"), "FAILED");
        assert_eq!(local.text("ErrorMsg"), words);
        assert_eq!(look(&local).requests, given);
        assert_eq!(local.slots(), BTreeSet::new(), "no slot is left held");
    }
}

#[tokio::test]
async fn a_user_gets_access_as_a_group_does() {
    let local = assigning(2);
    let mut access = local.row()["Access"].clone();
    let user = &mut access["L"][1]["M"];
    user["Principal"] = json!({ "S": "USER" });
    user["GroupId"] = json!({ "S": "user-1" });
    local.set("Access", &access);
    let wire = plain(&local).await;
    assert!(!is_retried(&wire, &first()).await);
    let types: BTreeSet<String> = wire
        .calls_of("CreateAccountAssignment")
        .iter()
        .map(|call| call.body["PrincipalType"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        BTreeSet::from(["GROUP".to_owned(), "USER".to_owned()])
    );
}

#[tokio::test]
async fn one_access_is_asked_for_and_looked_at_a_second_later() {
    let world = assigning(1);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &first()).await);
    let follow_ups = sent(&wire);
    assert_eq!(
        follow_ups,
        [(
            json!({ "task": "assign", "email": EMAIL, "attempt": 1,
                "steps": [{ "asked": "request-1" }], "polls": 0 }),
            1
        )]
    );
    assert_eq!(world.slots(), BTreeSet::from([token(0)]));
    assert_eq!(world.text("Status"), "ASSIGNING");

    forget(&wire);
    assert!(!is_retried(&wire, &follow_ups[0].0).await);
    assert_eq!(sent(&wire), []);
    assert_eq!(look(&world).given, BTreeSet::from([group(0)]));
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn an_account_that_nobody_gets_access_to_is_done_at_once() {
    let world = assigning(0);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &first()).await);
    assert_eq!(sent(&wire), []);
    assert_eq!(look(&world).requests, 0);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn several_accesses_are_asked_for_at_once_as_far_as_there_are_places() {
    let world = assigning(5);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &first()).await);
    let steps = &sent(&wire)[0].0["steps"];
    assert_eq!(steps[2], json!({ "asked": "request-3" }));
    assert_eq!((&steps[3], &steps[4]), (&json!("open"), &json!("open")));
    // The places of those that ended are there for the others.
    to_the_end(&wire, &[sent(&wire)[0].0.clone()]).await;
    assert_eq!(look(&world).requests, 5);
    assert_eq!(look(&world).given.len(), 5);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn an_answer_that_knows_the_outcome_needs_no_second_look() {
    for (state, end) in [("SUCCEEDED", "SUCCEEDED"), ("FAILED", "FAILED")] {
        let world = assigning(1);
        let answer = status(state, "request-1", Some("role quota"));
        let wire = wire_over(&world, at_first("CreateAccountAssignment", 9, answer)).await;
        assert!(!is_retried(&wire, &first()).await);
        assert_eq!(sent(&wire), []);
        ended(&world, end);
    }
}

#[tokio::test]
async fn without_a_place_nothing_is_asked_for_and_the_wait_grows() {
    let world = assigning(1);
    let others = BTreeSet::from(["x#1#0", "y#1#0", "z#1#0"].map(str::to_owned));
    world.hold(others.clone());
    let wire = plain(&world).await;
    let mut message = first();
    let mut delays = Vec::new();
    for _ in 0..10 {
        forget(&wire);
        assert!(!is_retried(&wire, &message).await);
        assert_eq!(wire.calls_of("CreateAccountAssignment").len(), 0);
        let (next, delay) = sent(&wire)[0].clone();
        message = next;
        delays.push(delay);
    }
    assert_eq!(delays, [1, 1, 2, 3, 5, 10, 20, 30, 30, 30]);
    assert_eq!(world.slots(), others, "nobody else's place is touched");

    world.hold([]);
    assert_eq!(to_the_end(&wire, &[message]).await, [1]);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn a_request_in_progress_is_waited_for_longer_and_longer() {
    let world = assigning(1);
    let working = status("IN_PROGRESS", "request-1", None);
    let describe = "DescribeAccountAssignmentCreationStatus";
    let wire = wire_over(&world, at_first(describe, 6, working)).await;
    assert_eq!(to_the_end(&wire, &[first()]).await, [1, 1, 1, 2, 3, 5, 10]);
    assert_eq!(look(&world).requests, 1);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn conflicts_and_throttling_are_tried_again_and_never_count_as_a_failure() {
    for code in ["ConflictException", "ThrottlingException"] {
        for operation in [
            "CreateAccountAssignment",
            "DescribeAccountAssignmentCreationStatus",
        ] {
            let world = assigning(2);
            let wire = wire_over(&world, at_first(operation, 20, Answer::error(400, code))).await;
            let mut message = first();
            let mut longest = 0;
            for _ in 0..PATIENCE {
                forget(&wire);
                assert!(!is_retried(&wire, &message).await, "{code} {operation}");
                let Some((next, delay)) = sent(&wire).pop() else {
                    break;
                };
                message = next;
                longest = longest.max(delay);
            }
            assert!(longest >= 20, "{code} {operation}: {longest}");
            ended(&world, "SUCCEEDED");
        }
    }
}

#[tokio::test]
async fn a_conflict_of_one_access_holds_up_no_other() {
    let world = assigning(2);
    let conflict = Answer::error(409, "ConflictException");
    let wire = wire_over(&world, at_first("CreateAccountAssignment", 1, conflict)).await;
    assert!(!is_retried(&wire, &first()).await);
    let (message, _) = sent(&wire)[0].clone();
    assert_eq!(message["steps"], json!(["open", { "asked": "request-1" }]));
    to_the_end(&wire, &[message]).await;
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn a_throttled_service_is_left_alone_for_now() {
    let world = assigning(3);
    let throttled = Answer::error(400, "ThrottlingException");
    let wire = wire_over(&world, at_first("CreateAccountAssignment", 1, throttled)).await;
    assert!(!is_retried(&wire, &first()).await);
    assert_eq!(wire.calls_of("CreateAccountAssignment").len(), 1);
    to_the_end(&wire, &[sent(&wire)[0].0.clone()]).await;
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn an_access_that_fails_fails_the_request_with_its_reason() {
    let world = assigning(1);
    look(&world).fails = BTreeMap::from([(group(0), "The role quota is exceeded.")]);
    let wire = plain(&world).await;
    to_the_end(&wire, &[first()]).await;
    ended(&world, "FAILED");
    assert_eq!(
        world.text("ErrorMsg"),
        "access of group Team 0 with permission set Operator was not given: \
         The role quota is exceeded."
    );
}

#[tokio::test]
async fn a_request_fails_only_when_nothing_of_it_is_in_progress() {
    let world = assigning(5);
    look(&world).fails = BTreeMap::from([(group(0), "no"), (group(2), "neither")]);
    let wire = wire_over(&world, |call| {
        let id = &call.body["AccountAssignmentCreationRequestId"];
        (*id == "slow").then(|| status("IN_PROGRESS", "slow", None))
    })
    .await;
    look(&world).in_progress = BTreeMap::from([("a".to_owned(), group(0))]);
    world.hold((0..2).map(token));
    let message = later(json!([{ "asked": "a" }, { "asked": "slow" }]));
    assert!(!is_retried(&wire, &message).await);
    let (message, delay) = sent(&wire)[0].clone();
    assert_eq!(delay, 1);
    assert_eq!(
        message["steps"],
        json!([{ "refused": "no" }, { "asked": "slow" }, "open", "open", "open"])
    );
    assert_eq!(world.slots(), BTreeSet::from([token(1)]));
    assert_eq!(world.text("Status"), "ASSIGNING");
    assert_eq!(look(&world).requests, 0, "no other access is asked for");

    let ends = wire_over(&world, |call| {
        let id = &call.body["AccountAssignmentCreationRequestId"];
        (*id == "slow").then(|| status("SUCCEEDED", "slow", None))
    })
    .await;
    assert!(!is_retried(&ends, &message).await);
    assert_eq!(sent(&ends), []);
    ended(&world, "FAILED");
    let published = world.text("ErrorMsg");
    assert!(
        published.contains("Team 0") && published.ends_with(": no"),
        "{published}"
    );
}

#[tokio::test]
async fn a_refusal_is_published_in_the_words_of_aws() {
    for (status, code) in [
        (400, "ValidationException"),
        (400, "ResourceNotFoundException"),
    ] {
        let world = assigning(3);
        let refusal = Answer::error(status, code);
        let wire = wire_over(&world, at_first("CreateAccountAssignment", 9, refusal)).await;
        assert!(!is_retried(&wire, &first()).await, "{code}");
        assert_eq!(sent(&wire), [], "{code}");
        assert_eq!(wire.calls_of("CreateAccountAssignment").len(), 1, "{code}");
        ended(&world, "FAILED");
        assert_eq!(
            world.text("ErrorMsg"),
            "access of group Team 0 with permission set Operator was not given: \
             refused by the test"
        );
    }
}

#[tokio::test]
async fn a_fault_of_the_set_up_fails_no_request_and_is_told_once() {
    for (status, code) in [
        (403, "AccessDeniedException"),
        (402, "ServiceQuotaExceededException"),
    ] {
        let world = assigning(2);
        let refusal = Answer::error(status, code);
        let wire = wire_over(&world, at_first("CreateAccountAssignment", 3, refusal)).await;
        let mut message = first();
        for _ in 0..3 {
            assert!(!is_retried(&wire, &message).await, "{code}");
            assert_eq!(world.text("Status"), "ASSIGNING");
            assert_eq!(world.slots(), BTreeSet::new(), "no slot is held in vain");
            let (next, delay) = sent(&wire).pop().unwrap();
            assert_eq!(delay, 120);
            message = next;
        }
        let published = wire.calls_of("Publish");
        assert_eq!(published.len(), 1, "{code}");
        assert_eq!(published[0].body["TopicArn"], ERROR);
        let text = &published[0].body["Message"];
        assert!(
            text.to_string().contains("create-account-assignment"),
            "{text}"
        );
        to_the_end(&wire, &[message]).await;
        ended(&world, "SUCCEEDED");
    }
}

#[tokio::test]
async fn a_message_of_an_earlier_time_leaves_the_work_to_the_later_one() {
    let world = assigning(1);
    world.hold([token(0)]);
    world.set("AssignChain", &json!({ "N": "2" }));
    let wire = plain(&world).await;
    let mut older = first();
    older["chain"] = json!(1);
    for message in [first(), older] {
        assert!(!is_retried(&wire, &message).await);
        assert_eq!(wire.calls_of("CreateAccountAssignment").len(), 0);
        assert_eq!(sent(&wire), []);
        assert_eq!(
            world.slots(),
            BTreeSet::from([token(0)]),
            "it is the later one's"
        );
    }
    let mut later = first();
    later["chain"] = json!(2);
    to_the_end(&wire, &[later]).await;
    ended(&world, "SUCCEEDED");
    assert_eq!(world.slots(), BTreeSet::new());
}

#[tokio::test]
async fn a_request_that_aws_does_not_know_is_made_again() {
    let world = assigning(1);
    world.hold([token(0)]);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &later(json!([{ "asked": "lost" }]))).await);
    let (message, delay) = sent(&wire)[0].clone();
    assert_eq!(message["steps"], json!([{ "asked": "request-1" }]));
    // Asking again is no news: should AWS lose each, it is asked ever more rarely.
    assert_eq!((&message["polls"], delay), (&json!(1), 1));
    to_the_end(&wire, &[message]).await;
    assert_eq!(look(&world).requests, 1);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn the_same_message_twice_comes_to_the_same_end() {
    // One after the other: the first was done to its end meanwhile.
    let world = assigning(2);
    let wire = plain(&world).await;
    to_the_end(&wire, &[first()]).await;
    forget(&wire);
    assert!(!is_retried(&wire, &first()).await);
    assert_eq!(wire.calls().len(), 2, "{:?}", wire.calls());
    assert_eq!(look(&world).requests, 2);
    ended(&world, "SUCCEEDED");

    // Both at once, and one more when they are in progress.
    let world = assigning(1);
    let wire = plain(&world).await;
    assert_eq!(returned(&wire, &[first(), first()]).await.len(), 0);
    let mut messages: Vec<Value> = sent(&wire).into_iter().map(|(task, _)| task).collect();
    assert_eq!(world.slots().len(), 1, "one access has one place");
    messages.push(first());
    to_the_end(&wire, &messages).await;
    assert_eq!(world.text("Status"), "SUCCEEDED");
    assert_eq!(world.slots(), BTreeSet::new());
}

#[tokio::test]
async fn a_request_that_is_no_longer_at_it_gives_its_places_back() {
    type Change = fn(&Local);
    let changes: [(&str, Change); 4] = [
        ("gone", |world| world.tables.delete(ACCOUNTS, EMAIL)),
        ("another attempt", |world| {
            world.set("Attempt", &json!({ "N": "2" }));
        }),
        ("done", |world| {
            world.set("Status", &json!({ "S": "SUCCEEDED" }));
        }),
        ("started over", |world| {
            world.set("Status", &json!({ "S": "VALID" }));
        }),
    ];
    for (what, change) in changes {
        let world = assigning(2);
        let others = [
            format!("{EMAIL}#2#0"),
            format!("{EMAIL}#11#0"),
            format!("x{EMAIL}#1#0"),
        ];
        let others = BTreeSet::from(others);
        change(&world);
        world.hold(others.iter().cloned().chain([token(0), token(1)]));
        let before = world.row();
        let wire = plain(&world).await;
        assert!(!is_retried(&wire, &first()).await, "{what}");
        assert_eq!(sent(&wire), [], "{what}");
        assert_eq!(look(&world).requests, 0, "{what}");
        assert_eq!(world.slots(), others, "{what}");
        assert_eq!(world.row(), before, "{what}");
    }
}

#[tokio::test]
async fn a_request_without_an_account_fails() {
    let world = assigning(1);
    let mut row = world.row();
    row.as_object_mut().unwrap().remove("AccountId");
    world.tables.put(ACCOUNTS, &row);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &first()).await);
    ended(&world, "FAILED");
    assert_eq!(
        world.text("ErrorMsg"),
        "the account's id is not in the table of accounts"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_on_its_way_to_the_dead_letter_queue() {
    let world = assigning(1);
    let wire = plain(&world).await;
    let batch = [
        json!({ "task": "dance" }),
        json!("half"),
        json!({ "task": "assign", "email": EMAIL }),
        first(),
    ];
    assert_eq!(returned(&wire, &batch).await, ["0", "1", "2"]);
    let entries = &wire.calls_of("ChangeMessageVisibilityBatch")[0].body["Entries"];
    for entry in entries.as_array().unwrap() {
        assert_eq!(entry["VisibilityTimeout"], 0, "nothing is waited for");
    }
    assert_eq!(sent(&wire).len(), 1, "the good one is done");
}

#[tokio::test]
async fn a_follow_up_that_cannot_be_sent_brings_the_message_back() {
    let unsent = json!({ "Successful": [], "Failed":
        [{ "Id": "0", "Code": "InternalError", "SenderFault": false }] });
    for answer in [
        Answer::ok(unsent),
        Answer::error(500, "InternalError"),
        Answer::error(403, "AccessDenied"),
    ] {
        let world = assigning(1);
        let wire = wire_over(&world, at_first("SendMessageBatch", 1, answer)).await;
        assert!(is_retried(&wire, &first()).await);
        // Its access has its place still, and no second one.
        assert_eq!(world.slots(), BTreeSet::from([token(0)]));
        // AWS ends a request even if nobody asks about it.
        look(&world).in_progress.clear();
        to_the_end(&wire, &[first()]).await;
        ended(&world, "SUCCEEDED");
    }
}

#[tokio::test]
async fn a_file_that_joins_meanwhile_is_counted_too() {
    let world = assigning(0);
    let both = json!({ "SS": ["v1#accounts.csv", "v1#more.csv"] });
    let joining = Arc::clone(&world);
    let files = both.clone();
    let joined = AtomicUsize::new(0);
    let wire = wire_over(&world, move |call| {
        let ending = call.operation == "TransactWriteItems";
        if ending && joined.fetch_add(1, Ordering::Relaxed) == 0 {
            joining.set("Files", &files);
        }
        None
    })
    .await;
    assert!(!is_retried(&wire, &first()).await);
    ended(&world, "SUCCEEDED");
    let transactions = wire.calls_of("TransactWriteItems");
    assert_eq!(transactions.len(), 2);
    // The request, its name, and each of the files.
    let items = transactions[1].body["TransactItems"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(
        items[0]["Update"]["ExpressionAttributeValues"][":files"],
        both
    );
}

#[tokio::test]
async fn a_request_that_changes_again_and_again_is_tried_later() {
    let world = assigning(0);
    let wire = wire_over(
        &world,
        at_first(
            "TransactWriteItems",
            2,
            dynamodb::cancelled(&["ConditionalCheckFailed", "None", "None"]),
        ),
    )
    .await;
    assert!(is_retried(&wire, &first()).await);
    assert_eq!(world.text("Status"), "ASSIGNING");
    assert!(!is_retried(&wire, &first()).await);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn a_request_that_somebody_else_ended_is_left_as_it_is() {
    let world = assigning(1);
    look(&world).fails = BTreeMap::from([(group(0), "no")]);
    let other = Arc::clone(&world);
    let wire = wire_over(&world, move |call| {
        if call.body["TransactItems"][0]["Update"]["TableName"] == ACCOUNTS {
            other.set("Status", &json!({ "S": "SUCCEEDED" }));
        }
        None
    })
    .await;
    to_the_end(&wire, &[first()]).await;
    ended(&world, "SUCCEEDED");
    assert_eq!(world.text("ErrorMsg"), "");
}

#[tokio::test]
async fn what_is_broken_brings_the_message_back() {
    let describe = "DescribeAccountAssignmentCreationStatus";
    let asked = || later(json!([{ "asked": "a" }]));
    for (message, operation, status, code) in [
        (first(), "BatchGetItem", 500, "InternalServerError"),
        (first(), "BatchGetItem", 400, "AccessDeniedException"),
        (first(), "TransactWriteItems", 500, "InternalServerError"),
        (first(), "TransactWriteItems", 400, "AccessDeniedException"),
        (
            first(),
            "CreateAccountAssignment",
            500,
            "InternalServerException",
        ),
        (asked(), describe, 500, "InternalServerException"),
    ] {
        let world = assigning(1);
        look(&world).in_progress = match operation {
            "DescribeAccountAssignmentCreationStatus" => {
                BTreeMap::from([("a".to_owned(), group(0))])
            }
            _ => BTreeMap::new(),
        };
        let wire = wire_over(&world, at_first(operation, 1, Answer::error(status, code))).await;
        assert!(is_retried(&wire, &message).await, "{operation} {code}");
        assert_eq!(world.text("Status"), "ASSIGNING");
        to_the_end(&wire, &[message]).await;
        ended(&world, "SUCCEEDED");
    }
}

#[tokio::test]
async fn what_got_further_is_kept_though_something_else_is_broken() {
    let world = assigning(2);
    let wire = wire_over(&world, |call| {
        (call.body["PrincipalId"] == group(1))
            .then(|| Answer::error(500, "InternalServerException"))
    })
    .await;
    assert!(!is_retried(&wire, &first()).await);
    let (message, _) = sent(&wire)[0].clone();
    assert_eq!(message["steps"], json!([{ "asked": "request-1" }, "open"]));
}

#[tokio::test]
async fn an_access_whose_place_was_not_given_back_is_looked_at_again() {
    // Three of four have ended, and the fourth would wait for their places for ever.
    let world = assigning(4);
    world.hold((0..3).map(token));
    look(&world).in_progress = (0..3)
        .map(|place| (format!("r-{place}"), group(place)))
        .collect();
    let steps = json!([{ "asked": "r-0" }, { "asked": "r-1" }, { "asked": "r-2" }, "open"]);
    let failing = AtomicUsize::new(0);
    let wire = wire_over(&world, move |call| {
        let update = &call.body["TransactItems"][0]["Update"]["UpdateExpression"];
        let fails =
            *update == "DELETE #Running :tokens" && failing.fetch_add(1, Ordering::Relaxed) == 0;
        fails.then(|| Answer::error(500, "InternalServerError"))
    })
    .await;
    assert!(!is_retried(&wire, &later(steps.clone())).await);
    let (message, _) = sent(&wire)[0].clone();
    assert_eq!(message["steps"], steps);
    assert_eq!(world.slots().len(), 3);
    to_the_end(&wire, &[message]).await;
    assert_eq!(look(&world).requests, 1, "only the fourth was asked for");
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn a_crash_after_the_end_leaves_no_place_held() {
    let world = assigning(1);
    let wire = wire_over(&world, |call| {
        let update = &call.body["TransactItems"][0]["Update"]["UpdateExpression"];
        (*update == "DELETE #Running :tokens").then(|| Answer::error(500, "InternalServerError"))
    })
    .await;
    assert!(!is_retried(&wire, &first()).await);
    let (message, _) = sent(&wire)[0].clone();
    assert!(is_retried(&wire, &message).await);
    assert_eq!(world.text("Status"), "SUCCEEDED");
    assert_eq!(world.slots().len(), 1);
    let healthy = plain(&world).await;
    assert!(!is_retried(&healthy, &message).await);
    ended(&world, "SUCCEEDED");
}

#[tokio::test]
async fn an_invocation_without_time_gives_its_messages_back() {
    let world = assigning(1);
    let wire = wire_over(&world, |call| {
        (call.operation == "BatchGetItem").then(|| {
            Answer::ok(json!({ "Responses": {}, "UnprocessedKeys": {} }))
                .after(Duration::from_secs(5))
        })
    })
    .await;
    let short = Duration::from_millis(200);
    assert_eq!(
        returned_in(&wire, &[first(), first()], short).await,
        ["0", "1"]
    );
}

#[tokio::test]
async fn what_was_asked_for_is_written_down_before_the_time_runs_out() {
    let world = assigning(2);
    let slow = status("IN_PROGRESS", "slow", None).after(Duration::from_millis(2_100));
    let wire = wire_over(&world, at_first("CreateAccountAssignment", 1, slow)).await;
    let remaining = Duration::from_secs(4);
    assert_eq!(returned_in(&wire, &[first()], remaining).await.len(), 0);
    assert_eq!(
        sent(&wire)[0].0["steps"],
        json!([{ "asked": "slow" }, "open"])
    );
}

#[tokio::test]
async fn another_attempt_that_starts_meanwhile_is_left_as_it_is() {
    let world = assigning(0);
    let other = Arc::clone(&world);
    let wire = wire_over(&world, move |call| {
        if call.body["TransactItems"][0]["Update"]["TableName"] == ACCOUNTS {
            other.set("Attempt", &json!({ "N": "2" }));
        }
        None
    })
    .await;
    assert!(!is_retried(&wire, &first()).await);
    assert_eq!(world.text("Status"), "ASSIGNING");
}

#[tokio::test]
async fn an_assignment_keeps_its_slot_though_all_are_taken() {
    let world = assigning(1);
    world.hold(["x#1#0".to_owned(), "y#1#0".to_owned(), token(0)]);
    let wire = plain(&world).await;
    assert!(!is_retried(&wire, &first()).await);
    assert_eq!(look(&world).requests, 1);
}
