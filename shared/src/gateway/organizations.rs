//! AWS Organizations: accounts, organizational units, and accounts created without Control Tower.

use std::{collections::BTreeMap, fmt};

use aws_sdk_organizations::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{create_account::CreateAccountError, tag_resource::TagResourceError},
    types::{
        Account as SdkAccount, ConstraintViolationExceptionReason, CreateAccountState,
        CreateAccountStatus, Parent, ParentType, Tag,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::rates::{Paces, QuotaShare, no_retries, organizations as rates};
use crate::{
    aws_error::{AwsCallError, Service},
    calls::{Calls, NO_RESOURCE, calls},
    ids::AccountId,
};

/// Organizational units nest five deep at most ("Quotas for AWS Organizations").
const OU_DEPTH: usize = 5;
/// Entries of a page, at most (the lists' `MaxResults`).
const PAGE: i32 = 20;
/// Organizational units whose children are listed at once.
const UNITS_AT_ONCE: usize = 8;

/// The id of an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OuId(pub String);

impl fmt::Display for OuId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An account as the organization describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// `ACTIVE`, `SUSPENDED`, `CLOSED`, …
    pub state: String,
    /// Whether it is the management account.
    pub is_management: bool,
    /// The root and the organizational units above it, from the root down; `None` if the API did not say.
    pub path: Option<Vec<OuId>>,
}

/// A page of accounts, at most twenty.
#[derive(Debug)]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<OrganizationAccount>,
    /// The token of the next page, if there is one.
    pub next_token: Option<String>,
}

/// A page of the names of organizational units, at most twenty.
#[derive(Debug)]
pub struct NamePage {
    /// The units, each with its name.
    pub names: Vec<(OuId, String)>,
    /// The token of the next page, if there is one.
    pub next_token: Option<String>,
}

/// An organizational unit, or the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationalUnit {
    /// Its id.
    pub id: OuId,
    /// Its name.
    pub name: String,
    /// The names from the root down, `Root/Workloads/Prod`.
    pub path: String,
}

/// A request of `CreateAccount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountCreation {
    /// Its id, `car-…`.
    pub request_id: String,
    /// Its state.
    pub state: CreationState,
}

/// The state of a request of `CreateAccount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreationState {
    /// It has not ended.
    InProgress,
    /// The account exists.
    Succeeded(AccountId),
    /// It failed: AWS's code of the reason, if it gave one.
    Failed(Option<String>),
}

const ACCOUNTS: &str = "arn:${AWS::Partition}:organizations::*:account/o-*/*";
const UNITS: &str = "arn:${AWS::Partition}:organizations::*:ou/o-*/ou-*";
const POLICIES: &str =
    "arn:${AWS::Partition}:organizations::*:policy/o-*/service_control_policy/p-*";
const ROOTS: &str = "arn:${AWS::Partition}:organizations::*:root/o-*/r-*";

/// What [`Organizations::account`] calls.
pub const DESCRIBE_ACCOUNT: Calls = calls(&["organizations:DescribeAccount"], &[ACCOUNTS]);
/// What [`Organizations::accounts`] and all that look through them call.
pub const LIST_ACCOUNTS: Calls = calls(&["organizations:ListAccounts"], NO_RESOURCE);
/// What [`Organizations::parent`] calls.
pub const LIST_PARENT: Calls = calls(&["organizations:ListParents"], &[ACCOUNTS]);
/// What [`Organizations::path_by_parents`] calls.
pub const LIST_PARENTS: Calls = calls(&["organizations:ListParents"], &[ACCOUNTS, UNITS]);
/// What [`Organizations::ou_name`] calls.
pub const DESCRIBE_UNIT: Calls = calls(&["organizations:DescribeOrganizationalUnit"], &[UNITS]);
/// What [`Organizations::names_under`] calls.
pub const LIST_UNITS: Calls = calls(
    &["organizations:ListOrganizationalUnitsForParent"],
    &[ROOTS, UNITS],
);
/// What [`Organizations::units`] calls beside [`LIST_UNITS`].
pub const LIST_ROOTS: Calls = calls(&["organizations:ListRoots"], NO_RESOURCE);
/// What [`Organizations::tags`] calls.
pub const LIST_TAGS: Calls = calls(&["organizations:ListTagsForResource"], &[ACCOUNTS]);
/// What [`Organizations::tags_of`] calls for an account, an organizational unit or a service control policy.
pub const LIST_TAGS_OF_ANY: Calls = calls(
    &["organizations:ListTagsForResource"],
    &[ACCOUNTS, UNITS, POLICIES],
);
/// What [`Organizations::tag_account`] calls.
pub const TAG_ACCOUNT: Calls = calls(&["organizations:TagResource"], &[ACCOUNTS]);
/// What creating accounts calls, beside [`LIST_ACCOUNTS`].
pub const CREATE_ACCOUNTS: Calls = calls(
    &[
        "organizations:CreateAccount",
        "organizations:DescribeCreateAccountStatus",
        "organizations:ListCreateAccountStatus",
    ],
    NO_RESOURCE,
);
/// What [`Organizations::move_account`] calls.
pub const MOVE_ACCOUNT: Calls = calls(&["organizations:MoveAccount"], &[ACCOUNTS, ROOTS, UNITS]);

/// The gateway to AWS Organizations.
#[derive(Debug)]
pub struct Organizations {
    client: Client,
    paces: Paces,
}

impl Organizations {
    /// A gateway over `client` that keeps to this share of each published rate.
    #[must_use]
    pub fn new(client: &Client, share: QuotaShare) -> Self {
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            client: Client::from_conf(config.build()),
            paces: Paces::new(share, client.config().retry_config()),
        }
    }

    /// One account.
    ///
    /// # Errors
    /// [`NotFound`](crate::aws_error::AwsErrorClass::NotFound) if the organization has no such account.
    pub async fn account(&self, id: &AccountId) -> Result<OrganizationAccount, AwsCallError> {
        let answer = self
            .paces
            .call(&rates::DESCRIBE_ACCOUNT, async || {
                self.client
                    .describe_account()
                    .account_id(id.as_str())
                    .send()
                    .await
                    .map_err(|error| failed("DescribeAccount", &error))
            })
            .await?;
        let account = answer
            .account
            .unwrap_or_else(|| SdkAccount::builder().build());
        Ok(account_of(id.clone(), account))
    }

    /// A page of all accounts of the organization.
    ///
    /// # Errors
    /// If the call fails; [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a `next_token`
    /// that is no longer known.
    pub async fn accounts(&self, next_token: Option<String>) -> Result<AccountPage, AwsCallError> {
        let page = self
            .paces
            .call(&rates::LIST_ACCOUNTS, async || {
                self.client
                    .list_accounts()
                    .max_results(PAGE)
                    .set_next_token(next_token.clone())
                    .send()
                    .await
                    .map_err(|error| failed("ListAccounts", &error))
            })
            .await?;
        Ok(AccountPage {
            accounts: page
                .accounts
                .unwrap_or_default()
                .into_iter()
                .filter_map(|account| Some(account_of(account.id()?.parse().ok()?, account)))
                .collect(),
            next_token: page.next_token,
        })
    }

    /// All accounts of the organization.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn all_accounts(&self) -> Result<Vec<OrganizationAccount>, AwsCallError> {
        let mut accounts = Vec::new();
        let mut next_token = None;
        loop {
            let page = self.accounts(next_token).await?;
            accounts.extend(page.accounts);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(accounts);
            }
        }
    }

    /// The first account for which `is` holds; no page after it is read.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn find_account(
        &self,
        is: impl Fn(&OrganizationAccount) -> bool,
    ) -> Result<Option<OrganizationAccount>, AwsCallError> {
        let mut next_token = None;
        loop {
            let page = self.accounts(next_token).await?;
            let found = page.accounts.into_iter().find(&is);
            next_token = page.next_token;
            if found.is_some() || next_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The root and the organizational units above an account, from the root down, read parent by parent.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn path_by_parents(&self, id: &AccountId) -> Result<Vec<OuId>, AwsCallError> {
        let mut path = Vec::new();
        let mut child = id.to_string();
        for _ in 0..=OU_DEPTH {
            let parents = self.parents(&child).await?;
            let Some(parent) = parents.into_iter().next() else {
                break;
            };
            child = parent.id.unwrap_or_default();
            path.insert(0, OuId(child.clone()));
            if parent.r#type != Some(ParentType::OrganizationalUnit) {
                break;
            }
        }
        Ok(path)
    }

    /// The id of what an account is directly in: an organizational unit or the root.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn parent(&self, id: &AccountId) -> Result<String, AwsCallError> {
        let parents = self.parents(id.as_str()).await?;
        let parent = parents.into_iter().find_map(|parent| parent.id);
        Ok(parent.unwrap_or_default())
    }

    async fn parents(&self, child: &str) -> Result<Vec<Parent>, AwsCallError> {
        let answer = self
            .paces
            .call(&rates::LIST_PARENTS, async || {
                self.client
                    .list_parents()
                    .child_id(child)
                    .send()
                    .await
                    .map_err(|error| failed("ListParents", &error))
            })
            .await?;
        Ok(answer.parents.unwrap_or_default())
    }

    /// The name of an organizational unit.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn ou_name(&self, unit: &OuId) -> Result<String, AwsCallError> {
        let answer = self
            .paces
            .call(&rates::DESCRIBE_ORGANIZATIONAL_UNIT, async || {
                self.client
                    .describe_organizational_unit()
                    .organizational_unit_id(&unit.0)
                    .send()
                    .await
                    .map_err(|error| failed("DescribeOrganizationalUnit", &error))
            })
            .await?;
        Ok(answer
            .organizational_unit
            .and_then(|unit| unit.name)
            .unwrap_or_else(|| unit.0.clone()))
    }

    /// A page of the organizational units directly under a root or unit, at most twenty.
    ///
    /// # Errors
    /// If the call fails; [`NotFound`](crate::aws_error::AwsErrorClass::NotFound) if there is no such parent,
    /// [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a `next_token` that is no longer known.
    pub async fn names_under(
        &self,
        parent: &OuId,
        next_token: Option<String>,
    ) -> Result<NamePage, AwsCallError> {
        let page = self
            .paces
            .call(&rates::LIST_ORGANIZATIONAL_UNITS_FOR_PARENT, async || {
                self.client
                    .list_organizational_units_for_parent()
                    .parent_id(&parent.0)
                    .max_results(PAGE)
                    .set_next_token(next_token.clone())
                    .send()
                    .await
                    .map_err(|error| failed("ListOrganizationalUnitsForParent", &error))
            })
            .await?;
        let units = page.organizational_units.unwrap_or_default();
        Ok(NamePage {
            names: units
                .into_iter()
                .filter_map(|unit| Some((OuId(unit.id?), unit.name?)))
                .collect(),
            next_token: page.next_token,
        })
    }

    /// The root's name and every organizational unit, level by level.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn units(&self) -> Result<(String, Vec<OrganizationalUnit>), AwsCallError> {
        let root = self.root().await?;
        let name = root.name.clone();
        let mut units = Vec::new();
        let mut level = vec![root];
        for _ in 0..OU_DEPTH {
            level = stream::iter(&level)
                .map(|parent| self.children(parent))
                .buffered(UNITS_AT_ONCE)
                .try_concat()
                .await?;
            units.extend(level.iter().cloned());
        }
        Ok((name, units))
    }

    async fn root(&self) -> Result<OrganizationalUnit, AwsCallError> {
        const OPERATION: &str = "ListRoots";
        let mut next_token = None;
        loop {
            let page = self
                .paces
                .call(&rates::LIST_ROOTS, async || {
                    self.client
                        .list_roots()
                        .set_next_token(next_token.clone())
                        .send()
                        .await
                        .map_err(|error| failed(OPERATION, &error))
                })
                .await?;
            if let Some(root) = page.roots.unwrap_or_default().into_iter().next() {
                let name = root.name.unwrap_or_default();
                return Ok(OrganizationalUnit {
                    id: OuId(root.id.unwrap_or_default()),
                    path: name.clone(),
                    name,
                });
            }
            next_token = page.next_token;
            if next_token.is_none() {
                let words = "the organization has no root";
                return Err(AwsCallError::not_found(OPERATION, words));
            }
        }
    }

    async fn children(
        &self,
        parent: &OrganizationalUnit,
    ) -> Result<Vec<OrganizationalUnit>, AwsCallError> {
        let mut units = Vec::new();
        let mut next_token = None;
        loop {
            let page = self.names_under(&parent.id, next_token).await?;
            units.extend(page.names.into_iter().map(|(id, name)| OrganizationalUnit {
                id,
                path: format!("{}/{name}", parent.path),
                name,
            }));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(units);
            }
        }
    }

    /// All tags of an account.
    ///
    /// # Errors
    /// If a call fails: never a part of the tags.
    pub async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsCallError> {
        self.tags_of(id.as_str()).await
    }

    /// All tags of the account, organizational unit or policy with this id.
    ///
    /// # Errors
    /// If a call fails: never a part of the tags.
    pub async fn tags_of(&self, id: &str) -> Result<BTreeMap<String, String>, AwsCallError> {
        let mut tags = BTreeMap::new();
        let mut next_token = None;
        loop {
            let page = self
                .paces
                .call(&rates::LIST_TAGS_FOR_RESOURCE, async || {
                    self.client
                        .list_tags_for_resource()
                        .resource_id(id)
                        .set_next_token(next_token.clone())
                        .send()
                        .await
                        .map_err(|error| failed("ListTagsForResource", &error))
                })
                .await?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .into_iter()
                    .map(|tag| (tag.key, tag.value)),
            );
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(tags);
            }
        }
    }

    /// Creates an account. AWS has no token for it: the same call again creates another one or fails.
    ///
    /// Not paced: the published rate is one call in ten seconds. A caller that is throttled has to come
    /// back later anyway, and waiting here would use up its invocation.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn create_account(
        &self,
        email: &str,
        name: &str,
        tags: &[(&str, String)],
    ) -> Result<AccountCreation, AwsCallError> {
        let answer = self
            .client
            .create_account()
            .email(email)
            .account_name(name)
            .set_tags(Some(sdk_tags(tags)))
            .send()
            .await
            .map_err(|error| {
                let reason = match error.as_service_error() {
                    Some(CreateAccountError::ConstraintViolationException(refusal)) => refusal
                        .reason()
                        .map(ConstraintViolationExceptionReason::as_str),
                    _ => None,
                };
                failed("CreateAccount", &error).because(Service::Organizations, reason)
            })?;
        Ok(creation_of(answer.create_account_status))
    }

    /// Gives an account these tags, values by keys; its other tags stay.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn tag_account(
        &self,
        account: &AccountId,
        tags: &[(&str, String)],
    ) -> Result<(), AwsCallError> {
        self.paces
            .call(&rates::TAG_RESOURCE, async || {
                self.client
                    .tag_resource()
                    .resource_id(account.as_str())
                    .set_tags(Some(sdk_tags(tags)))
                    .send()
                    .await
                    .map_err(|error| {
                        let reason = match error.as_service_error() {
                            Some(TagResourceError::ConstraintViolationException(refusal)) => {
                                refusal
                                    .reason()
                                    .map(ConstraintViolationExceptionReason::as_str)
                            }
                            _ => None,
                        };
                        failed("TagResource", &error).because(Service::Organizations, reason)
                    })
            })
            .await
            .map(drop)
    }

    /// The request of `CreateAccount` with this id.
    ///
    /// # Errors
    /// If the call fails; [`NotFound`](crate::aws_error::AwsErrorClass::NotFound) if Organizations has no
    /// such request.
    pub async fn account_creation(
        &self,
        request_id: &str,
    ) -> Result<AccountCreation, AwsCallError> {
        let answer = self
            .paces
            .call(&rates::DESCRIBE_CREATE_ACCOUNT_STATUS, async || {
                self.client
                    .describe_create_account_status()
                    .create_account_request_id(request_id)
                    .send()
                    .await
                    .map_err(|error| failed("DescribeCreateAccountStatus", &error))
            })
            .await?;
        Ok(creation_of(answer.create_account_status))
    }

    /// The id of the request of `CreateAccount` in progress for an account of this name.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn creation_in_progress(&self, name: &str) -> Result<Option<String>, AwsCallError> {
        let mut next_token = None;
        loop {
            let page = self
                .paces
                .call(&rates::LIST_CREATE_ACCOUNT_STATUS, async || {
                    self.client
                        .list_create_account_status()
                        .states(CreateAccountState::InProgress)
                        .set_next_token(next_token.clone())
                        .send()
                        .await
                        .map_err(|error| failed("ListCreateAccountStatus", &error))
                })
                .await?;
            let found = page
                .create_account_statuses
                .unwrap_or_default()
                .into_iter()
                .find(|status| status.account_name() == Some(name));
            next_token = page.next_token;
            match found {
                Some(status) => return Ok(status.id),
                None if next_token.is_none() => return Ok(None),
                None => {}
            }
        }
    }

    /// Moves an account from one parent to another.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn move_account(
        &self,
        id: &AccountId,
        from: &str,
        to: &str,
    ) -> Result<(), AwsCallError> {
        self.paces
            .call(&rates::MOVE_ACCOUNT, async || {
                self.client
                    .move_account()
                    .account_id(id.as_str())
                    .source_parent_id(from)
                    .destination_parent_id(to)
                    .send()
                    .await
                    .map(drop)
                    .map_err(|error| failed("MoveAccount", &error))
            })
            .await
    }
}

fn account_of(id: AccountId, account: SdkAccount) -> OrganizationAccount {
    // `Status` was announced to be retired; a service that does not know `State` yet still has it.
    let status = || account.status().map(|status| status.as_str().to_owned());
    let state = account.state().map(|state| state.as_str().to_owned());
    // The account in an account's own ARN is the management account.
    let management = account.arn().and_then(|arn| AccountId::from_arn(arn).ok());
    OrganizationAccount {
        state: state.or_else(status).unwrap_or_default(),
        is_management: management.as_ref() == Some(&id),
        path: account.paths().first().map(|path| units_of(path)),
        name: account.name,
        email: account.email,
        id,
    }
}

/// The root and the organizational units in a path such as `o-aa111/r-a1b2/ou-a1b2-cdefgh12/111122223333/`.
fn units_of(path: &str) -> Vec<OuId> {
    path.split('/')
        .filter(|part| part.starts_with("ou-") || part.starts_with("r-"))
        .map(|unit| OuId(unit.to_owned()))
        .collect()
}

fn sdk_tags(tags: &[(&str, String)]) -> Vec<Tag> {
    tags.iter()
        .filter_map(|(key, value)| Tag::builder().key(*key).value(value).build().ok())
        .collect()
}

fn creation_of(status: Option<CreateAccountStatus>) -> AccountCreation {
    let status = status.unwrap_or_else(|| CreateAccountStatus::builder().build());
    let account = status.account_id().and_then(|id| id.parse().ok());
    let state = match (status.state(), account) {
        (Some(CreateAccountState::Succeeded), Some(account)) => CreationState::Succeeded(account),
        (Some(CreateAccountState::Failed), _) => {
            let reason = status.failure_reason();
            CreationState::Failed(reason.map(|reason| reason.as_str().to_owned()))
        }
        _ => CreationState::InProgress,
    };
    AccountCreation {
        request_id: status.id.unwrap_or_default(),
        state,
    }
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Organizations, operation, error)
}

#[cfg(test)]
mod tests {
    use aws_sdk_organizations::types::CreateAccountFailureReason;

    use super::*;

    #[test]
    fn a_path_gives_its_units_from_the_root_down() {
        let units: Vec<_> = units_of("o-aa111/r-a1b2/ou-a1b2-one/ou-a1b2-two/111122223333/")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(units, ["r-a1b2", "ou-a1b2-one", "ou-a1b2-two"]);
    }

    #[test]
    fn a_creation_succeeds_only_with_an_account() {
        let creation = |state: Option<CreateAccountState>, account: Option<&str>| {
            let status = CreateAccountStatus::builder()
                .id("car-1")
                .set_state(state)
                .set_account_id(account.map(str::to_owned))
                .failure_reason(CreateAccountFailureReason::EmailAlreadyExists)
                .build();
            creation_of(Some(status)).state
        };
        let id = "111122223333";
        assert_eq!(
            creation(Some(CreateAccountState::Succeeded), Some(id)),
            CreationState::Succeeded(id.parse().unwrap())
        );
        assert_eq!(
            creation(Some(CreateAccountState::Succeeded), None),
            CreationState::InProgress
        );
        assert_eq!(
            creation(Some(CreateAccountState::Failed), None),
            CreationState::Failed(Some("EMAIL_ALREADY_EXISTS".to_owned()))
        );
        assert_eq!(creation(None, None), CreationState::InProgress);
        assert_eq!(creation_of(None).state, CreationState::InProgress);
    }
}
