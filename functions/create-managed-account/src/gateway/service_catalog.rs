//! AWS Service Catalog: Account Factory's product, and the provisioned products made of it.
//!
//! Source: "Provision accounts with AWS Service Catalog Account Factory" and "Automate account
//! provisioning in AWS Control Tower by Service Catalog APIs" (Control Tower user guide).

use std::sync::OnceLock;

use aws_sdk_servicecatalog::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{
        AccessLevelFilter, AccessLevelFilterKey, ProductViewFilterBy, ProvisionedProductStatus,
        ProvisionedProductViewFilterBy, ProvisioningParameter, RecordDetail, RecordStatus,
        UpdateProvisioningParameter,
    },
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    calls::{Calls, NO_RESOURCE, calls},
    ids::AccountId,
};

/// Who owns the product, and what it is called.
const OWNER: &str = "AWS Control Tower";
const PRODUCT: &str = "AWS Control Tower Account Factory";
/// The portfolio that Control Tower puts it into; a launch path is named after its portfolio.
pub(crate) const PORTFOLIO: &str = "AWS Control Tower Account Factory Portfolio";

/// The products of this account and Region.
pub(crate) const PRODUCTS: &str =
    "arn:${AWS::Partition}:catalog:${AWS::Region}:${AWS::AccountId}:product/*";

/// Account Factory as it is now: its artifact changes whenever the landing zone is updated.
#[derive(Debug)]
pub struct Product {
    id: String,
    artifact_id: String,
}

/// A parameter of a provisioned product: its name and its value.
pub type Parameter = (&'static str, String);

/// An operation on a provisioned product that AWS has accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct AcceptedOperation {
    /// The id of its record.
    pub record_id: String,
    /// The provisioned product.
    pub provisioned_product_id: Option<String>,
}

/// The record of an operation on a provisioned product.
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// The operation is in progress, or its outputs are not there yet.
    InProgress,
    /// It succeeded, and this is the account.
    Succeeded(AccountId),
    /// It failed for these reasons.
    Failed(Vec<String>),
}

/// The state of a provisioned product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductState {
    /// Its last operation succeeded.
    Available,
    /// Its last operation failed, and it is usable all the same.
    Tainted,
    /// Its last operation failed, and it is not usable.
    Error,
    /// An operation is in progress.
    Changing,
}

/// The gateway to AWS Service Catalog.
#[derive(Debug)]
pub struct ServiceCatalog {
    client: Client,
    /// The launch path that the settings name.
    set_path: Option<String>,
    /// The one that was found, where there are several and the settings name none.
    found_path: OnceLock<String>,
}

impl ServiceCatalog {
    /// What it calls with the product.
    pub const PROVISION: Calls = calls(
        &[
            "servicecatalog:ListLaunchPaths",
            "servicecatalog:ListProvisioningArtifacts",
            "servicecatalog:ProvisionProduct",
        ],
        &[PRODUCTS],
    );
    /// What it calls with provisioned products, which have no resource type.
    pub const CHANGE: Calls = calls(
        &[
            "servicecatalog:DescribeProvisionedProduct",
            "servicecatalog:DescribeRecord",
            "servicecatalog:SearchProvisionedProducts",
            "servicecatalog:TerminateProvisionedProduct",
            "servicecatalog:UpdateProvisionedProduct",
        ],
        NO_RESOURCE,
    );
    /// What finding the product calls.
    pub const FIND: Calls = calls(&["servicecatalog:SearchProductsAsAdmin"], NO_RESOURCE);

    /// A gateway over `client` that provisions by this launch path, if it is named.
    #[must_use]
    pub fn new(client: Client, launch_path: Option<String>) -> Self {
        Self {
            client,
            set_path: launch_path,
            found_path: OnceLock::new(),
        }
    }

    /// Account Factory, with its active artifact.
    ///
    /// # Errors
    /// If a call fails, or there is none.
    pub async fn account_factory(&self) -> Result<Product, AwsCallError> {
        let id = self.product_id().await?;
        let answer = self
            .client
            .list_provisioning_artifacts()
            .product_id(&id)
            .send()
            .await
            .map_err(|error| failed("ListProvisioningArtifacts", &error))?;
        let artifact_id = answer
            .provisioning_artifact_details
            .unwrap_or_default()
            .into_iter()
            .filter(|artifact| artifact.active() == Some(true))
            .max_by_key(|artifact| artifact.created_time().map(DateTime::secs))
            .and_then(|artifact| artifact.id);
        match artifact_id {
            Some(artifact_id) => Ok(Product { id, artifact_id }),
            None => Err(AwsCallError::not_found(
                "ListProvisioningArtifacts",
                "Account Factory has no active version: repair or update the landing zone",
            )),
        }
    }

    async fn product_id(&self) -> Result<String, AwsCallError> {
        const OPERATION: &str = "SearchProductsAsAdmin";
        let mut page = None;
        loop {
            let answer = self
                .client
                .search_products_as_admin()
                .filters(ProductViewFilterBy::Owner, vec![OWNER.to_owned()])
                .set_page_token(page)
                .send()
                .await
                .map_err(|error| failed(OPERATION, &error))?;
            page = answer.next_page_token.filter(|token| !token.is_empty());
            let found = answer
                .product_view_details
                .unwrap_or_default()
                .into_iter()
                .filter_map(|detail| detail.product_view_summary)
                .find(|summary| summary.name() == Some(PRODUCT) && summary.owner() == Some(OWNER))
                .and_then(|summary| summary.product_id);
            match (found, &page) {
                (Some(id), _) => return Ok(id),
                (None, Some(_)) => {}
                (None, None) => {
                    return Err(AwsCallError::not_found(
                        OPERATION,
                        "there is no product AWS Control Tower Account Factory: is Control Tower set \
                         up, and is this its home Region?",
                    ));
                }
            }
        }
    }

    /// Makes a provisioned product. Idempotent by `token`. If Account Factory is in several portfolios, that of its own
    /// portfolio is the launch path, unless the settings name one.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn provision(
        &self,
        product: &Product,
        name: &str,
        token: &str,
        parameters: &[Parameter],
    ) -> Result<AcceptedOperation, AwsCallError> {
        let path = self.launch_path();
        let refused = match self
            .provision_by(path, product, name, token, parameters)
            .await
        {
            Err(error) if path.is_none() && has_several_paths(&error) => error,
            answer => return answer,
        };
        let Some(path) = self.own_launch_path(product).await? else {
            return Err(refused);
        };
        let path = Some(self.found_path.get_or_init(|| path).as_str());
        self.provision_by(path, product, name, token, parameters)
            .await
    }

    async fn provision_by(
        &self,
        path: Option<&str>,
        product: &Product,
        name: &str,
        token: &str,
        parameters: &[Parameter],
    ) -> Result<AcceptedOperation, AwsCallError> {
        let parameters = parameters
            .iter()
            .map(|(key, value)| {
                ProvisioningParameter::builder()
                    .key(*key)
                    .value(value)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .provision_product()
            .product_id(&product.id)
            .provisioning_artifact_id(&product.artifact_id)
            .set_path_id(path.map(str::to_owned))
            .provisioned_product_name(name)
            .provision_token(token)
            .set_provisioning_parameters(Some(parameters))
            .send()
            .await
            .map_err(|error| failed("ProvisionProduct", &error))?;
        Ok(accepted(answer.record_detail))
    }

    /// The launch path that the settings name, or that was found before.
    fn launch_path(&self) -> Option<&str> {
        self.set_path
            .as_ref()
            .or_else(|| self.found_path.get())
            .map(String::as_str)
    }

    /// The launch path of Account Factory's own portfolio.
    async fn own_launch_path(&self, product: &Product) -> Result<Option<String>, AwsCallError> {
        let mut page = None;
        loop {
            let answer = self
                .client
                .list_launch_paths()
                .product_id(&product.id)
                .set_page_token(page)
                .send()
                .await
                .map_err(|error| failed("ListLaunchPaths", &error))?;
            page = answer.next_page_token.filter(|token| !token.is_empty());
            let found = answer
                .launch_path_summaries
                .unwrap_or_default()
                .into_iter()
                .find(|path| path.name() == Some(PORTFOLIO))
                .and_then(|path| path.id);
            if found.is_some() || page.is_none() {
                return Ok(found);
            }
        }
    }

    /// Updates the provisioned product with this id. Idempotent by `token`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn update(
        &self,
        product: &Product,
        provisioned_product_id: &str,
        token: String,
        parameters: &[Parameter],
    ) -> Result<AcceptedOperation, AwsCallError> {
        let parameters = parameters
            .iter()
            .map(|(key, value)| {
                UpdateProvisioningParameter::builder()
                    .key(*key)
                    .value(value)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .update_provisioned_product()
            .provisioned_product_id(provisioned_product_id)
            .product_id(&product.id)
            .provisioning_artifact_id(&product.artifact_id)
            .set_path_id(self.launch_path().map(str::to_owned))
            .update_token(token)
            .set_provisioning_parameters(Some(parameters))
            .send()
            .await
            .map_err(|error| failed("UpdateProvisionedProduct", &error))?;
        Ok(accepted(answer.record_detail))
    }

    /// Terminates a provisioned product; AWS does it some time later. Idempotent by `token`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn terminate(
        &self,
        provisioned_product_id: &str,
        token: String,
    ) -> Result<(), AwsCallError> {
        self.client
            .terminate_provisioned_product()
            .provisioned_product_id(provisioned_product_id)
            .terminate_token(token)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("TerminateProvisionedProduct", &error))
    }

    /// The provisioned product of an account that Control Tower created or enrolled.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn product_of(&self, account: &AccountId) -> Result<Option<String>, AwsCallError> {
        let everybodys = AccessLevelFilter::builder()
            .key(AccessLevelFilterKey::Account)
            .value("self")
            .build();
        let answer = self
            .client
            .search_provisioned_products()
            .access_level_filter(everybodys)
            .filters(
                ProvisionedProductViewFilterBy::SearchQuery,
                vec![format!("physicalId:{account}")],
            )
            .send()
            .await
            .map_err(|error| failed("SearchProvisionedProducts", &error))?;
        let found = answer.provisioned_products.unwrap_or_default().into_iter();
        Ok(found
            .filter(|product| product.physical_id() == Some(account.as_str()))
            .find_map(|product| product.id))
    }

    /// The record with this id.
    ///
    /// # Errors
    /// If the call fails; `NotFound` if there is no such record.
    pub async fn record(&self, id: &str) -> Result<Record, AwsCallError> {
        let answer = self
            .client
            .describe_record()
            .id(id)
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
            (Some(RecordStatus::Succeeded), Some(account)) => Record::Succeeded(account),
            (Some(RecordStatus::Failed), _) => Record::Failed(reasons(&detail)),
            // The outputs follow the status.
            _ => Record::InProgress,
        })
    }

    /// The state of the provisioned product with this id; `None` if there is no such product.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn product_state(
        &self,
        provisioned_product_id: &str,
    ) -> Result<Option<ProductState>, AwsCallError> {
        let described = self
            .client
            .describe_provisioned_product()
            .id(provisioned_product_id)
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
        Ok(status.map(|status| match status {
            ProvisionedProductStatus::Available => ProductState::Available,
            ProvisionedProductStatus::Tainted => ProductState::Tainted,
            ProvisionedProductStatus::Error => ProductState::Error,
            _ => ProductState::Changing,
        }))
    }
}

/// Whether a call was refused because the caller has to name one of several launch paths. The error of a caller
/// without any says "no launch paths".
fn has_several_paths(error: &AwsCallError) -> bool {
    let words = error.in_words().to_lowercase();
    error.class() == AwsErrorClass::SetUp
        && words.contains("launch path")
        && !words.contains("no launch path")
}

fn accepted(record: Option<RecordDetail>) -> AcceptedOperation {
    let record = record.unwrap_or_else(|| RecordDetail::builder().build());
    AcceptedOperation {
        record_id: record.record_id.unwrap_or_default(),
        provisioned_product_id: record.provisioned_product_id,
    }
}

fn reasons(record: &RecordDetail) -> Vec<String> {
    record
        .record_errors()
        .iter()
        .filter_map(|error| error.description().map(str::to_owned))
        .collect()
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::ServiceCatalog, operation, error)
}

#[cfg(test)]
mod tests {
    use aws_sdk_servicecatalog::types::RecordError;

    use super::*;

    #[test]
    fn every_reason_of_a_record_is_read() {
        let error = |text: &str| RecordError::builder().code("x").description(text).build();
        let silent = RecordError::builder().code("x").build();
        let record = |errors| {
            RecordDetail::builder()
                .set_record_errors(Some(errors))
                .build()
        };
        assert_eq!(
            reasons(&record(vec![error("one"), silent, error("two")])),
            ["one", "two"]
        );
        assert!(reasons(&record(Vec::new())).is_empty());
    }
}
