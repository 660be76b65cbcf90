//! A message through each flow, followed to its end. None of them changes anything that people rely on.

use std::{collections::BTreeSet, io::Write, time::Duration};

use alerter::{
    gateway::sent_alerts::alert_record_id,
    kinds::{self, classifier::Classification},
    message::Message,
};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::body::SdkBody;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::{
        table::DirectoryTable,
        task::{Account, Task},
    },
    alert::Severity,
    aws::CallCounter,
    aws_error::{AwsCallError, Service},
    enrichment::fields::is_enriched,
    gateway::rates::QuotaShare,
    ids::{AccountId, FindingId},
    security_hub::SecurityHub,
    vending::task::AccountEventsTask,
};
use serde_json::{Value, json};
use slack_notifier::message::Message as SlackMessage;
use tokio::time::{Instant, sleep};

use super::{
    report::{FlowTest, State},
    subject::Subject,
};
use crate::{
    aws::{failure::words, sqs::depth},
    queues::{self, Flow},
    redrive::mover::EMPTY_LOOKS,
};

/// How long a message is followed.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// All in all.
    pub timeout: Duration,
    /// Between two looks.
    pub pause: Duration,
}

/// Sends a message through every flow that is on, and follows it.
pub async fn send(
    subject: &Subject,
    patience: Patience,
    now: Timestamp,
    progress: &mut dyn Write,
) -> Vec<FlowTest> {
    let mut tests = Vec::new();
    if subject.has_directory() {
        note(progress, "directory: reading this account again");
        tests.push(done("directory", directory(subject, patience, now).await));
    }
    if subject.has(&[Flow::Enrich]) {
        note(
            progress,
            "enrich: importing a finding of this account, marked as a test",
        );
        tests.push(done("enrich", enrich(subject, patience, now).await));
    }
    if subject.has(&[Flow::Vend]) {
        note(
            progress,
            "vend: starting the check of operations, as its schedule does",
        );
        tests.push(done("vend", vend(subject, patience).await));
    }
    if subject.has(&[Flow::Alert]) {
        note(
            progress,
            "alert: publishing an alarm that is OK again, marked as a test",
        );
        tests.push(done("alert", alert(subject, patience, now).await));
    }
    if subject.has(&[Flow::Remediate]) {
        note(
            progress,
            "remediate: sending a finding that has no fix, marked as a test",
        );
        tests.push(done("remediate", remediate(subject, patience, now).await));
    }
    tests
}

/// Progress is a comfort: the test goes on without it.
fn note(progress: &mut dyn Write, text: &str) {
    let _ = writeln!(progress, "{text} …");
}

/// The end that a message came to.
enum End {
    Reached(String),
    /// Not in time: what was not seen, and where to look.
    Missing(&'static str, String),
}

fn done(flow: &'static str, end: Result<End, AwsCallError>) -> FlowTest {
    let (state, found, fix) = match end {
        Ok(End::Reached(found)) => (State::Ok, found, None),
        Ok(End::Missing(what, fix)) => (State::ToDo, what.to_owned(), Some(fix)),
        Err(error) => (State::NotChecked, words(&error), None),
    };
    FlowTest {
        flow,
        state,
        found,
        fix,
    }
}

/// Asks until `look` says yes, or patience ends.
async fn until(
    patience: Patience,
    mut look: impl AsyncFnMut() -> Result<bool, AwsCallError>,
) -> Result<bool, AwsCallError> {
    let end = Instant::now() + patience.timeout;
    loop {
        if look().await? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(patience.pause).await;
    }
}

fn resource<'s>(subject: &'s Subject, name: &'static str) -> Result<&'s str, AwsCallError> {
    let missing = || {
        AwsCallError::not_found(
            "ListStackResources",
            "the stack lacks a resource of the flow",
        )
    };
    subject.resource(name).ok_or_else(missing)
}

async fn send_message(subject: &Subject, url: &str, body: String) -> Result<(), AwsCallError> {
    let client = aws_sdk_sqs::Client::new(&subject.sdk);
    let answer = client
        .send_message()
        .queue_url(url)
        .message_body(body)
        .send()
        .await;
    answer
        .map(drop)
        .map_err(|error| AwsCallError::new(Service::Sqs, "SendMessage", &error))
}

async fn directory(
    subject: &Subject,
    patience: Patience,
    now: Timestamp,
) -> Result<End, AwsCallError> {
    let not_an_account =
        |_| AwsCallError::not_found("GetCallerIdentity", "the caller has no account");
    let account: AccountId = subject.account.parse().map_err(not_an_account)?;
    let table = resource(subject, "AccountDirectory")?;
    let task = Task::Refresh {
        accounts: vec![Account {
            id: account.clone(),
            listed: None,
        }],
        only: None,
        every_finding: false,
        refresh_began: None,
        needed_since: None,
    };
    send_message(
        subject,
        resource(subject, "DirectoryQueue")?,
        json!(task).to_string(),
    )
    .await?;
    let client = aws_sdk_dynamodb::Client::new(&subject.sdk);
    let table = DirectoryTable::new(client, table.to_owned());
    let asked = BTreeSet::from([account.clone()]);
    let read = until(patience, async || {
        let mut stored = table.read(&asked).await;
        match stored.remove(&account) {
            Some(Ok(entry)) => Ok(entry.refreshed_at >= now.as_second()),
            Some(Err(error)) => Err((*error).clone()),
            None => Ok(false),
        }
    });
    Ok(if read.await? {
        End::Reached(format!("the entry of {account} was read again"))
    } else {
        End::Missing(
            "the entry of this account was not read again in time",
            look_at("directory"),
        )
    })
}

/// A finding of the account's own product: it arrives by Security Hub and EventBridge as every other does.
async fn enrich(
    subject: &Subject,
    patience: Patience,
    now: Timestamp,
) -> Result<End, AwsCallError> {
    let id = test_finding_id(subject, now);
    if let Some(code) = import(subject, &test_finding(subject, &id, now)).await? {
        return Ok(End::Missing(
            "Security Hub did not take the test finding",
            format!("the reason is {code}: orgkeeper doctor shows whether Security Hub is on"),
        ));
    }
    let no_pace = QuotaShare::of("finding-enricher", 0);
    let hub = SecurityHub::connect(&subject.sdk, &CallCounter::default(), no_pace);
    let ids = [id.clone()];
    let enriched = until(patience, async || {
        let found = hub.findings_by_id(&ids).await?;
        Ok(found
            .iter()
            .any(|finding| is_enriched(&finding.user_defined_fields)))
    })
    .await;
    // Whatever became of it, nobody has to see it any longer.
    let mut archived = test_finding(subject, &id, now + SignedDuration::from_secs(1));
    archived["RecordState"] = json!("ARCHIVED");
    let left = !matches!(import(subject, &archived).await, Ok(None));
    Ok(match (enriched?, left) {
        (true, false) => End::Reached("the test finding was enriched, then archived".to_owned()),
        (true, true) => End::Reached(format!(
            "the test finding was enriched; archive it yourself: {}",
            id.id
        )),
        (false, _) => End::Missing(
            "the test finding was not enriched in time",
            look_at("findings"),
        ),
    })
}

async fn vend(subject: &Subject, patience: Patience) -> Result<End, AwsCallError> {
    let check = json!(AccountEventsTask::Reconcile).to_string();
    let end = "operations were checked; creating an account has no trial";
    processed(subject, patience, ("account-events", check), end).await
}

/// A finding about no control: it is read and ignored, whatever the playbook says. It is in the message only.
async fn remediate(
    subject: &Subject,
    patience: Patience,
    now: Timestamp,
) -> Result<End, AwsCallError> {
    let id = test_finding_id(subject, now);
    let mut finding = test_finding(subject, &id, now);
    finding["Compliance"] = json!({ "Status": "FAILED" });
    finding["Workflow"] = json!({ "Status": "NEW" });
    let event = json!({
        "id": id.id,
        "time": now.to_string(),
        "source": "aws.securityhub",
        "detail-type": "Security Hub Findings - Imported",
        "account": subject.account,
        "region": subject.region,
        "detail": { "findings": [finding] },
    });
    let end = "the test finding was read and ignored: it has no fix";
    processed(subject, patience, ("remediation", event.to_string()), end).await
}

/// Sends a message to a queue of a flow, and waits until the queue is empty. `end` is what that means.
async fn processed(
    subject: &Subject,
    patience: Patience,
    (queue, message): (&'static str, String),
    end: &str,
) -> Result<End, AwsCallError> {
    let urls = queues::by_name(queue).and_then(|row| subject.stack.as_ref()?.queue(row));
    let urls = urls.ok_or_else(|| {
        AwsCallError::not_found("ListStackResources", "the stack lacks a queue of the flow")
    })?;
    let client = aws_sdk_sqs::Client::new(&subject.sdk);
    let before = depth(&client, urls.dead_letters_url).await?.all();
    send_message(subject, urls.url, message).await?;
    let mut empty = 0;
    let processed = until(patience, async || {
        let rest = depth(&client, urls.url).await?.all();
        empty = if rest == 0 { empty + 1 } else { 0 };
        Ok(empty >= EMPTY_LOOKS)
    });
    let processed = processed.await?;
    let failed = depth(&client, urls.dead_letters_url).await?.all() > before;
    Ok(match (processed, failed) {
        (true, false) => End::Reached(end.to_owned()),
        (_, true) => End::Missing("a message came into the dead-letter queue", look_at(queue)),
        (false, false) => End::Missing("the message was not processed in time", look_at(queue)),
    })
}

/// A finding of the account's own product.
fn test_finding_id(subject: &Subject, now: Timestamp) -> FindingId {
    let (partition, region, account) = (&subject.partition, &subject.region, &subject.account);
    FindingId {
        id: test_name(now),
        product_arn: format!(
            "arn:{partition}:securityhub:{region}:{account}:product/{account}/default"
        ),
    }
}

fn test_finding(subject: &Subject, id: &FindingId, now: Timestamp) -> Value {
    let account = &subject.account;
    json!({
        "SchemaVersion": "2018-10-08",
        "Id": id.id,
        "ProductArn": id.product_arn,
        "GeneratorId": "orgkeeper-doctor",
        "AwsAccountId": account,
        "Types": ["Software and Configuration Checks"],
        "CreatedAt": now.to_string(),
        "UpdatedAt": now.to_string(),
        "Severity": { "Label": "INFORMATIONAL" },
        "Title": "TEST of orgkeeper doctor",
        "Description": "This is a test by orgkeeper doctor. Nothing happened, and there is nothing to do.",
        "RecordState": "ACTIVE",
        "Resources": [{ "Type": "AwsAccount", "Id": format!("AWS::::Account:{account}") }],
    })
}

/// Imports a finding; gives the code of the reason if Security Hub does not take it.
async fn import(subject: &Subject, finding: &Value) -> Result<Option<String>, AwsCallError> {
    let body = json!({ "Findings": [finding] }).to_string();
    let answer = aws_sdk_securityhub::Client::new(&subject.sdk)
        .batch_import_findings()
        .set_findings(Some(Vec::new()))
        .customize()
        // The SDK's type of a finding takes more stack than a debug build has.
        .mutate_request(move |request| {
            let length = body.len().to_string();
            request.headers_mut().insert("content-length", length);
            *request.body_mut() = SdkBody::from(body.as_str());
        })
        .send()
        .await;
    let answer = answer
        .map_err(|error| AwsCallError::new(Service::SecurityHub, "BatchImportFindings", &error))?;
    let failed = answer.failed_findings.unwrap_or_default().into_iter();
    Ok(failed.map(|it| it.error_code.unwrap_or_default()).next())
}

/// What test messages are called.
fn test_name(now: Timestamp) -> String {
    format!("TEST-orgkeeper-doctor-{}", now.as_millisecond())
}

async fn alert(subject: &Subject, patience: Patience, now: Timestamp) -> Result<End, AwsCallError> {
    let topic = resource(subject, "SignalsTopic")?;
    let table = resource(subject, "AlertsSent")?;
    let alarm = test_alarm(subject, now).to_string();
    // What the topic wraps it in: the records are named by what is in the message.
    let received = json!({ "Type": "Notification", "TopicArn": topic, "Message": alarm });
    let records = records_of(
        &received.to_string(),
        now,
        subject.resource("SlackQueue").is_some(),
    );
    let published = aws_sdk_sns::Client::new(&subject.sdk)
        .publish()
        .topic_arn(topic)
        .subject("TEST of orgkeeper")
        .message(alarm)
        .send()
        .await;
    published.map_err(|error| AwsCallError::new(Service::Sns, "Publish", &error))?;
    let client = aws_sdk_dynamodb::Client::new(&subject.sdk);
    for (record, missing, queue) in &records {
        let completed = until(patience, async || {
            let item = client
                .get_item()
                .table_name(table)
                .key("Id", AttributeValue::S(record.clone()))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
            let state = item.item.unwrap_or_default().remove("State");
            Ok(state == Some(AttributeValue::S("done".to_owned())))
        });
        if !completed.await? {
            return Ok(End::Missing(missing, look_at(queue)));
        }
    }
    Ok(End::Reached(match records.len() {
        1 => "the test alert was published: it arrives by mail at InfoEmail".to_owned(),
        _ => "the test alert was published and posted to the channel".to_owned(),
    }))
}

/// An alarm that is OK again: information, whatever the rules say.
fn test_alarm(subject: &Subject, now: Timestamp) -> Value {
    let name = test_name(now);
    let (partition, region, account) = (&subject.partition, &subject.region, &subject.account);
    json!({
        "AlarmName": name,
        "AlarmDescription": "This is a test by orgkeeper doctor. Nothing happened, and there is nothing to do.",
        "AWSAccountId": account,
        "NewStateValue": "OK",
        "OldStateValue": "ALARM",
        "NewStateReason": "orgkeeper doctor --send-test-event",
        "StateChangeTime": now.to_string(),
        "Region": region,
        "AlarmArn": format!("arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"),
    })
}

/// The records that functions write when they have done their part: each with what is missing without it, and the queue
/// where it is stuck then.
fn records_of(
    message: &str,
    now: Timestamp,
    chat: bool,
) -> Vec<(String, &'static str, &'static str)> {
    let Message::Event(event) = Message::read(message, "doctor", now) else {
        return Vec::new();
    };
    let Classification::Alert(draft) = kinds::classify(&event) else {
        return Vec::new();
    };
    let mut records = vec![(
        alert_record_id(&draft.dedup_key()),
        "the test alert was not published in time",
        "alerts",
    )];
    if chat {
        let alert = serde_json::to_string(&draft.alert(None, Severity::Info)).unwrap_or_default();
        records.push((
            SlackMessage::read(&alert, "doctor", now).record_id(),
            "the test alert was published, but not posted to the channel in time",
            "slack",
        ));
    }
    records
}

/// Where to look for a message of a queue.
fn look_at(queue: &str) -> String {
    let function = queues::by_name(queue).map_or("its function", |row| row.function);
    format!("orgkeeper status shows the queue {queue}; the log of {function} has the reason")
}
