//! The table `Remediations` with the real SDK client over the wire: at the same moment, twice, and out of order.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp, civil::Date};
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::AwsErrorClass,
    ids::FindingId,
    remediation::{
        archive::OrderError,
        control::control,
        record::{
            AlertClaim, Begun, Ended, Observed, Record, Recorded, Sighting, Start, Status, Subject,
            What, asking::Terms,
        },
        report::{Outcome, Report},
        table::{ExpiredSuppression, RemediationTable},
        target::Target,
    },
};
use orgkeeper_tests::{
    dynamodb::{DynamoDb, REMEDIATIONS},
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const KEY: &str = "111122223333#global#S3.8#arn:aws:s3:::logs";
const ON_CHANGE: Start<'_> = Start {
    periodic: false,
    by: None,
    again_before: None,
    stopped: false,
    resumed_at: None,
};
const PERIODIC: Start<'_> = Start {
    periodic: true,
    ..ON_CHANGE
};

/// The table, and what it holds.
struct Fixture {
    tables: Arc<DynamoDb>,
    table: RemediationTable,
    wire: Wire,
}

async fn fixture() -> Fixture {
    fixture_with(|_| None).await
}

async fn fixture_with(
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Fixture {
    let tables = Arc::new(DynamoDb::new());
    let of_wire = Arc::clone(&tables);
    let wire = Wire::start(move |call| {
        special(call)
            .or_else(|| of_wire.answer(call))
            .unwrap_or_else(|| Answer::error(400, "UnknownOperationException"))
    })
    .await
    .unwrap();
    let sdk = wire.sdk_config().await;
    let table = RemediationTable::connect(&sdk, &CallCounter::default(), REMEDIATIONS);
    Fixture {
        tables,
        table,
        wire,
    }
}

impl Fixture {
    /// Invocations at the same moment: each reads before any of them writes.
    async fn simultaneous() -> Self {
        let tables = Arc::new(DynamoDb::new());
        let of_wire = Arc::clone(&tables);
        let wire = Wire::start(move |call| {
            let answer = of_wire.answer(call).unwrap();
            match call.operation.as_str() {
                "GetItem" => answer.after(Duration::from_millis(50)),
                _ => answer,
            }
        })
        .await
        .unwrap();
        let sdk = wire.sdk_config().await;
        let table = RemediationTable::connect(&sdk, &CallCounter::default(), REMEDIATIONS);
        Self {
            tables,
            table,
            wire,
        }
    }

    async fn record(&self) -> Record {
        self.table.read(KEY).await.unwrap().unwrap()
    }

    async fn begin(&self, start: &Start<'_>, updated_at: i64, now: i64) -> Begun {
        let findings = [finding("f")];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(updated_at),
            ..Sighting::default()
        };
        self.table
            .begin(&subject(), &sighting, start, minute(now))
            .await
            .unwrap()
    }

    async fn finish(&self, attempt: u32, ended: &Ended, now: i64) -> Recorded {
        let (now, until) = (minute(now), minute(now + 1));
        self.table
            .finish(&subject(), attempt, ended, now, until)
            .await
            .unwrap()
            .0
    }

    async fn observe(&self, preview_key: &str, now: i64) -> Observed {
        let findings = [finding("f")];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(now),
            ..Sighting::default()
        };
        self.table
            .observe(&subject(), &sighting, preview_key, false, minute(now))
            .await
            .unwrap()
    }

    async fn preview(&self, ended: &Ended, now: i64) -> Recorded {
        self.table
            .previewed(&subject(), ended, minute(now), &Terms::default())
            .await
            .unwrap()
            .0
    }

    async fn suppress(&self, name: &str, until: &str, reason: &str, now: i64) -> bool {
        let findings = [finding(name)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(now),
            ..Sighting::default()
        };
        self.table
            .suppress(
                &subject_on(name),
                &sighting,
                day(until),
                reason,
                minute(now),
            )
            .await
            .unwrap()
    }
}

fn subject() -> Subject {
    subject_on("logs")
}

fn subject_on(bucket: &str) -> Subject {
    let control = control("S3.8").unwrap();
    let account = ACCOUNT.parse().unwrap();
    let resource = format!("arn:aws:s3:::{bucket}");
    Subject::new(
        control,
        &Target::new(control, account, "eu-west-1", &resource).unwrap(),
    )
}

fn finding(id: &str) -> FindingId {
    FindingId {
        id: id.to_owned(),
        product_arn: "p".to_owned(),
    }
}

/// So many minutes after a morning.
fn minute(minutes: i64) -> Timestamp {
    let morning: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
    morning + SignedDuration::from_mins(minutes)
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

fn fixed() -> Ended {
    let report = Report {
        before: Some(json!({ "BlockPublicAcls": false })),
        after: Some(json!({ "BlockPublicAcls": true })),
        ..Report::of(Outcome::Fixed)
    };
    Ended::of(Some(&report), None, Some("arn:execution"))
}

fn blocked(reason: &str) -> Ended {
    Ended::of(Some(&Report::blocked(reason)), None, None)
}

fn would_fix(after: bool) -> Ended {
    let report = Report {
        before: Some(json!({ "BlockPublicAcls": false })),
        after: Some(json!({ "BlockPublicAcls": after })),
        ..Report::of(Outcome::WouldFix)
    };
    Ended::of(Some(&report), None, None)
}

fn whats(record: &Record) -> Vec<What> {
    record.history.iter().map(|entry| entry.what).collect()
}

#[tokio::test]
async fn of_many_at_the_same_moment_one_begins() {
    let fixture = Fixture::simultaneous().await;
    // Nobody has seen it before; later, its record exists.
    for attempt in 1..=2 {
        let now = i64::from(attempt) * 3 * HOUR;
        let begun = join_all((0..5).map(|_| fixture.begin(&ON_CHANGE, now, now))).await;
        let started = begun.iter().filter(|begun| {
            **begun
                == Begun::Started {
                    attempt,
                    held_since: None,
                }
        });
        assert_eq!(started.count(), 1, "{begun:?}");
        let running = begun
            .iter()
            .filter(|begun| **begun == Begun::Running { attempt });
        assert_eq!(running.count(), 4, "{begun:?}");
        let record = fixture.record().await;
        assert_eq!((record.attempt, record.status), (attempt, Status::Started));
        assert_eq!(
            record.seen,
            u64::from(attempt),
            "a duplicate is not counted"
        );
        fixture.finish(attempt, &blocked("x"), now + 1).await;
    }
}

#[tokio::test]
async fn a_fix_without_a_result_counts_as_lost_after_an_hour() {
    let fixture = fixture().await;
    assert_eq!(
        fixture.begin(&ON_CHANGE, 0, 0).await,
        Begun::Started {
            attempt: 1,
            held_since: None
        }
    );
    assert_eq!(
        fixture.begin(&ON_CHANGE, 0, 59).await,
        Begun::Running { attempt: 1 }
    );
    assert_eq!(
        fixture.begin(&ON_CHANGE, 0, 60).await,
        Begun::Started {
            attempt: 2,
            held_since: None
        }
    );
    let record = fixture.record().await;
    assert_eq!(whats(&record), [What::Started, What::Lost, What::Started]);
    // Its result comes after all: it is in the history, and changes nothing else.
    assert_eq!(fixture.finish(1, &fixed(), 61).await, Recorded::Outdated);
    assert_eq!(fixture.finish(1, &fixed(), 62).await, Recorded::Outdated);
    let late = fixture.record().await;
    assert_eq!((late.status, late.attempt), (Status::Started, 2));
    assert_eq!(late.history.len(), record.history.len() + 1);
    let entry = late.history.last().unwrap();
    assert_eq!((entry.what, entry.attempt), (What::Ended, Some(1)));
    assert_eq!(entry.outcome.as_deref(), Some("FIXED"));
    assert!(!late.owes_alert(1) && !late.owes_alert(2));
}

#[tokio::test]
async fn a_periodic_control_is_not_fixed_again_before_it_is_checked_again() {
    let fixture = fixture().await;
    fixture.begin(&PERIODIC, 0, 0).await;
    fixture.finish(1, &fixed(), 1).await;
    for now in [2, HOUR, DAY] {
        assert_eq!(
            fixture.begin(&PERIODIC, now, now).await,
            Begun::RecentlyFixed { unseen: false },
            "{now}"
        );
    }
    // A person need not wait.
    let asked = Start {
        periodic: true,
        by: Some("ana"),
        ..Start::default()
    };
    assert_eq!(
        fixture.begin(&asked, 3, 3).await,
        Begun::Started {
            attempt: 2,
            held_since: None
        }
    );
    let record = fixture.record().await;
    assert_eq!(record.history.last().unwrap().by.as_deref(), Some("ana"));
    fixture.finish(2, &fixed(), 4).await;
    assert_eq!(
        fixture.begin(&PERIODIC, DAY + 5, DAY + 5).await,
        Begun::Started {
            attempt: 3,
            held_since: None
        }
    );
}

#[tokio::test]
async fn an_event_about_the_time_before_a_fix_begins_no_other() {
    let fixture = fixture().await;
    fixture.begin(&ON_CHANGE, 0, 0).await;
    fixture.finish(1, &fixed(), 2).await;
    // Enriched meanwhile, or a duplicate: the finding itself was not updated.
    for now in [3, HOUR, 3 * DAY] {
        let begun = fixture.begin(&ON_CHANGE, 0, now).await;
        assert_eq!(begun, Begun::RecentlyFixed { unseen: false }, "{now}");
    }
    assert_eq!(fixture.record().await.seen, 1);
    // Somebody has opened it again.
    assert_eq!(
        fixture.begin(&ON_CHANGE, 4, 5).await,
        Begun::Started {
            attempt: 2,
            held_since: None
        }
    );
    assert_eq!(fixture.record().await.seen, 2);
}

#[tokio::test]
async fn after_a_failure_it_waits_an_hour_unless_a_person_asks() {
    let asked = Start {
        periodic: false,
        by: Some("ana"),
        ..Start::default()
    };
    let failed = Ended::of(
        None,
        Some(&OrderError {
            error: "Refused".to_owned(),
            cause: r#"{"errorMessage":"unknown control","errorType":"Refused"}"#.to_owned(),
        }),
        None,
    );
    for ended in [blocked("a policy denies it"), failed] {
        let fixture = fixture().await;
        fixture.begin(&ON_CHANGE, 0, 0).await;
        fixture.finish(1, &ended, 1).await;
        assert_eq!(
            fixture.begin(&ON_CHANGE, 2, 60).await,
            Begun::RecentlyFailed { unseen: false }
        );
        assert_eq!(
            fixture.begin(&asked, 2, 30).await,
            Begun::Started {
                attempt: 2,
                held_since: None
            }
        );
        fixture.finish(2, &ended, 31).await;
        assert_eq!(
            fixture.begin(&ON_CHANGE, 2, 91).await,
            Begun::Started {
                attempt: 3,
                held_since: None
            }
        );
    }
}

#[tokio::test]
async fn an_attempt_is_taken_back_once() {
    let fixture = fixture().await;
    fixture.begin(&PERIODIC, 0, 0).await;
    let abandon = async |attempt, now| {
        let abandoned = fixture
            .table
            .abandon(KEY, attempt, "throttled", minute(now));
        abandoned.await.unwrap()
    };
    assert!(!abandon(2, 1).await);
    assert!(abandon(1, 1).await);
    assert!(!abandon(1, 1).await, "twice");
    let record = fixture.record().await;
    assert_eq!(whats(&record), [What::Started, What::NotStarted]);
    // It was started after all: the answer that said so was lost.
    assert_eq!(fixture.finish(1, &blocked("x"), 2).await, Recorded::Now);
    assert_eq!(fixture.finish(1, &blocked("x"), 2).await, Recorded::Before);
    assert_eq!(fixture.record().await.status, Status::Blocked);
}

#[tokio::test]
async fn a_finding_that_comes_later_is_new_once() {
    let fixture = fixture().await;
    let begin = async |id: &str, updated_at: i64| {
        let findings = [finding(id)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(updated_at),
            ..Sighting::default()
        };
        let (subject, now) = (subject(), minute(updated_at));
        let begun = fixture.table.begin(&subject, &sighting, &PERIODIC, now);
        begun.await.unwrap()
    };
    let observe = async |id: &str| {
        let findings = [finding(id)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(0),
            ..Sighting::default()
        };
        let subject = subject();
        let observed = fixture
            .table
            .observe(&subject, &sighting, "a", false, minute(9));
        observed.await.unwrap()
    };
    begin("f", 0).await;
    assert_eq!(fixture.record().await.result(), None, "in progress");
    fixture.finish(1, &fixed(), 1).await;
    let (result, at) = fixture.record().await.result().unwrap();
    assert_eq!((result, at), (fixed(), minute(1)));
    for (id, unseen) in [("f", false), ("g", true), ("g", false), ("f", false)] {
        assert_eq!(begin(id, 2).await, Begun::RecentlyFixed { unseen }, "{id}");
    }
    for (id, unseen) in [("h", true), ("h", false)] {
        assert_eq!(observe(id).await, Observed::Known { unseen }, "{id}");
    }
    begin("f", DAY + 2).await;
    fixture
        .finish(2, &blocked("a policy denies it"), DAY + 3)
        .await;
    for (id, unseen) in [("i", true), ("i", false)] {
        let again = begin(id, DAY + 4).await;
        assert_eq!(again, Begun::RecentlyFailed { unseen }, "{id}");
    }
    let (result, _) = fixture.record().await.result().unwrap();
    assert_eq!(result, blocked("a policy denies it"));
}

#[tokio::test]
async fn a_preview_is_known_once_it_has_a_result() {
    let fixture = fixture().await;
    fixture.observe("a", 0).await;
    assert_eq!(fixture.record().await.result(), None);
    fixture.preview(&would_fix(true), 1).await;
    let (result, at) = fixture.record().await.result().unwrap();
    assert_eq!((result, at), (would_fix(true), minute(1)));
    fixture.suppress("logs", "2026-06-30", "accepted", 2).await;
    assert_eq!(fixture.record().await.result(), None);
}

#[tokio::test]
async fn an_execution_that_was_not_started_keeps_no_other_from_being_begun() {
    let fixture = fixture().await;
    fixture.begin(&PERIODIC, 0, 0).await;
    let abandoned = fixture.table.abandon(KEY, 1, "throttled", minute(1));
    assert!(abandoned.await.unwrap());
    assert_eq!(
        fixture.begin(&PERIODIC, 0, 2).await,
        Begun::Started {
            attempt: 2,
            held_since: None
        }
    );
}

#[tokio::test]
async fn a_result_is_recorded_once() {
    let fixture = Fixture::simultaneous().await;
    fixture.begin(&ON_CHANGE, 0, 0).await;
    let ended = fixed();
    let recorded = join_all((0..5).map(|_| fixture.finish(1, &ended, 2))).await;
    let first = recorded.iter().filter(|it| **it == Recorded::Now).count();
    assert_eq!(first, 1, "{recorded:?}");
    assert_eq!(fixture.finish(1, &ended, 3).await, Recorded::Before);

    let record = fixture.record().await;
    assert_eq!(record.status, Status::Fixed);
    assert_eq!(whats(&record), [What::Started, What::Ended]);
    assert_eq!(
        record.before.as_deref(),
        Some(r#"{"BlockPublicAcls":false}"#)
    );
    assert_eq!(record.after.as_deref(), Some(r#"{"BlockPublicAcls":true}"#));
    assert_eq!(record.execution.as_deref(), Some("arn:execution"));
    assert_eq!(record.ended_at, Some(minute(2)));
}

#[tokio::test]
async fn a_result_without_a_record_is_recorded() {
    let fixture = fixture().await;
    assert_eq!(fixture.finish(3, &fixed(), 2).await, Recorded::Now);
    assert_eq!(fixture.finish(3, &fixed(), 2).await, Recorded::Before);
    let record = fixture.record().await;
    assert_eq!((record.status, record.attempt), (Status::Fixed, 3));
}

#[tokio::test]
async fn the_item_has_the_attributes_that_others_read() {
    let fixture = fixture().await;
    fixture.begin(&ON_CHANGE, 0, 0).await;
    fixture.finish(1, &fixed(), 2).await;
    let expires_at = minute(2).as_second() + 400 * 24 * 3_600;
    let mut item = fixture.tables.get(REMEDIATIONS, KEY).unwrap();
    let history = item.as_object_mut().unwrap().remove("History").unwrap();
    assert_eq!(
        item,
        json!({
            "Key": { "S": KEY },
            "Account": { "S": ACCOUNT },
            "Region": { "S": "eu-west-1" },
            "Control": { "S": "S3.8" },
            "Resource": { "S": "arn:aws:s3:::logs" },
            "Action": { "S": "s3-bucket-public-access-block" },
            "Status": { "S": "FIXED" },
            "Findings": { "L": [{ "M": { "Id": { "S": "f" }, "ProductArn": { "S": "p" } } }] },
            "FirstSeenAt": { "S": "2026-03-01T08:00:00Z" },
            "FixedAt": { "S": "2026-03-01T08:02:00Z" },
            "LastSeenAt": { "S": "2026-03-01T08:00:00Z" },
            "Seen": { "N": "1" },
            "Attempt": { "N": "1" },
            "StartedAt": { "S": "2026-03-01T08:00:00Z" },
            "EndedAt": { "S": "2026-03-01T08:02:00Z" },
            "Before": { "S": r#"{"BlockPublicAcls":false}"# },
            "After": { "S": r#"{"BlockPublicAcls":true}"# },
            "Execution": { "S": "arn:execution" },
            "AlertAttempt": { "N": "1" },
            "AlertUntil": { "S": "2026-03-01T08:03:00Z" },
            "AlertedAs": { "S": "FIXED: " },
            "Version": { "N": "2" },
            "ExpiresAt": { "N": expires_at.to_string() },
        })
    );
    assert_eq!(
        history["L"][1],
        json!({ "M": {
            "At": { "S": "2026-03-01T08:02:00Z" },
            "What": { "S": "ENDED" },
            "Attempt": { "N": "1" },
            "Outcome": { "S": "FIXED" },
        } })
    );
}

#[tokio::test]
async fn what_is_kept_has_a_limit() {
    let fixture = fixture().await;
    for number in 0..40 {
        let now = number * 2 * HOUR;
        let findings = [finding(&number.to_string())];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(now),
            ..Sighting::default()
        };
        fixture
            .table
            .begin(&subject(), &sighting, &ON_CHANGE, minute(now))
            .await
            .unwrap();
        let report = Report {
            before: Some(json!("ü".repeat(200_000))),
            ..Report::blocked("x".repeat(10_000))
        };
        let ended = Ended::of(Some(&report), None, None);
        let attempt = u32::try_from(number).unwrap() + 1;
        fixture.finish(attempt, &ended, now + 1).await;
    }
    let record = fixture.record().await;
    assert_eq!(record.history.len(), 30);
    assert_eq!(record.history.last().unwrap().attempt, Some(40));
    let findings: Vec<&str> = record.findings.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(
        (findings.len(), findings[0], findings[19]),
        (20, "39", "20")
    );
    assert_eq!(record.seen, 40);
    let before = record.before.unwrap();
    assert!(before.len() <= 100_000 && before.ends_with("… (cut)"));
    assert!(record.reason.unwrap().ends_with("… (cut)"));
}

#[tokio::test]
async fn a_preview_is_asked_for_once_until_something_changes() {
    let fixture = Fixture::simultaneous().await;
    let observed = join_all((0..4).map(|_| fixture.observe("a", 0))).await;
    let wanted = observed
        .iter()
        .filter(|it| **it == Observed::PreviewWanted)
        .count();
    assert_eq!(wanted, 1, "{observed:?}");
    assert_eq!(fixture.observe("b", 10).await, Observed::PreviewAwaited);
    assert_eq!(fixture.preview(&would_fix(true), 11).await, Recorded::Now);
    assert_eq!(
        fixture.observe("a", 12).await,
        Observed::Known { unseen: false }
    );
    assert_eq!(
        fixture.observe("a", 30 * DAY).await,
        Observed::Known { unseen: false }
    );
    // It has changed.
    assert_eq!(
        fixture.observe("b", 11 + DAY).await,
        Observed::PreviewWanted
    );
    assert_eq!(
        fixture.preview(&would_fix(true), 12 + DAY).await,
        Recorded::Now
    );
    assert_eq!(
        fixture.observe("c", 13 + DAY).await,
        Observed::Known { unseen: false },
        "once a day"
    );
    let record = fixture.record().await;
    assert_eq!(record.preview, Some(Outcome::WouldFix));
    assert_eq!(whats(&record), [What::Previewed], "an equal one is no news");
}

#[tokio::test]
async fn a_preview_that_has_no_result_is_asked_for_again() {
    let fixture = fixture().await;
    assert_eq!(fixture.observe("a", 0).await, Observed::PreviewWanted);
    assert_eq!(fixture.observe("a", 59).await, Observed::PreviewAwaited);
    assert_eq!(fixture.observe("a", 60).await, Observed::PreviewWanted);
}

#[tokio::test]
async fn a_preview_is_recorded_once_and_not_over_a_fix() {
    let fixture = fixture().await;
    fixture.observe("a", 0).await;
    assert_eq!(fixture.preview(&would_fix(true), 1).await, Recorded::Now);
    assert_eq!(fixture.preview(&would_fix(true), 2).await, Recorded::Before);
    fixture.begin(&ON_CHANGE, 3, 3).await;
    assert_eq!(
        fixture.preview(&would_fix(false), 4).await,
        Recorded::Outdated
    );
    assert_eq!(
        fixture.observe("b", 4).await,
        Observed::Known { unseen: false }
    );
    fixture.finish(1, &fixed(), 5).await;
    assert_eq!(
        fixture.preview(&would_fix(false), 6).await,
        Recorded::Outdated
    );
    assert_eq!(fixture.record().await.status, Status::Fixed);
    // It fails again, and is only observed now.
    assert_eq!(fixture.observe("b", 7).await, Observed::PreviewWanted);
    assert_eq!(fixture.record().await.status, Status::Observed);
}

#[tokio::test]
async fn a_decision_is_new_once() {
    let fixture = fixture().await;
    let findings = [finding("f")];
    let sighting = Sighting {
        findings: &findings,
        updated_at: minute(0),
        ..Sighting::default()
    };
    let (table, subject) = (&fixture.table, subject());
    for (number, reason, new) in [(0, "odd", true), (1, "odd", false), (2, "other", true)] {
        let refused = table.refuse(&subject, &sighting, reason, minute(number));
        assert_eq!(refused.await.unwrap(), new, "{number}");
    }
    assert_eq!(fixture.record().await.status, Status::Refused);
    for new in [true, false] {
        let exempted = table.exempt(&subject, &sighting, "public site", minute(3));
        assert_eq!(exempted.await.unwrap(), new);
    }
    assert_eq!(fixture.record().await.status, Status::Exempt);
    assert!(fixture.suppress("logs", "2026-06-30", "accepted", 4).await);
    assert!(!fixture.suppress("logs", "2026-06-30", "accepted", 5).await);
    assert!(fixture.suppress("logs", "2026-07-31", "accepted", 6).await);
    let record = fixture.record().await;
    assert_eq!(record.until, Some(day("2026-07-31")));
    // Kept until long after the suppression is over.
    let end: Timestamp = "2026-07-31T23:59:59Z".parse().unwrap();
    assert_eq!(record.expires_at, end.as_second() + 400 * 24 * 3_600);
    assert_eq!(record.history.len(), 5);
    // A fix ends a suppression, and is itself not interrupted by one.
    fixture.begin(&ON_CHANGE, 7, 7).await;
    assert_eq!(fixture.record().await.suppressed, None);
    assert!(!fixture.suppress("logs", "2026-07-31", "accepted", 8).await);
    assert_eq!(fixture.record().await.status, Status::Started);
}

#[tokio::test]
async fn expired_suppressions_are_found_on_every_page_and_opened_once() {
    // Two items a page.
    let tables = Arc::new(DynamoDb::new());
    let of_wire = Arc::clone(&tables);
    let wire = Wire::start(move |call| {
        let mut call = call.clone();
        if call.operation == "Query" {
            call.body["Limit"] = 2.into();
        }
        of_wire.answer(&call).unwrap()
    })
    .await
    .unwrap();
    let sdk = wire.sdk_config().await;
    let table = RemediationTable::connect(&sdk, &CallCounter::default(), REMEDIATIONS);
    let fixture = Fixture {
        tables,
        table,
        wire,
    };
    for (name, until) in [
        ("a", "2026-03-31"),
        ("b", "2026-04-30"),
        ("c", "2026-03-15"),
        ("d", "2026-04-01"),
        ("e", "2026-03-30"),
    ] {
        assert!(fixture.suppress(name, until, "accepted", 0).await);
    }
    let expired = async |today: &str| {
        let mut expired = fixture
            .table
            .expired_suppressions(day(today))
            .await
            .unwrap();
        expired.sort();
        expired
    };
    let key = |name: &str| subject_on(name).key;
    let found = expired("2026-04-01").await;
    let names: Vec<&str> = found.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(names, [key("a"), key("c"), key("e")]);
    assert!(fixture.wire.calls_of("Query").len() > 1);

    // One is extended, one opened, and that twice.
    assert!(fixture.suppress("a", "2026-12-31", "longer", 1).await);
    for (ExpiredSuppression { key, until }, opened) in
        found
            .iter()
            .zip([[false, false], [true, false], [true, false]])
    {
        for opened in opened {
            let reopened = fixture.table.reopened(key, *until, minute(2)).await;
            assert_eq!(reopened.unwrap(), opened, "{key}");
        }
    }
    assert_eq!(expired("2026-04-01").await, []);
    let record = fixture.table.read(&key("c")).await.unwrap().unwrap();
    assert_eq!((record.status, record.until), (Status::Observed, None));
    assert_eq!(whats(&record), [What::Suppressed, What::Reopened]);
}

#[tokio::test]
async fn an_alert_is_claimed_by_one_until_the_claim_expires() {
    let fixture = Fixture::simultaneous().await;
    fixture.begin(&ON_CHANGE, 0, 0).await;
    fixture.finish(1, &fixed(), 2).await;
    assert!(fixture.record().await.owes_alert(1));
    let claim = async |now| {
        let claimed = fixture
            .table
            .claim_alert(KEY, 1, minute(now), minute(now + 2));
        claimed.await.unwrap()
    };
    assert_eq!(claim(2).await, AlertClaim::InProgress(minute(3)));
    // The invocation that recorded the result was killed.
    let claims = join_all((0..3).map(|_| claim(3))).await;
    let claimed = claims.iter().filter(|it| **it == AlertClaim::Claimed);
    assert_eq!(claimed.count(), 1, "{claims:?}");
    fixture
        .table
        .release_alert(KEY, 1, minute(3))
        .await
        .unwrap();
    assert_eq!(claim(3).await, AlertClaim::Claimed);
    fixture.table.alerted(KEY, 1, minute(4)).await.unwrap();
    assert_eq!(claim(10).await, AlertClaim::Nothing);
    assert_eq!(fixture.record().await.alerted_at, Some(minute(4)));
}

#[tokio::test]
async fn a_failure_for_the_same_reason_is_reported_once_a_week() {
    let fixture = fixture().await;
    let mut attempt = 0;
    let mut owes = async |reason: &str, now: i64| {
        attempt += 1;
        fixture.begin(&ON_CHANGE, now, now).await;
        fixture.finish(attempt, &blocked(reason), now + 1).await;
        let owes = fixture.record().await.owes_alert(attempt);
        if owes {
            let alerted = fixture.table.alerted(KEY, attempt, minute(now + 1));
            alerted.await.unwrap();
        }
        owes
    };
    assert!(owes("a policy denies it", 0).await);
    assert!(!owes("a policy denies it", DAY).await);
    assert!(owes("the role is missing", 2 * DAY).await);
    assert!(!owes("the role is missing", 8 * DAY).await);
    assert!(owes("the role is missing", 10 * DAY).await);
}

#[tokio::test]
async fn nothing_begins_over_an_item_that_cannot_be_read() {
    let fixture = fixture().await;
    let item: Value = json!({ "Key": { "S": KEY }, "Status": { "S": "PARKED" } });
    fixture.tables.put(REMEDIATIONS, &item);
    let findings = [finding("f")];
    let sighting = Sighting {
        findings: &findings,
        updated_at: minute(0),
        ..Sighting::default()
    };
    let error = fixture
        .table
        .begin(&subject(), &sighting, &ON_CHANGE, minute(0))
        .await
        .unwrap_err();
    assert_eq!(error.class(), AwsErrorClass::Refused);
    assert_eq!(fixture.tables.get(REMEDIATIONS, KEY), Some(item));
}

#[tokio::test]
async fn a_call_that_fails_changes_nothing() {
    for operation in ["GetItem", "PutItem"] {
        let fixture = fixture_with(move |call| {
            (call.operation == operation)
                .then(|| Answer::error(400, "ProvisionedThroughputExceededException"))
        })
        .await;
        let findings = [finding("f")];
        let sighting = Sighting {
            findings: &findings,
            updated_at: minute(0),
            ..Sighting::default()
        };
        assert!(
            fixture
                .table
                .begin(&subject(), &sighting, &ON_CHANGE, minute(0))
                .await
                .unwrap_err()
                .retryable(),
            "{operation}"
        );
        assert!(fixture.tables.items(REMEDIATIONS).is_empty());
    }
}
