//! Findings of GuardDuty. It sends a finding again when it sees it again. Only a higher count or severity is
//! reported.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Draft, Level},
    event::Event,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    text::{ReadableNumber, name_of},
};

/// A finding of GuardDuty.
const FINDING: Kind = Kind::new("guardduty.finding", Severity::Error, "GuardDuty findings");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[FINDING],
    calls: &[],
    classify,
};

/// GuardDuty's severities: the minimum, the word, and the severity here.
const SEVERITIES: &[(f64, &str, Severity)] = &[
    (9.0, "critical", Severity::Critical),
    (7.0, "high", Severity::Critical),
    (4.0, "medium", Severity::Error),
    (f64::MIN, "low", Severity::Info),
];

/// Where a finding names its resource, with a label.
const RESOURCES: &[(&str, &str)] = &[
    ("user", "accessKeyDetails/userName"),
    ("instance", "instanceDetails/instanceId"),
    ("bucket", "s3BucketDetails/0/name"),
    ("cluster", "eksClusterDetails/name"),
    ("cluster", "ecsClusterDetails/name"),
    ("function", "lambdaDetails/functionName"),
    ("database", "rdsDbInstanceDetails/dbInstanceIdentifier"),
    ("container", "containerDetails/name"),
];

const LOOK: &str = "Open the finding, and ask the account's owner about it. If it is not explained: isolate the \
    resource and revoke its credentials before you investigate.";
const LATER: &str = "Open the finding today, and ask the account's owner about it.";
const KNOWN: &str = "Nothing: this finding is archived.";

/// Classifies a finding.
fn classify(event: &Event) -> Option<Classification> {
    let is_finding = event.is("/detail-type", "GuardDuty Finding")
        || event.is("/detail/service/serviceName", "guardduty");
    if !is_finding {
        return None;
    }
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let number = event.number("/detail/severity");
    let row = number.and_then(|number| SEVERITIES.iter().find(|(least, ..)| number >= *least));
    let word = row.map_or("", |(_, word, _)| word);
    let about = detail("title").or_else(|| detail("type"));
    let about = about.unwrap_or_else(|| "a finding without a title".to_owned());
    let what = format!("GuardDuty {word}").trim_end().to_owned();
    let mut draft = Draft::of(event, FINDING, format!("{what}: {about}"));
    if let Some((.., severity)) = row {
        draft.severity = *severity;
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
    draft.detail("About", resource(event));
    let count = event.number("/detail/service/count");
    draft.detail("Seen", count.map(|count| times(count, event)));
    draft.source_ip = remote_address(event);
    draft.burst_key = detail("type").unwrap_or_default();
    if event.is("/detail/service/archived", "true") {
        draft.fix_severity(Severity::Info);
        draft.what_to_do(KNOWN);
    } else if draft.severity == Severity::Info {
        draft.what_to_do(LATER);
    } else {
        draft.what_to_do(LOOK);
    }
    if let Some(id) = detail("id").or_else(|| Some(name_of(&detail("arn")?).to_owned())) {
        let level = Level {
            count: count.unwrap_or(1.0),
            severity: number.unwrap_or_default(),
            factor: 10.0,
            least: 100.0,
        };
        draft.link = Some(console::guardduty_finding(&draft.region, &id));
        draft.key = format!("{id}#{}#{}", level.count, level.severity);
        draft.level = Some((id, level));
    }
    Some(draft.into())
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

fn resource(event: &Event) -> Option<String> {
    let kind = event.value("/detail/resource/resourceType");
    let named = RESOURCES.iter().find_map(|(label, pointer)| {
        let name = event.value(&format!("/detail/resource/{pointer}"))?;
        Some(format!("{label} {name}"))
    });
    match (kind, named) {
        (Some(kind), Some(named)) if !named.starts_with(&kind.to_lowercase()) => {
            Some(format!("{kind}, {named}"))
        }
        (kind, named) => named.or(kind),
    }
}

/// The remote address, by the kind of action.
fn remote_address(event: &Event) -> Option<String> {
    const ACTIONS: &[&str] = &[
        "awsApiCallAction",
        "networkConnectionAction",
        "portProbeAction/portProbeDetails/0",
        "kubernetesApiCallAction",
        "rdsLoginAttemptAction",
    ];
    ACTIONS.iter().find_map(|action| {
        event.value(&format!(
            "/detail/service/action/{action}/remoteIpDetails/ipAddressV4"
        ))
    })
}
