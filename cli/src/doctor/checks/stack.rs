//! The state of the stack.

use std::future::ready;

use crate::doctor::{
    check::{Check, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "stack",
    question: "Did the last deployment succeed?",
    needs: &[
        "cloudformation:DescribeStacks",
        "cloudformation:ListStackResources",
    ],
    needs_stack: true,
    applies: |_| true,
    run: |subject| Box::pin(ready(Ok(run(subject)))),
};

/// States of a stack that works.
const GOOD: [&str; 3] = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"];

fn run(subject: &Subject) -> Verdict {
    let status = subject.stack.as_ref().map_or("", |stack| &stack.status);
    if GOOD.contains(&status) {
        return Verdict::fine(status);
    }
    let name = &subject.stack_name;
    let fix = if status.ends_with("_IN_PROGRESS") {
        format!("wait: aws cloudformation describe-stacks --stack-name {name}")
    } else {
        format!(
            "read the reason, then deploy again: aws cloudformation describe-stack-events --stack-name {name}"
        )
    };
    Verdict::to_do(format!("the stack is in the state {status}"), fix)
}
