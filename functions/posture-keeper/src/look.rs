//! One look at a setting: the calls that read it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use orgkeeper_shared::{aws_error::AwsCallError, ids::AccountId};
use serde_json::{Value, json};
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    gateway::{caller::NONE, members::Sessions},
    operation::{LIST_ROOTS, Operation, SECURITY_HUB_LIST_CONTROLS},
    wanted::Wanted,
};

/// The controls of a standard, and whether the Region has them.
pub type Controls = BTreeMap<String, bool>;

/// What the organization alone knows of an account.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its address.
    pub email: String,
    /// When it has joined.
    pub joined_at: Option<Timestamp>,
}

/// That of all accounts, by their ids.
pub type KnownAccounts = Arc<HashMap<String, Known>>;

/// For so long it is kept.
const ACCOUNTS_KNOWN: Duration = Duration::from_hours(1);

/// A standard in a Region.
type InRegion = (String, String);

/// What is the same for all accounts, and is read once.
#[derive(Debug, Default)]
pub struct ReadOnce {
    controls: Mutex<HashMap<InRegion, Arc<OnceCell<Controls>>>>,
    root: OnceCell<String>,
    accounts: Mutex<Option<(Instant, KnownAccounts)>>,
}

impl ReadOnce {
    /// What is known of accounts, if it is known of all these.
    pub fn accounts(&self, needed: &[String]) -> Option<KnownAccounts> {
        let known = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, accounts) = known.as_ref()?;
        let has_all = needed.iter().all(|account| accounts.contains_key(account));
        (has_all && since.elapsed() < ACCOUNTS_KNOWN).then(|| Arc::clone(accounts))
    }

    /// Keeps what was read of accounts.
    pub fn know(&self, accounts: &KnownAccounts) {
        let mut known = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), Arc::clone(accounts)));
    }
}

/// A look at a setting in one account and Region.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What it is to be.
    pub wanted: Wanted<'a>,
    /// The sessions.
    pub sessions: &'a Sessions<'a>,
    /// What is read once.
    pub read_once: &'a ReadOnce,
}

impl Look<'_> {
    /// Makes a call there.
    ///
    /// # Errors
    /// If it fails.
    pub async fn call(
        &self,
        operation: &'static Operation,
        parameters: &Value,
    ) -> Result<Value, AwsCallError> {
        let Wanted {
            account, region, ..
        } = self.wanted;
        let call = self.sessions.call(account, region, operation, parameters);
        call.await
    }

    /// The elements of a list there.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn list(
        &self,
        operation: &'static Operation,
        parameters: &Value,
        name: &str,
    ) -> Result<Vec<Value>, AwsCallError> {
        let Wanted {
            account, region, ..
        } = self.wanted;
        let list = self
            .sessions
            .list(account, region, operation, parameters, name);
        list.await
    }

    /// The id of the organization's root.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn root(&self) -> Result<String, AwsCallError> {
        let management: &AccountId = &self.wanted.organization.management;
        let here = self.wanted.here;
        let root = self.read_once.root.get_or_try_init(async || {
            let roots = self
                .sessions
                .list(management, here, &LIST_ROOTS, NONE, "Roots");
            let roots = roots.await?;
            let root = roots.first().and_then(|root| root["Id"].as_str());
            root.map(str::to_owned)
                .ok_or_else(|| AwsCallError::not_found(LIST_ROOTS.name, "no root"))
        });
        root.await.cloned()
    }

    /// The controls of a standard in this Region: read once, whichever account it is.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn controls(&self, standard: &str) -> Result<Controls, AwsCallError> {
        let key = (self.wanted.region.to_owned(), standard.to_owned());
        let controls = {
            let known = &self.read_once.controls;
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(key).or_default())
        };
        let parameters = json!({ "StandardsArn": standard, "MaxResults": 100 });
        let controls = controls.get_or_try_init(async || {
            let operation = &SECURITY_HUB_LIST_CONTROLS;
            let list = self.list(operation, &parameters, "SecurityControlDefinitions");
            let list = list.await?;
            let controls = list.iter().filter_map(|control| {
                let id = control["SecurityControlId"].as_str()?;
                let is_here = control["CurrentRegionAvailability"] != "UNAVAILABLE";
                Some((id.to_owned(), is_here))
            });
            Ok::<_, AwsCallError>(controls.collect())
        });
        controls.await.cloned()
    }
}
