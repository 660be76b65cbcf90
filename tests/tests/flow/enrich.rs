//! The enrich flow on the local cloud, with the deployed template.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result};
use aws_sdk_organizations::types::Tag;
use aws_sdk_securityhub::types::{AwsSecurityFinding, AwsSecurityFindingIdentifier, NoteUpdate};
use orgkeeper_tests::{
    findings::{field, findings, send, unique},
    local_cloud::{LocalCloud, eventually},
    organization::{finding, imported},
};
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(4);
/// The queue's eight receives span some 14 minutes; a message that fails five times is invisible for 242 s.
const UNTIL_EMPTY: Duration = Duration::from_mins(15);

fn enriched(finding: &AwsSecurityFinding) -> bool {
    field(finding, "findingEnriched") == Some("True")
}

async fn all_enriched(cloud: &LocalCloud, prefix: &str, count: usize) -> Result<()> {
    eventually("every finding is enriched", PATIENCE, async || {
        let found = findings(cloud, prefix).await?;
        Ok(found.values().filter(|finding| enriched(finding)).count() == count)
    })
    .await
}

/// Accounts for a large flow, created once per local cloud: name to id.
async fn many_accounts(cloud: &LocalCloud, count: usize) -> Result<BTreeMap<String, String>> {
    let organizations = aws_sdk_organizations::Client::new(&cloud.sdk);
    let known = cloud.accounts_now().await?;
    let mut accounts = BTreeMap::new();
    for n in 0..count {
        let name = format!("load-{n:02}");
        let id = match known.get(&name) {
            Some(id) => id.clone(),
            None => organizations
                .create_account()
                .account_name(&name)
                .email(format!("aws+{name}@example.com"))
                .tags(
                    Tag::builder()
                        .key("team")
                        .value(format!("team-{n}"))
                        .build()?,
                )
                .send()
                .await?
                .create_account_status
                .and_then(|status| status.account_id)
                .context("an account was not created at once")?,
        };
        accounts.insert(name, id);
    }
    Ok(accounts)
}

#[tokio::test]
async fn a_thousand_findings_are_enriched_through_duplicates_throttling_and_conflicts() -> Result<()>
{
    const FINDINGS: usize = 1_000;
    let cloud = LocalCloud::attach().await?;
    let accounts: Vec<(String, String)> = many_accounts(&cloud, 50).await?.into_iter().collect();
    cloud
        .set_fault(json!({ "operation": "securityhub.BatchUpdateFindings",
            "error": "TooManyRequestsException", "status": 429, "share": 0.3 }))
        .await?;
    cloud
        .set_fault(json!({ "operation": "securityhub.BatchUpdateFindings",
            "error": "ConcurrentUpdateError", "share": 0.1, "scope": "finding" }))
        .await?;

    let prefix = unique("storm");
    let mut sent: Vec<Value> = (0..FINDINGS)
        .flat_map(|n| {
            let id = format!("{prefix}{n:04}");
            let event = finding(&id, &accounts[n % accounts.len()].1);
            [event.clone(), event]
        })
        .collect();
    sent.shuffle(&mut rand::rng());
    send(&cloud, &sent).await?;
    all_enriched(&cloud, &prefix, FINDINGS).await?;
    cloud.until_empty("FindingsQueueUrl", UNTIL_EMPTY).await?;

    for (id, finding) in findings(&cloud, &prefix).await? {
        let n: usize = id.trim_start_matches(&prefix).parse()?;
        let (name, account) = &accounts[n % accounts.len()];
        assert_eq!(field(&finding, "AccountName"), Some(name.as_str()), "{id}");
        assert_eq!(field(&finding, "OUPath"), Some("Root"), "{id}");
        assert_eq!(field(&finding, "OU"), Some("ROOT"), "{id}");
        let team = format!("team-{}", n % accounts.len());
        assert_eq!(field(&finding, "team"), Some(team.as_str()), "{id}");
        let note = finding.note().context("no note")?;
        assert!(note.text().unwrap_or_default().contains(account), "{id}");
    }
    let dead = cloud.output("FindingsDeadLetterQueueUrl")?;
    assert_eq!(cloud.depth(dead).await?, 0);
    let updates = cloud.calls_of("securityhub.BatchUpdateFindings").await?;
    assert!(updates.refused > 0, "no call was throttled: {updates:?}");
    println!(
        "{FINDINGS} findings, {} events: {} BatchUpdateFindings calls, {} of them refused, {} in the busiest second",
        sent.len(),
        updates.calls,
        updates.refused,
        updates.busiest_second
    );
    Ok(())
}

#[tokio::test]
async fn invalid_messages_among_valid_ones_reach_the_dead_letter_queue() -> Result<()> {
    const GOOD: usize = 200;
    let cloud = LocalCloud::attach().await?;
    let dead = cloud.output("FindingsDeadLetterQueueUrl")?;
    cloud.drain(dead).await?;
    let accounts: Vec<&String> = cloud.accounts.values().collect();
    let prefix = unique("mixed");
    let good = |n: usize| finding(&format!("{prefix}{n}"), accounts[n % accounts.len()]);
    let event = |finding: Value| imported("2026-03-01T10:15:30Z", &[finding]).to_string();

    let invalid: BTreeSet<String> = (0..20)
        .map(|n| match n % 5 {
            0 => format!("not json {n}"),
            1 => json!({ "detail": { "findings": [] }, "n": n }).to_string(),
            2 => {
                let mut ownerless = good(1_000 + n);
                ownerless["AwsAccountId"] = Value::Null;
                event(ownerless)
            }
            // In no organization.
            3 => event(finding(
                &format!("{prefix}foreign-{n}"),
                &format!("9000000000{n:02}"),
            )),
            _ => event(good(2_000 + n)).split_off(n),
        })
        .collect();
    assert_eq!(invalid.len(), 20);
    let mut bodies: Vec<String> = (0..GOOD).map(|n| event(good(n))).collect();
    bodies.extend(invalid.iter().cloned());
    bodies.shuffle(&mut rand::rng());

    // The findings exist, as they do on AWS; archived, so that their own events enrich none.
    let stored: Vec<Value> = (0..GOOD)
        .map(|n| {
            let mut stored = good(n);
            stored["RecordState"] = "ARCHIVED".into();
            stored
        })
        .collect();
    send(&cloud, &stored).await?;
    let queues = aws_sdk_sqs::Client::new(&cloud.sdk);
    for body in &bodies {
        queues
            .send_message()
            .queue_url(cloud.output("FindingsQueueUrl")?)
            .message_body(body)
            .send()
            .await?;
    }
    all_enriched(&cloud, &prefix, GOOD).await?;
    cloud.until_empty("FindingsQueueUrl", UNTIL_EMPTY).await?;
    let in_dead_letter_queue: Vec<String> = cloud.drain(dead).await?;
    assert_eq!(in_dead_letter_queue.len(), 20);
    assert_eq!(
        in_dead_letter_queue.into_iter().collect::<BTreeSet<_>>(),
        invalid
    );
    Ok(())
}

#[tokio::test]
async fn an_imported_finding_of_any_product_is_enriched_and_keeps_a_persons_note_and_fields()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let hub = aws_sdk_securityhub::Client::new(&cloud.sdk);
    let prefix = unique("kept");
    let account = cloud
        .accounts
        .get("payments-api-prod")
        .context("no such account")?;
    let with_note = format!("{prefix}note");
    // Archived first, so that the person writes before the function does.
    let mut archived = finding(&with_note, account);
    archived["RecordState"] = "ARCHIVED".into();
    send(&cloud, &[archived]).await?;
    hub.batch_update_findings()
        .finding_identifiers(
            AwsSecurityFindingIdentifier::builder()
                .id(&with_note)
                .product_arn("arn:aws:securityhub:us-east-1::product/aws/securityhub")
                .build(),
        )
        .note(
            NoteUpdate::builder()
                .text("Accepted until May, SEC-7.")
                .updated_by("ana")
                .build(),
        )
        .user_defined_fields("ticket", "SEC-7")
        .send()
        .await?;
    let mut active = serde_json::to_value(finding(&with_note, account))?;
    active["UpdatedAt"] = "2026-03-01T11:00:00.000Z".into();
    active["Note"] = json!({ "Text": "Accepted until May, SEC-7.", "UpdatedBy": "ana",
        "UpdatedAt": "2026-03-01T10:30:00.000Z" });
    active["UserDefinedFields"] = json!({ "ticket": "SEC-7" });
    let mut third_party = finding(&format!("{prefix}prowler"), account);
    third_party["ProductArn"] = "arn:aws:securityhub:us-east-1::product/prowler/prowler".into();
    let per_standard = finding(
        &format!(
            "{prefix}arn:aws:securityhub:us-east-1:{account}:subscription/cis/v/1.2.0/1.1/finding/1"
        ),
        account,
    );
    send(&cloud, &[active, third_party, per_standard]).await?;
    all_enriched(&cloud, &prefix, 3).await?;

    for (id, finding) in findings(&cloud, &prefix).await? {
        assert_eq!(field(&finding, "AccountName"), Some("payments-api-prod"));
        assert_eq!(
            field(&finding, "OUPath"),
            Some("Root/Workloads/Prod/Payments")
        );
        assert_eq!(field(&finding, "OU"), Some("Payments"));
        assert_eq!(field(&finding, "Environment"), Some("PROD"));
        assert!(
            field(&finding, "securityContact")
                .is_some_and(|contact| contact.contains("payments-security@example.com")),
            "{id}"
        );
        let note = finding.note().context("no note")?;
        let (text, author) = (
            note.text().unwrap_or_default(),
            note.updated_by().unwrap_or_default(),
        );
        if id == with_note {
            assert_eq!((text, author), ("Accepted until May, SEC-7.", "ana"));
            assert_eq!(field(&finding, "ticket"), Some("SEC-7"));
        } else {
            assert!(text.starts_with("Account payments-api-prod ("), "{text}");
            assert_eq!(author, "orgkeeper/finding-enricher");
        }
    }
    Ok(())
}
