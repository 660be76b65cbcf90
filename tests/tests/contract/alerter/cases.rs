//! Events that went wrong once, each with what has to come of it: the files of `events/alerter/cases/`, by name.
use std::{fs, path::Path};

use orgkeeper_shared::alert::Severity;

use super::*;

/// Accounts of the directory beside `payments-dev`: the management account, and one more.
const ACCOUNTS: &[(&str, &str)] = &[("999900001111", "management"), ("555566667777", "sandbox")];

fn events(case: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events/alerter/cases")
        .join(format!("{case}.json"));
    let text = fs::read_to_string(path).unwrap();
    match serde_json::from_str(&text).unwrap() {
        Value::Array(events) => events.iter().map(ToString::to_string).collect(),
        event => vec![event.to_string()],
    }
}

/// What is published about the events of a case: each arrives alone, in their order and twice; then the windows end.
async fn told(case: &str) -> Vec<Alert> {
    let stage = Stage::new().await;
    for (id, name) in ACCOUNTS {
        stage.tables.put(DIRECTORY, &entry_of(id, name));
    }
    for event in events(case) {
        assert!(stage.batch(&[&event], 0).await.is_empty(), "{case}");
        assert!(stage.batch(&[&event], 1).await.is_empty(), "{case}");
    }
    // A summary may schedule another one.
    for seconds in [700, 1_400, 2_100] {
        let tasks = std::mem::take(&mut stage.look().ordered);
        let tasks: Vec<&str> = tasks.iter().map(|(task, _)| task.as_str()).collect();
        assert!(stage.batch(&tasks, seconds).await.is_empty(), "{case}");
    }
    published(&stage)
}

/// What was published, in its order.
fn published(stage: &Stage) -> Vec<Alert> {
    let all = std::mem::take(&mut stage.look().published).into_iter();
    all.map(|(_, alert)| alert).collect()
}

/// The texts of alerts, titles first.
fn text(alerts: &[Alert]) -> String {
    alerts
        .iter()
        .map(Alert::text)
        .collect::<Vec<_>>()
        .join("\n----\n")
}

fn count(alerts: &[Alert], severity: Severity) -> usize {
    alerts
        .iter()
        .filter(|alert| alert.severity == severity)
        .count()
}

/// The only alert of a case.
async fn only(case: &str) -> Alert {
    let alerts = told(case).await;
    assert_eq!(alerts.len(), 1, "{case}: {}", text(&alerts));
    alerts.into_iter().next().unwrap()
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is missing in: {text}");
    }
}

#[tokio::test]
async fn what_a_service_sets_up_is_information() {
    for case in [
        "01-control-tower-delivery-channel",
        "01-security-hub-by-its-service-role",
        "01-guardduty-switched-on",
    ] {
        for alert in told(case).await {
            assert_eq!(alert.severity, Severity::Info, "{case}");
            assert!(
                !alert.text().contains("switch it on again"),
                "{case}: {}",
                alert.text()
            );
        }
    }
}

#[tokio::test]
async fn what_a_person_switches_off_is_critical() {
    for case in [
        "01-guardduty-switched-off",
        "01-security-hub-controls-off-by-a-person",
    ] {
        let alert = only(case).await;
        assert_eq!(alert.severity, Severity::Critical, "{case}");
        has(&alert.title, &["Switched off"]);
    }
}

#[tokio::test]
async fn a_daily_budget_is_told_each_day() {
    let alerts = told("02-budget-daily").await;
    assert_eq!(alerts.len(), 4, "{}", text(&alerts));
}

#[tokio::test]
async fn a_burst_hides_nothing_grave() {
    let alerts = told("03-burst-hides-the-grave-one").await;
    let text = text(&alerts);
    has(&text, &["inline policy", "MFA device"]);
    assert!(count(&alerts, Severity::Critical) >= 1, "{text}");
    assert!(alerts.len() < 12, "{text}");
}

#[tokio::test]
async fn a_leaked_key_is_critical() {
    let alert = only("04-health-credentials-compromised").await;
    assert_eq!(alert.severity, Severity::Critical);
    has(
        &alert.text(),
        &[
            "report-mailer",
            "AKIAEXAMPLEKEY000001",
            "paste.example.com",
            "eactivate",
        ],
    );
    let alert = only("04-quarantine-policy").await;
    assert_eq!(alert.severity, Severity::Critical);
    has(
        &alert.text(),
        &["report-mailer", "leaked", "Replace the key"],
    );
}

#[tokio::test]
async fn every_call_and_click_of_the_root_user_is_critical() {
    for case in ["06-root-read-only", "06-root-console-action"] {
        let alert = only(case).await;
        assert_eq!(
            (alert.severity, alert.kind.as_str()),
            (Severity::Critical, "root.use"),
            "{case}"
        );
    }
}

#[tokio::test]
async fn pages_of_an_event_of_aws_health_are_news_and_backups_are_not() {
    let alerts = told("07-health-pages").await;
    let text = text(&alerts);
    assert!((1..=2).contains(&alerts.len()), "{text}");
    has(&text, &["ledger-1-01"]);
    assert!(
        text.contains("ledger-2-01") || text.contains("more"),
        "{text}"
    );
}

#[tokio::test]
async fn a_public_event_of_aws_health_is_told_once_for_all_accounts() {
    let alerts = told("08-health-public").await;
    // Its begin and its end, each with a summary of the accounts.
    assert!(alerts.len() <= 4, "{}", text(&alerts));
    assert_eq!(count(&alerts, Severity::Critical), 0);
    has(&text(&alerts), &["sandbox"]);
}

#[tokio::test]
async fn a_departure_is_told_once() {
    let removed = only("09-removed-and-departed-out-of-order").await;
    has(&removed.text(), &["mara"]);
    only("09-left-and-departed").await;
    // Either record may be all that comes.
    for event in events("09-left-and-departed") {
        let stage = Stage::new().await;
        assert!(stage.batch(&[&event], 0).await.is_empty());
        assert_eq!(published(&stage).len(), 1, "{event}");
    }
}

#[tokio::test]
async fn titles_and_subjects_differ_by_what_was_done() {
    let alerts = told("10-titles-that-differ-at-their-end").await;
    let mut subjects: Vec<String> = alerts.iter().map(Alert::subject).collect();
    let mut titles: Vec<String> = alerts.iter().map(|alert| alert.title.clone()).collect();
    subjects.sort();
    subjects.dedup();
    titles.sort();
    titles.dedup();
    assert_eq!((subjects.len(), titles.len()), (4, 4), "{}", text(&alerts));
}

#[tokio::test]
async fn a_finding_is_told_again_when_it_is_more_severe() {
    let alerts = told("11-guardduty-count-rises").await;
    let severities: Vec<Severity> = alerts.iter().map(|alert| alert.severity).collect();
    assert_eq!(
        severities,
        [Severity::Error, Severity::Critical],
        "{}",
        text(&alerts)
    );
}

#[tokio::test]
async fn a_finding_in_several_regions_is_one_story() {
    let alerts = told("11-guardduty-in-three-regions").await;
    let of = |who: &str| {
        alerts
            .iter()
            .filter(|alert| alert.text().contains(who))
            .count()
    };
    assert!((1..=2).contains(&of("batch")), "{}", text(&alerts));
    assert_eq!(of("deploy"), 1, "{}", text(&alerts));
    has(&text(&alerts), &["us-east-1", "eu-west-1"]);
}

#[tokio::test]
async fn failed_sign_ins_wake_somebody_once() {
    let alerts = told("12-root-sign-in-fails-twelve-times").await;
    assert!(alerts.len() <= 4, "{}", text(&alerts));
    assert_eq!(count(&alerts, Severity::Critical), 1, "{}", text(&alerts));
    has(&alerts.last().unwrap().title, &["9"]);
}

#[tokio::test]
async fn an_anomaly_that_grows_is_news() {
    let alerts = told("13-cost-anomaly-grows").await;
    assert_eq!(alerts.len(), 2, "{}", text(&alerts));
    has(&text(&alerts), &["$14.20", "$1,930.50"]);
}

#[tokio::test]
async fn a_trust_policy_says_whom_it_lets_in() {
    let alert = only("14-trust-foreign-account-by-its-bare-id").await;
    has(
        &alert.text(),
        &["444455556666", "outside of the organization"],
    );
    let alert = only("14-trust-everybody-of-the-organization").await;
    has(&alert.text(), &["everybody in organization o-a1b2c3d4e5"]);
    assert_eq!(alert.severity, Severity::Error);
}

#[tokio::test]
async fn a_person_in_the_console_is_a_person() {
    let alert = only("15-console-named-aws-internal").await;
    has(&alert.text(), &["with the AWS console"]);
    assert!(!alert.text().contains("AWS itself"));
}

#[tokio::test]
async fn a_central_root_session_is_told_as_what_it_is() {
    let alerts = told("16-central-root-session").await;
    assert_eq!(alerts.len(), 2, "{}", text(&alerts));
    assert_eq!(count(&alerts, Severity::Error), 2, "{}", text(&alerts));
    has(
        &alerts[1].text(),
        &["central root session", "mara", "opened"],
    );
    // Without the answer that opened it, it counts as the root user.
    let stage = Stage::new().await;
    let events = events("16-central-root-session");
    stage.batch(&[&events[1]], 0).await;
    assert_eq!(published(&stage)[0].severity, Severity::Critical);
}

#[tokio::test]
async fn what_failed_or_hit_nothing_is_not_critical() {
    let alert = only("17-root-password-change-failed").await;
    assert!(alert.severity < Severity::Critical);
    has(&alert.text(), &["ailed"]);
    let alert = only("18-stop-logging-of-no-trail").await;
    assert_eq!(alert.severity, Severity::Info);
    has(&alert.title, &["Nothing to stop"]);
}

#[tokio::test]
async fn an_alarm_says_what_it_watches() {
    let alert = only("19-alarm-of-a-metrics-query").await;
    has(&alert.text(), &["SELECT MAX(ConcurrentExecutions)"]);
    let alert = only("19-composite-alarm-suppressed").await;
    assert_eq!(alert.severity, Severity::Info);
    has(&alert.text(), &["shop-5xx", "shop-maintenance"]);
    let alert = only("20-alarm-of-another-account-and-region").await;
    has(
        &alert.text(),
        &["disk_used_percent", "i-0abc", "/var", "sandbox"],
    );
}

#[tokio::test]
async fn a_link_leads_into_its_partition_or_is_missing() {
    let alerts = told("21-partitions").await;
    let links: Vec<&str> = alerts
        .iter()
        .filter_map(|alert| alert.link.as_deref())
        .collect();
    for domain in [
        "console.amazonaws-us-gov.com",
        "console.amazonaws.cn",
        "console.amazonaws-eusc.eu",
    ] {
        assert!(
            links.iter().any(|link| link.contains(domain)),
            "{domain}: {links:?}"
        );
    }
    let health = alerts
        .iter()
        .find(|alert| alert.kind == "health.event")
        .unwrap();
    assert_eq!(health.link, None);
}

#[tokio::test]
async fn wrong_rules_silence_nothing() {
    let (stage, _) = rules::reading(vec![rules::parameter(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../events/alerter/cases/05-rules-wrong.toml"
    )))])
    .await;
    assert!(stage.batch(&[sample!("iam-change")], 0).await.is_empty());
    let alerts = published(&stage);
    assert_eq!(alerts.len(), 2, "{}", text(&alerts));
    assert!(alerts.iter().any(|alert| alert.kind == "iam.change"));
    let refused = alerts
        .iter()
        .find(|alert| alert.kind == "alerting.rules-refused");
    has(&refused.unwrap().text(), &["line 6"]);
}

#[test]
fn every_file_is_tested() {
    let source = include_str!("cases.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/alerter/cases");
    for file in fs::read_dir(folder).unwrap() {
        let name = file.unwrap().path();
        let name = name.file_stem().unwrap().to_string_lossy().into_owned();
        // Its faults are set at the front door: `tests/tests/flow/alert.rs` uses it.
        assert!(
            name == "05-dynamodb-away"
                || source.contains(&format!("{name}\""))
                || source.contains(&format!("{name}.toml")),
            "{name}"
        );
    }
}
