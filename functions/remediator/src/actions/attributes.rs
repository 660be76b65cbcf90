//! The attributes of topics and queues.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{member::Member, member_client, refusal::failed};

/// The attributes of the order's topic.
pub(super) async fn of_topic(member: &Member) -> Result<HashMap<String, String>, AwsCallError> {
    let answer = member_client!(aws_sdk_sns, member)
        .get_topic_attributes()
        .topic_arn(&member.target.resource)
        .send()
        .await
        .map_err(failed(Service::Sns, "GetTopicAttributes"))?;
    Ok(answer.attributes.unwrap_or_default())
}

/// Sets an attribute of the order's topic.
pub(super) async fn set_of_topic(
    member: &Member,
    name: &str,
    value: &str,
) -> Result<(), AwsCallError> {
    member_client!(aws_sdk_sns, member)
        .set_topic_attributes()
        .topic_arn(&member.target.resource)
        .attribute_name(name)
        .attribute_value(value)
        .send()
        .await
        .map_err(failed(Service::Sns, "SetTopicAttributes"))?;
    Ok(())
}

/// These attributes of the order's queue.
pub(super) async fn of_queue(
    member: &Member,
    names: &[QueueAttributeName],
) -> Result<HashMap<QueueAttributeName, String>, AwsCallError> {
    let client = member_client!(aws_sdk_sqs, member);
    let url = queue_url(&client, member).await?;
    let answer = client
        .get_queue_attributes()
        .set_queue_url(url)
        .set_attribute_names(Some(names.to_vec()))
        .send()
        .await
        .map_err(failed(Service::Sqs, "GetQueueAttributes"))?;
    Ok(answer.attributes.unwrap_or_default())
}

/// Sets an attribute of the order's queue.
pub(super) async fn set_of_queue(
    member: &Member,
    name: QueueAttributeName,
    value: &str,
) -> Result<(), AwsCallError> {
    let client = member_client!(aws_sdk_sqs, member);
    let url = queue_url(&client, member).await?;
    client
        .set_queue_attributes()
        .set_queue_url(url)
        .attributes(name, value)
        .send()
        .await
        .map_err(failed(Service::Sqs, "SetQueueAttributes"))?;
    Ok(())
}

async fn queue_url(
    client: &aws_sdk_sqs::Client,
    member: &Member,
) -> Result<Option<String>, AwsCallError> {
    let answer = client
        .get_queue_url()
        .queue_name(member.target.name())
        .queue_owner_aws_account_id(member.target.account.as_str())
        .send()
        .await
        .map_err(failed(Service::Sqs, "GetQueueUrl"))?;
    Ok(answer.queue_url)
}
