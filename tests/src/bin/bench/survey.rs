//! What a survey of 500 accounts in 17 Regions costs, beside a serial script that asks for the same in a hundredth of them.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, EXPOSURE, POSTURE},
    sqs::record,
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, count, megabytes, milliseconds},
    run::{AWS_CALL, Binary, Build, start},
};

const ACCOUNTS: usize = 500;
/// Accounts of a message.
const TOGETHER: usize = 5;
/// The part of the accounts that the script asks.
const OF_SCRIPT: usize = ACCOUNTS / 100;
/// Functions at once: one for each core.
const FUNCTIONS: usize = 2;
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The figures of `organization-surveyor`.
pub(crate) async fn surveyor(built: &Build) -> Result<Vec<Figure>> {
    let binary = built.function("organization-surveyor", "OrganizationSurveyor")?;
    let tables = Arc::new(DynamoDb::new());
    for number in 0..ACCOUNTS {
        tables.put(
            ACCOUNT_DIRECTORY,
            &json!({ "AccountId": { "S": account(number) }, "Name": { "S": "bench" }, "OuPath": { "L": [] },
                "RefreshedAt": { "N": "0" }, "State": { "S": "ACTIVE" } }),
        );
    }
    let summary = json!({ "Pair": { "S": "survey#bench" }, "Kind": { "S": "survey" }, "SurveyId": { "S": "bench" },
        "Parts": { "N": (ACCOUNTS / TOGETHER).to_string() } });
    tables.put(POSTURE, &summary);
    let of_wire = Arc::clone(&tables);
    let wire = Wire::start(move |call| answer(&of_wire, call).after(AWS_CALL)).await?;

    eprintln!("organization-surveyor: {ACCOUNTS} accounts");
    let began = Instant::now();
    let parts = (0..FUNCTIONS).map(|first| survey(&binary, &wire, first));
    let peaks: Vec<u64> = futures::future::try_join_all(parts).await?;
    let took = began.elapsed();
    let ended = tables.get(POSTURE, "survey#bench").context("no survey")?;
    let pairs = ACCOUNTS * REGIONS.len();
    ensure!(
        ended["Seen"]["N"].as_str() == Some(&*pairs.to_string()),
        "{ended}"
    );
    let in_members = wire
        .calls()
        .iter()
        .filter(|call| is_of_member(call))
        .count();
    let sessions = wire.calls_of("AssumeRole").len();
    ensure!(sessions == ACCOUNTS, "{sessions} sessions");

    eprintln!("a serial script: {OF_SCRIPT} accounts");
    let script = script(wire.url()).await?;
    let peak = peaks.into_iter().max().unwrap_or_default();
    Ok(vec![
        Figure::new("500 accounts, 17 Regions: time", milliseconds(took), "ms").at_most(60_000.0),
        Figure::new(
            "calls for each account and Region",
            count(in_members) / count(pairs),
            "",
        )
        .at_most(3.5),
        Figure::new("sessions", count(sessions), "").at_most(count(ACCOUNTS)),
        Figure::new("peak memory", megabytes(peak), "MB").at_most(64.0),
        Figure::new(
            "a serial script, from a hundredth of them: time",
            milliseconds(script) * 100.0,
            "ms",
        ),
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

/// Gives every second message to a function, one after the other; its peak memory in bytes.
async fn survey(binary: &Binary, wire: &Wire, first: usize) -> Result<u64> {
    let mut function = start(
        binary,
        wire,
        &[
            ("POSTURE_TABLE", POSTURE),
            ("EXPOSURE_TABLE", EXPOSURE),
            ("POSTURE_BUCKET", "posture"),
            (
                "SURVEY_QUEUE_URL",
                "https://sqs.us-east-1.amazonaws.com/1/survey",
            ),
        ],
    )
    .await?;
    for part in (first..ACCOUNTS / TOGETHER).step_by(FUNCTIONS) {
        let accounts = (part * TOGETHER..(part + 1) * TOGETHER).map(account);
        let accounts: Vec<Value> = accounts
            .map(|account| json!({ "account": account }))
            .collect();
        let task = json!({ "surveyId": "bench", "reason": "schedule", "accounts": accounts, "part": part + 1 });
        let message = record(&part.to_string(), &task.to_string(), 1);
        let answer = function.invoke(&json!({ "Records": [message] })).await?;
        let failed = &answer.body["batchItemFailures"];
        ensure!(*failed == json!([]), "messages failed: {failed}");
    }
    function.peak_memory()
}

/// How long the script takes for its accounts.
async fn script(url: &str) -> Result<Duration> {
    let accounts: Vec<String> = (0..OF_SCRIPT).map(account).collect();
    let began = Instant::now();
    let done = tokio::process::Command::new(".venv/cloud/bin/python")
        .args(["infra/local/serial_survey.py", url])
        .args(accounts)
        .stdout(std::process::Stdio::null())
        .status()
        .await?;
    ensure!(done.success(), "serial_survey.py failed");
    Ok(began.elapsed())
}

fn account(number: usize) -> String {
    format!("2{number:011}")
}

/// Whether a call was made in a session of an account.
fn is_of_member(call: &Call) -> bool {
    call.header("authorization").contains("Credential=2")
}

/// AWS's answer. One Region of each account has an instance with a public address.
fn answer(tables: &DynamoDb, call: &Call) -> Answer {
    if let Some(answer) = tables.answer(call) {
        return answer;
    }
    let operation = call.operation.as_str();
    let scope = call.header("authorization");
    let list = |set: &str, items: &str| {
        let xml = format!("<{operation}Response><{set}>{items}</{set}></{operation}Response>");
        Answer::xml(200, &xml)
    };
    let query = |set: &str| {
        let xml = format!(
            "<{operation}Response><{operation}Result><{set}/></{operation}Result></{operation}Response>"
        );
        Answer::xml(200, &xml)
    };
    match operation {
        "AssumeRole" => {
            let role = call.body["RoleArn"].as_str().unwrap_or_default();
            let account = role.split(':').nth(4).unwrap_or_default();
            Answer::xml(
                200,
                &format!(
                    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{account}</AccessKeyId>\
                     <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                ),
            )
        }
        "DescribeRegions" => {
            let regions = REGIONS.iter().fold(String::new(), |mut xml, region| {
                _ = write!(
                    xml,
                    "<item><regionName>{region}</regionName><optInStatus>opt-in-not-required</optInStatus></item>"
                );
                xml
            });
            list("regionInfo", &regions)
        }
        "DescribeNetworkInterfaces" => list("networkInterfaceSet", interface(scope)),
        "DescribeAddresses" => list("addressesSet", ""),
        "DescribeRouteTables" => list("routeTableSet", ""),
        "DescribeInternetGateways" => list("internetGatewaySet", ""),
        "DescribeSubnets" => list("subnetSet", ""),
        "DescribeSecurityGroups" => list("securityGroupInfo", ""),
        "DescribeVpcBlockPublicAccessOptions" => list("vpcBlockPublicAccessOptions", ""),
        "DescribeVpcBlockPublicAccessExclusions" => list("vpcBlockPublicAccessExclusionSet", ""),
        "DescribeLoadBalancers" => query("LoadBalancers"),
        "DescribeDBInstances" => query("DBInstances"),
        "ListFunctions" => Answer::ok(json!({ "Functions": [] })),
        "GetObject" => Answer::xml(404, "<Error><Code>NoSuchKey</Code></Error>"),
        "ListObjectVersions" => Answer::xml(200, "<ListVersionsResult/>"),
        _ => Answer::error(400, "ValidationException"),
    }
}

/// The interfaces of the account and Region of a call.
fn interface(scope: &str) -> &'static str {
    let credential = scope.split("Credential=").nth(1).unwrap_or_default();
    let mut parts = credential.split('/');
    let number = parts.next().and_then(|key| key[1..].parse::<usize>().ok());
    let place = REGIONS
        .iter()
        .position(|region| Some(*region) == parts.nth(1));
    if number.map(|number| number % REGIONS.len()) == place {
        "<item><networkInterfaceId>eni-1</networkInterfaceId><interfaceType>interface</interfaceType><vpcId>vpc-1</vpcId>\
         <subnetId>subnet-1</subnetId><status>in-use</status><attachment><instanceId>i-1</instanceId></attachment>\
         <association><publicIp>203.0.113.1</publicIp></association></item>"
    } else {
        ""
    }
}
