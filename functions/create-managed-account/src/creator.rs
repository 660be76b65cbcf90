//! How an account is created: the same calls for Account Factory and for Organizations alone.

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    vending::request::AccountRequest,
};

use crate::{
    account_factory::{self, AccountFactory},
    create_account::{self, CreateAccount},
    operation::{OperationProgress, OrderOutcome},
};

/// What creates accounts.
#[derive(Debug)]
pub enum AccountCreator {
    /// Control Tower's Account Factory.
    AccountFactory(AccountFactory),
    /// Organizations alone.
    Organizations(CreateAccount),
}

impl AccountCreator {
    /// Orders the account of a request. Idempotent. `again`: it may have been ordered before, but the answer
    /// was lost.
    ///
    /// # Errors
    /// If nobody knows whether it was ordered.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<OrderOutcome, AwsCallError> {
        let ordered = match self {
            Self::AccountFactory(factory) => factory.order(request, again).await,
            Self::Organizations(create) => create.order(request, again).await,
        };
        ordered.or_else(|error| unless_unknown(error, again))
    }

    /// How far the operation of a request is.
    ///
    /// # Errors
    /// If AWS cannot be asked.
    pub async fn progress(
        &self,
        request: &AccountRequest,
        operation_id: &str,
    ) -> Result<OperationProgress, AwsCallError> {
        match self {
            Self::AccountFactory(factory) => factory.progress(operation_id).await,
            Self::Organizations(create) => create.progress(request, operation_id).await,
        }
        .or_else(|error| match error.class() {
            AwsErrorClass::NotFound if request.operation_id.is_some() => {
                Ok(OperationProgress::Failed(
                    "AWS no longer knows the operation: look for the account, then upload the file again"
                        .to_owned(),
                ))
            }
            _ => Err(error),
        })
    }

    /// What an operation of this kind that failed for this reason comes to.
    #[must_use]
    pub fn failed(&self, reason: &str) -> OperationProgress {
        match self {
            Self::AccountFactory(_) => account_factory::failed(reason),
            Self::Organizations(_) => create_account::failure(reason),
        }
    }

    /// What is left to do once the account exists. `false` if it is not the request's account.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish(
        &self,
        request: &AccountRequest,
        account: &AccountId,
    ) -> Result<bool, AwsCallError> {
        match self {
            // Account Factory has put it into its organizational unit.
            Self::AccountFactory(_) => Ok(true),
            Self::Organizations(create) => create.finish(request, account).await,
        }
    }
}

/// An order that AWS answered with an error: not now, not with this set-up, or never; or, without an answer, unknown.
fn unless_unknown(error: AwsCallError, again: bool) -> Result<OrderOutcome, AwsCallError> {
    match error.class() {
        // Releasing the slot of an account that may be in progress would start one operation too many.
        AwsErrorClass::Throttled
        | AwsErrorClass::Conflict
        | AwsErrorClass::SetUp
        | AwsErrorClass::Denied
        | AwsErrorClass::NotFound
            if again =>
        {
            Ok(OrderOutcome::Unknown)
        }
        AwsErrorClass::Throttled | AwsErrorClass::Conflict => Ok(OrderOutcome::RetryLater),
        AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault => {
            Err(error)
        }
        AwsErrorClass::SetUp | AwsErrorClass::Denied | AwsErrorClass::NotFound => {
            Ok(OrderOutcome::SetUp(error.in_words().to_owned()))
        }
        AwsErrorClass::ConditionFailed | AwsErrorClass::Refused => {
            Ok(OrderOutcome::Refused(error.in_words().to_owned()))
        }
    }
}
