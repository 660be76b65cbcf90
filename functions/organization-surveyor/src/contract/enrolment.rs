//! Accounts that are not under Control Tower: which these are, what is in the way, and how many calls that takes.

use orgkeeper_shared::posture::enrolment::{EnrolmentRecord, EnrolmentSummary};
use orgkeeper_tests::dynamodb::ACCOUNT_DIRECTORY;

use super::{cloud::MANAGEMENT, *};

const ENROLLED: &str = "111122223333";
const READY: &str = "222222222222";
const BLOCKED: &str = "333333333333";
const CLOSED: &str = "444444444444";
const PARTIAL: &str = "555555555555";

fn enrolment(survey: &str) -> Value {
    json!({ "surveyId": survey, "reason": "schedule", "accounts": [], "part": 1, "enrolment": true })
}

fn target(kind: &str, id: &str, status: &str) -> Value {
    json!({ "arn": format!("arn:aws:controltower:us-east-1:{MANAGEMENT}:enabledbaseline/XAJNZJE7LTP8{id}"),
            "baselineIdentifier": "arn:aws:controltower:us-east-1::baseline/17BSJV3IGJ2QSGA2",
            "targetIdentifier": format!("arn:aws:organizations::{MANAGEMENT}:{kind}/o-abcdefghij/{id}"),
            "statusSummary": { "status": status } })
}

fn account(id: &str, name: &str, state: &str) -> Value {
    json!({ "Id": id, "Name": name, "Email": format!("aws+{name}@example.com"), "State": state })
}

/// An organization: one account is under Control Tower, and one failed to be.
fn organization(world: &World) {
    let cloud = &world.cloud;
    for (id, unit) in [
        (ENROLLED, "Workloads"),
        (READY, "Workloads"),
        (PARTIAL, "Workloads"),
    ] {
        cloud.know(id, unit, "ACTIVE");
    }
    cloud.tables.put(
        ACCOUNT_DIRECTORY,
        &json!({ "AccountId": { "S": BLOCKED }, "Name": { "S": "old" }, "OuPath": { "L": [] }, "RefreshedAt": { "N": "0" } }),
    );
    let baselines = [
        json!({ "enabledBaselines": [target("ou", "ou-ab12-11112222", "SUCCEEDED")], "nextToken": "1" }),
        json!({ "enabledBaselines": [target("account", ENROLLED, "SUCCEEDED"), target("account", READY, "FAILED")] }),
    ];
    let accounts = [
        json!({ "Accounts": [account(MANAGEMENT, "management", "ACTIVE"), account(ENROLLED, "payments", "ACTIVE"),
                             account(READY, "shop", "ACTIVE")], "NextToken": "1" }),
        json!({ "Accounts": [account(BLOCKED, "old", "ACTIVE"), account(CLOSED, "gone", "SUSPENDED"),
                             account(PARTIAL, "lab", "ACTIVE")] }),
    ];
    for (operation, pages) in [
        ("ListEnabledBaselines", baselines),
        ("ListAccounts", accounts),
    ] {
        let lines = pages.map(|page| page.to_string()).join("\n");
        cloud.list(MANAGEMENT, "us-east-1", operation, &lines);
    }
    for account in [READY, PARTIAL] {
        cloud.list(account, "us-east-1", "GetRole", "AWSControlTowerExecution");
    }
    let recorder = json!({ "ConfigurationRecorders": [{ "name": "default" }] }).to_string();
    let channel = json!({ "DeliveryChannels": [{ "name": "default" }] }).to_string();
    cloud.list(
        BLOCKED,
        "eu-west-1",
        "DescribeConfigurationRecorders",
        &recorder,
    );
    cloud.list(
        BLOCKED,
        "us-east-2",
        "DescribeConfigurationRecorders",
        &recorder,
    );
    cloud.list(BLOCKED, "eu-west-1", "DescribeDeliveryChannels", &channel);
}

/// An item of the table as plain JSON.
fn plain(world: &World, key: &str) -> Option<Value> {
    let item = world.cloud.tables.get(POSTURE, key)?;
    let mut plain = serde_json::Map::new();
    for (name, value) in item.as_object().unwrap() {
        let value = match value.as_object().unwrap().iter().next().unwrap() {
            (kind, Value::String(text)) if kind == "N" => text.parse::<i64>().unwrap().into(),
            (kind, Value::Array(texts)) if kind == "L" => {
                texts.iter().map(|text| text["S"].clone()).collect()
            }
            (_, value) => value.clone(),
        };
        plain.insert(name.clone(), value);
    }
    Some(Value::Object(plain))
}

fn obstacles(world: &World, account: &str) -> Vec<String> {
    let item = plain(world, &format!("enrolment#{account}")).unwrap();
    let record: EnrolmentRecord = serde_json::from_value(item).unwrap();
    record.obstacles().map(str::to_owned).collect()
}

fn summary(world: &World) -> EnrolmentSummary {
    let item = plain(world, "enrolment#organization").unwrap();
    serde_json::from_value(item).unwrap()
}

/// Calls outside the security account, by account and operation.
fn calls(made: &[Made]) -> BTreeMap<(&str, &str), usize> {
    let mut calls = BTreeMap::new();
    for made in made.iter().filter(|made| made.account != "111111111111") {
        *calls
            .entry((made.account.as_str(), made.operation.as_str()))
            .or_default() += 1;
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_written_down_and_who_is_enrolled_is_not_called() {
    let world = World::with("").await;
    organization(&world);
    world.cloud.fault(|made| {
        let denied = made.account == PARTIAL
            && made.region == "eu-west-3"
            && made.operation == "DescribeDeliveryChannels";
        denied.then(|| Answer::error(400, "AccessDeniedException"))
    });
    world.send(&enrolment("s-1"));
    world.run().await;
    assert_eq!(
        (summary(&world).survey_id.as_str(), summary(&world).unknown),
        ("s-1", None)
    );
    assert_eq!(obstacles(&world, READY), [""; 0]);
    assert_eq!(
        obstacles(&world, BLOCKED),
        [
            "it is in the root: name a registered unit",
            "role AWSControlTowerExecution is missing: create it with AdministratorAccess, and let the management account assume it",
            "AWS Config has a recorder in eu-west-1 us-east-2: delete it",
            "AWS Config has a delivery channel in eu-west-1: delete it",
        ]
    );
    let closed = obstacles(&world, CLOSED);
    assert_eq!(closed.len(), 2, "{closed:?}");
    assert!(closed[0].starts_with("the state of the account is SUSPENDED"));
    let partial = obstacles(&world, PARTIAL);
    assert_eq!(partial.len(), 1);
    assert!(
        partial[0]
            .starts_with("not known: AWS Config in eu-west-3: DescribeDeliveryChannels failed"),
        "{partial:?}"
    );
    assert_eq!(plain(&world, &format!("enrolment#{ENROLLED}")), None);
    assert_eq!(plain(&world, &format!("enrolment#{MANAGEMENT}")), None);
    let ready = plain(&world, &format!("enrolment#{READY}")).unwrap();
    assert_eq!(
        (&ready["Email"], &ready["Unit"]),
        (
            &json!("aws+shop@example.com"),
            &json!("Workloads (ou-ab12-11112222)")
        )
    );
    let made = world.cloud.take();
    let calls = calls(&made);
    for account in [ENROLLED, CLOSED] {
        assert!(!calls.keys().any(|(of, _)| *of == account), "{calls:?}");
    }
    assert_eq!(calls[&(READY, "GetRole")], 1);
    assert_eq!(calls[&(READY, "DescribeRegions")], 1);
    assert_eq!(
        calls[&(READY, "DescribeConfigurationRecorders")],
        REGIONS.len()
    );
    assert_eq!(calls[&(READY, "DescribeDeliveryChannels")], REGIONS.len());
    assert_eq!(calls[&(MANAGEMENT, "ListEnabledBaselines")], 2);
    assert_eq!(calls[&(MANAGEMENT, "ListAccounts")], 2);
    // One session for each of three accounts, and one in the management account.
    let sessions = made.iter().filter(|made| made.operation == "AssumeRole");
    assert_eq!(sessions.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_the_regions_in_use_count() {
    let world = World::with("[organization]\nregions = [\"us-east-2\", \"af-south-1\"]\n").await;
    organization(&world);
    world.send(&enrolment("s-1"));
    world.run().await;
    let blocked = obstacles(&world, BLOCKED);
    assert_eq!(
        blocked[2..],
        ["AWS Config has a recorder in us-east-2: delete it"]
    );
    let made = world.cloud.take();
    let calls = calls(&made);
    assert_eq!(calls[&(READY, "DescribeConfigurationRecorders")], 1);
}

#[tokio::test(start_paused = true)]
async fn without_control_tower_nothing_is_examined_and_the_reason_is_known() {
    for (answer, words) in [
        (
            Some("AccessDeniedException"),
            "not known: what is under Control Tower: ListEnabledBaselines failed (Denied)",
        ),
        (None, "Control Tower has no enabled baseline in us-east-1"),
    ] {
        let world = World::with("").await;
        if let Some(code) = answer {
            organization(&world);
            world.cloud.fault(move |made| {
                (made.operation == "ListEnabledBaselines").then(|| Answer::error(403, code))
            });
        }
        world.send(&enrolment("s-1"));
        world.run().await;
        let unknown = summary(&world).unknown.unwrap();
        assert!(unknown.starts_with(words), "{unknown}");
        let made = world.cloud.take();
        let asked = made.iter().filter(|made| made.operation == "AssumeRole");
        // Without an answer it is asked three times more, minutes apart.
        assert_eq!(asked.count(), if answer.is_some() { 4 } else { 1 });
        assert!(!made.iter().any(|made| made.operation == "ListAccounts"));
    }
}

#[tokio::test(start_paused = true)]
async fn denied_for_half_a_minute_it_is_known_a_minute_later() {
    let world = World::with("").await;
    organization(&world);
    let mut left = 1;
    world.cloud.fault(move |made| {
        let denied = made.operation == "ListAccounts" && left > 0;
        left -= i32::from(denied);
        denied.then(|| Answer::error(400, "AccessDeniedException"))
    });
    world.send(&enrolment("s-1"));
    world.run().await;
    assert_eq!(summary(&world).unknown, None);
    assert_eq!(obstacles(&world, READY), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_registered_by_the_baseline_of_control_tower_alone() {
    let world = World::with("").await;
    organization(&world);
    let of = |baseline: &str, kind: &str, id: &str| {
        let mut target = target(kind, id, "SUCCEEDED");
        target["baselineIdentifier"] =
            format!("arn:aws:controltower:us-east-1::baseline/{baseline}").into();
        target
    };
    let backup = "3WPD0NA6TJ9AOMU2";
    let (log_archive, landing) = (
        of("J8HX46AHS5MIKQPD", "account", ENROLLED),
        of(backup, "ou", "ou-ab12-11112222"),
    );
    let page = json!({ "enabledBaselines": [landing, log_archive, of(backup, "account", READY),
                                            target("ou", "ou-ab12-99998888", "SUCCEEDED")] });
    world.cloud.list(
        MANAGEMENT,
        "us-east-1",
        "ListEnabledBaselines",
        &page.to_string(),
    );
    world.send(&enrolment("s-1"));
    world.run().await;
    assert_eq!(plain(&world, &format!("enrolment#{ENROLLED}")), None);
    let ready = obstacles(&world, READY);
    assert!(ready[0].contains("is not registered"), "{ready:?}");
}

#[tokio::test(start_paused = true)]
async fn stopped_anywhere_and_received_twice_it_is_the_same() {
    let expected = {
        let world = World::with("").await;
        organization(&world);
        world.send(&enrolment("s-1"));
        world.run().await;
        without_times(&world)
    };
    for calls in [1, 3, 6, 9, 14, 40, 80] {
        let world = World::with("").await;
        organization(&world);
        world.cloud.stop_after(calls);
        world.send(&enrolment("s-1"));
        world.send(&enrolment("s-1"));
        world.run().await;
        assert_eq!(without_times(&world), expected, "stopped after {calls}");
    }
}

fn without_times(world: &World) -> BTreeMap<String, Value> {
    let mut items = world.cloud.tables();
    for item in items.values_mut() {
        for time in ["ReadAt", "ExpiresAt"] {
            item.as_object_mut().unwrap().remove(time);
        }
    }
    items
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_time_for_goes_on_in_another_message() {
    let world = World::with("").await;
    organization(&world);
    let mut slow = true;
    world.cloud.fault(move |made| {
        let hangs =
            made.account == READY && made.operation == "GetRole" && std::mem::take(&mut slow);
        hangs.then(|| Answer::ok(json!({})).after(Duration::from_mins(10)))
    });
    world.send(&enrolment("s-1"));
    world.run().await;
    assert_eq!(obstacles(&world, READY), [""; 0]);
    let made = world.cloud.take();
    let sent = made
        .iter()
        .filter(|made| made.operation == "SendMessageBatch");
    assert_eq!(sent.count(), 1);
    let listed = made.iter().filter(|made| made.operation == "ListAccounts");
    assert_eq!(listed.count(), 2, "the organization is read once");
}

#[tokio::test(start_paused = true)]
async fn a_survey_of_enrolled_accounts_makes_no_call_for_it() {
    let world = World::with("").await;
    organization(&world);
    world.send(&task("s-1", &[ENROLLED], Some(1)));
    world.run().await;
    let made = world.cloud.take();
    let calls = calls(&made);
    let ours = [
        "GetRole",
        "DescribeConfigurationRecorders",
        "DescribeDeliveryChannels",
        "ListEnabledBaselines",
    ];
    assert!(
        calls.keys().all(|(_, operation)| !ours.contains(operation)),
        "{calls:?}"
    );
}
