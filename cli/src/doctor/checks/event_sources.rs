//! The event source mappings by which Lambda reads queues and the stream.

use aws_sdk_lambda::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    stack::Stack,
};

pub(super) const CHECK: Check = Check {
    id: "event-sources",
    question: "Does Lambda read the queues?",
    needs: &["lambda:GetEventSourceMapping"],
    needs_stack: true,
    applies: |_| true,
    run: |subject| Box::pin(run(subject)),
};

/// States of a mapping that somebody switched off.
const OFF: [&str; 2] = ["Disabled", "Disabling"];

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let (mut on, mut off, mut fixes) = (0, Vec::new(), Vec::new());
    let mappings = subject.stack.iter().flat_map(mappings_of);
    for id in mappings {
        let answer = client.get_event_source_mapping().uuid(id).send().await;
        let mapping = answer
            .map_err(|error| AwsCallError::new(Service::Lambda, "GetEventSourceMapping", &error))?;
        if OFF.contains(&mapping.state.unwrap_or_default().as_str()) {
            let source = mapping.event_source_arn.unwrap_or_default();
            off.push(format!("{source} is not read"));
            fixes.push(format!(
                "aws lambda update-event-source-mapping --uuid {id} --enabled"
            ));
        } else {
            on += 1;
        }
    }
    if off.is_empty() {
        return Ok(Verdict::fine(format!("{on} event source mappings are on")));
    }
    Ok(Verdict::to_do(off.join(", "), fixes.join("; ")))
}

fn mappings_of(stack: &Stack) -> impl Iterator<Item = &str> {
    stack.resources_of("AWS::Lambda::EventSourceMapping")
}
