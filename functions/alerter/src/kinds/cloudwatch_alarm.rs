//! CloudWatch alarms, from a topic or as an event: of a metric, an expression, a band or other alarms.

mod metrics;

use orgkeeper_shared::alert::Severity;
use serde_json::Value;

use crate::{
    console,
    draft::Draft,
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::{Content, row},
    text::name_of,
};

const WENT_OFF: Content = Content::new("it went off");
const RECOVERED: Content = Content::new("it is OK again");
const NO_DATA: Content = Content::new("it has no data");
const SUPPRESSED: Content = Content::new("it is suppressed");
const CHANGED: Content = Content::new("the alarm itself was changed");

/// An alarm of `CloudWatch`.
pub const KIND: &Kind = &Kind {
    name: "cloudwatch.alarm",
    plural: "CloudWatch alarms",
    severities: &[
        row(Severity::Info).content(RECOVERED).fixed(),
        row(Severity::Info).content(NO_DATA).fixed(),
        row(Severity::Info).content(SUPPRESSED).fixed(),
        row(Severity::Info).content(CHANGED).fixed(),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a CloudWatch alarm, of any account and Region",
    // Auto Scaling has alarms of its own, which go off all day.
    rules: &[
        EventRule::of(
            "AlarmWentOff",
            "CloudWatch alarms that go off",
            r#"{"source":["aws.cloudwatch"],"detail-type":["CloudWatch Alarm State Change"],
                "detail":{"alarmName":[{"anything-but":{"prefix":"TargetTracking-"}}],
                "state":{"value":["ALARM"]}}}"#,
        ),
        EventRule::of(
            "AlarmRecovered",
            "CloudWatch alarms that are OK again",
            r#"{"source":["aws.cloudwatch"],"detail-type":["CloudWatch Alarm State Change"],
                "detail":{"alarmName":[{"anything-but":{"prefix":"TargetTracking-"}}],
                "state":{"value":["OK"]},"previousState":{"value":["ALARM"]}}}"#,
        ),
    ],
    calls: &[],
    samples: &[
        "alarm",
        "alarm-band",
        "alarm-composite",
        "alarm-event",
        "alarm-expression",
        "alarm-over",
        "alarm-query",
        "alarm-suppressed",
    ],
    classify,
};

/// What to do about each content.
const TO_DO: &[(Content, &str)] = &[
    (
        WENT_OFF,
        "Read the alarm's description and reason, and look at its metric. For a dead-letter queue: read the oldest \
         message, correct the cause of its failure, then redrive the queue.",
    ),
    (
        NO_DATA,
        "Check whether the watched resource still runs: it sent no data.",
    ),
    (
        SUPPRESSED,
        "Nothing, as long as the suppression is planned: it exists so that nobody is called.",
    ),
];

/// The words for what was done to an alarm itself.
const OPERATIONS: &[(&str, &str)] = &[
    ("create", "was created"),
    ("update", "was changed"),
    ("delete", "was deleted"),
];

/// Alarms that are named as the cause of another.
const NAMED: usize = 5;

/// Where a message has its values: published to a topic, and as an event.
struct Places {
    name: &'static str,
    arn: &'static str,
    description: &'static str,
    state: &'static str,
    reason: &'static str,
    /// A JSON text with the threshold, or the alarms that triggered a composite alarm.
    reason_data: &'static str,
    time: &'static str,
    /// What is measured, and when the alarm goes off.
    configuration: &'static str,
    /// The rule of a composite alarm.
    rule: &'static str,
    /// The alarms that triggered it.
    triggers: &'static str,
    suppressed_by: &'static str,
    suppressor: &'static str,
    suppressed_why: &'static str,
    /// What distinguishes one series of several.
    contributor: &'static str,
}

const OF_A_TOPIC: Places = Places {
    name: "/AlarmName",
    arn: "/AlarmArn",
    description: "/AlarmDescription",
    state: "/NewStateValue",
    reason: "/NewStateReason",
    reason_data: "/NewStateReasonData",
    time: "/StateChangeTime",
    configuration: "/Trigger",
    rule: "/AlarmRule",
    triggers: "/TriggeringChildren",
    suppressed_by: "/ActionsSuppressedBy",
    suppressor: "/ActionsSuppressor",
    suppressed_why: "/ActionsSuppressedReason",
    contributor: "/AlarmContributorAttributes",
};

const OF_AN_EVENT: Places = Places {
    name: "/detail/alarmName",
    arn: "/resources/0",
    description: "/detail/configuration/description",
    state: "/detail/state/value",
    reason: "/detail/state/reason",
    reason_data: "/detail/state/reasonData",
    time: "/detail/state/timestamp",
    configuration: "/detail/configuration",
    rule: "/detail/configuration/alarmRule",
    triggers: "/detail/state/triggeringChildren",
    suppressed_by: "/detail/state/actionsSuppressedBy",
    suppressor: "/detail/configuration/actionsSuppressor",
    suppressed_why: "/detail/state/actionsSuppressedReason",
    contributor: "/detail/alarmContributor/attributes",
};

/// The rule that muted an alarm.
const MUTED_BY: &str = "/detail/muteDetail/mutedByArn";

/// How much an event matters.
fn content(event: &Event, places: &Places) -> Content {
    let state = event.value(places.state);
    let suppressed = [places.suppressed_by, MUTED_BY]
        .iter()
        .any(|place| event.value(place).is_some());
    match state.as_deref() {
        _ if event.value("/detail/operation").is_some() => CHANGED,
        Some("OK") => RECOVERED,
        Some("INSUFFICIENT_DATA") => NO_DATA,
        _ if suppressed => SUPPRESSED,
        _ => WENT_OFF,
    }
}

/// Classifies a change of an alarm, or of its state.
fn classify(event: &Event) -> Option<Classification> {
    let places = [OF_A_TOPIC, OF_AN_EVENT]
        .into_iter()
        .find(|places| event.value(places.name).is_some() && event.value(places.state).is_some())?;
    let name = event.value(places.name)?;
    let state = event.value(places.state)?;
    let content = content(event, &places);
    let suppressor = suppressor(event, &places);
    let what = match content {
        RECOVERED => "is OK again".to_owned(),
        NO_DATA => "has no data".to_owned(),
        CHANGED => changed(event).to_owned(),
        SUPPRESSED => match &suppressor {
            Some(suppressor) => format!("went off, suppressed by {suppressor}"),
            None => "went off, suppressed".to_owned(),
        },
        _ => "went off".to_owned(),
    };
    let arn = event.value(places.arn);
    let part = |place| arn.as_deref()?.split(':').nth(place);
    let mut draft = Draft::of(event, KIND, format!("Alarm {name} {what}"));
    draft.account = event.account(&[places.arn, "/AWSAccountId"]);
    let region = part(3).filter(|region| console::is_region(region));
    let region = region
        .map(str::to_owned)
        .or_else(|| event.known_region(&[]));
    if let Some(region) = &region {
        draft.region.clone_from(region);
        draft.link = console::alarm(region, &name);
    }
    draft.time = event.time(&[places.time]);
    let description = event.value(places.description);
    draft
        .what_happened(description.unwrap_or_else(|| format!("The alarm's state is {state} now.")));
    describe(&mut draft, event, &places);
    if content == SUPPRESSED {
        draft.detail("Suppressed by", suppressor);
        draft.detail("Suppressed", event.value(places.suppressed_why));
    }
    draft.is_about(content);
    if let Some((_, to_do)) = TO_DO.iter().find(|(of, _)| *of == content) {
        draft.what_to_do(to_do);
    }
    draft.key = key(event, &places, &name, &draft);
    draft.burst_key = state;
    Some(draft.into())
}

/// Adds what is measured, when the alarm goes off, and why it did.
fn describe(draft: &mut Draft, event: &Event, places: &Places) {
    let none = Value::Null;
    let configuration = event.node(places.configuration).unwrap_or(&none);
    let reason_data = event.node(places.reason_data).and_then(Value::as_str);
    let reason_data: Value = reason_data
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let measured = metrics::measured(configuration);
    draft.detail("Reason", event.value(places.reason));
    draft.detail("Metric", measured.metric);
    draft.detail("Computed from", measured.inputs);
    draft.detail("Goes off", metrics::condition(configuration, &reason_data));
    let attributes = event.members(places.contributor);
    draft.detail(
        "Series",
        listed(
            attributes
                .iter()
                .map(|(name, value)| format!("{name} {value}")),
        ),
    );
    draft.detail(
        "Rule",
        event.value(places.rule).map(|rule| without_arns(&rule)),
    );
    let triggers = event
        .node(places.triggers)
        .or(reason_data.get("triggeringAlarms"));
    draft.detail("Triggered by", triggers.and_then(triggering));
}

/// Equal for messages about the same change. One that is not suppressed any more is another change.
fn key(event: &Event, places: &Places, name: &str, draft: &Draft) -> String {
    let account = draft.account.as_ref().map(ToString::to_string);
    let which = event
        .value(places.arn)
        .unwrap_or_else(|| format!("{name}#{}", account.unwrap_or_default()));
    // Without its time, only the message distinguishes two changes of an alarm.
    let since = event.value(places.time).unwrap_or_else(|| event.id());
    let more = [
        places.suppressed_by,
        MUTED_BY,
        "/detail/alarmContributor/id",
        "/AlarmContributorId",
        "/detail/operation",
        "/detail/configuration/timestamp",
    ];
    let more = more.iter().filter_map(|place| event.value(place));
    let parts: Vec<String> = [which, since].into_iter().chain(more).collect();
    parts.join("#")
}

/// What was done to the alarm.
fn changed(event: &Event) -> &'static str {
    OPERATIONS
        .iter()
        .find(|(operation, _)| event.is("/detail/operation", operation))
        .map_or("was changed", |(_, words)| words)
}

/// The alarm or rule that suppresses an alarm.
fn suppressor(event: &Event, places: &Places) -> Option<String> {
    let by_alarm = event
        .value(places.suppressed_by)
        .and_then(|_| event.value(places.suppressor))
        .map(|arn| name_of(&arn).to_owned());
    let by_rule = || Some(format!("mute rule {}", name_of(&event.value(MUTED_BY)?)));
    by_alarm.or_else(by_rule)
}

/// The alarms that triggered a composite alarm, with their states.
fn triggering(alarms: &Value) -> Option<String> {
    let alarms = alarms.as_array()?.iter().filter_map(|alarm| {
        let arn = text_of(alarm.get("Arn").or(alarm.get("arn")))?;
        let state = alarm
            .pointer("/State/Value")
            .or(alarm.pointer("/state/value"));
        Some(match text_of(state) {
            Some(state) => format!("{} ({state})", name_of(&arn)),
            None => name_of(&arn).to_owned(),
        })
    });
    listed(alarms)
}

/// The first few of the texts.
fn listed(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// A rule with the names of its alarms instead of their ARNs.
fn without_arns(rule: &str) -> String {
    let mut parts = rule.split("arn:");
    let start = parts.next().unwrap_or_default().to_owned();
    let parts = parts.map(|part| match part.split_once(":alarm:") {
        Some((start, name)) if !start.contains([')', ' ', '"']) => name.to_owned(),
        _ => format!("arn:{part}"),
    });
    [start].into_iter().chain(parts).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn draft(event: &Value) -> Draft {
        let event = Event::read(&event.to_string(), "message-1", Timestamp::UNIX_EPOCH);
        match classify(&event) {
            Some(Classification::Alert(draft)) => *draft,
            other => panic!("{other:?}"),
        }
    }

    fn detail<'d>(draft: &'d Draft, label: &str) -> Option<&'d str> {
        let detail = draft.details.iter().find(|(of, _)| *of == label);
        detail.map(|(_, text)| text.as_str())
    }

    fn composite() -> Value {
        json!({ "source": "aws.cloudwatch", "account": "111122223333", "region": "eu-west-1",
            "resources": ["arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-is-down"],
            "detail": { "alarmName": "shop-is-down",
                "state": { "value": "ALARM", "timestamp": "2026-03-04T09:30:00.123+0000",
                    "reasonData": json!({ "triggeringAlarms": [{
                        "arn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-5xx",
                        "state": { "value": "ALARM" } }] }).to_string() },
                "configuration": {
                    "alarmRule": "ALARM(\"shop-5xx\") OR ALARM(arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-slow)",
                    "actionsSuppressor": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-maintenance" } } })
    }

    #[test]
    fn a_composite_alarm_has_its_rule_and_what_triggered_it() {
        let draft = draft(&composite());
        assert_eq!(draft.headline, "Alarm shop-is-down went off");
        assert_eq!(draft.rated(), (Severity::Error, false));
        assert_eq!(
            detail(&draft, "Rule"),
            Some("ALARM(\"shop-5xx\") OR ALARM(shop-slow)")
        );
        assert_eq!(detail(&draft, "Triggered by"), Some("shop-5xx (ALARM)"));
        assert_eq!(detail(&draft, "Suppressed by"), None);
    }

    #[test]
    fn a_suppressed_alarm_is_information_and_one_that_is_not_any_more_is_reported() {
        let mut event = composite();
        let before = draft(&event);
        event["detail"]["state"]["actionsSuppressedBy"] = "WaitPeriod".into();
        let suppressed = draft(&event);
        assert_eq!(
            suppressed.headline,
            "Alarm shop-is-down went off, suppressed by shop-maintenance"
        );
        assert_eq!(suppressed.rated(), (Severity::Info, true));
        assert_ne!(before.key, suppressed.key);
        let mut muted = composite();
        muted["detail"]["muteDetail"]["mutedByArn"] =
            "arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:night".into();
        let muted = draft(&muted);
        assert_eq!(
            muted.headline,
            "Alarm shop-is-down went off, suppressed by mute rule night"
        );
        assert_eq!(muted.rated().0, Severity::Info);
    }

    #[test]
    fn a_change_of_the_alarm_itself_is_not_a_change_of_its_state() {
        let mut event = composite();
        event["detail"]["operation"] = "delete".into();
        let draft = draft(&event);
        assert_eq!(draft.headline, "Alarm shop-is-down was deleted");
        assert_eq!(draft.rated().0, Severity::Info);
    }

    #[test]
    fn each_series_of_an_alarm_is_reported() {
        let mut event = composite();
        let one = draft(&event);
        event["detail"]["alarmContributor"] =
            json!({ "id": "6d44", "attributes": { "TableName": "orders" } });
        let series = draft(&event);
        assert_eq!(detail(&series, "Series"), Some("TableName orders"));
        assert_ne!(one.key, series.key);
    }

    #[test]
    fn the_link_and_the_region_come_from_the_arn() {
        let message = |arn: &str| {
            json!({ "AlarmName": "cpu", "AlarmArn": arn, "NewStateValue": "ALARM", "Region": "EU (Germany)",
                "StateChangeTime": "2026-03-04T09:30:00.123+0000" })
        };
        let sovereign = draft(&message(
            "arn:aws-eusc:cloudwatch:eusc-de-east-1:111122223333:alarm:cpu",
        ));
        assert_eq!(sovereign.region, "eusc-de-east-1");
        assert_eq!(
            sovereign.link.as_deref(),
            Some(
                "https://eusc-de-east-1.console.amazonaws-eusc.eu/cloudwatch/home?region=eusc-de-east-1#alarmsV2:alarm/cpu"
            )
        );
        assert_eq!(draft(&message("")).link, None);
    }
}
