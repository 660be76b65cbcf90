//! What arrives.

use aws_lambda_events::sqs::SqsEvent;
use orgkeeper_shared::{ids::FindingId, remediation::order::Order};
use serde::Deserialize;

/// What arrives.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Incoming {
    /// A batch of the preview queue.
    Previews(SqsEvent),
    /// An order of the state machine.
    Order(Box<Forwarded>),
}

/// An order, and the function that is to carry it out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forwarded {
    /// The function's name or ARN, with a version or alias after a colon if one is meant.
    pub function: String,
    /// The order.
    pub order: Order,
}

/// A message of the preview queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The key of the remediation.
    pub key: String,
    /// The order.
    pub order: Order,
    /// The findings about it.
    pub findings: Vec<FindingId>,
    /// Who made the resource as it is, if a finding says it.
    #[serde(default)]
    pub actor: Option<String>,
}
