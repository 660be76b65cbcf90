//! What the documentation and the templates say about kinds is written from [`KINDS`]: the table in `docs/alerts.md`,
//! and the rules in `template.yaml` and `infra/alert-events.yaml`.
//!
//! After a change: `REWRITE=1 cargo test -p alerter --lib generated`, and read the difference.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    event_rule::{EventRule, Pattern, Place},
    kinds::{KINDS, classifier::Classifier},
};

/// Characters of a line in the templates.
const WIDTH: usize = 110;
/// Characters of a pattern (EventBridge quotas).
const PATTERN_CHARACTERS: usize = 2_048;

/// Replaces what is between two marks in a file, or compares it.
#[expect(
    clippy::disallowed_methods,
    reason = "somebody asks for the files to be written"
)]
fn check(file: &str, marks: [&str; 2], text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file);
    let before = fs::read_to_string(&path).unwrap();
    let (start, rest) = before.split_once(marks[0]).unwrap();
    let (written, end) = rest.split_once(marks[1]).unwrap();
    if env::var_os("REWRITE").is_some() {
        fs::write(path, [start, marks[0], text, marks[1], end].concat()).unwrap();
    } else {
        assert_eq!(
            written, text,
            "{file} differs from the kinds: REWRITE=1 cargo test -p alerter --lib generated"
        );
    }
}

#[test]
fn the_documentation_has_every_kind() {
    let mut table =
        "\n| kind | what happened | severity | samples | rules |\n|---|---|---|---|---|\n"
            .to_owned();
    for row in KINDS {
        let kind = row.kind;
        let severities: Vec<String> = kind
            .severities
            .iter()
            .map(|row| {
                let condition = row.condition();
                let word = row.severity.word();
                match (condition.is_empty(), kind.severities.len()) {
                    (true, 1) => word.to_owned(),
                    (true, _) => format!("otherwise {word}"),
                    (false, _) => format!("{word}: {condition}"),
                }
            })
            .collect();
        let code = |names: Vec<String>| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        let samples = code(row.samples.iter().map(|name| (*name).to_owned()).collect());
        let rules = code(row.rules.iter().map(logical_id).collect());
        writeln!(
            table,
            "| `{}` | {} | {} | {samples} | {rules} |",
            kind.name,
            row.about,
            severities.join("<br>")
        )
        .unwrap();
    }
    check(
        "docs/alerts.md",
        [
            "<!-- The table of kinds is written from the code. -->\n",
            "<!-- End of the table. -->",
        ],
        &table,
    );
}

const RULE_MARKS: [&str; 2] = [
    "  # The rules of the kinds of alert are written from the code.\n",
    "  # End of the rules of the kinds.",
];

/// Who may send to the dead-letter queue of the forwarding rules: the list of the rules follows.
const DEAD_LETTERS: &str = "  ForwardingDeadLetterQueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref ForwardingDeadLetterQueue]
      PolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - Effect: Deny
            Principal: \"*\"
            Action: sqs:*
            Resource: !GetAtt ForwardingDeadLetterQueue.Arn
            Condition:
              Bool: { \"aws:SecureTransport\": \"false\" }
          - Effect: Allow
            Principal: { Service: events.amazonaws.com }
            Action: sqs:SendMessage
            Resource: !GetAtt ForwardingDeadLetterQueue.Arn
            Condition:
              ArnEquals:
                \"aws:SourceArn\":
";

#[test]
fn the_stack_has_every_rule() {
    let text = rules(
        |_| true,
        |rule, text| {
            writeln!(text, "    Condition: Alert").unwrap();
            properties(text, rule, rule.description);
            if rule.place == Place::AlertsBus {
                writeln!(text, "      EventBusName: !Ref AlertsBus").unwrap();
            }
            writeln!(
            text,
            "      Targets: [{{ Id: alerts-queue, Arn: !GetAtt AlertsQueue.Arn, DeadLetterConfig: {{ Arn: !GetAtt AlertsDeadLetterQueue.Arn }} }}]"
        )
        .unwrap();
        },
    );
    check("template.yaml", RULE_MARKS, &text);
}

#[test]
fn other_accounts_forward_what_occurs_there() {
    let everywhere = |rule: &EventRule| rule.place == Place::Everywhere;
    let mut text = rules(everywhere, |rule, text| {
        properties(text, rule, &format!("{}, for orgkeeper", rule.description));
        writeln!(text, "      Targets:").unwrap();
        writeln!(
            text,
            "        - {{ Id: orgkeeper, Arn: !Ref TargetBusArn, RoleArn: !GetAtt ForwardingRole.Arn, DeadLetterConfig: {{ Arn: !GetAtt ForwardingDeadLetterQueue.Arn }} }}"
        )
        .unwrap();
    });
    text += DEAD_LETTERS;
    let all = KINDS.iter().flat_map(|row| row.rules);
    for rule in all.filter(|rule| everywhere(rule)) {
        writeln!(text, "                  - !GetAtt {}.Arn", logical_id(rule)).unwrap();
    }
    text.push('\n');
    check("infra/alert-events.yaml", RULE_MARKS, &text);
}

#[test]
fn a_pattern_fits_and_is_json() {
    let mut ids = BTreeSet::new();
    for row in KINDS {
        for rule in row.rules {
            let length = pattern(row, rule).to_string().len();
            assert!(
                length <= PATTERN_CHARACTERS,
                "{}: {length} characters",
                rule.id
            );
            assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        }
    }
}

fn logical_id(rule: &EventRule) -> String {
    format!("{}Rule", rule.id)
}

fn rules(wanted: impl Fn(&EventRule) -> bool, write: impl Fn(&EventRule, &mut String)) -> String {
    let mut text = String::new();
    for row in KINDS {
        for rule in row.rules.iter().filter(|rule| wanted(rule)) {
            writeln!(text, "  {}:\n    Type: AWS::Events::Rule", logical_id(rule)).unwrap();
            let mut properties = String::new();
            write(rule, &mut properties);
            let pattern = yaml(&pattern(row, rule), 8);
            text += &properties.replace("%PATTERN%\n", &pattern);
            text.push('\n');
        }
    }
    text
}

fn properties(text: &mut String, rule: &EventRule, description: &str) {
    writeln!(
        text,
        "    Properties:\n      Description: {}",
        scalar(description)
    )
    .unwrap();
    if rule.reads {
        writeln!(
            text,
            "      State: ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        )
        .unwrap();
    }
    writeln!(text, "      EventPattern:\n%PATTERN%").unwrap();
}

fn pattern(row: &Classifier, rule: &EventRule) -> Value {
    match rule.pattern {
        Pattern::Json(text) => serde_json::from_str(text).unwrap(),
        Pattern::Calls => {
            let sources: BTreeSet<String> = row
                .calls
                .iter()
                .map(|words| format!("aws.{}", words.service))
                .collect();
            let calls = row.calls.iter().map(|words| words.operation);
            let operations: BTreeSet<&str> =
                calls.chain(rule.service_events.iter().copied()).collect();
            let types = [
                "AWS API Call via CloudTrail",
                "AWS Service Event via CloudTrail",
            ];
            let types = if rule.service_events.is_empty() {
                &types[..1]
            } else {
                &types[..]
            };
            json!({
                "source": sources,
                "detail-type": types,
                "detail": { "eventName": operations },
            })
        }
    }
}

/// An object as a block of YAML.
fn yaml(value: &Value, indent: usize) -> String {
    let space = " ".repeat(indent);
    let mut text = String::new();
    for (name, value) in value.as_object().unwrap() {
        if value.is_object() {
            write!(
                text,
                "{space}{}:\n{}",
                scalar(name),
                yaml(value, indent + 2)
            )
            .unwrap();
            continue;
        }
        let line = format!("{space}{}: {}", scalar(name), flow(value));
        if line.chars().count() <= WIDTH {
            writeln!(text, "{line}").unwrap();
            continue;
        }
        writeln!(text, "{space}{}: [", scalar(name)).unwrap();
        let items: Vec<String> = value.as_array().unwrap().iter().map(flow).collect();
        let mut line = format!("{space} ");
        for (place, item) in items.iter().enumerate() {
            let comma = if place + 1 < items.len() { "," } else { "" };
            if line.chars().count() + item.chars().count() + 2 > WIDTH {
                writeln!(text, "{line}").unwrap();
                line = format!("{space} ");
            }
            write!(line, " {item}{comma}").unwrap();
        }
        writeln!(text, "{line}\n{space}]").unwrap();
    }
    text
}

fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", scalar(name), flow(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text, in quotes if YAML would read it otherwise.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || " ._-/()".contains(it))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if plain {
        text.to_owned()
    } else {
        serde_json::to_string(text).unwrap()
    }
}
