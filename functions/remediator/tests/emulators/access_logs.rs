//! Logs of what users reach: REST, HTTP and WebSocket APIs, and load balancers.

use anyhow::{Context as _, Result};
use aws_sdk_apigateway::types::{IntegrationType, Op, PatchOperation};
use aws_sdk_apigatewayv2::types::ProtocolType;
use orgkeeper_shared::remediation::{order::Task, report::Outcome};
use serde_json::json;

use crate::common::{Check, Place, Stage, order, unique};

async fn rest_api(place: &Place) -> Result<String> {
    let client = aws_sdk_apigateway::Client::new(&place.sdk);
    let api = client.create_rest_api().name(unique("rest")).send().await?;
    let api = api.id.context("no API")?;
    let resources = client.get_resources().rest_api_id(&api).send().await?;
    let root = resources.items.context("no resources")?.remove(0);
    let root = root.id.context("no resource")?;
    client
        .put_method()
        .rest_api_id(&api)
        .resource_id(&root)
        .http_method("GET")
        .authorization_type("NONE")
        .send()
        .await?;
    client
        .put_integration()
        .rest_api_id(&api)
        .resource_id(&root)
        .http_method("GET")
        .r#type(IntegrationType::Mock)
        .send()
        .await?;
    client
        .create_deployment()
        .rest_api_id(&api)
        .stage_name("prod")
        .send()
        .await?;
    // Somebody wants to see every request of this method.
    let louder = PatchOperation::builder()
        .op(Op::Replace)
        .path("/~1/GET/logging/loglevel")
        .value("INFO")
        .build();
    client
        .update_stage()
        .rest_api_id(&api)
        .stage_name("prod")
        .patch_operations(louder)
        .send()
        .await?;
    Ok(place.arn("apigateway", &format!("/restapis/{api}/stages/prod")))
}

async fn logging_levels(place: &Place, resource: &str) -> Result<String> {
    let api = resource.split('/').nth(2).context("no API")?;
    let stage = aws_sdk_apigateway::Client::new(&place.sdk)
        .get_stage()
        .rest_api_id(api)
        .stage_name("prod")
        .send()
        .await?;
    let settings = stage.method_settings.unwrap_or_default();
    let mut levels: Vec<String> = settings
        .into_iter()
        .map(|(method, it)| format!("{method} {}", it.logging_level.unwrap_or_default()))
        .collect();
    levels.sort();
    Ok(levels.join(", "))
}

#[tokio::test]
async fn a_stage_of_a_rest_api_logs_errors_with_a_role_of_the_region() -> Result<()> {
    const CONTROL: &str = "APIGateway.1";
    let stage = Stage::open().await?;
    let report = Check::of(CONTROL)
        .run(&stage, rest_api, logging_levels)
        .await?;
    let after = report.after.context("no state after")?;
    let levels = after["LoggingLevels"].as_object().context("no levels")?;
    assert_eq!(levels["*/*"], "ERROR");
    assert_eq!(levels.values().filter(|it| *it == "INFO").count(), 1);
    let account = aws_sdk_apigateway::Client::new(&stage.here.sdk)
        .get_account()
        .send()
        .await?;
    let role = account.cloudwatch_role_arn.context("no role")?;
    assert!(role.ends_with(":role/OrgkeeperApiLogs"), "{role}");
    let gone = stage
        .here
        .arn("apigateway", "/restapis/orgkeeper/stages/gone");
    let (report, _) = stage
        .run(&order(Task::Fix, CONTROL, &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}

/// An API with two stages, named as Prowler names it; gives its ARN.
async fn api(place: &Place, protocol: ProtocolType) -> Result<String> {
    let client = aws_sdk_apigatewayv2::Client::new(&place.sdk);
    let made = client
        .create_api()
        .name(unique("http"))
        .protocol_type(protocol)
        .route_selection_expression("$request.body.action")
        .send()
        .await?;
    let api = made.api_id.context("no API")?;
    for stage in ["$default", "test"] {
        client
            .create_stage()
            .api_id(&api)
            .stage_name(stage)
            .send()
            .await?;
    }
    Ok(place.arn("apigateway", &format!("apis/{api}")))
}

async fn access_logs(place: &Place, resource: &str) -> Result<String> {
    let path = resource.rsplit(':').next().unwrap_or_default();
    let api = path.trim_start_matches('/').split('/').nth(1);
    let answer = aws_sdk_apigatewayv2::Client::new(&place.sdk)
        .get_stages()
        .api_id(api.context("no API")?)
        .send()
        .await?;
    let stages = answer.items.unwrap_or_default().into_iter();
    let mut stages: Vec<String> = stages
        .map(|it| format!("{:?} {:?}", it.stage_name, it.access_log_settings))
        .collect();
    stages.sort();
    Ok(stages.join(", "))
}

#[tokio::test]
async fn every_stage_of_an_http_api_logs_requests() -> Result<()> {
    const CONTROL: &str = "APIGateway.9";
    let stage = Stage::open().await?;
    let http = async |place: &Place| api(place, ProtocolType::Http).await;
    let report = Check::of(CONTROL).run(&stage, http, access_logs).await?;
    let group = stage
        .here
        .arn("logs", "log-group:/orgkeeper/api-access-logs");
    let both = json!({ "Stages": { "$default": group, "test": group } });
    assert_eq!(report.after, Some(both));

    // As Security Hub names it: one stage, and the other stays.
    let other = api(&stage.here, ProtocolType::Http).await?;
    let (start, path) = other.rsplit_once(':').context("no path")?;
    let default = format!("{start}:/{path}/stages/$default");
    let fix = order(Task::Fix, CONTROL, &stage.here, &default)?;
    let (report, _) = stage.run(&fix).await?;
    assert_eq!(report.outcome, Outcome::Fixed, "{report:?}");
    assert_eq!(
        report.after,
        Some(json!({ "Stages": { "$default": group } }))
    );
    let seen = access_logs(&stage.here, &other).await?;
    assert!(seen.contains(r#"Some("test") None"#), "{seen}");

    let gone = stage.here.arn("apigateway", "apis/gone");
    let (report, _) = stage
        .run(&order(Task::Fix, CONTROL, &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}

#[tokio::test]
async fn a_websocket_api_needs_the_role_of_the_region() -> Result<()> {
    let stage = Stage::open().await?;
    // No other test gives this Region a role.
    let elsewhere = &stage.other_region;
    let websocket = api(elsewhere, ProtocolType::Websocket).await?;
    let fix = order(Task::Fix, "APIGateway.9", elsewhere, &websocket)?;
    let (report, _) = stage.run(&fix).await?;
    assert_eq!(report.outcome, Outcome::Blocked, "{report:?}");
    let reason = report.reason.unwrap_or_default();
    assert!(reason.contains("no role"), "{reason}");
    Ok(())
}

async fn load_balancer(place: &Place) -> Result<String> {
    let ec2 = aws_sdk_ec2::Client::new(&place.sdk);
    let vpc = ec2.create_vpc().cidr_block("10.40.0.0/16").send().await?;
    let vpc = vpc.vpc.and_then(|it| it.vpc_id).context("no VPC")?;
    let mut subnets = Vec::new();
    for (zone, block) in [("a", "10.40.1.0/24"), ("b", "10.40.2.0/24")] {
        let made = ec2
            .create_subnet()
            .vpc_id(&vpc)
            .cidr_block(block)
            .availability_zone(format!("{}{zone}", place.region))
            .send()
            .await?;
        subnets.push(made.subnet.and_then(|it| it.subnet_id).context("none")?);
    }
    let made = aws_sdk_elasticloadbalancingv2::Client::new(&place.sdk)
        .create_load_balancer()
        .name(unique("shop"))
        .set_subnets(Some(subnets))
        .send()
        .await?;
    let balancer = made.load_balancers.context("none")?.remove(0);
    balancer.load_balancer_arn.context("no ARN")
}

/// Where the logs go, if they are on.
async fn balancer_logs(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_elasticloadbalancingv2::Client::new(&place.sdk)
        .describe_load_balancer_attributes()
        .load_balancer_arn(resource)
        .send()
        .await?;
    let mut attributes: Vec<String> = answer
        .attributes
        .unwrap_or_default()
        .into_iter()
        .map(|it| format!("{:?}={:?}", it.key, it.value))
        .collect();
    attributes.sort();
    let off = attributes
        .iter()
        .any(|it| it == r#"Some("access_logs.s3.enabled")=Some("false")"#);
    if off {
        attributes.retain(|it| !it.contains("access_logs"));
    }
    Ok(attributes.join(", "))
}

#[tokio::test]
async fn a_load_balancer_logs_to_a_bucket_of_its_region() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("ELB.5")
        .run(&stage, load_balancer, balancer_logs)
        .await?;
    let bucket = format!("orgkeeper-access-logs-{}-us-east-1", stage.here.account);
    let after = json!({ "AccessLogs": { "Bucket": bucket, "Prefix": "load-balancers" } });
    assert_eq!(report.after, Some(after));
    let policy = aws_sdk_s3::Client::new(&stage.here.sdk)
        .get_bucket_policy()
        .bucket(&bucket)
        .send()
        .await?;
    let policy = policy.policy.unwrap_or_default();
    for sid in ["OrgkeeperLoadBalancerLogs", "OrgkeeperRequireTls"] {
        assert!(policy.contains(sid), "{policy}");
    }
    let gone = stage.here.arn(
        "elasticloadbalancing",
        "loadbalancer/app/gone/0123456789abcdef",
    );
    let (report, _) = stage
        .run(&order(Task::Fix, "ELB.5", &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}
