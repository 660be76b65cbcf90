//! Mail subscriptions: SNS sends nothing to an address that was not confirmed.

use aws_sdk_sns::{Client, types::Subscription};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::doctor::{
    check::{Check, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "mail",
    question: "Are the mail subscriptions confirmed?",
    needs: &["sns:ListSubscriptionsByTopic"],
    needs_stack: true,
    applies: |_| true,
    run: |subject| Box::pin(run(subject)),
};

/// Topics, and the parameter of their subscriber.
const TOPICS: [(&str, &str); 3] = [
    ("CriticalTopic", "CriticalEmail"),
    ("ErrorTopic", "ErrorEmail"),
    ("InfoTopic", "InfoEmail"),
];
/// What SNS writes in place of an ARN.
const PENDING: &str = "PendingConfirmation";

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    if subject.parameter("ErrorEmail").is_none() {
        return Ok(Verdict::to_do(
            "nobody receives errors by mail: faults of the alert flow itself are sent by mail only",
            subject.set_parameter("ErrorEmail=<address>"),
        ));
    }
    let (mut unconfirmed, mut fixes) = (Vec::new(), Vec::new());
    for (topic, parameter) in TOPICS {
        let (Some(arn), Some(address)) = (subject.resource(topic), subject.parameter(parameter))
        else {
            continue;
        };
        // The topic is subscribed in another way, and by whom is not in the template.
        if address == "none" {
            continue;
        }
        if !confirmed(&client, arn).await? {
            unconfirmed.push(parameter);
            fixes.push(format!(
                "aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint <{parameter}>"
            ));
        }
    }
    if unconfirmed.is_empty() {
        return Ok(Verdict::fine("every address was confirmed"));
    }
    Ok(Verdict::to_do(
        format!("not confirmed: {}", unconfirmed.join(", ")),
        format!(
            "open the link in the mail of SNS; to receive it again: {}",
            fixes.join("; ")
        ),
    ))
}

/// Whether a topic has mail subscribers, and all of them are confirmed.
async fn confirmed(client: &Client, topic: &str) -> Result<bool, AwsCallError> {
    let mut pages = client
        .list_subscriptions_by_topic()
        .topic_arn(topic)
        .into_paginator()
        .send();
    let mut mails: Vec<Subscription> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(|error| AwsCallError::new(Service::Sns, "ListSubscriptionsByTopic", &error))?;
        let subscriptions = page.subscriptions.unwrap_or_default();
        let mail = |it: &Subscription| it.protocol.as_deref() == Some("email");
        mails.extend(subscriptions.into_iter().filter(mail));
    }
    let pending = |it: &Subscription| it.subscription_arn.as_deref() == Some(PENDING);
    Ok(!mails.is_empty() && !mails.iter().any(pending))
}
