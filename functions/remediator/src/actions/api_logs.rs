//! APIGateway.1: execution logs of a REST API's stage. APIGateway.9: access logs of the stages of an HTTP or WebSocket API.

use std::collections::BTreeMap;

use aws_sdk_apigateway::types::{Op, PatchOperation};
use aws_sdk_apigatewayv2::types::{AccessLogSettings, ProtocolType, Stage};
use orgkeeper_shared::{
    aws_error::Service,
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
///
/// API Gateway has its methods in place of operations ("Actions, resources, and condition keys for Amazon API Gateway
/// Management"). An HTTP API's logs are delivered by CloudWatch Logs, in the name of the caller ("Configure logging for HTTP
/// APIs in API Gateway").
pub(super) const ROWS: &[Row] = &[
    row!("rest-api-logs", RestApiLogs,
    reads: [
        "apigateway:GET" on "arn:{partition}:apigateway:{region}::/restapis/*/stages/*",
        "apigateway:GET" on "arn:{partition}:apigateway:{region}::/account",
    ],
    writes: [
        "apigateway:PATCH" on "arn:{partition}:apigateway:{region}::/restapis/*/stages/*",
        "apigateway:PATCH" on "arn:{partition}:apigateway:{region}::/account",
        "iam:CreateRole" on "arn:{partition}:iam::{account}:role/OrgkeeperApiLogs",
        "iam:PutRolePolicy" on "arn:{partition}:iam::{account}:role/OrgkeeperApiLogs",
        "iam:PassRole" on "arn:{partition}:iam::{account}:role/OrgkeeperApiLogs"
            if "iam:PassedToService" is "apigateway.amazonaws.com",
    ],
    undo: ["apigateway:PATCH" on "arn:{partition}:apigateway:{region}::/restapis/*/stages/*"]),
    row!("api-access-logs", ApiAccessLogs,
    reads: [
        "apigateway:GET" on "arn:{partition}:apigateway:{region}::/apis/*",
        "apigateway:GET" on "arn:{partition}:apigateway:{region}::/account",
    ],
    writes: [
        "apigateway:PATCH" on "arn:{partition}:apigateway:{region}::/apis/*/stages/*",
        "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/api-access-logs",
        "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/api-access-logs:*",
        "logs:CreateLogDelivery" on "*",
        "logs:GetLogDelivery" on "*",
        "logs:ListLogDeliveries" on "*",
        "logs:UpdateLogDelivery" on "*",
        "logs:DescribeLogGroups" on "arn:{partition}:logs:{region}:{account}:log-group:*",
        "logs:DescribeResourcePolicies" on "*",
        "logs:PutResourcePolicy" on "*",
    ],
    undo: [
        "apigateway:DELETE" on "arn:{partition}:apigateway:{region}::/apis/*/stages/*/accesslogsettings",
        "logs:DeleteLogDelivery" on "*",
        "logs:GetLogDelivery" on "*",
        "logs:ListLogDeliveries" on "*",
    ]),
];

/// The role with which API Gateway writes logs of REST and WebSocket APIs; an account has one for each Region.
const ROLE: &str = "OrgkeeperApiLogs";
/// The name of that role's policy.
const POLICY: &str = "write";

/// The role that the account has for this, if any.
async fn log_role(member: &Member) -> Result<Option<String>, CallFailed> {
    let answer = member_client!(aws_sdk_apigateway, member)
        .get_account()
        .send()
        .await
        .map_err(failed(Service::ApiGateway, "GetAccount"))?;
    Ok(answer.cloudwatch_role_arn.filter(|arn| !arn.is_empty()))
}

// ---------------------------------------------------------------- REST APIs

/// APIGateway.1.
struct RestApiLogs;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LevelsState {
    /// By `{path}/{method}`, where `*/*` stands for what has no settings of its own.
    logging_levels: BTreeMap<String, String>,
    /// Whether the account lets API Gateway write logs.
    #[serde(skip)]
    has_role: bool,
}

/// The settings for what has none of its own.
const ALL_METHODS: &str = "*/*";
const OFF: &str = "OFF";
/// The errors of requests: of the levels that the control takes, the one with the fewest lines.
const ERROR: &str = "ERROR";

/// `abc` and `prod` of `/restapis/abc/stages/prod`.
fn api_and_stage(target: &Target) -> (&str, &str) {
    let path = target.path().trim_start_matches('/');
    let mut parts = path.split('/').skip(1);
    let api = parts.next().unwrap_or_default();
    (api, parts.nth(1).unwrap_or_default())
}

impl Action for RestApiLogs {
    type State = LevelsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<LevelsState, CallFailed> {
        let (api, stage) = api_and_stage(&member.target);
        let answer = member_client!(aws_sdk_apigateway, member)
            .get_stage()
            .rest_api_id(api)
            .stage_name(stage)
            .send()
            .await
            .map_err(failed(Service::ApiGateway, "GetStage"))?;
        let settings = answer.method_settings.unwrap_or_default();
        let levels = settings.into_iter().map(|(path, setting)| {
            let level = setting.logging_level.filter(|level| !level.is_empty());
            (path, level.unwrap_or_else(|| OFF.to_owned()))
        });
        let logging_levels: BTreeMap<String, String> = levels.collect();
        let has_role = is_logged(&logging_levels) || log_role(member).await?.is_some();
        Ok(LevelsState {
            logging_levels,
            has_role,
        })
    }

    fn plan(&self, state: &LevelsState, order: &Order) -> Plan<LevelsState> {
        if api_and_stage(&order.target).1.is_empty() {
            return Plan::NotApplicable("the finding names no stage of the API".to_owned());
        }
        if is_logged(&state.logging_levels) {
            return Plan::Compliant;
        }
        let mut after = state.clone();
        after.has_role = true;
        after
            .logging_levels
            .entry(ALL_METHODS.to_owned())
            .or_insert_with(|| OFF.to_owned());
        for level in after.logging_levels.values_mut().filter(|it| *it == OFF) {
            ERROR.clone_into(level);
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &LevelsState,
        after: &LevelsState,
    ) -> Result<(), CallFailed> {
        if after.has_role && !before.has_role {
            give_role(member).await?;
        }
        let (api, stage) = api_and_stage(&member.target);
        let patches = patches(&before.logging_levels, &after.logging_levels);
        member_client!(aws_sdk_apigateway, member)
            .update_stage()
            .rest_api_id(api)
            .stage_name(stage)
            .set_patch_operations(Some(patches))
            .send()
            .await
            .map_err(failed(Service::ApiGateway, "UpdateStage"))?;
        Ok(())
    }
}

/// Whether requests to every method are logged.
fn is_logged(levels: &BTreeMap<String, String>) -> bool {
    levels.contains_key(ALL_METHODS) && levels.values().all(|level| level != OFF)
}

/// What makes `after` of `before`: levels that differ are set, and settings that are not there any more removed.
fn patches(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<PatchOperation> {
    let changed = after.iter().filter(|it| before.get(it.0) != Some(it.1));
    let set = changed.map(|(method, level)| {
        PatchOperation::builder()
            .op(Op::Replace)
            .path(format!("/{}/logging/loglevel", escaped(method)))
            .value(level)
            .build()
    });
    let gone = before.keys().filter(|method| !after.contains_key(*method));
    let removed = gone.map(|method| {
        PatchOperation::builder()
            .op(Op::Remove)
            .path(format!("/{}", escaped(method)))
            .build()
    });
    set.chain(removed).collect()
}

/// A path in a patch: the slashes of a resource are written `~1`, as in a JSON Pointer.
fn escaped(method: &str) -> String {
    match method.rsplit_once('/') {
        Some((resource, method)) => format!("{}/{method}", resource.replace('/', "~1")),
        None => method.to_owned(),
    }
}

/// Creates the role, which may exist, also without its policy, and gives it to API Gateway in this Region. Until IAM shows a
/// new role everywhere that is refused, and the order is retried.
async fn give_role(member: &Member) -> Result<(), CallFailed> {
    let target = &member.target;
    let client = member_client!(aws_sdk_iam, member);
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": { "Service": "apigateway.amazonaws.com" },
            "Action": "sts:AssumeRole",
        },
    });
    let created = client
        .create_role()
        .role_name(ROLE)
        .description(
            "Lets API Gateway write logs to CloudWatch Logs. Created by orgkeeper (APIGateway.1).",
        )
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .map_err(failed(Service::Iam, "CreateRole"));
    if let Err(error) = created
        && !error.has_code("EntityAlreadyExists")
    {
        return Err(error.into());
    }
    client
        .put_role_policy()
        .role_name(ROLE)
        .policy_name(POLICY)
        .policy_document(write_policy())
        .send()
        .await
        .map_err(failed(Service::Iam, "PutRolePolicy"))?;
    let role = format!(
        "arn:{}:iam::{}:role/{ROLE}",
        target.partition(),
        target.account
    );
    let patch = PatchOperation::builder()
        .op(Op::Replace)
        .path("/cloudwatchRoleArn")
        .value(role)
        .build();
    member_client!(aws_sdk_apigateway, member)
        .update_account()
        .patch_operations(patch)
        .send()
        .await
        .map_err(failed(Service::ApiGateway, "UpdateAccount"))?;
    Ok(())
}

/// API Gateway names its log groups itself, `API-Gateway-Execution-Logs_<api>/<stage>`, or as a stage says: what it needs is
/// what AWS's own policy for it has (`AmazonAPIGatewayPushToCloudWatchLogs`), without reading.
fn write_policy() -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogGroups",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            "Resource": "*",
        },
    })
    .to_string()
}

// ---------------------------------------------------------------- HTTP and WebSocket APIs

/// APIGateway.9.
struct ApiAccessLogs;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StagesState {
    /// Where each stage's access logs go.
    stages: BTreeMap<String, Option<String>>,
    /// A WebSocket API writes them with the account's role, and the account has none.
    #[serde(skip)]
    lacks_role: bool,
}

/// The log group of all APIs in a Region.
const LOG_GROUP: &str = "/orgkeeper/api-access-logs";
/// A line of the log, of variables that both kinds of API have or leave empty.
const FORMAT: &str = r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime","routeKey":"$context.routeKey","httpMethod":"$context.httpMethod","eventType":"$context.eventType","status":"$context.status","error":"$context.error.message"}"#;

impl Action for ApiAccessLogs {
    type State = StagesState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<StagesState, CallFailed> {
        let (api, stage) = api_and_stage(&member.target);
        let found = if stage.is_empty() {
            // Prowler names the API and not its stages.
            stages(member, api).await?
        } else {
            vec![one_stage(member, api, stage).await?]
        };
        let stages: BTreeMap<String, Option<String>> = found.into_iter().collect();
        let lacks_role = stages.values().any(Option::is_none)
            && is_websocket(member, api).await?
            && log_role(member).await?.is_none();
        Ok(StagesState { stages, lacks_role })
    }

    fn plan(&self, state: &StagesState, order: &Order) -> Plan<StagesState> {
        if state.stages.values().all(Option::is_some) {
            return Plan::Compliant;
        }
        if state.lacks_role {
            return Plan::Blocked(
                "the account has no role with which API Gateway could write the logs of a WebSocket API: set one \
                 (cloudwatchRoleArn in API Gateway's settings of this Region), or fix APIGateway.1 on a REST API of this \
                 Region, which makes one"
                    .to_owned(),
            );
        }
        let mut after = state.clone();
        for destination in after.stages.values_mut() {
            destination.get_or_insert_with(|| log_group(&order.target));
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &StagesState,
        after: &StagesState,
    ) -> Result<(), CallFailed> {
        let api = api_and_stage(&member.target).0;
        let client = member_client!(aws_sdk_apigatewayv2, member);
        let changed = after.stages.iter().filter(|(name, destination)| {
            before
                .stages
                .get(*name)
                .is_some_and(|was| was != *destination)
        });
        for (stage, destination) in changed {
            let Some(destination) = destination else {
                client
                    .delete_access_log_settings()
                    .api_id(api)
                    .stage_name(stage)
                    .send()
                    .await
                    .map_err(failed(Service::ApiGateway, "DeleteAccessLogSettings"))?;
                continue;
            };
            create_log_group(member).await?;
            let settings = AccessLogSettings::builder()
                .destination_arn(destination)
                .format(FORMAT)
                .build();
            client
                .update_stage()
                .api_id(api)
                .stage_name(stage)
                .access_log_settings(settings)
                .send()
                .await
                .map_err(failed(Service::ApiGateway, "UpdateStage"))?;
        }
        Ok(())
    }
}

fn log_group(target: &Target) -> String {
    format!(
        "arn:{}:logs:{}:{}:log-group:{LOG_GROUP}",
        target.partition(),
        target.region,
        target.account
    )
}

fn destination(settings: Option<&AccessLogSettings>) -> Option<String> {
    let arn = settings.and_then(AccessLogSettings::destination_arn);
    arn.filter(|arn| !arn.is_empty()).map(str::to_owned)
}

async fn one_stage(
    member: &Member,
    api: &str,
    stage: &str,
) -> Result<(String, Option<String>), CallFailed> {
    let answer = member_client!(aws_sdk_apigatewayv2, member)
        .get_stage()
        .api_id(api)
        .stage_name(stage)
        .send()
        .await
        .map_err(failed(Service::ApiGateway, "GetStage"))?;
    Ok((
        stage.to_owned(),
        destination(answer.access_log_settings.as_ref()),
    ))
}

async fn stages(member: &Member, api: &str) -> Result<Vec<(String, Option<String>)>, CallFailed> {
    let client = member_client!(aws_sdk_apigatewayv2, member);
    let (mut found, mut next): (Vec<Stage>, Option<String>) = (Vec::new(), None);
    loop {
        let answer = client
            .get_stages()
            .api_id(api)
            .set_next_token(next)
            .send()
            .await
            .map_err(failed(Service::ApiGateway, "GetStages"))?;
        found.extend(answer.items.unwrap_or_default());
        next = answer.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            break;
        }
    }
    let named = found.into_iter().filter_map(|stage| {
        let destination = destination(stage.access_log_settings.as_ref());
        Some((stage.stage_name?, destination))
    });
    Ok(named.collect())
}

async fn is_websocket(member: &Member, api: &str) -> Result<bool, CallFailed> {
    let answer = member_client!(aws_sdk_apigatewayv2, member)
        .get_api()
        .api_id(api)
        .send()
        .await
        .map_err(failed(Service::ApiGateway, "GetApi"))?;
    Ok(answer.protocol_type == Some(ProtocolType::Websocket))
}

async fn create_log_group(member: &Member) -> Result<(), CallFailed> {
    let created = member_client!(aws_sdk_cloudwatchlogs, member)
        .create_log_group()
        .log_group_name(LOG_GROUP)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, "CreateLogGroup"));
    match created {
        Err(error) if !error.has_code("ResourceAlreadyExistsException") => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    const REST: &str = "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/prod";

    fn levels(levels: &[(&str, &str)]) -> BTreeMap<String, String> {
        let levels = levels.iter();
        levels
            .map(|(method, level)| ((*method).to_owned(), (*level).to_owned()))
            .collect()
    }

    #[test]
    fn api_and_stage_are_read_from_either_form_of_the_arn() {
        for (control, resource, expected) in [
            ("APIGateway.1", REST, ("abc", "prod")),
            (
                "APIGateway.9",
                "arn:aws:apigateway:eu-west-1::/apis/abc/stages/$default",
                ("abc", "$default"),
            ),
            (
                "APIGateway.9",
                "arn:aws:apigateway:eu-west-1::apis/abc",
                ("abc", ""),
            ),
        ] {
            let order = order(control, resource);
            assert_eq!(api_and_stage(&order.target), expected);
        }
    }

    #[test]
    fn what_is_off_logs_errors_and_what_logs_more_stays() {
        let order = order("APIGateway.1", REST);
        let plan = |before: &[(&str, &str)]| {
            let state = LevelsState {
                logging_levels: levels(before),
                has_role: true,
            };
            match RestApiLogs.plan(&state, &order) {
                Plan::Change(after) => Some(after.logging_levels),
                Plan::Compliant => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(plan(&[]), Some(levels(&[("*/*", "ERROR")])));
        assert_eq!(
            plan(&[("pets/GET", "INFO"), ("pets/PUT", "OFF")]),
            Some(levels(&[
                ("*/*", "ERROR"),
                ("pets/GET", "INFO"),
                ("pets/PUT", "ERROR")
            ]))
        );
        assert_eq!(plan(&[("*/*", "INFO")]), None);
    }

    #[test]
    fn a_patch_sets_what_differs_and_removes_what_was_not_there() {
        let before = levels(&[("/pets/cats/GET", "OFF"), ("~1dogs/GET", "INFO")]);
        let after = levels(&[
            ("*/*", "ERROR"),
            ("/pets/cats/GET", "ERROR"),
            ("~1dogs/GET", "INFO"),
        ]);
        let paths = |patches: &[PatchOperation]| -> Vec<String> {
            let patches = patches.iter();
            patches
                .map(|it| {
                    let (op, path) = (it.op().unwrap(), it.path().unwrap());
                    format!("{op} {path} {}", it.value().unwrap_or_default())
                })
                .collect()
        };
        assert_eq!(
            paths(&patches(&before, &after)),
            [
                "replace /*/*/logging/loglevel ERROR",
                "replace /~1pets~1cats/GET/logging/loglevel ERROR"
            ]
        );
        assert_eq!(
            paths(&patches(&after, &before)),
            [
                "replace /~1pets~1cats/GET/logging/loglevel OFF",
                "remove /*/* "
            ]
        );
    }

    #[test]
    fn only_stages_without_logs_get_ours() {
        let order = order(
            "APIGateway.9",
            "arn:aws:apigateway:eu-west-1::/apis/abc/stages/prod",
        );
        let state = |ours: Option<&str>, lacks_role| StagesState {
            stages: BTreeMap::from([
                ("prod".to_owned(), ours.map(str::to_owned)),
                ("test".to_owned(), Some("theirs".to_owned())),
            ]),
            lacks_role,
        };
        let group = "arn:aws:logs:eu-west-1:111122223333:log-group:/orgkeeper/api-access-logs";
        assert_eq!(
            ApiAccessLogs.plan(&state(None, false), &order),
            Plan::Change(state(Some(group), false))
        );
        assert_eq!(
            ApiAccessLogs.plan(&state(Some("a"), false), &order),
            Plan::Compliant
        );
        assert!(matches!(
            ApiAccessLogs.plan(&state(None, true), &order),
            Plan::Blocked(_)
        ));
    }
}
