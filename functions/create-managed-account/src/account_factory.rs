//! Accounts by Control Tower's Account Factory: a product of Service Catalog.
//!
//! Source: "Provision accounts with AWS Service Catalog Account Factory" and "Automate account
//! provisioning in AWS Control Tower by Service Catalog APIs" (Control Tower user guide).

use aws_sdk_servicecatalog::{
    Client,
    error::SdkError,
    primitives::DateTime,
    types::{
        ProductViewFilterBy, ProvisionedProductStatus, ProvisioningParameter, RecordDetail,
        RecordStatus, UpdateProvisioningParameter,
    },
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    vending::request::AccountRequest,
};

use crate::{
    execution_role::{self, ExecutionRole},
    maker::{Ordered, Progress},
    organizations::Accounts,
};

/// Who owns the product, and what it is called.
const OWNER: &str = "AWS Control Tower";
const PRODUCT: &str = "AWS Control Tower Account Factory";
/// A failed product that cannot be removed is left behind after so many turns: names never collide.
const TURNS_TO_REMOVE: u32 = 10;
/// Characters of a token that tell one attempt's product from another's.
const TOKEN_IN_NAME: usize = 8;
/// Characters of a product's name (`ProvisionProduct`).
const PRODUCT_NAME: usize = 128;

/// The product as it is now: its artifact changes whenever the landing zone is updated.
struct Product {
    id: String,
    artifact: String,
}

/// Account Factory.
#[derive(Debug)]
pub struct AccountFactory {
    client: Client,
    role: ExecutionRole,
    accounts: Accounts,
}

impl AccountFactory {
    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client, role: ExecutionRole, accounts: Accounts) -> Self {
        Self {
            client,
            role,
            accounts,
        }
    }

    /// Orders the account of a request: a new product, or what is left of an earlier attempt's.
    /// Service Catalog knows the token of an order that is given `again`.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
    ) -> Result<Ordered, AwsCallError> {
        if request.enrol
            && let Some(account) = &request.account_id
            && !self.role.is_in(account).await?
        {
            return Ok(Ordered::Refused(format!(
                "account {account} has no role {} that trusts the management account: create it \
                 (its permissions: AdministratorAccess), then send the row again",
                execution_role::ROLE
            )));
        }
        match self.left_over(request).await? {
            LeftOver::Nothing => self.provision(request).await,
            // What changes it can be the order whose answer was lost.
            LeftOver::Changing if again => Ok(Ordered::Unknown),
            LeftOver::Changing => Ok(Ordered::Busy),
            LeftOver::Stands(account) => Ok(Ordered::Stands(account)),
            LeftOver::Unfinished(product) => self.update(request, &product).await,
            LeftOver::Failed(product) => {
                match self.terminate(request, &product).await {
                    Err(error) if error.retryable() => return Err(error),
                    // After some turns it is left where it is.
                    Err(error) => tracing::warn!(%error, "a failed product cannot be removed"),
                    Ok(()) => {}
                }
                Ok(Ordered::Busy)
            }
        }
    }

    /// How far a record is.
    ///
    /// # Errors
    /// If the call fails; `NotFound` if Service Catalog does not know it.
    pub async fn progress(&self, record: &str) -> Result<Progress, AwsCallError> {
        let answer = self
            .client
            .describe_record()
            .id(record)
            .send()
            .await
            .map_err(|error| failed("DescribeRecord", &error))?;
        let account = answer
            .record_outputs()
            .iter()
            .find(|output| output.output_key() == Some("AccountId"))
            .and_then(|output| output.output_value()?.parse().ok());
        let detail = answer
            .record_detail
            .unwrap_or_else(|| RecordDetail::builder().build());
        Ok(match (detail.status(), account) {
            (Some(RecordStatus::Succeeded), Some(account)) => Progress::Succeeded(account),
            (Some(RecordStatus::Failed), _) => Progress::Failed(reasons(&detail)),
            // The outputs follow the status.
            _ => Progress::UnderWay,
        })
    }

    async fn left_over(&self, request: &AccountRequest) -> Result<LeftOver, AwsCallError> {
        let Some(product) = request.provisioned_product_id.as_deref() else {
            return Ok(LeftOver::Nothing);
        };
        let described = self
            .client
            .describe_provisioned_product()
            .id(product)
            .send()
            .await
            .map_err(|error| failed("DescribeProvisionedProduct", &error));
        let status = match described {
            Ok(answer) => answer
                .provisioned_product_detail
                .and_then(|detail| detail.status),
            Err(error) if error.class() == AwsErrorClass::NotFound => None,
            Err(error) => return Err(error),
        };
        let product = product.to_owned();
        Ok(match status {
            Some(ProvisionedProductStatus::Available) => match &request.account_id {
                Some(account) if self.accounts.is_in(account, &request.unit.id).await? => {
                    LeftOver::Stands(account.clone())
                }
                _ => LeftOver::Unfinished(product),
            },
            Some(ProvisionedProductStatus::Tainted) => LeftOver::Unfinished(product),
            Some(ProvisionedProductStatus::Error) if request.put_back < TURNS_TO_REMOVE => {
                LeftOver::Failed(product)
            }
            None | Some(ProvisionedProductStatus::Error) => LeftOver::Nothing,
            Some(_) => LeftOver::Changing,
        })
    }

    async fn provision(&self, request: &AccountRequest) -> Result<Ordered, AwsCallError> {
        let product = self.product().await?;
        let parameters = parameters(request)
            .into_iter()
            .map(|(key, value)| {
                ProvisioningParameter::builder()
                    .key(key)
                    .value(value)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .provision_product()
            .product_id(product.id)
            .provisioning_artifact_id(product.artifact)
            .provisioned_product_name(product_name(request))
            .provision_token(request.token())
            .set_provisioning_parameters(Some(parameters))
            .send()
            .await
            .map_err(|error| failed("ProvisionProduct", &error))?;
        Ok(ordered(answer.record_detail))
    }

    async fn update(
        &self,
        request: &AccountRequest,
        provisioned: &str,
    ) -> Result<Ordered, AwsCallError> {
        let product = self.product().await?;
        let parameters = parameters(request)
            .into_iter()
            .map(|(key, value)| {
                UpdateProvisioningParameter::builder()
                    .key(key)
                    .value(value)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .update_provisioned_product()
            .provisioned_product_id(provisioned)
            .product_id(product.id)
            .provisioning_artifact_id(product.artifact)
            .update_token(request.token())
            .set_provisioning_parameters(Some(parameters))
            .send()
            .await
            .map_err(|error| failed("UpdateProvisionedProduct", &error))?;
        Ok(ordered(answer.record_detail))
    }

    /// Removes what a failed attempt has left; it is gone some time later.
    async fn terminate(
        &self,
        request: &AccountRequest,
        provisioned: &str,
    ) -> Result<(), AwsCallError> {
        self.client
            .terminate_provisioned_product()
            .provisioned_product_id(provisioned)
            // Each turn is another try.
            .terminate_token(format!("{}-{}", request.token(), request.put_back))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("TerminateProvisionedProduct", &error))
    }

    async fn product(&self) -> Result<Product, AwsCallError> {
        let mut page = None;
        let id = loop {
            let answer = self
                .client
                .search_products_as_admin()
                .filters(ProductViewFilterBy::Owner, vec![OWNER.to_owned()])
                .set_page_token(page)
                .send()
                .await
                .map_err(|error| failed("SearchProductsAsAdmin", &error))?;
            page = answer.next_page_token.filter(|token| !token.is_empty());
            let found = answer
                .product_view_details
                .unwrap_or_default()
                .into_iter()
                .filter_map(|detail| detail.product_view_summary)
                .find(|summary| summary.name() == Some(PRODUCT) && summary.owner() == Some(OWNER))
                .and_then(|summary| summary.product_id);
            match (found, &page) {
                (Some(id), _) => break id,
                (None, Some(_)) => {}
                (None, None) => {
                    return Err(AwsCallError::not_found(
                        "SearchProductsAsAdmin",
                        "there is no product AWS Control Tower Account Factory: is Control Tower set \
                         up, and is this its home Region?",
                    ));
                }
            }
        };
        let answer = self
            .client
            .list_provisioning_artifacts()
            .product_id(&id)
            .send()
            .await
            .map_err(|error| failed("ListProvisioningArtifacts", &error))?;
        let artifact = answer
            .provisioning_artifact_details
            .unwrap_or_default()
            .into_iter()
            .filter(|artifact| artifact.active() == Some(true))
            .max_by_key(|artifact| artifact.created_time().map(DateTime::secs))
            .and_then(|artifact| artifact.id);
        match artifact {
            Some(artifact) => Ok(Product { id, artifact }),
            None => Err(AwsCallError::not_found(
                "ListProvisioningArtifacts",
                "Account Factory has no active version: repair or update the landing zone",
            )),
        }
    }
}

/// What an earlier attempt has left.
enum LeftOver {
    Nothing,
    /// The account stands where it should.
    Stands(AccountId),
    /// The account stands, but not as it should.
    Unfinished(String),
    /// A product without an account.
    Failed(String),
    /// Not to be touched now.
    Changing,
}

fn ordered(record: Option<RecordDetail>) -> Ordered {
    let record = record.unwrap_or_else(|| RecordDetail::builder().build());
    Ordered::UnderWay {
        operation_id: record.record_id.unwrap_or_default(),
        provisioned_product_id: record.provisioned_product_id,
    }
}

/// Account Factory's parameters; the names are its own.
fn parameters(request: &AccountRequest) -> [(&'static str, String); 6] {
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

fn reasons(record: &RecordDetail) -> String {
    let reasons: Vec<&str> = record
        .record_errors()
        .iter()
        .filter_map(|error| error.description())
        .collect();
    if reasons.is_empty() {
        "Account Factory gave no reason".to_owned()
    } else {
        reasons.join("; ")
    }
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: aws_sdk_servicecatalog::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::ServiceCatalog, operation, error)
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
            enrol: false,
            attempt: 1,
            queued_at: 0,
            put_back: 0,
            started_at: None,
            operation_id: None,
            provisioned_product_id: None,
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

    #[test]
    fn all_reasons_of_a_record_are_told() {
        use aws_sdk_servicecatalog::types::RecordError;
        let error = |text: &str| RecordError::builder().code("x").description(text).build();
        let silent = RecordError::builder().code("x").build();
        let record = |errors| {
            RecordDetail::builder()
                .set_record_errors(Some(errors))
                .build()
        };
        assert_eq!(
            reasons(&record(vec![error("one"), error("two")])),
            "one; two"
        );
        let none = "Account Factory gave no reason";
        assert_eq!(reasons(&record(vec![silent])), none);
        assert_eq!(reasons(&record(Vec::new())), none);
    }
}
