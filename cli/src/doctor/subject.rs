//! What is examined: an account and Region with a stack, or before its first deployment.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_organizations::types::OrganizationFeatureSet;
use clap::Args;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{queues::Flow, stack::Stack};

/// What is examined.
pub struct Subject {
    /// Reaches AWS.
    pub sdk: SdkConfig,
    /// The account of the caller.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The partition, `aws` say.
    pub partition: String,
    /// The name of the stack.
    pub stack_name: String,
    /// The stack, once it is deployed.
    pub stack: Option<Stack>,
    /// The flows that are on, or will be.
    pub flows: BTreeSet<Flow>,
    /// The stack sets of the other accounts.
    pub stack_sets: StackSets,
    organization: Result<Organization, AwsCallError>,
}

/// The names of the stack sets that deploy to the other accounts.
#[derive(Args, Clone, Debug)]
pub struct StackSets {
    /// The name of the stack set of infra/member-account.yaml.
    #[arg(
        long = "stack-set",
        value_name = "NAME",
        default_value = "orgkeeper-member-account"
    )]
    pub member_account: String,
    /// The name of the stack set of infra/alert-events.yaml.
    #[arg(
        long = "forwarding-stack-set",
        value_name = "NAME",
        default_value = "orgkeeper-alert-events"
    )]
    pub alert_events: String,
}

/// An organization.
#[derive(Clone, Debug, Default)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its management account.
    pub management: String,
    /// Whether it has all features, not consolidated billing alone.
    pub all_features: bool,
}

impl Subject {
    /// Reads what every check needs. `flows` are examined beside those of the stack; without a stack, and any of them, all are.
    ///
    /// # Errors
    /// If the caller is unknown, or the stack cannot be read.
    pub async fn read(
        sdk: SdkConfig,
        stack_name: String,
        flows: &[Flow],
        stack_sets: StackSets,
    ) -> Result<Self, AwsCallError> {
        let identity = aws_sdk_sts::Client::new(&sdk).get_caller_identity().send();
        let identity = identity
            .await
            .map_err(|error| AwsCallError::new(Service::Sts, "GetCallerIdentity", &error))?;
        let (stack, organization) =
            futures::join!(Stack::read(&sdk, &stack_name), organization(&sdk));
        let stack = stack?;
        let mut on: BTreeSet<Flow> = flows.iter().copied().collect();
        match &stack {
            Some(stack) => on.extend(Flow::ALL.into_iter().filter(|flow| stack.has(*flow))),
            None if flows.is_empty() => on.extend(Flow::ALL),
            None => {}
        }
        let arn = identity.arn.unwrap_or_default();
        Ok(Self {
            account: identity.account.unwrap_or_default(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
            sdk,
            stack_name,
            stack,
            flows: on,
            stack_sets,
            organization,
        })
    }

    /// Whether one of these flows is on.
    #[must_use]
    pub fn has(&self, flows: &[Flow]) -> bool {
        flows.iter().any(|flow| self.flows.contains(flow))
    }

    /// Whether there is an account directory.
    #[must_use]
    pub fn has_directory(&self) -> bool {
        self.has(&[Flow::Enrich, Flow::Alert, Flow::Remediate])
    }

    /// The organization.
    ///
    /// # Errors
    /// If it could not be read.
    pub fn organization(&self) -> Result<&Organization, AwsCallError> {
        self.organization.as_ref().map_err(Clone::clone)
    }

    /// The value of a parameter of the stack; `None` if it is empty, or there is no stack yet.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.stack.as_ref()?.parameter(name)
    }

    /// A resource of the stack; `None` if it has none of this name.
    #[must_use]
    pub fn resource(&self, logical_id: &str) -> Option<&str> {
        self.stack.as_ref()?.resource(logical_id)
    }

    /// The sentence that says how a parameter is set.
    #[must_use]
    pub fn set_parameter(&self, assignment: &str) -> String {
        format!(
            "add \"{assignment}\" to parameter_overrides in samconfig.toml, then run make deploy ENV=<environment>"
        )
    }
}

async fn organization(sdk: &SdkConfig) -> Result<Organization, AwsCallError> {
    let answer = aws_sdk_organizations::Client::new(sdk)
        .describe_organization()
        .send()
        .await
        .map_err(|error| {
            AwsCallError::new(Service::Organizations, "DescribeOrganization", &error)
        })?;
    let organization = answer.organization.ok_or_else(|| {
        AwsCallError::not_found("DescribeOrganization", "the answer has no organization")
    })?;
    Ok(Organization {
        all_features: organization
            .feature_set
            .as_ref()
            .map(OrganizationFeatureSet::as_str)
            == Some("ALL"),
        id: organization.id.unwrap_or_default(),
        management: organization.master_account_id.unwrap_or_default(),
    })
}
