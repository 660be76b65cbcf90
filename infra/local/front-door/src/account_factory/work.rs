//! The changes that an operation of Account Factory makes to the organization.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::request::{EMAIL, NAME, unit};
use super::store::{Change, Outcome, Pending, Store};
use crate::backend::{Backend, Unreachable};
use crate::callers::Caller;
use crate::delivery::Delivery;
use crate::lock::lock;
use crate::organizations::{Creation, Organizations};
use crate::roles::{self, Role};
use crate::vending::Vending;

/// Control Tower's role in an account; it creates the role in accounts that it creates.
const EXECUTION_ROLE: &str = "AWSControlTowerExecution";

/// Control Tower's own role in the management account.
const ADMIN_SESSION: &str = "assumed-role/AWSControlTowerAdmin/AWSControlTower";

/// The services that Account Factory calls.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) organizations: Arc<Organizations>,
    pub(crate) ministack: Backend,
    pub(crate) delivery: Delivery,
    pub(crate) vending: Arc<Vending>,
}

/// The part of an operation that changes the organization.
pub(super) struct Work<'a> {
    pub(super) management: &'a str,
    pub(super) region: &'a str,
    pub(super) tools: &'a Tools,
    pub(super) store: &'a Mutex<Store>,
}

impl Work<'_> {
    /// Carries out an operation that was accepted.
    pub(super) async fn run(&self, pending: &Pending) -> Result<Outcome, Unreachable> {
        match pending.change {
            Change::Provision => self.provision(pending).await,
            Change::Update => self.change(pending).await,
            Change::Terminate => self.terminate(pending).await,
        }
    }

    /// Creates an account, or enrolls the one that has the address.
    async fn provision(&self, pending: &Pending) -> Result<Outcome, Unreachable> {
        let email = pending.parameters.get(EMAIL).map(String::as_str);
        let failure = self.tools.vending.failure(email.unwrap_or_default());
        if let Some(failure) = &failure
            && !failure.tainted
        {
            return Ok(Outcome::Failed {
                account: None,
                keeps: false,
                message: failure.message.clone(),
            });
        }
        let input = json!({
            "Email": email,
            "AccountName": pending.parameters.get(NAME),
            "RoleName": EXECUTION_ROLE,
        });
        let organizations = &self.tools.organizations;
        let account = match organizations.create(&input).await? {
            Creation::Created { id, answer } => {
                organizations.announce("CreateAccount", &self.control_tower(), &input, &answer);
                let role = Role::named(&id, EXECUTION_ROLE);
                roles::create(&role, self.management, &self.tools.ministack, self.region).await?;
                id
            }
            Creation::EmailInUse(account) => {
                match self.check_enrollment(pending, &account).await? {
                    Ok(id) => id,
                    Err(outcome) => return Ok(outcome),
                }
            }
            Creation::Refused(answer) => {
                let message = answer.json()["message"].take();
                return Ok(Outcome::Failed {
                    account: None,
                    keeps: false,
                    message: message.as_str().unwrap_or_default().to_owned(),
                });
            }
        };
        match failure {
            Some(failure) => Ok(tainted(account, failure.message)),
            None => self.move_to_unit(pending, account).await,
        }
    }

    /// Updates an account, or finishes one whose creation failed.
    async fn change(&self, pending: &Pending) -> Result<Outcome, Unreachable> {
        let product = &pending.product;
        let email = pending.parameters.get(EMAIL).map(String::as_str);
        let id = product.account.clone().unwrap_or_default();
        if let Some(failure) = self.tools.vending.failure(email.unwrap_or_default()) {
            return Ok(tainted(id, failure.message));
        }
        let accounts = self.tools.organizations.accounts().await?;
        let Some(account) = accounts.into_iter().find(|it| it["Id"] == id.as_str()) else {
            let message = format!("Account {id} is not in the organization.");
            return Ok(tainted(id, message));
        };
        let obstacle = match &product.last_successful_record {
            Some(_) => is_suspended(&account),
            None => self.obstacle(pending, &account).await?,
        };
        match obstacle {
            Some(message) => Ok(tainted(id, message)),
            None => self.move_to_unit(pending, id).await,
        }
    }

    /// Moves an account that is no longer managed to the root.
    async fn terminate(&self, pending: &Pending) -> Result<Outcome, Unreachable> {
        let product = &pending.product;
        if let (Some(account), Some(_)) = (&product.account, &product.last_successful_record)
            && let Some(root) = self.tools.organizations.root().await?
        {
            let caller = self.control_tower();
            let moved = self
                .tools
                .organizations
                .move_on_behalf_of(&caller, account, &root);
            if let Err(message) = moved.await? {
                tracing::warn!(account, message, "an account was not moved to the root");
            }
        }
        Ok(Outcome::Terminated)
    }

    /// Moves an account to the requested organizational unit.
    async fn move_to_unit(
        &self,
        pending: &Pending,
        account: String,
    ) -> Result<Outcome, Unreachable> {
        // Checked when the operation was accepted.
        let destination = unit(&pending.parameters).map_or("", |(_, id)| id);
        let caller = self.control_tower();
        let moved = self
            .tools
            .organizations
            .move_on_behalf_of(&caller, &account, destination);
        Ok(match moved.await? {
            Ok(()) => Outcome::Succeeded { account },
            Err(message) => tainted(account, message),
        })
    }

    /// The id of an account that can be enrolled, or the outcome.
    async fn check_enrollment(
        &self,
        pending: &Pending,
        account: &Value,
    ) -> Result<Result<String, Outcome>, Unreachable> {
        let id = account["Id"].as_str().unwrap_or_default().to_owned();
        let email = account["Email"].as_str().unwrap_or_default();
        if id == self.management || self.tools.vending.is_shared(email) {
            let message = format!(
                "Account {id} is a shared account of AWS Control Tower. It is created when the landing zone is set up."
            );
            return Ok(Err(Outcome::Failed {
                account: Some(id),
                keeps: false,
                message,
            }));
        }
        if lock(self.store).is_enrolled(&id, &pending.product.id) {
            let message = format!("Account {id} is already enrolled in AWS Control Tower.");
            return Ok(Err(Outcome::Failed {
                account: Some(id),
                keeps: false,
                message,
            }));
        }
        let obstacle = self.obstacle(pending, account).await?;
        Ok(match obstacle {
            Some(message) => Err(tainted(id, message)),
            None => Ok(id),
        })
    }

    /// Why an account cannot be enrolled.
    async fn obstacle(
        &self,
        pending: &Pending,
        account: &Value,
    ) -> Result<Option<String>, Unreachable> {
        let id = account["Id"].as_str().unwrap_or_default();
        if let Some(message) = is_suspended(account) {
            return Ok(Some(message));
        }
        if account["Name"].as_str() != pending.parameters.get(NAME).map(String::as_str) {
            let message = format!("Account {id} has the given e-mail address, but another name.");
            return Ok(Some(message));
        }
        let role = Role::named(id, EXECUTION_ROLE);
        let exists = roles::exists(&role, &self.tools.ministack, self.region).await?;
        let missing = || {
            format!(
                "AWS Control Tower cannot assume the role {EXECUTION_ROLE} in account {id}. Create the role, then try again."
            )
        };
        Ok((!exists).then(missing))
    }

    fn control_tower(&self) -> Caller {
        let account = self.management;
        Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:sts::{account}:{ADMIN_SESSION}"),
        }
    }
}

fn is_suspended(account: &Value) -> Option<String> {
    let id = account["Id"].as_str().unwrap_or_default();
    (account["Status"] != "ACTIVE").then(|| format!("Account {id} is suspended."))
}

fn tainted(account: String, message: String) -> Outcome {
    Outcome::Failed {
        account: Some(account),
        keeps: true,
        message,
    }
}
