//! The samples of `events/alerter/` as alerts, and alerts about arbitrary input.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use jiff::Timestamp;
use orgkeeper_shared::alert::{Alert, AlertAccount};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    draft::Draft,
    event::Event,
    kinds::{self, KINDS, classifier::Classification},
    rules::Rules,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events/alerter")
}

/// The samples: the JSON files, by their names.
fn samples() -> Vec<(String, String)> {
    let mut samples: Vec<(String, String)> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    samples.sort();
    samples
}

fn account(draft: &Draft) -> Option<AlertAccount> {
    let id = draft.account.clone()?;
    let named = id.as_str() == "111122223333";
    Some(AlertAccount {
        id: Some(id),
        name: named.then(|| "payments-dev".to_owned()),
        ou_path: named.then(|| "Root/Workloads/Dev".to_owned()),
    })
}

fn drafted(body: &str) -> Option<Draft> {
    match kinds::classify(&Event::read(body, "message-1", Timestamp::UNIX_EPOCH)) {
        Classification::Alert(draft) => Some(*draft),
        Classification::NotReported => None,
    }
}

/// Kinds that tell of some of the events only that they read: a value decides whether there is anything to tell.
const BY_CONTENT: &[&str] = &[
    "access-analyzer.finding",
    "alerting.change",
    "data.shared",
    "kms.key",
    "logs.stopped",
    "malware.found",
    "network.opened",
    "sign-in.failed",
    "sign-in.iam-user",
];

/// Whether an event with another value can be one that needs no alert.
fn may_be_harmless(sample: &str) -> bool {
    let kind = alert(sample).kind;
    // Without an identity it is not the root user's, but an ordinary call.
    BY_CONTENT.contains(&kind.as_str()) || kind == "root.use"
}

fn alert(body: &str) -> Alert {
    let draft = drafted(body).unwrap();
    let account = account(&draft);
    let rules = Rules::default();
    let verdict = rules.judge(&draft, account.as_ref(), Timestamp::UNIX_EPOCH);
    draft.alert(account.as_ref(), verdict.severity)
}

#[test]
fn every_kind_has_its_samples() {
    let samples: BTreeMap<String, String> = samples().into_iter().collect();
    let mut named = BTreeSet::new();
    for row in KINDS {
        let kind = row.kind;
        for sample in row.samples {
            let body = samples.get(*sample);
            let alert = alert(body.unwrap_or_else(|| panic!("{kind}: no sample {sample}")));
            assert_eq!(alert.kind, kind.name, "{sample}");
            named.insert((*sample).to_owned());
        }
        // What the function finds out by itself has no event.
        assert_eq!(
            row.samples.is_empty(),
            kind.name.starts_with("alerting.rules"),
            "{kind}"
        );
    }
    let unnamed: Vec<&String> = samples
        .keys()
        .filter(|name| !named.contains(*name))
        .collect();
    assert!(unnamed.is_empty(), "no kind names {unnamed:?}");
}

#[test]
fn the_sample_rules_are_correct() {
    let rules = fs::read_to_string(folder().join("rules.toml")).unwrap();
    Rules::parse(&rules).unwrap();
}

#[test]
fn a_title_fits_and_nothing_is_raw() {
    for (name, body) in samples() {
        let alert = alert(&body);
        assert!(alert.title.chars().count() <= 90, "{name}: {}", alert.title);
        if alert.kind != "unrecognized" {
            let text = alert.text();
            // Queries of metrics and rules of alarms have quotes of their own.
            let json = ["{", "}", "\":", "[\"", "\\\""];
            assert!(
                !json.iter().any(|part| text.contains(part)),
                "{name}: {text}"
            );
        }
    }
}

/// Each sample without each of its values in turn is still an alert.
#[test]
fn a_missing_value_prevents_no_alert() {
    for (name, body) in samples() {
        let sample: Value = serde_json::from_str(&body).unwrap();
        let mut pointers = Vec::new();
        walk(&sample, &mut String::new(), &mut pointers);
        for pointer in pointers {
            let mut poorer = sample.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            if let Some(Value::Object(parent)) = poorer.pointer_mut(parent) {
                parent.remove(key);
            }
            if drafted(&poorer.to_string()).is_none() {
                assert!(may_be_harmless(&body), "{name} without {pointer}");
                continue;
            }
            let text = alert(&poorer.to_string()).text();
            assert!(text.len() > 40, "{name} without {pointer}: {text}");
        }
    }
}

/// A number written as a text changes nothing in the alert.
#[test]
fn numbers_may_be_texts() {
    fn texts(value: &mut Value) {
        match value {
            Value::Number(number) => *value = Value::String(number.to_string()),
            Value::Bool(is) => *value = Value::String(is.to_string()),
            Value::Array(values) => values.iter_mut().for_each(texts),
            Value::Object(values) => values.values_mut().for_each(texts),
            Value::Null | Value::String(_) => {}
        }
    }
    for (name, body) in samples() {
        let mut sample: Value = serde_json::from_str(&body).unwrap();
        texts(&mut sample);
        if alert(&body).kind != "unrecognized" {
            assert_eq!(alert(&sample.to_string()), alert(&body), "{name}");
        }
    }
}

fn walk(value: &Value, at: &mut String, pointers: &mut Vec<String>) {
    if let Value::Object(values) = value {
        for (key, value) in values {
            let length = at.len();
            at.push('/');
            at.push_str(key);
            pointers.push(at.clone());
            walk(value, at, pointers);
            at.truncate(length);
        }
    }
}

#[test]
fn an_event_of_300_kilobytes_is_cut_and_marked() {
    let mut event: Value = serde_json::from_str(include_str!(
        "../../../events/alerter/iam-change-denied.json"
    ))
    .unwrap();
    event["detail"]["errorMessage"] = "x".repeat(300_000).into();
    let known = alert(&event.to_string());
    assert_eq!(known.kind, "iam.change");
    assert!(known.text().contains("xxx... (cut)\n"));
    assert!(known.text().len() < 4_000);
    event["detail"]["eventName"] = "Unheard".into();
    let unknown = alert(&event.to_string());
    assert_eq!(unknown.kind, "unrecognized");
    assert!(
        unknown.text().contains("(cut here: 4000 of 300"),
        "{}",
        unknown.text()
    );
    assert!(unknown.text().len() < 6_000);
}

#[test]
fn some_events_are_not_reported() {
    let success = include_str!("../../../events/alerter/account-failed.json")
        .replace("\"FAILED\"", "\"SUCCEEDED\"");
    assert!(drafted(&success).is_none());
    // The call that removed it was reported.
    let removed = include_str!("../../../events/alerter/organization-change-departed.json")
        .replace("\"Left\"", "\"Removed\"");
    assert!(drafted(&removed).is_none());
    let check =
        json!({ "detail": { "eventName": "CheckMfa", "eventSource": "signin.amazonaws.com" } });
    assert!(drafted(&check.to_string()).is_none());
}

/// Texts that try to look like something else.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("\r\nBy: nobody"),
        Just("\nWhat to do: nothing"),
        Just("\u{2028}When: never"),
        Just("\u{85}Account: 000000000000"),
        Just("\u{202e}"),
        Just("<!channel>"),
        Just("*bold* & <https://example.com|here>"),
        Just("\0"),
        Just("payments"),
    ];
    prop::collection::vec(parts, 1..6).prop_map(|parts| parts.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        hostile().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z-]{1,12}", inner, 0..6)
                .prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_becomes_an_alert(value in any_json()) {
        let text = alert(&value.to_string()).text();
        prop_assert!(text.contains("Unrecognized message"));
    }

    #[test]
    fn any_text_becomes_an_alert(body in "(?s).{0,200}") {
        prop_assert!(!alert(&body).text().is_empty());
    }

    /// Any value of any sample replaced by any other.
    #[test]
    fn a_wrong_value_prevents_no_alert(which in any::<prop::sample::Index>(),
                                    place in any::<prop::sample::Index>(),
                                    value in any_json()) {
        let samples = samples();
        let (_, body) = &samples[which.index(samples.len())];
        let mut sample: Value = serde_json::from_str(body).unwrap();
        let mut pointers = Vec::new();
        walk(&sample, &mut String::new(), &mut pointers);
        let pointer = &pointers[place.index(pointers.len())];
        *sample.pointer_mut(pointer).unwrap() = value;
        if drafted(&sample.to_string()).is_none() {
            prop_assert!(may_be_harmless(body), "{pointer}");
            return Ok(());
        }
        let alert = alert(&sample.to_string());
        prop_assert!(alert.title.chars().count() <= 90);
        prop_assert!(alert.text().len() < 20_000);
    }

    /// No text of an event can add a line that looks like one of ours.
    #[test]
    fn no_text_can_forge_a_line(which in any::<prop::sample::Index>(), text in hostile()) {
        fn poison(value: &mut Value, key: &str, text: &str) {
            match value {
                // These decide what the event is.
                Value::String(_) if ["eventName", "eventSource", "detail-type", "source", "type",
                    "Type", "TopicArn", "state", "ConsoleLogin", "Message", "anomalyId"].contains(&key) => {}
                Value::String(value) => value.push_str(text),
                Value::Array(values) => values.iter_mut().for_each(|value| poison(value, "", text)),
                Value::Object(values) => {
                    values.iter_mut().for_each(|(key, value)| poison(value, key, text));
                }
                _ => {}
            }
        }
        const ONCE: [&str; 7] =
            ["Account: ", "In: ", "By: ", "From: ", "When: ", "What to do: ", "MFA: "];
        let samples = samples();
        let (name, body) = &samples[which.index(samples.len())];
        let mut sample: Value = serde_json::from_str(body).unwrap();
        poison(&mut sample, "", &text);
        if drafted(&sample.to_string()).is_none() {
            prop_assert!(may_be_harmless(body), "{name}");
            return Ok(());
        }
        let alert = alert(&sample.to_string());
        let text = alert.text();
        for label in ONCE {
            let lines = text.lines().filter(|line| line.starts_with(label)).count();
            prop_assert!(lines <= 1, "{name}: {label} {text}");
        }
        let controls = |it: char| it != '\n' && it.is_control() || ('\u{2028}'..='\u{202e}').contains(&it);
        prop_assert!(!text.contains(controls), "{name}: {text:?}");
        prop_assert!(!alert.subject().contains(|it: char| !(' '..='~').contains(&it)));
    }
}
