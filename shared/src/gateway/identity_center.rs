//! IAM Identity Center: permission sets and assignments, and the groups of its identity store.

use aws_sdk_identitystore::{
    Client as StoreClient,
    types::{AlternateIdentifier, MemberId, UniqueAttribute},
};
use aws_sdk_ssoadmin::{
    Client,
    types::{AccountAssignmentOperationStatus, PrincipalType, StatusValues, TargetType},
};
use aws_smithy_types::Document;

use super::rates::{Paces, QuotaShare, identity_center as rates, no_retries};
use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    calls::{Calls, NO_RESOURCE, calls},
    ids::AccountId,
    principal::Principal,
};

/// Entries of a page (`ListGroups`, `ListPermissionSets`: up to 100).
const PAGE: i32 = 100;

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// Its entries.
    pub entries: Vec<T>,
    /// The token of the next page, if there is one.
    pub next_token: Option<String>,
}

/// A group of the identity store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}

/// How far the request of an assignment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignmentStatus {
    /// AWS works on it: the id of the request, if AWS gave one.
    InProgress(Option<String>),
    /// The assignment exists.
    Succeeded,
    /// The request failed for this reason.
    Failed(String),
}

/// The parameter of the template.
const INSTANCE: &str = "IdentityCenterInstanceArn";
const PERMISSION_SETS: &str = "arn:${AWS::Partition}:sso:::permissionSet/*/*";
const STORES: &str = "arn:${AWS::Partition}:identitystore::${AWS::AccountId}:identitystore/*";
const USERS: &str = "arn:${AWS::Partition}:identitystore:::user/*";

/// The gateway to an instance of IAM Identity Center.
#[derive(Debug)]
pub struct IdentityCenter {
    client: Client,
    instance: String,
    paces: Paces,
}

impl IdentityCenter {
    /// What [`Self::identity_store_id`] calls.
    pub const FIND_STORE: Calls = calls(&["sso:ListInstances"], NO_RESOURCE);
    /// What [`Self::permission_set_name`] calls.
    pub const DESCRIBE_PERMISSION_SET: Calls =
        calls(&["sso:DescribePermissionSet"], &[INSTANCE, PERMISSION_SETS]);
    /// What [`Self::permission_sets`] and [`Self::assignments_of`] call.
    pub const LIST: Calls = calls(
        &[
            "sso:ListAccountAssignmentsForPrincipal",
            "sso:ListPermissionSets",
        ],
        &[INSTANCE],
    );
    /// What [`Self::create_assignment`] calls.
    pub const ASSIGN: Calls = calls(
        &["sso:CreateAccountAssignment"],
        &[
            INSTANCE,
            PERMISSION_SETS,
            "arn:${AWS::Partition}:sso:::account/*",
        ],
    );
    /// What [`Self::assignment_status`] calls.
    pub const ASSIGNMENT_STATUS: Calls = calls(
        &["sso:DescribeAccountAssignmentCreationStatus"],
        &[INSTANCE],
    );

    /// A gateway over `client` to the instance with this ARN that keeps to this share of the
    /// published rate.
    #[must_use]
    pub fn new(client: &Client, instance: String, share: QuotaShare) -> Self {
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            client: Client::from_conf(config.build()),
            instance,
            paces: Paces::new(share, client.config().retry_config()),
        }
    }

    /// The instance's ARN.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The id of the instance's identity store; `None` if there is no such instance.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn identity_store_id(&self) -> Result<Option<String>, AwsCallError> {
        let mut next_token = None;
        loop {
            let page = self
                .paces
                .call(&rates::ALL_OPERATIONS, async || {
                    self.client
                        .list_instances()
                        .set_next_token(next_token.clone())
                        .send()
                        .await
                        .map_err(|error| {
                            AwsCallError::new(Service::SsoAdmin, "ListInstances", &error)
                        })
                })
                .await?;
            let found = page
                .instances()
                .iter()
                .find(|found| found.instance_arn() == Some(&self.instance))
                .and_then(|found| found.identity_store_id());
            if let Some(store) = found {
                return Ok(Some(store.to_owned()));
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(None);
            }
        }
    }

    /// The name of the permission set with this ARN.
    ///
    /// # Errors
    /// [`NotFound`](AwsErrorClass::NotFound) if there is no such permission set.
    pub async fn permission_set_name(&self, arn: &str) -> Result<String, AwsCallError> {
        let answer = self
            .paces
            .call(&rates::ALL_OPERATIONS, async || {
                self.client
                    .describe_permission_set()
                    .instance_arn(&self.instance)
                    .permission_set_arn(arn)
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::SsoAdmin, "DescribePermissionSet", &error)
                    })
            })
            .await?;
        let name = answer.permission_set.and_then(|set| set.name);
        Ok(name.unwrap_or_else(|| arn.to_owned()))
    }

    /// A page of the ARNs of all permission sets.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn permission_sets(
        &self,
        next_token: Option<String>,
    ) -> Result<Page<String>, AwsCallError> {
        let page = self
            .paces
            .call(&rates::ALL_OPERATIONS, async || {
                self.client
                    .list_permission_sets()
                    .instance_arn(&self.instance)
                    .max_results(PAGE)
                    .set_next_token(next_token.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::SsoAdmin, "ListPermissionSets", &error)
                    })
            })
            .await?;
        Ok(Page {
            entries: page.permission_sets.unwrap_or_default(),
            next_token: page.next_token,
        })
    }

    /// Requests the assignment of a permission set to a group or a user in an account. Idempotent: an assignment
    /// that exists is created again.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn create_assignment(
        &self,
        account: &AccountId,
        (principal, principal_id): (Principal, &str),
        permission_set_arn: &str,
    ) -> Result<AssignmentStatus, AwsCallError> {
        const OPERATION: &str = "CreateAccountAssignment";
        let principal_type = type_of(principal);
        let answer = self
            .paces
            .call(&rates::ALL_OPERATIONS, async || {
                self.client
                    .create_account_assignment()
                    .instance_arn(&self.instance)
                    .target_type(TargetType::AwsAccount)
                    .target_id(account.as_str())
                    .principal_type(principal_type.clone())
                    .principal_id(principal_id)
                    .permission_set_arn(permission_set_arn)
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::SsoAdmin, OPERATION, &error))
            })
            .await?;
        Ok(status_of(answer.account_assignment_creation_status))
    }

    /// Every account that a group or a user has access to by assignments of its own, with the ARN of the permission
    /// set. What a user has through its groups is left out.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn assignments_of(
        &self,
        (principal, principal_id): (Principal, &str),
    ) -> Result<Vec<(AccountId, String)>, AwsCallError> {
        const OPERATION: &str = "ListAccountAssignmentsForPrincipal";
        let mut assignments = Vec::new();
        let mut next_token = None;
        loop {
            let page = self
                .paces
                .call(&rates::ALL_OPERATIONS, async || {
                    self.client
                        .list_account_assignments_for_principal()
                        .instance_arn(&self.instance)
                        .principal_type(type_of(principal))
                        .principal_id(principal_id)
                        .max_results(PAGE)
                        .set_next_token(next_token.clone())
                        .send()
                        .await
                        .map_err(|error| AwsCallError::new(Service::SsoAdmin, OPERATION, &error))
                })
                .await?;
            let found = page.account_assignments.unwrap_or_default().into_iter();
            assignments.extend(found.filter_map(|assignment| {
                let own = assignment.principal_id.as_deref() == Some(principal_id);
                let account = assignment.account_id?.parse().ok()?;
                own.then_some((account, assignment.permission_set_arn?))
            }));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(assignments);
            }
        }
    }

    /// How far the request of an assignment is; `None` if AWS does not know the request (any more).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn assignment_status(
        &self,
        request_id: &str,
    ) -> Result<Option<AssignmentStatus>, AwsCallError> {
        const OPERATION: &str = "DescribeAccountAssignmentCreationStatus";
        let answer = self
            .paces
            .call(&rates::ALL_OPERATIONS, async || {
                self.client
                    .describe_account_assignment_creation_status()
                    .instance_arn(&self.instance)
                    .account_assignment_creation_request_id(request_id)
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::SsoAdmin, OPERATION, &error))
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(status_of(answer.account_assignment_creation_status))),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn type_of(principal: Principal) -> PrincipalType {
    match principal {
        Principal::Group => PrincipalType::Group,
        Principal::User => PrincipalType::User,
    }
}

/// The gateway to an identity store.
#[derive(Debug)]
pub struct IdentityStore {
    client: StoreClient,
    paces: Paces,
}

impl IdentityStore {
    /// What [`Self::group_name`] and [`Self::groups`] call.
    pub const READ_GROUPS: Calls = calls(
        &["identitystore:DescribeGroup", "identitystore:ListGroups"],
        &[STORES, "arn:${AWS::Partition}:identitystore:::group/*"],
    );
    /// What [`Self::user_id`] calls.
    pub const FIND_USERS: Calls = calls(&["identitystore:GetUserId"], &[STORES, USERS]);
    /// What [`Self::groups_of_user`] calls.
    pub const LIST_MEMBERSHIPS: Calls = calls(
        &["identitystore:ListGroupMembershipsForMember"],
        &[
            STORES,
            USERS,
            "arn:${AWS::Partition}:identitystore:::membership/*",
        ],
    );

    /// A gateway over `client` that keeps to this share of the published rates.
    #[must_use]
    pub fn new(client: &StoreClient, share: QuotaShare) -> Self {
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            client: StoreClient::from_conf(config.build()),
            paces: Paces::new(share, client.config().retry_config()),
        }
    }

    /// The name of the group with this id in the identity store `store`.
    ///
    /// # Errors
    /// [`NotFound`](AwsErrorClass::NotFound) if there is no such group.
    pub async fn group_name(&self, store: &str, id: &str) -> Result<String, AwsCallError> {
        let group = self
            .paces
            .call(&rates::DESCRIBE_GROUP, async || {
                self.client
                    .describe_group()
                    .identity_store_id(store)
                    .group_id(id)
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::IdentityStore, "DescribeGroup", &error)
                    })
            })
            .await?;
        Ok(group.display_name.unwrap_or_else(|| id.to_owned()))
    }

    /// A page of all groups of the identity store `store`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn groups(
        &self,
        store: &str,
        next_token: Option<String>,
    ) -> Result<Page<Group>, AwsCallError> {
        let page = self
            .paces
            .call(&rates::LIST_GROUPS, async || {
                self.client
                    .list_groups()
                    .identity_store_id(store)
                    .max_results(PAGE)
                    .set_next_token(next_token.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::IdentityStore, "ListGroups", &error)
                    })
            })
            .await?;
        let groups = page.groups.into_iter().map(|group| Group {
            id: group.group_id,
            name: group.display_name,
        });
        Ok(Page {
            entries: groups.collect(),
            next_token: page.next_token,
        })
    }
}

impl IdentityStore {
    /// The id of the user with this name or e-mail address; `None` if there is none.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn user_id(&self, store: &str, text: &str) -> Result<Option<String>, AwsCallError> {
        for attribute in ["userName", "emails.value"] {
            if attribute == "emails.value" && !text.contains('@') {
                continue;
            }
            let found = self.user_with(store, attribute, text).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn user_with(
        &self,
        store: &str,
        attribute: &str,
        value: &str,
    ) -> Result<Option<String>, AwsCallError> {
        const OPERATION: &str = "GetUserId";
        let unique = UniqueAttribute::builder()
            .attribute_path(attribute)
            .attribute_value(Document::String(value.to_owned()))
            .build()
            .ok()
            .map(AlternateIdentifier::UniqueAttribute);
        let answer = self
            .paces
            .call(&rates::GET_USER_ID, async || {
                self.client
                    .get_user_id()
                    .identity_store_id(store)
                    .set_alternate_identifier(unique.clone())
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::IdentityStore, OPERATION, &error))
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(answer.user_id)),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of the ids of the groups that the user with this id is in.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn groups_of_user(
        &self,
        store: &str,
        user_id: &str,
        next_token: Option<String>,
    ) -> Result<Page<String>, AwsCallError> {
        const OPERATION: &str = "ListGroupMembershipsForMember";
        let page = self
            .paces
            .call(&rates::LIST_GROUP_MEMBERSHIPS_FOR_MEMBER, async || {
                self.client
                    .list_group_memberships_for_member()
                    .identity_store_id(store)
                    .member_id(MemberId::UserId(user_id.to_owned()))
                    .max_results(PAGE)
                    .set_next_token(next_token.clone())
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::IdentityStore, OPERATION, &error))
            })
            .await?;
        let groups = page.group_memberships.into_iter();
        Ok(Page {
            entries: groups
                .filter_map(|membership| membership.group_id)
                .collect(),
            next_token: page.next_token,
        })
    }
}

fn status_of(status: Option<AccountAssignmentOperationStatus>) -> AssignmentStatus {
    let status = status.unwrap_or_else(|| AccountAssignmentOperationStatus::builder().build());
    match status.status {
        Some(StatusValues::Succeeded) => AssignmentStatus::Succeeded,
        Some(StatusValues::Failed) => AssignmentStatus::Failed(
            status
                .failure_reason
                .unwrap_or_else(|| "AWS gives no reason".to_owned()),
        ),
        _ => AssignmentStatus::InProgress(status.request_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read() {
        let status = |status: Option<StatusValues>, reason: Option<&str>| {
            let status = AccountAssignmentOperationStatus::builder()
                .set_status(status)
                .request_id("a")
                .set_failure_reason(reason.map(str::to_owned));
            status_of(Some(status.build()))
        };
        let in_progress = AssignmentStatus::InProgress(Some("a".to_owned()));
        let failed = |reason: &str| AssignmentStatus::Failed(reason.to_owned());
        assert_eq!(status(Some(StatusValues::InProgress), None), in_progress);
        assert_eq!(
            status(Some(StatusValues::from("QUEUED")), None),
            in_progress
        );
        assert_eq!(status(None, None), in_progress);
        assert_eq!(status_of(None), AssignmentStatus::InProgress(None));
        assert_eq!(
            status(Some(StatusValues::Succeeded), None),
            AssignmentStatus::Succeeded
        );
        assert_eq!(
            status(Some(StatusValues::Failed), Some("role quota")),
            failed("role quota")
        );
        assert_eq!(
            status(Some(StatusValues::Failed), None),
            failed("AWS gives no reason")
        );
    }
}
