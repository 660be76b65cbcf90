//! The SNS topics that alerts are published on.

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use serde_json::json;

use crate::{
    alert::{Alert, Severity, cut},
    aws_error::{AwsCallError, Service},
    ids::AccountId,
};

/// A gateway to the topics.
#[derive(Clone, Debug)]
pub struct AlertTopics {
    client: Client,
    /// The ARNs for [`Severity::Info`], [`Severity::Error`] and [`Severity::Critical`].
    arns: [String; 3],
}

impl AlertTopics {
    /// What it calls.
    pub const CALLS: &[&str] = &["sns:Publish"];
    /// What looking for confirmed mail calls.
    pub const CHECK: &[&str] = &["sns:ListSubscriptionsByTopic"];

    /// A gateway over `client` to the topics with these ARNs. A function that publishes nothing critical can
    /// pass the topic of errors for it.
    #[must_use]
    pub fn new(client: Client, info: String, error: String, critical: String) -> Self {
        Self {
            client,
            arns: [info, error, critical],
        }
    }

    /// The ARN of the topic of a severity.
    #[must_use]
    pub fn of(&self, severity: Severity) -> &str {
        let [info, error, critical] = &self.arns;
        match severity {
            Severity::Info => info,
            Severity::Error => error,
            Severity::Critical => critical,
        }
    }

    /// Whether somebody has confirmed a mail subscription of the topic with this ARN.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn has_confirmed_mail(&self, topic: &str) -> Result<bool, AwsCallError> {
        let mut pages = self
            .client
            .list_subscriptions_by_topic()
            .topic_arn(topic)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                AwsCallError::new(Service::Sns, "ListSubscriptionsByTopic", &error)
            })?;
            // Until it is confirmed, `PendingConfirmation` is in the ARN's place.
            let confirmed = page.subscriptions().iter().any(|one| {
                let by_mail = one
                    .protocol()
                    .is_some_and(|protocol| protocol.starts_with("email"));
                by_mail
                    && one
                        .subscription_arn()
                        .is_some_and(|arn| arn.starts_with("arn:"))
            });
            if confirmed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Publishes an alert on the topic of its severity.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn publish(&self, alert: &Alert) -> Result<(), AwsCallError> {
        self.publish_on(self.of(alert.severity), alert).await
    }

    /// Publishes an alert on the topic with this ARN: as text to mail subscribers, as JSON to all others.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn publish_on(&self, topic: &str, alert: &Alert) -> Result<(), AwsCallError> {
        self.publish_to(None, topic, alert).await
    }

    /// Publishes an alert to the mail subscribers of the topic with this ARN only: the subscription of the
    /// queue for Slack filters it out by its attribute `audience`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn publish_by_mail(&self, topic: &str, alert: &Alert) -> Result<(), AwsCallError> {
        self.publish_to(Some("mail"), topic, alert).await
    }

    async fn publish_to(
        &self,
        audience: Option<&str>,
        topic: &str,
        alert: &Alert,
    ) -> Result<(), AwsCallError> {
        let short = Alert {
            title: cut(alert.title.clone()),
            details: alert
                .details
                .0
                .iter()
                .map(|(label, text)| (label.clone(), cut(text.clone())))
                .collect(),
            ..alert.clone()
        };
        // A `Value` would sort the details.
        let whole = serde_json::to_string(&short).unwrap_or_else(|_| short.text());
        let message = json!({ "default": whole, "email": short.text() });
        // `severity` is always there: a filter policy on `audience` lets nothing through without any attribute. By
        // `account` and `kind` a subscriber can choose those that they own.
        let account = alert.account.as_ref().and_then(|it| it.id.as_ref());
        let attributes = [
            ("severity", Some(alert.severity.word())),
            ("audience", audience),
            ("account", account.map(AccountId::as_str)),
            (
                "kind",
                Some(alert.kind.as_str()).filter(|kind| !kind.is_empty()),
            ),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value?);
            Some((name.to_owned(), value.build().ok()?))
        });
        self.client
            .publish()
            .topic_arn(topic)
            .subject(short.subject())
            .message_structure("json")
            .message(message.to_string())
            .set_message_attributes(Some(attributes.collect()))
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::Sns, "Publish", &error))
    }
}
