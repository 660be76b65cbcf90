//! Findings of Amazon Macie: buckets that were opened, and sensitive data in objects.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::{Draft, Level},
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::{Content, row},
    text::ReadableNumber,
};

/// A bucket is public, or sensitive data is in a public one.
const PUBLIC: Content = Content::grave("a public bucket");
/// A bucket is shared outside, or sensitive data of high severity was found.
const HIGH: Content = Content::grave("high severity");
/// Sensitive data of medium severity.
const MEDIUM: Content = Content::new("medium severity");
/// A sample, an archived finding, or one of low severity.
const LOW: Content = Content::new("low severity, a sample, or archived");

/// A finding of Macie.
pub const KIND: &Kind = &Kind {
    name: "macie.finding",
    plural: "Macie findings",
    severities: &[
        row(Severity::Info).content(LOW).fixed(),
        row(Severity::Critical).content(PUBLIC).fixed(),
        row(Severity::Error).content(HIGH),
        row(Severity::Error).content(MEDIUM),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "Macie found a bucket that was made public or shared, or sensitive data",
    rules: &[EventRule::of(
        "MacieFinding",
        "Findings of Macie",
        r#"{"source":["aws.macie"],"detail-type":["Macie Finding"]}"#,
    )],
    calls: &[],
    samples: &["macie-finding", "macie-finding-public"],
    classify,
};

/// Macie's words for severity, and the content.
const SEVERITIES: &[(&str, Content)] = &[("high", HIGH), ("medium", MEDIUM), ("low", LOW)];
/// A finding's type that means a public bucket.
const PUBLIC_BUCKET: &str = "Policy:IAMUser/S3BucketPublic";
/// How many times the reported count is news, and from which on.
const MORE: (f64, f64) = (10.0, 100.0);

const CLOSE: &str = "Close the bucket now, unless it is meant to be public: put its block of public access back. Then find \
    out in CloudTrail who opened it and who read it, and treat what it holds as published.";
const LOOK: &str = "Ask the account's owner today whether this belongs there and who may read it. If it does not: move it, \
    and replace the credentials that were found.";
const LATER: &str = "Nothing at night. Look at the finding with the next ones.";

/// Classifies a finding.
fn classify(event: &Event) -> Option<Classification> {
    if !event.is("/detail-type", "Macie Finding") {
        return None;
    }
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let title = detail("title").or_else(|| detail("type"));
    let title = title.unwrap_or_else(|| "a finding without a title".to_owned());
    let bucket = detail("resourcesAffected/s3Bucket/name");
    let of = bucket
        .as_ref()
        .map_or(String::new(), |bucket| format!(" (bucket {bucket})"));
    let mut draft = Draft::of(event, KIND, format!("Macie: {title}{of}"));
    draft.account = event.account(&["/detail/accountId"]);
    draft.region = event.region(&["/detail/region"]);
    draft.time = event.time(&["/detail/updatedAt", "/detail/createdAt"]);
    let content = content(event);
    if let Some(content) = content {
        draft.is_about(content);
    }
    draft.what_happened(detail("description").unwrap_or(title));
    draft.detail("Severity", detail("severity/description"));
    draft.detail("Finding", detail("type"));
    draft.detail("Bucket", bucket);
    draft.detail("Object", detail("resourcesAffected/s3Object/key"));
    draft.detail(
        "Public access",
        detail("resourcesAffected/s3Bucket/publicAccess/effectivePermission"),
    );
    draft.what_to_do(match content {
        Some(PUBLIC) => CLOSE,
        Some(LOW) => LATER,
        _ => LOOK,
    });
    let count = event.number("/detail/count");
    draft.detail(
        "Seen",
        count
            .map(|count| format!("{} times", ReadableNumber(count)))
            .filter(|_| count > Some(1.0)),
    );
    draft.burst_key = detail("type").unwrap_or_default();
    if let Some(id) = detail("id") {
        let level = Level {
            count: count.unwrap_or(1.0),
            severity: event.number("/detail/severity/score").unwrap_or_default(),
            factor: MORE.0,
            least: MORE.1,
        };
        draft.key = format!("{id}#{}#{}", level.count, level.severity);
        draft.level = Some((id, level));
    }
    Some(draft.into())
}

/// How grave a finding is; `None` if it does not say so.
fn content(event: &Event) -> Option<Content> {
    let harmless = ["/detail/archived", "/detail/sample"];
    if harmless.iter().any(|place| event.is(place, "true")) {
        return Some(LOW);
    }
    let severity = event
        .value("/detail/severity/description")
        .unwrap_or_default();
    let severity = severity.to_lowercase();
    let content = SEVERITIES.iter().find(|(word, _)| *word == severity);
    let content = content.map(|(_, content)| *content);
    let place = "/detail/resourcesAffected/s3Bucket/publicAccess/effectivePermission";
    let is_public = event.is(place, "PUBLIC") && content == Some(HIGH);
    if event.is("/detail/type", PUBLIC_BUCKET) || is_public {
        return Some(PUBLIC);
    }
    content
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::tried::{draft, severity_of};

    fn finding(kind: &str, severity: &str, more: &Value) -> Value {
        let mut event = json!({ "detail-type": "Macie Finding", "source": "aws.macie", "id": "e-1",
            "detail": { "id": "f-1", "accountId": "111122223333", "type": kind, "title": "A title",
                "severity": { "score": 3, "description": severity }, "count": 1,
                "resourcesAffected": { "s3Bucket": { "name": "invoices" } } } });
        let more = more.as_object().unwrap().clone();
        event["detail"].as_object_mut().unwrap().extend(more);
        event
    }

    #[test]
    fn a_public_bucket_is_critical() {
        const DATA: &str = "SensitiveData:S3Object/Credentials";
        let public = json!({ "resourcesAffected": { "s3Bucket": { "name": "invoices",
            "publicAccess": { "effectivePermission": "PUBLIC" } } } });
        for (kind, severity, more, wanted) in [
            (PUBLIC_BUCKET, "High", json!({}), Severity::Critical),
            (
                "Policy:IAMUser/S3BucketSharedExternally",
                "High",
                json!({}),
                Severity::Error,
            ),
            (DATA, "High", json!({}), Severity::Error),
            (DATA, "High", public.clone(), Severity::Critical),
            (DATA, "Low", public, Severity::Info),
            (DATA, "Medium", json!({}), Severity::Error),
            (DATA, "", json!({}), Severity::Error),
            (
                PUBLIC_BUCKET,
                "High",
                json!({ "archived": true }),
                Severity::Info,
            ),
            (
                PUBLIC_BUCKET,
                "High",
                json!({ "sample": "true" }),
                Severity::Info,
            ),
        ] {
            let found = severity_of(KIND, &finding(kind, severity, &more));
            assert_eq!(found, Some(wanted), "{kind} {severity} {more}");
        }
    }

    #[test]
    fn a_finding_has_a_level() {
        let found = draft(
            KIND,
            &finding(PUBLIC_BUCKET, "High", &json!({ "count": 3 })),
        )
        .unwrap();
        let (id, level) = found.level.unwrap();
        assert_eq!(
            (id.as_str(), level.count, level.severity),
            ("f-1", 3.0, 3.0)
        );
        assert!(level.rose_above((1.0, 2.0)) && !level.rose_above((1.0, 3.0)));
    }
}
