//! Trusted access: services that may work in the whole organization.

use std::collections::BTreeSet;

use aws_sdk_organizations::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "trusted-access",
    question: "May the services that the flows need work in the whole organization?",
    needs: &["organizations:ListAWSServiceAccessForOrganization"],
    needs_stack: false,
    applies: |_| true,
    run: |subject| Box::pin(run(subject)),
};

/// A service that needs trusted access.
struct TrustedService {
    principal: &'static str,
    /// What does not work without it.
    for_what: &'static str,
    needed: fn(&Subject) -> bool,
    /// How it gets it, in the management account.
    fix: &'static str,
}

const SERVICES: &[TrustedService] = &[
    TrustedService {
        principal: "account.amazonaws.com",
        for_what: "contacts of accounts",
        needed: Subject::has_directory,
        fix: "aws organizations enable-aws-service-access --service-principal account.amazonaws.com",
    },
    TrustedService {
        principal: "cloudtrail.amazonaws.com",
        for_what: "the organization's trail",
        needed: |subject| subject.has(&[Flow::Enrich, Flow::Vend, Flow::Alert]),
        fix: "aws organizations enable-aws-service-access --service-principal cloudtrail.amazonaws.com",
    },
    TrustedService {
        principal: "member.org.stacksets.cloudformation.amazonaws.com",
        for_what: "rules and roles in the other accounts",
        needed: |subject| subject.has(&[Flow::Alert, Flow::Remediate]),
        fix: "aws cloudformation activate-organizations-access",
    },
    TrustedService {
        principal: "securityhub.amazonaws.com",
        for_what: "findings of the other accounts",
        needed: |subject| subject.has(&[Flow::Enrich, Flow::Remediate]),
        fix: "aws securityhub enable-organization-admin-account --admin-account-id <security account>",
    },
    TrustedService {
        principal: "sso.amazonaws.com",
        for_what: "access to new accounts",
        needed: |subject| subject.parameter("IdentityCenterInstanceArn").is_some(),
        fix: "aws organizations enable-aws-service-access --service-principal sso.amazonaws.com",
    },
];

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let mut pages = client
        .list_aws_service_access_for_organization()
        .into_paginator()
        .send();
    let mut enabled = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            AwsCallError::new(
                Service::Organizations,
                "ListAWSServiceAccessForOrganization",
                &error,
            )
        })?;
        let services = page.enabled_service_principals.unwrap_or_default();
        enabled.extend(
            services
                .into_iter()
                .filter_map(|service| service.service_principal),
        );
    }
    let missing: Vec<&TrustedService> = SERVICES
        .iter()
        .filter(|service| (service.needed)(subject) && !enabled.contains(service.principal))
        .collect();
    if missing.is_empty() {
        return Ok(Verdict::fine("every service that is needed has it"));
    }
    let found: Vec<String> = missing
        .iter()
        .map(|service| format!("{} ({})", service.principal, service.for_what))
        .collect();
    let fixes: Vec<&str> = missing.iter().map(|service| service.fix).collect();
    Ok(Verdict::to_do(
        format!("no trusted access for {}", found.join(", ")),
        format!("in the management account: {}", fixes.join("; ")),
    ))
}
