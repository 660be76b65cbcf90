//! The roles of `template.yaml` against what their functions declare (`calls.rs`): used is granted, and nothing else is.
//! `tests/checks/test_calls.py` holds the declarations equal to the code, and `make permissions` to the calls of all tests.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::calls::{Calls, calls};
use orgkeeper_tests::{
    permissions::{by_lambda, declared, differences, granted},
    template::Template,
};
use serde_json::json;

/// The functions' rows. Those of `organization-surveyor`, `posture-keeper`, `remediator` and `root-credentials` are compared in their own crates, which nothing else
/// may depend on.
const FUNCTIONS: [(&str, &[Calls]); 14] = [
    ("Alerter", alerter::calls::CALLS),
    (
        "CreateAccountAssignment",
        create_account_assignment::calls::CALLS,
    ),
    ("CreateManagedAccount", create_managed_account::calls::CALLS),
    ("DirectoryRefresher", directory_refresher::calls::CALLS),
    ("FindingArchiver", finding_archiver::calls::CALLS),
    ("FindingEnricher", finding_enricher::calls::CALLS),
    ("NewAccountHandler", new_account_handler::calls::CALLS),
    ("OutageRehearser", outage_rehearser::calls::CALLS),
    ("PosturePlanner", posture_planner::calls::CALLS),
    ("PostureReporter", posture_reporter::calls::CALLS),
    ("RemediationApprover", remediation_approver::calls::CALLS),
    ("RemediationPlanner", remediation_planner::calls::CALLS),
    ("RemediationProxy", remediation_proxy::calls::CALLS),
    ("SlackNotifier", slack_notifier::calls::CALLS),
];
/// What a role has under a condition, and the rows that say so.
type Case = (&'static [(&'static str, bool)], &'static [&'static [Calls]]);

/// The roles that have parts which exclude each other. Each is compared alone: a permission that another part has as well is
/// missed.
const CASES: [(&str, &[Case]); 2] = [
    (
        "CreateManagedAccount",
        &[
            (
                &[("ByAccountFactory", true)],
                &[
                    create_managed_account::calls::WITH_BASELINE_FLOW,
                    create_managed_account::calls::WITH_ACCOUNT_FACTORY,
                    create_managed_account::calls::BY_ACCOUNT_FACTORY,
                ],
            ),
            (
                &[("ByAccountFactory", false), ("Baseline", false)],
                &[create_managed_account::calls::WITHOUT_CONTROL_TOWER],
            ),
        ],
    ),
    (
        "SlackNotifier",
        &[
            (
                &[("WebhookInParameter", false), ("ParameterUnderKey", false)],
                &[slack_notifier::calls::WITH_SECRET],
            ),
            (
                &[("WebhookInSecret", false), ("SecretUnderKey", false)],
                &[slack_notifier::calls::WITH_PARAMETER],
            ),
        ],
    ),
];
/// The case of a role without such parts.
const ALWAYS: &[Case] = &[(&[], &[])];
const STATE_MACHINE: &str = "RemediationStateMachine";
/// What the state machine calls: its integrations, and where `DefinitionSubstitutions` has their resources.
const INTEGRATIONS: [(&str, &str, &str); 2] = [
    (
        "lambda:invoke",
        "lambda:InvokeFunction",
        "RemediationProxyArn",
    ),
    ("sqs:sendMessage", "sqs:SendMessage", "ArchiveQueueUrl"),
];

#[test]
fn each_role_allows_what_its_function_calls_and_nothing_else() {
    let template = Template::load("template.yaml").unwrap();
    let mut wrong = Vec::new();
    for (function, rows) in FUNCTIONS {
        let cases = CASES.iter().find(|(name, _)| *name == function);
        for (conditions, more) in cases.map_or(ALWAYS, |(_, cases)| cases) {
            let granted = granted(&template.decided(conditions), function);
            let rows = more.iter().copied().flatten().chain(rows);
            let mut called = declared(rows);
            called.extend(by_lambda(&template, function));
            wrong.extend(differences(function, &granted, &called));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_state_machine_may_do_its_tasks_and_nothing_else() {
    let template = Template::load("template.yaml").unwrap();
    let definition = include_str!("../../../infra/remediation.asl.yaml");
    let tasks: BTreeSet<&str> = definition
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("Resource: arn:${Partition}:states:::")
        })
        .collect();
    let known = INTEGRATIONS.map(|(task, ..)| task);
    assert_eq!(tasks, BTreeSet::from(known));
    let properties = &template.resource(STATE_MACHINE).unwrap()["Properties"];
    let called: BTreeSet<_> = INTEGRATIONS
        .into_iter()
        .map(|(_, action, resource)| {
            let resource = &properties["DefinitionSubstitutions"][resource];
            let on = orgkeeper_tests::permissions::written(resource);
            (action.to_owned(), on)
        })
        .collect();
    let wrong = differences(STATE_MACHINE, &granted(&template, STATE_MACHINE), &called);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_function_and_state_machine_has_a_role_of_its_own() {
    let template = Template::load("template.yaml").unwrap();
    let owners: BTreeMap<&str, &str> =
        ["AWS::Serverless::Function", "AWS::Serverless::StateMachine"]
            .into_iter()
            .flat_map(|kind| {
                template
                    .resources_of_type(kind)
                    .map(move |(name, _)| (name, kind))
            })
            .collect();
    for (owner, kind) in &owners {
        let resource = template.resource(owner).unwrap();
        let name = format!("{owner}Role");
        assert_eq!(
            resource["Properties"]["Role"],
            json!({ "Fn::GetAtt": [name, "Arn"] })
        );
        assert!(resource["Properties"].get("Policies").is_none(), "{owner}");
        let role = template.resource(&name).unwrap();
        assert_eq!(role["Condition"], resource["Condition"], "{owner}");
        let role = &role["Properties"];
        assert_eq!(
            role["RoleName"],
            json!({ "Fn::Sub": format!("${{AWS::StackName}}-{owner}") })
        );
        assert!(role.get("ManagedPolicyArns").is_none(), "{owner}");
        let service = match *kind {
            "AWS::Serverless::Function" => "lambda.amazonaws.com",
            _ => "states.amazonaws.com",
        };
        let trust = &role["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(trust.as_array().map(Vec::len), Some(1), "{owner}");
        assert_eq!(trust[0]["Principal"], json!({ "Service": service }));
    }
    // Other roles of the stack are those of services that deliver to it.
    let with_rows = FUNCTIONS.map(|(name, _)| name);
    let others = [
        "AccountHydrator",
        "OrganizationSurveyor",
        "PostureKeeper",
        STATE_MACHINE,
        "Remediator",
        "RootCredentialsRemover",
    ];
    let known: BTreeSet<&str> = with_rows.into_iter().chain(others).collect();
    assert_eq!(owners.into_keys().collect::<BTreeSet<_>>(), known);
}

#[test]
fn a_missing_and_an_unused_permission_are_both_found() {
    let rows = [calls(&["sqs:SendMessage"], &["One", "Two"])];
    let called = declared(&rows);
    let allowed = declared(&[calls(&["sqs:SendMessage", "sqs:ReceiveMessage"], &["One"])]);
    assert_eq!(
        differences("Function", &allowed, &called),
        [
            "Function calls sqs:SendMessage on Two, its role does not allow it",
            "the role of Function allows sqs:ReceiveMessage on One, which nothing calls",
        ]
    );
}
