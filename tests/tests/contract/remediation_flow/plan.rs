//! `orgkeeper remediation plan`: what the planner would do about what is known.

use orgkeeper_cli::outcome::Outcome;
use serde_json::Value;

use super::{about, bucket, flow, mode};

#[tokio::test]
async fn what_would_be_done_is_counted_by_control_and_unit() {
    let flow = flow(&mode("observe")).await;
    let queue = format!(
        "arn:aws:sqs:us-east-1:{}:jobs",
        orgkeeper_tests::organization::account(0)
    );
    flow.found(&[
        bucket("a"),
        bucket("b"),
        bucket("c"),
        about("q", "SQS.1", &queue),
    ])
    .await;
    assert_eq!(flow.orders(), [""; 0]);
    flow.upload(
        &(mode("auto")
            + "\"SQS.1\" = { mode = \"ask\" }\n[[exemption]]\ncontrol = \"S3.8\"\n\
        resource = \"arn:aws:s3:::a\"\nreason = \"r\"\nuntil = 2026-12-31\n"),
    );
    let plan = flow.command(&["plan"]).await;
    assert_eq!(plan.outcome, Outcome::Found, "{}", plan.err);
    assert!(plan.out.starts_with("Playbook: v2\n"), "{}", plan.out);
    let plan = flow.command(&["plan", "--output", "json"]).await;
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(
        plan["total"],
        serde_json::json!({ "fix": 2, "ask": 1, "exempt": 1 })
    );
    let group = &plan["groups"][0];
    assert_eq!(group["control"], "S3.8");
    assert!(
        group["unit"].as_str().unwrap().starts_with("Root"),
        "{group}"
    );
    assert_eq!(
        group["counts"],
        serde_json::json!({ "fix": 2, "exempt": 1 })
    );
    flow.settle().await;
    assert_eq!(flow.orders(), [""; 0], "a plan changes nothing");
}
