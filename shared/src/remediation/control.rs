//! The table of controls: which action fixes a control, on what kind of resource, and where.
//!
//! Source: the user guide of Security Hub (titles, resource types, schedules), and the list of Prowler's checks. What an
//! action does is in `functions/remediator/src/actions/`.

/// Where a resource lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once in an account, or in a Region of its own whatever the finding's Region is: a bucket, the password policy.
    Global,
    /// In the finding's Region.
    Regional,
}

/// What kind of resource a control is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The account as a whole (`AWS::::Account:111122223333`).
    Account,
    /// A resource with an ARN of this service that begins with one of these after the account.
    Arn {
        /// The service, as in the ARN.
        service: &'static str,
        /// The kinds, as in the ARN; empty text: the name follows at once.
        kinds: &'static [&'static str],
    },
}

impl Form {
    /// What identifies a resource of this form with this name, once for each kind: its ARN, or the account as a whole.
    #[must_use]
    pub fn resources(
        self,
        partition: &str,
        region: &str,
        account: &str,
        name: &str,
    ) -> Vec<String> {
        let Self::Arn { service, kinds } = self else {
            return vec![format!("AWS::::Account:{account}")];
        };
        let (has_account, has_region) = places_in_arn(service);
        let account = if has_account { account } else { "" };
        let region = if has_region { region } else { "" };
        kinds
            .iter()
            .map(|kind| format!("arn:{partition}:{service}:{region}:{account}:{kind}{name}"))
            .collect()
    }
}

/// Whether the ARNs of a service have an account, and whether they have a Region.
pub(super) fn places_in_arn(service: &str) -> (bool, bool) {
    match service {
        "s3" => (false, false),
        "iam" => (true, false),
        "apigateway" => (false, true),
        _ => (true, true),
    }
}

/// What the shipped playbook does about a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// Fixes it, if the template's ceiling allows it.
    Auto,
    /// Says what would be changed: the fix can cut people off.
    Observe,
    /// Asks a person: the fix can cut people off.
    Ask,
}

/// When Security Hub looks at a control again after a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Minutes after a change.
    OnChange,
    /// Every 12 to 24 hours: until then the finding stays failed.
    Periodic,
}

/// One control that has a fix.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Its id, as `Compliance.SecurityControlId` has it (in any case). What Security Hub has no control for, and Prowler
    /// checks, has the `GeneratorId` of Prowler's findings: `prowler-eventbridge_bus_exposed`.
    pub id: &'static str,
    /// The remediator's action for it.
    pub action: &'static str,
    /// Where its resource lives.
    pub scope: Scope,
    /// What kind of resource it is about.
    pub form: Form,
    /// What else a finding about it can name, from which the remediator finds the resource.
    pub also: Option<Form>,
    /// What the shipped playbook does.
    pub shipped: Shipped,
    /// When a fix is seen. Prowler looks whenever somebody runs it.
    pub schedule: Schedule,
    /// Prowler's checks (`GeneratorId` without `prowler-`) whose findings mean the same.
    pub prowler: &'static [&'static str],
}

/// The action of a function of its own (`functions/root-credentials`), in the management account.
pub const ROOT_CREDENTIALS: &str = "root-credentials";

/// Settings of an account that several actions read, change and write as a whole: of two at the same time one would
/// write what the other has not changed yet. They run one at a time.
const SHARED_SETTINGS: &[(&str, &[&str])] = &[
    // The policies of users, groups and roles.
    (
        "identity-policies",
        &["iam-cloudshell-access", "iam-user-policies"],
    ),
    ("password-policy", &["iam-password-policy"]),
    ("root-credentials", &[ROOT_CREDENTIALS]),
    // A trail's own settings and its event selectors; the actions for the account choose one of its trails.
    (
        "trails",
        &[
            "cloudtrail-encryption",
            "cloudtrail-logs",
            "cloudtrail-multi-region",
            "cloudtrail-object-events",
            "cloudtrail-validation",
        ],
    ),
];

impl Control {
    /// The setting of the account that its fix shares with those of other controls.
    #[must_use]
    pub fn shared_setting(&self) -> Option<&'static str> {
        SHARED_SETTINGS
            .iter()
            .find(|(_, actions)| actions.contains(&self.action))
            .map(|(setting, _)| *setting)
    }
}

/// A fix is seen by the next periodic check: for so long, in hours, a repeated finding is no new one.
pub const PERIODIC_HOURS: i64 = 24;

/// How Prowler begins a `GeneratorId`; a check's name follows.
pub const PROWLER_CHECK: &str = "prowler-";

/// The control with this id, in any case.
#[must_use]
pub fn control(id: &str) -> Option<&'static Control> {
    CONTROLS
        .iter()
        .find(|control| control.id.eq_ignore_ascii_case(id))
}

/// The controls that a check of Prowler means; the first is the closest.
pub fn of_prowler_check(check: &str) -> impl Iterator<Item = &'static Control> {
    CONTROLS
        .iter()
        .filter(move |control| control.prowler.contains(&check))
}

const fn arn(service: &'static str, kinds: &'static [&'static str]) -> Form {
    Form::Arn { service, kinds }
}

const BUCKET: Form = arn("s3", &[""]);
const SECURITY_GROUP: Form = arn("ec2", &["security-group/"]);
const VPC: Form = arn("ec2", &["vpc/"]);
const INSTANCE: Form = arn("ec2", &["instance/"]);
const SUBNET: Form = arn("ec2", &["subnet/"]);
const NETWORK_ACL: Form = arn("ec2", &["network-acl/"]);
const TRANSIT_GATEWAY: Form = arn("ec2", &["transit-gateway/"]);
const KEY: Form = arn("kms", &["key/"]);
/// A trail.
pub const TRAIL: Form = arn("cloudtrail", &["trail/"]);
const USER: Form = arn("iam", &["user/"]);
const PRINCIPAL: Form = arn("iam", &["group/", "role/", "user/"]);
const MANAGED_POLICY: Form = arn("iam", &["policy/"]);
const SERVER_CERTIFICATE: Form = arn("iam", &["server-certificate/"]);
const LOG_GROUP: Form = arn("logs", &["log-group:"]);
const FUNCTION: Form = arn("lambda", &["function:"]);
const DB_SNAPSHOT: Form = arn("rds", &["snapshot:", "cluster-snapshot:"]);
const DB_INSTANCE: Form = arn("rds", &["db:"]);
const DB_CLUSTER: Form = arn("rds", &["cluster:"]);
const TABLE: Form = arn("dynamodb", &["table/"]);
const REPOSITORY: Form = arn("ecr", &["repository/"]);
const TOPIC: Form = arn("sns", &[""]);
const QUEUE: Form = arn("sqs", &[""]);
const DOCUMENT: Form = arn("ssm", &["document/"]);
const SECRET: Form = arn("secretsmanager", &["secret:"]);
const LOAD_BALANCER: Form = arn("elasticloadbalancing", &["loadbalancer/app/"]);
const REST_API: Form = arn("apigateway", &["/restapis/"]);
/// Security Hub names a stage of an API, Prowler the API, without the first slash.
const API: Form = arn("apigateway", &["/apis/", "apis/"]);
const EVENT_BUS: Form = arn("events", &["event-bus/"]);

use Form::Account;
use Schedule::{OnChange, Periodic};
use Scope::{Global, Regional};
use Shipped::{Ask, Auto, Observe};

#[rustfmt::skip]
const fn row(
    id: &'static str,
    action: &'static str,
    scope: Scope,
    form: Form,
    shipped: Shipped,
    schedule: Schedule,
    prowler: &'static [&'static str],
) -> Control {
    Control { id, action, scope, form, also: None, shipped, schedule, prowler }
}

/// The same control; Prowler reports it on the trail, not on the trail's bucket.
const fn or_its_trail(control: Control) -> Control {
    Control {
        also: Some(TRAIL),
        ..control
    }
}

/// The same control; Prowler reports it on the policy, not on those who have it.
const fn or_the_policy(control: Control) -> Control {
    Control {
        also: Some(MANAGED_POLICY),
        ..control
    }
}

/// Every control that has a fix.
#[rustfmt::skip]
pub const CONTROLS: &[Control] = &[
    row("Account.1", "account-security-contact", Global, Account, Ask, Periodic, &[]),
    row("S3.1", "s3-account-public-access-block", Global, Account, Auto, Periodic, &["s3_account_level_public_access_blocks"]),
    row("S3.2", "s3-bucket-public-access-block", Global, BUCKET, Auto, OnChange, &["s3_bucket_public_list_acl", "s3_bucket_public_access"]),
    row("S3.3", "s3-bucket-public-access-block", Global, BUCKET, Auto, OnChange, &["s3_bucket_policy_public_write_access", "s3_bucket_public_write_acl"]),
    row("S3.5", "s3-bucket-require-tls", Global, BUCKET, Auto, OnChange, &["s3_bucket_secure_transport_policy"]),
    row("S3.8", "s3-bucket-public-access-block", Global, BUCKET, Auto, OnChange, &["s3_bucket_level_public_access_block"]),
    row("S3.9", "s3-bucket-access-logging", Global, BUCKET, Auto, OnChange, &["s3_bucket_server_access_logging_enabled"]),
    row("S3.22", "cloudtrail-object-events", Global, Account, Auto, Periodic, &["cloudtrail_s3_dataevents_write_enabled"]),
    row("S3.23", "cloudtrail-object-events", Global, Account, Auto, Periodic, &["cloudtrail_s3_dataevents_read_enabled"]),
    row("EC2.1", "ec2-snapshots-private", Regional, Account, Auto, Periodic, &["ec2_ebs_public_snapshot"]),
    row("EC2.2", "ec2-default-security-group", Regional, SECURITY_GROUP, Auto, OnChange, &["ec2_securitygroup_default_restrict_traffic"]),
    row("EC2.6", "ec2-vpc-flow-logs", Regional, VPC, Auto, Periodic, &["vpc_flow_logs_enabled"]),
    row("EC2.7", "ec2-default-encryption", Regional, Account, Auto, Periodic, &["ec2_ebs_default_encryption"]),
    row("EC2.8", "ec2-instance-metadata", Regional, INSTANCE, Auto, OnChange, &["ec2_instance_imdsv2_enabled"]),
    row("EC2.13", "ec2-security-group-rules", Regional, SECURITY_GROUP, Ask, OnChange, &["ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22"]),
    row("EC2.14", "ec2-security-group-rules", Regional, SECURITY_GROUP, Ask, OnChange, &["ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_3389"]),
    row("EC2.15", "ec2-subnet-public-ip", Regional, SUBNET, Auto, OnChange, &["vpc_subnet_no_public_ip_by_default"]),
    row("EC2.18", "ec2-security-group-rules", Regional, SECURITY_GROUP, Auto, OnChange, &["ec2_securitygroup_allow_ingress_from_internet_to_all_ports"]),
    row("EC2.19", "ec2-security-group-rules", Regional, SECURITY_GROUP, Auto, OnChange, &["ec2_securitygroup_allow_ingress_from_internet_to_high_risk_tcp_ports"]),
    row("EC2.21", "ec2-network-acl-admin-ports", Regional, NETWORK_ACL, Observe, OnChange, &["ec2_networkacl_allow_ingress_tcp_port_22", "ec2_networkacl_allow_ingress_tcp_port_3389"]),
    row("EC2.23", "ec2-transit-gateway-sharing", Regional, TRANSIT_GATEWAY, Auto, OnChange, &["ec2_transitgateway_auto_accept_vpc_attachments"]),
    row("EC2.53", "ec2-security-group-rules", Regional, SECURITY_GROUP, Ask, OnChange, &[]),
    row("EC2.54", "ec2-security-group-rules", Regional, SECURITY_GROUP, Ask, OnChange, &[]),
    row("IAM.2", "iam-user-policies", Global, USER, Ask, OnChange, &["iam_policy_attached_only_to_group_or_roles"]),
    row("IAM.3", "iam-user-credentials", Global, USER, Ask, Periodic, &["iam_rotate_access_key_90_days"]),
    row("IAM.4", ROOT_CREDENTIALS, Global, Account, Ask, Periodic, &["iam_no_root_access_key"]),
    row("IAM.6", ROOT_CREDENTIALS, Global, Account, Ask, Periodic, &["iam_root_hardware_mfa_enabled"]),
    row("IAM.7", "iam-password-policy", Global, Account, Observe, Periodic, &[]),
    row("IAM.8", "iam-user-credentials", Global, USER, Ask, Periodic, &[]),
    row("IAM.9", ROOT_CREDENTIALS, Global, Account, Ask, Periodic, &["iam_root_mfa_enabled"]),
    row("IAM.11", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_uppercase"]),
    row("IAM.12", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_lowercase"]),
    row("IAM.13", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_symbol"]),
    row("IAM.14", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_number"]),
    row("IAM.15", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_minimum_length_14"]),
    row("IAM.16", "iam-password-policy", Global, Account, Auto, Periodic, &["iam_password_policy_reuse_24"]),
    row("IAM.17", "iam-password-policy", Global, Account, Observe, Periodic, &["iam_password_policy_expires_passwords_within_90_days_or_less"]),
    row("IAM.18", "iam-support-role", Global, Account, Auto, Periodic, &["iam_support_role_created"]),
    row("IAM.22", "iam-user-credentials", Global, USER, Ask, Periodic, &["iam_user_accesskey_unused", "iam_user_console_access_unused"]),
    row("IAM.26", "iam-server-certificate", Global, SERVER_CERTIFICATE, Ask, Periodic, &["iam_no_expired_server_certificates_stored"]),
    or_the_policy(row("IAM.27", "iam-cloudshell-access", Global, PRINCIPAL, Ask, OnChange, &["iam_policy_cloudshell_admin_not_attached"])),
    row("IAM.28", "access-analyzer", Regional, Account, Auto, Periodic, &["accessanalyzer_enabled"]),
    row("KMS.4", "kms-key-rotation", Regional, KEY, Auto, Periodic, &["kms_cmk_rotation_enabled"]),
    row("KMS.5", "kms-key-policy", Regional, KEY, Auto, OnChange, &["kms_key_not_publicly_accessible"]),
    row("CloudTrail.1", "cloudtrail-multi-region", Global, Account, Auto, Periodic, &["cloudtrail_multi_region_enabled"]),
    row("CloudTrail.2", "cloudtrail-encryption", Regional, TRAIL, Auto, Periodic, &["cloudtrail_kms_encryption_enabled"]),
    row("CloudTrail.4", "cloudtrail-validation", Regional, TRAIL, Auto, Periodic, &["cloudtrail_log_file_validation_enabled"]),
    row("CloudTrail.5", "cloudtrail-logs", Regional, TRAIL, Auto, Periodic, &["cloudtrail_cloudwatch_logging_enabled"]),
    or_its_trail(row("CloudTrail.6", "s3-bucket-public-access-block", Global, BUCKET, Auto, Periodic, &["cloudtrail_logs_s3_bucket_is_not_publicly_accessible"])),
    or_its_trail(row("CloudTrail.7", "s3-bucket-access-logging", Global, BUCKET, Auto, Periodic, &["cloudtrail_logs_s3_bucket_access_logging_enabled"])),
    row("CloudWatch.1", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_root_usage"]),
    row("CloudWatch.2", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_unauthorized_api_calls"]),
    row("CloudWatch.3", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_sign_in_without_mfa"]),
    row("CloudWatch.4", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_policy_changes"]),
    row("CloudWatch.5", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_and_alarm_for_cloudtrail_configuration_changes_enabled"]),
    row("CloudWatch.6", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_authentication_failures"]),
    row("CloudWatch.7", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_disable_or_scheduled_deletion_of_kms_cmk"]),
    row("CloudWatch.8", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_for_s3_bucket_policy_changes"]),
    row("CloudWatch.9", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_and_alarm_for_aws_config_configuration_changes_enabled"]),
    row("CloudWatch.10", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_security_group_changes"]),
    row("CloudWatch.11", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_changes_to_network_acls_alarm_configured"]),
    row("CloudWatch.12", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_changes_to_network_gateways_alarm_configured"]),
    row("CloudWatch.13", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_changes_to_network_route_tables_alarm_configured"]),
    row("CloudWatch.14", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_changes_to_vpcs_alarm_configured"]),
    row("CloudWatch.16", "logs-retention", Regional, LOG_GROUP, Auto, OnChange, &["cloudwatch_log_group_retention_policy_specific_days_enabled"]),
    row("Config.1", "config-recorder", Regional, Account, Auto, Periodic, &["config_recorder_all_regions_enabled", "config_recorder_using_aws_service_role"]),
    row("GuardDuty.1", "guardduty-detector", Regional, Account, Auto, Periodic, &["guardduty_is_enabled"]),
    row("Lambda.1", "lambda-policy", Regional, FUNCTION, Auto, OnChange, &["awslambda_function_not_publicly_accessible"]),
    row("RDS.1", "rds-snapshot-private", Regional, DB_SNAPSHOT, Auto, OnChange, &["rds_snapshots_public_access"]),
    row("RDS.2", "rds-instance", Regional, DB_INSTANCE, Ask, OnChange, &["rds_instance_no_public_access"]),
    row("RDS.5", "rds-instance", Regional, DB_INSTANCE, Ask, OnChange, &["rds_instance_multi_az"]),
    row("RDS.7", "rds-cluster", Regional, DB_CLUSTER, Auto, OnChange, &["rds_cluster_deletion_protection"]),
    row("RDS.8", "rds-instance", Regional, DB_INSTANCE, Auto, OnChange, &["rds_instance_deletion_protection"]),
    row("RDS.13", "rds-instance", Regional, DB_INSTANCE, Auto, OnChange, &["rds_instance_minor_version_upgrade_enabled"]),
    row("RDS.16", "rds-cluster", Regional, DB_CLUSTER, Auto, OnChange, &["rds_cluster_copy_tags_to_snapshots"]),
    row("APIGateway.1", "rest-api-logs", Regional, REST_API, Auto, OnChange, &["apigateway_restapi_logging_enabled"]),
    row("APIGateway.9", "api-access-logs", Regional, API, Auto, OnChange, &["apigatewayv2_api_access_logging_enabled"]),
    row("ELB.5", "load-balancer-logs", Regional, LOAD_BALANCER, Auto, OnChange, &["elbv2_logging_enabled"]),
    row("DynamoDB.2", "dynamodb-recovery", Regional, TABLE, Auto, OnChange, &["dynamodb_tables_pitr_enabled"]),
    row("DynamoDB.6", "dynamodb-deletion-protection", Regional, TABLE, Auto, OnChange, &["dynamodb_table_deletion_protection_enabled"]),
    row("ECR.1", "ecr-scan-on-push", Regional, REPOSITORY, Auto, OnChange, &["ecr_repositories_scan_images_on_push_enabled"]),
    row("SNS.1", "sns-encryption", Regional, TOPIC, Auto, OnChange, &["sns_topics_kms_encryption_at_rest_enabled"]),
    row("SNS.4", "sns-policy", Regional, TOPIC, Auto, OnChange, &["sns_topics_not_publicly_accessible"]),
    row("SQS.1", "sqs-encryption", Regional, QUEUE, Auto, OnChange, &["sqs_queues_server_side_encryption_enabled"]),
    row("SQS.3", "sqs-policy", Regional, QUEUE, Auto, OnChange, &["sqs_queues_not_publicly_accessible"]),
    row("SSM.4", "ssm-document-private", Regional, DOCUMENT, Auto, OnChange, &["ssm_documents_set_as_public"]),
    row("SSM.7", "ssm-document-sharing", Regional, Account, Auto, Periodic, &[]),
    // Security Hub has no control for these.
    row("prowler-cloudwatch_log_metric_filter_aws_organizations_changes", "cloudwatch-metric-filter", Global, Account, Auto, Periodic, &["cloudwatch_log_metric_filter_aws_organizations_changes"]),
    row("prowler-eventbridge_bus_exposed", "event-bus-policy", Regional, EVENT_BUS, Auto, Periodic, &["eventbridge_bus_exposed"]),
    row("prowler-secretsmanager_not_publicly_accessible", "secret-policy", Regional, SECRET, Auto, Periodic, &["secretsmanager_not_publicly_accessible"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_control_is_found_in_any_case() {
        assert_eq!(control("ec2.18").unwrap().id, "EC2.18");
        assert_eq!(control("CLOUDTRAIL.1").unwrap().id, "CloudTrail.1");
        assert!(control("EC2.4").is_none());
    }

    #[test]
    fn controls_that_change_one_setting_share_it() {
        let sharing = |setting: &str| -> Vec<&str> {
            let all = CONTROLS.iter();
            all.filter(|control| control.shared_setting() == Some(setting))
                .map(|control| control.id)
                .collect()
        };
        assert_eq!(
            sharing("password-policy"),
            [
                "IAM.7", "IAM.11", "IAM.12", "IAM.13", "IAM.14", "IAM.15", "IAM.16", "IAM.17"
            ]
        );
        assert_eq!(
            sharing("trails"),
            [
                "S3.22",
                "S3.23",
                "CloudTrail.1",
                "CloudTrail.2",
                "CloudTrail.4",
                "CloudTrail.5"
            ]
        );
        assert_eq!(control("S3.8").unwrap().shared_setting(), None);
        for action in SHARED_SETTINGS.iter().flat_map(|(_, actions)| *actions) {
            assert!(
                CONTROLS.iter().any(|control| control.action == *action),
                "{action}"
            );
        }
    }

    #[test]
    fn what_security_hub_does_not_have_is_named_as_its_one_check() {
        let of_prowler = CONTROLS
            .iter()
            .filter_map(|it| Some((it, it.id.strip_prefix(PROWLER_CHECK)?)));
        let mut count = 0;
        for (control, check) in of_prowler {
            assert_eq!(control.prowler, [check]);
            let found: Vec<_> = of_prowler_check(check).map(|it| it.id).collect();
            assert_eq!(found, [control.id]);
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn a_control_has_one_row() {
        let ids: BTreeSet<_> = CONTROLS.iter().map(|control| control.id).collect();
        assert_eq!(ids.len(), CONTROLS.len());
    }
}
