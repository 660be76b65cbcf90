//! Nothing runs away: the circuit breaker, what is reopened again and again, change windows, and the order of fixes.

use std::collections::BTreeMap;

use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::remediation::record::{Status, waiting::WaitFor};
use orgkeeper_tests::organization::account;
use serde_json::{Value, json};

use super::{Flow, about, bucket, flow, flow_with, id, key, key_of, mode};

#[tokio::test]
async fn of_five_hundred_fixes_twenty_start_and_after_resuming_none_is_lost() {
    let flow = flow(&mode("auto")).await;
    // The command's clock is that of the afternoon.
    flow.later(-6);
    let all: Vec<Value> = (0..500).map(|n| bucket(&format!("b{n}"))).collect();
    flow.found(&all).await;
    assert_eq!(flow.orders().len(), 20);
    let stopped = flow.alerts("No more fixes in account");
    let [mail] = &stopped[..] else {
        panic!("{stopped:?}");
    };
    let resume = format!("orgkeeper remediation resume --account {}", account(0));
    assert!(mail.contains(&resume), "{mail}");
    let statuses = BTreeMap::from([("FIXED".to_owned(), 20), ("OBSERVED".to_owned(), 480)]);
    assert_eq!(flow.statuses(), statuses);
    let held = flow.record(&key_of("b499")).await;
    assert_eq!(held.waiting, Some(WaitFor::Breaker));
    assert!(
        held.after.is_some(),
        "it is observed: what would be changed is known"
    );

    // Neither time nor a repetition changes that.
    flow.later(5);
    flow.found(&all[490..]).await;
    flow.schedule().await;
    assert_eq!((flow.orders().len(), flow.statuses()), (20, statuses));
    assert_eq!(flow.alerts("No more fixes").len(), 1);
    // Other accounts go on.
    let mut other = bucket("other");
    other["AwsAccountId"] = account(1).into();
    flow.found(&[other]).await;
    assert_eq!(flow.orders().len(), 21);
    let list = flow
        .command(&["list", "--waiting", "--account", &account(0)])
        .await;
    assert_eq!(list.outcome, Outcome::Found);
    assert_eq!(list.out.matches("OBSERVED, held").count(), 480);
    assert!(
        list.out
            .contains(&format!("Stopped:  account {}", account(0)))
    );

    let shown = flow.command(&["resume"]).await;
    assert_eq!((shown.outcome, flow.orders().len()), (Outcome::Found, 21));
    flow.command_done(&["resume", "--yes"]).await;
    flow.later(2);
    flow.settle().await;
    assert_eq!(flow.orders().len(), 501);
    assert_eq!(flow.statuses(), BTreeMap::from([("FIXED".to_owned(), 501)]));
    assert_eq!(flow.alerts("No more fixes").len(), 1);
}

#[tokio::test]
async fn what_a_person_orders_is_not_held() {
    let flow = flow_with(
        &mode("auto"),
        &[("FIXES_PER_HOUR_OF_ACCOUNT", "1"), ("FIXES_PER_HOUR", "0")],
    )
    .await;
    flow.found(&[bucket("a"), bucket("b")]).await;
    assert_eq!(flow.orders().len(), 1);
    let held = if flow.status(&key_of("a")).await == "FIXED" {
        "b"
    } else {
        "a"
    };
    let finding = flow.hub.lock().unwrap()[held].clone();
    let order = json!({ "detail-type": "Security Hub Findings - Custom Action", "detail": { "findings": [finding] } });
    flow.plan(&[order]).await;
    flow.settle().await;
    assert_eq!(flow.orders().len(), 2);
    assert_eq!(flow.statuses(), BTreeMap::from([("FIXED".to_owned(), 2)]));
}

#[tokio::test]
async fn the_third_time_that_it_is_reopened_nothing_is_called_and_the_alert_names_who() {
    let flow = flow(&mode("auto")).await;
    let mut logs = bucket("logs");
    logs["ProductFields"] =
        json!({ "orgkeeper:Actor": "arn:aws:sts::111122223333:assumed-role/Deploy/ci" });
    let logs = [logs];
    for fixes in 1..=3 {
        flow.found(&logs).await;
        assert_eq!(flow.orders().len(), fixes);
        flow.later(24);
    }
    flow.found(&logs).await;
    assert_eq!(flow.orders().len(), 3);
    assert_eq!(flow.status(&key_of("logs")).await, "LEFT_OPEN");
    let alerts = flow.alerts("Left open: S3.8");
    let [mail] = &alerts[..] else {
        panic!("{alerts:?}");
    };
    assert!(
        mail.contains("Changed back by: arn:aws:sts::111122223333:assumed-role/Deploy/ci"),
        "{mail}"
    );
    assert!(flow.looks().is_empty());
    assert!(
        flow.field("logs")
            .starts_with("left open: fixed 3 times within 7 days")
    );
    flow.later(24 * 30);
    flow.found(&logs).await;
    assert_eq!(
        (flow.orders().len(), flow.alerts("Left open").len()),
        (3, 1)
    );
    // The playbook says so: it is fixed again, and may be three times.
    flow.upload(
        &(mode("auto")
            + "[[reapply]]\ncontrol = \"S3.8\"\nou = \"Root\"\nundone-before = 2026-04-01\n"),
    );
    flow.found(&logs).await;
    assert_eq!(flow.orders().len(), 4);
    assert_eq!(flow.status(&key_of("logs")).await, "FIXED");
}

/// Fixes the bucket three times, and finds it open again after each.
async fn reopened_three_times(flow: &Flow) {
    for fixes in 1..=3 {
        flow.found(&[bucket("logs")]).await;
        assert_eq!(flow.orders().len(), fixes);
        flow.later(24);
    }
    flow.found(&[bucket("logs")]).await;
    assert_eq!(flow.orders().len(), 3);
    assert_eq!(flow.status(&key_of("logs")).await, "LEFT_OPEN");
}

/// What the only alert about what is left open says of who changed it back.
fn changed_back_by(flow: &Flow) -> String {
    let alerts = flow.alerts("Left open: S3.8");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (_, after) = alerts[0].split_once("Changed back by: ").unwrap();
    after.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn who_reopened_it_is_looked_up_once_if_no_finding_says_it() {
    const BY: &str = "arn:aws:sts::111122223333:assumed-role/Deploy/ci by DeletePublicAccessBlock at 2026-03-04T09:00:00Z";
    let flow = flow(&mode("auto")).await;
    script_of(
        &flow,
        ("S3.8", "whoChanged"),
        &json!({ "outcome": "LOOKED", "changedBy": BY }),
    );
    reopened_three_times(&flow).await;
    let looks = flow.looks();
    let [(order, delay)] = &looks[..] else {
        panic!("{looks:?}");
    };
    // CloudTrail is not faster.
    assert_eq!((order["control"].as_str(), *delay), (Some("S3.8"), 900));
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(order["since"], record.started_at.unwrap().to_string());
    assert_eq!(changed_back_by(&flow), BY);
    assert_eq!((record.actor.as_deref(), record.waiting), (Some(BY), None));
    // Duplicates: of the result, of the finding, and the schedule.
    let result = json!({ "task": "result", "key": key_of("logs"), "attempt": 0, "findings": [], "order": order,
        "report": { "outcome": "LOOKED", "changedBy": "somebody else" } });
    flow.archive(&[result.clone(), result]).await;
    flow.receive_again(&flow.event(&bucket("logs"))).await;
    flow.later(24);
    flow.schedule().await;
    assert_eq!(changed_back_by(&flow), BY);
    assert_eq!((flow.looks().len(), flow.orders().len()), (1, 3));
}

#[tokio::test]
async fn an_invocation_that_crashed_before_the_look_repeats_it_and_one_alert_follows() {
    let flow = flow(&mode("auto")).await;
    for _ in 0..3 {
        flow.found(&[bucket("logs")]).await;
        flow.later(24);
    }
    // The record is written, and the order is lost: the message is received again.
    let event = flow.event(&bucket("logs"));
    flow.plan(std::slice::from_ref(&event)).await;
    drop(flow.newly_sent("RemediationPreviewQueue"));
    flow.receive_again(&event).await;
    assert_eq!(flow.looks().len(), 2);
    flow.settle().await;
    assert!(changed_back_by(&flow).starts_with("not known: "));
}

#[tokio::test]
async fn a_look_that_fails_is_said_with_what_to_look_at() {
    for report in [
        json!({ "outcome": "BLOCKED", "reason": "a service control policy denies it" }),
        json!({ "outcome": "LOOKED", "reason": "CloudTrail lists no change of it" }),
    ] {
        let flow = flow(&mode("auto")).await;
        script_of(&flow, ("S3.8", "whoChanged"), &report);
        reopened_three_times(&flow).await;
        let reason = report["reason"].as_str().unwrap();
        let by = changed_back_by(&flow);
        assert!(by.starts_with(&format!("not known: {reason}. ")), "{by}");
        let place = format!("CloudTrail in account {}, Region us-east-1", account(0));
        assert!(by.contains(&place), "{by}");
        assert_eq!(flow.record(&key_of("logs")).await.waiting, None);
        flow.later(2);
        flow.schedule().await;
        assert_eq!(flow.alerts("Left open").len(), 1);
    }
}

#[tokio::test]
async fn a_look_without_a_result_delays_the_alert_by_an_hour_and_no_more() {
    let flow = flow(&mode("auto")).await;
    for _ in 0..3 {
        flow.found(&[bucket("logs")]).await;
        flow.later(24);
    }
    flow.plan(&[flow.event(&bucket("logs"))]).await;
    // It ends in the dead-letter queue.
    drop(flow.newly_sent("RemediationPreviewQueue"));
    flow.schedule().await;
    assert_eq!(flow.alerts("Left open"), [""; 0]);
    assert_eq!(
        flow.record(&key_of("logs")).await.waiting,
        Some(WaitFor::Alert)
    );
    flow.later(1);
    flow.schedule().await;
    flow.schedule().await;
    assert!(changed_back_by(&flow).starts_with("not known: the look at CloudTrail has no result"));
    assert_eq!(flow.looks().len(), 1);
}

#[tokio::test]
async fn slowly_reopened_resources_are_fixed_each_time() {
    let flow = flow(&mode("auto")).await;
    for fixes in 1..=6 {
        flow.found(&[bucket("logs")]).await;
        assert_eq!(flow.orders().len(), fixes);
        flow.later(24 * 3);
    }
}

const MONDAY: &str = "[[window]]\ncontrol = \"*\"\nou = \"Root\"\ndays = [\"mon\"]\nhours = \"09:00-17:00\"\ntime-zone = \"UTC\"\n";

#[tokio::test]
async fn outside_of_its_change_window_a_fix_waits_visibly() {
    // It is a Sunday.
    let flow = flow(&(mode("auto") + MONDAY)).await;
    let logs = [bucket("logs")];
    flow.found(&logs).await;
    flow.found(&logs).await;
    flow.schedule().await;
    assert_eq!(flow.orders(), [""; 0]);
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(
        (record.status, record.waiting),
        (Status::Waiting, Some(WaitFor::Window))
    );
    let opens = "2026-03-02T09:00:00Z";
    assert_eq!(record.waits_until().unwrap().to_string(), opens);
    assert_eq!(
        flow.field("logs"),
        format!("waits for its change window, which opens at {opens}")
    );
    let list = flow.command(&["list"]).await;
    assert!(
        list.out.contains("WAITING for its window") && list.out.contains(opens),
        "{}",
        list.out
    );
    flow.later(22);
    flow.schedule().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    assert_eq!(flow.status(&key_of("logs")).await, "FIXED");
    flow.schedule().await;
    assert_eq!(flow.orders().len(), 1);
}

#[tokio::test]
async fn what_was_allowed_waits_for_its_window_too_and_a_persons_order_does_not() {
    let flow = flow(&(mode("ask") + MONDAY)).await;
    flow.found(&[bucket("logs"), bucket("urgent")]).await;
    flow.command_done(&["approve", &id("logs"), "--yes"]).await;
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0]);
    assert_eq!(
        flow.record(&key_of("logs")).await.waiting,
        Some(WaitFor::Window)
    );
    let finding = flow.hub.lock().unwrap()["urgent"].clone();
    let order = json!({ "detail-type": "Security Hub Findings - Custom Action", "detail": { "findings": [finding] } });
    flow.plan(&[order]).await;
    flow.settle().await;
    assert_eq!(flow.status(&key_of("urgent")).await, "FIXED");
    // Somebody closes the finding before the window opens.
    flow.later(22);
    flow.hub.lock().unwrap().get_mut("logs").unwrap()["Compliance"]["Status"] = "PASSED".into();
    flow.schedule().await;
    assert_eq!(flow.orders().len(), 1);
    let record = flow.record(&key_of("logs")).await;
    assert_eq!((record.status, record.waiting), (Status::Observed, None));
}

fn script(flow: &Flow, control: &str, report: &Value) {
    script_of(flow, (control, "fix"), report);
}

/// What the remediator answers to a control's orders of a task.
fn script_of(flow: &Flow, (control, task): (&str, &str), report: &Value) {
    let of = (control.to_owned(), task.to_owned());
    flow.script.lock().unwrap().insert(of, report.clone());
}

#[tokio::test]
async fn what_is_needed_first_is_ordered_first() {
    const PLAYBOOK: &str = "[control]\n\"CloudTrail.1\" = { mode = \"auto\" }\n\"CloudTrail.5\" = { mode = \"auto\" }\n";
    let flow = flow(PLAYBOOK).await;
    let all = format!("AWS::::Account:{}", account(0));
    let trail = format!("arn:aws:cloudtrail:us-east-1:{}:trail/main", account(0));
    let (first, second) = (
        about("first", "CloudTrail.1", &all),
        about("second", "CloudTrail.5", &trail),
    );
    let (needed, needs) = (key("CloudTrail.1", &all), key("CloudTrail.5", &trail));
    script(
        &flow,
        "CloudTrail.5",
        &json!({ "outcome": "NEEDS", "needs": "CloudTrail.1", "reason": "there is no trail" }),
    );
    script(
        &flow,
        "CloudTrail.1",
        &json!({ "outcome": "BLOCKED", "reason": "a policy denies it" }),
    );
    flow.found(std::slice::from_ref(&first)).await;
    assert_eq!(flow.status(&needed).await, "BLOCKED");
    // What denied it is gone.
    script(
        &flow,
        "CloudTrail.1",
        &json!({ "outcome": "FIXED", "before": {}, "after": { "Trail": 1 } }),
    );
    flow.later(2);
    flow.found(std::slice::from_ref(&second)).await;
    assert_eq!(
        flow.orders(),
        [
            "fix CloudTrail.1",
            "fix CloudTrail.5",
            "fix CloudTrail.1",
            "fix CloudTrail.5"
        ],
        "what is needed is fixed, and then it is attempted once more"
    );
    assert_eq!(
        (flow.status(&needed).await, flow.status(&needs).await),
        ("FIXED", "NEEDS")
    );
    assert_eq!(flow.record(&needs).await.waiting, Some(WaitFor::Needs));
    // An hour later nothing has changed, and nothing is attempted.
    flow.later(1);
    flow.schedule().await;
    assert_eq!(flow.orders().len(), 4);
    script(
        &flow,
        "CloudTrail.5",
        &json!({ "outcome": "FIXED", "before": {}, "after": { "Logs": 1 } }),
    );
    flow.later(24);
    flow.schedule().await;
    assert_eq!(flow.status(&needs).await, "FIXED");
}
