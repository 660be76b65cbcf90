//! `orgkeeper doctor`: each check with what it says when all is well, and with the breakage that it names.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use orgkeeper_cli::{doctor::checks::CHECKS, outcome::Outcome};
use orgkeeper_tests::{
    documents::read,
    wire::{Answer, Call},
};
use serde_json::{Value, json};

use crate::operator::{
    ACCOUNT, INSTANCE, NOW, depth, healthy, instances, no_stack, orgkeeper, policy, services,
    stack_in, stack_set, stack_with, subscriptions, url,
};

/// A fault of a set-up, and what the check says about it.
struct Broken {
    check: &'static str,
    /// The operation whose answer is another.
    operation: &'static str,
    answer: fn(&Call) -> Answer,
    /// A part of what was found.
    found: &'static str,
    /// A part of what to do.
    fix: &'static str,
}

const fn broken(
    check: &'static str,
    operation: &'static str,
    answer: fn(&Call) -> Answer,
    found: &'static str,
    fix: &'static str,
) -> Broken {
    Broken {
        check,
        operation,
        answer,
        found,
        fix,
    }
}

const BROKEN: &[Broken] = &[
    broken(
        "account",
        "DescribeOrganization",
        |_| organization("999999999999", "ALL"),
        "the management account is 999999999999, and this is 111111111111: VendFlow and AlertFlow cannot work here",
        "use credentials of 999999999999, or add \"VendFlow=off\", \"AlertFlow=off\"",
    ),
    broken(
        "stack",
        "DescribeStacks",
        |_| stack_in("UPDATE_ROLLBACK_COMPLETE", ""),
        "the stack is in the state UPDATE_ROLLBACK_COMPLETE",
        "aws cloudformation describe-stack-events --stack-name orgkeeper",
    ),
    broken(
        "stack",
        "DescribeStacks",
        |_| stack_in("UPDATE_IN_PROGRESS", ""),
        "UPDATE_IN_PROGRESS",
        "wait: aws cloudformation describe-stacks",
    ),
    broken(
        "organization",
        "DescribeOrganization",
        |_| organization(ACCOUNT, "CONSOLIDATED_BILLING"),
        "consolidated billing only",
        "aws organizations enable-all-features",
    ),
    broken(
        "organization",
        "DescribeOrganization",
        |_| Answer::error(400, "AWSOrganizationsNotInUseException"),
        "this account is in no organization",
        "aws organizations create-organization",
    ),
    broken(
        "trail",
        "DescribeTrails",
        |_| Answer::ok(json!({ "trailList": [] })),
        "there is no trail",
        "aws cloudtrail create-trail",
    ),
    broken(
        "trail",
        "DescribeTrails",
        |_| {
            Answer::ok(json!({ "trailList": [
            { "Name": "mine", "IsMultiRegionTrail": true, "IsOrganizationTrail": false }] }))
        },
        "trail mine does not record every account and Region",
        "aws cloudtrail update-trail --name mine --is-organization-trail --is-multi-region-trail",
    ),
    broken(
        "trail",
        "GetTrailStatus",
        |_| Answer::ok(json!({ "IsLogging": false })),
        "trail organization is off",
        "aws cloudtrail start-logging --name arn:aws:cloudtrail:us-east-1:111111111111:trail/organization",
    ),
    broken(
        "trusted-access",
        "ListAWSServiceAccessForOrganization",
        |_| {
            services(&[
                "account.amazonaws.com",
                "member.org.stacksets.cloudformation.amazonaws.com",
            ])
        },
        "no trusted access for account.amazonaws.com (contacts of accounts), member.org.stacksets",
        "--service-principal account.amazonaws.com; aws cloudformation activate-organizations-access",
    ),
    broken(
        "contacts",
        "DescribeStacks",
        |_| stack_with(&[("ManagementAccountId", "222222222222")]),
        "the management account is 111111111111, not 222222222222",
        "ManagementAccountId=111111111111",
    ),
    broken(
        "security-hub-administrator",
        "GET /organization/admin",
        |_| Answer::ok(json!({ "AdminAccounts": [{ "AccountId": "222222222222" }] })),
        "the administrator is 222222222222, and this is 111111111111",
        "deploy the enrich and the remediate flow in 222222222222",
    ),
    broken(
        "security-hub-administrator",
        "GET /organization/admin",
        |_| Answer::ok(json!({ "AdminAccounts": [] })),
        "Security Hub has no administrator",
        "aws securityhub enable-organization-admin-account",
    ),
    broken(
        "security-hub-region",
        "GET /accounts",
        |_| Answer::error(401, "InvalidAccessException"),
        "Security Hub is off in us-east-1",
        "aws securityhub enable-security-hub --region us-east-1",
    ),
    broken(
        "security-hub-region",
        "GET /findingAggregator/list",
        |_| Answer::ok(json!({ "FindingAggregators": [] })),
        "only findings of us-east-1 arrive",
        "aws securityhub create-finding-aggregator",
    ),
    broken(
        "security-hub-region",
        "GET /findingAggregator/get/",
        |_| Answer::ok(json!({ "FindingAggregationRegion": "eu-west-1" })),
        "the home Region is eu-west-1, and the stack is in us-east-1",
        "AWS_REGION=eu-west-1 make deploy",
    ),
    broken(
        "landing-zone",
        "ListLandingZones",
        |_| {
            Answer::ok(json!({ "landingZones": [
            { "arn": "arn:aws:controltower:eu-west-1:111111111111:landingzone/1" }] }))
        },
        "the landing zone's home is eu-west-1",
        "AWS_REGION=eu-west-1 make deploy",
    ),
    broken(
        "landing-zone",
        "ListLandingZones",
        |_| Answer::ok(json!({ "landingZones": [] })),
        "us-east-1 has no landing zone",
        "AccountCreation=organizations",
    ),
    broken(
        "account-factory",
        "ListPrincipalsForPortfolio",
        |_| Answer::ok(json!({ "Principals": [] })),
        "the role of create-managed-account is not associated with port-1",
        "aws servicecatalog associate-principal-with-portfolio --portfolio-id port-1 --principal-arn arn:aws:iam::111111111111:role/CreateManagedAccountRole --principal-type IAM",
    ),
    broken(
        "identity-center",
        "ListInstances",
        |_| Answer::ok(json!({ "Instances": [] })),
        "us-east-1 has no instance of IAM Identity Center",
        "deploy the vend flow in the Region of Identity Center",
    ),
    broken(
        "identity-center",
        "ListInstances",
        |_| {
            Answer::ok(
                json!({ "Instances": [{ "InstanceArn": "arn:aws:sso:::instance/ssoins-2" }] }),
            )
        },
        "the instance in us-east-1 is arn:aws:sso:::instance/ssoins-2",
        "IdentityCenterInstanceArn=arn:aws:sso:::instance/ssoins-2",
    ),
    broken(
        "alerts-bus",
        "DescribeEventBus",
        |_| Answer::ok(json!({ "Name": "orgkeeper-alerts" })),
        "orgkeeper-alerts accepts no events of o-a1b2c3d4e5",
        "OrganizationId=o-a1b2c3d4e5",
    ),
    broken(
        "region-policies",
        "DescribePolicy",
        |_| policy(&["eu-west-1"]),
        "regions (p-1) denies us-east-1",
        "add the Region to the policy's condition",
    ),
    broken(
        "mail",
        "ListSubscriptionsByTopic",
        |_| subscriptions("PendingConfirmation"),
        "ErrorEmail is not confirmed, InfoEmail is not confirmed",
        "open the link in the mail of SNS",
    ),
    broken(
        "mail",
        "ListSubscriptionsByTopic",
        |_| {
            Answer::xml(
                200,
                "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions/>\
                 </ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>",
            )
        },
        "ErrorEmail is not subscribed any more",
        "aws sns subscribe --topic-arn arn:aws:sns:us-east-1:111111111111:ErrorTopic",
    ),
    broken(
        "mail",
        "DescribeStacks",
        |_| stack_with(&[("ErrorEmail", "")]),
        "nobody receives errors by mail",
        "ErrorEmail=<address>",
    ),
    broken(
        "webhook",
        "GetParameter",
        |call| match call.body["Name"].as_str() {
            Some("/orgkeeper/webhook") => Answer::error(400, "ParameterNotFound"),
            _ => healthy(call),
        },
        "/orgkeeper/webhook does not exist",
        "aws ssm put-parameter --name /orgkeeper/webhook --type SecureString",
    ),
    broken(
        "webhook",
        "GetParameter",
        |call| match call.body["Name"].as_str() {
            Some("/orgkeeper/webhook") => {
                Answer::ok(json!({ "Parameter": { "Value": "xoxb-s3cret" } }))
            }
            _ => healthy(call),
        },
        "/orgkeeper/webhook holds no address",
        "aws ssm put-parameter",
    ),
    broken(
        "webhook",
        "DescribeParameters",
        |_| Answer::ok(json!({ "Parameters": [{ "KeyId": "alias/ours" }] })),
        "encrypted with the key alias/ours, and the functions may not use it",
        "SettingsKeyArn=$(aws kms describe-key --key-id alias/ours",
    ),
    broken(
        "webhook",
        "Describe",
        |call| match call.operation.as_str() {
            "DescribeStacks" => stack_with(&[("SettingsKeyArn", KEY)]),
            "DescribeParameters" => Answer::ok(json!({ "Parameters": [{ "KeyId": OTHER_KEY }] })),
            _ => healthy(call),
        },
        "and the functions may use arn:aws:kms:us-east-1:111111111111:key/1 only",
        "SettingsKeyArn=arn:aws:kms:us-east-1:111111111111:key/2",
    ),
    broken(
        "alert-rules",
        "",
        |call| match call.operation.as_str() {
            "DescribeParameters" => Answer::ok(json!({ "Parameters": [{ "KeyId": OTHER_KEY }] })),
            "GetParameter" if call.body["Name"] == "/orgkeeper/rules" => {
                Answer::ok(json!({ "Parameter": { "Value": "", "Type": "SecureString" } }))
            }
            _ => healthy(call),
        },
        "/orgkeeper/rules is encrypted with the key arn:aws:kms:us-east-1:111111111111:key/2",
        "SettingsKeyArn=arn:aws:kms:us-east-1:111111111111:key/2",
    ),
    broken(
        "alert-rules",
        "GetParameter",
        |call| match call.body["Name"].as_str() {
            Some("/orgkeeper/rules") => {
                Answer::ok(json!({ "Parameter": { "Value": "[[severity]]\nkind = 7" } }))
            }
            _ => healthy(call),
        },
        "/orgkeeper/rules is refused: line ",
        "orgkeeper alert try --rules rules.toml, then aws ssm put-parameter --name /orgkeeper/rules",
    ),
    broken(
        "member-roles",
        "ListStackInstances",
        |_| instances(&[("222222222222", "CURRENT"), ("333333333333", "OUTDATED")]),
        "1 of 2 accounts lack it: 333333333333",
        "aws cloudformation list-stack-instances --stack-set-name orgkeeper-member-account",
    ),
    broken(
        "member-roles",
        "DescribeStackSet",
        |_| Answer::query_error(404, "StackSetNotFoundException"),
        "there is no stack set orgkeeper-member-account",
        "infra/member-account.yaml",
    ),
    broken(
        "member-roles",
        "DescribeStackSet",
        |_| stack_set(false),
        "orgkeeper-member-account does not deploy to new accounts",
        "aws cloudformation update-stack-set --stack-set-name orgkeeper-member-account",
    ),
    broken(
        "forwarding",
        "",
        |call| match call.operation.as_str() {
            "ListStackInstances" if call.body["StackSetName"] == "orgkeeper-alert-events" => {
                instances(&[("222222222222", "CURRENT")])
            }
            _ => healthy(call),
        },
        "1 of 2 accounts lack it in us-east-1: 333333333333",
        "--stack-set-name orgkeeper-alert-events",
    ),
    broken(
        "forwarding",
        "DescribeStackSet",
        |call| match call.body["StackSetName"].as_str() {
            Some("orgkeeper-alert-events") => Answer::query_error(404, "StackSetNotFoundException"),
            _ => healthy(call),
        },
        "there is no stack set orgkeeper-alert-events: nothing that happens in other accounts is alerted",
        "create it of infra/alert-events.yaml, see docs/deploy.md",
    ),
    broken(
        "event-rules",
        "DescribeRule",
        |call| match call.body["Name"].as_str() {
            Some("ForwardedRule") => Answer::ok(json!({ "State": "DISABLED" })),
            _ => Answer::ok(json!({ "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" })),
        },
        "ForwardedRule is off",
        "aws events enable-rule --name ForwardedRule --event-bus-name orgkeeper-alerts",
    ),
    broken(
        "event-rules",
        "DescribeRule",
        |call| match call.body["Name"].as_str() {
            Some("orgkeeper-HealthRule") => Answer::error(400, "ResourceNotFoundException"),
            _ => healthy(call),
        },
        "orgkeeper-HealthRule does not exist",
        "make deploy",
    ),
    broken(
        "event-sources",
        "GET /2015-03-31/event-source-mappings/",
        |_| {
            Answer::ok(json!({ "State": "Disabled",
                "EventSourceArn": "arn:aws:sqs:us-east-1:111111111111:AlertsQueue" }))
        },
        "arn:aws:sqs:us-east-1:111111111111:AlertsQueue is not read",
        "aws lambda update-event-source-mapping --uuid 7f0a --enabled",
    ),
    broken(
        "dead-letters",
        "GetQueueAttributes",
        |call| {
            let dead = call.body["QueueUrl"] == url("AlertsDeadLetterQueue");
            depth(if dead { 3 } else { 0 })
        },
        "alerts has 3",
        "orgkeeper redrive alerts",
    ),
];

const KEY: &str = "arn:aws:kms:us-east-1:111111111111:key/1";
const OTHER_KEY: &str = "arn:aws:kms:us-east-1:111111111111:key/2";

fn organization(management: &str, features: &str) -> Answer {
    Answer::ok(json!({ "Organization": {
        "Id": "o-a1b2c3d4e5", "MasterAccountId": management, "FeatureSet": features } }))
}

/// The line of a check.
fn line<'r>(report: &'r Value, check: &str) -> Result<&'r Value> {
    let lines = report["checks"].as_array().context("checks")?;
    let line = lines.iter().find(|line| line["id"] == check);
    line.with_context(|| format!("no line of {check} in {report:#}"))
}

const JSON: [&str; 2] = ["doctor", "--output=json"];

#[tokio::test]
async fn where_all_is_well_nothing_is_to_do() -> Result<()> {
    let run = orgkeeper(&JSON, healthy).await?;
    let report = run.json()?;
    for line in report["checks"].as_array().context("checks")? {
        ensure!(line["state"] == "ok", "{line:#}");
    }
    ensure!(
        run.outcome == Outcome::Done && run.err.is_empty(),
        "{}",
        run.err
    );
    ensure!(
        !run.out.contains("s3cret"),
        "the address of the webhook is shown"
    );
    Ok(())
}

#[tokio::test]
async fn the_text_has_a_line_for_each_check() -> Result<()> {
    let run = orgkeeper(&["doctor"], healthy).await?;
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("doctor", run.out);
    });
    Ok(())
}

#[tokio::test]
async fn the_text_says_what_to_do() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "GetTrailStatus" => Answer::ok(json!({ "IsLogging": false })),
        "ListSubscriptionsByTopic" => subscriptions("PendingConfirmation"),
        "ListStackInstances" => Answer::query_error(403, "AccessDenied"),
        _ => healthy(call),
    };
    let run = orgkeeper(&["doctor"], script).await?;
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("doctor_to_do", run.out);
    });
    Ok(())
}

#[tokio::test]
async fn each_breakage_is_named_with_what_to_do() -> Result<()> {
    for case in BROKEN {
        let script = |call: &Call| {
            if call.operation.starts_with(case.operation) {
                (case.answer)(call)
            } else {
                healthy(call)
            }
        };
        let run = orgkeeper(&JSON, script).await?;
        let report = run
            .json()
            .with_context(|| format!("{}: {}", case.check, run.err))?;
        let line = line(&report, case.check)?;
        ensure!(line["state"] == "to-do", "{}: {line:#}", case.check);
        for (field, part) in [("found", case.found), ("fix", case.fix)] {
            let text = line[field].as_str().unwrap_or_default();
            ensure!(
                text.contains(part),
                "{}: no \"{part}\" in {line:#}",
                case.check
            );
        }
        ensure!(
            run.outcome == Outcome::Found,
            "{}: {:?}",
            case.check,
            run.outcome
        );
        ensure!(!run.out.contains("s3cret"), "a secret is shown");
    }
    Ok(())
}

/// The default bus matters in another account than the management account only.
#[tokio::test]
async fn in_a_security_account_other_checks_apply() -> Result<()> {
    let script = |open: bool| {
        move |call: &Call| match call.operation.as_str() {
            "DescribeOrganization" => organization("999999999999", "ALL"),
            "DescribeStacks" => stack_with(&[
                ("VendFlow", "off"),
                ("AlertFlow", "off"),
                ("ManagementAccountId", "999999999999"),
            ]),
            "DescribeEventBus" if open => open_to_management(),
            "DescribeEventBus" => Answer::ok(json!({ "Name": "default" })),
            _ => healthy(call),
        }
    };
    let run = orgkeeper(&JSON, script(true)).await?;
    let report = run.json()?;
    ensure!(run.outcome == Outcome::Done, "{report:#}");
    for of_another_flow in ["alerts-bus", "webhook", "landing-zone", "identity-center"] {
        ensure!(
            line(&report, of_another_flow).is_err(),
            "{of_another_flow} was checked"
        );
    }
    ensure!(line(&report, "security-hub-administrator")?["state"] == "ok");

    ensure!(
        line(&report, "contacts")?["found"]
            .as_str()
            .context("found")?
            .ends_with("OrgkeeperContacts of 999999999999 reads them")
    );
    ensure!(run.calls_of("ListStackInstances")[0].body["CallAs"] == "DELEGATED_ADMIN");

    let run = orgkeeper(&JSON, script(false)).await?;
    let bus = run.json()?;
    let bus = line(&bus, "organization-bus")?;
    ensure!(
        bus["found"]
            .as_str()
            .unwrap_or_default()
            .contains("default accepts no events")
    );
    ensure!(
        bus["fix"]
            .as_str()
            .unwrap_or_default()
            .contains("ManagementAccountId=999999999999")
    );
    Ok(())
}

/// The default bus of an account that the management account forwards to.
fn open_to_management() -> Answer {
    let principal = json!({ "AWS": "arn:aws:iam::999999999999:root" });
    let policy = json!({ "Statement": [{ "Principal": principal }] }).to_string();
    Answer::ok(json!({ "Name": "default", "Policy": policy }))
}

/// A stack set is seen in the management account, and by a delegated administrator of stack sets.
#[tokio::test]
async fn a_stack_set_that_cannot_be_seen_from_here_is_no_fault() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeOrganization" => organization("999999999999", "ALL"),
        "DescribeStacks" => stack_with(&[("VendFlow", "off"), ("AlertFlow", "off")]),
        "DescribeStackSet" => Answer::query_error(400, "ValidationError"),
        "DescribeEventBus" => open_to_management(),
        _ => healthy(call),
    };
    let run = orgkeeper(&JSON, script).await?;
    let report = run.json()?;
    let line = line(&report, "member-roles")?;
    ensure!(line["state"] == "not-checked", "{line:#}");
    ensure!(
        line["found"]
            .as_str()
            .context("found")?
            .contains("management account 999999999999: orgkeeper doctor --flow remediate")
    );
    // Without the role, contacts of the other accounts are missing.
    ensure!(
        report["checks"]
            .as_array()
            .context("checks")?
            .iter()
            .filter(|line| line["state"] == "to-do")
            .all(|line| line["id"] == "contacts")
    );
    Ok(())
}

/// What is encrypted with the key that the stack names can be read by the functions.
#[tokio::test]
async fn the_key_of_the_stack_is_no_fault() -> Result<()> {
    for (key, arn) in [(KEY, KEY), ("1", KEY), ("alias/ours", KEY)] {
        let script = move |call: &Call| match call.operation.as_str() {
            "DescribeStacks" => stack_with(&[("SettingsKeyArn", arn)]),
            "DescribeParameters" => Answer::ok(json!({ "Parameters": [{ "KeyId": key }] })),
            _ => healthy(call),
        };
        let run = orgkeeper(&JSON, script).await?;
        ensure!(line(&run.json()?, "webhook")?["state"] == "ok", "{key}");
    }
    Ok(())
}

/// A policy that applies to nobody denies nothing.
#[tokio::test]
async fn a_policy_without_targets_is_no_fault() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribePolicy" => policy(&["eu-west-1"]),
        "ListTargetsForPolicy" => Answer::ok(json!({ "Targets": [] })),
        _ => healthy(call),
    };
    let run = orgkeeper(&JSON, script).await?;
    ensure!(line(&run.json()?, "region-policies")?["state"] == "ok");
    Ok(())
}

/// A new account: every line says what to do, or that there is no organization yet.
#[tokio::test]
async fn a_new_account_is_told_what_to_do_first() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeStacks" => no_stack(),
        "DescribeTrails" => Answer::ok(json!({ "trailList": [] })),
        "ListLandingZones" => Answer::ok(json!({ "landingZones": [] })),
        "GET /accounts" => Answer::error(401, "InvalidAccessException"),
        "DescribeOrganization"
        | "ListAWSServiceAccessForOrganization"
        | "ListDelegatedAdministrators"
        | "ListPolicies"
        | "ListAccounts" => Answer::error(400, "AWSOrganizationsNotInUseException"),
        _ => healthy(call),
    };
    let run = orgkeeper(&["doctor"], script).await?;
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("doctor_new_account", run.out);
    });
    ensure!(run.outcome == Outcome::Found);
    Ok(())
}

#[test]
fn every_check_has_a_breakage() {
    let broken: BTreeSet<&str> = BROKEN.iter().map(|case| case.check).collect();
    let elsewhere = BTreeSet::from(["organization-bus"]);
    let checks: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(checks, &broken | &elsewhere);
    assert_eq!(checks.len(), CHECKS.len(), "two checks have the same name");
}

#[test]
fn every_check_is_in_the_documentation() -> Result<()> {
    let deploy = read("docs/deploy.md")?;
    for check in CHECKS {
        let row = format!("| `{}` | {} |", check.id, check.question);
        ensure!(deploy.contains(&row), "docs/deploy.md has no row {row}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_permission_is_named_and_is_no_fault() -> Result<()> {
    for check in CHECKS {
        ensure!(
            !check.needs.is_empty() && check.question.ends_with('?'),
            "{}",
            check.id
        );
    }
    let script = |call: &Call| {
        match call.operation.as_str() {
        "ListLandingZones" => Answer::error(403, "AccessDeniedException"),
        "GetTrailStatus" => Answer::error(400, "AccessDeniedException"),
        "ListStackInstances" => Answer::query_error(403, "AccessDenied"),
        "ListSubscriptionsByTopic" => Answer::query_error(403, "AuthorizationError"),
        "DescribeRule" => Answer::error(503, "ServiceUnavailableException"),
        "GetParameter" if call.body["Name"] == "/orgkeeper/webhook" => Answer::ok(json!({
            "__type": "AccessDeniedException",
            "message": "The ciphertext refers to a customer master key that you may not use (Service: AWSKMS)",
        }))
        .with_status(400),
        _ => healthy(call),
    }
    };
    let run = orgkeeper(&JSON, script).await?;
    let report = run.json()?;
    for (check, why) in [
        ("landing-zone", "needs controltower:ListLandingZones"),
        ("trail", "needs cloudtrail:GetTrailStatus"),
        ("member-roles", "needs cloudformation:ListStackInstances"),
        ("mail", "needs sns:ListSubscriptionsByTopic"),
        ("webhook", "needs kms:Decrypt"),
    ] {
        let line = line(&report, check)?;
        ensure!(
            line["state"] == "not-checked" && line["found"] == why,
            "{line:#}"
        );
    }
    let rules = line(&report, "event-rules")?;
    ensure!(rules["state"] == "not-checked", "{rules:#}");
    ensure!(
        rules["found"]
            .as_str()
            .unwrap_or_default()
            .ends_with("try again"),
        "{rules:#}"
    );
    ensure!(run.outcome == Outcome::Done, "{:?}", run.outcome);
    Ok(())
}

#[tokio::test]
async fn before_the_first_deployment_the_account_is_checked() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeStacks" => no_stack(),
        _ => healthy(call),
    };
    let run = orgkeeper(&["doctor", "--output=json", "--flow=enrich"], script).await?;
    let report = run.json()?;
    ensure!(report["deployed"] == false);
    ensure!(line(&report, "security-hub-region")?["state"] == "ok");
    ensure!(line(&report, "mail")?["found"] == "the stack does not exist yet");
    ensure!(
        line(&report, "landing-zone").is_err(),
        "the vend flow is not asked for"
    );
    ensure!(run.outcome == Outcome::Done);

    let run = orgkeeper(&JSON, script).await?;
    ensure!(line(&run.json()?, "landing-zone")?["state"] == "ok");

    let run = orgkeeper(&TEST, script).await?;
    ensure!(
        run.err == "no test message is sent: the stack does not exist yet\n",
        "{}",
        run.err
    );
    Ok(())
}

#[tokio::test]
async fn unknown_credentials_end_the_command() -> Result<()> {
    let run = orgkeeper(&JSON, |_| Answer::query_error(403, "InvalidClientTokenId")).await?;
    ensure!(run.outcome == Outcome::Failed && run.out.is_empty());
    ensure!(
        run.err.contains("GetCallerIdentity failed (Denied)"),
        "{}",
        run.err
    );
    Ok(())
}

/// The product of the account's own findings.
const PRODUCT: &str = "arn:aws:securityhub:us-east-1:111111111111:product/111111111111/default";

const TEST: [&str; 4] = [
    "doctor",
    "--output=json",
    "--send-test-event",
    "--timeout=1",
];

/// The result of a test of a flow.
fn test_of<'r>(report: &'r Value, flow: &str) -> Result<&'r Value> {
    let tests = report["flowTests"].as_array().context("flow tests")?;
    let test = tests.iter().find(|test| test["flow"] == flow);
    test.with_context(|| format!("no test of {flow} in {report:#}"))
}

/// What the flows answer to test messages; `done` says whether they process them.
fn flows(done: bool) -> impl Fn(&Call) -> Answer {
    move |call| match call.operation.as_str() {
        "SendMessage" => Answer::ok(json!({ "MessageId": "1" })),
        "Publish" => Answer::published(),
        "POST /findings/import" => Answer::ok(json!({ "FailedCount": 0, "SuccessCount": 1 })),
        "GetFindings" => {
            let fields = if done {
                json!({ "findingEnriched": "True" })
            } else {
                json!({})
            };
            Answer::ok(
                json!({ "Findings": [{ "Id": call.body["Filters"]["Id"][0]["Value"],
                "ProductArn": PRODUCT, "AwsAccountId": ACCOUNT, "UserDefinedFields": fields }] }),
            )
        }
        "BatchGetItem" => {
            let time: jiff::Timestamp = NOW.parse().unwrap();
            let seconds = time.as_second() - if done { 0 } else { 60 };
            Answer::ok(json!({ "Responses": { "orgkeeper-AccountDirectory": [{
                "AccountId": { "S": ACCOUNT }, "Name": { "S": "management" }, "OuPath": { "L": [] },
                "RefreshedAt": { "N": seconds.to_string() } }] }, "UnprocessedKeys": {} }))
        }
        "GetItem" => {
            let state = if done { "done" } else { "begun" };
            Answer::ok(json!({ "Item": { "Id": call.body["Key"]["Id"], "State": { "S": state } } }))
        }
        "GetQueueAttributes" => {
            let dead = call.body["QueueUrl"]
                .as_str()
                .unwrap_or_default()
                .contains("DeadLetter");
            depth(u64::from(!done && !dead))
        }
        _ => healthy(call),
    }
}

#[tokio::test]
async fn a_test_message_goes_through_each_flow() -> Result<()> {
    let run = orgkeeper(&TEST, flows(true)).await?;
    let report = run.json()?;
    for (flow, state) in [
        ("directory", "ok"),
        ("vend", "ok"),
        ("alert", "ok"),
        ("enrich", "ok"),
        ("remediate", "ok"),
    ] {
        let test = test_of(&report, flow)?;
        ensure!(test["state"] == state, "{test:#}");
    }
    ensure!(run.outcome == Outcome::Done, "{report:#}");
    let published = run.calls_of("Publish");
    let message: Value =
        serde_json::from_str(published[0].body["Message"].as_str().context("text")?)?;
    ensure!(
        message["NewStateValue"] == "OK",
        "the test alert is no information"
    );
    ensure!(
        message["AlarmName"]
            .as_str()
            .context("name")?
            .starts_with("TEST-orgkeeper-doctor-")
    );
    let records: Vec<&str> = run
        .calls_of("GetItem")
        .iter()
        .filter_map(|call| call.body["Key"]["Id"]["S"].as_str())
        .collect();
    ensure!(
        records.len() == 2
            && records[0].starts_with("alert#cloudwatch.alarm#")
            && records[1].starts_with("slack#"),
        "{records:?}"
    );
    let sent: Vec<&str> = run
        .calls_of("SendMessage")
        .iter()
        .filter_map(|call| call.body["MessageBody"].as_str())
        .collect();
    ensure!(
        sent[0].contains("\"refresh\"") && sent[1].contains("\"reconcile\""),
        "{sent:?}"
    );
    // No control has a fix for it: the planner ignores it, whatever the playbook says.
    let read = remediation_planner::finding::findings_in(sent[2])?;
    let [Ok(finding)] = read.as_slice() else {
        anyhow::bail!("{read:?}");
    };
    ensure!(finding.record_state.as_deref() == Some("ACTIVE"));
    ensure!(finding.compliance_status.as_deref() == Some("FAILED"));
    ensure!(remediation_planner::generator::control_of(finding).is_none());

    let imported: Vec<&Value> = run
        .calls_of("POST /findings/import")
        .iter()
        .map(|call| &call.body["Findings"][0])
        .collect();
    ensure!(imported.len() == 2, "{imported:?}");
    ensure!(imported[0]["RecordState"] == "ACTIVE" && imported[1]["RecordState"] == "ARCHIVED");
    for finding in imported {
        ensure!(finding["Severity"]["Label"] == "INFORMATIONAL");
        ensure!(finding["ProductArn"] == PRODUCT && finding["Compliance"].is_null());
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_gets_stuck_is_named() -> Result<()> {
    let run = orgkeeper(&TEST, flows(false)).await?;
    let report = run.json()?;
    for (flow, found) in [
        (
            "directory",
            "the entry of this account was not read again in time",
        ),
        ("vend", "the message was not processed in time"),
        ("alert", "the test alert was not published in time"),
        ("enrich", "the test finding was not enriched in time"),
        ("remediate", "the message was not processed in time"),
    ] {
        let test = test_of(&report, flow)?;
        ensure!(
            test["state"] == "to-do" && test["found"] == found,
            "{test:#}"
        );
    }
    ensure!(run.outcome == Outcome::Found);
    Ok(())
}

#[tokio::test]
async fn without_the_flag_nothing_is_sent() -> Result<()> {
    let run = orgkeeper(&JSON, healthy).await?;
    for operation in ["Publish", "SendMessage", "POST /findings/import"] {
        ensure!(run.calls_of(operation).is_empty(), "{operation} was called");
    }
    ensure!(run.out.contains(INSTANCE));
    Ok(())
}
