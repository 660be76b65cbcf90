//! Findings of GuardDuty. It tells one again whenever it saw it again: that is news if it was seen more
//! often, or is graver.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Draft, Level, Plain, name_of},
    event::Event,
    kinds::{Kind, Reading},
};

/// The least severity of each of GuardDuty's words for it, and how much it matters here.
const SEVERITIES: &[(f64, &str, Severity)] = &[
    (9.0, "critical", Severity::Critical),
    (7.0, "high", Severity::Critical),
    (4.0, "medium", Severity::Error),
    (f64::MIN, "low", Severity::Info),
];

/// Where a finding names what it is about, by the name's label.
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

const LOOK: &str = "Open the finding, see what it is about and whether somebody knows of it. If nobody does: \
    cut the resource off (revoke its credentials, isolate it) before you look further.";
const LATER: &str =
    "Open the finding within the day, and see whether somebody knows of what it is about.";
const KNOWN: &str = "Nothing: somebody has archived this finding.";

/// Reads a finding.
pub(super) fn read(event: &Event) -> Option<Reading> {
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
    let mut draft = Draft::of(event, Kind::GuardDutyFinding, format!("{what}: {about}"));
    if let Some((.., severity)) = row {
        draft.severity = *severity;
    }
    draft.account = event.account(&["/detail/accountId", "/detail/arn"]);
    draft.region = event.region(&["/detail/region"]);
    draft.time = event.time(&["/detail/service/eventLastSeen", "/detail/updatedAt"]);
    draft.happened(detail("description").unwrap_or(about));
    draft.say(
        "Severity",
        number.map(|number| format!("{} ({word})", Plain(number))),
    );
    draft.say("Finding", detail("type"));
    draft.say("About", resource(event));
    let count = event.number("/detail/service/count");
    draft.say("Seen", count.map(|count| times(count, event)));
    draft.address = remote_address(event);
    draft.like = detail("type").unwrap_or_default();
    if event.is("/detail/service/archived", "true") {
        draft.settle(Severity::Info);
        draft.to_do(KNOWN);
    } else if draft.severity == Severity::Info {
        draft.to_do(LATER);
    } else {
        draft.to_do(LOOK);
    }
    if let Some(id) = detail("id").or_else(|| Some(name_of(&detail("arn")?).to_owned())) {
        let level = Level {
            count: count.unwrap_or(1.0),
            severity: number.unwrap_or_default(),
        };
        draft.link = Some(console::guardduty_finding(&draft.region, &id));
        draft.key = format!("{id}#{}#{}", level.count, level.severity);
        draft.level = Some((id, level));
    }
    Some(draft.into())
}

fn times(count: f64, event: &Event) -> String {
    let times = if count > 1.0 {
        format!("{} times", Plain(count))
    } else {
        "once".to_owned()
    };
    match event.when("/detail/service/eventFirstSeen") {
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

/// The other side's address, by the kind of action.
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
