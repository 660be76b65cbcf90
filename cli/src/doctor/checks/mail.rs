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
    let (mut faults, mut fixes) = (Vec::new(), Vec::new());
    for (topic, parameter) in TOPICS {
        let (Some(arn), Some(address)) = (subject.resource(topic), subject.parameter(parameter))
        else {
            continue;
        };
        // The topic is subscribed in another way, and by whom is not in the template.
        if address == "none" {
            continue;
        }
        let mails = mails(&client, arn).await?;
        let subscribe = format!(
            "aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint <{parameter}>"
        );
        if mails.is_empty() {
            faults.push(format!("{parameter} is not subscribed any more"));
            fixes.push(subscribe);
        } else if mails.iter().any(is_pending) {
            faults.push(format!("{parameter} is not confirmed"));
            fixes.push(format!(
                "open the link in the mail of SNS; to receive it again: {subscribe}"
            ));
        }
    }
    if faults.is_empty() {
        return Ok(Verdict::fine("every address was confirmed"));
    }
    Ok(Verdict::to_do(faults.join(", "), fixes.join("; ")))
}

fn is_pending(subscription: &Subscription) -> bool {
    subscription.subscription_arn.as_deref() == Some(PENDING)
}

/// The mail subscriptions of a topic.
async fn mails(client: &Client, topic: &str) -> Result<Vec<Subscription>, AwsCallError> {
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
    Ok(mails)
}
