//! Account Factory: the calls of Service Catalog by which Control Tower makes, enrols, updates and lets go of
//! accounts. An operation is accepted at once and done after a while, at most five at a time.

mod catalog;
mod lifecycle;
mod request;
mod search;
mod store;
mod work;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::callers::Caller;
use crate::clock;
use crate::delivery::Delivery;
use crate::lock::lock;
use crate::organizations::Organizations;
use crate::pages::Paging;
use crate::problem::Problem;
use crate::reply::Refusal;
use crate::vending::{Kind, Vending};
use catalog::{Artifact, invalid, not_found, with_token};
use request::Parameters;
use store::{Begun, Change, Ending, New, Product, Status, Store};

/// What AWS says while five operations are running.
const IN_USE: &str = "Account Factory cannot create this enrolled account right now, because another execution is in progress. Try again later.";

/// A termination is quicker than the rest by this factor.
const TERMINATION: u32 = 4;

const TAGS: usize = 50;

const PRINCIPALS: Paging = Paging {
    list: "ListPrincipalsForPortfolio",
    size: "PageSize",
    token: "PageToken",
    sizes: 0..=20,
    default: 20,
};
const OUTPUTS: Paging = Paging {
    list: "GetProvisionedProductOutputs",
    ..PRINCIPALS
};
const RECORD: Paging = Paging {
    list: "DescribeRecord",
    ..PRINCIPALS
};

/// Who may use a portfolio. Nothing checks it, as nothing here checks IAM.
#[derive(Debug, PartialEq, Eq)]
struct Principal {
    portfolio: String,
    arn: String,
    kind: String,
}

/// What Account Factory works with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) organizations: Arc<Organizations>,
    pub(crate) ministack: Backend,
    pub(crate) delivery: Delivery,
    pub(crate) vending: Arc<Vending>,
}

/// Account Factory of the management account.
#[derive(Debug)]
pub(crate) struct Factory {
    management: String,
    region: String,
    tools: Tools,
    store: Mutex<Store>,
    principals: Mutex<Vec<Principal>>,
}

impl Factory {
    pub(crate) fn new(management: &str, region: &str, tools: Tools) -> Self {
        Self {
            management: management.to_owned(),
            region: region.to_owned(),
            tools,
            store: Mutex::new(Store::new(management, region)),
            principals: Mutex::default(),
        }
    }

    /// Answers one call.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        operation: &str,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Value, Problem> {
        if caller.account != self.management {
            let message = format!(
                "Account {} has no access to Account Factory; it belongs to the management account.",
                caller.account
            );
            return Err(Problem::new("AccessDeniedException", message));
        }
        let ask: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(answer) = catalog::answer(operation, &ask, self.home()) {
            return Ok(answer?);
        }
        Ok(match operation {
            "ProvisionProduct" => self.provision(caller, &ask).await?,
            "UpdateProvisionedProduct" => self.update(&ask).await?,
            "TerminateProvisionedProduct" => self.terminate(&ask)?,
            "DescribeRecord" => self.describe_record(&ask)?,
            "DescribeProvisionedProduct" => self.describe_product(&ask)?,
            "SearchProvisionedProducts" => search::search(&lock(&self.store), &ask)?,
            "GetProvisionedProductOutputs" => self.outputs(&ask)?,
            "AssociatePrincipalWithPortfolio" => self.associate(&ask)?,
            "ListPrincipalsForPortfolio" => self.principals(&ask)?,
            other => return Err(Problem::no_such_operation("Service Catalog", other)),
        })
    }

    /// The accounts that are under Control Tower.
    pub(crate) fn enrolled(&self) -> Vec<String> {
        lock(&self.store).enrolled()
    }

    /// Account and region.
    fn home(&self) -> (&str, &str) {
        (&self.management, &self.region)
    }

    async fn provision(self: &Arc<Self>, caller: &Caller, ask: &Value) -> Result<Value, Problem> {
        let new = New {
            name: request::name(ask)?,
            token: request::token(ask, "ProvisionToken")?,
            artifact: catalog::to_provision(ask)?,
            parameters: request::parameters(ask)?,
            tags: tags(ask)?,
            user: caller.arn.clone(),
        };
        let repeated = |store: &Store| store.repeated(Change::Provision, &new.token, &new.wish());
        if let Some(record) = repeated(&lock(&self.store))? {
            return Ok(json!({"RecordDetail": record}));
        }
        self.check_unit(&new.parameters).await?;
        let begun = {
            let mut store = lock(&self.store);
            // The same call may have come once more while the organization was asked.
            if let Some(record) = repeated(&store)? {
                return Ok(json!({"RecordDetail": record}));
            }
            store.name_is_free(&new.name)?;
            self.take_place()?;
            store.provision(new, clock::now())
        };
        Ok(self.start(begun))
    }

    async fn update(self: &Arc<Self>, ask: &Value) -> Result<Value, Problem> {
        let token = request::token(ask, "UpdateToken")?;
        let artifact = wanted_artifact(ask)?;
        let (parameters, wish) = {
            let store = lock(&self.store);
            let product = named(&store, ask)?;
            let parameters = request::updated(ask, &product.parameters)?;
            let wish = json!([product.id, artifact.map(|it| it.id), parameters]);
            if let Some(record) = store.repeated(Change::Update, &token, &wish)? {
                return Ok(json!({"RecordDetail": record}));
            }
            (parameters, wish)
        };
        self.check_unit(&parameters).await?;
        let begun = {
            let mut store = lock(&self.store);
            if let Some(record) = store.repeated(Change::Update, &token, &wish)? {
                return Ok(json!({"RecordDetail": record}));
            }
            let product = named(&store, ask)?.clone();
            check_status(&product)?;
            if product.status == Status::Error {
                let message = format!(
                    "Provisioned product {} has the status ERROR and cannot be updated. Terminate it.",
                    product.id
                );
                return Err(invalid(message).into());
            }
            self.take_place()?;
            let wish = (token, wish);
            store.change(
                Change::Update,
                product,
                artifact,
                parameters,
                wish,
                clock::now(),
            )
        };
        Ok(self.start(begun))
    }

    fn terminate(self: &Arc<Self>, ask: &Value) -> Result<Value, Refusal> {
        let token = request::token(ask, "TerminateToken")?;
        let begun = {
            let mut store = lock(&self.store);
            let product = named(&store, ask)?.clone();
            let wish = json!(product.id);
            if let Some(record) = store.repeated(Change::Terminate, &token, &wish)? {
                return Ok(json!({"RecordDetail": record}));
            }
            check_status(&product)?;
            self.take_place()?;
            let parameters = product.parameters.clone();
            let wish = (token, wish);
            store.change(
                Change::Terminate,
                product,
                None,
                parameters,
                wish,
                clock::now(),
            )
        };
        Ok(self.start(begun))
    }

    /// Refuses an organizational unit that is not there, has another name or is not registered.
    async fn check_unit(&self, parameters: &Parameters) -> Result<(), Problem> {
        let (name, id) = request::unit(parameters)?;
        let unit = self.tools.organizations.unit(id).await?;
        let problem = match unit {
            None => "does not exist",
            Some(unit) if unit.name != name => "has another name",
            Some(_) if !self.tools.vending.is_registered(id) => {
                "is not registered with AWS Control Tower"
            }
            Some(_) => return Ok(()),
        };
        Err(invalid(format!("The organizational unit {name} ({id}) {problem}.")).into())
    }

    fn take_place(&self) -> Result<(), Refusal> {
        if self.tools.vending.start(Kind::AccountFactory) {
            return Ok(());
        }
        Err(Refusal::new("ResourceInUseException", IN_USE))
    }

    /// Does what has begun after its time, and answers that it was accepted.
    fn start(self: &Arc<Self>, begun: Begun) -> Value {
        let duration = self.tools.vending.duration();
        let duration = match begun.change {
            Change::Provision | Change::Update => duration,
            Change::Terminate => duration / TERMINATION,
        };
        let record = lock(&self.store).record(&begun.record);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            this.finish(&begun).await;
        });
        let mut answer = json!({"RecordDetail": record});
        answer["RecordDetail"]["Status"] = json!("CREATED");
        answer
    }

    async fn finish(&self, begun: &Begun) {
        let ending = self.work(begun).await.unwrap_or_else(|unreachable| {
            let account = begun.product.account.clone();
            Ending::Failed {
                keeps: account.is_some(),
                account,
                message: unreachable.to_string(),
            }
        });
        let now = clock::now();
        lock(&self.store).end(begun, &ending, now);
        let failed = matches!(ending, Ending::Failed { .. });
        self.tools.vending.end(Kind::AccountFactory, !failed);
        // Last, so that whoever hears of it finds everything as it says.
        if let Some(event) = lifecycle::event(self.home(), begun, &ending, now) {
            self.tools.delivery.send(&event);
        }
    }

    fn describe_record(&self, ask: &Value) -> Result<Value, Refusal> {
        let id = ask["Id"].as_str().unwrap_or_default();
        let page = RECORD.read(ask).map_err(invalid)?;
        let store = lock(&self.store);
        let Some(record) = store.record(id) else {
            return Err(not_found(format!("Record {id} not found.")));
        };
        let (outputs, next) = RECORD.cut(page, (0..).zip(store.outputs(id)));
        let answer = json!({"RecordDetail": record, "RecordOutputs": outputs});
        Ok(with_token(answer, next))
    }

    fn describe_product(&self, ask: &Value) -> Result<Value, Refusal> {
        let store = lock(&self.store);
        let product = store.find(ask, "Id", "Name")?;
        Ok(json!({
            "ProvisionedProductDetail": store.detail(product),
            "CloudWatchDashboards": [],
        }))
    }

    fn outputs(&self, ask: &Value) -> Result<Value, Refusal> {
        let page = OUTPUTS.read(ask).map_err(invalid)?;
        let store = lock(&self.store);
        let product = named(&store, ask)?;
        let record = product.last_successful_record.as_deref();
        let mut outputs = store.outputs(record.unwrap_or_default());
        if let Some(keys) = ask["OutputKeys"].as_array() {
            let has = |key: &Value| outputs.iter().any(|it| it["OutputKey"] == *key);
            if let Some(key) = keys.iter().find(|key| !has(key)) {
                let id = &product.id;
                return Err(invalid(format!(
                    "Provisioned product {id} has no output {key}."
                )));
            }
            outputs.retain(|it| keys.contains(&it["OutputKey"]));
        }
        let (outputs, next) = OUTPUTS.cut(page, (0..).zip(outputs));
        Ok(with_token(json!({"Outputs": outputs}), next))
    }

    fn associate(&self, ask: &Value) -> Result<Value, Refusal> {
        let portfolio = portfolio(ask)?;
        let arn = ask["PrincipalARN"].as_str().unwrap_or_default();
        let kind = ask["PrincipalType"].as_str().unwrap_or_default();
        if arn.is_empty() || !["IAM", "IAM_PATTERN"].contains(&kind) {
            let message =
                "PrincipalARN is required, and PrincipalType has to be IAM or IAM_PATTERN.";
            return Err(invalid(message));
        }
        let principal = Principal {
            portfolio: portfolio.to_owned(),
            arn: arn.to_owned(),
            kind: kind.to_owned(),
        };
        let mut principals = lock(&self.principals);
        if !principals.contains(&principal) {
            principals.push(principal);
        }
        Ok(json!({}))
    }

    fn principals(&self, ask: &Value) -> Result<Value, Refusal> {
        let portfolio = portfolio(ask)?;
        let page = PRINCIPALS.read(ask).map_err(invalid)?;
        let principals = lock(&self.principals);
        let of_portfolio = principals.iter().filter(|it| it.portfolio == portfolio);
        let shown =
            of_portfolio.map(|it| json!({"PrincipalARN": it.arn, "PrincipalType": it.kind}));
        let (principals, next) = PRINCIPALS.cut(page, (0..).zip(shown));
        Ok(with_token(json!({"Principals": principals}), next))
    }
}

fn named<'a>(store: &'a Store, ask: &Value) -> Result<&'a Product, Refusal> {
    store.find(ask, "ProvisionedProductId", "ProvisionedProductName")
}

/// Refuses a product that is being changed.
fn check_status(product: &Product) -> Result<(), Refusal> {
    if product.status == Status::UnderChange {
        let message = format!(
            "Provisioned product {} has the status UNDER_CHANGE. Wait until its operation has ended.",
            product.id
        );
        return Err(invalid(message));
    }
    Ok(())
}

/// The artifact that an update names, if it names one.
fn wanted_artifact(ask: &Value) -> Result<Option<&'static Artifact>, Refusal> {
    let mut ask = ask.clone();
    if ask["ProductId"].is_null() && ask["ProductName"].is_null() {
        ask["ProductId"] = json!(catalog::ACCOUNT_FACTORY.id);
    }
    if ask["ProvisioningArtifactId"].is_null() && ask["ProvisioningArtifactName"].is_null() {
        return catalog::product(&ask, "ProductId", "ProductName").map(|_| None);
    }
    catalog::to_provision(&ask).map(Some)
}

fn tags(ask: &Value) -> Result<Value, Refusal> {
    match &ask["Tags"] {
        Value::Null => Ok(json!([])),
        Value::Array(tags) if tags.len() <= TAGS => Ok(json!(tags)),
        _ => Err(invalid(format!(
            "Tags has to be a list of at most {TAGS} tags."
        ))),
    }
}

fn portfolio(ask: &Value) -> Result<&str, Refusal> {
    let id = ask["PortfolioId"].as_str().unwrap_or_default();
    if catalog::has_portfolio(id) {
        return Ok(id);
    }
    Err(not_found(format!("Portfolio {id} not found.")))
}
