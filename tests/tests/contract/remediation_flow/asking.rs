//! A person is asked before a fix.

use futures::future::join_all;
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::remediation::record::{Status, What, asking::Judged};
use serde_json::Value;

use super::{PERSON, bucket, flow, flow_with, id, key_of, mode};

#[tokio::test]
async fn it_is_fixed_after_a_person_has_allowed_it() {
    let flow = flow(&mode("ask")).await;
    let logs = [bucket("logs")];
    flow.found(&logs).await;
    assert_eq!(flow.orders(), [""; 0]);
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(record.status, Status::Waiting);
    let id = id("logs");
    let asked = flow.alerts("May this be fixed? S3.8 on logs");
    let [mail] = &asked[..] else {
        panic!("{asked:?}");
    };
    for part in [
        "Public: true → false",
        &format!(
            "orgkeeper remediation approve {id}, or https://x.lambda-url.us-east-1.on.aws/?id={id}&decision=approve&until="
        ),
        &format!("orgkeeper remediation refuse {id}, or https://"),
        "Owner: Team Shop",
        "Answer until: 2026-03-02T12:00",
    ] {
        assert!(mail.contains(part), "{part}:\n{mail}");
    }
    assert!(
        flow.field("logs")
            .starts_with("waits for an answer until 2026-03-02T12:00")
    );

    // While it waits, repetitions and other standards' findings alert nobody again.
    let previews = flow.wire.calls_of("SendMessageBatch").len();
    flow.found(&logs).await;
    let mut other = bucket("logs");
    other["Id"] = "logs-of-another-standard".into();
    flow.found(&[other]).await;
    flow.schedule().await;
    assert_eq!(flow.alerts("May this be fixed?").len(), 1);
    assert!(
        flow.field("logs-of-another-standard")
            .starts_with("waits for an answer")
    );
    assert!(flow.wire.calls_of("SendMessageBatch").len() <= previews + 1);

    let list = flow.command(&["list"]).await;
    assert_eq!(list.outcome, Outcome::Found);
    assert!(
        list.out.contains(&id) && list.out.contains("WAITING for an answer"),
        "{}",
        list.out
    );
    let shown = flow.command(&["approve", &id]).await;
    assert_eq!(shown.outcome, Outcome::Found);
    assert!(shown.out.contains("Public: true → false") && shown.out.contains("Add --yes"));
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0], "without --yes it is only shown");

    flow.command_done(&["approve", &id[..8], "--yes"]).await;
    flow.settle().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(record.status, Status::Fixed);
    let begun = record.history.iter().find(|it| it.what == What::Started);
    assert_eq!(begun.unwrap().by.as_deref(), Some(PERSON));
    let fixed = flow.alerts("Fixed: S3.8 on logs");
    assert!(
        fixed[0].contains(&format!("Allowed by: {PERSON}")),
        "{}",
        fixed[0]
    );
    let again = flow.command(&["refuse", &id, "--yes"]).await;
    assert_eq!(again.outcome, Outcome::Failed);
    // It fails again: a person is asked again.
    flow.later(1);
    flow.found(&logs).await;
    assert_eq!(flow.alerts("May this be fixed?").len(), 2);
}

#[tokio::test]
async fn what_is_refused_is_not_changed_and_not_asked_about_again() {
    let flow = flow(&mode("ask")).await;
    let logs = [bucket("logs")];
    flow.found(&logs).await;
    flow.command_done(&["refuse", &id("logs"), "--yes"]).await;
    flow.settle().await;
    assert_eq!(flow.status(&key_of("logs")).await, "DECLINED");
    let refused = flow.alerts("Refused: S3.8 on logs");
    assert!(
        refused[0].contains(&format!("refused by {PERSON}")),
        "{refused:?}"
    );
    assert_eq!(
        flow.field("logs"),
        format!("not fixed: refused by {PERSON}")
    );
    let again = flow.command(&["approve", &id("logs"), "--yes"]).await;
    assert!(again.err.contains("it was refused by"), "{}", again.err);
    for hours in [1, 24, 100] {
        flow.later(hours);
        flow.found(&logs).await;
        flow.schedule().await;
    }
    assert_eq!(flow.alerts("May this be fixed?").len(), 1);
    // A week later, and at once if it is about something else.
    flow.later(48);
    flow.found(&logs).await;
    assert_eq!(flow.alerts("May this be fixed?").len(), 2);
    assert_eq!(flow.orders(), [""; 0]);
}

#[tokio::test]
async fn without_an_answer_nothing_is_changed() {
    let flow = flow(&mode("ask")).await;
    let logs = [bucket("logs")];
    flow.found(&logs).await;
    flow.later(23);
    flow.schedule().await;
    assert_eq!(flow.status(&key_of("logs")).await, "WAITING");
    flow.later(2);
    flow.schedule().await;
    flow.schedule().await;
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(record.status, Status::Declined);
    assert_eq!(record.waiting, None);
    assert_eq!(flow.alerts("Nobody answered: S3.8 on logs").len(), 1);
    assert_eq!(flow.field("logs"), "not fixed: nobody answered in time");
    // The command's clock is a day behind, and it is too late nevertheless.
    let late = flow.command(&["approve", &id("logs"), "--yes"]).await;
    assert_eq!(late.outcome, Outcome::Failed);
    let table = flow.table();
    let until = record.request.unwrap().until;
    let judged = table.judge(&record.key, until, true, "anna", flow.now());
    assert_eq!(judged.await.unwrap(), Judged::Expired);
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0]);
}

#[tokio::test]
async fn of_many_answers_at_the_same_moment_one_counts() {
    let flow = flow(&mode("ask")).await;
    flow.found(&[bucket("logs")]).await;
    let (key, table) = (key_of("logs"), flow.table());
    let until = flow.record(&key).await.request.unwrap().until;
    let judging = (0..8).map(|n| {
        let (table, key) = (&table, &key);
        let by = format!("person {n}");
        async move {
            table
                .judge(key, until, n % 2 == 0, &by, super::NOW.parse().unwrap())
                .await
        }
    });
    let judged: Vec<Judged> = join_all(judging)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let now = judged.iter().filter(|it| **it == Judged::Now).count();
    assert_eq!(now, 1, "{judged:?}");
    let record = flow.record(&key).await;
    let answer = record.request.unwrap().answer.unwrap();
    let others = judged
        .iter()
        .filter(|it| **it == Judged::Before(answer.clone()));
    assert_eq!(others.count(), 7);
    // An answer to another request counts for nothing.
    let other = until + jiff::SignedDuration::from_secs(1);
    let judged = table.judge(&key, other, true, "x", flow.now()).await;
    assert_eq!(judged.unwrap(), Judged::NotAsked);
}

#[tokio::test]
async fn an_answer_counts_for_what_was_asked_and_for_what_is_still_open() {
    let playbook =
        "[control]\n\"EC2.18\" = { mode = \"ask\", parameters = { authorizedTcpPorts = [443] } }\n";
    let flow = flow(playbook).await;
    let resource = format!(
        "arn:aws:ec2:us-east-1:{}:security-group/sg-1",
        orgkeeper_tests::organization::account(0)
    );
    let group = [super::about("group", "EC2.18", &resource)];
    flow.found(&group).await;
    let id = orgkeeper_shared::remediation::record::asking::id_of(&super::key("EC2.18", &resource));
    // Somebody changes what it would do before the answer arrives.
    flow.upload(&playbook.replace("443", "8443"));
    flow.command_done(&["approve", &id, "--yes"]).await;
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0]);
    assert_eq!(
        flow.alerts("May this be fixed?").len(),
        2,
        "they are asked again"
    );
    // Somebody suppresses the finding before the answer arrives.
    let suppressed = serde_json::json!({ "Status": "SUPPRESSED" });
    flow.hub.lock().unwrap().get_mut("group").unwrap()["Workflow"] = suppressed;
    flow.command_done(&["approve", &id, "--yes"]).await;
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0]);
    assert_eq!(
        flow.record(&super::key("EC2.18", &resource)).await.waiting,
        None
    );
}

#[tokio::test]
async fn a_lost_message_delays_a_fix_that_was_allowed() {
    let flow = flow_with(
        &mode("auto"),
        &[
            ("REMEDIATION_MODE", "ask"),
            ("APPROVAL_URL", ""),
            ("APPROVAL_SECRET_ARN", ""),
        ],
    )
    .await;
    flow.found(&[bucket("logs")]).await;
    let asked = flow.alerts("May this be fixed?");
    assert!(!asked[0].contains("https://x."), "{}", asked[0]);
    let table = flow.table();
    let until = flow.record(&key_of("logs")).await.request.unwrap().until;
    let judged = table
        .judge(&key_of("logs"), until, true, "anna", flow.now())
        .await;
    assert_eq!(judged.unwrap(), Judged::Now);
    flow.schedule().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    assert_eq!(flow.status(&key_of("logs")).await, "FIXED");
}

#[tokio::test]
async fn what_needs_no_change_is_not_asked_about() {
    let flow = flow(&mode("ask")).await;
    let compliant = serde_json::json!({ "outcome": "ALREADY_COMPLIANT" });
    let of = ("S3.8".to_owned(), "preview".to_owned());
    flow.script.lock().unwrap().insert(of, compliant);
    flow.found(&[bucket("logs")]).await;
    assert_eq!(flow.status(&key_of("logs")).await, "OBSERVED");
    assert_eq!(flow.wire.calls_of("Publish").len(), 0);
    let list = flow.command(&["list", "--output", "json"]).await;
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list["remediations"][0]["status"], "OBSERVED");
}
