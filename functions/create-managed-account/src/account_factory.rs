//! Accounts created by Control Tower's Account Factory: a product of Service Catalog.

use std::sync::Arc;

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    gateway::organizations::Organizations,
    ids::AccountId,
    vending::request::{AccountRequest, ExistingAccount},
};

use crate::{
    gateway::service_catalog::{
        AcceptedOperation, Parameter, ProductState, Record, ServiceCatalog,
    },
    operation::{OperationProgress, OrderOutcome},
};

/// A failed product that cannot be terminated is left where it is after so many tries: names never collide.
const TRIES_TO_TERMINATE: u32 = 10;
/// Characters of a token that tell one attempt's product from another's.
const TOKEN_IN_NAME: usize = 8;
/// Characters of a product's name (`ProvisionProduct`).
const PRODUCT_NAME: usize = 128;

/// The role that Control Tower works through in an account; an account that is enrolled needs it before ("Prerequisites
/// for enrollment", Control Tower user guide). Whether it is there is not asked: that would take the permission to assume
/// it, which is an administrator of every account.
const EXECUTION_ROLE: &str = "AWSControlTowerExecution";

/// Account Factory.
#[derive(Debug)]
pub struct AccountFactory {
    service_catalog: ServiceCatalog,
    organizations: Arc<Organizations>,
}

impl AccountFactory {
    /// Creates accounts through these gateways.
    #[must_use]
    pub fn new(service_catalog: ServiceCatalog, organizations: Arc<Organizations>) -> Self {
        Self {
            service_catalog,
            organizations,
        }
    }

    /// Orders the account of a request: by a new product, or by the one of an earlier attempt. Idempotent:
    /// Service Catalog knows the token of an order that is repeated (`again`).
    ///
    /// # Errors
    /// If a call fails.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<OrderOutcome, AwsCallError> {
        match self.leftover(request).await? {
            Leftover::Nothing => self.provision(request).await,
            // What changes it can be the order whose answer was lost.
            Leftover::Changing if again => Ok(OrderOutcome::Unknown),
            Leftover::Changing => Ok(OrderOutcome::RetryLater),
            Leftover::Account(account) => Ok(OrderOutcome::AccountExists(account)),
            Leftover::Unmanaged(account) => Ok(OrderOutcome::Refused(format!(
                "account {account} is no provisioned product of Account Factory: change its organizational unit or \
                 its owner in Control Tower"
            ))),
            Leftover::Unfinished(product) => self.update(request, &product).await,
            Leftover::Failed(product) => {
                // Each try needs a token of its own.
                let token = format!("{}-{}", request.token(), request.put_back);
                match self.service_catalog.terminate(&product, token).await {
                    Err(error)
                        if error.retryable()
                            || matches!(
                                error.class(),
                                AwsErrorClass::SetUp | AwsErrorClass::Denied
                            ) =>
                    {
                        return Err(error);
                    }
                    Err(error) => tracing::warn!(%error, "a failed product cannot be terminated"),
                    Ok(()) => {}
                }
                Ok(OrderOutcome::RetryLater)
            }
        }
    }

    /// How far the operation with this record is.
    ///
    /// # Errors
    /// If the call fails; `NotFound` if Service Catalog does not know the record.
    pub async fn progress(&self, record_id: &str) -> Result<OperationProgress, AwsCallError> {
        let record = self.service_catalog.record(record_id).await?;
        Ok(match record {
            Record::InProgress => OperationProgress::InProgress,
            Record::Succeeded(account) => OperationProgress::Succeeded(account),
            Record::Failed(reasons) if reasons.is_empty() => {
                OperationProgress::Failed("Account Factory gave no reason".to_owned())
            }
            Record::Failed(reasons) => failed(&reasons.join("; ")),
        })
    }

    async fn leftover(&self, request: &AccountRequest) -> Result<Leftover, AwsCallError> {
        let changes = request.existing == Some(ExistingAccount::Change);
        let product = match (&request.provisioned_product_id, &request.account_id) {
            (Some(product), _) => product.clone(),
            (None, Some(account)) if changes => {
                match self.service_catalog.product_of(account).await? {
                    Some(product) => product,
                    None => return Ok(Leftover::Unmanaged(account.clone())),
                }
            }
            (None, _) => return Ok(Leftover::Nothing),
        };
        let state = self.service_catalog.product_state(&product).await?;
        Ok(match state {
            Some(ProductState::Available) if changes => Leftover::Unfinished(product),
            Some(ProductState::Available) => match &request.account_id {
                Some(account) if self.organizations.parent(account).await? == request.unit.id => {
                    Leftover::Account(account.clone())
                }
                _ => Leftover::Unfinished(product),
            },
            Some(ProductState::Tainted) => Leftover::Unfinished(product),
            Some(ProductState::Error) if request.put_back < TRIES_TO_TERMINATE => {
                Leftover::Failed(product)
            }
            None | Some(ProductState::Error) => Leftover::Nothing,
            Some(ProductState::Changing) => Leftover::Changing,
        })
    }

    async fn provision(&self, request: &AccountRequest) -> Result<OrderOutcome, AwsCallError> {
        let product = self.service_catalog.account_factory().await?;
        let (name, token) = (product_name(request), request.token());
        let accepted = self
            .service_catalog
            .provision(&product, &name, &token, &parameters(request))
            .await?;
        Ok(in_progress(accepted))
    }

    async fn update(
        &self,
        request: &AccountRequest,
        provisioned_product_id: &str,
    ) -> Result<OrderOutcome, AwsCallError> {
        let product = self.service_catalog.account_factory().await?;
        let (token, parameters) = (request.token(), parameters(request));
        let accepted = self
            .service_catalog
            .update(&product, provisioned_product_id, token, &parameters)
            .await?;
        Ok(in_progress(accepted))
    }
}

/// The end of an operation that failed, in AWS's words.
#[must_use]
pub fn failed(words: &str) -> OperationProgress {
    // The account's own fault, whatever else AWS says: the other rows go on.
    if words.contains(EXECUTION_ROLE) {
        return OperationProgress::Failed(format!(
            "{}; create the role {EXECUTION_ROLE} in the account, which trusts the management account (its permissions: \
             AdministratorAccess), then upload the file again",
            words.trim_end_matches('.')
        ));
    }
    OperationProgress::failed(Service::ServiceCatalog, words, words.to_owned())
}

/// What an earlier attempt has left.
enum Leftover {
    Nothing,
    /// The account, where it should be.
    Account(AccountId),
    /// A product whose account is not as it should be.
    Unfinished(String),
    /// A product without an account.
    Failed(String),
    /// A product that an operation is changing.
    Changing,
    /// An account that has to be changed, but is no product.
    Unmanaged(AccountId),
}

fn in_progress(accepted: AcceptedOperation) -> OrderOutcome {
    OrderOutcome::InProgress {
        operation_id: accepted.record_id,
        provisioned_product_id: accepted.provisioned_product_id,
    }
}

/// Account Factory's parameters; the names are its own.
fn parameters(request: &AccountRequest) -> [Parameter; 6] {
    [
        ("AccountEmail", request.account_email.clone()),
        ("AccountName", request.account_name.clone()),
        ("ManagedOrganizationalUnit", request.unit.as_managed()),
        ("SSOUserEmail", request.sso_user_email.clone()),
        ("SSOUserFirstName", request.sso_user_first_name.clone()),
        ("SSOUserLastName", request.sso_user_last_name.clone()),
    ]
}

/// A name that no other attempt has: `[a-zA-Z0-9][a-zA-Z0-9._-]*`, [`PRODUCT_NAME`] at most.
fn product_name(request: &AccountRequest) -> String {
    let name: String = request
        .account_name
        .chars()
        .take(PRODUCT_NAME - TOKEN_IN_NAME - 1)
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
            _ => '-',
        })
        .collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let first = if name.is_empty() { "account" } else { name };
    format!("{first}-{}", &request.token()[..TOKEN_IN_NAME])
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::vending::request::{Status, Unit};

    use super::*;

    fn named(name: &str) -> AccountRequest {
        AccountRequest {
            account_email: "aws+x@example.com".to_owned(),
            account_name: name.to_owned(),
            sso_user_email: "ana@example.com".to_owned(),
            sso_user_first_name: "Ana".to_owned(),
            sso_user_last_name: "Silva".to_owned(),
            org_unit: "Prod".to_owned(),
            status: Status::Valid,
            account_id: None,
            error_msg: None,
            unit: Unit {
                id: "ou-a1b2-cdefgh34".to_owned(),
                name: "Prod".to_owned(),
                path: "Root/Prod".to_owned(),
            },
            access: Vec::new(),
            tags: std::collections::BTreeMap::new(),
            contacts: std::collections::BTreeMap::new(),
            enrol: false,
            attempt: 1,
            queued_at: 0,
            put_back: 0,
            started_at: None,
            operation_id: None,
            provisioned_product_id: None,
            requested_at: 1_000,
            assigning_at: None,
            assign_sent_at: None,
            assign_chain: 0,
            existing: None,
            withdrawn: false,
            waits_for: None,
            files: std::collections::BTreeSet::new(),
        }
    }

    #[test]
    fn a_product_is_named_as_service_catalog_takes_it() {
        let long = "y".repeat(200);
        for (name, begins) in [
            ("payments-dev", "payments-dev-"),
            ("_x", "x-"),
            ("-", "account-"),
            ("__--..", "account-"),
            ("", "account-"),
            ("My Account (1)", "My-Account--1--"),
            ("Müllers Konto", "M-llers-Konto-"),
            ("ü", "account-"),
            ("支付", "account-"),
            (&long[..50], &format!("{}-", &long[..50])),
            (&long, &format!("{}-", &long[..119])),
            ("a\r\nb", "a--b-"),
        ] {
            let product = product_name(&named(name));
            assert!(product.starts_with(begins), "{name:?}: {product}");
            assert_eq!(product.len(), begins.len() + TOKEN_IN_NAME, "{product}");
            assert!(product.len() <= PRODUCT_NAME, "{product}");
            let mut characters = product.chars();
            assert!(characters.next().unwrap().is_ascii_alphanumeric());
            assert!(characters.all(|it| it.is_ascii_alphanumeric() || "._-".contains(it)));
        }
    }

    #[test]
    fn no_two_attempts_share_a_product() {
        let first = named("payments");
        let second = AccountRequest {
            attempt: 2,
            ..first.clone()
        };
        let other = AccountRequest {
            account_email: "aws+y@example.com".to_owned(),
            ..first.clone()
        };
        let [first, second, other] = [first, second, other].map(|it| product_name(&it));
        assert_ne!(first, second);
        assert_ne!(first, other);
    }

    #[test]
    fn account_factory_gets_the_name_that_was_asked_for() {
        let parameters = parameters(&named("_Müllers Konto"));
        assert_eq!(parameters[1], ("AccountName", "_Müllers Konto".to_owned()));
        let unit = ("ManagedOrganizationalUnit", "Prod (ou-a1b2-cdefgh34)");
        assert_eq!(parameters[2], (unit.0, unit.1.to_owned()));
    }
}
