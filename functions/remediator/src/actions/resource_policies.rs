//! Lambda.1, SNS.4, SQS.3, KMS.5, and Prowler's checks of secrets and event buses: takes from the policy of a resource what
//! it allows to everybody.

use aws_sdk_sqs::types::QueueAttributeName;
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::attributes;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    policy_document::{PolicyDocument, PolicyText, Statement, texts},
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("lambda-policy", FunctionPolicy,
        reads: ["lambda:GetPolicy" on "{resource}", "lambda:GetFunctionConfiguration" on "{resource}"],
        writes: ["lambda:RemovePermission" on "{resource}"],
        undo: ["lambda:AddPermission" on "{resource}"]),
    row!("sns-policy", TopicPolicy,
        reads: ["sns:GetTopicAttributes" on "{resource}"],
        writes: ["sns:SetTopicAttributes" on "{resource}"],
        undo: ["sns:SetTopicAttributes" on "{resource}"]),
    row!("sqs-policy", QueuePolicy,
        reads: ["sqs:GetQueueUrl" on "{resource}", "sqs:GetQueueAttributes" on "{resource}"],
        writes: ["sqs:SetQueueAttributes" on "{resource}"],
        undo: ["sqs:SetQueueAttributes" on "{resource}"]),
    row!("kms-key-policy", KeyPolicy,
        reads: ["kms:GetKeyPolicy" on "{resource}"],
        writes: ["kms:PutKeyPolicy" on "{resource}"],
        undo: ["kms:PutKeyPolicy" on "{resource}"]),
    row!("secret-policy", SecretPolicy,
        reads: ["secretsmanager:GetResourcePolicy" on "{resource}"],
        writes: [
            "secretsmanager:PutResourcePolicy" on "{resource}",
            "secretsmanager:DeleteResourcePolicy" on "{resource}",
        ],
        undo: ["secretsmanager:PutResourcePolicy" on "{resource}"]),
    // IAM knows no resource for the calls that change a bus's policy.
    row!("event-bus-policy", BusPolicy,
        reads: ["events:DescribeEventBus" on "{resource}"],
        writes: ["events:PutPermission" on "*", "events:RemovePermission" on "*"],
        undo: ["events:PutPermission" on "*"]),
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyState {
    policy: Option<PolicyText>,
}

impl PolicyState {
    fn new(policy: Option<String>) -> Self {
        let policy = policy.filter(|text| !text.is_empty());
        Self {
            policy: policy.map(PolicyText::new),
        }
    }

    fn text(&self) -> &str {
        self.policy.as_ref().map_or("", PolicyText::as_str)
    }

    fn sids(&self) -> Vec<String> {
        let document = self.policy.as_ref().and_then(|it| it.document().ok());
        let statements = document.iter().flat_map(PolicyDocument::statements);
        statements
            .filter_map(|it| it.sid().map(str::to_owned))
            .collect()
    }
}

/// The policy without its public part, if it has one.
enum Private {
    /// It has none.
    Already,
    /// This is left.
    Left(PolicyDocument),
    /// It cannot be read.
    Unreadable,
}

fn private(state: &PolicyState) -> Private {
    match state.policy.as_ref().map(PolicyText::document) {
        None => Private::Already,
        Some(Err(_)) => Private::Unreadable,
        Some(Ok(document)) => document
            .without_public()
            .map_or(Private::Already, Private::Left),
    }
}

/// The plan where a policy may be absent.
fn plan(state: &PolicyState, if_empty: Option<PolicyText>) -> Plan<PolicyState> {
    match private(state) {
        Private::Already => Plan::Compliant,
        Private::Unreadable => unreadable(),
        Private::Left(document) if document.statements().is_empty() => {
            Plan::Change(PolicyState { policy: if_empty })
        }
        Private::Left(document) => Plan::Change(PolicyState {
            policy: Some(document.text()),
        }),
    }
}

fn unreadable() -> Plan<PolicyState> {
    Plan::Blocked("the policy is no JSON object".to_owned())
}

/// Lambda.1.
struct FunctionPolicy;

impl Action for FunctionPolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let client = member_client!(aws_sdk_lambda, member);
        let answer = client
            .get_policy()
            .function_name(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Lambda, "GetPolicy"));
        match answer {
            Ok(answer) => Ok(PolicyState::new(answer.policy)),
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                // The policy or the function: the answer is the same.
                client
                    .get_function_configuration()
                    .function_name(member.target.name())
                    .send()
                    .await
                    .map_err(failed(Service::Lambda, "GetFunctionConfiguration"))?;
                Ok(PolicyState { policy: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn plan(&self, state: &PolicyState, _order: &Order) -> Plan<PolicyState> {
        plan(state, None)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        let kept = after.sids();
        let client = member_client!(aws_sdk_lambda, member);
        for sid in before.sids() {
            if kept.contains(&sid) {
                continue;
            }
            let removed = client
                .remove_permission()
                .function_name(member.target.name())
                .statement_id(sid)
                .send()
                .await
                .map_err(failed(Service::Lambda, "RemovePermission"));
            match removed {
                Err(error) if error.class() != AwsErrorClass::NotFound => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        for statement in missing(before, after) {
            let Some(permission) = FunctionPermission::of(&statement) else {
                continue;
            };
            client
                .add_permission()
                .function_name(member.target.name())
                .statement_id(permission.sid)
                .principal(permission.principal)
                .action(permission.action)
                .set_function_url_auth_type(permission.url_auth.as_deref().map(Into::into))
                .send()
                .await
                .map_err(failed(Service::Lambda, "AddPermission"))?;
        }
        Ok(())
    }

    fn comparable(&self, mut state: Value) -> Value {
        // A statement that is added again comes last.
        let statements = state.pointer_mut("/Policy/Statement");
        if let Some(statements) = statements.and_then(Value::as_array_mut) {
            statements.sort_by_key(|statement| statement["Sid"].to_string());
        }
        state
    }

    fn undoable(&self, now: &PolicyState, before: &PolicyState) -> Result<(), String> {
        let missing = missing(now, before);
        let other = missing
            .iter()
            .find(|statement| FunctionPermission::of(statement).is_none());
        match other {
            None => Ok(()),
            Some(other) => Err(format!(
                "the statement {} of the function's policy has parts that orgkeeper cannot write again: add it by hand \
                 (aws lambda add-permission), it is in the record",
                other.sid().unwrap_or_default()
            )),
        }
    }
}

/// The statements of `after` whose Sids `before` does not have.
fn missing(before: &PolicyState, after: &PolicyState) -> Vec<Statement> {
    let known = before.sids();
    let document = after.policy.as_ref().and_then(|it| it.document().ok());
    let statements = document.iter().flat_map(PolicyDocument::statements);
    statements
        .filter(|it| it.sid().is_none_or(|sid| !known.iter().any(|it| it == sid)))
        .cloned()
        .collect()
}

/// A statement as Lambda takes it: a policy of a function is not written as a whole.
#[derive(Debug, PartialEq)]
struct FunctionPermission {
    sid: String,
    principal: String,
    action: String,
    /// Of a function URL.
    url_auth: Option<String>,
}

impl FunctionPermission {
    /// The permission that a public statement is made of; nothing if it has more than those have.
    fn of(statement: &Statement) -> Option<Self> {
        const MEMBERS: &[&str] = &[
            "Sid",
            "Effect",
            "Principal",
            "Action",
            "Resource",
            "Condition",
        ];
        let value = statement.value().as_object()?;
        let conditions: Vec<(&str, &Value)> = value
            .get("Condition")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .flat_map(|(operator, keys)| {
                let keys = keys.as_object().into_iter().flatten();
                keys.map(move |(key, value)| match operator.as_str() {
                    "StringEquals" => (key.as_str(), value),
                    _ => ("", value),
                })
            })
            .collect();
        let url_auth = match conditions[..] {
            [] => None,
            [("lambda:FunctionUrlAuthType", value)] => Some(value.as_str()?.to_owned()),
            _ => return None,
        };
        let principals = match value.get("Principal")? {
            Value::Object(by_kind) if by_kind.len() == 1 => texts(by_kind.get("AWS")?),
            other => texts(other),
        };
        let ([principal], [action]) = (&principals[..], &texts(value.get("Action")?)[..]) else {
            return None;
        };
        let is_known = value.keys().all(|name| MEMBERS.contains(&name.as_str()));
        (is_known && value.get("Effect")? == "Allow").then(|| Self {
            sid: statement.sid().unwrap_or_default().to_owned(),
            principal: principal.clone(),
            action: action.clone(),
            url_auth,
        })
    }
}

/// SNS.4.
struct TopicPolicy;

impl Action for TopicPolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let mut attributes = attributes::of_topic(member).await?;
        Ok(PolicyState::new(attributes.remove("Policy")))
    }

    fn plan(&self, state: &PolicyState, order: &Order) -> Plan<PolicyState> {
        plan(state, Some(owners_policy(&order.target)))
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        attributes::set_of_topic(member, "Policy", after.text()).await?;
        Ok(())
    }
}

/// A topic always has a policy: this one allows its own account what SNS allows it by default.
fn owners_policy(target: &Target) -> PolicyText {
    let mut document = PolicyDocument::default();
    document.append(json!({
        "Sid": "OrgkeeperOwner",
        "Effect": "Allow",
        "Principal": { "AWS": root_of(target) },
        "Action": [
            "SNS:GetTopicAttributes",
            "SNS:SetTopicAttributes",
            "SNS:AddPermission",
            "SNS:RemovePermission",
            "SNS:DeleteTopic",
            "SNS:Subscribe",
            "SNS:ListSubscriptionsByTopic",
            "SNS:Publish",
        ],
        "Resource": target.resource,
    }));
    document.text()
}

fn root_of(target: &Target) -> String {
    format!("arn:{}:iam::{}:root", target.partition(), target.account)
}

/// SQS.3.
struct QueuePolicy;

impl Action for QueuePolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let name = QueueAttributeName::Policy;
        let mut attributes = attributes::of_queue(member, std::slice::from_ref(&name)).await?;
        Ok(PolicyState::new(attributes.remove(&name)))
    }

    fn plan(&self, state: &PolicyState, _order: &Order) -> Plan<PolicyState> {
        plan(state, None)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        // An empty text removes the policy.
        attributes::set_of_queue(member, QueueAttributeName::Policy, after.text()).await?;
        Ok(())
    }
}

/// KMS.5.
struct KeyPolicy;

/// The one policy that a key has.
const DEFAULT: &str = "default";

impl Action for KeyPolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let answer = member_client!(aws_sdk_kms, member)
            .get_key_policy()
            .key_id(&member.target.resource)
            .policy_name(DEFAULT)
            .send()
            .await
            .map_err(failed(Service::Kms, "GetKeyPolicy"))?;
        Ok(PolicyState::new(answer.policy))
    }

    fn plan(&self, state: &PolicyState, order: &Order) -> Plan<PolicyState> {
        match private(state) {
            Private::Already => Plan::Compliant,
            Private::Unreadable => unreadable(),
            Private::Left(document) => {
                let mut statements = document.statements().iter();
                if statements.any(|statement| administers(statement, &order.target)) {
                    Plan::Change(PolicyState {
                        policy: Some(document.text()),
                    })
                } else {
                    Plan::Blocked(
                        "without its public statement nobody in the account could administer the key: add a statement \
                         that allows kms:* to the account's root"
                            .to_owned(),
                    )
                }
            }
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_kms, member)
            .put_key_policy()
            .key_id(&member.target.resource)
            .policy_name(DEFAULT)
            .policy(after.text())
            .send()
            .await
            .map_err(failed(Service::Kms, "PutKeyPolicy"))?;
        Ok(())
    }
}

/// Whether a statement lets somebody of the key's account change the key's policy, without a condition.
fn administers(statement: &Statement, target: &Target) -> bool {
    let value = statement.value();
    let account = target.account.as_str();
    let of_account = format!("arn:{}:iam::{account}:", target.partition());
    let principals = texts(&value["Principal"]["AWS"]);
    let actions = texts(&value["Action"]);
    let conditions = value["Condition"].as_object().map_or(0, Map::len);
    value["Effect"] == "Allow"
        && conditions == 0
        && principals
            .iter()
            .any(|it| it == account || it.starts_with(&of_account))
        && actions.iter().any(|action| {
            let action = action.to_ascii_lowercase();
            ["*", "kms:*", "kms:put*", "kms:putkeypolicy"].contains(&action.as_str())
        })
}

/// Prowler's `secretsmanager_not_publicly_accessible`.
struct SecretPolicy;

impl Action for SecretPolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let answer = member_client!(aws_sdk_secretsmanager, member)
            .get_resource_policy()
            .secret_id(&member.target.resource)
            .send()
            .await
            .map_err(failed(Service::SecretsManager, "GetResourcePolicy"))?;
        Ok(PolicyState::new(answer.resource_policy))
    }

    fn plan(&self, state: &PolicyState, _order: &Order) -> Plan<PolicyState> {
        plan(state, None)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_secretsmanager, member);
        let secret = &member.target.resource;
        match &after.policy {
            Some(policy) => {
                client
                    .put_resource_policy()
                    .secret_id(secret)
                    .resource_policy(policy.as_str())
                    .send()
                    .await
                    .map_err(failed(Service::SecretsManager, "PutResourcePolicy"))?;
            }
            None => {
                client
                    .delete_resource_policy()
                    .secret_id(secret)
                    .send()
                    .await
                    .map_err(failed(Service::SecretsManager, "DeleteResourcePolicy"))?;
            }
        }
        Ok(())
    }
}

/// Prowler's `eventbridge_bus_exposed`.
struct BusPolicy;

impl Action for BusPolicy {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let answer = member_client!(aws_sdk_eventbridge, member)
            .describe_event_bus()
            .name(member.target.name())
            .send()
            .await
            .map_err(failed(Service::EventBridge, "DescribeEventBus"))?;
        Ok(PolicyState::new(answer.policy))
    }

    fn plan(&self, state: &PolicyState, _order: &Order) -> Plan<PolicyState> {
        plan(state, None)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_eventbridge, member);
        let bus = member.target.name();
        match &after.policy {
            // A whole policy replaces the one that is there.
            Some(policy) => {
                client
                    .put_permission()
                    .event_bus_name(bus)
                    .policy(policy.as_str())
                    .send()
                    .await
                    .map_err(failed(Service::EventBridge, "PutPermission"))?;
            }
            None => {
                client
                    .remove_permission()
                    .event_bus_name(bus)
                    .remove_all_permissions(true)
                    .send()
                    .await
                    .map_err(failed(Service::EventBridge, "RemovePermission"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::report::Outcome;
    use orgkeeper_tests::wire::{Answer, Wire};
    use serde_json::Value;

    use super::*;
    use crate::parameters::tests;

    fn order(resource: &str) -> Order {
        tests::order("", resource, &[])
    }

    fn state(statements: &[&Value]) -> PolicyState {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        PolicyState::new(Some(document.to_string()))
    }

    fn public(sid: &str) -> Value {
        json!({ "Sid": sid, "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" })
    }

    fn of_account(sid: &str, action: &str) -> Value {
        let root = "arn:aws:iam::111122223333:root";
        json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": root }, "Action": action, "Resource": "*" })
    }

    #[test]
    fn a_function_loses_its_public_statements_only() {
        let order = order("arn:aws:lambda:eu-west-1:111122223333:function:f");
        let before = state(&[&public("url"), &of_account("own", "lambda:InvokeFunction")]);
        let Plan::Change(after) = FunctionPolicy.plan(&before, &order) else {
            panic!("nothing is changed");
        };
        assert_eq!(before.sids(), ["url", "own"]);
        assert_eq!(after.sids(), ["own"]);
        assert_eq!(FunctionPolicy.plan(&after, &order), Plan::Compliant);
        let nothing = PolicyState { policy: None };
        assert_eq!(FunctionPolicy.plan(&nothing, &order), Plan::Compliant);
        let empty = FunctionPolicy.plan(&state(&[&public("url")]), &order);
        assert_eq!(empty, Plan::Change(nothing));
    }

    #[tokio::test]
    async fn a_function_without_a_policy_is_none_that_is_gone() {
        for exists in [true, false] {
            let wire = Wire::start(move |call| {
                if exists && call.operation == "GetFunctionConfiguration" {
                    return Answer::ok(json!({}));
                }
                Answer::error(404, "ResourceNotFoundException")
            })
            .await
            .unwrap();
            let order = order("arn:aws:lambda:eu-west-1:111122223333:function:f");
            let member = Member::for_test(wire.sdk_config().await, order.target.clone());
            let read = FunctionPolicy.read(&member, &order).await;
            match read {
                Ok(state) => assert_eq!((state, exists), (PolicyState { policy: None }, true)),
                Err(failed) => {
                    let outcome = failed.report().map(|report| report.outcome);
                    assert_eq!((outcome, exists), (Some(Outcome::NotApplicable), false));
                }
            }
        }
    }

    #[test]
    fn an_empty_policy_is_removed_and_a_topic_keeps_its_owner() {
        let before = state(&[&public("all")]);
        let nothing = Plan::Change(PolicyState { policy: None });
        let queue = order("arn:aws:sqs:eu-west-1:111122223333:q");
        assert_eq!(QueuePolicy.plan(&before, &queue), nothing);
        let secret = order("arn:aws:secretsmanager:eu-west-1:111122223333:secret:s-AbCdEf");
        assert_eq!(SecretPolicy.plan(&before, &secret), nothing);
        let bus = order("arn:aws:events:eu-west-1:111122223333:event-bus/b");
        assert_eq!(BusPolicy.plan(&before, &bus), nothing);
        let topic = order("arn:aws:sns:eu-west-1:111122223333:t");
        let Plan::Change(after) = TopicPolicy.plan(&before, &topic) else {
            panic!("nothing is changed");
        };
        assert_eq!(after.sids(), ["OrgkeeperOwner"]);
        assert_eq!(TopicPolicy.plan(&after, &topic), Plan::Compliant);
    }

    #[test]
    fn a_key_keeps_somebody_who_administers_it() {
        let order = order("arn:aws:kms:eu-west-1:111122223333:key/k");
        let root = of_account("root", "kms:*");
        let Plan::Change(after) = KeyPolicy.plan(&state(&[&public("all"), &root]), &order) else {
            panic!("nothing is changed");
        };
        assert_eq!(after, state(&[&root]));
        let users = of_account("use", "kms:Decrypt");
        for statements in [&[&public("all")][..], &[&public("all"), &users]] {
            let planned = KeyPolicy.plan(&state(statements), &order);
            assert!(matches!(planned, Plan::Blocked(reason) if reason.contains("administer")));
        }
        assert_eq!(KeyPolicy.plan(&state(&[&users]), &order), Plan::Compliant);
    }

    /// The operations that make a state of a public policy, with what they are asked to write.
    async fn applied(
        action: &impl Action<State = PolicyState>,
        resource: &str,
        after: &PolicyState,
    ) -> Vec<(String, Value)> {
        let wire = Wire::start(|_| Answer::ok(json!({}))).await.unwrap();
        let order = order(resource);
        let member = Member::for_test(wire.sdk_config().await, order.target.clone());
        let before = state(&[&public("all")]);
        action.apply(&member, &order, &before, after).await.unwrap();
        let calls = wire.calls();
        let calls = calls
            .into_iter()
            .map(|call| (call.operation.clone(), call.body.clone()));
        calls.collect()
    }

    #[tokio::test]
    async fn a_secret_and_a_bus_get_the_whole_policy_or_none() {
        let left = state(&[&of_account("own", "*")]);
        let none = PolicyState { policy: None };
        let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s-AbCdEf";
        let bus = "arn:aws:events:eu-west-1:111122223333:event-bus/team/b";
        assert_eq!(
            applied(&SecretPolicy, secret, &left).await,
            [(
                "PutResourcePolicy".to_owned(),
                json!({ "SecretId": secret, "ResourcePolicy": left.text() })
            )]
        );
        assert_eq!(
            applied(&SecretPolicy, secret, &none).await,
            [(
                "DeleteResourcePolicy".to_owned(),
                json!({ "SecretId": secret })
            )]
        );
        assert_eq!(
            applied(&BusPolicy, bus, &left).await,
            [(
                "PutPermission".to_owned(),
                json!({ "EventBusName": "team/b", "Policy": left.text() })
            )]
        );
        assert_eq!(
            applied(&BusPolicy, bus, &none).await,
            [(
                "RemovePermission".to_owned(),
                json!({ "EventBusName": "team/b", "RemoveAllPermissions": true })
            )]
        );
    }

    #[test]
    fn what_is_no_policy_is_left_alone() {
        let order = order("arn:aws:sqs:eu-west-1:111122223333:q");
        let unreadable = PolicyState::new(Some("[]".to_owned()));
        assert!(matches!(
            QueuePolicy.plan(&unreadable, &order),
            Plan::Blocked(_)
        ));
    }
}
