//! What the front door passes calls to: the emulators and its own services, with faults and counts.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use crate::account::AccountManagement;
use crate::account_factory::{AccountFactory, Tools};
use crate::assignments::Assignments;
use crate::backend::Backend;
use crate::bus::Bus;
use crate::callers::Callers;
use crate::calls::Calls;
use crate::clock;
use crate::controltower::ControlTower;
use crate::delivery::Delivery;
use crate::faults::Faults;
use crate::organizations::Organizations;
use crate::quotas::Quotas;
use crate::reply::Refusal;
use crate::securityhub::SecurityHub;
use crate::settings::Settings;
use crate::slack::Slack;
use crate::trail::Trail;
use crate::vending::Vending;

/// All services, and what tests set and read.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) ministack: Backend,
    pub(crate) moto: Backend,
    pub(crate) faults: Faults,
    pub(crate) quotas: Quotas,
    pub(crate) calls: Calls,
    pub(crate) slack: Slack,
    pub(crate) vending: Arc<Vending>,
    pub(crate) assignments: Arc<Assignments>,
    pub(crate) settings: Settings,
    pub(crate) callers: Callers,
    pub(crate) organizations: Arc<Organizations>,
    pub(crate) account_management: AccountManagement,
    pub(crate) account_factory: Arc<AccountFactory>,
    pub(crate) control_tower: ControlTower,
    pub(crate) security_hub: SecurityHub,
    pub(crate) trail: Arc<Trail>,
}

impl Services {
    /// The services with these settings and without data.
    pub(crate) fn new(settings: Settings) -> Self {
        let ministack = Backend::new("MiniStack", &settings.ministack);
        let moto = Backend::new("moto", &settings.moto);
        let (management, region) = (&*settings.management_account, &*settings.region);
        let home = (management, region);
        let bus = Bus::open(ministack.clone(), management, region);
        let vending = Arc::new(Vending::default());
        let delivery = Delivery::new(bus.clone(), Arc::clone(&vending));
        let trail = Arc::new(Trail::new(management, bus.clone(), delivery.clone()));
        let organizations = Arc::new(Organizations::new(
            moto.clone(),
            home,
            Arc::clone(&trail),
            Arc::clone(&vending),
        ));
        let tools = Tools {
            organizations: Arc::clone(&organizations),
            ministack: ministack.clone(),
            delivery,
            vending: Arc::clone(&vending),
        };
        let account_factory = Arc::new(AccountFactory::new(management, region, tools));
        Self {
            callers: Callers::new(management, ministack.clone()),
            account_management: AccountManagement::new(moto.clone(), management),
            account_factory: Arc::clone(&account_factory),
            assignments: Arc::new(Assignments::new(
                moto.clone(),
                management,
                Arc::clone(&organizations),
            )),
            control_tower: ControlTower::new(
                home,
                Arc::clone(&organizations),
                account_factory,
                Arc::clone(&vending),
            ),
            security_hub: SecurityHub::new(management, bus),
            organizations,
            trail,
            vending,
            faults: Faults::default(),
            quotas: Quotas::default(),
            calls: Calls::default(),
            slack: Slack::default(),
            ministack,
            moto,
            settings,
        }
    }

    /// The management account and the Region of the local cloud.
    pub(crate) fn home(&self) -> (&str, &str) {
        (&self.settings.management_account, &self.settings.region)
    }

    /// Counts a call that has arrived.
    pub(crate) fn count_call(&self, operation: &str) {
        self.calls.count(operation, clock::now().as_second());
    }

    /// Counts a call that was answered.
    pub(crate) fn count_answer(&self, operation: &str, status: StatusCode) {
        if status.is_client_error() || status.is_server_error() {
            self.calls.count_refused(operation);
        }
    }

    /// Waits as long as the fault rules say, and returns their error.
    pub(crate) async fn apply_faults(&self, operation: &str) -> Option<Refusal> {
        let effect = self.faults.apply(operation, Instant::now(), rand::random);
        if !effect.delay.is_zero() {
            tokio::time::sleep(effect.delay).await;
        }
        effect.refusal
    }
}
