//! The playbook in force, read from its bucket with a real SDK client over the wire.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_tests::wire::{Answer, Call, Wire};
use remediation_planner::active_playbook::{ActivePlaybook, InForce, NoPlaybook};

const GOOD: &str = "[control]\n\"S3.8\" = { mode = \"off\" }\n";
const BETTER: &str = "[control]\n\"S3.8\" = { mode = \"auto\" }\n";
const WRONG: &str = "[control]\n\"S3.8\" = { mode = \"on\" }\n\"S3\" = {}\n";

/// The versions of the playbook, the oldest first; none is a delete marker.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<Vec<Option<String>>>>);

impl Bucket {
    fn with(versions: &[Option<&str>]) -> Self {
        let bucket = Self::default();
        for version in versions {
            bucket.put(*version);
        }
        bucket
    }

    fn put(&self, text: Option<&str>) {
        self.0.lock().unwrap().push(text.map(str::to_owned));
    }

    fn answer(&self, call: &Call) -> Answer {
        let versions = self.0.lock().unwrap().clone();
        let (path, query) = call.uri.split_once('?').unwrap();
        if path == "/playbooks" || path == "/playbooks/" {
            assert!(
                query.contains("versions") && query.contains("prefix=playbook.toml"),
                "{query}"
            );
            return list(&versions);
        }
        assert_eq!(path, "/playbooks/playbook.toml");
        let wanted = query
            .split('&')
            .find_map(|part| part.strip_prefix("versionId=v"));
        let place = match wanted {
            Some(number) => number.parse().unwrap(),
            None => versions.len(),
        };
        let Some(Some(text)) = place.checked_sub(1).and_then(|place| versions.get(place)) else {
            return Answer::xml_error(404, "NoSuchKey");
        };
        let tag = format!("\"tag-of-v{place}\"");
        if call.header("if-none-match") == tag {
            return Answer::xml(304, "");
        }
        Answer::xml(200, text)
            .with_header("etag", &tag)
            .with_header("x-amz-version-id", &format!("v{place}"))
    }
}

fn list(versions: &[Option<String>]) -> Answer {
    let mut xml =
        String::from("<ListVersionsResult><Name>playbooks</Name><IsTruncated>false</IsTruncated>");
    for (place, text) in versions.iter().enumerate().rev() {
        let element = if text.is_some() {
            "Version"
        } else {
            "DeleteMarker"
        };
        let (number, is_latest) = (place + 1, place + 1 == versions.len());
        let _ = write!(
            xml,
            "<{element}><Key>playbook.toml</Key><VersionId>v{number}</VersionId><IsLatest>{is_latest}</IsLatest>\
             <LastModified>2026-03-01T10:00:{number:02}.000Z</LastModified></{element}>\
             <Version><Key>playbook.toml.bak</Key><VersionId>x{number}</VersionId><IsLatest>false</IsLatest>\
             <LastModified>2026-03-01T10:00:{number:02}.000Z</LastModified></Version>"
        );
    }
    xml.push_str("</ListVersionsResult>");
    Answer::xml(200, &xml)
}

/// A wire over the bucket, and a new process that reads it.
async fn process(bucket: &Bucket) -> (Wire, ActivePlaybook) {
    let bucket = bucket.clone();
    let wire = Wire::start(move |call| bucket.answer(call)).await.unwrap();
    let active = reader(&wire).await;
    (wire, active)
}

async fn reader(wire: &Wire) -> ActivePlaybook {
    let client = aws_sdk_s3::Client::new(&wire.sdk_config().await);
    ActivePlaybook::new(client, "playbooks".to_owned())
}

fn after(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minutes)
}

async fn version(active: &ActivePlaybook, minutes: i64) -> String {
    active
        .in_force(after(minutes))
        .await
        .unwrap()
        .version
        .clone()
}

/// The version that is refused and what is wrong with it.
fn refused(in_force: &InForce) -> Option<(String, Vec<String>)> {
    let refused = in_force.refused.as_ref()?;
    Some((refused.version.clone(), refused.faults.clone()))
}

#[tokio::test]
async fn without_a_playbook_the_shipped_one_is_in_force() {
    let bucket = Bucket::default();
    let (_wire, active) = process(&bucket).await;
    let shipped = active.in_force(after(0)).await.unwrap();
    assert_eq!(shipped.version, "shipped");
    assert!(shipped.refused.is_none());
    bucket.put(Some(GOOD));
    assert_eq!(version(&active, 4).await, "shipped");
    assert_eq!(version(&active, 5).await, "v1");
    bucket.put(None);
    assert_eq!(version(&active, 10).await, "shipped");
}

#[tokio::test]
async fn it_is_read_again_every_five_minutes_if_it_has_changed() {
    let bucket = Bucket::with(&[Some(GOOD)]);
    let (wire, active) = process(&bucket).await;
    for minutes in 0..10 {
        assert_eq!(version(&active, minutes).await, "v1");
    }
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].header("if-none-match"), "");
    assert_eq!(calls[1].header("if-none-match"), "\"tag-of-v1\"");
    bucket.put(Some(BETTER));
    assert_eq!(version(&active, 10).await, "v2");
}

#[tokio::test]
async fn a_wrong_playbook_is_refused_and_the_last_good_one_stays() {
    let bucket = Bucket::with(&[Some(GOOD)]);
    let (_wire, active) = process(&bucket).await;
    let good = active.in_force(after(0)).await.unwrap();
    bucket.put(Some(WRONG));
    // Again and again, so that a report that was lost can be sent again.
    for minutes in [5, 6, 10, 15] {
        let stays = active.in_force(after(minutes)).await.unwrap();
        assert_eq!(stays.version, "v1");
        assert_eq!(stays.file, good.file);
        let (version, problems) = refused(&stays).unwrap();
        assert_eq!(version, "v2");
        assert_eq!(problems.len(), 2);
        assert!(
            problems[0].starts_with("line 2: \"on\" is no mode"),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("line 3: \"S3\" is no control"),
            "{problems:?}"
        );
    }
    bucket.put(Some(BETTER));
    let better = active.in_force(after(20)).await.unwrap();
    assert_eq!((better.version.as_str(), refused(&better)), ("v3", None));
}

#[tokio::test]
async fn a_new_process_finds_the_last_good_version() {
    for (versions, expected, wrong) in [
        (vec![Some(GOOD), Some(WRONG)], "v1", "v2"),
        (
            vec![Some(BETTER), Some(GOOD), Some(WRONG), Some(WRONG)],
            "v2",
            "v4",
        ),
        // The shipped one was in force when these came.
        (vec![Some(WRONG)], "shipped", "v1"),
        (vec![Some(WRONG), Some(WRONG)], "shipped", "v2"),
        (vec![Some(GOOD), None, Some(WRONG)], "shipped", "v3"),
        (vec![None, Some(GOOD), Some(WRONG)], "v2", "v3"),
    ] {
        let (_wire, active) = process(&Bucket::with(&versions)).await;
        let in_force = active.in_force(after(0)).await.unwrap();
        assert_eq!(in_force.version, expected, "{versions:?}");
        assert_eq!(refused(&in_force).unwrap().0, wrong, "{versions:?}");
    }
}

#[tokio::test]
async fn a_playbook_that_is_too_long_is_refused() {
    let long = "#".repeat(1_000_001);
    let (_wire, active) = process(&Bucket::with(&[Some(GOOD), Some(&long)])).await;
    let in_force = active.in_force(after(0)).await.unwrap();
    assert_eq!(in_force.version, "v1");
    let (_, problems) = refused(&in_force).unwrap();
    assert!(problems[0].contains("million bytes"), "{problems:?}");
}

#[tokio::test]
async fn without_any_playbook_nothing_is_decided() {
    for (status, code) in [(503, "SlowDown"), (403, "AccessDenied")] {
        let wire = Wire::start(move |_| Answer::xml_error(status, code))
            .await
            .unwrap();
        let error = reader(&wire).await.in_force(after(0)).await.unwrap_err();
        assert!(matches!(error, NoPlaybook::Call(..)) && error.retryable());
        assert!(
            error.source().unwrap().to_string().contains("GetObject"),
            "{error:?}"
        );
    }
    // Nor if the current one is wrong and the earlier ones cannot be read.
    let bucket = Bucket::with(&[Some(GOOD), Some(WRONG)]);
    let wire = Wire::start(move |call| {
        if call.uri.contains("versions") {
            return Answer::xml_error(503, "SlowDown");
        }
        bucket.answer(call)
    });
    let error = reader(&wire.await.unwrap()).await.in_force(after(0)).await;
    assert!(error.unwrap_err().retryable());
}

#[tokio::test]
async fn the_last_one_stays_for_an_hour_if_it_cannot_be_read_again() {
    let bucket = Bucket::with(&[Some(GOOD)]);
    let down = Arc::new(Mutex::new(false));
    let is_down = Arc::clone(&down);
    let wire = Wire::start(move |call| {
        if *is_down.lock().unwrap() {
            return Answer::xml_error(503, "SlowDown");
        }
        bucket.answer(call)
    });
    let wire = wire.await.unwrap();
    let active = reader(&wire).await;
    assert_eq!(version(&active, 0).await, "v1");
    *down.lock().unwrap() = true;
    for minutes in [5, 7, 59] {
        assert_eq!(version(&active, minutes).await, "v1");
    }
    assert_eq!(wire.calls().len(), 3);
    assert!(active.in_force(after(60)).await.is_err());
    *down.lock().unwrap() = false;
    assert_eq!(version(&active, 61).await, "v1");
}
