//! S3.1: the account's public access block. S3.2, S3.3, S3.8, CloudTrail.6: a bucket's. S3.5: TLS. S3.9, CloudTrail.7:
//! access logs.

use aws_sdk_s3::types::{BucketLoggingStatus, LoggingEnabled};
use aws_sdk_s3control::{
    config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint},
    types::PublicAccessBlockConfiguration,
};
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::buckets::{OwnBucket, access_log_bucket, arn_of, at_bucket, policy, require_tls};
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    policy_document::{PolicyDocument, PolicyText, Statement, texts},
    refusal::{CallFailed, failed, incomplete},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("s3-account-public-access-block", AccountBlock,
        reads: ["s3:GetAccountPublicAccessBlock" on "*"],
        writes: ["s3:PutAccountPublicAccessBlock" on "*"],
        undo: ["s3:PutAccountPublicAccessBlock" on "*"]),
    row!("s3-bucket-public-access-block", BucketBlock,
        reads: ["s3:GetBucketPublicAccessBlock" on "{resource}"],
        writes: ["s3:PutBucketPublicAccessBlock" on "{resource}"],
        undo: ["s3:PutBucketPublicAccessBlock" on "{resource}"]),
    row!("s3-bucket-require-tls", RequireTls,
        reads: [
            "s3:GetBucketPolicy" on "{resource}",
            "s3:GetBucketPublicAccessBlock" on "{resource}",
            "s3:GetAccountPublicAccessBlock" on "*",
        ],
        writes: ["s3:PutBucketPolicy" on "{resource}"],
        undo: ["s3:PutBucketPolicy" on "{resource}", "s3:DeleteBucketPolicy" on "{resource}"]),
    row!("s3-bucket-access-logging", AccessLogging,
    reads: ["s3:GetBucketLogging" on "{resource}"],
    writes: [
        "s3:PutBucketLogging" on "{resource}",
        "s3:GetBucketPolicy" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
        "s3:CreateBucket" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
        "s3:PutBucketPolicy" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
    ],
    undo: ["s3:PutBucketLogging" on "{resource}"]),
];

/// A public access block, of an account or a bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "the switches, as AWS has them"
)]
struct Block {
    /// Whether there is a block at all: without one, nothing is blocked.
    configured: bool,
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

const BLOCKED: Block = Block {
    configured: true,
    block_public_acls: true,
    ignore_public_acls: true,
    block_public_policy: true,
    restrict_public_buckets: true,
};

const NO_BLOCK: &str = "NoSuchPublicAccessBlockConfiguration";

fn plan_block(block: &Block) -> Plan<Block> {
    if *block == BLOCKED {
        Plan::Compliant
    } else {
        Plan::Change(BLOCKED)
    }
}

/// S3.1.
struct AccountBlock;

impl Action for AccountBlock {
    type State = Block;

    async fn read(&self, member: &Member, _order: &Order) -> Result<Block, CallFailed> {
        block_of_account(member).await
    }

    fn plan(&self, state: &Block, _order: &Order) -> Plan<Block> {
        plan_block(state)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &Block,
        after: &Block,
    ) -> Result<(), CallFailed> {
        let client = s3control(member);
        let account = member.target.account.as_str();
        if !after.configured {
            client
                .delete_public_access_block()
                .account_id(account)
                .send()
                .await
                .map_err(failed(Service::S3Control, "DeletePublicAccessBlock"))?;
            return Ok(());
        }
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(after.block_public_acls)
            .ignore_public_acls(after.ignore_public_acls)
            .block_public_policy(after.block_public_policy)
            .restrict_public_buckets(after.restrict_public_buckets)
            .build();
        client
            .put_public_access_block()
            .account_id(account)
            .public_access_block_configuration(block)
            .send()
            .await
            .map_err(failed(Service::S3Control, "PutPublicAccessBlock"))?;
        Ok(())
    }
}

fn s3control(member: &Member) -> aws_sdk_s3control::Client {
    let config = aws_sdk_s3control::config::Builder::from(&member.sdk);
    let config = match member.sdk.endpoint_url() {
        Some(address) => config.endpoint_resolver(BareAddress(address.to_owned())),
        None => config,
    };
    aws_sdk_s3control::Client::from_conf(config.interceptor(member.calls.clone()).build())
}

/// An address of the local cloud as it is: the SDK's rules put the account id before any host, and
/// `111122223333.127.0.0.1` leads nowhere.
#[derive(Debug)]
struct BareAddress(String);

impl ResolveEndpoint for BareAddress {
    fn resolve_endpoint<'a>(&'a self, _params: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

/// S3.2, S3.3, S3.8, CloudTrail.6.
struct BucketBlock;

impl Action for BucketBlock {
    type State = Block;

    async fn read(&self, member: &Member, _order: &Order) -> Result<Block, CallFailed> {
        block_of(member).await
    }

    fn plan(&self, state: &Block, _order: &Order) -> Plan<Block> {
        plan_block(state)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &Block,
        after: &Block,
    ) -> Result<(), CallFailed> {
        if !after.configured {
            at_bucket(member, "DeletePublicAccessBlock", async |client| {
                client
                    .delete_public_access_block()
                    .bucket(member.target.name())
                    .expected_bucket_owner(member.target.account.as_str())
                    .send()
                    .await
            })
            .await?;
            return Ok(());
        }
        let block = aws_sdk_s3::types::PublicAccessBlockConfiguration::builder()
            .block_public_acls(after.block_public_acls)
            .ignore_public_acls(after.ignore_public_acls)
            .block_public_policy(after.block_public_policy)
            .restrict_public_buckets(after.restrict_public_buckets)
            .build();
        at_bucket(member, "PutPublicAccessBlock", async |client| {
            client
                .put_public_access_block()
                .bucket(member.target.name())
                .expected_bucket_owner(member.target.account.as_str())
                .public_access_block_configuration(block.clone())
                .send()
                .await
        })
        .await?;
        Ok(())
    }
}

/// The public access block of the order's account.
async fn block_of_account(member: &Member) -> Result<Block, CallFailed> {
    let answer = s3control(member)
        .get_public_access_block()
        .account_id(member.target.account.as_str())
        .send()
        .await
        .map_err(failed(Service::S3Control, "GetPublicAccessBlock"));
    let block = match answer {
        Ok(answer) => answer.public_access_block_configuration,
        Err(error) if error.has_code(NO_BLOCK) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(block.map_or_else(Block::default, |block| Block {
        configured: true,
        block_public_acls: block.block_public_acls == Some(true),
        ignore_public_acls: block.ignore_public_acls == Some(true),
        block_public_policy: block.block_public_policy == Some(true),
        restrict_public_buckets: block.restrict_public_buckets == Some(true),
    }))
}

/// The public access block of the order's bucket.
async fn block_of(member: &Member) -> Result<Block, CallFailed> {
    let read = at_bucket(member, "GetPublicAccessBlock", async |client| {
        client
            .get_public_access_block()
            .bucket(member.target.name())
            .expected_bucket_owner(member.target.account.as_str())
            .send()
            .await
    });
    let block = match read.await {
        Ok((answer, _)) => answer.public_access_block_configuration,
        Err(error) if error.has_code(NO_BLOCK) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(block.map_or_else(Block::default, |block| Block {
        configured: true,
        block_public_acls: block.block_public_acls == Some(true),
        ignore_public_acls: block.ignore_public_acls == Some(true),
        block_public_policy: block.block_public_policy == Some(true),
        restrict_public_buckets: block.restrict_public_buckets == Some(true),
    }))
}

/// S3.5.
struct RequireTls;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyState {
    policy: Option<PolicyText>,
    /// Whether a block of the bucket or of the account takes the effect of what is public in the policy, and refuses to
    /// write it again.
    #[serde(skip)]
    blocked: bool,
}

/// The longest policy of a bucket, in bytes.
const POLICY_LENGTH: usize = 20 * 1024;

impl Action for RequireTls {
    type State = PolicyState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<PolicyState, CallFailed> {
        let policy = policy(member).await?;
        let document = policy.as_ref().and_then(|it| it.document().ok());
        let public = document.is_some_and(|it| it.without_public().is_some());
        let closes = |block: Block| block.block_public_policy && block.restrict_public_buckets;
        let blocked =
            public && (closes(block_of(member).await?) || closes(block_of_account(member).await?));
        Ok(PolicyState { policy, blocked })
    }

    fn plan(&self, state: &PolicyState, order: &Order) -> Plan<PolicyState> {
        let target = &order.target;
        let mut document = match state.policy.as_ref().map(PolicyText::document) {
            None => PolicyDocument::default(),
            Some(Ok(document)) => document,
            Some(Err(_)) => {
                return Plan::Blocked("the bucket's policy is no JSON object".to_owned());
            }
        };
        let arn = arn_of(target, target.name());
        let requires_tls = |resource: &str| {
            let mut statements = document.statements().iter();
            statements.any(|statement| denies_plain_http(statement, resource))
        };
        if requires_tls(&arn) && requires_tls(&format!("{arn}/*")) {
            return Plan::Compliant;
        }
        if let Some(private) = document.without_public().filter(|_| state.blocked) {
            document = private;
        }
        document.append(require_tls(target, target.name()));
        let policy = document.text();
        if policy.as_str().len() > POLICY_LENGTH {
            return Plan::Blocked(
                "the bucket's policy has no room for another statement (20 KB): shorten it"
                    .to_owned(),
            );
        }
        Plan::Change(PolicyState {
            policy: Some(policy),
            blocked: false,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &PolicyState,
        after: &PolicyState,
    ) -> Result<(), CallFailed> {
        let Some(policy) = after.policy.as_ref().map(PolicyText::as_str) else {
            at_bucket(member, "DeleteBucketPolicy", async |client| {
                client
                    .delete_bucket_policy()
                    .bucket(member.target.name())
                    .expected_bucket_owner(member.target.account.as_str())
                    .send()
                    .await
            })
            .await?;
            return Ok(());
        };
        at_bucket(member, "PutBucketPolicy", async |client| {
            client
                .put_bucket_policy()
                .bucket(member.target.name())
                .expected_bucket_owner(member.target.account.as_str())
                .policy(policy)
                .send()
                .await
        })
        .await?;
        Ok(())
    }
}

/// Whether a statement denies everybody every call to a resource that does not use TLS.
fn denies_plain_http(statement: &Statement, resource: &str) -> bool {
    let value = statement.value();
    let has = |member: &str, wanted: &[&str]| {
        let given = texts(&value[member]);
        given.iter().any(|it| wanted.contains(&it.as_str()))
    };
    // A statement that depends on anything else does not hold for every call.
    let without_tls = ["Bool", "BoolIfExists"].iter().any(|operator| {
        let condition = &value["Condition"];
        let keys = condition[operator].as_object();
        let only = |count: Option<usize>| count == Some(1);
        only(condition.as_object().map(serde_json::Map::len))
            && only(keys.map(serde_json::Map::len))
            && keys.into_iter().flatten().all(|(key, values)| {
                key.eq_ignore_ascii_case("aws:SecureTransport") && texts(values) == ["false"]
            })
    });
    let bucket = resource.trim_end_matches("/*");
    let all = [resource, "*", &format!("{bucket}*")];
    value["Effect"] == "Deny"
        && value["NotPrincipal"].is_null()
        && statement.is_for_everybody()
        && has("Action", &["*", "s3:*", "S3:*"])
        && has("Resource", &all)
        && without_tls
}

/// S3.9, CloudTrail.7.
struct AccessLogging;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingState {
    target_bucket: Option<String>,
    target_prefix: Option<String>,
    /// Logs can only be written to a bucket of the same Region.
    #[serde(skip)]
    region: String,
    /// Our bucket for logs, where it is needed.
    #[serde(skip)]
    log_bucket: Option<OwnBucket>,
}

impl Action for AccessLogging {
    type State = LoggingState;

    async fn read(&self, member: &Member, order: &Order) -> Result<LoggingState, CallFailed> {
        let target = &member.target;
        let (answer, region) = at_bucket(member, "GetBucketLogging", async |client| {
            client
                .get_bucket_logging()
                .bucket(target.name())
                .expected_bucket_owner(target.account.as_str())
                .send()
                .await
        })
        .await?;
        let (target_bucket, target_prefix) = answer
            .logging_enabled
            .map(|logging| (logging.target_bucket, logging.target_prefix))
            .unzip();
        let ours = access_log_bucket(target, &region);
        let needed = target_bucket.is_none()
            && parameters::log_bucket(order).is_none()
            && ours.name != target.name();
        let log_bucket = needed.then_some(ours);
        Ok(LoggingState {
            target_bucket,
            target_prefix,
            region,
            log_bucket,
        })
    }

    fn plan(&self, state: &LoggingState, order: &Order) -> Plan<LoggingState> {
        let bucket = order.target.name();
        let ours = state.log_bucket.as_ref().map(|it| it.name.as_str());
        let log_bucket = parameters::log_bucket(order).or(ours);
        if state.target_bucket.is_some() {
            return Plan::Compliant;
        }
        match log_bucket.filter(|log_bucket| *log_bucket != bucket) {
            Some(log_bucket) => Plan::Change(LoggingState {
                target_bucket: Some(log_bucket.to_owned()),
                target_prefix: Some(format!("{bucket}/")),
                ..state.clone()
            }),
            None => Plan::Blocked(
                "this is the bucket that access logs are written to, and its own logs would never end: exempt it, or \
                 name another bucket for them by the parameter log_bucket"
                    .to_owned(),
            ),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &LoggingState,
        after: &LoggingState,
    ) -> Result<(), CallFailed> {
        if let Some(log_bucket) = before
            .log_bucket
            .as_ref()
            .filter(|_| after.target_bucket.is_some())
        {
            let statements = log_bucket_statements(member, &log_bucket.name);
            log_bucket.complete(member, statements).await?;
        }
        let logging = after.target_bucket.as_ref().map(|log_bucket| {
            LoggingEnabled::builder()
                .target_bucket(log_bucket)
                .set_target_prefix(after.target_prefix.clone())
                .build()
        });
        let logging = logging
            .transpose()
            .map_err(incomplete(Service::S3, "PutBucketLogging"))?;
        // Without it, nothing is logged.
        let status = BucketLoggingStatus::builder()
            .set_logging_enabled(logging)
            .build();
        member_client!(aws_sdk_s3, member.in_region(&before.region))
            .put_bucket_logging()
            .bucket(member.target.name())
            .expected_bucket_owner(member.target.account.as_str())
            .bucket_logging_status(status)
            .send()
            .await
            .map_err(failed(Service::S3, "PutBucketLogging"))?;
        Ok(())
    }
}

/// Lets S3 write the access logs of the account's buckets, over TLS only.
fn log_bucket_statements(member: &Member, log_bucket: &str) -> Vec<Value> {
    let target = &member.target;
    let write = json!({
        "Sid": "OrgkeeperAccessLogs",
        "Effect": "Allow",
        "Principal": { "Service": "logging.s3.amazonaws.com" },
        "Action": "s3:PutObject",
        "Resource": format!("{}/*", arn_of(target, log_bucket)),
        "Condition": { "StringEquals": { "aws:SourceAccount": target.account.as_str() } },
    });
    vec![write, require_tls(target, log_bucket)]
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::parameters::tests;

    fn order(control: &str, parameters: &[(&str, &str)]) -> Order {
        tests::order(control, "arn:aws:s3:::data", parameters)
    }

    fn policy_state(policy: Option<&str>) -> PolicyState {
        PolicyState {
            policy: policy.map(PolicyText::new),
            blocked: false,
        }
    }

    #[test]
    fn what_is_public_goes_if_the_block_would_refuse_it() {
        let public = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}"#;
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{public}]}}"#);
        for blocked in [true, false] {
            let state = PolicyState {
                blocked,
                ..policy_state(Some(&text))
            };
            let Plan::Change(planned) = RequireTls.plan(&state, &order("S3.5", &[])) else {
                panic!("nothing is changed");
            };
            let planned = planned.policy.unwrap();
            assert_eq!(planned.as_str().contains(public), !blocked, "{planned:?}");
            assert!(planned.as_str().contains("OrgkeeperRequireTls"));
        }
    }

    #[test]
    fn a_block_is_complete_or_completed() {
        assert_eq!(plan_block(&Block::default()), Plan::Change(BLOCKED));
        let part = Block {
            block_public_acls: false,
            ..BLOCKED
        };
        assert_eq!(plan_block(&part), Plan::Change(BLOCKED));
        assert_eq!(plan_block(&BLOCKED), Plan::Compliant);
    }

    #[test]
    fn tls_is_required_by_one_more_statement() {
        let order = order("S3.5", &[]);
        let statement = r#"{"Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny","Principal":"*","Resource":["arn:aws:s3:::data","arn:aws:s3:::data/*"],"Sid":"OrgkeeperRequireTls"}"#;
        let kept = r#"{ "Effect": "Allow",  "Principal": { "AWS": "444455556666" }, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*" }"#;
        for (before, after) in [
            (
                None,
                format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#),
            ),
            (
                Some(format!(
                    r#"{{"Id":"a","Statement":[{kept}],"Version":"2008-10-17"}}"#
                )),
                format!(r#"{{"Id":"a","Statement":[{kept},{statement}],"Version":"2008-10-17"}}"#),
            ),
        ] {
            let Plan::Change(planned) = RequireTls.plan(&policy_state(before.as_deref()), &order)
            else {
                panic!("nothing is changed");
            };
            assert_eq!(planned.policy.as_ref().unwrap().as_str(), after);
            assert_eq!(RequireTls.plan(&planned, &order), Plan::Compliant);
        }
    }

    #[test]
    fn an_equivalent_statement_is_enough_and_a_weaker_one_is_not() {
        let policy = |action: &str, resource: &Value, condition: &Value| {
            let statement = json!({ "Effect": "Deny", "Principal": { "AWS": "*" }, "Action": action,
                "Resource": resource, "Condition": condition });
            json!({ "Statement": statement }).to_string()
        };
        let both = json!(["arn:aws:s3:::data", "arn:aws:s3:::data/*"]);
        let plain = json!({ "Bool": { "aws:SecureTransport": "false" } });
        for (action, resource, condition, enough) in [
            ("s3:*", &both, plain.clone(), true),
            (
                "*",
                &json!("*"),
                json!({ "BoolIfExists": { "aws:securetransport": [false] } }),
                true,
            ),
            ("s3:*", &json!("arn:aws:s3:::data*"), plain.clone(), true),
            ("s3:*", &json!("arn:aws:s3:::data/*"), plain.clone(), false),
            ("s3:GetObject", &both, plain, false),
            (
                "s3:*",
                &both,
                json!({ "Bool": { "aws:SecureTransport": "true" } }),
                false,
            ),
            (
                "s3:*",
                &both,
                json!({ "Bool": { "aws:SecureTransport": "false" }, "StringEquals": { "aws:SourceVpc": "vpc-1" } }),
                false,
            ),
        ] {
            let state = policy_state(Some(&policy(action, resource, &condition)));
            let planned = RequireTls.plan(&state, &order("S3.5", &[]));
            assert_eq!(
                planned == Plan::Compliant,
                enough,
                "{action} {resource} {condition}"
            );
        }
    }

    #[test]
    fn a_full_policy_is_not_changed() {
        let full = json!({ "Id": "x".repeat(POLICY_LENGTH - 100), "Statement": [] }).to_string();
        let planned = RequireTls.plan(&policy_state(Some(&full)), &order("S3.5", &[]));
        assert!(matches!(planned, Plan::Blocked(reason) if reason.contains("20 KB")));
    }

    fn logging(target_bucket: Option<&str>, ours: Option<&str>) -> LoggingState {
        LoggingState {
            target_bucket: target_bucket.map(str::to_owned),
            target_prefix: None,
            region: "eu-west-1".to_owned(),
            log_bucket: ours.map(|name| OwnBucket {
                name: name.to_owned(),
                region: "eu-west-1".to_owned(),
            }),
        }
    }

    #[test]
    fn access_logs_go_to_another_bucket() {
        let planned = |state: &LoggingState, parameters: &[(&str, &str)]| {
            AccessLogging.plan(state, &order("S3.9", parameters))
        };
        let to = |plan: Plan<LoggingState>| match plan {
            Plan::Change(state) => (state.target_bucket, state.target_prefix),
            other => panic!("{other:?}"),
        };
        let prefix = || Some("data/".to_owned());
        assert_eq!(
            to(planned(&logging(None, Some("ours")), &[])),
            (Some("ours".to_owned()), prefix())
        );
        assert_eq!(
            to(planned(&logging(None, None), &[("log_bucket", "central")])),
            (Some("central".to_owned()), prefix())
        );
        assert_eq!(
            planned(&logging(Some("theirs"), None), &[]),
            Plan::Compliant
        );
        for state in [logging(None, None), logging(None, Some("data"))] {
            assert!(matches!(planned(&state, &[]), Plan::Blocked(_)));
        }
        assert!(matches!(
            planned(&logging(None, None), &[("log_bucket", "data")]),
            Plan::Blocked(_)
        ));
    }
}
