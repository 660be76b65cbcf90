//! The dead-letter queues.

use aws_sdk_sqs::Client;
use orgkeeper_shared::aws_error::AwsCallError;

use crate::{
    aws::sqs::depth,
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    stack::Stack,
};

pub(super) const CHECK: Check = Check {
    id: "dead-letters",
    question: "Are the dead-letter queues empty?",
    needs: &["sqs:GetQueueAttributes"],
    needs_stack: true,
    applies: |_| true,
    run: |subject| Box::pin(run(subject)),
};

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let (mut found, mut fixes) = (Vec::new(), Vec::new());
    for queue in subject.stack.iter().flat_map(Stack::queues) {
        let messages = depth(&client, queue.dead_letters_url).await?.all();
        if messages > 0 {
            let name = queue.row.name;
            found.push(format!("{name} has {messages}"));
            fixes.push(format!("orgkeeper redrive {name}"));
        }
    }
    if found.is_empty() {
        return Ok(Verdict::fine("all are empty"));
    }
    Ok(Verdict::to_do(
        found.join(", "),
        format!(
            "look at the reasons, remove them, then redrive: {}",
            fixes.join("; ")
        ),
    ))
}
