//! What the roles of a template allow, against what their functions call.

use std::collections::BTreeSet;

use orgkeeper_shared::{calls::Calls, lambda::settings::environment};
use serde_json::Value;

use crate::template::{Template, branches};

/// An action, and the resource that a policy allows it on: a logical id of the template with what follows its ARN, or an
/// ARN as the template writes it.
pub type Permission = (String, String);

/// What a role allows, apart from a permission that `ORGKEEPER_WITHOUT` takes out (`FindingEnricher RequestAccounts
/// sqs:SendMessage DirectoryQueue`): `make permissions` takes out each in turn, and a test has to fail.
///
/// # Panics
/// If a statement does something else than to allow actions on resources.
#[must_use]
pub fn granted(template: &Template, owner: &str) -> BTreeSet<Permission> {
    let properties = &template.resource(owner).unwrap_or(&Value::Null)["Properties"];
    let statements = template.statements_of_role(properties);
    let without = environment("ORGKEEPER_WITHOUT");
    let mut granted = BTreeSet::new();
    for statement in statements.unwrap_or_default() {
        assert_eq!(statement["Effect"], "Allow", "{owner}: {statement}");
        let sid = statement["Sid"].as_str().unwrap_or_default();
        for action in branches(&statement["Action"]) {
            let action = action.as_str().unwrap_or_default();
            assert!(!action.contains('*'), "{owner}: {action}");
            for resource in branches(&statement["Resource"]) {
                let on = written(resource);
                if without.as_deref() != Some(&format!("{owner} {sid} {action} {on}")) {
                    granted.insert((action.to_owned(), on));
                }
            }
        }
    }
    granted
}

/// What rows declare.
#[must_use]
pub fn declared<'c>(rows: impl IntoIterator<Item = &'c Calls>) -> BTreeSet<Permission> {
    rows.into_iter()
        .flat_map(|row| {
            let actions = row.actions.iter();
            actions.flat_map(|action| row.on.iter().map(move |on| (*action, *on)))
        })
        .map(|(action, on)| (action.to_owned(), on.to_owned()))
        .collect()
}

/// What Lambda itself calls with a function's role: it writes the log, reads the event sources, and sends on what of a stream
/// could not be processed ("Defining Lambda function permissions with an execution role", Lambda guide).
#[must_use]
pub fn by_lambda(template: &Template, function: &str) -> BTreeSet<Permission> {
    const LOG: &[&str] = &["logs:CreateLogStream", "logs:PutLogEvents"];
    const QUEUE: &[&str] = &[
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    ];
    const STREAM: &[&str] = &[
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ];
    let properties = &template.resource(function).unwrap_or(&Value::Null)["Properties"];
    let mut calls = vec![(LOG, written(&properties["LoggingConfig"]["LogGroup"]))];
    for (_, event) in properties["Events"].as_object().into_iter().flatten() {
        let source = &event["Properties"];
        match event["Type"].as_str() {
            Some("SQS") => calls.push((QUEUE, written(&source["Queue"]))),
            Some("DynamoDB") => calls.push((STREAM, written(&source["Stream"]))),
            _ => {}
        }
        let on_failure = &source["DestinationConfig"]["OnFailure"];
        if on_failure["Type"] == "SQS" {
            calls.push((&["sqs:SendMessage"], written(&on_failure["Destination"])));
        }
    }
    calls
        .into_iter()
        .flat_map(|(actions, on)| {
            let actions = actions.iter();
            actions.map(move |action| ((*action).to_owned(), on.clone()))
        })
        .collect()
}

/// The differences, in words; empty if the role allows what is called and nothing else.
#[must_use]
pub fn differences(
    owner: &str,
    granted: &BTreeSet<Permission>,
    called: &BTreeSet<Permission>,
) -> Vec<String> {
    let lacks = called.difference(granted);
    let lacks = lacks
        .map(|(action, on)| format!("{owner} calls {action} on {on}, its role does not allow it"));
    let unused = granted.difference(called);
    let unused = unused.map(|(action, on)| {
        format!("the role of {owner} allows {action} on {on}, which nothing calls")
    });
    lacks.chain(unused).collect()
}

/// A resource of a policy as the rows write it.
#[must_use]
pub fn written(resource: &Value) -> String {
    if let Some(text) = resource.as_str() {
        return text.to_owned();
    }
    if let Some(name) = resource["Ref"].as_str() {
        return name.to_owned();
    }
    if let Some([Value::String(name), Value::String(attribute)]) =
        resource["Fn::GetAtt"].as_array().map(Vec::as_slice)
    {
        return match attribute.as_str() {
            "Arn" => name.clone(),
            other => format!("{name}.{other}"),
        };
    }
    let text = resource["Fn::Sub"].as_str().unwrap_or_default();
    let of_resource = text
        .strip_prefix("${")
        .and_then(|rest| rest.split_once(".Arn}"));
    match of_resource {
        Some((name, rest)) => format!("{name}{rest}"),
        None => text.to_owned(),
    }
}
