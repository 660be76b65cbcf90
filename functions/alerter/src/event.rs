//! An event, read leniently: a missing value is `None`, a number may be a text.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use orgkeeper_shared::{alert::one_line, ids::AccountId, lifecycle::LifecycleEvent};
use serde_json::Value;

use crate::console;

/// Characters that are read of a value; the longest ARNs are shorter.
const VALUE_CHARACTERS: usize = 2_000;

/// An event of EventBridge, or a message that a service published to a topic.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event; null for plain text.
    json: Value,
    /// The original text.
    text: String,
    subject: Option<String>,
    /// The topic that wrapped it.
    topic: Option<String>,
    id: String,
    sent: Timestamp,
}

/// A call that CloudTrail recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The service, `iam`.
    pub service: String,
    /// The operation, `AttachRolePolicy`.
    pub operation: String,
}

impl Event {
    /// Reads an event from a message's body, also from one that a topic wrapped. `id` is the message's own id.
    /// `now` is the time of an event without one.
    #[must_use]
    pub fn read(body: &str, id: &str, now: Timestamp) -> Self {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let of_topic = ["Type", "TopicArn"]
            .iter()
            .all(|key| json.get(key).is_some());
        match json.get("Message").and_then(Value::as_str) {
            Some(text) if of_topic => Self {
                json: serde_json::from_str(text).unwrap_or_default(),
                text: text.to_owned(),
                subject: text_of(json.get("Subject")),
                topic: text_of(json.get("TopicArn")),
                id: text_of(json.get("MessageId")).unwrap_or_else(|| id.to_owned()),
                sent: text_of(json.get("Timestamp"))
                    .and_then(|time| parse_time(&time))
                    .unwrap_or(now),
            },
            _ => Self {
                id: text_of(json.get("id")).unwrap_or_else(|| id.to_owned()),
                json,
                text: body.to_owned(),
                subject: None,
                topic: None,
                sent: now,
            },
        }
    }

    /// The value at a JSON pointer as a text on one line; `None` for an empty one.
    #[must_use]
    pub fn value(&self, pointer: &str) -> Option<String> {
        text_of(self.json.pointer(pointer))
    }

    /// The first value that one of the pointers leads to.
    #[must_use]
    pub fn first(&self, pointers: &[&str]) -> Option<String> {
        pointers.iter().find_map(|pointer| self.value(pointer))
    }

    /// Whether the value at a JSON pointer equals `wanted`, ignoring case.
    #[must_use]
    pub fn is(&self, pointer: &str, wanted: &str) -> bool {
        self.value(pointer)
            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    }

    /// The number at a JSON pointer, written as a number or as a text.
    #[must_use]
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.value(pointer)?
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    }

    /// The elements of the array at a JSON pointer.
    #[must_use]
    pub fn elements(&self, pointer: &str) -> &[Value] {
        self.json
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The first time that one of the pointers leads to; else the time when the event was sent.
    #[must_use]
    pub fn time(&self, pointers: &[&str]) -> Timestamp {
        pointers
            .iter()
            .chain(&["/detail/eventTime", "/time"])
            .find_map(|pointer| parse_time(&self.value(pointer)?))
            .unwrap_or(self.sent)
    }

    /// The time in the envelope; else the time when the event was received.
    #[must_use]
    pub fn envelope_time(&self) -> Timestamp {
        self.value("/time")
            .and_then(|time| parse_time(&time))
            .unwrap_or(self.sent)
    }

    /// The time at a JSON pointer, formatted for people; the original text if it cannot be parsed.
    #[must_use]
    pub fn readable_time(&self, pointer: &str) -> Option<String> {
        let text = self.value(pointer)?;
        Some(parse_time(&text).map_or(text, |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string()))
    }

    /// The first account id that one of the pointers leads to, by itself or in an ARN.
    #[must_use]
    pub fn account(&self, pointers: &[&str]) -> Option<AccountId> {
        pointers
            .iter()
            .chain(&["/account"])
            .find_map(|pointer| account_id_in(&self.value(pointer)?))
    }

    /// The first region that one of the pointers leads to.
    #[must_use]
    pub fn region(&self, pointers: &[&str]) -> String {
        self.known_region(pointers)
            .unwrap_or_else(|| console::NO_REGION.to_owned())
    }

    /// The first region that one of the pointers leads to; `None` if there is none, so that no link leads elsewhere.
    #[must_use]
    pub fn known_region(&self, pointers: &[&str]) -> Option<String> {
        pointers.iter().chain(&["/region"]).find_map(|pointer| {
            self.value(pointer)
                .filter(|region| console::is_region(region))
        })
    }

    /// The partition of the first ARN that one of the pointers leads to; else that of the topic.
    #[must_use]
    pub fn partition(&self, pointers: &[&str]) -> Option<String> {
        let arns = pointers.iter().filter_map(|pointer| self.value(pointer));
        arns.chain(self.topic.clone())
            .find_map(|arn| console::partition_in(&arn).map(str::to_owned))
    }

    /// The members of the object at a JSON pointer that are single values.
    #[must_use]
    pub fn members(&self, pointer: &str) -> Vec<(String, String)> {
        self.json
            .pointer(pointer)
            .map(members_of)
            .unwrap_or_default()
    }

    /// The value at a JSON pointer, whatever it is.
    #[must_use]
    pub fn node(&self, pointer: &str) -> Option<&Value> {
        self.json.pointer(pointer)
    }

    /// The call, if CloudTrail recorded one.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        let operation = self.value("/detail/eventName")?;
        let service = self.first(&["/detail/eventSource", "/source"])?;
        let service = service.strip_prefix("aws.").unwrap_or(&service);
        Some(Call {
            service: service.split('.').next().unwrap_or_default().to_owned(),
            operation,
        })
    }

    /// The lifecycle event of Control Tower or Organizations, if it is one.
    #[must_use]
    pub fn lifecycle(&self) -> Option<LifecycleEvent> {
        LifecycleEvent::read(&self.json["detail"])
    }

    /// The id of the call, equal in every delivery; else the id of the event.
    #[must_use]
    pub fn id(&self) -> String {
        self.value("/detail/eventID")
            .unwrap_or_else(|| self.id.clone())
    }

    /// The original text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is plain text instead of JSON.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.json.is_object()
    }

    /// The subject that the service published with it.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

/// A single value as a text on one line; `None` for an empty one.
#[must_use]
pub fn text_of(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => one_line(&short(text)),
        Value::Number(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The members of an object that are single values, as texts on one line.
#[must_use]
pub fn members_of(value: &Value) -> Vec<(String, String)> {
    let members = value.as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((one_line(&short(name)), text_of(Some(value))?)))
        .collect()
}

fn short(text: &str) -> String {
    text.chars().take(VALUE_CHARACTERS).collect()
}

/// An account id, by itself or in an ARN.
#[must_use]
pub fn account_id_in(text: &str) -> Option<AccountId> {
    text.parse().ok().or_else(|| AccountId::from_arn(text).ok())
}

/// A time in one of the formats of AWS: RFC 3339, with an offset without a colon, and
/// `Sat, 05 Jun 2016 15:10:09 GMT`, whose day of the week may be wrong.
fn parse_time(text: &str) -> Option<Timestamp> {
    let offset = |text| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text);
    text.parse().or_else(|_| offset(text)).ok().or_else(|| {
        let time = text.split_once(", ")?.1.strip_suffix(" GMT")?;
        let time = DateTime::strptime("%d %b %Y %H:%M:%S", time).ok()?;
        time.to_zoned(TimeZone::UTC)
            .ok()
            .map(|time| time.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Event {
        Event::read(body, "message", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_event_is_read_by_pointer() {
        let event = read(
            &json!({
                "id": "e-1", "source": "aws.iam", "account": 111_122_223_333_u64,
                "region": "eu-west-1", "time": "2026-03-01T12:00:00Z",
                "detail": { "eventName": "CreateUser", "severity": "8.5", "count": "x", "no": "",
                    "mfa": true, "eventTime": "2026-03-01T12:05:00+0000" },
            })
            .to_string(),
        );
        assert_eq!(event.id(), "e-1");
        assert_eq!(event.account(&[]).unwrap().as_str(), "111122223333");
        assert_eq!(event.region(&["/source"]), "eu-west-1");
        assert_eq!(event.number("/detail/severity"), Some(8.5));
        assert_eq!(event.number("/detail/count"), None);
        assert_eq!(event.value("/detail/no"), None);
        assert!(event.is("/detail/mfa", "TRUE"));
        assert_eq!(event.time(&[]).to_string(), "2026-03-01T12:05:00Z");
        let call = event.call().unwrap();
        assert_eq!((&*call.service, &*call.operation), ("iam", "CreateUser"));
    }

    #[test]
    fn an_envelope_of_a_topic_is_opened() {
        let envelope = |message: &str| {
            json!({ "Type": "Notification", "TopicArn": "arn", "MessageId": "m-1",
                "Subject": "Hello", "Timestamp": "2026-03-01T12:00:00.123Z", "Message": message })
            .to_string()
        };
        let text = read(&envelope("plain\ntext"));
        assert!(text.is_plain());
        assert_eq!(text.text(), "plain\ntext");
        assert_eq!(text.subject(), Some("Hello"));
        assert_eq!(text.id(), "m-1");
        assert_eq!(text.time(&[]).to_string(), "2026-03-01T12:00:00.123Z");
        let json = read(&envelope("{\"AlarmName\":\"a\"}"));
        assert_eq!(json.value("/AlarmName").as_deref(), Some("a"));
    }

    #[test]
    fn a_partition_comes_from_an_arn_or_from_the_topic() {
        let envelope = json!({ "Type": "Notification", "TopicArn": "arn:aws-cn:sns:cn-north-1:1:t",
            "Message": "{\"arn\":\"arn:aws-us-gov:x\",\"name\":\"arn\"}" });
        let event = read(&envelope.to_string());
        let partition = |pointer| event.partition(&[pointer]);
        assert_eq!(partition("/arn").as_deref(), Some("aws-us-gov"));
        assert_eq!(partition("/name").as_deref(), Some("aws-cn"));
    }

    #[test]
    fn members_are_single_values_on_one_line() {
        let event = read("{\"a\":{\"k\\n1\":\"v\\n1\",\"list\":[1],\"n\":2,\"no\":\"\"}}");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(event.members("/a"), [pair("k 1", "v 1"), pair("n", "2")]);
    }

    #[test]
    fn an_empty_event_has_defaults() {
        for body in [
            "",
            "null",
            "[]",
            "\"text\"",
            "{",
            "{}",
            "{\"task\":\"unknown\"}",
        ] {
            let event = read(body);
            assert_eq!(event.text(), body);
            assert_eq!(event.id(), "message");
            assert_eq!(event.time(&[]), Timestamp::UNIX_EPOCH);
            assert_eq!(event.region(&[]), "us-east-1");
            assert_eq!(event.known_region(&[]), None);
            assert_eq!(event.partition(&["/arn"]), None);
            assert_eq!(event.account(&[]), None);
            assert_eq!(event.call(), None);
        }
    }

    #[test]
    fn every_time_format_of_aws_is_parsed() {
        let read = |text| parse_time(text).map(|time| time.to_string());
        let noon = Some("2026-03-01T10:00:00.123Z".to_owned());
        assert_eq!(read("2026-03-01T10:00:00.123+0000"), noon);
        assert_eq!(read("2026-03-01T10:00:00.123Z"), noon);
        assert_eq!(
            read("Sat, 05 Jun 2016 15:10:09 GMT").as_deref(),
            Some("2016-06-05T15:10:09Z")
        );
        assert_eq!(read("soon"), None);
    }
}
