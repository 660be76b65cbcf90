//! Events of AWS Health about an account.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::Draft,
    event::{Event, text_of},
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    text::name_of,
};

/// An event of AWS Health.
const HEALTH: Kind = Kind::new("health.event", Severity::Info, "AWS Health events");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[HEALTH],
    calls: &[],
    classify,
};

/// Resources that are named.
const NAMED: usize = 10;

/// Words for each category of event, and whether an open event needs action.
const CATEGORIES: &[(&str, &str, bool)] = &[
    ("issue", "issue", true),
    ("investigation", "problem under investigation", true),
    ("scheduledChange", "scheduled change", false),
    ("accountNotification", "notification", false),
];

const ABUSE: &str = "Answer AWS before its deadline: it can suspend what it reported. Find the resource, and who \
    runs it.";
const ISSUE: &str =
    "Check whether your workloads there are affected, and follow the event until AWS closes it.";
const READ: &str = "Read it, and do what it asks for by its date.";

/// Classifies an event of AWS Health.
fn classify(event: &Event) -> Option<Classification> {
    let abuse = event.is("/detail-type", "AWS Health Abuse Event");
    let is_health = abuse || event.is("/source", "aws.health");
    if !is_health {
        return None;
    }
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let category = detail("eventTypeCategory").unwrap_or_default();
    let (words, matters) = CATEGORIES
        .iter()
        .find(|(name, ..)| *name == category)
        .map_or(("event", false), |(_, words, matters)| (*words, *matters));
    let closed = event.is("/detail/statusCode", "closed");
    let service = detail("service").unwrap_or_else(|| "AWS".to_owned());
    let what = match (abuse, closed) {
        (true, _) => "AWS reports abuse".to_owned(),
        (false, true) => format!("AWS Health: {service} {words} is over"),
        (false, false) => format!("AWS Health: {service} {words}"),
    };
    let mut draft = Draft::of(event, HEALTH, what);
    draft.account = event.account(&["/detail/affectedAccount"]);
    draft.region = event.region(&["/detail/eventRegion"]);
    draft.time = event.time(&["/detail/lastUpdatedTime", "/detail/startTime"]);
    if (matters || abuse) && !closed {
        draft.severity = Severity::Error;
    } else if closed {
        draft.fix_severity(Severity::Info);
    }
    draft.what_happened(description(event).unwrap_or_else(|| format!("AWS reports a {words}.")));
    draft.detail("Event", detail("eventTypeCode"));
    draft.detail("Resources", resources(event));
    draft.detail("Begins", event.readable_time("/detail/startTime"));
    draft.detail("Ends", event.readable_time("/detail/endTime"));
    match (abuse, matters, closed) {
        (true, ..) => draft.what_to_do(ABUSE),
        (false, true, false) => draft.what_to_do(ISSUE),
        (false, false, false) => draft.what_to_do(READ),
        (false, _, true) => {}
    }
    let arn = detail("eventArn");
    draft.link = arn.as_deref().map(console::health_event);
    // AWS sends an event to a second Region too, and in pages.
    let report = detail("communicationId").or_else(|| {
        let arn = arn?;
        let status = detail("statusCode").unwrap_or_default();
        let updated = detail("lastUpdatedTime").unwrap_or_default();
        Some(format!("{arn}#{status}#{updated}"))
    });
    if let Some(report) = report {
        let account = draft.account.as_ref().map(ToString::to_string);
        draft.key = format!("{report}#{}", account.unwrap_or_default());
    }
    draft.burst_key = detail("eventTypeCode").unwrap_or_default();
    Some(draft.into())
}

/// AWS's description, in English if there is one.
fn description(event: &Event) -> Option<String> {
    let descriptions = event.elements("/detail/eventDescription");
    let english = descriptions.iter().find(|description| {
        text_of(description.get("language")).is_some_and(|language| language.starts_with("en"))
    });
    text_of(english.or(descriptions.first())?.get("latestDescription"))
}

fn resources(event: &Event) -> Option<String> {
    let entities = event.elements("/detail/affectedEntities");
    let names: Vec<String> = entities
        .iter()
        .take(NAMED)
        .filter_map(|entity| Some(name_of(&text_of(entity.get("entityValue"))?).to_owned()))
        .collect();
    let more = match entities.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}
