//! Security Hub: its administrator, and its home Region.

use aws_sdk_securityhub::Client;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

/// The principal of Security Hub.
const PRINCIPAL: &str = "securityhub.amazonaws.com";

pub(super) const ADMINISTRATOR: Check = Check {
    id: "security-hub-administrator",
    question: "Does this account administer Security Hub?",
    needs: &[
        "organizations:DescribeOrganization",
        "organizations:ListDelegatedAdministrators",
        "securityhub:ListOrganizationAdminAccounts",
    ],
    needs_stack: false,
    applies: needed,
    run: |subject| Box::pin(administrator(subject)),
};

pub(super) const REGION: Check = Check {
    id: "security-hub-region",
    question: "Is Security Hub on, and is this its home Region?",
    needs: &[
        "securityhub:DescribeHub",
        "securityhub:ListFindingAggregators",
        "securityhub:GetFindingAggregator",
    ],
    needs_stack: false,
    applies: needed,
    run: |subject| Box::pin(region(subject)),
};

fn needed(subject: &Subject) -> bool {
    subject.has(&[Flow::Enrich, Flow::Remediate])
}

async fn administrator(subject: &Subject) -> Result<Verdict, AwsCallError> {
    // The management account can be the administrator, and is then no delegated one.
    let administrators = if subject.organization()?.management == subject.account {
        of_security_hub(subject).await?
    } else {
        delegated(subject).await?
    };
    let account = &subject.account;
    if administrators.contains(account) {
        return Ok(Verdict::fine(format!("{account} administers Security Hub")));
    }
    Ok(match administrators.first() {
        Some(other) => Verdict::to_do(
            format!(
                "the administrator is {other}, and this is {account}: it receives only its own findings"
            ),
            format!(
                "deploy the enrich and the remediate flow in {other}: use its credentials, and make deploy ENV=security"
            ),
        ),
        None => Verdict::to_do(
            "Security Hub has no administrator: findings of other accounts do not arrive",
            format!(
                "in the management account: aws securityhub enable-organization-admin-account --admin-account-id {account}"
            ),
        ),
    })
}

/// As the management account sees it.
async fn of_security_hub(subject: &Subject) -> Result<Vec<String>, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let answer = client.list_organization_admin_accounts().send().await;
    let answer = answer.map_err(|error| {
        AwsCallError::new(
            Service::SecurityHub,
            "ListOrganizationAdminAccounts",
            &error,
        )
    })?;
    let accounts = answer.admin_accounts.unwrap_or_default().into_iter();
    Ok(accounts.filter_map(|it| it.account_id).collect())
}

/// As every other account sees it.
async fn delegated(subject: &Subject) -> Result<Vec<String>, AwsCallError> {
    let answer = aws_sdk_organizations::Client::new(&subject.sdk)
        .list_delegated_administrators()
        .service_principal(PRINCIPAL)
        .send()
        .await;
    let answer = answer.map_err(|error| {
        AwsCallError::new(
            Service::Organizations,
            "ListDelegatedAdministrators",
            &error,
        )
    })?;
    let administrators = answer
        .delegated_administrators
        .unwrap_or_default()
        .into_iter();
    Ok(administrators.filter_map(|it| it.id).collect())
}

async fn region(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let here = &subject.region;
    let hub = client.describe_hub().send().await;
    match hub.map_err(|error| AwsCallError::new(Service::SecurityHub, "DescribeHub", &error)) {
        Ok(_) => {}
        // It says "denied" of an account that has not subscribed, too.
        Err(error)
            if error.class() == AwsErrorClass::NotFound
                || error.has_code("InvalidAccessException") =>
        {
            return Ok(Verdict::to_do(
                format!("Security Hub is off in {here}"),
                format!("aws securityhub enable-security-hub --region {here}"),
            ));
        }
        Err(error) => return Err(error),
    }
    let aggregators = client.list_finding_aggregators().send().await;
    let aggregators = aggregators.map_err(|error| {
        AwsCallError::new(Service::SecurityHub, "ListFindingAggregators", &error)
    })?;
    let first = aggregators.finding_aggregators.unwrap_or_default();
    let Some(arn) = first.into_iter().find_map(|it| it.finding_aggregator_arn) else {
        return Ok(Verdict::to_do(
            format!("Regions are not aggregated: only findings of {here} arrive"),
            format!(
                "aws securityhub create-finding-aggregator --region-linking-mode ALL_REGIONS --region {here}"
            ),
        ));
    };
    let aggregator = client
        .get_finding_aggregator()
        .finding_aggregator_arn(arn)
        .send()
        .await;
    let aggregator = aggregator
        .map_err(|error| AwsCallError::new(Service::SecurityHub, "GetFindingAggregator", &error))?;
    let home = aggregator.finding_aggregation_region.unwrap_or_default();
    if &home == here {
        return Ok(Verdict::fine(format!(
            "{home} receives the findings of the other Regions"
        )));
    }
    Ok(Verdict::to_do(
        format!("the home Region is {home}, and the stack is in {here}"),
        format!(
            "deploy the enrich and the remediate flow in {home}: AWS_REGION={home} make deploy ENV=security"
        ),
    ))
}
