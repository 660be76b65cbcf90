//! Account Factory: the calls of Service Catalog by which Control Tower creates, enrolls, updates and unmanages
//! accounts. An operation is accepted at once and finishes after a while; at most five run at once.

mod catalog;
mod lifecycle;
mod request;
mod search;
mod store;
mod work;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::callers::Caller;
use crate::clock;
use crate::lock::lock;
use crate::pages::Paging;
use crate::problem::Problem;
use crate::reply::Refusal;
use crate::vending::Kind;
use catalog::{Artifact, invalid, not_found, with_token};
use request::Parameters;
use store::{Change, New, Outcome, Pending, Product, Status, Store};
pub(crate) use work::Tools;
use work::Work;

/// AWS's error message while five operations are running.
const IN_USE: &str = "Account Factory cannot create this enrolled account right now, because another execution is in progress. Try again later.";

/// A termination is faster than the other operations by this factor.
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

/// A principal of a portfolio. It is stored and not checked.
#[derive(Debug, PartialEq, Eq)]
struct Principal {
    portfolio: String,
    arn: String,
    kind: String,
}

/// Account Factory of the management account.
#[derive(Debug)]
pub(crate) struct AccountFactory {
    management: String,
    region: String,
    tools: Tools,
    store: Mutex<Store>,
    principals: Mutex<Vec<Principal>>,
}

impl AccountFactory {
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
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(answer) = catalog::answer(operation, &input, self.home()) {
            return Ok(answer?);
        }
        Ok(match operation {
            "ListLaunchPaths" => catalog::launch_paths(&input, self.tools.vending.launch_paths())?,
            "ProvisionProduct" => self.provision(caller, &input).await?,
            "UpdateProvisionedProduct" => self.update(&input).await?,
            "TerminateProvisionedProduct" => self.terminate(&input)?,
            "DescribeRecord" => self.describe_record(&input)?,
            "DescribeProvisionedProduct" => self.describe_product(&input)?,
            "SearchProvisionedProducts" => search::search(&lock(&self.store), &input)?,
            "GetProvisionedProductOutputs" => self.outputs(&input)?,
            "AssociatePrincipalWithPortfolio" => self.associate(&input)?,
            "DisassociatePrincipalFromPortfolio" => self.disassociate(&input)?,
            "ListPrincipalsForPortfolio" => self.principals(&input)?,
            other => return Err(Problem::no_such_operation("Service Catalog", other)),
        })
    }

    /// The enrolled accounts.
    pub(crate) fn enrolled(&self) -> Vec<String> {
        lock(&self.store).enrolled()
    }

    /// Account and region.
    fn home(&self) -> (&str, &str) {
        (&self.management, &self.region)
    }

    async fn provision(self: &Arc<Self>, caller: &Caller, input: &Value) -> Result<Value, Problem> {
        let new = New {
            name: request::name(input)?,
            token: request::token(input, "ProvisionToken")?,
            artifact: catalog::to_provision(input)?,
            parameters: request::parameters(input)?,
            tags: tags(input)?,
            user: caller.arn.clone(),
        };
        catalog::check_path(input, self.tools.vending.launch_paths())?;
        let repeated =
            |store: &Store| store.repeated(Change::Provision, &new.token, &new.fingerprint());
        if let Some(record) = repeated(&lock(&self.store))? {
            return Ok(json!({"RecordDetail": record}));
        }
        self.check_unit(&new.parameters).await?;
        let pending = {
            let mut store = lock(&self.store);
            // A duplicate of the call may have arrived while the organization was read.
            if let Some(record) = repeated(&store)? {
                return Ok(json!({"RecordDetail": record}));
            }
            store.name_is_free(&new.name)?;
            self.take_slot()?;
            store.provision(new, clock::now())
        };
        Ok(self.start(pending))
    }

    async fn update(self: &Arc<Self>, input: &Value) -> Result<Value, Problem> {
        let token = request::token(input, "UpdateToken")?;
        let artifact = named_artifact(input)?;
        let (parameters, fingerprint) = {
            let store = lock(&self.store);
            let product = find_product(&store, input)?;
            let parameters = request::updated(input, &product.parameters)?;
            let fingerprint = json!([product.id, artifact.map(|it| it.id), parameters]);
            if let Some(record) = store.repeated(Change::Update, &token, &fingerprint)? {
                return Ok(json!({"RecordDetail": record}));
            }
            (parameters, fingerprint)
        };
        self.check_unit(&parameters).await?;
        let pending = {
            let mut store = lock(&self.store);
            if let Some(record) = store.repeated(Change::Update, &token, &fingerprint)? {
                return Ok(json!({"RecordDetail": record}));
            }
            let product = find_product(&store, input)?.clone();
            check_status(&product)?;
            if product.status == Status::Error {
                let message = format!(
                    "Provisioned product {} has the status ERROR and cannot be updated. Terminate it.",
                    product.id
                );
                return Err(invalid(message).into());
            }
            self.take_slot()?;
            let fingerprint = (token, fingerprint);
            store.change(
                Change::Update,
                product,
                artifact,
                parameters,
                fingerprint,
                clock::now(),
            )
        };
        Ok(self.start(pending))
    }

    fn terminate(self: &Arc<Self>, input: &Value) -> Result<Value, Refusal> {
        let token = request::token(input, "TerminateToken")?;
        let pending = {
            let mut store = lock(&self.store);
            let product = find_product(&store, input)?.clone();
            let fingerprint = json!(product.id);
            if let Some(record) = store.repeated(Change::Terminate, &token, &fingerprint)? {
                return Ok(json!({"RecordDetail": record}));
            }
            check_status(&product)?;
            self.take_slot()?;
            let parameters = product.parameters.clone();
            let fingerprint = (token, fingerprint);
            store.change(
                Change::Terminate,
                product,
                None,
                parameters,
                fingerprint,
                clock::now(),
            )
        };
        Ok(self.start(pending))
    }

    /// Fails if an organizational unit does not exist, has another name or is not registered.
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

    fn take_slot(&self) -> Result<(), Refusal> {
        if self.tools.vending.start(Kind::AccountFactory) {
            return Ok(());
        }
        Err(Refusal::new(&self.tools.vending.busy_code(), IN_USE))
    }

    /// Schedules an accepted operation, and answers that it was accepted.
    fn start(self: &Arc<Self>, pending: Pending) -> Value {
        let duration = self.tools.vending.duration();
        let duration = match pending.change {
            Change::Provision | Change::Update => duration,
            Change::Terminate => duration / TERMINATION,
        };
        let record = lock(&self.store).record(&pending.record);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            this.finish(&pending).await;
        });
        let mut answer = json!({"RecordDetail": record});
        answer["RecordDetail"]["Status"] = json!("CREATED");
        answer
    }

    async fn finish(&self, pending: &Pending) {
        let work = Work {
            management: &self.management,
            region: &self.region,
            tools: &self.tools,
            store: &self.store,
        };
        let outcome = work.run(pending).await.unwrap_or_else(|unreachable| {
            let account = pending.product.account.clone();
            Outcome::Failed {
                keeps: account.is_some(),
                account,
                message: unreachable.to_string(),
            }
        });
        let now = clock::now();
        lock(&self.store).end(pending, &outcome, now);
        let failed = matches!(outcome, Outcome::Failed { .. });
        self.tools.vending.end(Kind::AccountFactory, !failed);
        // Last, so that a receiver of the event finds the final state.
        if let Some(event) = lifecycle::event(self.home(), pending, &outcome, now) {
            self.tools.delivery.send(&event);
        }
    }

    fn describe_record(&self, input: &Value) -> Result<Value, Refusal> {
        let id = input["Id"].as_str().unwrap_or_default();
        let page = RECORD.read(input).map_err(invalid)?;
        let store = lock(&self.store);
        let Some(record) = store.record(id) else {
            return Err(not_found(format!("Record {id} not found.")));
        };
        let (outputs, next) = RECORD.cut(page, (0..).zip(store.outputs(id)));
        let answer = json!({"RecordDetail": record, "RecordOutputs": outputs});
        Ok(with_token(answer, next))
    }

    fn describe_product(&self, input: &Value) -> Result<Value, Refusal> {
        let store = lock(&self.store);
        let product = store.find(input, "Id", "Name")?;
        Ok(json!({
            "ProvisionedProductDetail": store.detail(product),
            "CloudWatchDashboards": [],
        }))
    }

    fn outputs(&self, input: &Value) -> Result<Value, Refusal> {
        let page = OUTPUTS.read(input).map_err(invalid)?;
        let store = lock(&self.store);
        let product = find_product(&store, input)?;
        let record = product.last_successful_record.as_deref();
        let mut outputs = store.outputs(record.unwrap_or_default());
        if let Some(keys) = input["OutputKeys"].as_array() {
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

    fn associate(&self, input: &Value) -> Result<Value, Refusal> {
        let portfolio = portfolio(input)?;
        let arn = input["PrincipalARN"].as_str().unwrap_or_default();
        let kind = input["PrincipalType"].as_str().unwrap_or_default();
        if arn.is_empty() || !["IAM", "IAM_PATTERN"].contains(&kind) {
            let message = "PrincipalARN is required, and PrincipalType must be IAM or IAM_PATTERN.";
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

    fn disassociate(&self, input: &Value) -> Result<Value, Refusal> {
        let portfolio = portfolio(input)?;
        let arn = input["PrincipalARN"].as_str().unwrap_or_default();
        let mut principals = lock(&self.principals);
        let before = principals.len();
        principals.retain(|it| it.portfolio != portfolio || it.arn != arn);
        if principals.len() == before {
            let message = format!("{arn} is not associated with {portfolio}.");
            return Err(not_found(message));
        }
        Ok(json!({}))
    }

    fn principals(&self, input: &Value) -> Result<Value, Refusal> {
        let portfolio = portfolio(input)?;
        let page = PRINCIPALS.read(input).map_err(invalid)?;
        let principals = lock(&self.principals);
        let of_portfolio = principals.iter().filter(|it| it.portfolio == portfolio);
        let shown =
            of_portfolio.map(|it| json!({"PrincipalARN": it.arn, "PrincipalType": it.kind}));
        let (principals, next) = PRINCIPALS.cut(page, (0..).zip(shown));
        Ok(with_token(json!({"Principals": principals}), next))
    }
}

fn find_product<'a>(store: &'a Store, input: &Value) -> Result<&'a Product, Refusal> {
    store.find(input, "ProvisionedProductId", "ProvisionedProductName")
}

/// Fails if the product is being changed.
fn check_status(product: &Product) -> Result<(), Refusal> {
    if product.status == Status::UnderChange {
        let message = format!(
            "Provisioned product {} has the status UNDER_CHANGE. Wait until its operation has finished.",
            product.id
        );
        return Err(invalid(message));
    }
    Ok(())
}

/// The artifact that an update names, if any.
fn named_artifact(input: &Value) -> Result<Option<&'static Artifact>, Refusal> {
    let mut input = input.clone();
    if input["ProductId"].is_null() && input["ProductName"].is_null() {
        input["ProductId"] = json!(catalog::ACCOUNT_FACTORY.id);
    }
    if input["ProvisioningArtifactId"].is_null() && input["ProvisioningArtifactName"].is_null() {
        return catalog::product(&input, "ProductId", "ProductName").map(|_| None);
    }
    catalog::to_provision(&input).map(Some)
}

fn tags(input: &Value) -> Result<Value, Refusal> {
    match &input["Tags"] {
        Value::Null => Ok(json!([])),
        Value::Array(tags) if tags.len() <= TAGS => Ok(json!(tags)),
        _ => Err(invalid(format!(
            "Tags must be a list of at most {TAGS} tags."
        ))),
    }
}

fn portfolio(input: &Value) -> Result<&str, Refusal> {
    let id = input["PortfolioId"].as_str().unwrap_or_default();
    if catalog::has_portfolio(id) {
        return Ok(id);
    }
    Err(not_found(format!("Portfolio {id} not found.")))
}
