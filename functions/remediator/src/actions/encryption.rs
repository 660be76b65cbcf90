//! SNS.1 and SQS.1: encryption at rest. KMS.4: rotation of keys.

use aws_sdk_kms::types::{KeyManagerType, KeySpec, KeyState, MultiRegionKeyType, OriginType};
use aws_sdk_sqs::types::QueueAttributeName;
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use serde::{Deserialize, Serialize};

use super::attributes;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    policy_document::{PolicyDocument, PolicyText, Statement, texts},
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("sns-encryption", TopicEncryption,
        reads: ["sns:GetTopicAttributes" on "{resource}"],
        writes: ["sns:SetTopicAttributes" on "{resource}"],
        undo: ["sns:SetTopicAttributes" on "{resource}"]),
    row!("sqs-encryption", QueueEncryption,
        reads: ["sqs:GetQueueUrl" on "{resource}", "sqs:GetQueueAttributes" on "{resource}"],
        writes: ["sqs:SetQueueAttributes" on "{resource}"],
        undo: ["sqs:SetQueueAttributes" on "{resource}"]),
    row!("kms-key-rotation", KeyRotation,
        reads: ["kms:DescribeKey" on "{resource}", "kms:GetKeyRotationStatus" on "{resource}"],
        writes: ["kms:EnableKeyRotation" on "{resource}"],
        undo: ["kms:DisableKeyRotation" on "{resource}"]),
];

/// SNS.1.
struct TopicEncryption;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TopicState {
    kms_master_key_id: Option<String>,
    /// Whether AWS services publish to it, by its policy.
    #[serde(skip)]
    services_publish: bool,
}

const KEY_ATTRIBUTE: &str = "KmsMasterKeyId";
const KEY_OF_SNS: &str = "alias/aws/sns";

impl Action for TopicEncryption {
    type State = TopicState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<TopicState, CallFailed> {
        let mut attributes = attributes::of_topic(member).await?;
        let policy = attributes.remove("Policy").map(PolicyText::new);
        let document = policy.and_then(|it| it.document().ok());
        let mut statements = document.iter().flat_map(PolicyDocument::statements);
        // CloudWatch alarms publish without a statement of their own.
        let for_alarms = member.target.name() == super::cloudwatch::TOPIC;
        Ok(TopicState {
            kms_master_key_id: attributes
                .remove(KEY_ATTRIBUTE)
                .filter(|key| !key.is_empty()),
            services_publish: for_alarms || statements.any(is_for_a_service),
        })
    }

    fn plan(&self, state: &TopicState, order: &Order) -> Plan<TopicState> {
        if state.kms_master_key_id.is_some() {
            return Plan::Compliant;
        }
        let key = parameters::text(order, "kms_key");
        if key.is_none() && state.services_publish {
            return Plan::Blocked(format!(
                "AWS services publish to this topic, and could not with the key {KEY_OF_SNS}: name a key that they may \
                 use by the parameter kms_key"
            ));
        }
        Plan::Change(TopicState {
            kms_master_key_id: Some(key.unwrap_or(KEY_OF_SNS).to_owned()),
            services_publish: state.services_publish,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &TopicState,
        after: &TopicState,
    ) -> Result<(), CallFailed> {
        // An empty text switches encryption off.
        let key = after.kms_master_key_id.as_deref().unwrap_or_default();
        attributes::set_of_topic(member, KEY_ATTRIBUTE, key).await?;
        Ok(())
    }
}

fn is_for_a_service(statement: &Statement) -> bool {
    let value = statement.value();
    value["Effect"] == "Allow" && !texts(&value["Principal"]["Service"]).is_empty()
}

/// SQS.1.
struct QueueEncryption;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueState {
    kms_master_key_id: Option<String>,
    sqs_managed_sse_enabled: bool,
}

impl Action for QueueEncryption {
    type State = QueueState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<QueueState, CallFailed> {
        let names = [
            QueueAttributeName::KmsMasterKeyId,
            QueueAttributeName::SqsManagedSseEnabled,
        ];
        let mut attributes = attributes::of_queue(member, &names).await?;
        let [key, managed] = names.map(|name| attributes.remove(&name));
        Ok(QueueState {
            kms_master_key_id: key.filter(|key| !key.is_empty()),
            sqs_managed_sse_enabled: managed.as_deref() == Some("true"),
        })
    }

    fn plan(&self, state: &QueueState, _order: &Order) -> Plan<QueueState> {
        if state.kms_master_key_id.is_some() || state.sqs_managed_sse_enabled {
            return Plan::Compliant;
        }
        Plan::Change(QueueState {
            kms_master_key_id: None,
            sqs_managed_sse_enabled: true,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &QueueState,
        after: &QueueState,
    ) -> Result<(), CallFailed> {
        let managed = after.sqs_managed_sse_enabled.to_string();
        attributes::set_of_queue(member, QueueAttributeName::SqsManagedSseEnabled, &managed)
            .await?;
        Ok(())
    }
}

/// KMS.4.
struct KeyRotation;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RotationState {
    key_rotation_enabled: bool,
    /// Why the key is none that AWS rotates.
    #[serde(skip)]
    not_rotated: Option<&'static str>,
}

impl Action for KeyRotation {
    type State = RotationState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<RotationState, CallFailed> {
        let client = member_client!(aws_sdk_kms, member);
        let answer = client
            .describe_key()
            .key_id(&member.target.resource)
            .send()
            .await
            .map_err(failed(Service::Kms, "DescribeKey"))?;
        let not_rotated = answer.key_metadata.as_ref().and_then(not_rotated);
        if not_rotated.is_some() {
            return Ok(RotationState {
                key_rotation_enabled: false,
                not_rotated,
            });
        }
        let status = client
            .get_key_rotation_status()
            .key_id(&member.target.resource)
            .send()
            .await
            .map_err(failed(Service::Kms, "GetKeyRotationStatus"))?;
        Ok(RotationState {
            key_rotation_enabled: status.key_rotation_enabled,
            not_rotated: None,
        })
    }

    fn plan(&self, state: &RotationState, _order: &Order) -> Plan<RotationState> {
        if let Some(reason) = state.not_rotated {
            return Plan::NotApplicable(reason.to_owned());
        }
        if state.key_rotation_enabled {
            return Plan::Compliant;
        }
        Plan::Change(RotationState {
            key_rotation_enabled: true,
            not_rotated: None,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &RotationState,
        after: &RotationState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_kms, member);
        if !after.key_rotation_enabled {
            client
                .disable_key_rotation()
                .key_id(&member.target.resource)
                .send()
                .await
                .map_err(failed(Service::Kms, "DisableKeyRotation"))?;
            return Ok(());
        }
        client
            .enable_key_rotation()
            .key_id(&member.target.resource)
            .send()
            .await
            .map_err(failed(Service::Kms, "EnableKeyRotation"))?;
        Ok(())
    }
}

/// Why AWS does not rotate a key; nothing if it can.
fn not_rotated(key: &aws_sdk_kms::types::KeyMetadata) -> Option<&'static str> {
    let replica = key
        .multi_region_configuration
        .as_ref()
        .is_some_and(|it| it.multi_region_key_type == Some(MultiRegionKeyType::Replica));
    [
        (
            key.key_manager != Some(KeyManagerType::Customer),
            "AWS manages the key and rotates it itself",
        ),
        (
            key.key_spec != Some(KeySpec::SymmetricDefault),
            "only symmetric encryption keys are rotated",
        ),
        (
            key.origin != Some(OriginType::AwsKms),
            "only keys whose material is from KMS are rotated",
        ),
        (
            key.key_state != Some(KeyState::Enabled),
            "the key is not enabled",
        ),
        (replica, "the key is a replica: its primary key is rotated"),
    ]
    .into_iter()
    .find_map(|(is, reason)| is.then_some(reason))
}

#[cfg(test)]
mod tests {
    use aws_sdk_kms::types::{KeyMetadata, MultiRegionConfiguration};

    use super::*;
    use crate::parameters::tests;

    fn order(parameters: &[(&str, &str)]) -> Order {
        tests::order("", "arn:aws:sns:eu-west-1:111122223333:t", parameters)
    }

    fn topic(key: Option<&str>, services_publish: bool) -> TopicState {
        TopicState {
            kms_master_key_id: key.map(str::to_owned),
            services_publish,
        }
    }

    #[test]
    fn a_topic_gets_a_key_that_its_publishers_can_use() {
        for (state, parameters, expected) in [
            (
                topic(None, false),
                &[][..],
                Plan::Change(topic(Some(KEY_OF_SNS), false)),
            ),
            (
                topic(None, true),
                &[("kms_key", "alias/own")],
                Plan::Change(topic(Some("alias/own"), true)),
            ),
            (topic(Some("alias/x"), true), &[], Plan::Compliant),
        ] {
            assert_eq!(TopicEncryption.plan(&state, &order(parameters)), expected);
        }
        let planned = TopicEncryption.plan(&topic(None, true), &order(&[]));
        assert!(matches!(planned, Plan::Blocked(reason) if reason.contains("kms_key")));
    }

    #[test]
    fn a_queue_with_either_encryption_stays() {
        let queue = |key: Option<&str>, sqs_managed_sse_enabled| QueueState {
            kms_master_key_id: key.map(str::to_owned),
            sqs_managed_sse_enabled,
        };
        let planned = |state| QueueEncryption.plan(&state, &order(&[]));
        assert_eq!(planned(queue(Some("alias/x"), false)), Plan::Compliant);
        assert_eq!(planned(queue(None, true)), Plan::Compliant);
        assert_eq!(planned(queue(None, false)), Plan::Change(queue(None, true)));
    }

    #[test]
    fn only_keys_that_aws_can_rotate_are_rotated() {
        let key = || {
            KeyMetadata::builder()
                .key_id("k")
                .key_manager(KeyManagerType::Customer)
                .key_spec(KeySpec::SymmetricDefault)
                .origin(OriginType::AwsKms)
                .key_state(KeyState::Enabled)
        };
        let replica = MultiRegionConfiguration::builder()
            .multi_region_key_type(MultiRegionKeyType::Replica)
            .build();
        for (key, rotated) in [
            (key(), true),
            (key().key_manager(KeyManagerType::Aws), false),
            (key().key_spec(KeySpec::Rsa2048), false),
            (key().origin(OriginType::External), false),
            (key().key_state(KeyState::Disabled), false),
            (key().key_state(KeyState::PendingDeletion), false),
            (key().multi_region_configuration(replica), false),
        ] {
            let key = key.build().unwrap();
            assert_eq!(not_rotated(&key).is_none(), rotated, "{key:?}");
        }
        let state = |key_rotation_enabled| RotationState {
            key_rotation_enabled,
            not_rotated: None,
        };
        assert_eq!(KeyRotation.plan(&state(true), &order(&[])), Plan::Compliant);
        assert_eq!(
            KeyRotation.plan(&state(false), &order(&[])),
            Plan::Change(state(true))
        );
    }
}
