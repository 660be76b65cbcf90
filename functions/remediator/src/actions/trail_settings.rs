//! CloudTrail.2: a trail's encryption. CloudTrail.4: validation of its files. CloudTrail.5: its events in CloudWatch
//! Logs.

use std::{cell::RefCell, rc::Rc};

use aws_sdk_cloudtrail::types::Trail;
use aws_sdk_kms::types::KeyState;
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::trails::is_of_organization;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("cloudtrail-encryption", Encryption,
    reads: [
        "cloudtrail:GetTrail" on "{resource}",
        "kms:DescribeKey" on "arn:{partition}:kms:{region}:{account}:key/*",
    ],
    writes: [
        "cloudtrail:UpdateTrail" on "{resource}",
        "kms:CreateKey" on "*",
        "kms:EnableKeyRotation" on "arn:{partition}:kms:{region}:{account}:key/*",
        "kms:CreateAlias" on "arn:{partition}:kms:{region}:{account}:key/*",
        "kms:CreateAlias" on "arn:{partition}:kms:{region}:{account}:alias/orgkeeper-cloudtrail",
    ],
    undo: ["cloudtrail:UpdateTrail" on "{resource}"]),
    row!("cloudtrail-validation", Validation,
        reads: ["cloudtrail:GetTrail" on "{resource}"],
        writes: ["cloudtrail:UpdateTrail" on "{resource}"],
        undo: ["cloudtrail:UpdateTrail" on "{resource}"]),
    row!("cloudtrail-logs", Logs,
    reads: ["cloudtrail:GetTrail" on "{resource}"],
    writes: [
        "cloudtrail:UpdateTrail" on "{resource}",
        "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/cloudtrail",
        "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/cloudtrail:*",
        "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/cloudtrail",
        "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/cloudtrail:*",
        "iam:CreateRole" on "arn:{partition}:iam::{account}:role/OrgkeeperCloudTrailLogs",
        "iam:PutRolePolicy" on "arn:{partition}:iam::{account}:role/OrgkeeperCloudTrailLogs",
        "iam:PassRole" on "arn:{partition}:iam::{account}:role/OrgkeeperCloudTrailLogs"
            if "iam:PassedToService" is "cloudtrail.amazonaws.com",
    ],
    undo: ["cloudtrail:UpdateTrail" on "{resource}"]),
];

/// The trail that the order is about.
pub(super) async fn trail(member: &Member) -> Result<Trail, CallFailed> {
    let answer = member_client!(aws_sdk_cloudtrail, member)
        .get_trail()
        .name(&member.target.resource)
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "GetTrail"))?;
    Ok(answer
        .trail
        .unwrap_or_else(|| Trail::builder().trail_arn(&member.target.resource).build()))
}

fn organizations<S>() -> Plan<S> {
    Plan::Blocked(
        "this is the organization's trail: it is changed in the management account only".to_owned(),
    )
}

/// CloudTrail.2.
///
/// With neither key nor alias, a fix is eight calls.
struct Encryption;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionState {
    /// A key that this order created, or the fix that it undoes, is shown by its alias, as a preview shows it.
    kms_key_id: Option<String>,
    #[serde(skip)]
    of_organization: bool,
    /// Our key, where it is needed.
    #[serde(skip)]
    own_key: Option<OwnKey>,
}

#[derive(Clone, Debug, PartialEq)]
enum OwnKey {
    /// There is none.
    Missing,
    /// Its ARN.
    Usable(String),
    /// It is disabled, or about to be deleted.
    Unusable,
}

/// The ARN of the key that this order created.
#[derive(Default)]
struct Created(RefCell<Option<String>>);

const OWN_KEY: &str = "alias/orgkeeper-cloudtrail";
const KMS_KEY: &str = "kms_key";

impl Action for Encryption {
    type State = EncryptionState;

    async fn read(&self, member: &Member, order: &Order) -> Result<EncryptionState, CallFailed> {
        let trail = trail(member).await?;
        let created = created(member).await?;
        let mut state = EncryptionState {
            of_organization: is_of_organization(&trail, &member.target),
            kms_key_id: trail.kms_key_id.filter(|key| !key.is_empty()),
            own_key: None,
        };
        let left = order.undo.as_ref().map(|undo| &undo.after["KmsKeyId"]);
        let is_ours = match &state.kms_key_id {
            None => false,
            Some(key) if left.is_some_and(|it| it == OWN_KEY) => {
                own_key(member).await? == OwnKey::Usable(key.clone())
            }
            key => *key == *created.0.borrow(),
        };
        if is_ours {
            state.kms_key_id = Some(OWN_KEY.to_owned());
        }
        let needed = state.kms_key_id.is_none() && !state.of_organization;
        if needed && parameters::text(order, KMS_KEY).is_none() {
            state.own_key = Some(own_key(member).await?);
        }
        Ok(state)
    }

    fn plan(&self, state: &EncryptionState, order: &Order) -> Plan<EncryptionState> {
        if state.kms_key_id.is_some() {
            return Plan::Compliant;
        }
        if state.of_organization {
            return organizations();
        }
        let key = match (parameters::text(order, KMS_KEY), &state.own_key) {
            (Some(key), _) => key,
            (None, Some(OwnKey::Usable(key))) => key,
            (None, Some(OwnKey::Unusable)) => {
                return Plan::Blocked(format!(
                    "the key {OWN_KEY} is not enabled: enable it, or name another one by the parameter {KMS_KEY}"
                ));
            }
            (None, Some(OwnKey::Missing) | None) => OWN_KEY,
        };
        Plan::Change(EncryptionState {
            kms_key_id: Some(key.to_owned()),
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &EncryptionState,
        after: &EncryptionState,
    ) -> Result<(), CallFailed> {
        let key = if after.kms_key_id.is_none() {
            // An empty text takes the key from the trail; the key itself stays, for what it has encrypted.
            Some(String::new())
        } else if before.own_key == Some(OwnKey::Missing) {
            let key = create_key(member).await?;
            created(member).await?.0.replace(key.clone());
            key
        } else {
            after.kms_key_id.clone()
        };
        member_client!(aws_sdk_cloudtrail, member)
            .update_trail()
            .name(&member.target.resource)
            .set_kms_key_id(key)
            .send()
            .await
            .map_err(failed(Service::CloudTrail, "UpdateTrail"))?;
        Ok(())
    }
}

async fn created(member: &Member) -> Result<Rc<Created>, CallFailed> {
    member.once(async || Ok(Created::default())).await
}

async fn own_key(member: &Member) -> Result<OwnKey, CallFailed> {
    let answer = member_client!(aws_sdk_kms, member)
        .describe_key()
        .key_id(OWN_KEY)
        .send()
        .await
        .map_err(failed(Service::Kms, "DescribeKey"));
    let key = match answer {
        Ok(answer) => answer.key_metadata,
        Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(OwnKey::Missing),
        Err(error) => return Err(error.into()),
    };
    let usable = key.filter(|key| key.key_state == Some(KeyState::Enabled));
    Ok(usable
        .and_then(|key| key.arn)
        .map_or(OwnKey::Unusable, OwnKey::Usable))
}

/// Creates our key, which rotates, and its alias.
async fn create_key(member: &Member) -> Result<Option<String>, CallFailed> {
    let client = member_client!(aws_sdk_kms, member);
    let created = client
        .create_key()
        .description("Encrypts the files of CloudTrail")
        .policy(key_policy(&member.target).to_string())
        .send()
        .await
        .map_err(failed(Service::Kms, "CreateKey"))?;
    let Some(key) = created.key_metadata else {
        return Ok(None);
    };
    client
        .enable_key_rotation()
        .key_id(&key.key_id)
        .send()
        .await
        .map_err(failed(Service::Kms, "EnableKeyRotation"))?;
    client
        .create_alias()
        .alias_name(OWN_KEY)
        .target_key_id(&key.key_id)
        .send()
        .await
        .map_err(failed(Service::Kms, "CreateAlias"))?;
    Ok(key.arn)
}

/// The account administers the key and reads with it; CloudTrail encrypts the events of the account's trails.
fn key_policy(target: &Target) -> Value {
    let (partition, account) = (target.partition(), &target.account);
    let trails = format!("arn:{partition}:cloudtrail:*:{account}:trail/*");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Account",
                "Effect": "Allow",
                "Principal": { "AWS": format!("arn:{partition}:iam::{account}:root") },
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "CloudTrailEncrypts",
                "Effect": "Allow",
                "Principal": { "Service": "cloudtrail.amazonaws.com" },
                "Action": "kms:GenerateDataKey*",
                "Resource": "*",
                "Condition": {
                    "ArnLike": { "aws:SourceArn": trails },
                    "StringLike": { "kms:EncryptionContext:aws:cloudtrail:arn": trails },
                },
            },
            {
                "Sid": "CloudTrailDescribes",
                "Effect": "Allow",
                "Principal": { "Service": "cloudtrail.amazonaws.com" },
                "Action": "kms:DescribeKey",
                "Resource": "*",
                "Condition": { "ArnLike": { "aws:SourceArn": trails } },
            },
        ],
    })
}

/// CloudTrail.4.
struct Validation;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ValidationState {
    log_file_validation_enabled: bool,
    #[serde(skip)]
    of_organization: bool,
}

impl Action for Validation {
    type State = ValidationState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<ValidationState, CallFailed> {
        let trail = trail(member).await?;
        Ok(ValidationState {
            log_file_validation_enabled: trail.log_file_validation_enabled == Some(true),
            of_organization: is_of_organization(&trail, &member.target),
        })
    }

    fn plan(&self, state: &ValidationState, _order: &Order) -> Plan<ValidationState> {
        match (state.log_file_validation_enabled, state.of_organization) {
            (true, _) => Plan::Compliant,
            (false, true) => organizations(),
            (false, false) => Plan::Change(ValidationState {
                log_file_validation_enabled: true,
                of_organization: false,
            }),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &ValidationState,
        after: &ValidationState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_cloudtrail, member)
            .update_trail()
            .name(&member.target.resource)
            .enable_log_file_validation(after.log_file_validation_enabled)
            .send()
            .await
            .map_err(failed(Service::CloudTrail, "UpdateTrail"))?;
        Ok(())
    }
}

/// CloudTrail.5.
///
/// A fix is eight calls, whether log group and role exist or not.
struct Logs;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogsState {
    cloud_watch_logs_log_group_arn: Option<String>,
    cloud_watch_logs_role_arn: Option<String>,
    #[serde(skip)]
    of_organization: bool,
}

const LOG_GROUP: &str = "/orgkeeper/cloudtrail";
const LOGS_ROLE: &str = "OrgkeeperCloudTrailLogs";
/// As CloudWatch.16 asks for by default.
const RETENTION_DAYS: i32 = 365;

impl Action for Logs {
    type State = LogsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<LogsState, CallFailed> {
        let trail = trail(member).await?;
        let of_organization = is_of_organization(&trail, &member.target);
        let filled = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
        Ok(LogsState {
            cloud_watch_logs_log_group_arn: filled(trail.cloud_watch_logs_log_group_arn),
            cloud_watch_logs_role_arn: filled(trail.cloud_watch_logs_role_arn),
            of_organization,
        })
    }

    fn plan(&self, state: &LogsState, order: &Order) -> Plan<LogsState> {
        if state.cloud_watch_logs_log_group_arn.is_some() {
            return Plan::Compliant;
        }
        if state.of_organization {
            return organizations();
        }
        let target = &order.target;
        let (partition, account) = (target.partition(), &target.account);
        Plan::Change(LogsState {
            cloud_watch_logs_log_group_arn: Some(format!(
                "arn:{partition}:logs:{}:{account}:log-group:{LOG_GROUP}:*",
                target.region
            )),
            cloud_watch_logs_role_arn: Some(format!(
                "arn:{partition}:iam::{account}:role/{LOGS_ROLE}"
            )),
            of_organization: false,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &LogsState,
        after: &LogsState,
    ) -> Result<(), CallFailed> {
        if after.cloud_watch_logs_log_group_arn.is_some() {
            create_log_group(member).await?;
            create_logs_role(member).await?;
        }
        // Empty texts end the delivery.
        let text = |arn: &Option<String>| arn.clone().unwrap_or_default();
        member_client!(aws_sdk_cloudtrail, member)
            .update_trail()
            .name(&member.target.resource)
            .cloud_watch_logs_log_group_arn(text(&after.cloud_watch_logs_log_group_arn))
            .cloud_watch_logs_role_arn(text(&after.cloud_watch_logs_role_arn))
            .send()
            .await
            .map_err(failed(Service::CloudTrail, "UpdateTrail"))?;
        Ok(())
    }
}

async fn create_log_group(member: &Member) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_cloudwatchlogs, member);
    let created = client
        .create_log_group()
        .log_group_name(LOG_GROUP)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, "CreateLogGroup"));
    match created {
        // Its retention may have been changed.
        Err(error) if error.has_code("ResourceAlreadyExistsException") => return Ok(()),
        created => created?,
    };
    client
        .put_retention_policy()
        .log_group_name(LOG_GROUP)
        .retention_in_days(RETENTION_DAYS)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, "PutRetentionPolicy"))?;
    Ok(())
}

async fn create_logs_role(member: &Member) -> Result<(), CallFailed> {
    let (partition, account) = (member.target.partition(), &member.target.account);
    let client = member_client!(aws_sdk_iam, member);
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "cloudtrail.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "aws:SourceAccount": account.as_str() } },
        }],
    });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": format!("arn:{partition}:logs:*:{account}:log-group:{LOG_GROUP}:log-stream:*"),
        }],
    });
    let created = client
        .create_role()
        .role_name(LOGS_ROLE)
        .description("Lets CloudTrail write to CloudWatch Logs")
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .map_err(failed(Service::Iam, "CreateRole"));
    match created {
        Err(error) if !error.has_code("EntityAlreadyExists") => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    client
        .put_role_policy()
        .role_name(LOGS_ROLE)
        .policy_name("Logs")
        .policy_document(policy.to_string())
        .send()
        .await
        .map_err(failed(Service::Iam, "PutRolePolicy"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests;

    fn order(parameters: &[(&str, &str)]) -> Order {
        let trail = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t";
        tests::order("CloudTrail.2", trail, parameters)
    }

    fn encryption(key: Option<&str>, own_key: Option<OwnKey>) -> EncryptionState {
        EncryptionState {
            kms_key_id: key.map(str::to_owned),
            of_organization: false,
            own_key,
        }
    }

    #[test]
    fn a_trail_gets_the_key_that_is_named_or_ours() {
        let key = "arn:aws:kms:eu-west-1:111122223333:key/k";
        let usable = OwnKey::Usable(key.to_owned());
        for (own_key, parameters, expected) in [
            (Some(OwnKey::Missing), &[][..], OWN_KEY),
            (Some(usable), &[], key),
            (None, &[(KMS_KEY, "alias/theirs")], "alias/theirs"),
        ] {
            let planned = Encryption.plan(&encryption(None, own_key), &order(parameters));
            let Plan::Change(after) = planned else {
                panic!("{planned:?}");
            };
            assert_eq!(after.kms_key_id.as_deref(), Some(expected));
        }
        let unusable = encryption(None, Some(OwnKey::Unusable));
        assert!(matches!(
            Encryption.plan(&unusable, &order(&[])),
            Plan::Blocked(_)
        ));
        let encrypted = encryption(Some("x"), None);
        assert_eq!(Encryption.plan(&encrypted, &order(&[])), Plan::Compliant);
    }

    #[test]
    fn the_organizations_trail_is_left_alone() {
        let order = order(&[]);
        let encryption = EncryptionState {
            of_organization: true,
            ..encryption(None, None)
        };
        assert!(matches!(
            Encryption.plan(&encryption, &order),
            Plan::Blocked(_)
        ));
        let validation = ValidationState {
            log_file_validation_enabled: false,
            of_organization: true,
        };
        assert!(matches!(
            Validation.plan(&validation, &order),
            Plan::Blocked(_)
        ));
        let logs = LogsState {
            cloud_watch_logs_log_group_arn: None,
            cloud_watch_logs_role_arn: None,
            of_organization: true,
        };
        assert!(matches!(Logs.plan(&logs, &order), Plan::Blocked(_)));
    }

    #[test]
    fn a_trail_that_is_right_stays() {
        let order = order(&[]);
        let validation = |log_file_validation_enabled| ValidationState {
            log_file_validation_enabled,
            of_organization: false,
        };
        assert_eq!(Validation.plan(&validation(true), &order), Plan::Compliant);
        assert_eq!(
            Validation.plan(&validation(false), &order),
            Plan::Change(validation(true))
        );
        let logs = |group: Option<&str>, role: Option<&str>| LogsState {
            cloud_watch_logs_log_group_arn: group.map(str::to_owned),
            cloud_watch_logs_role_arn: role.map(str::to_owned),
            of_organization: false,
        };
        assert_eq!(
            Logs.plan(&logs(Some("theirs"), None), &order),
            Plan::Compliant
        );
        assert_eq!(
            Logs.plan(&logs(None, None), &order),
            Plan::Change(logs(
                Some("arn:aws:logs:eu-west-1:111122223333:log-group:/orgkeeper/cloudtrail:*"),
                Some("arn:aws:iam::111122223333:role/OrgkeeperCloudTrailLogs"),
            ))
        );
    }
}
