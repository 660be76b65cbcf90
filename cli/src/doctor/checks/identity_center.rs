//! The instance of IAM Identity Center.

use aws_sdk_ssoadmin::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "identity-center",
    question: "Is the instance of IAM Identity Center in this Region?",
    needs: &["sso:ListInstances"],
    needs_stack: true,
    applies: |subject| {
        subject.has(&[Flow::Vend]) && subject.parameter("IdentityCenterInstanceArn").is_some()
    },
    run: |subject| Box::pin(run(subject)),
};

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let wanted = subject
        .parameter("IdentityCenterInstanceArn")
        .unwrap_or_default();
    let here = &subject.region;
    let answer = Client::new(&subject.sdk).list_instances().send().await;
    let answer =
        answer.map_err(|error| AwsCallError::new(Service::SsoAdmin, "ListInstances", &error))?;
    let instances = answer.instances.unwrap_or_default();
    let arns: Vec<&str> = instances
        .iter()
        .filter_map(|it| it.instance_arn.as_deref())
        .collect();
    if arns.contains(&wanted) {
        return Ok(Verdict::fine(format!("{wanted} is in {here}")));
    }
    Ok(match arns.first() {
        Some(other) => Verdict::to_do(
            format!("the instance in {here} is {other}, and the stack has {wanted}"),
            subject.set_parameter(&format!("IdentityCenterInstanceArn={other}")),
        ),
        None => Verdict::to_do(
            format!(
                "{here} has no instance of IAM Identity Center: access cannot be assigned from here"
            ),
            "deploy the vend flow in the Region of Identity Center, which has to be the home Region of Control Tower",
        ),
    })
}
