//! The rules of EventBridge that bring events to the queues.

use aws_sdk_eventbridge::{Client, types::RuleState};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::doctor::{
    check::{Check, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "event-rules",
    question: "Are the EventBridge rules on?",
    needs: &["events:DescribeRule"],
    needs_stack: true,
    applies: |_| true,
    run: |subject| Box::pin(run(subject)),
};

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let stack = subject.stack.as_ref();
    let rules = stack
        .into_iter()
        .flat_map(|stack| stack.resources_of("AWS::Events::Rule"));
    let (mut on, mut faults, mut fixes) = (0, Vec::new(), Vec::new());
    for id in rules {
        // CloudFormation names a rule of another bus with it.
        let (bus, name) = match id.split_once('|') {
            Some((bus, name)) => (Some(bus), name),
            None => (None, id),
        };
        let call = client
            .describe_rule()
            .name(name)
            .set_event_bus_name(bus.map(str::to_owned));
        let state = match call.send().await {
            Ok(rule) => rule.state,
            Err(error) => {
                let error = AwsCallError::new(Service::EventBridge, "DescribeRule", &error);
                if !error.has_code("ResourceNotFoundException") {
                    return Err(error);
                }
                faults.push(format!("{name} does not exist"));
                fixes.push("make deploy ENV=<environment>".to_owned());
                continue;
            }
        };
        if state == Some(RuleState::Disabled) {
            let on_bus = bus
                .map(|bus| format!(" --event-bus-name {bus}"))
                .unwrap_or_default();
            faults.push(format!("{name} is off"));
            fixes.push(format!("aws events enable-rule --name {name}{on_bus}"));
        } else {
            on += 1;
        }
    }
    if faults.is_empty() {
        return Ok(Verdict::fine(format!("{on} rules are on")));
    }
    fixes.dedup();
    Ok(Verdict::to_do(faults.join(", "), fixes.join("; ")))
}
