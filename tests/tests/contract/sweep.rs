//! `orgkeeper sweep`: one question, put to every account and Region.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails in a helper fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_tests::wire::{Answer, Call};
use serde_json::{Value, json};

use crate::operator::{Run, orgkeeper};

const MANAGEMENT: &str = "111111111111";
const PAYMENTS: &str = "222222222222";
const CLOSED: &str = "333333333333";
const NEW: &str = "444444444444";
const FENCED: &str = "555555555555";

/// What every file of these tests asks, unless a test says something else.
const INSTANCES: &str = r#"
[call]
service = "ec2"
operation = "DescribeInstances"
parameters = { MaxResults = 1000 }
[rows]
filter = "reservationSet[].instancesSet[].{id: instanceId, name: tagSet[?key=='Name'].value | [0]}"
[pace]
calls_per_second = 100
"#;

/// Writes a file for one test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sweep-{name}"));
    std::fs::write(&path, text).unwrap();
    path
}

async fn sweep(
    name: &str,
    text: &str,
    more: &[&str],
    script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
) -> Result<Run> {
    let path = file(name, text);
    let path = path.to_string_lossy().into_owned();
    let arguments: Vec<&str> = ["sweep", &path]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    orgkeeper(&arguments, script).await
}

/// The Region that a call was signed for.
fn region(call: &Call) -> String {
    let scope = call.header("authorization").split('/').nth(2);
    scope.unwrap_or_default().to_owned()
}

/// The account whose credentials signed a call.
fn account(call: &Call) -> &str {
    &call.access_key
}

fn regions(on: &[&str]) -> Answer {
    let mut items = String::new();
    for region in on {
        let _ = write!(
            items,
            "<item><regionName>{region}</regionName><optInStatus>opt-in-not-required</optInStatus></item>"
        );
    }
    let off =
        "<item><regionName>af-south-1</regionName><optInStatus>not-opted-in</optInStatus></item>";
    Answer::xml(
        200,
        &format!(
            "<DescribeRegionsResponse><requestId>r</requestId><regionInfo>{items}{off}</regionInfo></DescribeRegionsResponse>"
        ),
    )
}

fn instances(ids: &[&str], token: Option<&str>) -> Answer {
    let mut items = String::new();
    for id in ids {
        let _ = write!(
            items,
            "<item><instancesSet><item><instanceId>{id}</instanceId><tagSet><item><key>Name</key>\
             <value>=cmd({id})</value></item></tagSet></item></instancesSet></item>"
        );
    }
    let token = token.map(|token| format!("<nextToken>{token}</nextToken>"));
    Answer::xml(
        200,
        &format!(
            "<DescribeInstancesResponse><requestId>r</requestId><reservationSet>{items}</reservationSet>{}\
             </DescribeInstancesResponse>",
            token.unwrap_or_default()
        ),
    )
}

fn refused(status: u16, code: &str, message: &str) -> Answer {
    Answer::xml(
        status,
        &format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
        ),
    )
}

/// An organization of five accounts: one is suspended, one lets nobody in, and one is denied a Region.
fn organization(call: &Call) -> Answer {
    match call.operation.as_str() {
        "ListAccounts" => {
            let account = |id: &str, name: &str, state: &str| {
                json!({ "Id": id, "Name": name, "Email": format!("{name}@example.com"), "Status": state, "State": state,
                        "Arn": format!("arn:aws:organizations::{MANAGEMENT}:account/o-1/{id}") })
            };
            Answer::ok(json!({ "Accounts": [
                account(FENCED, "fenced", "ACTIVE"),
                account(MANAGEMENT, "management", "ACTIVE"),
                account(PAYMENTS, "=payments", "ACTIVE"),
                account(CLOSED, "closed", "SUSPENDED"),
                account(NEW, "new", "ACTIVE"),
            ] }))
        }
        "GetCallerIdentity" => Answer::xml(
            200,
            &format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::{MANAGEMENT}:assumed-role/a/b</Arn>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
            ),
        ),
        "AssumeRole" => {
            let role = call.body["RoleArn"].as_str().unwrap_or_default();
            let id = role.split(':').nth(4).unwrap_or_default();
            if id == NEW {
                return Answer::query_error(403, "AccessDenied");
            }
            Answer::xml(
                200,
                &format!(
                    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{id}</AccessKeyId>\
                     <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                     <Expiration>2027-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                ),
            )
        }
        "DescribeRegions" => regions(&["eu-west-1", "us-east-1"]),
        "DescribeInstances" if account(call) == FENCED && region(call) == "us-east-1" => refused(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation with an explicit deny in a service control policy",
        ),
        "DescribeInstances" => {
            let id = format!("i-{}-{}", account(call), region(call));
            match call.body["NextToken"].as_str() {
                None => instances(&[&id], Some("two")),
                Some("two") => instances(&["-x"], None),
                Some(other) => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_pair_is_accounted_for() -> Result<()> {
    let pairs = file("pairs.csv", "");
    let run = sweep(
        "all.toml",
        INSTANCES,
        &["--pairs", &pairs.to_string_lossy()],
        organization,
    )
    .await?;
    ensure!(run.outcome == Outcome::Found, "{}", run.err);
    let by_pair = std::fs::read_to_string(&pairs)?;
    // Which account is done first is not said.
    let (progress, summary): (Vec<&str>, Vec<&str>) =
        run.err.lines().partition(|line| line.ends_with('…'));
    ensure!(progress.last() == Some(&"5 of 5 accounts, 8 pairs, 3 of them not seen, 10 rows …"));
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("sweep_rows", run.out);
        insta::assert_snapshot!("sweep_summary", summary.join("\n"));
        insta::assert_snapshot!("sweep_pairs", by_pair);
    });
    // The management account is the caller's own, and a suspended one is not asked.
    let assumed: BTreeSet<&str> = run
        .calls_of("AssumeRole")
        .iter()
        .map(|call| call.body["RoleArn"].as_str().unwrap_or_default())
        .collect();
    ensure!(
        assumed
            == [PAYMENTS, NEW, FENCED]
                .map(|id| format!("arn:aws:iam::{id}:role/OrgkeeperAudit"))
                .iter()
                .map(String::as_str)
                .collect::<BTreeSet<_>>()
    );
    ensure!(run.calls_of("AssumeRole").len() == 3 && run.calls_of("DescribeRegions").len() == 3);
    Ok(())
}

#[tokio::test]
async fn programs_read_the_same() -> Result<()> {
    let run = sweep("json.toml", INSTANCES, &["--output=json"], organization).await?;
    let result = run.json()?;
    ensure!(
        result["counts"]
            == json!({ "SEEN": 5, "DENIED_BY_POLICY": 1, "ROLE_MISSING": 1, "SUSPENDED": 1 }),
        "{result}"
    );
    ensure!(result["version"] == 1 && result["pairs"].as_array().map(Vec::len) == Some(8));
    ensure!(
        result["rows"][0]
            == json!({ "accountId": MANAGEMENT, "accountName": "management", "region": "eu-west-1",
                       "row": { "id": "i-111111111111-eu-west-1", "name": "=cmd(i-111111111111-eu-west-1)" } }),
        "{}",
        result["rows"][0]
    );
    Ok(())
}

#[tokio::test]
async fn a_region_of_the_file_that_an_account_does_not_have_is_not_called() -> Result<()> {
    let text = format!(
        "{INSTANCES}[where]\nregions = [\"eu-west-1\", \"af-south-1\"]\nexcept = [\"{NEW}\", \"{FENCED}\"]\n"
    );
    let run = sweep("regions.toml", &text, &["--output=json"], organization).await?;
    let result = run.json()?;
    // Nothing is amiss: what is off, or suspended, has nothing to be read.
    ensure!(run.outcome == Outcome::Done, "{}", run.err);
    ensure!(
        result["counts"] == json!({ "SEEN": 2, "REGION_OFF": 2, "SUSPENDED": 2 }),
        "{result}"
    );
    ensure!(
        run.calls_of("DescribeInstances")
            .iter()
            .all(|call| region(call) == "eu-west-1")
    );
    Ok(())
}

#[tokio::test]
async fn a_throttled_call_is_made_again_and_what_stays_throttled_is_named() -> Result<()> {
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let script = move |call: &Call| {
        if call.operation == "DescribeInstances" {
            if account(call) == FENCED {
                return refused(503, "RequestLimitExceeded", "Request limit exceeded.");
            }
            let mut seen = seen.lock().unwrap();
            let times = seen
                .entry(format!("{}{}", account(call), region(call)))
                .or_default();
            *times += 1;
            if *times <= 3 {
                return refused(503, "RequestLimitExceeded", "Request limit exceeded.");
            }
        }
        organization(call)
    };
    let run = sweep("throttled.toml", INSTANCES, &["--output=json"], script).await?;
    let result = run.json()?;
    ensure!(
        result["counts"] == json!({ "SEEN": 4, "FAILED": 2, "ROLE_MISSING": 1, "SUSPENDED": 1 }),
        "{result}"
    );
    ensure!(result["rows"].as_array().map(Vec::len) == Some(8));
    ensure!(
        run.err
            .contains("FAILED fenced (555555555555), eu-west-1 us-east-1: RequestLimitExceeded"),
        "{}",
        run.err
    );
    let attempts = run
        .calls_of("DescribeInstances")
        .into_iter()
        .filter(|call| account(call) == FENCED);
    ensure!(attempts.count() == 16);
    Ok(())
}

#[tokio::test]
async fn forty_thousand_rows_are_one_file() -> Result<()> {
    let text =
        format!("{INSTANCES}[where]\naccounts = [\"{PAYMENTS}\"]\nregions = [\"eu-west-1\"]\n");
    let script = |call: &Call| {
        if call.operation != "DescribeInstances" {
            return organization(call);
        }
        let page: usize = call.body["NextToken"]
            .as_str()
            .map_or(0, |token| token.parse().unwrap());
        let ids: Vec<String> = (0..1_000)
            .map(|place| format!("i-{page}-{place}"))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let next = (page + 1).to_string();
        instances(&ids, (page < 39).then_some(&next))
    };
    let run = sweep("many.toml", &text, &[], script).await?;
    ensure!(run.outcome == Outcome::Done, "{}", run.err);
    ensure!(run.out.lines().count() == 40_001);
    let ids: BTreeSet<&str> = run
        .out
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap())
        .collect();
    ensure!(ids.len() == 40_000);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_repeats_its_token_ends_as_failed() -> Result<()> {
    let text = format!("{INSTANCES}[where]\naccounts = [\"{PAYMENTS}\"]\n");
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeInstances" => instances(&["i-1"], Some("same")),
        _ => organization(call),
    };
    let run = sweep("same.toml", &text, &[], script).await?;
    ensure!(
        run.outcome == Outcome::Found && run.out.lines().count() == 1,
        "{}",
        run.out
    );
    ensure!(
        run.err
            .contains("the answer repeats its token: set next in the file"),
        "{}",
        run.err
    );
    Ok(())
}

#[tokio::test]
async fn other_protocols_are_asked_too() -> Result<()> {
    for (service, operation, more, filter, answer, expected) in [
        (
            "kms",
            "ListAliases",
            "",
            "Aliases[].AliasName",
            json!({ "Aliases": [{ "AliasName": "a" }] }),
            "a",
        ),
        (
            "lambda",
            "ListFunctions",
            "parameters = { MaxItems = 50 }",
            "Functions[].FunctionName",
            json!({ "Functions": [{ "FunctionName": "f" }], "NextMarker": null }),
            "f",
        ),
        (
            "securityhub",
            "GetEnabledStandards",
            "",
            "StandardsSubscriptions[].StandardsArn",
            json!({ "StandardsSubscriptions": [{ "StandardsArn": "s" }] }),
            "s",
        ),
    ] {
        let text = format!(
            "[call]\nservice = \"{service}\"\noperation = \"{operation}\"\n{more}\n[rows]\nfilter = \"{filter}\"\n\
             [where]\naccounts = [\"{PAYMENTS}\"]\nregions = [\"eu-west-1\"]\n"
        );
        let script = move |call: &Call| match call.operation.as_str() {
            "ListAliases"
            | "ListFunctions"
            | "POST /standards/get"
            | "GET /2015-03-31/functions/" => {
                assert_eq!(region(call), "eu-west-1");
                Answer::ok(answer.clone())
            }
            _ => organization(call),
        };
        let run = sweep(&format!("{service}.toml"), &text, &[], script).await?;
        ensure!(run.outcome == Outcome::Done, "{service}: {}", run.err);
        ensure!(
            run.out
                .ends_with(&format!("'=payments,eu-west-1,{expected}\n")),
            "{}",
            run.out
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_there_once_is_asked_once() -> Result<()> {
    let text = format!(
        "[call]\nservice = \"iam\"\noperation = \"ListUsers\"\n[rows]\nfilter = \"Users[].UserName\"\n\
         [where]\naccounts = [\"{PAYMENTS}\", \"{CLOSED}\"]\nregions = [\"eu-west-1\"]\n"
    );
    let script = |call: &Call| match call.operation.as_str() {
        "ListUsers" => Answer::xml(
            200,
            "<ListUsersResponse><ListUsersResult><Users><member><UserName>u</UserName></member></Users>\
             <IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata/></ListUsersResponse>",
        ),
        _ => organization(call),
    };
    let run = sweep("iam.toml", &text, &["--output=json"], script).await?;
    ensure!(run.calls_of("ListUsers").len() == 1 && run.calls_of("DescribeRegions").is_empty());
    ensure!(run.json()?["pairs"][1]["region"] == "us-east-1");
    Ok(())
}

#[tokio::test]
async fn a_wrong_file_is_refused_before_any_call() -> Result<()> {
    let text = INSTANCES
        .replace("DescribeInstances", "TerminateInstances")
        .replace("key==", "key=");
    let run = sweep("wrong.toml", &text, &[], |call| {
        panic!("{}", call.operation)
    })
    .await?;
    ensure!(run.outcome == Outcome::Failed && run.out.is_empty());
    ensure!(
        run.err
            .contains("is refused:\n  line 4: TerminateInstances may change something"),
        "{}",
        run.err
    );
    ensure!(
        run.err.contains("\n  line 7: the filter is no JMESPath: "),
        "{}",
        run.err
    );
    let missing = orgkeeper(&["sweep", "/nowhere.toml"], |call| {
        panic!("{}", call.operation)
    })
    .await?;
    ensure!(
        missing.outcome == Outcome::Failed && missing.err.contains("events/sweep/addresses.toml"),
        "{}",
        missing.err
    );
    Ok(())
}

#[tokio::test]
async fn an_account_or_unit_that_does_not_exist_is_named() -> Result<()> {
    let text = format!("{INSTANCES}[where]\naccounts = [\"999999999999\"]\n");
    let run = sweep("unknown.toml", &text, &[], organization).await?;
    ensure!(run.outcome == Outcome::Failed);
    ensure!(
        run.err
            .contains("account 999999999999 is not in the organization"),
        "{}",
        run.err
    );
    let script = |call: &Call| match call.operation.as_str() {
        "ListRoots" => Answer::ok(json!({ "Roots": [{ "Id": "r-1", "Name": "Root" }] })),
        "ListOrganizationalUnitsForParent" => Answer::ok(json!({ "OrganizationalUnits": [] })),
        _ => organization(call),
    };
    let text = format!("{INSTANCES}[where]\nunits = [\"Root/Nowhere\"]\n");
    let run = sweep("unit.toml", &text, &[], script).await?;
    ensure!(
        run.err
            .contains("the organization has no unit Root/Nowhere"),
        "{}",
        run.err
    );
    Ok(())
}

#[tokio::test]
async fn a_unit_is_its_accounts() -> Result<()> {
    let script = |call: &Call| {
        let child = call.body["ChildId"].as_str().unwrap_or_default();
        match call.operation.as_str() {
            "ListRoots" => Answer::ok(json!({ "Roots": [{ "Id": "r-1", "Name": "Root" }] })),
            "ListOrganizationalUnitsForParent" if call.body["ParentId"] == "r-1" => Answer::ok(
                json!({ "OrganizationalUnits": [{ "Id": "ou-1", "Name": "Workloads" }] }),
            ),
            "ListOrganizationalUnitsForParent" => Answer::ok(json!({ "OrganizationalUnits": [] })),
            "ListParents" => Answer::ok(match child {
                PAYMENTS => json!({ "Parents": [{ "Id": "ou-1", "Type": "ORGANIZATIONAL_UNIT" }] }),
                _ => json!({ "Parents": [{ "Id": "r-1", "Type": "ROOT" }] }),
            }),
            _ => organization(call),
        }
    };
    let text = format!("{INSTANCES}[where]\nunits = [\"Root/Workloads\"]\n");
    let run = sweep("workloads.toml", &text, &["--output=json"], script).await?;
    let result = run.json()?;
    let asked: BTreeSet<&str> = result["pairs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| pair["accountId"].as_str().unwrap_or_default())
        .collect();
    ensure!(asked == BTreeSet::from([PAYMENTS]), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_organization_listed_accounts_are_asked() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "ListAccounts" => Answer::error(400, "AccessDeniedException"),
        _ => organization(call),
    };
    let text = format!("{INSTANCES}[where]\naccounts = [\"{PAYMENTS}\"]\n");
    let run = sweep("listed.toml", &text, &[], script).await?;
    ensure!(
        run.outcome == Outcome::Done && run.out.lines().count() == 5,
        "{}",
        run.err
    );
    ensure!(
        run.err.starts_with("The organization may not be read: "),
        "{}",
        run.err
    );
    let run = sweep("denied.toml", INSTANCES, &[], script).await?;
    ensure!(
        run.outcome == Outcome::Failed && run.err.contains("ListAccounts failed (Denied)"),
        "{}",
        run.err
    );
    Ok(())
}

#[test]
fn the_samples_are_read() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/sweep");
    let mut count = 0;
    for sample in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(sample?.path())?;
        let read = orgkeeper_cli::sweep::question_file::parse(&text);
        ensure!(read.is_ok(), "{read:?}");
        count += 1;
    }
    ensure!(count == 2);
    Ok(())
}

/// So that a row is found by its columns.
#[tokio::test]
async fn the_sample_gives_its_columns() -> Result<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/sweep/addresses.toml");
    let text = std::fs::read_to_string(sample)?;
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeNetworkInterfaces" => {
            assert_eq!(call.body["Filter.1.Value.1"], Value::from("in-use"));
            Answer::xml(
                200,
                "<R><networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId>\
                 <interfaceType>interface</interfaceType><description>=HYPERLINK()</description>\
                 <association><publicIp>203.0.113.5</publicIp></association></item>\
                 <item><networkInterfaceId>eni-2</networkInterfaceId></item></networkInterfaceSet></R>",
            )
        }
        _ => organization(call),
    };
    let text = format!("{text}[where]\naccounts = [\"{PAYMENTS}\"]\nregions = [\"eu-west-1\"]\n");
    let run = sweep("sample.toml", &text, &[], script).await?;
    ensure!(
        run.out
            == "AccountId,AccountName,Region,address,interface,kind,of\n\
                222222222222,'=payments,eu-west-1,203.0.113.5,eni-1,interface,'=HYPERLINK()\n",
        "{}",
        run.out
    );
    Ok(())
}
