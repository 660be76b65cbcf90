//! Functions of a template that send messages to the queue that they read, themselves or by way of other functions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::template::{Template, branches};

/// The queues that a function reads and those to which it may send messages, by logical id.
#[derive(Debug, Default)]
struct Queues<'a> {
    read: BTreeSet<&'a str>,
    sent_to: BTreeSet<&'a str>,
    /// It may send to others, or its role is none of the template.
    sent_to_any: bool,
}

/// The functions whose messages can come back to them.
#[must_use]
pub fn in_a_loop(template: &Template) -> BTreeSet<&str> {
    let functions: BTreeMap<&str, Queues> = template
        .resources_of_type("AWS::Serverless::Function")
        .map(|(name, properties)| (name, queues(template, properties)))
        .collect();
    let next = |name: &str| {
        let sender = &functions[name];
        functions
            .iter()
            .filter(move |(_, reader)| {
                let known = !reader.read.is_disjoint(&sender.sent_to);
                known || (sender.sent_to_any && !reader.read.is_empty())
            })
            .map(|(name, _)| *name)
    };
    functions
        .keys()
        .copied()
        .filter(|name| {
            let mut reached: BTreeSet<&str> = next(name).collect();
            let mut to_visit: Vec<&str> = reached.iter().copied().collect();
            while let Some(visited) = to_visit.pop() {
                to_visit.extend(next(visited).filter(|further| reached.insert(*further)));
            }
            reached.contains(name)
        })
        .collect()
}

fn queues<'a>(template: &'a Template, properties: &'a Value) -> Queues<'a> {
    let mut queues = Queues::default();
    for event in members(&properties["Events"]) {
        if event["Type"] == "SQS" {
            queues.read.extend(arn_of(&event["Properties"]["Queue"]));
        }
    }
    let Ok(statements) = template.statements_of_role(properties) else {
        queues.sent_to_any = true;
        return queues;
    };
    for statement in statements {
        let may_send = branches(&statement["Action"])
            .iter()
            .filter_map(|action| action.as_str())
            .any(is_send);
        if !may_send || statement["Effect"] != "Allow" {
            continue;
        }
        for resource in branches(&statement["Resource"]) {
            match arn_of(resource) {
                Some(queue) => _ = queues.sent_to.insert(queue),
                None => queues.sent_to_any = true,
            }
        }
    }
    queues
}

/// Whether an action, which may end in a star, covers `sqs:SendMessage`.
fn is_send(action: &str) -> bool {
    const SEND: &str = "sqs:SendMessage";
    match action.strip_suffix('*') {
        Some(start) => SEND.starts_with(start),
        None => action == SEND,
    }
}

fn members(object: &Value) -> impl Iterator<Item = &Value> {
    object.as_object().into_iter().flat_map(|map| map.values())
}

/// The logical id of the resource whose ARN this is.
fn arn_of(value: &Value) -> Option<&str> {
    match value["Fn::GetAtt"].as_array()?.as_slice() {
        [Value::String(name), Value::String(attribute)] if attribute == "Arn" => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A template of functions: name, the queue that it reads, action, and the resource of its statement.
    fn loops(functions: &[(&str, &str, &str, &str)]) -> Vec<String> {
        let mut text = "Resources:\n".to_owned();
        for (name, queue, action, resource) in functions {
            write!(
                text,
                "  {name}:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Messages: {{ Type: SQS, Properties: {{ Queue: !GetAtt {queue}.Arn }} }}
        Daily: {{ Type: Schedule, Properties: {{ Schedule: rate(1 day) }} }}
      Role: !GetAtt {name}Role.Arn
  {name}Role:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyDocument:
            Statement:
              - {{ Effect: Allow, Action: 'sqs:ReceiveMessage', Resource: '*' }}
              - !If
                - Condition
                - {{ Effect: Allow, Action: {action}, Resource: {resource} }}
                - !Ref AWS::NoValue
"
            )
            .unwrap();
        }
        let template = Template::parse("test.yaml", &text).unwrap();
        in_a_loop(&template)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    const SEND: &str = "'sqs:SendMessage'";

    #[test]
    fn a_function_that_sends_to_its_own_queue_is_in_a_loop() {
        let to_itself = ("A", "One", SEND, "!GetAtt One.Arn");
        let to_another = ("B", "Two", SEND, "[!GetAtt Three.Arn, !GetAtt One.Arn]");
        assert_eq!(loops(&[to_itself, to_another]), ["A"]);
    }

    #[test]
    fn functions_that_send_to_each_other_are_in_a_loop() {
        let chain = [
            ("A", "One", SEND, "!GetAtt Two.Arn"),
            ("B", "Two", SEND, "[!GetAtt Three.Arn]"),
            (
                "C",
                "Three",
                SEND,
                "!If [Condition, !GetAtt One.Arn, !GetAtt Four.Arn]",
            ),
            ("Aside", "Four", SEND, "!GetAtt Five.Arn"),
            ("Before", "Six", SEND, "!GetAtt One.Arn"),
        ];
        assert_eq!(loops(&chain), ["A", "B", "C"]);
        assert!(loops(&chain[..2]).is_empty());
    }

    #[test]
    fn stars_count_as_what_they_allow() {
        for (action, resource) in [
            ("'sqs:*'", "!GetAtt One.Arn"),
            (
                "['sqs:ChangeMessageVisibility', 'sqs:Send*']",
                "!GetAtt One.Arn",
            ),
            ("'*'", "'*'"),
            (
                SEND,
                "!Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:*'",
            ),
        ] {
            let function = ("A", "One", action, resource);
            assert_eq!(loops(&[function]), ["A"], "{function:?}");
        }
        for action in ["'sqs:ChangeMessageVisibility'", "'sns:*'"] {
            assert!(loops(&[("A", "One", action, "'*'")]).is_empty(), "{action}");
        }
    }
}
