//! CloudWatch alarms, from a topic or as an event.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::Draft,
    event::{Event, text_of},
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
};

/// An alarm of CloudWatch.
pub(super) const ALARM: Kind = Kind::new("cloudwatch.alarm", Severity::Error, "CloudWatch alarms");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[ALARM],
    calls: &[],
    classify,
};

const WENT_OFF: &str = "Read the alarm's description and reason, and look at its metric. For a dead-letter queue: \
    read the oldest message, correct the cause of its failure, then redrive the queue.";
const NO_DATA: &str = "Check whether the watched resource still runs: it sent no data.";

/// Where a message has its values: published to a topic, and as an event.
struct Places {
    name: &'static str,
    arn: &'static str,
    description: &'static str,
    state: &'static str,
    reason: &'static str,
    time: &'static str,
}

const OF_A_TOPIC: Places = Places {
    name: "/AlarmName",
    arn: "/AlarmArn",
    description: "/AlarmDescription",
    state: "/NewStateValue",
    reason: "/NewStateReason",
    time: "/StateChangeTime",
};

const OF_AN_EVENT: Places = Places {
    name: "/detail/alarmName",
    arn: "/resources/0",
    description: "/detail/configuration/description",
    state: "/detail/state/value",
    reason: "/detail/state/reason",
    time: "/detail/state/timestamp",
};

/// Classifies a change of an alarm's state.
fn classify(event: &Event) -> Option<Classification> {
    let places = [OF_A_TOPIC, OF_AN_EVENT]
        .into_iter()
        .find(|places| event.value(places.name).is_some() && event.value(places.state).is_some())?;
    let name = event.value(places.name)?;
    let state = event.value(places.state)?;
    let (what, to_do) = match state.as_str() {
        "OK" => (format!("Alarm {name} is OK again"), None),
        "INSUFFICIENT_DATA" => (format!("Alarm {name} has no data"), Some(NO_DATA)),
        _ => (format!("Alarm {name} went off"), Some(WENT_OFF)),
    };
    let arn = event.value(places.arn);
    let part = |place| arn.as_deref()?.split(':').nth(place);
    let mut draft = Draft::of(event, ALARM, what);
    draft.account = event.account(&[places.arn, "/AWSAccountId"]);
    if let Some(region) = part(3).filter(|region| console::is_region(region)) {
        region.clone_into(&mut draft.region);
    }
    draft.time = event.time(&[places.time]);
    let description = event.value(places.description);
    draft
        .what_happened(description.unwrap_or_else(|| format!("The alarm's state is {state} now.")));
    draft.detail("Reason", event.value(places.reason));
    draft.detail("Metric", metric(event));
    if state == "OK" || state == "INSUFFICIENT_DATA" {
        draft.fix_severity(Severity::Info);
    }
    if let Some(to_do) = to_do {
        draft.what_to_do(to_do);
    }
    draft.link = Some(console::alarm(&draft.region, &name));
    let which = arn.unwrap_or_else(|| format!("{name}#{}", account(&draft)));
    let since = event.value(places.time);
    // Without its time, only the message distinguishes two changes of an alarm.
    draft.key = format!("{which}#{}", since.unwrap_or_else(|| event.id()));
    draft.burst_key = state;
    Some(draft.into())
}

fn account(draft: &Draft) -> String {
    draft
        .account
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// What is measured: `AWS/SQS ApproximateNumberOfMessagesVisible (QueueName findings-dlq)`.
fn metric(event: &Event) -> Option<String> {
    let name = event.value("/Trigger/MetricName")?;
    let space = event.value("/Trigger/Namespace").unwrap_or_default();
    let dimensions: Vec<String> = event
        .elements("/Trigger/Dimensions")
        .iter()
        .filter_map(|dimension| {
            Some(format!(
                "{} {}",
                text_of(dimension.get("name"))?,
                text_of(dimension.get("value"))?
            ))
        })
        .collect();
    let of = if dimensions.is_empty() {
        String::new()
    } else {
        format!(" ({})", dimensions.join(", "))
    };
    Some(format!("{space} {name}{of}").trim().to_owned())
}
