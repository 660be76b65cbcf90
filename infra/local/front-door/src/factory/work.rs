//! What Account Factory does in the organization once the time of an operation has come.

use serde_json::{Value, json};

use super::Factory;
use super::request::{EMAIL, NAME, unit};
use super::store::{Begun, Change, Ending};
use crate::backend::Unreachable;
use crate::callers::Caller;
use crate::lock::lock;
use crate::organizations::Opened;
use crate::sts::{self, Role};

/// The role by which Control Tower works in an account; it makes it in those that it makes itself.
const EXECUTION_ROLE: &str = "AWSControlTowerExecution";

/// The role that Control Tower calls with, in the management account.
const ADMIN_SESSION: &str = "assumed-role/AWSControlTowerAdmin/AWSControlTower";

impl Factory {
    /// Carries out what has begun.
    pub(super) async fn work(&self, begun: &Begun) -> Result<Ending, Unreachable> {
        match begun.change {
            Change::Provision => self.make(begun).await,
            Change::Update => self.change(begun).await,
            Change::Terminate => self.let_go(begun).await,
        }
    }

    /// Makes an account, or enrols the one that has the address.
    async fn make(&self, begun: &Begun) -> Result<Ending, Unreachable> {
        let email = begun.parameters.get(EMAIL).map(String::as_str);
        let failure = self.tools.vending.failure(email.unwrap_or_default());
        if let Some(failure) = &failure
            && !failure.tainted
        {
            return Ok(Ending::Failed {
                account: None,
                keeps: false,
                message: failure.message.clone(),
            });
        }
        let ask = json!({
            "Email": email,
            "AccountName": begun.parameters.get(NAME),
            "RoleName": EXECUTION_ROLE,
        });
        let organizations = &self.tools.organizations;
        let account = match organizations.open(&ask).await? {
            Opened::New { id, answer } => {
                organizations.announce("CreateAccount", &self.control_tower(), &ask, &answer);
                let role = Role::named(&id, EXECUTION_ROLE);
                sts::make(&role, &self.management, &self.tools.ministack, &self.region).await?;
                id
            }
            Opened::Taken(account) => match self.may_enrol(begun, &account).await? {
                Ok(id) => id,
                Err(ending) => return Ok(ending),
            },
            Opened::Refused(answer) => {
                let message = answer.json()["message"].take();
                return Ok(Ending::Failed {
                    account: None,
                    keeps: false,
                    message: message.as_str().unwrap_or_default().to_owned(),
                });
            }
        };
        match failure {
            Some(failure) => Ok(half_done(account, failure.message)),
            None => self.settle(begun, account).await,
        }
    }

    /// Updates an account, or finishes one that was left half done.
    async fn change(&self, begun: &Begun) -> Result<Ending, Unreachable> {
        let product = &begun.product;
        let email = begun.parameters.get(EMAIL).map(String::as_str);
        let id = product.account.clone().unwrap_or_default();
        if let Some(failure) = self.tools.vending.failure(email.unwrap_or_default()) {
            return Ok(half_done(id, failure.message));
        }
        let accounts = self.tools.organizations.accounts().await?;
        let Some(account) = accounts.into_iter().find(|it| it["Id"] == id.as_str()) else {
            let message = format!("Account {id} is not in the organization.");
            return Ok(half_done(id, message));
        };
        let obstacle = match &product.last_successful_record {
            Some(_) => is_suspended(&account),
            None => self.obstacle(begun, &account).await?,
        };
        match obstacle {
            Some(message) => Ok(half_done(id, message)),
            None => self.settle(begun, id).await,
        }
    }

    /// Puts an account that is no longer managed back under the root.
    async fn let_go(&self, begun: &Begun) -> Result<Ending, Unreachable> {
        let product = &begun.product;
        if let (Some(account), Some(_)) = (&product.account, &product.last_successful_record)
            && let Some(root) = self.tools.organizations.root().await?
        {
            let caller = self.control_tower();
            let placed = self.tools.organizations.place(&caller, account, &root);
            if let Err(message) = placed.await? {
                tracing::warn!(account, message, "an account stays where it is");
            }
        }
        Ok(Ending::Gone)
    }

    /// Moves an account to where it is wanted.
    async fn settle(&self, begun: &Begun, account: String) -> Result<Ending, Unreachable> {
        // Checked when the operation was accepted.
        let destination = unit(&begun.parameters).map_or("", |(_, id)| id);
        let caller = self.control_tower();
        let placed = self
            .tools
            .organizations
            .place(&caller, &account, destination);
        Ok(match placed.await? {
            Ok(()) => Ending::Done { account },
            Err(message) => half_done(account, message),
        })
    }

    /// The id of an account that may be enrolled, or how it ends.
    async fn may_enrol(
        &self,
        begun: &Begun,
        account: &Value,
    ) -> Result<Result<String, Ending>, Unreachable> {
        let id = account["Id"].as_str().unwrap_or_default().to_owned();
        if lock(&self.store).is_enrolled(&id, &begun.product.id) {
            let message = format!("Account {id} is already enrolled in AWS Control Tower.");
            return Ok(Err(Ending::Failed {
                account: Some(id),
                keeps: false,
                message,
            }));
        }
        let obstacle = self.obstacle(begun, account).await?;
        Ok(match obstacle {
            Some(message) => Err(half_done(id, message)),
            None => Ok(id),
        })
    }

    /// Why an account cannot be enrolled.
    async fn obstacle(
        &self,
        begun: &Begun,
        account: &Value,
    ) -> Result<Option<String>, Unreachable> {
        let id = account["Id"].as_str().unwrap_or_default();
        if let Some(message) = is_suspended(account) {
            return Ok(Some(message));
        }
        if account["Name"].as_str() != begun.parameters.get(NAME).map(String::as_str) {
            let message = format!("Account {id} has the given e-mail address, but another name.");
            return Ok(Some(message));
        }
        let role = Role::named(id, EXECUTION_ROLE);
        let exists = sts::exists(&role, &self.tools.ministack, &self.region).await?;
        let missing = || {
            format!(
                "AWS Control Tower cannot assume the role {EXECUTION_ROLE} in account {id}. Create the role, then try again."
            )
        };
        Ok((!exists).then(missing))
    }

    fn control_tower(&self) -> Caller {
        let account = &self.management;
        Caller {
            account: account.clone(),
            arn: format!("arn:aws:sts::{account}:{ADMIN_SESSION}"),
        }
    }
}

fn is_suspended(account: &Value) -> Option<String> {
    let id = account["Id"].as_str().unwrap_or_default();
    (account["Status"] != "ACTIVE").then(|| format!("Account {id} is suspended."))
}

fn half_done(account: String, message: String) -> Ending {
    Ending::Failed {
        account: Some(account),
        keeps: true,
        message,
    }
}
