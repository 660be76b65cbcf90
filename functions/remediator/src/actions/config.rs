//! Config.1: AWS Config records every kind of resource, with its service-linked role.
//!
//! From nothing this takes more calls than any other fix, eleven: the session; recorder and channel are read; role,
//! recorder, bucket, its policy, channel and start are one call each; recorder and its status are read again. In
//! us-east-1 it is one more ([`OwnBucket::create_with`]).

use aws_sdk_config::types::{
    ConfigurationRecorder, DeliveryChannel, RecordingGroup, RecordingMode,
};
use orgkeeper_shared::{
    aws_error::Service,
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    actions::buckets::{self, OwnBucket},
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[row!("config-recorder", RecordAll,
reads: [
    "config:DescribeConfigurationRecorders" on "*",
    "config:DescribeConfigurationRecorderStatus" on "*",
    "config:DescribeDeliveryChannels" on "*",
],
writes: [
    "config:PutConfigurationRecorder" on "*",
    "config:PutDeliveryChannel" on "*",
    "config:StartConfigurationRecorder" on "*",
    "iam:CreateServiceLinkedRole" on
        "arn:{partition}:iam::{account}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig",
    "iam:PassRole" on
        "arn:{partition}:iam::{account}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
        if "iam:PassedToService" is "config.amazonaws.com",
    "s3:CreateBucket" on "arn:{partition}:s3:::orgkeeper-config-{account}-{region}",
    "s3:GetBucketPolicy" on "arn:{partition}:s3:::orgkeeper-config-{account}-{region}",
    "s3:PutBucketPolicy" on "arn:{partition}:s3:::orgkeeper-config-{account}-{region}",
],
not_undoable: "which resource types AWS Config recorded before is not kept, and Security Hub reads what it records now: if it \
               has to stop, stop it (aws configservice stop-configuration-recorder --configuration-recorder-name default)",
)];

/// The name of the one recorder and the one delivery channel that an account has in a Region.
const DEFAULT: &str = "default";
const SERVICE: &str = "config.amazonaws.com";
/// What IAM answers if the service-linked role exists ("Service role name … has been taken").
const ROLE_EXISTS: &[&str] = &["InvalidInput", "EntityAlreadyExists"];
/// Where the types of global resources (IAM) are recorded, so that they are recorded once: the Regions they live in.
const OF_GLOBAL_TYPES: &[&str] = &["us-east-1", "cn-north-1", "us-gov-west-1"];
/// The order's parameter for a bucket that exists, in place of orgkeeper's own.
const BUCKET: &str = "bucket";
/// The control's parameter: whether the role has to be the service-linked one.
const CHECK_ROLE: &str = "includeConfigServiceLinkedRoleCheck";

/// Config.1.
struct RecordAll;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigState {
    recorder: Option<Recorder>,
    delivery_bucket: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Recorder {
    name: String,
    role_arn: String,
    all_resource_types: bool,
    global_resource_types: bool,
    recording: bool,
    /// Written back as it was.
    #[serde(skip)]
    mode: Option<RecordingMode>,
}

impl Action for RecordAll {
    type State = ConfigState;

    async fn read(&self, member: &Member, order: &Order) -> Result<ConfigState, CallFailed> {
        let recorder = recorder(member).await?;
        let channel = member
            .once(async || bucket_of_channel(member).await)
            .await?;
        let recording = recorder.as_ref().is_some_and(|it| it.recording);
        // A recorder starts only with a delivery channel: if there was none before, it is ours.
        let ours = recording.then(|| bucket(order));
        Ok(ConfigState {
            recorder,
            delivery_bucket: (*channel).clone().or(ours),
        })
    }

    fn plan(&self, state: &ConfigState, order: &Order) -> Plan<ConfigState> {
        let any_role = parameters::flag(order, CHECK_ROLE) == Some(false);
        let own_role = role(&order.target);
        let wanted = match &state.recorder {
            Some(known) => Recorder {
                role_arn: if any_role {
                    known.role_arn.clone()
                } else {
                    own_role
                },
                all_resource_types: true,
                global_resource_types: known.global_resource_types
                    || !known.all_resource_types && has_global_types(&order.target),
                recording: true,
                ..known.clone()
            },
            None => Recorder {
                name: DEFAULT.to_owned(),
                role_arn: own_role,
                all_resource_types: true,
                global_resource_types: has_global_types(&order.target),
                recording: true,
                mode: None,
            },
        };
        let wanted = ConfigState {
            recorder: Some(wanted),
            delivery_bucket: state
                .delivery_bucket
                .clone()
                .or_else(|| Some(bucket(order))),
        };
        if wanted == *state {
            return Plan::Compliant;
        }
        Plan::Change(wanted)
    }

    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        before: &ConfigState,
        after: &ConfigState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_config, member);
        let Some(recorder) = &after.recorder else {
            return Ok(());
        };
        let known = before.recorder.as_ref();
        if known.is_none_or(|known| is_defined_otherwise(known, recorder)) {
            if known.is_none_or(|known| known.role_arn != recorder.role_arn) {
                create_role(member).await?;
            }
            client
                .put_configuration_recorder()
                .configuration_recorder(definition(recorder))
                .send()
                .await
                .map_err(failed(Service::Config, "PutConfigurationRecorder"))?;
        }
        if before.delivery_bucket.is_none() {
            let bucket = bucket(order);
            if parameters::text(order, BUCKET).is_none() {
                let statements = statements(&member.target, &bucket);
                let own = OwnBucket {
                    name: bucket.clone(),
                    region: member.target.region.clone(),
                };
                own.create_with(member, statements).await?;
            }
            let channel = DeliveryChannel::builder()
                .name(DEFAULT)
                .s3_bucket_name(bucket)
                .build();
            client
                .put_delivery_channel()
                .delivery_channel(channel)
                .send()
                .await
                .map_err(failed(Service::Config, "PutDeliveryChannel"))?;
        }
        if known.is_none_or(|known| !known.recording) {
            client
                .start_configuration_recorder()
                .configuration_recorder_name(&recorder.name)
                .send()
                .await
                .map_err(failed(Service::Config, "StartConfigurationRecorder"))?;
        }
        Ok(())
    }
}

/// The recorder that the account manages; another AWS service may have one of its own beside it.
async fn recorder(member: &Member) -> Result<Option<Recorder>, CallFailed> {
    let client = member_client!(aws_sdk_config, member);
    let answer = client
        .describe_configuration_recorders()
        .send()
        .await
        .map_err(failed(Service::Config, "DescribeConfigurationRecorders"))?;
    let recorders = answer.configuration_recorders.unwrap_or_default();
    let own = recorders
        .into_iter()
        .find(|recorder| recorder.service_principal.is_none());
    let Some(own) = own else {
        return Ok(None);
    };
    let name = own.name.unwrap_or_else(|| DEFAULT.to_owned());
    let answer = client
        .describe_configuration_recorder_status()
        .configuration_recorder_names(&name)
        .send()
        .await
        .map_err(failed(
            Service::Config,
            "DescribeConfigurationRecorderStatus",
        ))?;
    let status = answer.configuration_recorders_status.unwrap_or_default();
    let group = own.recording_group;
    Ok(Some(Recorder {
        name,
        role_arn: own.role_arn.unwrap_or_default(),
        all_resource_types: group.as_ref().is_some_and(|group| group.all_supported),
        global_resource_types: group.is_some_and(|group| group.include_global_resource_types),
        recording: status.iter().any(|status| status.recording),
        mode: own.recording_mode,
    }))
}

async fn bucket_of_channel(member: &Member) -> Result<Option<String>, CallFailed> {
    let answer = member_client!(aws_sdk_config, member)
        .describe_delivery_channels()
        .send()
        .await
        .map_err(failed(Service::Config, "DescribeDeliveryChannels"))?;
    let channel = answer.delivery_channels.unwrap_or_default().pop();
    Ok(channel.and_then(|channel| channel.s3_bucket_name))
}

/// Whether the recorder itself has to be written.
fn is_defined_otherwise(known: &Recorder, wanted: &Recorder) -> bool {
    let recording = known.recording;
    *known
        != Recorder {
            recording,
            ..wanted.clone()
        }
}

fn definition(recorder: &Recorder) -> ConfigurationRecorder {
    let group = RecordingGroup::builder()
        .all_supported(recorder.all_resource_types)
        .include_global_resource_types(recorder.global_resource_types)
        .build();
    ConfigurationRecorder::builder()
        .name(&recorder.name)
        .role_arn(&recorder.role_arn)
        .recording_group(group)
        .set_recording_mode(recorder.mode.clone())
        .build()
}

async fn create_role(member: &Member) -> Result<(), CallFailed> {
    let created = member_client!(aws_sdk_iam, member)
        .create_service_linked_role()
        .aws_service_name(SERVICE)
        .send()
        .await
        .map_err(failed(Service::Iam, "CreateServiceLinkedRole"));
    match created {
        Err(error) if !ROLE_EXISTS.iter().any(|code| error.has_code(code)) => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What AWS Config needs in the policy of a bucket.
fn statements(target: &Target, bucket: &str) -> Vec<Value> {
    let arn = buckets::arn_of(target, bucket);
    let of_account = json!({ "aws:SourceAccount": target.account });
    vec![
        json!({
            "Sid": "OrgkeeperConfigBucket",
            "Effect": "Allow",
            "Principal": { "Service": SERVICE },
            "Action": ["s3:GetBucketAcl", "s3:ListBucket"],
            "Resource": arn,
            "Condition": { "StringEquals": of_account },
        }),
        json!({
            "Sid": "OrgkeeperConfigDelivery",
            "Effect": "Allow",
            "Principal": { "Service": SERVICE },
            "Action": "s3:PutObject",
            "Resource": format!("{arn}/AWSLogs/{}/Config/*", target.account),
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": target.account,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                },
            },
        }),
        buckets::require_tls(target, bucket),
    ]
}

/// The bucket that a new delivery channel uses.
fn bucket(order: &Order) -> String {
    let target = &order.target;
    let own = || format!("orgkeeper-config-{}-{}", target.account, target.region);
    parameters::text(order, BUCKET).map_or_else(own, str::to_owned)
}

/// The service-linked role.
fn role(target: &Target) -> String {
    format!(
        "arn:{}:iam::{}:role/aws-service-role/{SERVICE}/AWSServiceRoleForConfig",
        target.partition(),
        target.account
    )
}

fn has_global_types(target: &Target) -> bool {
    OF_GLOBAL_TYPES.contains(&target.region.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    const ROLE: &str = "arn:aws:iam::111122223333:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig";

    fn config_order() -> Order {
        order("Config.1", "AWS::::Account:111122223333")
    }

    fn good() -> Recorder {
        Recorder {
            name: "default".to_owned(),
            role_arn: ROLE.to_owned(),
            all_resource_types: true,
            global_resource_types: false,
            recording: true,
            mode: None,
        }
    }

    fn state(recorder: Option<Recorder>, bucket: Option<&str>) -> ConfigState {
        ConfigState {
            recorder,
            delivery_bucket: bucket.map(str::to_owned),
        }
    }

    #[test]
    fn all_is_created_where_there_is_nothing() {
        let own = "orgkeeper-config-111122223333-eu-west-1";
        let mut order = config_order();
        let nothing = state(None, None);
        let plan = RecordAll.plan(&nothing, &order);
        assert_eq!(plan, Plan::Change(state(Some(good()), Some(own))));
        let bucket = vec!["config-archive".to_owned()];
        order.parameters.insert("bucket".to_owned(), bucket);
        let plan = RecordAll.plan(&nothing, &order);
        assert_eq!(
            plan,
            Plan::Change(state(Some(good()), Some("config-archive")))
        );
        "us-east-1".clone_into(&mut order.target.region);
        let Plan::Change(after) = RecordAll.plan(&nothing, &order) else {
            panic!("nothing is recorded");
        };
        assert!(after.recorder.unwrap().global_resource_types);
    }

    #[test]
    fn what_is_stricter_stays() {
        let order = config_order();
        let known = Recorder {
            name: "team".to_owned(),
            global_resource_types: true,
            mode: Some(
                RecordingMode::builder()
                    .recording_frequency(aws_sdk_config::types::RecordingFrequency::Daily)
                    .build()
                    .unwrap(),
            ),
            ..good()
        };
        let plan = |recorder| RecordAll.plan(&state(Some(recorder), Some("theirs")), &order);
        assert_eq!(plan(known.clone()), Plan::Compliant);
        let after = Plan::Change(state(Some(known.clone()), Some("theirs")));
        for worse in [
            Recorder {
                recording: false,
                ..known.clone()
            },
            Recorder {
                all_resource_types: false,
                ..known.clone()
            },
            Recorder {
                role_arn: "arn:aws:iam::111122223333:role/config".to_owned(),
                ..known.clone()
            },
        ] {
            assert_eq!(plan(worse), after);
        }
    }

    #[test]
    fn another_role_is_kept_where_the_control_does_not_ask() {
        let mut order = config_order();
        let unchecked = vec!["false".to_owned()];
        order.parameters.insert(CHECK_ROLE.to_owned(), unchecked);
        let theirs = Recorder {
            role_arn: "arn:aws:iam::111122223333:role/config".to_owned(),
            ..good()
        };
        let state = state(Some(theirs), Some("theirs"));
        assert_eq!(RecordAll.plan(&state, &order), Plan::Compliant);
    }

    #[test]
    fn only_what_differs_is_written() {
        let stopped = Recorder {
            recording: false,
            ..good()
        };
        assert!(!is_defined_otherwise(&stopped, &good()));
        let partial = Recorder {
            all_resource_types: false,
            ..good()
        };
        assert!(is_defined_otherwise(&partial, &good()));
    }
}
