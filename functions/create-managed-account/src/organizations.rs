//! Accounts of the organization: whose e-mail address, in which unit; and accounts made without Control Tower.

use aws_sdk_organizations::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{CreateAccountState, CreateAccountStatus, Tag},
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    vending::request::AccountRequest,
};

use crate::maker::{Ordered, Progress};

/// Failures of `CreateAccount` that pass (`CreateAccountStatus` in the Organizations API reference).
const PASSING: &[&str] = &["CONCURRENT_ACCOUNT_MODIFICATION"];
/// The failure of an order that was given before: its account has the e-mail address already.
const EMAIL_EXISTS: &str = "EMAIL_ALREADY_EXISTS";
/// What the others mean, and what to do.
const FAILURES: &[(&str, &str)] = &[
    (
        "ACCOUNT_LIMIT_EXCEEDED",
        "the organization has as many accounts as it may have: ask AWS for a higher quota, then send the row again",
    ),
    (
        EMAIL_EXISTS,
        "another AWS account has this e-mail address already: choose another one",
    ),
    (
        "INVALID_EMAIL",
        "AWS does not take this e-mail address: choose another one",
    ),
    (
        "INVALID_ADDRESS",
        "AWS does not take the postal address of the management account: correct it there",
    ),
    (
        "MISSING_PAYMENT_INSTRUMENT",
        "the management account has no payment method: add one",
    ),
    (
        "INVALID_PAYMENT_INSTRUMENT",
        "the payment method of the management account is not valid: correct it",
    ),
];

/// AWS Organizations, looking at single accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    client: Client,
}

impl Accounts {
    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The account's e-mail address in lower case: the key of its request, if it has one.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn email(&self, account: &AccountId) -> Result<String, AwsCallError> {
        let answer = self
            .client
            .describe_account()
            .account_id(account.as_str())
            .send()
            .await
            .map_err(|error| failed("DescribeAccount", &error))?;
        Ok(answer
            .account
            .and_then(|account| account.email)
            .unwrap_or_default()
            .to_lowercase())
    }

    /// Whether the account stands directly in that organizational unit.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn is_in(&self, account: &AccountId, unit: &str) -> Result<bool, AwsCallError> {
        Ok(self.parent(account).await? == unit)
    }

    async fn parent(&self, account: &AccountId) -> Result<String, AwsCallError> {
        let answer = self
            .client
            .list_parents()
            .child_id(account.as_str())
            .send()
            .await
            .map_err(|error| failed("ListParents", &error))?;
        Ok(answer
            .parents
            .unwrap_or_default()
            .into_iter()
            .find_map(|parent| parent.id)
            .unwrap_or_default())
    }
}

/// AWS Organizations, making accounts.
#[derive(Debug)]
pub struct NewAccounts {
    client: Client,
    accounts: Accounts,
}

impl NewAccounts {
    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            accounts: Accounts::new(client.clone()),
            client,
        }
    }

    /// Orders the account of a request. `CreateAccount` knows no token: ordered `again`, what the
    /// first order has led to is looked for first.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<Ordered, AwsCallError> {
        if let Some(account) = &request.account_id {
            return Ok(Ordered::Stands(account.clone()));
        }
        if again {
            // In this order: what ends between the two questions is seen by the second.
            if let Some(operation_id) = self.under_way(request).await? {
                return Ok(under_way(operation_id));
            }
            if let Some(account) = self.account_of(request).await? {
                return Ok(Ordered::Stands(account));
            }
        }
        let answer = self
            .client
            .create_account()
            .email(&request.account_email)
            .account_name(&request.account_name)
            .set_tags(Some(tags(request)))
            .send()
            .await
            .map_err(|error| failed("CreateAccount", &error))?;
        let status = answer
            .create_account_status
            .unwrap_or_else(|| CreateAccountStatus::builder().build());
        Ok(match self.progress_of(request, &status).await? {
            Progress::UnderWay => under_way(status.id.unwrap_or_default()),
            Progress::Succeeded(account) => Ordered::Stands(account),
            Progress::Failed(reason) => Ordered::Refused(reason),
            Progress::Busy => Ordered::Busy,
        })
    }

    /// How far a request of `CreateAccount` is.
    ///
    /// # Errors
    /// If the call fails; `NotFound` if Organizations does not know it.
    pub async fn progress(
        &self,
        request: &AccountRequest,
        operation_id: &str,
    ) -> Result<Progress, AwsCallError> {
        let answer = self
            .client
            .describe_create_account_status()
            .create_account_request_id(operation_id)
            .send()
            .await
            .map_err(|error| failed("DescribeCreateAccountStatus", &error))?;
        match answer.create_account_status {
            Some(status) => self.progress_of(request, &status).await,
            None => Ok(Progress::UnderWay),
        }
    }

    async fn progress_of(
        &self,
        request: &AccountRequest,
        status: &CreateAccountStatus,
    ) -> Result<Progress, AwsCallError> {
        let account = status.account_id().and_then(|id| id.parse().ok());
        Ok(match (status.state(), account) {
            (Some(CreateAccountState::Succeeded), Some(account)) => Progress::Succeeded(account),
            (Some(CreateAccountState::Failed), _) => {
                let reason = status
                    .failure_reason()
                    .map_or("no reason was given", |reason| reason.as_str());
                // Given twice, the order fails the second time: what the first has led to counts.
                if reason == EMAIL_EXISTS {
                    if self.under_way(request).await?.is_some() {
                        return Ok(Progress::UnderWay);
                    }
                    if let Some(account) = self.account_of(request).await? {
                        return Ok(Progress::Succeeded(account));
                    }
                }
                failure(reason)
            }
            _ => Progress::UnderWay,
        })
    }

    /// Puts the account of a request into its organizational unit, wherever it is. `false` if it is
    /// another's: an order whose answer was lost is found by its name, which proves nothing.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish(
        &self,
        request: &AccountRequest,
        account: &AccountId,
    ) -> Result<bool, AwsCallError> {
        if self.accounts.email(account).await? != request.account_email {
            return Ok(false);
        }
        let unit = &request.unit.id;
        let parent = self.accounts.parent(account).await?;
        if parent == *unit {
            return Ok(true);
        }
        let moved = self
            .client
            .move_account()
            .account_id(account.as_str())
            .source_parent_id(parent)
            .destination_parent_id(unit)
            .send()
            .await
            .map_err(|error| failed("MoveAccount", &error));
        match moved {
            Ok(_) => Ok(true),
            Err(error) if error.retryable() => Err(error),
            // The same end told twice at once: the other was faster.
            Err(error) => match self.accounts.is_in(account, unit).await {
                Ok(true) => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// The account that has the request's e-mail address and name, if the organization has it.
    async fn account_of(
        &self,
        request: &AccountRequest,
    ) -> Result<Option<AccountId>, AwsCallError> {
        let mut pages = self.client.list_accounts().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListAccounts", &error))?;
            let found = page.accounts().iter().find(|account| {
                let email = account.email().unwrap_or_default();
                email.eq_ignore_ascii_case(&request.account_email)
                    && account.name() == Some(&request.account_name)
            });
            if let Some(account) = found {
                return Ok(account.id().and_then(|id| id.parse().ok()));
            }
        }
        Ok(None)
    }

    /// The request of `CreateAccount` under way for an account of that name.
    async fn under_way(&self, request: &AccountRequest) -> Result<Option<String>, AwsCallError> {
        let mut pages = self
            .client
            .list_create_account_status()
            .states(CreateAccountState::InProgress)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListCreateAccountStatus", &error))?;
            let found = page
                .create_account_statuses()
                .iter()
                .find(|status| status.account_name() == Some(&request.account_name));
            if let Some(status) = found {
                return Ok(status.id.clone());
            }
        }
        Ok(None)
    }
}

/// A failure in words.
fn failure(reason: &str) -> Progress {
    if PASSING.contains(&reason) {
        return Progress::Busy;
    }
    let words = FAILURES
        .iter()
        .find(|(code, _)| *code == reason)
        .map(|(_, words)| *words);
    Progress::Failed(match words {
        Some(words) => format!("{words} ({reason})"),
        None => format!("AWS Organizations could not make the account ({reason})"),
    })
}

fn under_way(operation_id: String) -> Ordered {
    Ordered::UnderWay {
        operation_id,
        provisioned_product_id: None,
    }
}

/// Without Control Tower nobody makes a user for the owner: the tags keep who it is.
fn tags(request: &AccountRequest) -> Vec<Tag> {
    let name = format!(
        "{} {}",
        request.sso_user_first_name, request.sso_user_last_name
    );
    [
        ("ManagedBy", "orgkeeper".to_owned()),
        ("Owner", request.sso_user_email.clone()),
        ("OwnerName", tag_value(&name)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok())
    .collect()
}

/// What a tag's value may hold: letters, digits, spaces and `_.:/=+-@`, 256 characters at most ("Tag naming
/// limits and requirements").
fn tag_value(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_alphanumeric() || " _.:/=+-@".contains(character) {
                character
            } else {
                '_'
            }
        })
        .take(256)
        .collect()
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Organizations, operation, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        assert_eq!(failure("CONCURRENT_ACCOUNT_MODIFICATION"), Progress::Busy);
        let Progress::Failed(words) = failure("EMAIL_ALREADY_EXISTS") else {
            panic!("it is final");
        };
        assert!(words.contains("choose another one"), "{words}");
        assert!(
            matches!(failure("BRAND_NEW"), Progress::Failed(words) if words.contains("BRAND_NEW"))
        );
    }

    #[test]
    fn a_tag_keeps_letters_of_every_language() {
        assert_eq!(tag_value("Zoë O'Hara <z>"), "Zoë O_Hara _z_");
    }
}
