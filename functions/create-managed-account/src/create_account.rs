//! Accounts created by Organizations alone, without Control Tower.

use std::sync::Arc;

use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    gateway::organizations::{AccountCreation, CreationState, Organizations},
    ids::AccountId,
    vending::request::{AccountRequest, ExistingAccount},
};

use crate::operation::{OperationProgress, OrderOutcome};

/// The failure of an account that was ordered before: it has the e-mail address already.
const EMAIL_EXISTS: &str = "EMAIL_ALREADY_EXISTS";
/// What the reasons of failures mean, and what to do (`CreateAccountStatus` in the Organizations API reference).
const FAILURES: &[(&str, &str)] = &[
    (
        "ACCOUNT_LIMIT_EXCEEDED",
        "the organization has reached its number of accounts",
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

/// Creates accounts by `CreateAccount`.
#[derive(Debug)]
pub struct CreateAccount {
    organizations: Arc<Organizations>,
}

impl CreateAccount {
    /// Creates accounts through this gateway.
    #[must_use]
    pub fn new(organizations: Arc<Organizations>) -> Self {
        Self { organizations }
    }

    /// Orders the account of a request. `CreateAccount` has no token: ordered `again`, the result of the
    /// first order is looked for first.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<OrderOutcome, AwsCallError> {
        if let Some(account) = &request.account_id {
            return Ok(OrderOutcome::AccountExists(account.clone()));
        }
        if again {
            // In this order: what ends between the two calls is seen by the second.
            if let Some(operation_id) = self.in_progress(request).await? {
                return Ok(in_progress(operation_id));
            }
            if let Some(account) = self.account_of(request).await? {
                return Ok(OrderOutcome::AccountExists(account));
            }
        }
        let creation = self
            .organizations
            .create_account(
                &request.account_email,
                &request.account_name,
                &tags(request),
            )
            .await?;
        Ok(match self.progress_of(request, &creation).await? {
            OperationProgress::InProgress => in_progress(creation.request_id),
            OperationProgress::Succeeded(account) => OrderOutcome::AccountExists(account),
            OperationProgress::Failed(reason) => OrderOutcome::Refused(reason),
            OperationProgress::SetUp(words) => OrderOutcome::SetUp(words),
            OperationProgress::RetryLater | OperationProgress::FailedInside(_) => {
                OrderOutcome::RetryLater
            }
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
    ) -> Result<OperationProgress, AwsCallError> {
        let creation = self.organizations.account_creation(operation_id).await?;
        self.progress_of(request, &creation).await
    }

    async fn progress_of(
        &self,
        request: &AccountRequest,
        creation: &AccountCreation,
    ) -> Result<OperationProgress, AwsCallError> {
        Ok(match &creation.state {
            CreationState::InProgress => OperationProgress::InProgress,
            CreationState::Succeeded(account) => OperationProgress::Succeeded(account.clone()),
            CreationState::Failed(reason) => {
                let reason = reason.as_deref().unwrap_or("no reason was given");
                // A second order of the same account fails: the result of the first counts.
                if reason == EMAIL_EXISTS {
                    if self.in_progress(request).await?.is_some() {
                        return Ok(OperationProgress::InProgress);
                    }
                    if let Some(account) = self.account_of(request).await? {
                        return Ok(OperationProgress::Succeeded(account));
                    }
                }
                failure(reason)
            }
        })
    }

    /// Moves the account of a request into its organizational unit, wherever it is. `false` if it is another
    /// request's: an order whose answer was lost is found by its name, which proves nothing.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish(
        &self,
        request: &AccountRequest,
        account: &AccountId,
    ) -> Result<bool, AwsCallError> {
        let email = self.organizations.account(account).await?.email;
        if email.is_none_or(|email| email.to_lowercase() != request.account_email) {
            return Ok(false);
        }
        if request.existing == Some(ExistingAccount::Change) {
            self.organizations
                .tag_account(account, &tags(request))
                .await?;
        }
        let unit = &request.unit.id;
        let parent = self.organizations.parent(account).await?;
        if parent == *unit {
            return Ok(true);
        }
        match self
            .organizations
            .move_account(account, &parent, unit)
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if error.retryable() => Err(error),
            // A duplicate event: another invocation has moved it.
            Err(error) => match self.organizations.parent(account).await {
                Ok(parent) if parent == *unit => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// The account that has the request's e-mail address and name, if the organization has it.
    async fn account_of(
        &self,
        request: &AccountRequest,
    ) -> Result<Option<AccountId>, AwsCallError> {
        let found = self
            .organizations
            .find_account(|account| {
                let email = account.email.as_deref().unwrap_or_default();
                email.eq_ignore_ascii_case(&request.account_email)
                    && account.name.as_ref() == Some(&request.account_name)
            })
            .await?;
        Ok(found.map(|account| account.id))
    }

    /// The id of the request of `CreateAccount` in progress for an account of that name.
    async fn in_progress(&self, request: &AccountRequest) -> Result<Option<String>, AwsCallError> {
        self.organizations
            .creation_in_progress(&request.account_name)
            .await
    }
}

/// What a failure comes to, in words.
pub(crate) fn failure(reason: &str) -> OperationProgress {
    let words = FAILURES.iter().find(|(code, _)| *code == reason).map_or(
        "AWS Organizations could not create the account",
        |(_, words)| words,
    );
    OperationProgress::failed(
        Service::Organizations,
        reason,
        format!("{words} ({reason})"),
    )
}

fn in_progress(operation_id: String) -> OrderOutcome {
    OrderOutcome::InProgress {
        operation_id,
        provisioned_product_id: None,
    }
}

/// Without Control Tower the owner gets no user: the tags keep who it is.
fn tags(request: &AccountRequest) -> [(&'static str, String); 3] {
    let name = format!(
        "{} {}",
        request.sso_user_first_name, request.sso_user_last_name
    );
    [
        ("ManagedBy", "orgkeeper".to_owned()),
        ("Owner", request.sso_user_email.clone()),
        ("OwnerName", tag_value(&name)),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        for passing in [
            "CONCURRENT_ACCOUNT_MODIFICATION",
            "PENDING_BUSINESS_VALIDATION",
        ] {
            assert_eq!(failure(passing), OperationProgress::RetryLater);
        }
        assert!(matches!(
            failure("INTERNAL_FAILURE"),
            OperationProgress::FailedInside(_)
        ));
        for of_the_set_up in ["ACCOUNT_LIMIT_EXCEEDED", "INVALID_ADDRESS"] {
            assert!(matches!(
                failure(of_the_set_up),
                OperationProgress::SetUp(_)
            ));
        }
        let OperationProgress::Failed(words) = failure("EMAIL_ALREADY_EXISTS") else {
            panic!("it is final");
        };
        assert!(words.contains("choose another one"), "{words}");
        assert!(
            matches!(failure("BRAND_NEW"), OperationProgress::Failed(words) if words.contains("BRAND_NEW"))
        );
    }

    #[test]
    fn a_tag_keeps_letters_of_every_language() {
        assert_eq!(tag_value("Zoë O'Hara <z>"), "Zoë O_Hara _z_");
    }
}
