//! Events of AWS Health about an account.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Draft, name_of},
    event::{Event, said},
    kinds::{Kind, Reading},
};

/// Resources that are named of many.
const NAMED: usize = 10;

/// What an event is about, by its category; whether somebody has to act on it while it is open.
const CATEGORIES: &[(&str, &str, bool)] = &[
    ("issue", "issue", true),
    ("investigation", "problem under investigation", true),
    ("scheduledChange", "scheduled change", false),
    ("accountNotification", "notification", false),
];

const ABUSE: &str = "Answer AWS in the time that it gives: it can close what is reported. Find the resource, \
    and who put there what is reported.";
const ISSUE: &str =
    "See whether what you run there suffers, and follow the event until AWS closes it.";
const READ: &str = "Read it, and do what it asks for by its date.";

/// Reads an event of AWS Health.
pub(super) fn read(event: &Event) -> Option<Reading> {
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
    let mut draft = Draft::of(event, Kind::HealthEvent, what);
    draft.account = event.account(&["/detail/affectedAccount"]);
    draft.region = event.region(&["/detail/eventRegion"]);
    draft.time = event.time(&["/detail/lastUpdatedTime", "/detail/startTime"]);
    if (matters || abuse) && !closed {
        draft.severity = Severity::Error;
    } else if closed {
        draft.settle(Severity::Info);
    }
    draft.happened(description(event).unwrap_or_else(|| format!("AWS tells of a {words}.")));
    draft.say("Event", detail("eventTypeCode"));
    draft.say("Resources", resources(event));
    draft.say("Begins", event.when("/detail/startTime"));
    draft.say("Ends", event.when("/detail/endTime"));
    match (abuse, matters, closed) {
        (true, ..) => draft.to_do(ABUSE),
        (false, true, false) => draft.to_do(ISSUE),
        (false, false, false) => draft.to_do(READ),
        (false, _, true) => {}
    }
    let arn = detail("eventArn");
    draft.link = arn.as_deref().map(console::health_event);
    // The same is sent to a second region, and page by page.
    let told = detail("communicationId").or_else(|| {
        let arn = arn?;
        let status = detail("statusCode").unwrap_or_default();
        let updated = detail("lastUpdatedTime").unwrap_or_default();
        Some(format!("{arn}#{status}#{updated}"))
    });
    if let Some(told) = told {
        let account = draft.account.as_ref().map(ToString::to_string);
        draft.key = format!("{told}#{}", account.unwrap_or_default());
    }
    draft.like = detail("eventTypeCode").unwrap_or_default();
    Some(draft.into())
}

/// What AWS says of it, in English if it does so in English.
fn description(event: &Event) -> Option<String> {
    let descriptions = event.elements("/detail/eventDescription");
    let english = descriptions.iter().find(|description| {
        said(description.get("language")).is_some_and(|language| language.starts_with("en"))
    });
    said(english.or(descriptions.first())?.get("latestDescription"))
}

fn resources(event: &Event) -> Option<String> {
    let entities = event.elements("/detail/affectedEntities");
    let names: Vec<String> = entities
        .iter()
        .take(NAMED)
        .filter_map(|entity| Some(name_of(&said(entity.get("entityValue"))?).to_owned()))
        .collect();
    let more = match entities.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}
