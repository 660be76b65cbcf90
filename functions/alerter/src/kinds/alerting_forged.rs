//! Events that AWS cannot have sent as they are: forged or misrouted ones.
//!
//! `PutEvents` refuses sources that begin with `aws.`, a rule that forwards to another account's bus cannot change an
//! event, and the bus writes the sender's account into the envelope. So whatever has another source, or names another
//! account than its envelope, is not what it seems. Nothing in it is believed or shown.

use orgkeeper_shared::{alert::Severity, ids::AccountId};

use crate::{
    draft::Draft,
    event::{Event, account_id_in},
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::row,
};

/// A forged or misrouted event.
pub const KIND: &Kind = &Kind {
    name: "alerting.forged",
    plural: "forged or misrouted events",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "an event on the alerts bus that AWS did not send, or that names another account than the one that sent it",
    rules: &[EventRule::of(
        "ForgedEvent",
        "Events on the alerts bus that no AWS service sent",
        r#"{"source":[{"anything-but":{"prefix":"aws."}}]}"#,
    )
    .with_reads()
    .on_alerts_bus()],
    calls: &[],
    samples: &["alerting-forged", "alerting-forged-account"],
    classify,
};

/// What sources of AWS begin with.
const AWS: &str = "aws.";
/// Characters of a source that is shown.
const SOURCE_CHARACTERS: usize = 60;

/// Where an event names the account that it occurred in: the end of its detail-type, and the places. Findings and
/// events of AWS Health are not here: administrators get those of other accounts.
const NAMED: &[(&str, &[&str])] = &[
    (
        " via CloudTrail",
        &[
            "/detail/recipientAccountId",
            "/detail/userIdentity/accountId",
        ],
    ),
    ("CloudWatch Alarm State Change", &["/resources/0"]),
];

const TO_DO: &str = "Nobody was alerted about what the event says. Ask the account's owner who may call \
    events:PutEvents on orgkeeper's bus there, and which of its EventBridge rules has the bus as target. If nobody \
    knows of it, somebody may be hiding something: look at what was done in the account at that time.";

fn classify(event: &Event) -> Option<Classification> {
    // What topics and the function itself send has no detail-type.
    let detail_type = event.value("/detail-type")?;
    let source = event.value("/source")?;
    let sender = event.value("/account").and_then(|it| account_id_in(&it));
    let what = if source.starts_with(AWS) {
        let named = named_account(event, &detail_type)?;
        let sender = sender.as_ref().filter(|sender| **sender != named)?;
        format!(
            "Account {sender} sent an event that says that it is about account {named}. AWS sends such an event in \
             its own account only."
        )
    } else {
        "An event arrived on the bus for the alerts of other accounts that no AWS service sent. Everybody who may \
         call events:PutEvents in an account of the organization can do so, and choose what it says."
            .to_owned()
    };
    let mut draft = Draft::of(event, KIND, "Forged or misrouted event");
    // Only what the bus wrote: the detail can say anything.
    draft.before_account = " from ";
    draft.account = sender;
    draft.key = event.value("/id").unwrap_or_else(|| event.id());
    draft.time = event.envelope_time();
    draft.what_happened(what);
    draft.detail("Source of the event", Some(shown(&source)));
    draft.what_to_do(TO_DO);
    Some(draft.into())
}

/// The account that the event occurred in, as it says itself.
fn named_account(event: &Event, detail_type: &str) -> Option<AccountId> {
    let (_, pointers) = NAMED.iter().find(|(end, _)| detail_type.ends_with(end))?;
    pointers
        .iter()
        .find_map(|pointer| account_id_in(&event.value(pointer)?))
}

/// A source, unless it is a message of its own.
fn shown(source: &str) -> String {
    let is_name = source
        .chars()
        .all(|it| it.is_ascii_alphanumeric() || "._-/".contains(it));
    if is_name && source.len() <= SOURCE_CHARACTERS {
        source.to_owned()
    } else {
        "(not shown: it is no name)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds;

    fn alert(event: &Value) -> String {
        let event = Event::read(&event.to_string(), "message", jiff::Timestamp::UNIX_EPOCH);
        match kinds::classify(&event) {
            Classification::Alert(draft) => draft.alert(None, Severity::Error).text(),
            Classification::NotReported => String::new(),
        }
    }

    fn root_sign_in() -> Value {
        serde_json::from_str(include_str!("../../../../events/alerter/root-sign-in.json")).unwrap()
    }

    #[test]
    fn a_forged_event_is_reported_without_its_content() {
        let mut event = root_sign_in();
        event["source"] = "custom.signin".into();
        let text = alert(&event);
        assert!(text.contains("Forged or misrouted event"), "{text}");
        assert!(text.contains("custom.signin"), "{text}");
        for content in ["oot", "192.0.2.10", "Mozilla"] {
            assert!(!text.contains(content), "{text}");
        }
        event["source"] = "urgent! call +1 555 0100".into();
        let text = alert(&event);
        assert!(text.contains("(not shown: it is no name)"), "{text}");
        assert!(!text.contains("555"), "{text}");
    }

    #[test]
    fn the_account_of_the_envelope_has_to_be_the_one_of_the_detail() {
        let mut event = root_sign_in();
        event["account"] = "444455556666".into();
        let text = alert(&event);
        assert!(
            text.contains(
                "Account 444455556666 sent an event that says that it is about account 111122223333"
            ),
            "{text}"
        );
        // Without a recipient the identity's account counts.
        event["detail"]
            .as_object_mut()
            .unwrap()
            .remove("recipientAccountId");
        assert!(alert(&event).contains("Forged"));
        event["account"] = "111122223333".into();
        assert!(alert(&event).contains("Root user signed in"));
    }

    #[test]
    fn calls_from_another_account_are_no_forgery() {
        let mut event = root_sign_in();
        event["detail"]["userIdentity"]["accountId"] = "444455556666".into();
        assert!(alert(&event).contains("Root user signed in"));
    }

    #[test]
    fn an_alarm_has_to_be_one_of_the_account() {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../../events/alerter/alarm-event.json"))
                .unwrap();
        assert!(!alert(&event).contains("Forged"));
        event["resources"] = json!(["arn:aws:cloudwatch:eu-west-1:444455556666:alarm:disk"]);
        assert!(alert(&event).contains("Forged"));
    }

    #[test]
    fn findings_of_members_come_from_their_administrator() {
        for sample in [
            include_str!("../../../../events/alerter/guardduty-high.json"),
            include_str!("../../../../events/alerter/health-leaked-key.json"),
        ] {
            let event: Value = serde_json::from_str(sample).unwrap();
            assert!(!alert(&event).contains("Forged"), "{sample}");
        }
    }

    #[test]
    fn each_event_counts_whatever_ids_it_claims() {
        let mut event = root_sign_in();
        event["source"] = "custom".into();
        let key = |event: &Value| {
            let event = Event::read(&event.to_string(), "message", jiff::Timestamp::UNIX_EPOCH);
            match kinds::classify(&event) {
                Classification::Alert(draft) => draft.dedup_key(),
                Classification::NotReported => String::new(),
            }
        };
        let first = key(&event);
        event["id"] = "another".into();
        assert_ne!(key(&event), first);
    }
}
