//! Findings of GuardDuty. It sends a finding again when it sees it again: only a higher severity, or ten times the count,
//! is reported. Findings about calls of global services come up in each Region.

mod words;

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Cause, Draft, Level},
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::{Content, row},
    text::{ReadableNumber, name_of},
};

/// A finding of `GuardDuty`.
pub const KIND: &Kind = &Kind {
    name: "guardduty.finding",
    plural: "GuardDuty findings",
    severities: &[
        row(Severity::Info).content(ARCHIVED).fixed(),
        row(Severity::Critical).content(CRITICAL),
        row(Severity::Critical).content(HIGH),
        row(Severity::Error).content(MEDIUM),
        row(Severity::Info).content(LOW),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a GuardDuty finding, and again only when it became more severe or was seen ten times as often",
    rules: &[EventRule::of(
        "GuardDuty",
        "GuardDuty findings",
        r#"{"source":["aws.guardduty"],"detail-type":["GuardDuty Finding"]}"#,
    )],
    calls: &[],
    samples: &[
        "guardduty-container",
        "guardduty-high",
        "guardduty-low",
        "guardduty-malware",
        "guardduty-medium",
        "guardduty-sequence",
    ],
    classify,
};

/// GuardDuty's severities: the minimum and the word. The word is what decides here.
const WORDS: &[(f64, &str, Content)] = &[
    (9.0, "critical", CRITICAL),
    (7.0, "high", HIGH),
    (4.0, "medium", MEDIUM),
    (f64::MIN, "low", LOW),
];

const CRITICAL: Content = Content::new("severity from 9");
const HIGH: Content = Content::new("severity from 7");
const MEDIUM: Content = Content::new("severity from 4");
const LOW: Content = Content::new("severity below 4");
const ARCHIVED: Content = Content::new("it is archived");

/// How many times the published count is news.
const FACTOR: f64 = 10.0;
/// The count below which more is no news.
const LEAST: f64 = 100.0;

const LOOK: &str = "Open the finding, and ask the account's owner about it. If it is not explained: isolate the \
    resource and revoke its credentials before you investigate.";
const LATER: &str = "Open the finding today, and ask the account's owner about it.";
const KNOWN: &str = "Nothing: this finding is archived.";

/// GuardDuty's word for the severity, empty if it has none, and how much the finding matters.
fn rated(event: &Event) -> (&'static str, Option<Content>) {
    let number = event.number("/detail/severity");
    let row = number.and_then(|number| WORDS.iter().find(|(least, ..)| number >= *least));
    let word = row.map_or("", |(_, word, _)| word);
    if event.is("/detail/service/archived", "true") {
        (word, Some(ARCHIVED))
    } else {
        (word, row.map(|(.., content)| *content))
    }
}

/// Classifies a finding.
fn classify(event: &Event) -> Option<Classification> {
    let is_finding = event.is("/detail-type", "GuardDuty Finding")
        || event.is("/detail/service/serviceName", "guardduty");
    if !is_finding {
        return None;
    }
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let number = event.number("/detail/severity");
    let (word, content) = rated(event);
    let about = detail("title").or_else(|| detail("type"));
    let about = about.unwrap_or_else(|| "a finding without a title".to_owned());
    let what = format!("GuardDuty {word}").trim_end().to_owned();
    let headline = format!("{what}: {}", about.trim_end_matches('.'));
    let mut draft = Draft::of(event, KIND, headline);
    if let Some(content) = content {
        draft.is_about(content);
    }
    draft.account = event.account(&["/detail/accountId", "/detail/arn"]);
    draft.region = event.region(&["/detail/region"]);
    draft.time = event.time(&["/detail/service/eventLastSeen", "/detail/updatedAt"]);
    draft.what_happened(detail("description").unwrap_or(about));
    draft.detail(
        "Severity",
        number.map(|number| format!("{} ({word})", ReadableNumber(number))),
    );
    draft.detail("Finding", detail("type"));
    draft.detail("About", words::resources(event));
    words::describe(&mut draft, event);
    let count = event.number("/detail/service/count");
    draft.detail("Seen", count.map(|count| times(count, event)));
    draft.source_ip = words::remote_address(event);
    draft.burst_key = detail("type").unwrap_or_default();
    draft.what_to_do(match content {
        Some(ARCHIVED) => KNOWN,
        Some(LOW) => LATER,
        _ => LOOK,
    });
    draft.cause = cause(event, &draft);
    if let Some(id) = detail("id").or_else(|| Some(name_of(&detail("arn")?).to_owned())) {
        let level = Level {
            count: count.unwrap_or(1.0),
            severity: number.unwrap_or_default(),
            factor: FACTOR,
            least: LEAST,
        };
        draft.link = event
            .known_region(&["/detail/region"])
            .and_then(|region| console::guardduty_finding(&region, &id));
        draft.key = format!("{id}#{}#{}", level.count, level.severity);
        draft.level = Some((id, level));
    }
    Some(draft.into())
}

/// What comes up in each Region: a finding about the credentials of one principal. Any other resource is in one Region.
fn cause(event: &Event, draft: &Draft) -> Option<Cause> {
    let credentials =
        |name: &str| event.value(&format!("/detail/resource/accessKeyDetails/{name}"));
    if !event.is("/detail/resource/resourceType", "AccessKey") {
        return None;
    }
    let principal = ["principalId", "userName", "accessKeyId"].map(credentials);
    let principal: Vec<String> = principal.into_iter().flatten().take(2).collect();
    if principal.is_empty() {
        return None;
    }
    let (of, account) = (event.value("/detail/type")?, draft.account.as_ref()?);
    Some(Cause {
        key: format!("{of}#{account}#{}", principal.join("#")),
        place: event.known_region(&["/detail/region"])?,
    })
}

fn times(count: f64, event: &Event) -> String {
    let times = if count > 1.0 {
        format!("{} times", ReadableNumber(count))
    } else {
        "once".to_owned()
    };
    match event.readable_time("/detail/service/eventFirstSeen") {
        Some(first) if count > 1.0 => format!("{times} since {first}"),
        _ => times,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn finding(of: &str, severity: f64, resource: &Value, service: &Value) -> Value {
        let mut finding = json!({ "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
            "detail": { "accountId": "111122223333", "region": "eu-west-1", "id": "f-1", "type": of,
                "title": "Something happened.", "severity": severity, "resource": resource,
                "service": { "serviceName": "guardduty", "count": 1 } } });
        for (name, value) in service.as_object().unwrap() {
            finding["detail"]["service"][name] = value.clone();
        }
        finding
    }

    pub(super) fn draft(event: &Value) -> Draft {
        let event = Event::read(&event.to_string(), "message-1", Timestamp::UNIX_EPOCH);
        match classify(&event) {
            Some(Classification::Alert(draft)) => *draft,
            other => panic!("{other:?}"),
        }
    }

    fn of_key(principal: &str, user: &str) -> Value {
        let details = json!({ "principalId": principal, "userName": user, "accessKeyId": "ASIA1" });
        finding(
            "Persistence:IAMUser/AnomalousBehavior",
            8.0,
            &json!({ "resourceType": "AccessKey", "accessKeyDetails": details }),
            &json!({}),
        )
    }

    #[test]
    fn a_principal_has_one_cause_in_all_regions() {
        let here = of_key("AROA1:batch", "batch");
        let mut there = here.clone();
        there["detail"]["region"] = "us-east-1".into();
        there["detail"]["id"] = "f-2".into();
        there["detail"]["resource"]["accessKeyDetails"]["accessKeyId"] = "ASIA2".into();
        let [here, there] = [here, there].map(|event| draft(&event).cause.unwrap());
        assert_eq!(here.key, there.key);
        assert_eq!([here.place, there.place], ["eu-west-1", "us-east-1"]);
        let other = draft(&of_key("AROA1:deploy", "deploy")).cause.unwrap();
        assert_ne!(here.key, other.key);
    }

    #[test]
    fn a_resource_of_one_region_has_no_cause_elsewhere() {
        for resource in [
            json!({ "resourceType": "Instance", "instanceDetails": { "instanceId": "i-1" } }),
            json!({ "resourceType": "S3Bucket", "accessKeyDetails": { "principalId": "AIDA1" } }),
            json!({ "resourceType": "AccessKey" }),
        ] {
            assert_eq!(draft(&finding("x", 5.0, &resource, &json!({}))).cause, None);
        }
    }

    #[test]
    fn the_severity_follows_the_content() {
        for (severity, archived, word, ours) in [
            (9.5, false, "critical", Severity::Critical),
            (7.0, false, "high", Severity::Critical),
            (6.9, false, "medium", Severity::Error),
            (1.0, false, "low", Severity::Info),
            (9.5, true, "critical", Severity::Info),
        ] {
            let event = finding("x", severity, &json!({}), &json!({ "archived": archived }));
            let draft = draft(&event);
            assert_eq!(
                draft.headline,
                format!("GuardDuty {word}: Something happened")
            );
            assert_eq!(draft.rated(), (ours, archived));
        }
    }

    #[test]
    fn the_link_is_of_the_region_and_its_partition() {
        let mut event = finding("x", 5.0, &json!({}), &json!({}));
        event["detail"]["region"] = "cn-north-1".into();
        assert!(
            draft(&event)
                .link
                .unwrap()
                .contains(".console.amazonaws.cn/guardduty/")
        );
        event["detail"]["region"] = "us-iso-east-1".into();
        assert_eq!(draft(&event).link, None);
    }
}
