//! The enrich flow on the local cloud, with the deployed template.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_organizations::types::Tag;
use aws_sdk_securityhub::types::{
    AwsSecurityFinding, AwsSecurityFindingIdentifier, NoteUpdate, RecordState, Resource, Severity,
    SeverityLabel,
};
use futures::FutureExt as _;
use orgkeeper_tests::{
    findings::{adapted, as_they_are, field, findings, redrive, send, unique},
    local_cloud::{LocalCloud, eventually},
    organization::{MANAGEMENT_ACCOUNT, finding, imported},
};
use rand::{Rng as _, seq::SliceRandom as _};
use serde_json::{Value, json};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_mins(4);
/// The queue's eight receives span some 14 minutes; a message that fails five times is invisible for 242 s.
const UNTIL_EMPTY: Duration = Duration::from_mins(15);
/// The product of the findings of Security Hub's own controls.
const CONTROLS: &str = "arn:aws:securityhub:us-east-1::product/aws/securityhub";
/// What goes wrong in the flow, ends here.
const DEAD_LETTER_QUEUES: [&str; 2] = ["FindingsDeadLetterQueueUrl", "DirectoryDeadLetterQueueUrl"];

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../events/finding-enricher/", $name, ".json"))
    };
}

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

#[expect(
    clippy::disallowed_methods,
    reason = "entries and events have the time of the functions' own clock"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

async fn drain_dead_letter_queues(cloud: &LocalCloud) -> Result<()> {
    for queue in DEAD_LETTER_QUEUES {
        cloud.drain(cloud.output(queue)?).await?;
    }
    Ok(())
}

/// Both queues are empty in the end, and nothing became a dead letter.
async fn all_done_and_no_dead_letter(cloud: &LocalCloud) -> Result<()> {
    for queue in ["FindingsQueueUrl", "DirectoryQueueUrl"] {
        cloud.until_empty(queue, UNTIL_EMPTY).await?;
    }
    for queue in DEAD_LETTER_QUEUES {
        assert_eq!(cloud.depth(cloud.output(queue)?).await?, 0, "{queue}");
    }
    Ok(())
}

async fn create_account(cloud: &LocalCloud, name: &str, team: &str) -> Result<String> {
    aws_sdk_organizations::Client::new(&cloud.sdk)
        .create_account()
        .account_name(name)
        .email(format!("aws+{name}@example.com"))
        .tags(Tag::builder().key("team").value(team).build()?)
        .send()
        .boxed_local()
        .await?
        .create_account_status
        .and_then(|status| status.account_id)
        .context("an account was not created at once")
}

/// A new account that the directory has learned of by its event.
async fn known_account(cloud: &LocalCloud, name: &str) -> Result<String> {
    let account = create_account(cloud, name, name).await?;
    eventually("the account is in the directory", PATIENCE, async || {
        Ok(entry(cloud, &account).await?.is_some())
    })
    .await?;
    cloud.until_empty("DirectoryQueueUrl", PATIENCE).await?;
    Ok(account)
}

async fn tag(cloud: &LocalCloud, account: &str, name: &str, value: &str) -> Result<()> {
    aws_sdk_organizations::Client::new(&cloud.sdk)
        .tag_resource()
        .resource_id(account)
        .tags(Tag::builder().key(name).value(value).build()?)
        .send()
        .boxed_local()
        .await?;
    Ok(())
}

/// The directory's table, and the account's key in it.
fn key(cloud: &LocalCloud, account: &str) -> Result<(String, AttributeValue)> {
    let table = cloud.output("AccountDirectoryTableName")?.to_owned();
    Ok((table, AttributeValue::S(account.to_owned())))
}

async fn entry(
    cloud: &LocalCloud,
    account: &str,
) -> Result<Option<std::collections::HashMap<String, AttributeValue>>> {
    let (table, key) = key(cloud, account)?;
    let answer = aws_sdk_dynamodb::Client::new(&cloud.sdk)
        .get_item()
        .table_name(table)
        .key("AccountId", key)
        .consistent_read(true)
        .send()
        .boxed_local()
        .await?;
    Ok(answer.item)
}

/// Changes an entry behind the functions' back.
async fn change_entry(
    cloud: &LocalCloud,
    account: &str,
    expression: &str,
    number: Option<i64>,
) -> Result<()> {
    let (table, key) = key(cloud, account)?;
    let number = number.map(|number| AttributeValue::N(number.to_string()));
    aws_sdk_dynamodb::Client::new(&cloud.sdk)
        .update_item()
        .table_name(table)
        .key("AccountId", key)
        .update_expression(expression)
        .set_expression_attribute_values(
            number.map(|number| [(":number".to_owned(), number)].into()),
        )
        .send()
        .boxed_local()
        .await?;
    Ok(())
}

/// What a person writes: a note, and fields in place of all that there are.
async fn write_as_ilse(cloud: &LocalCloud, id: &str, fields: &[(&str, &str)]) -> Result<()> {
    let mut update = aws_sdk_securityhub::Client::new(&cloud.sdk)
        .batch_update_findings()
        .finding_identifiers(
            AwsSecurityFindingIdentifier::builder()
                .id(id)
                .product_arn(CONTROLS)
                .build(),
        )
        .note(
            NoteUpdate::builder()
                .text("Shared on purpose. Ilse")
                .updated_by("ilse")
                .build(),
        );
    for (name, value) in fields {
        update = update.user_defined_fields(*name, *value);
    }
    update.send().boxed_local().await?;
    Ok(())
}

/// Imports a finding again, as its product does when something has changed. On a thread of its own: the SDK's type of
/// all that a finding can hold outgrows a test's stack.
fn import_again(cloud: &LocalCloud, id: &str, account: &str) -> Result<()> {
    const STACK: usize = 32 * 1024 * 1024;
    let import = || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(import(cloud, id, account))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, import)?;
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("the import panicked"))?
    })
}

async fn import(cloud: &LocalCloud, id: &str, account: &str) -> Result<()> {
    let finding = AwsSecurityFinding::builder()
        .schema_version("2018-10-08")
        .id(id)
        .product_arn(CONTROLS)
        .generator_id("security-control/S3.1")
        .aws_account_id(account)
        .types("Software and Configuration Checks")
        .created_at("2026-03-01T09:00:00.000Z")
        .updated_at("2026-03-02T09:00:00.000Z")
        .severity(Severity::builder().label(SeverityLabel::Medium).build())
        .title("imported again")
        .description("A finding of a test.")
        .resources(
            Resource::builder()
                .r#type("AwsAccount")
                .id(format!("AWS::::Account:{account}"))
                .build(),
        )
        .record_state(RecordState::Active)
        .build();
    let answer = aws_sdk_securityhub::Client::new(&cloud.sdk)
        .batch_import_findings()
        .findings(finding)
        .send()
        .boxed_local()
        .await?;
    anyhow::ensure!(answer.success_count() == Some(1), "{answer:?}");
    Ok(())
}

/// Accounts for a large flow, created once per local cloud: name to id.
async fn many_accounts(cloud: &LocalCloud, count: usize) -> Result<BTreeMap<String, String>> {
    let known = cloud.accounts_now().await?;
    let mut accounts = BTreeMap::new();
    for n in 0..count {
        let name = format!("load-{n:02}");
        let id = match known.get(&name) {
            Some(id) => id.clone(),
            None => create_account(cloud, &name, &format!("team-{n}")).await?,
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
    // Its findings were never brought up to date as a whole.
    let unshown = known_account(&cloud, prefix.trim_end_matches('-')).await?;
    change_entry(&cloud, &unshown, "REMOVE ReEnrichedAt", None).await?;
    let time = now().to_string();
    let event = |finding: Value| imported(&time, &[finding]).to_string();
    let old_event = |finding: Value| imported("2026-03-01T10:15:30Z", &[finding]).to_string();

    let invalid: BTreeSet<String> = (0..20)
        .map(|n| match n % 5 {
            0 => format!("not json {n}"),
            1 => json!({ "detail": { "findings": [] }, "n": n }).to_string(),
            2 => {
                let mut ownerless = good(1_000 + n);
                ownerless["AwsAccountId"] = Value::Null;
                event(ownerless)
            }
            // Security Hub does not have it, and it is not so new that it will.
            3 => old_event(finding(&format!("{prefix}none-{n}"), &unshown)),
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
            .boxed_local()
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
        .boxed_local()
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

#[tokio::test]
async fn what_a_person_wrote_stays_through_late_events_imports_and_changes_of_the_account()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let prefix = unique("person");
    let account = known_account(&cloud, prefix.trim_end_matches('-')).await?;
    // As if its findings had never been brought up to date as a whole: a late event needs nothing else.
    change_entry(&cloud, &account, "REMOVE ReEnrichedAt", None).await?;
    let id = |name: &str| format!("{prefix}{name}");
    let as_published = |name: &str| finding(&id(name), &account);
    let late = ["redriven", "late", "untouched"];
    // The findings exist; archived, so that their own events enrich none.
    let mut stored: Vec<Value> = late.map(as_published).into();
    for finding in &mut stored {
        finding["RecordState"] = "ARCHIVED".into();
    }
    stored.push(as_published("enriched"));
    send(&cloud, &stored).await?;
    all_enriched(&cloud, &prefix, 1).await?;
    let fields = as_they_are(&cloud, &[as_published("enriched")]).await?[&id("enriched")]
        .user_defined_fields
        .clone();
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    fields.push(("ticket", "SEC-9"));
    write_as_ilse(&cloud, &id("enriched"), &fields).await?;
    for name in ["redriven", "late"] {
        write_as_ilse(&cloud, &id(name), &[("ticket", "SEC-9")]).await?;
    }

    // An event of days ago, and one that is two minutes late: both are from before the person wrote.
    let with_a_robots_fields = |name: &str| {
        let mut event = as_published(name);
        event["UserDefinedFields"] = json!({ "ask": "ilse", "ticket": "SEC-1" });
        event
    };
    let two_minutes_ago = now() - Duration::from_mins(2);
    redrive(
        &cloud,
        "2026-03-01T10:15:30Z",
        &with_a_robots_fields("redriven"),
    )
    .await?;
    redrive(&cloud, "2026-03-01T10:15:30Z", &as_published("untouched")).await?;
    redrive(
        &cloud,
        &two_minutes_ago.to_string(),
        &with_a_robots_fields("late"),
    )
    .await?;
    all_enriched(&cloud, &prefix, 4).await?;

    let all: Vec<Value> = [&late[..], &["enriched"]]
        .concat()
        .into_iter()
        .map(as_published)
        .collect();
    let kept = async |wave: Option<&str>| {
        for (found, finding) in as_they_are(&cloud, &all).await? {
            let fields = &finding.user_defined_fields;
            let field = |name: &str| fields.get(name).map(String::as_str);
            assert_eq!(field("findingEnriched"), Some("True"), "{found}");
            assert_eq!(field("team"), Some(prefix.trim_end_matches('-')), "{found}");
            assert_eq!(field("ask"), None, "{found}");
            assert_eq!(field("wave"), wave, "{found}");
            let note = finding.note.context("no note")?;
            if found == id("untouched") {
                assert_eq!(note.updated_by, "orgkeeper/finding-enricher");
            } else {
                assert_eq!(field("ticket"), Some("SEC-9"), "{found}");
                assert_eq!(note.text, "Shared on purpose. Ilse", "{found}");
                assert_eq!(note.updated_by, "ilse", "{found}");
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    kept(None).await?;

    // A product imports its findings again and again.
    for finding in &all {
        let id = finding["Id"].as_str().unwrap_or_default();
        import_again(&cloud, id, &account)?;
    }
    cloud.until_empty("FindingsQueueUrl", PATIENCE).await?;
    for finding in findings(&cloud, &prefix).await?.values() {
        assert_eq!(finding.title(), Some("imported again"));
        assert_eq!(finding.record_state(), Some(&RecordState::Active));
    }
    kept(None).await?;

    tag(&cloud, &account, "wave", "2").await?;
    eventually("the tag is on every finding", PATIENCE, async || {
        let found = findings(&cloud, &prefix).await?;
        Ok(found
            .values()
            .all(|finding| field(finding, "wave") == Some("2")))
    })
    .await?;
    kept(Some("2")).await?;
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn findings_wait_while_a_permission_is_missing() -> Result<()> {
    const SECONDS: usize = 20;
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let prefix = unique("denied");
    for (error, status, message, seconds) in [
        (
            "AccessDeniedException",
            403,
            "is not authorized to perform: securityhub:BatchUpdateFindings",
            SECONDS / 2,
        ),
        (
            "InvalidAccessException",
            401,
            "Account is not subscribed to AWS Security Hub",
            SECONDS,
        ),
    ] {
        cloud
            .set_fault(
                json!({ "operation": "securityhub.BatchUpdateFindings", "error": error,
                "status": status, "message": message, "seconds": seconds }),
            )
            .await?;
    }
    let accounts: Vec<&String> = cloud.accounts.values().collect();
    let start = Instant::now();
    for n in 0..SECONDS {
        send(&cloud, &[finding(&format!("{prefix}{n}"), accounts[n % 4])]).await?;
        tokio::time::sleep_until(start + Duration::from_secs(n as u64 + 1)).await;
    }
    let denied = cloud.calls_of("securityhub.BatchUpdateFindings").await?;
    assert!(denied.refused > 1, "{denied:?}");
    all_enriched(&cloud, &prefix, SECONDS).await?;
    println!(
        "{SECONDS} findings enriched {:.1?} after the permission was there; {} calls denied",
        start
            .elapsed()
            .saturating_sub(Duration::from_secs(SECONDS as u64)),
        denied.refused
    );
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn an_old_entry_is_shown_at_once_while_the_organization_does_not_answer() -> Result<()> {
    const SECONDS: u64 = 15;
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let prefix = unique("silent");
    let old_name = format!("{prefix}old");
    let old = known_account(&cloud, &old_name).await?;
    let began = now().as_second();
    let too_old = began - 40 * 3_600;
    change_entry(&cloud, &old, "SET RefreshedAt = :number", Some(too_old)).await?;
    for (operation, error, status) in [
        ("DescribeAccount", "AccessDeniedException", 400),
        (
            "DescribeOrganizationalUnit",
            "TooManyRequestsException",
            400,
        ),
        (
            "ListOrganizationalUnitsForParent",
            "TooManyRequestsException",
            400,
        ),
        ("ListTagsForResource", "ServiceException", 500),
    ] {
        cloud
            .set_fault(json!({ "operation": format!("organizations.{operation}"),
                "error": error, "status": status, "seconds": SECONDS }))
            .await?;
    }
    let start = Instant::now();
    let new_name = format!("{prefix}new");
    let new = create_account(&cloud, &new_name, "new").await?;
    let of = |name: &str, account: &str| finding(&format!("{prefix}of-{name}"), account);
    send(&cloud, &[of("old", &old), of("new", &new)]).await?;
    all_enriched(&cloud, &prefix, 1).await?;
    let at_once = start.elapsed();
    assert!(at_once < Duration::from_secs(SECONDS), "{at_once:?}");
    let found = findings(&cloud, &prefix).await?;
    assert!(enriched(&found[&format!("{prefix}of-old")]));

    all_enriched(&cloud, &prefix, 2).await?;
    let afterwards = start.elapsed();
    let found = findings(&cloud, &prefix).await?;
    for (name, account_name) in [("old", &old_name), ("new", &new_name)] {
        let finding = &found[&format!("{prefix}of-{name}")];
        assert_eq!(field(finding, "AccountName"), Some(account_name.as_str()));
    }
    eventually("the old entry is read again", PATIENCE, async || {
        let entry = entry(&cloud, &old).await?.context("no entry")?;
        let read_at = entry.get("RefreshedAt").and_then(|value| value.as_n().ok());
        Ok(read_at.is_some_and(|at| at.parse().is_ok_and(|at: i64| at >= began)))
    })
    .await?;
    println!(
        "an old entry was shown after {at_once:.1?}, an account without one after {afterwards:.1?}, \
         and the old one was read again after {:.1?}; Organizations did not answer for {SECONDS} s",
        start.elapsed()
    );
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn an_account_outside_of_the_organization_is_looked_for_once() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    cloud.until_empty("DirectoryQueueUrl", PATIENCE).await?;
    let prefix = unique("invited");
    let account = format!("9{:011}", rand::rng().random_range(0..100_000_000_000_u64));
    cloud.reset_calls().await?;
    let invited: Vec<Value> = [
        sample!("invited-account"),
        sample!("invited-account-second-finding"),
        sample!("invited-account-third-finding"),
        sample!("invited-account-fourth-finding"),
    ]
    .into_iter()
    .map(|sample| adapted(sample, &prefix, &[("222233334444", &account)]))
    .collect::<Result<Vec<_>>>()?
    .concat();
    for (n, finding) in invited.iter().enumerate() {
        send(&cloud, std::slice::from_ref(finding)).await?;
        all_enriched(&cloud, &prefix, n + 1).await?;
    }
    for finding in findings(&cloud, &prefix).await?.values() {
        assert_eq!(field(finding, "AccountState"), Some("NOT_IN_ORGANIZATION"));
        assert_eq!(field(finding, "AccountName"), None);
    }
    let looked_for = cloud.calls_of("organizations.DescribeAccount").await?;
    println!(
        "{} findings: {looked_for:?} of DescribeAccount",
        invited.len()
    );
    assert!((1..=2).contains(&looked_for.calls), "{looked_for:?}");
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn findings_that_another_account_published_follow_their_owner() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let prefix = unique("owned");
    let owner = |name: &str| {
        cloud
            .accounts
            .get(name)
            .map(String::as_str)
            .context("no such account")
    };
    let owners = [
        ("444455556666", owner("webshop-prod")?),
        ("777788889999", owner("payments-api-prod")?),
        ("999900001111", MANAGEMENT_ACCOUNT),
    ];
    let published = [
        adapted(sample!("macie-object-of-a-member"), &prefix, &owners)?,
        adapted(sample!("unused-role-of-a-member"), &prefix, &owners)?,
    ]
    .concat();
    send(&cloud, &published).await?;
    follow(&cloud, &published, "findingEnriched", Some("True")).await?;
    let shown = async |wave: Option<&str>| {
        let found = as_they_are(&cloud, &published).await?;
        for (event, (name, unit, (_, account))) in published.iter().zip([
            ("webshop-prod", "Root/Workloads/Prod", owners[0]),
            (
                "payments-api-prod",
                "Root/Workloads/Prod/Payments",
                owners[1],
            ),
        ]) {
            let fields = &found[event["Id"].as_str().unwrap_or_default()].user_defined_fields;
            let field = |name: &str| fields.get(name).map(String::as_str);
            assert_eq!(field("AccountName"), Some(name));
            assert_eq!(field("OUPath"), Some(unit));
            assert_eq!(field("AccountId"), Some(account));
            assert_eq!(field("PublishedBy"), Some(MANAGEMENT_ACCOUNT));
            assert_eq!(field("Environment"), Some("PROD"));
            assert!(field("securityContact").is_some(), "{fields:?}");
            assert_eq!(field("wave"), wave);
        }
        Ok::<_, anyhow::Error>(())
    };
    shown(None).await?;
    let mark = prefix.trim_end_matches('-');
    for (_, account) in &owners[..2] {
        tag(&cloud, account, "wave", mark).await?;
    }
    let tagged = Instant::now();
    follow(&cloud, &published, "wave", Some(mark)).await?;
    println!("followed their owners after {:.1?}", tagged.elapsed());
    shown(Some(mark)).await?;
    // For other tests.
    for (_, account) in &owners[..2] {
        untag(&cloud, account, "wave").await?;
    }
    follow(&cloud, &published, "wave", None).await?;
    all_done_and_no_dead_letter(&cloud).await
}

#[tokio::test]
async fn findings_of_any_shape_are_enriched_and_follow_their_account() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let prefix = unique("shape");
    let account = known_account(&cloud, prefix.trim_end_matches('-')).await?;
    let accounts =
        ["111122223333", "444455556666", "777788889999"].map(|it| (it, account.as_str()));
    let sent: Vec<Value> = [
        sample!("attack-sequence"),
        sample!("database-and-its-key"),
        sample!("empty-details"),
        sample!("function-with-vulnerable-code"),
        sample!("resource-of-another-cloud"),
        sample!("unknown-kind-of-resource"),
    ]
    .into_iter()
    .map(|sample| adapted(sample, &prefix, &accounts))
    .collect::<Result<Vec<_>>>()?
    .concat();
    send(&cloud, &sent).await?;
    follow(&cloud, &sent, "findingEnriched", Some("True")).await?;
    tag(&cloud, &account, "wave", "2").await?;
    follow(&cloud, &sent, "wave", Some("2")).await?;
    for (id, finding) in as_they_are(&cloud, &sent).await? {
        let name = finding
            .user_defined_fields
            .get("AccountName")
            .map(String::as_str);
        assert_eq!(name, Some(prefix.trim_end_matches('-')), "{id}");
    }
    all_done_and_no_dead_letter(&cloud).await
}

/// Waits until all of these findings have the field with this value.
async fn follow(cloud: &LocalCloud, sent: &[Value], name: &str, value: Option<&str>) -> Result<()> {
    let what = format!("{name} is {value:?} on every finding");
    eventually(&what, PATIENCE, async || {
        let found = as_they_are(cloud, sent).await?;
        let has = |fields: &BTreeMap<String, String>| fields.get(name).map(String::as_str) == value;
        Ok(found.len() == sent.len() && found.values().all(|it| has(&it.user_defined_fields)))
    })
    .await
}

async fn untag(cloud: &LocalCloud, account: &str, name: &str) -> Result<()> {
    aws_sdk_organizations::Client::new(&cloud.sdk)
        .untag_resource()
        .resource_id(account)
        .tag_keys(name)
        .send()
        .boxed_local()
        .await?;
    Ok(())
}

/// Accounts of a large organization, two in each unit, created once per local cloud: name to id. The directory knows
/// of them by their events.
async fn crowd(cloud: &LocalCloud) -> Result<BTreeMap<String, String>> {
    const UNITS: usize = 30;
    let organizations = aws_sdk_organizations::Client::new(&cloud.sdk);
    let mut accounts = cloud.accounts_now().await?;
    accounts.retain(|name, _| name.starts_with("crowd-"));
    if !accounts.is_empty() {
        return Ok(accounts);
    }
    let roots = organizations.list_roots().send().boxed_local().await?.roots;
    let root = roots
        .and_then(|mut roots| roots.pop()?.id)
        .context("no root")?;
    let unit = async |parent: &str, name: &str| {
        let created = organizations
            .create_organizational_unit()
            .parent_id(parent)
            .name(name)
            .send()
            .boxed_local()
            .await?;
        let unit = created.organizational_unit.and_then(|unit| unit.id);
        unit.context("no organizational unit")
    };
    let above = unit(&root, "Crowd").await?;
    for n in 0..UNITS {
        let unit = unit(&above, &format!("Team {n:02}")).await?;
        for side in ["prod", "dev"] {
            let name = format!("crowd-{n:02}-{side}");
            let id = create_account(cloud, &name, &format!("team-{n}")).await?;
            organizations
                .move_account()
                .account_id(&id)
                .source_parent_id(&root)
                .destination_parent_id(&unit)
                .send()
                .boxed_local()
                .await?;
            accounts.insert(name, id);
        }
    }
    for id in accounts.values() {
        eventually("every account is in the directory", PATIENCE, async || {
            Ok(entry(cloud, id).await?.is_some())
        })
        .await?;
    }
    Ok(accounts)
}

/// Deletes the entries of these accounts and the names of all units, and ends the functions that remember them.
async fn forget(cloud: &LocalCloud, accounts: impl Iterator<Item = &String>) -> Result<()> {
    let tables = aws_sdk_dynamodb::Client::new(&cloud.sdk);
    for account in accounts {
        let (table, key) = key(cloud, account)?;
        tables
            .delete_item()
            .table_name(table)
            .key("AccountId", key)
            .send()
            .boxed_local()
            .await?;
    }
    let names = tables
        .list_tables()
        .send()
        .boxed_local()
        .await?
        .table_names
        .unwrap_or_default();
    let units = names
        .into_iter()
        .find(|name| name.contains("OrganizationalUnits"));
    let units = units.context("no table of organizational units")?;
    let known = tables
        .scan()
        .table_name(&units)
        .send()
        .boxed_local()
        .await?
        .items
        .unwrap_or_default();
    for mut unit in known {
        let key = unit.remove("UnitId").context("no key")?;
        tables
            .delete_item()
            .table_name(&units)
            .key("UnitId", key)
            .send()
            .boxed_local()
            .await?;
    }
    cloud.kill(&[
        cloud.output("FindingEnricherFunctionName")?,
        cloud.output("DirectoryRefresherFunctionName")?,
    ])?;
    Ok(())
}

#[tokio::test]
async fn findings_of_many_unknown_accounts_are_enriched_within_the_published_rates() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    drain_dead_letter_queues(&cloud).await?;
    let accounts = crowd(&cloud).await?;
    for queue in ["FindingsQueueUrl", "DirectoryQueueUrl"] {
        cloud.until_empty(queue, PATIENCE).await?;
    }
    forget(&cloud, accounts.values()).await?;
    let prefix = unique("crowd");
    let sent: Vec<Value> = accounts
        .iter()
        .flat_map(|(name, id)| [1, 2].map(|n| finding(&format!("{prefix}{name}/{n}"), id)))
        .collect();
    cloud.reset_calls().await?;
    cloud.quotas(true).await?;
    let start = Instant::now();
    send(&cloud, &sent).await?;
    all_enriched(&cloud, &prefix, sent.len()).await?;
    let seconds = start.elapsed().as_secs();
    for (name, id) in &accounts {
        assert!(entry(&cloud, id).await?.is_some(), "{name} is not stored");
    }
    for (id, finding) in findings(&cloud, &prefix).await? {
        let (name, _) = id
            .trim_start_matches(&prefix)
            .split_once('/')
            .context("no name")?;
        let team: String = name.chars().skip(6).take(2).collect();
        assert_eq!(field(&finding, "AccountName"), Some(name));
        assert_eq!(
            field(&finding, "OUPath"),
            Some(format!("Root/Crowd/Team {team}").as_str())
        );
    }
    all_done_and_no_dead_letter(&cloud).await?;
    println!(
        "{} findings of {} unknown accounts enriched after {seconds} s, everything done after {} s",
        sent.len(),
        accounts.len(),
        start.elapsed().as_secs()
    );
    for operation in [
        "organizations.DescribeAccount",
        "organizations.ListOrganizationalUnitsForParent",
        "organizations.DescribeOrganizationalUnit",
        "organizations.ListTagsForResource",
        "account.GetAlternateContact",
        "account.GetContactInformation",
        "securityhub.GetFindings",
        "securityhub.BatchUpdateFindings",
    ] {
        let calls = cloud.calls_of(operation).await?;
        println!(
            "{operation}: {} calls (this test's own included), {} refused, {} in the busiest second",
            calls.calls, calls.refused, calls.busiest_second
        );
        // An account without a contact of a kind is an error, too.
        let answers = operation.starts_with("account.");
        assert!(answers || calls.refused <= 3, "{operation}: {calls:?}");
    }
    cloud.quotas(false).await
}
