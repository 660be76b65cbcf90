//! The service control policies of rehearsals. Every call can be made again: what was done before counts as done.

use aws_sdk_organizations::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{PolicyType, Tag},
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    calls::{Calls, NO_RESOURCE, calls},
    gateway::organizations::Organizations,
};

use crate::{plan::OwnPolicy, rehearsal::POLICY_PREFIX};

/// The tag by which a policy is ours. Its value is the id of the rehearsal.
pub const TAG: &str = "orgkeeper-rehearsal";

const POLICIES: &str =
    "arn:${AWS::Partition}:organizations::*:policy/o-*/service_control_policy/p-*";
const ACCOUNTS: &str = "arn:${AWS::Partition}:organizations::*:account/o-*/*";
const UNITS: &str = "arn:${AWS::Partition}:organizations::*:ou/o-*/ou-*";

/// The gateway. It makes a few calls every five minutes, so that it needs no pace of its own.
#[derive(Debug)]
pub struct Policies {
    client: Client,
}

impl Policies {
    /// What finding and creating policies calls, without a resource.
    pub const CREATE: Calls = calls(
        &["organizations:CreatePolicy", "organizations:ListPolicies"],
        NO_RESOURCE,
    );
    /// What creating a policy with its tag calls.
    pub const TAG_OWN: Calls = calls(&["organizations:TagResource"], &[POLICIES]);
    /// What is called on policies that have the tag.
    pub const CHANGE_OWN: Calls = calls(
        &[
            "organizations:AttachPolicy",
            "organizations:DeletePolicy",
            "organizations:DetachPolicy",
        ],
        &[POLICIES],
    );
    /// What attaching and detaching calls on their targets, never on the root.
    pub const ON_TARGETS: Calls = calls(
        &["organizations:AttachPolicy", "organizations:DetachPolicy"],
        &[ACCOUNTS, UNITS],
    );
    /// What counting the policies of a target calls.
    pub const COUNT: Calls = calls(&["organizations:ListPoliciesForTarget"], &[ACCOUNTS, UNITS]);
    /// What finding the targets of a policy calls.
    pub const FIND_TARGETS: Calls = calls(&["organizations:ListTargetsForPolicy"], &[POLICIES]);

    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The policies of ours: those of our name that have our tag.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn own(&self, organizations: &Organizations) -> Result<Vec<OwnPolicy>, AwsCallError> {
        let mut own = Vec::new();
        let mut next_token = None;
        loop {
            let page = self
                .client
                .list_policies()
                .filter(PolicyType::ServiceControlPolicy)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListPolicies", &error))?;
            for policy in page.policies.unwrap_or_default() {
                let (Some(id), Some(name)) = (policy.id, policy.name) else {
                    continue;
                };
                if !name.starts_with(POLICY_PREFIX) {
                    continue;
                }
                let mut tags = organizations.tags_of(&id).await?;
                if let Some(rehearsal) = tags.remove(TAG) {
                    own.push(OwnPolicy {
                        id,
                        name,
                        rehearsal: rehearsal_of(&rehearsal),
                    });
                }
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(own);
            }
        }
    }

    /// Creates the policy of a rehearsal, and gives its id.
    ///
    /// # Errors
    /// If the call fails; [`Conflict`](AwsErrorClass::Conflict) if the policy was created since the policies were listed.
    pub async fn create(
        &self,
        name: &str,
        description: &str,
        text: &str,
        rehearsal: &str,
    ) -> Result<String, AwsCallError> {
        const OPERATION: &str = "CreatePolicy";
        let tag = Tag::builder().key(TAG).value(tag_of(rehearsal)).build();
        let answer = self
            .client
            .create_policy()
            .name(name)
            .description(description)
            .content(text)
            .r#type(PolicyType::ServiceControlPolicy)
            .set_tags(tag.ok().map(|tag| vec![tag]))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let error = failed(OPERATION, &error);
                return Err(match error.class() {
                    AwsErrorClass::ConditionFailed => AwsCallError::overtaken(OPERATION),
                    _ => error,
                });
            }
        };
        let summary = answer.policy.and_then(|policy| policy.policy_summary);
        summary
            .and_then(|summary| summary.id)
            .ok_or_else(|| AwsCallError::not_found(OPERATION, "the answer has no policy"))
    }

    /// Attaches a policy to a target.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn attach(&self, policy: &str, target: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .attach_policy()
            .policy_id(policy)
            .target_id(target)
            .send()
            .await;
        unless(
            AwsErrorClass::ConditionFailed,
            answer.map_err(|error| failed("AttachPolicy", &error)),
        )
    }

    /// How many service control policies a target has, without the one of this name.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn count(&self, target: &str, without: &str) -> Result<usize, AwsCallError> {
        let mut count = 0;
        let mut next_token = None;
        loop {
            let page = self
                .client
                .list_policies_for_target()
                .target_id(target)
                .filter(PolicyType::ServiceControlPolicy)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListPoliciesForTarget", &error))?;
            let policies = page.policies.unwrap_or_default();
            count += policies
                .iter()
                .filter(|policy| policy.name() != Some(without))
                .count();
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(count);
            }
        }
    }

    /// The ids of the targets of a policy; none if it does not exist any more.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn targets(&self, policy: &str) -> Result<Vec<String>, AwsCallError> {
        let mut targets = Vec::new();
        let mut next_token = None;
        loop {
            let page = self
                .client
                .list_targets_for_policy()
                .policy_id(policy)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListTargetsForPolicy", &error));
            let page = match page {
                Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(Vec::new()),
                page => page?,
            };
            let found = page.targets.unwrap_or_default().into_iter();
            targets.extend(found.filter_map(|target| target.target_id));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(targets);
            }
        }
    }

    /// Detaches a policy from a target.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn detach(&self, policy: &str, target: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .detach_policy()
            .policy_id(policy)
            .target_id(target)
            .send()
            .await;
        unless(
            AwsErrorClass::NotFound,
            answer.map_err(|error| failed("DetachPolicy", &error)),
        )
    }

    /// Deletes a policy that is attached nowhere.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn delete(&self, policy: &str) -> Result<(), AwsCallError> {
        let answer = self.client.delete_policy().policy_id(policy).send().await;
        unless(
            AwsErrorClass::NotFound,
            answer.map_err(|error| failed("DeletePolicy", &error)),
        )
    }
}

/// The answer, where an error of this class says that it was done before.
fn unless<T>(done: AwsErrorClass, answer: Result<T, AwsCallError>) -> Result<(), AwsCallError> {
    match answer {
        Err(error) if error.class() != done => Err(error),
        _ => Ok(()),
    }
}

/// The id of a rehearsal as a tag's value, which may have no `#`.
fn tag_of(rehearsal: &str) -> String {
    rehearsal.replace('#', "/")
}

fn rehearsal_of(tag: &str) -> String {
    tag.replace('/', "#")
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Organizations, operation, error)
}
