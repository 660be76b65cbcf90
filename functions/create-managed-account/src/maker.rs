//! How an account is made: the one question and the one order, whoever makes it.

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    vending::request::AccountRequest,
};

use crate::{account_factory::AccountFactory, organizations::NewAccounts};

/// What came of ordering an account.
#[derive(Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It is being made.
    UnderWay {
        /// What AWS calls the operation.
        operation_id: String,
        /// The provisioned product, if there is one.
        provisioned_product_id: Option<String>,
    },
    /// It stands.
    Stands(AccountId),
    /// Not now: the request has to wait for another turn.
    Busy,
    /// Never, for this reason.
    Refused(String),
    /// It may have been ordered before, and AWS does not say now: it keeps its turn.
    Unknown,
}

/// How far an operation is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has not ended.
    UnderWay,
    /// The account stands.
    Succeeded(AccountId),
    /// It failed for this reason.
    Failed(String),
    /// It failed, and can succeed when it is ordered again.
    Busy,
}

/// Who makes accounts.
#[derive(Debug)]
pub enum Maker {
    /// Control Tower's Account Factory.
    AccountFactory(AccountFactory),
    /// Organizations alone.
    Organizations(NewAccounts),
}

impl Maker {
    /// Orders the account of a request. The same order again does it once. `again`: it may have been
    /// ordered before, but the answer was lost.
    ///
    /// # Errors
    /// If nobody knows whether it was ordered.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<Ordered, AwsCallError> {
        let ordered = match self {
            Self::AccountFactory(factory) => factory.order(request, again).await,
            Self::Organizations(accounts) => accounts.order(request, again).await,
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
    ) -> Result<Progress, AwsCallError> {
        match self {
            Self::AccountFactory(factory) => factory.progress(operation_id).await,
            Self::Organizations(accounts) => accounts.progress(request, operation_id).await,
        }
        .or_else(|error| match error.class() {
            AwsErrorClass::NotFound if request.operation_id.is_some() => Ok(Progress::Failed(
                "AWS no longer knows the operation: look for the account, then send the row again"
                    .to_owned(),
            )),
            _ => Err(error),
        })
    }

    /// What is left to do once an account stands. `false` if it is not the request's account.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish(
        &self,
        request: &AccountRequest,
        account: &AccountId,
    ) -> Result<bool, AwsCallError> {
        match self {
            // It has put the account into its organizational unit.
            Self::AccountFactory(_) => Ok(true),
            Self::Organizations(accounts) => accounts.finish(request, account).await,
        }
    }
}

/// An order that AWS answered with an error: not now, or never; or, without an answer, unknown.
fn unless_unknown(error: AwsCallError, again: bool) -> Result<Ordered, AwsCallError> {
    match error.class() {
        // Giving up the turn of an account that may be on its way would start one too many.
        AwsErrorClass::Throttled | AwsErrorClass::Conflict if again => Ok(Ordered::Unknown),
        AwsErrorClass::Throttled | AwsErrorClass::Conflict => Ok(Ordered::Busy),
        AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault => {
            Err(error)
        }
        AwsErrorClass::ConditionFailed
        | AwsErrorClass::NotFound
        | AwsErrorClass::Denied
        | AwsErrorClass::Refused => Ok(Ordered::Refused(error.in_words().to_owned())),
    }
}
