//! The function with real SDK clients in virtual time: twice, out of order, too early, throttled, denied, stopped in the
//! middle, moved, undone.

mod cloud;

use std::collections::BTreeMap;

use orgkeeper_tests::wire::Answer;
use serde_json::{Value, json};

use self::cloud::{ACCOUNT, KEEP, MANAGEMENT, Made, REGIONS, World, is_write};

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The account was created when the test begins.
fn created() -> Value {
    let mut created = event(include_str!(
        "../../../../events/account-hydrator/created.json"
    ));
    created["detail"]["eventTime"] = json!("2026-03-01T12:00:00Z");
    created
}

fn roles_ready() -> Value {
    event(include_str!(
        "../../../../events/account-hydrator/roles-ready.json"
    ))
}

/// The account is moved a minute later.
fn moved() -> Value {
    let mut moved = event(include_str!(
        "../../../../events/account-hydrator/moved.json"
    ));
    moved["detail"]["eventTime"] = json!("2026-03-01T12:01:00Z");
    moved
}

/// Somebody switches EBS encryption off in eu-west-1.
fn undone(world: &World) -> Value {
    world.cloud.set(ACCOUNT, "eu-west-1", "ebs", "false");
    event(include_str!(
        "../../../../events/account-hydrator/undone.json"
    ))
}

fn writes(made: &[Made]) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for made in made.iter().filter(|made| is_write(&made.operation)) {
        let Made {
            account,
            region,
            operation,
        } = made;
        *writes
            .entry(format!("{account} {region} {operation}"))
            .or_default() += 1;
    }
    writes
}

fn kinds(alerts: &[Value]) -> Vec<&str> {
    alerts
        .iter()
        .map(|alert| alert["kind"].as_str().unwrap())
        .collect()
}

/// Every regional item is as it should be in each Region, and the account's own are.
fn is_set(world: &World, account: &str) {
    for region in REGIONS {
        for (name, value) in [
            ("ebs", Some("true")),
            ("snapshots", Some("block-all-sharing")),
            ("ssm", Some("Disable")),
        ] {
            let found = world.cloud.get(account, region, name);
            assert_eq!(found.as_deref(), value, "{account} {region} {name}");
        }
        for name in ["imds", "groups"] {
            assert!(
                world.cloud.get(account, region, name).is_some(),
                "{account} {region} {name}"
            );
        }
    }
    for name in ["s3", "passwords", "alias", "contact", "tags", "budget"] {
        assert!(
            world.cloud.get(account, "", name).is_some(),
            "{account} {name}"
        );
    }
}

/// An account that is ready, with nothing left to read of how it became so.
async fn ready(baseline: &str, mode: &str) -> World {
    let world = World::with(baseline, mode).await;
    world.send(&created());
    world.run_until(30).await;
    assert_eq!(world.cloud.left(ACCOUNT), [""; 0]);
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    world.cloud.alerts();
    world.cloud.take();
    world
}

#[tokio::test(start_paused = true)]
async fn a_new_account_is_ready_within_thirty_seconds_in_250_calls() {
    let world = World::with(KEEP, "apply").await;
    world.cloud.role_after(ACCOUNT, 2);
    world.send(&created());
    world.run_until(30).await;
    assert_eq!(world.cloud.left(ACCOUNT), [""; 0]);
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    is_set(&world, ACCOUNT);
    assert_eq!(world.cloud.changed_accounts().len(), 1);
    let (made, billed) = world.cloud.take();
    // The first attempt is denied.
    assert!(made.len() <= 250 + 25, "{} calls", made.len());
    assert!(billed.as_secs() < 3, "{billed:?}");
    assert!(writes(&made).values().all(|count| *count == 1));
    let alerts = world.cloud.alerts();
    assert_eq!(kinds(&alerts), ["baseline.ready"]);
    let took = alerts[0]["details"]["Took"].as_str().unwrap();
    assert!(
        took.trim_end_matches(" s").parse::<u32>().unwrap() < 30,
        "{took}"
    );
    // What was before is known.
    let entry = world.cloud.entry(ACCOUNT, "ebs-encryption@eu-west-1");
    assert_eq!(entry["Came"]["S"], "SET");
    assert_eq!(entry["Before"]["S"], "{\"EbsEncryptionByDefault\":false}");
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_roles_are_there_takes_at_most_250_calls_and_three_seconds() {
    let world = World::with(KEEP, "apply").await;
    world.send(&created());
    world.run_until(30).await;
    let (made, billed) = world.cloud.take();
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    assert!(made.len() <= 250, "{} calls", made.len());
    assert!(billed.as_secs() < 3, "{billed:?}");
    let sessions = made.iter().filter(|made| made.operation == "AssumeRole");
    assert_eq!(sessions.count(), 1);
    // The home Region is the first.
    let first = made
        .iter()
        .position(|made| made.operation == "GetEbsEncryptionByDefault");
    assert_eq!(made[first.unwrap()].region, "us-east-1");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_writes_nothing() {
    let world = ready(KEEP, "apply").await;
    world.send(&json!({ "task": "all" }));
    world.run_until(60).await;
    let (made, _) = world.cloud.take();
    assert_eq!(writes(&made), BTreeMap::new());
    assert!(made.len() > 100, "everything is read: {}", made.len());
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    assert_eq!(world.cloud.alerts(), [] as [Value; 0]);
    // What only says that it is there reads nothing.
    world.send(&created());
    world.send(&roles_ready());
    world.run_until(90).await;
    assert!(world.cloud.take().0.len() < 10);
}

#[tokio::test(start_paused = true)]
async fn everything_twice_and_out_of_order_is_done_once() {
    let world = World::with(KEEP, "apply").await;
    world.cloud.role_after(ACCOUNT, 2);
    for body in [roles_ready(), created(), roles_ready(), created()] {
        world.send(&body);
    }
    world.run_until(60).await;
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    is_set(&world, ACCOUNT);
    assert!(
        writes(&world.cloud.take().0)
            .values()
            .all(|count| *count == 1)
    );
    assert_eq!(kinds(&world.cloud.alerts()), ["baseline.ready"]);
    assert_eq!(world.cloud.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn forty_accounts_at_once_with_every_fault() {
    let world = World::with(KEEP, "apply").await;
    let accounts: Vec<String> = (0..40)
        .map(|number| format!("2222333344{number:02}"))
        .collect();
    let mut random = 1_u64;
    let mut one_in = move |of: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33).is_multiple_of(of)
    };
    for account in &accounts {
        world.cloud.know(account, "Workloads", 0);
        world.cloud.role_after(account, 20);
        // A tenth of the events is lost, the others arrive twice.
        let text = created().to_string().replace(ACCOUNT, account);
        let body: Value = serde_json::from_str(&text).unwrap();
        if !one_in(10) {
            world.send(&body);
            world.send(&body);
        }
    }
    // A fifth of the calls in accounts is throttled.
    world.cloud.fault(move |made| {
        let in_account = made.account.starts_with("2222");
        (in_account && made.operation.contains("Ebs") && one_in(5))
            .then(|| Answer::xml(503, "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message/></Error></Errors></Response>"))
    });
    world.cloud.stop_after(2_000);
    world.run_until(1_200).await;
    // The daily look finds those whose event was lost.
    world.send(&json!({ "task": "all" }));
    world.run_until(2_400).await;
    for account in &accounts {
        assert_eq!(world.cloud.state(account), "READY", "{account}");
        is_set(&world, account);
    }
    let (made, _) = world.cloud.take();
    let of_accounts: Vec<Made> = made
        .into_iter()
        .filter(|made| !made.operation.contains("Ebs"))
        .collect();
    let twice: Vec<_> = writes(&of_accounts)
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .collect();
    // The management account's writes are in one Region, one for each account: the forty, and the one of every world.
    assert!(
        twice
            .iter()
            .all(|(key, count)| key.starts_with("111111111111") && *count == 41),
        "{twice:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_stopped_anywhere_loses_nothing() {
    for calls in [3, 20, 100, 130, 150, 200, 230] {
        let world = World::with(KEEP, "apply").await;
        world.cloud.stop_after(calls);
        world.send(&created());
        world.run_until(1_000).await;
        assert_eq!(world.cloud.state(ACCOUNT), "READY", "after {calls} calls");
        is_set(&world, ACCOUNT);
        let entry = world.cloud.entry(ACCOUNT, "ebs-encryption@sa-east-1");
        assert_eq!(
            entry["Before"]["S"], "{\"EbsEncryptionByDefault\":false}",
            "after {calls} calls"
        );
        // Stopped between publishing and noting it, it publishes again.
        let alerts = world.cloud.alerts();
        assert!(
            kinds(&alerts).contains(&"baseline.ready"),
            "after {calls} calls"
        );
        assert!(alerts.len() <= 2, "after {calls} calls: {alerts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_does_not_know_the_account_yet_is_asked() {
    let world = World::with(KEEP, "apply").await;
    let other = "444455556666";
    let text = created().to_string().replace(ACCOUNT, other);
    world.send(&serde_json::from_str(&text).unwrap());
    world.run_until(5).await;
    assert_eq!(world.cloud.state(other), "");
    world.cloud.know(other, "Workloads", 5);
    world.run_until(30).await;
    assert_eq!(world.cloud.state(other), "READY");
    // The management account itself is left alone.
    world.send(&json!({ "account": MANAGEMENT }));
    world.run_until(60).await;
    assert_eq!(world.cloud.state(MANAGEMENT), "");
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_for_an_hour_is_an_error() {
    let world = World::with(KEEP, "apply").await;
    world.cloud.role_after(ACCOUNT, 7_000);
    world.send(&created());
    world.run_until(3_500).await;
    assert_eq!(world.cloud.state(ACCOUNT), "WAITING");
    assert_eq!(world.cloud.alerts(), [] as [Value; 0]);
    world.run_until(4_500).await;
    assert_eq!(world.cloud.state(ACCOUNT), "FAILED");
    let alerts = world.cloud.alerts();
    assert_eq!(kinds(&alerts), ["baseline.failed"]);
    assert!(
        alerts[0]["details"]["Not set"]
            .as_str()
            .unwrap()
            .contains("AssumeRole")
    );
    // The schedule goes on.
    for quarter in 6..10 {
        world.send(&json!({ "task": "left" }));
        world.run_until(quarter * 900).await;
    }
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    assert_eq!(kinds(&world.cloud.alerts()), ["baseline.ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_fails_does_not_hold_up_the_others() {
    let world = World::with(KEEP, "apply").await;
    world.cloud.fault(|made| {
        let is_it = made.region == "sa-east-1" && made.account == ACCOUNT && made.operation != "AssumeRole";
        is_it.then(|| Answer::xml(403, "<Response><Errors><Error><Code>OptInRequired</Code><Message/></Error></Errors></Response>"))
    });
    world.send(&created());
    world.run_until(30).await;
    assert_eq!(world.cloud.state(ACCOUNT), "WAITING");
    assert_eq!(
        world.cloud.get(ACCOUNT, "eu-west-3", "ebs").as_deref(),
        Some("true")
    );
    let entry = world.cloud.entry(ACCOUNT, "ebs-encryption@sa-east-1");
    assert_eq!(entry["Came"]["S"], "NOT_YET");
    world.cloud.fault(|_| None);
    world.run_until(600).await;
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    is_set(&world, ACCOUNT);
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_decides_is_held_and_not_written() {
    let world = World::with(KEEP, "apply").await;
    for region in REGIONS {
        let by = "<managedBy>declarative-policy</managedBy>";
        world.cloud.set(ACCOUNT, region, "imds", by);
    }
    world.cloud.fault(|made| {
        (made.operation == "PutPublicAccessBlock").then(|| {
            Answer::xml(403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>This is set by an organization policy</Message></Error></ErrorResponse>")
        })
    });
    world.send(&created());
    world.run_until(30).await;
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    let (made, _) = world.cloud.take();
    assert!(
        !made
            .iter()
            .any(|made| made.operation == "ModifyInstanceMetadataDefaults")
    );
    for key in [
        "instance-metadata-defaults@us-east-1",
        "s3-public-access-block",
    ] {
        assert_eq!(
            world.cloud.entry(ACCOUNT, key)["Came"]["S"],
            "HELD",
            "{key}"
        );
    }
    let alerts = world.cloud.alerts();
    assert!(
        alerts[0]["details"]["Left out"]
            .as_str()
            .unwrap()
            .contains("policy")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_is_put_back_within_ten_seconds_with_the_name() {
    let world = ready(KEEP, "apply").await;
    let event = undone(&world);
    world.send(&event);
    world.send(&event);
    world.run_until(40).await;
    assert_eq!(
        world.cloud.get(ACCOUNT, "eu-west-1", "ebs").as_deref(),
        Some("true")
    );
    let alerts = world.cloud.alerts();
    assert_eq!(kinds(&alerts), ["baseline.drift"]);
    assert!(alerts[0]["actor"].as_str().unwrap().ends_with("/eve"));
    assert_eq!(alerts[0]["severity"], "info");
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
    // Only what the event is about is looked at.
    assert!(world.cloud.take().0.len() < 30);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_back_by_a_function_that_is_stopped_is_still_reported() {
    for calls in 1..12 {
        let world = ready(KEEP, "apply").await;
        let event = undone(&world);
        world.cloud.stop_after(calls);
        world.send(&event);
        world.run_until(600).await;
        assert_eq!(
            world.cloud.get(ACCOUNT, "eu-west-1", "ebs").as_deref(),
            Some("true")
        );
        let alerts = world.cloud.alerts();
        assert!(!alerts.is_empty(), "after {calls} calls");
        assert!(
            alerts.iter().all(|alert| alert["actor"]
                .as_str()
                .is_some_and(|by| by.ends_with("/eve"))),
            "{calls}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_baseline_that_is_uploaded_is_in_force_at_once() {
    let world = ready("[defaults]\nmode = \"check\"\n", "apply").await;
    assert_eq!(world.cloud.get(ACCOUNT, "eu-west-1", "ebs"), None);
    world.cloud.upload(KEEP);
    // The function has read the other one less than a minute ago.
    world.send(&json!({
        "source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-01T12:00:31Z",
        "detail": { "object": { "key": "baseline.toml" } },
    }));
    world.run_until(60).await;
    is_set(&world, ACCOUNT);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_when_its_account_is_ready_and_when_it_was_already() {
    let world = World::with_vend_flow(KEEP, "apply").await;
    let vended = json!({ "account": ACCOUNT, "reason": "vended" });
    let ready = json!({ "task": "ready", "accountId": ACCOUNT });
    world.cloud.role_after(ACCOUNT, 5);
    world.send(&created());
    world.run_until(2).await;
    world.send(&vended);
    world.run_until(4).await;
    assert_eq!(world.cloud.answers(), [] as [Value; 0]);
    world.run_until(60).await;
    assert_eq!(world.cloud.answers(), std::slice::from_ref(&ready));
    world.cloud.take();
    world.send(&vended);
    world.send(&vended);
    world.run_until(90).await;
    assert_eq!(world.cloud.answers(), [ready.clone(), ready]);
    assert!(world.cloud.take().0.len() < 20, "nothing is read again");
    assert_eq!(kinds(&world.cloud.alerts()), ["baseline.ready"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_is_undone_on_request_where_nobody_has_changed_it_since() {
    let world = ready(KEEP, "apply").await;
    let undo = json!({ "account": ACCOUNT, "undo": "ebs-encryption" });
    // It would be set again.
    world.send(&undo);
    world.run_until(40).await;
    let alerts = world.cloud.alerts();
    assert_eq!(kinds(&alerts), ["baseline.undone"]);
    assert_eq!(alerts[0]["severity"], "error");
    let reason = alerts[0]["details"]["Not undone"].as_str().unwrap();
    assert!(reason.contains("keep"), "{reason}");
    assert_eq!(writes(&world.cloud.take().0), BTreeMap::new());

    world.cloud.upload(&KEEP.replace("\"keep\"", "\"once\""));
    world.send(&json!({
        "source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-01T12:00:41Z",
        "detail": { "object": { "key": "baseline.toml" } },
    }));
    world.run_until(80).await;
    // Somebody has switched it off in one Region.
    world.cloud.set(ACCOUNT, "eu-west-1", "ebs", "false");
    world.cloud.take();
    world.send(&undo);
    world.send(&undo);
    world.run_until(120).await;
    for region in REGIONS {
        let found = world.cloud.get(ACCOUNT, region, "ebs");
        assert_eq!(found.as_deref(), Some("false"), "{region}");
        let key = format!("ebs-encryption@{region}");
        assert_eq!(world.cloud.entry(ACCOUNT, &key)["Came"]["S"], "DRIFTED");
    }
    let (made, _) = world.cloud.take();
    assert_eq!(writes(&made).len(), REGIONS.len() - 1);
    let alerts = world.cloud.alerts();
    assert_eq!(alerts[0]["title"], "ebs-encryption was undone in payments");
    // It stays so.
    world.send(&json!({ "account": ACCOUNT }));
    world.run_until(160).await;
    assert_eq!(writes(&world.cloud.take().0), BTreeMap::new());
    assert_eq!(
        world.cloud.get(ACCOUNT, "eu-west-3", "ebs").as_deref(),
        Some("false")
    );
    // What was never set cannot be undone.
    world.send(&json!({ "account": ACCOUNT, "undo": "no-such-item" }));
    world.run_until(200).await;
    let alerts = world.cloud.alerts();
    let reason = alerts.last().unwrap()["details"]["Not undone"]
        .as_str()
        .unwrap();
    assert!(reason.contains("no such item"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn in_mode_check_nothing_is_written_and_a_change_is_only_reported() {
    for (baseline, mode) in [
        (KEEP, "check"),
        (&KEEP.replace("\"keep\"", "\"check\"")[..], "apply"),
    ] {
        let world = World::with(baseline, mode).await;
        world.send(&created());
        world.run_until(30).await;
        assert_eq!(world.cloud.state(ACCOUNT), "READY");
        assert_eq!(writes(&world.cloud.take().0), BTreeMap::new());
        let alerts = world.cloud.alerts();
        let shown = alerts[0]["details"]["Would be set"].as_str().unwrap();
        assert!(shown.contains("ebs-encryption (17 Regions)"), "{shown}");
        let event = undone(&world);
        world.send(&event);
        world.send(&event);
        world.run_until(60).await;
        assert_eq!(writes(&world.cloud.take().0), BTreeMap::new());
        assert_eq!(world.cloud.state(ACCOUNT), "DRIFTED");
        let alerts = world.cloud.alerts();
        assert_eq!(kinds(&alerts), ["baseline.drift"]);
        assert_eq!(alerts[0]["severity"], "error");
        assert!(alerts[0]["actor"].as_str().unwrap().ends_with("/eve"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_lost_is_made_up_for_by_the_schedule() {
    let world = ready(KEEP, "apply").await;
    undone(&world);
    world.send(&json!({ "task": "all" }));
    world.run_until(60).await;
    assert_eq!(
        world.cloud.get(ACCOUNT, "eu-west-1", "ebs").as_deref(),
        Some("true")
    );
    let alerts = world.cloud.alerts();
    assert_eq!(kinds(&alerts), ["baseline.drift"]);
    assert!(alerts[0]["actor"].is_null());
}

#[tokio::test(start_paused = true)]
async fn an_account_that_moves_gets_the_rules_of_its_new_unit() {
    let baseline = format!(
        "{KEEP}\n[[unit]]\nou = \"Root/Sandbox\"\nmode = \"off\"\n\
        [[unit]]\nou = \"Root/Workloads\"\nitem.ebs-encryption = {{ mode = \"off\" }}\n"
    );
    let world = ready(&baseline, "apply").await;
    assert_eq!(world.cloud.get(ACCOUNT, "eu-west-1", "ebs"), None);
    // The directory still has the old unit when the event arrives.
    world.send(&moved());
    world.run_until(600).await;
    assert_eq!(world.cloud.get(ACCOUNT, "eu-west-1", "ebs"), None);
    world.cloud.know(ACCOUNT, "Other", 600);
    world.run_until(660).await;
    assert_eq!(
        world.cloud.get(ACCOUNT, "eu-west-1", "ebs").as_deref(),
        Some("true")
    );
    assert_eq!(kinds(&world.cloud.alerts()), ["baseline.ready"]);
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_cannot_be_published_stays_owed() {
    let world = World::with(KEEP, "apply").await;
    let mut refused = 0;
    world.cloud.fault(move |made| {
        refused += usize::from(made.operation == "Publish");
        (made.operation == "Publish" && refused < 5)
            .then(|| Answer::query_error(500, "InternalError"))
    });
    world.send(&created());
    world.run_until(120).await;
    assert_eq!(kinds(&world.cloud.alerts()), ["baseline.ready"]);
    assert_eq!(world.cloud.state(ACCOUNT), "READY");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_baseline_is_refused_with_its_line_and_nothing_is_changed() {
    let world = World::with("[item]\nebs = { mode = \"keep\" }\n", "apply").await;
    world.send(&created());
    world.run_until(30).await;
    let alerts = world.cloud.alerts();
    assert!(kinds(&alerts).contains(&"baseline.refused"), "{alerts:?}");
    assert!(
        alerts[0]["details"]["Faults"]
            .as_str()
            .unwrap()
            .starts_with("line 2: \"ebs\" is no item")
    );
    assert_eq!(writes(&world.cloud.take().0), BTreeMap::new());
}
