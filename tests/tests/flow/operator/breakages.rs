//! Set-ups that are broken in one place: the commands that break them, what doctor says, and how they are restored.

/// How a breakage is restored.
pub(super) enum Restore {
    /// By the commands that doctor prints.
    AsPrinted,
    /// By these commands.
    By(&'static str),
    /// Nothing was broken: the set-up is another.
    Nothing,
}

/// A broken set-up.
pub(super) struct Breakage {
    /// The check that names it.
    pub(super) check: &'static str,
    /// The commands that break it.
    pub(super) broken_by: &'static str,
    /// A part of what is found.
    pub(super) found: &'static str,
    /// How it is restored.
    pub(super) restored_by: Restore,
    /// Whether doctor runs in the security account.
    pub(super) in_security: bool,
    /// More arguments of doctor.
    pub(super) arguments: &'static [&'static str],
    /// What is deleted afterwards.
    pub(super) after: &'static str,
}

const fn breakage(
    check: &'static str,
    broken_by: &'static str,
    found: &'static str,
    restored_by: Restore,
) -> Breakage {
    Breakage {
        check,
        broken_by,
        found,
        restored_by,
        in_security: false,
        arguments: &[],
        after: "",
    }
}

/// Functions of the commands.
pub(super) const PRELUDE: &str = r#"
aws() { .venv/docs/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text "$@"; }
in_security() { AWS_ACCESS_KEY_ID=$SECURITY "$@"; }
parameter() { .venv/cloud/bin/python infra/local/cloud.py set "$@"; }
control() { curl --fail --silent --show-error "$AWS_ENDPOINT_URL/_orgkeeper/$1" "${@:2}"; }
stack_sets() {
  aws cloudformation update-stack --stack-name operator-stack-sets --use-previous-template \
    --parameters "ParameterKey=RolesUnit,ParameterValue=$1" "ParameterKey=EventsAutomatic,ParameterValue=$2"
}
aggregator() { aws securityhub list-finding-aggregators --query 'FindingAggregators[0].FindingAggregatorArn'; }
portfolio() { aws servicecatalog list-portfolios --query "PortfolioDetails[?ends_with(DisplayName, 'Account Factory Portfolio')].Id"; }
bus=${AlertsBusArn##*/}
saved=${TMPDIR:-/tmp}/orgkeeper-operator-$ORGANIZATION.json
"#;

/// What the stack sets of a real organization deploy is in the accounts of the example organization already. These
/// deploy a topic, under names of their own.
pub(super) const PREPARE: &str = r#"
aws cloudformation create-stack --stack-name operator-stack-sets --template-body '{
  "Parameters": { "RolesUnit": { "Type": "String" }, "EventsAutomatic": { "Type": "String" } },
  "Resources": {
    "Roles": { "Type": "AWS::CloudFormation::StackSet", "Properties": {
      "StackSetName": "operator-roles", "PermissionModel": "SERVICE_MANAGED",
      "AutoDeployment": { "Enabled": true, "RetainStacksOnAccountRemoval": false },
      "TemplateBody": "{\"Resources\": {\"Topic\": {\"Type\": \"AWS::SNS::Topic\"}}}",
      "StackInstancesGroup": [
        { "DeploymentTargets": { "OrganizationalUnitIds": [{ "Ref": "RolesUnit" }] }, "Regions": ["us-east-1"] }] } },
    "Events": { "Type": "AWS::CloudFormation::StackSet", "Properties": {
      "StackSetName": "operator-events", "PermissionModel": "SERVICE_MANAGED",
      "AutoDeployment": { "Enabled": { "Ref": "EventsAutomatic" }, "RetainStacksOnAccountRemoval": false },
      "TemplateBody": "{\"Resources\": {\"Topic\": {\"Type\": \"AWS::SNS::Topic\"}}}",
      "StackInstancesGroup": [
        { "DeploymentTargets": { "OrganizationalUnitIds": ["'"$ROOT"'"] }, "Regions": ["us-east-1"] }] } } } }' \
  --parameters "ParameterKey=RolesUnit,ParameterValue=$ROOT" ParameterKey=EventsAutomatic,ParameterValue=true
"#;

/// Deletes what [`PREPARE`] made, and waits until it is gone.
pub(super) const CLEAN_UP: &str = r"
aws cloudformation delete-stack --stack-name operator-stack-sets
for _ in $(seq 100); do
  aws cloudformation describe-stack-set --stack-set-name operator-roles > /dev/null 2>&1 \
    || aws cloudformation describe-stack-set --stack-set-name operator-events > /dev/null 2>&1 || break
  sleep 0.5
done
";

/// An organization's trail is listed in every account of it; here only in the account that it belongs to.
const IN_SECURITY: &str = r#"
in_security aws s3api create-bucket --bucket "trail-$SECURITY"
in_security aws cloudtrail create-trail --name organization --s3-bucket-name "trail-$SECURITY" \
  --is-organization-trail --is-multi-region-trail
in_security aws cloudtrail start-logging --name organization
"#;

pub(super) const BREAKAGES: &[Breakage] = &[
    Breakage {
        in_security: true,
        arguments: &["--stack=none-yet", "--flow=vend"],
        after: "in_security aws cloudtrail delete-trail --name organization",
        ..breakage(
            "account",
            IN_SECURITY,
            "VendFlow cannot work here",
            Restore::Nothing,
        )
    },
    Breakage {
        arguments: &["--stack=operator-small"],
        after: "aws cloudformation delete-stack --stack-name operator-small",
        ..breakage(
            "stack",
            r#"
aws cloudformation create-stack --stack-name operator-small --template-body '{
  "Parameters": { "ErrorEmail": { "Type": "String", "Default": "platform@example.com" } },
  "Resources": { "Rule": { "Type": "AWS::Events::Rule", "Properties": {
    "EventBusName": "arn:of-nothing", "EventPattern": { "source": ["none"] } } } } }'
"#,
            "the stack is in the state ROLLBACK_COMPLETE",
            Restore::By(
                r#"
aws cloudformation delete-stack --stack-name operator-small
sleep 1
aws cloudformation create-stack --stack-name operator-small --template-body '{
  "Parameters": { "ErrorEmail": { "Type": "String", "Default": "platform@example.com" } },
  "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } }'
"#,
            ),
        )
    },
    breakage(
        "organization",
        r#"control organization --data '{"features": "CONSOLIDATED_BILLING"}'"#,
        "consolidated billing only",
        Restore::By("control organization --request DELETE"),
    ),
    breakage(
        "trail",
        "aws cloudtrail stop-logging --name organization",
        "trail organization is off",
        Restore::AsPrinted,
    ),
    breakage(
        "trail",
        "aws cloudtrail update-trail --name organization --no-is-multi-region-trail",
        "trail organization does not record every account and Region",
        Restore::AsPrinted,
    ),
    breakage(
        "trusted-access",
        "aws organizations disable-aws-service-access --service-principal account.amazonaws.com",
        "no trusted access for account.amazonaws.com (contacts of accounts)",
        Restore::AsPrinted,
    ),
    breakage(
        "contacts",
        // Outages are rehearsed in the management account only.
        "parameter ManagementAccountId=222222222222 RehearsalFlow=off",
        "not 222222222222: contacts cannot be read",
        Restore::By("parameter ManagementAccountId= RehearsalFlow=on"),
    ),
    breakage(
        "security-hub-administrator",
        "aws securityhub disable-organization-admin-account --admin-account-id 111111111111",
        "Security Hub has no administrator",
        Restore::AsPrinted,
    ),
    breakage(
        "security-hub-administrator",
        r#"
aws securityhub disable-organization-admin-account --admin-account-id 111111111111
aws securityhub enable-organization-admin-account --admin-account-id "$SECURITY"
"#,
        "it receives only its own findings",
        Restore::By(
            r#"
aws securityhub disable-organization-admin-account --admin-account-id "$SECURITY"
aws securityhub enable-organization-admin-account --admin-account-id 111111111111
"#,
        ),
    ),
    breakage(
        "security-hub-region",
        "aws securityhub disable-security-hub",
        "Security Hub is off in us-east-1",
        Restore::AsPrinted,
    ),
    breakage(
        "security-hub-region",
        r#"aws securityhub delete-finding-aggregator --finding-aggregator-arn "$(aggregator)""#,
        "only findings of us-east-1 arrive",
        Restore::AsPrinted,
    ),
    breakage(
        "security-hub-region",
        r#"
aws securityhub delete-finding-aggregator --finding-aggregator-arn "$(aggregator)"
aws securityhub create-finding-aggregator --region-linking-mode ALL_REGIONS --region eu-west-1
"#,
        "the home Region is eu-west-1, and the stack is in us-east-1",
        Restore::By(
            r#"
aws securityhub delete-finding-aggregator --finding-aggregator-arn "$(aggregator)" --region eu-west-1
aws securityhub create-finding-aggregator --region-linking-mode ALL_REGIONS
"#,
        ),
    ),
    Breakage {
        arguments: &["--region=eu-west-1", "--flow=enrich"],
        ..breakage(
            "security-hub-region",
            "",
            "the home Region is us-east-1, and the stack is in eu-west-1",
            Restore::Nothing,
        )
    },
    Breakage {
        arguments: &["--region=eu-west-1", "--flow=vend"],
        ..breakage(
            "landing-zone",
            "",
            "the landing zone's home is us-east-1, and the stack is in eu-west-1",
            Restore::Nothing,
        )
    },
    breakage(
        "account-factory",
        r#"
aws servicecatalog disassociate-principal-from-portfolio --portfolio-id "$(portfolio)" \
  --principal-arn "$CreateManagedAccountRoleArn"
"#,
        "the role of create-managed-account is not associated",
        Restore::AsPrinted,
    ),
    breakage(
        "identity-center",
        "parameter IdentityCenterInstanceArn=arn:aws:sso:::instance/ssoins-0000000000000000",
        "and the stack has arn:aws:sso:::instance/ssoins-0000000000000000",
        Restore::By(r#"parameter "IdentityCenterInstanceArn=$INSTANCE""#),
    ),
    breakage(
        "alerts-bus",
        r#"
aws events describe-event-bus --name "$bus" --query Policy > "$saved"
aws events remove-permission --event-bus-name "$bus" --remove-all-permissions
"#,
        "accepts no events of",
        Restore::By(
            r#"aws events put-permission --event-bus-name "$bus" --policy "$(cat "$saved")""#,
        ),
    ),
    Breakage {
        in_security: true,
        arguments: &["--stack=operator-security"],
        after: r#"
in_security aws cloudformation delete-stack --stack-name operator-security
in_security aws events remove-permission --remove-all-permissions
in_security aws cloudtrail delete-trail --name organization
in_security aws securityhub delete-finding-aggregator --finding-aggregator-arn "$(in_security aggregator)"
aws securityhub disable-organization-admin-account --admin-account-id "$SECURITY"
aws securityhub enable-organization-admin-account --admin-account-id 111111111111
"#,
        ..breakage(
            "organization-bus",
            r#"
in_security aws cloudtrail create-trail --name organization --s3-bucket-name "trail-$SECURITY" \
  --is-organization-trail --is-multi-region-trail
in_security aws cloudtrail start-logging --name organization
aws securityhub disable-organization-admin-account --admin-account-id 111111111111
aws securityhub enable-organization-admin-account --admin-account-id "$SECURITY"
in_security aws securityhub create-finding-aggregator --region-linking-mode ALL_REGIONS
in_security aws cloudformation create-stack --stack-name operator-security --template-body '{
  "Parameters": {
    "EnrichFlow": { "Type": "String", "Default": "on" },
    "ErrorEmail": { "Type": "String", "Default": "platform@example.com" },
    "ManagementAccountId": { "Type": "String", "Default": "111111111111" } },
  "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } }'
"#,
            "default accepts no events of",
            Restore::By(
                r#"
in_security aws events put-permission --policy '{ "Version": "2012-10-17", "Statement": [{
  "Sid": "orgkeeper-organization-events", "Effect": "Allow", "Action": "events:PutEvents", "Resource": "*",
  "Principal": { "AWS": "arn:aws:iam::111111111111:root" },
  "Condition": { "StringEquals": { "aws:PrincipalOrgID": "'"$ORGANIZATION"'" } } }] }'
"#,
            ),
        )
    },
    breakage(
        "region-policies",
        r#"
id=$(aws organizations create-policy --name operator-regions --description "Denies a Region" \
  --type SERVICE_CONTROL_POLICY --query Policy.PolicySummary.Id --content '{ "Version": "2012-10-17", "Statement": [{
    "Effect": "Deny", "NotAction": ["iam:*"], "Resource": "*",
    "Condition": { "StringNotEquals": { "aws:RequestedRegion": ["eu-west-1"] } } }] }')
aws organizations attach-policy --policy-id "$id" --target-id "$UNIT"
echo "$id" > "$saved"
"#,
        "operator-regions",
        Restore::By(
            r#"
aws organizations detach-policy --policy-id "$(cat "$saved")" --target-id "$UNIT"
aws organizations delete-policy --policy-id "$(cat "$saved")"
"#,
        ),
    ),
    breakage(
        "mail",
        r#"
aws sns unsubscribe --subscription-arn "$(aws sns list-subscriptions-by-topic --topic-arn "$ErrorTopicArn" \
  --query "Subscriptions[?Protocol=='email'].SubscriptionArn")"
"#,
        "ErrorEmail is not subscribed any more",
        Restore::AsPrinted,
    ),
    breakage(
        "webhook",
        "aws ssm delete-parameter --name /orgkeeper/slack-webhook",
        "/orgkeeper/slack-webhook does not exist",
        Restore::AsPrinted,
    ),
    breakage(
        "webhook",
        "aws ssm put-parameter --name /orgkeeper/slack-webhook --type SecureString --overwrite --value xoxb-token",
        "holds no address of a webhook",
        Restore::AsPrinted,
    ),
    breakage(
        "webhook",
        r#"
aws ssm get-parameter --with-decryption --name /orgkeeper/slack-webhook --query Parameter.Value > "$saved"
aws ssm put-parameter --name /orgkeeper/slack-webhook --type SecureString --overwrite \
  --key-id "$(aws kms create-key --query KeyMetadata.Arn)" --value "file://$saved"
"#,
        "and the functions may not use it",
        Restore::AsPrinted,
    ),
    breakage(
        "alert-rules",
        "aws ssm put-parameter --name /orgkeeper/alert-rules --type String --overwrite --value 'kind = 7'",
        "/orgkeeper/alert-rules is refused",
        Restore::By(RULES),
    ),
    breakage(
        "alert-rules",
        "aws ssm delete-parameter --name /orgkeeper/alert-rules",
        "/orgkeeper/alert-rules does not exist: no rule applies",
        Restore::By(RULES),
    ),
    breakage(
        "member-roles",
        r#"stack_sets "$UNIT" true"#,
        "accounts lack it: ",
        Restore::By(r#"stack_sets "$ROOT" true"#),
    ),
    breakage(
        "forwarding",
        r#"stack_sets "$ROOT" false"#,
        "operator-events does not deploy to new accounts",
        Restore::By(r#"stack_sets "$ROOT" true"#),
    ),
    Breakage {
        arguments: &["--region=eu-west-1", "--flow=alert"],
        ..breakage(
            "forwarding",
            "",
            "there is no stack set operator-events",
            Restore::Nothing,
        )
    },
    breakage(
        "event-rules",
        r#"
rule=$(aws cloudformation describe-stack-resource --stack-name orgkeeper --logical-resource-id ForwardedRule \
  --query StackResourceDetail.PhysicalResourceId)
aws events disable-rule --event-bus-name "$bus" --name "${rule##*|}"
"#,
        " is off",
        Restore::AsPrinted,
    ),
    breakage(
        "event-sources",
        r#"
aws lambda update-event-source-mapping --no-enabled --uuid "$(aws lambda list-event-source-mappings \
  --function-name "$AlerterFunctionName" --query 'EventSourceMappings[0].UUID')"
"#,
        " is not read",
        Restore::AsPrinted,
    ),
    breakage(
        "dead-letters",
        r#"aws sqs send-message --queue-url "$SlackDeadLetterQueueUrl" --message-body '{}'"#,
        "slack has 1",
        Restore::By(r#"aws sqs purge-queue --queue-url "$SlackDeadLetterQueueUrl""#),
    ),
];

const RULES: &str = "aws ssm put-parameter --name /orgkeeper/alert-rules --type String --overwrite \
    --value file://infra/local/alert-rules.toml";
