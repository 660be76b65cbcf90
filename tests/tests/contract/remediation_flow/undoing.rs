//! A fix is undone, and not applied again.

use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::remediation::record::Status;
use serde_json::json;

use super::{PERSON, bucket, flow, id, key_of, mode};

#[tokio::test]
async fn what_was_undone_is_not_fixed_again_until_the_playbook_says_so() {
    let flow = flow(&mode("auto")).await;
    let logs = [bucket("logs")];
    flow.found(&logs).await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    // A later look that found nothing to change does not forget what the fix has changed.
    let compliant = json!({ "outcome": "ALREADY_COMPLIANT", "before": {}, "after": {} });
    let of = ("S3.8".to_owned(), "fix".to_owned());
    flow.script.lock().unwrap().insert(of.clone(), compliant);
    flow.later(1);
    flow.found(&logs).await;
    flow.script.lock().unwrap().remove(&of);
    assert_eq!(flow.orders().len(), 2);

    let shown = flow.command(&["undo", &id("logs")]).await;
    assert_eq!(shown.outcome, Outcome::Found);
    flow.command_done(&["undo", &id("logs"), "--yes"]).await;
    flow.settle().await;
    let undo = flow.executions.lock().unwrap()[2].1["order"].clone();
    assert_eq!(undo["task"], "undo");
    let states = json!({ "before": { "Public": true }, "after": { "Public": false } });
    assert_eq!(undo["undo"], states);
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(record.status, Status::Undone);
    let undone = flow.alerts("Undone: S3.8 on logs");
    assert!(
        undone[0].contains(&format!("Undone by: {PERSON}")),
        "{undone:?}"
    );
    let note = flow.hub.lock().unwrap()["logs"]["Note"]["Text"].clone();
    assert!(
        note.as_str()
            .unwrap()
            .starts_with("Undone on 2026-03-01 by"),
        "{note}"
    );
    let again = flow.command(&["undo", &id("logs"), "--yes"]).await;
    assert!(again.err.contains("undone before"), "{}", again.err);

    for (playbook, orders) in [
        (mode("auto"), 3),
        (mode("ask"), 3),
        (mode("observe"), 3),
        // Of another resource, and of an earlier time.
        (
            mode("auto")
                + "[[reapply]]\ncontrol = \"S3.8\"\nresource = \"arn:aws:s3:::other\"\nundone-before = 2027-01-01\n",
            3,
        ),
        (
            mode("auto")
                + "[[reapply]]\ncontrol = \"S3.8\"\nresource = \"arn:aws:s3:::l*\"\nundone-before = 2026-03-01\n",
            3,
        ),
        (
            mode("auto")
                + "[[reapply]]\ncontrol = \"*\"\nou = \"Root\"\nundone-before = 2026-03-02\n",
            4,
        ),
    ] {
        flow.upload(&playbook);
        flow.found(&logs).await;
        assert_eq!(flow.orders().len(), orders, "{playbook}");
    }
    assert_eq!(flow.status(&key_of("logs")).await, "FIXED");
    assert_eq!(flow.alerts("May this be fixed?").len(), 0);
}

#[tokio::test]
async fn an_undo_is_refused_if_the_resource_is_otherwise_by_now() {
    let flow = flow(&mode("auto")).await;
    flow.found(&[bucket("logs")]).await;
    let refused = json!({ "outcome": "REFUSED", "reason": "the resource is not as the fix left it",
        "differences": [{ "path": "Public", "left": false, "now": "partly" }] });
    let of = ("S3.8".to_owned(), "undo".to_owned());
    flow.script.lock().unwrap().insert(of, refused);
    flow.command_done(&["undo", &id("logs"), "--yes"]).await;
    flow.settle().await;
    let record = flow.record(&key_of("logs")).await;
    assert_eq!(record.status, Status::Fixed);
    assert_eq!(record.left_at, None);
    let why = "not as the fix left it; Public was left as false, and is \"partly\"";
    assert!(record.reason.unwrap().contains(why));
    let alerts = flow.alerts("Not undone: S3.8 on logs");
    assert!(alerts[0].contains(why) && alerts[0].contains(&format!("Asked for by: {PERSON}")));
    let shown = flow.command(&["show", &id("logs")]).await;
    assert!(
        shown.out.contains("undo ended") && shown.out.contains("Public: true → false"),
        "{}",
        shown.out
    );
}

#[tokio::test]
async fn after_thirty_days_or_without_a_fix_there_is_no_undo() {
    let flow = flow(&mode("auto")).await;
    flow.later(-30 * 24 - 1);
    flow.found(&[bucket("old")]).await;
    flow.later(30 * 24 + 1);
    let old = flow.command(&["undo", &id("old"), "--yes"]).await;
    assert!(old.err.contains("more than 30 days old"), "{}", old.err);
    flow.plan(&[json!({ "task": "undo", "key": key_of("old"), "by": "anna" })])
        .await;
    flow.plan(&[json!({ "task": "undo", "key": key_of("none"), "by": "anna" })])
        .await;
    flow.settle().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    let none = flow.command(&["undo", "0123456789", "--yes"]).await;
    assert!(
        none.err.contains("no remediation has the id"),
        "{}",
        none.err
    );
    flow.upload(&mode("observe"));
    flow.found(&[bucket("observed")]).await;
    let observed = flow.command(&["undo", &id("observed"), "--yes"]).await;
    assert!(
        observed.err.contains("there is no fix to undo"),
        "{}",
        observed.err
    );
}
