//! A call's way through the door: read it, count it, let a fault rule strike it, route it.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;

use crate::account::AccountManagement;
use crate::assignments::Assignments;
use crate::backend::{Backend, MOTO_ACCOUNT, Unreachable};
use crate::bus::Bus;
use crate::callers::{Caller, Callers};
use crate::calls::Calls;
use crate::controltower::ControlTower;
use crate::delivery::Delivery;
use crate::factory::{Factory, Tools};
use crate::faults::Faults;
use crate::operation::Operation;
use crate::organizations::Organizations;
use crate::problem::respond;
use crate::reply::{Refusal, success, text_answer};
use crate::scope::Scope;
use crate::securityhub::{self, SecurityHub};
use crate::slack::Slack;
use crate::trail::{self, Trail};
use crate::vending::Vending;
use crate::{Settings, clock, control, lambda, sts};

/// Who answers a service.
#[derive(Debug, Clone, Copy)]
enum Place {
    AccountFactory,
    AccountManagement,
    Assignments,
    ControlTower,
    Moto,
    Organizations,
    SecurityHub,
}

/// Services by the name in the credential scope; `MiniStack` answers all others.
const PLACES: &[(&str, Place)] = &[
    ("account", Place::AccountManagement),
    ("budgets", Place::Moto),
    ("config", Place::Moto),
    ("controltower", Place::ControlTower),
    ("identitystore", Place::Moto),
    ("organizations", Place::Organizations),
    ("securityhub", Place::SecurityHub),
    ("servicecatalog", Place::AccountFactory),
    ("sso", Place::Assignments),
];

/// Everything behind the door.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) ministack: Backend,
    pub(crate) moto: Backend,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    pub(crate) slack: Slack,
    pub(crate) vending: Arc<Vending>,
    pub(crate) assignments: Arc<Assignments>,
    settings: Settings,
    callers: Callers,
    organizations: Arc<Organizations>,
    account_management: AccountManagement,
    account_factory: Arc<Factory>,
    control_tower: ControlTower,
    security_hub: SecurityHub,
    trail: Arc<Trail>,
}

/// A request that has been read.
struct Call {
    operation: Operation,
    scope: Option<Scope>,
    parts: Parts,
    body: Bytes,
}

/// The routes of a door with these settings.
pub(crate) fn router(settings: Settings) -> Router {
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
    let account_factory = Arc::new(Factory::new(management, region, tools));
    let door = Door {
        callers: Callers::new(management),
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
        calls: Calls::default(),
        slack: Slack::default(),
        ministack,
        moto,
        settings,
    };
    control::routes()
        .fallback(answer)
        .with_state(Arc::new(door))
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let message = format!("the request's body broke off: {error}");
            return text_answer(StatusCode::BAD_REQUEST, message);
        }
    };
    let scope = Scope::read(&parts.headers, &parts.uri);
    let operation = Operation::read(
        &parts.method,
        &parts.uri,
        &parts.headers,
        scope.as_ref(),
        &body,
    );
    let name = operation.full_name();
    let call = Call {
        operation,
        scope,
        parts,
        body,
    };
    door.came(&name);
    let response = door.answer(call, &name).await;
    tracing::debug!(
        operation = name,
        status = response.status().as_u16(),
        "answered"
    );
    door.answered(&name, response.status());
    response
}

impl Door {
    /// Counts a call that has come.
    pub(crate) fn came(&self, operation: &str) {
        self.calls.came(operation, clock::now().as_second());
    }

    /// Counts a call that was answered.
    pub(crate) fn answered(&self, operation: &str, status: StatusCode) {
        if status.is_client_error() || status.is_server_error() {
            self.calls.refused(operation);
        }
    }

    /// Waits as long as the fault rules want, and gives their error.
    pub(crate) async fn strike(&self, operation: &str) -> Option<Refusal> {
        let strike = self.faults.strike(operation, Instant::now(), rand::random);
        if !strike.delay.is_zero() {
            tokio::time::sleep(strike.delay).await;
        }
        strike.refusal
    }

    async fn answer(&self, call: Call, name: &str) -> Response {
        if let Some(refusal) = self.strike(name).await {
            return refusal.response(&call.operation);
        }
        match self.route(call).await {
            Ok(response) => response,
            Err(unreachable) => unreachable.response(),
        }
    }

    async fn route(&self, mut call: Call) -> Result<Response, Unreachable> {
        let service = call.operation.service.as_str();
        let Some((_, place)) = PLACES.iter().find(|it| it.0 == service) else {
            return self.ministack(call).await;
        };
        if let Ok(value) = HeaderValue::from_str(&self.settings.management_account) {
            call.parts.headers.insert(MOTO_ACCOUNT, value);
        }
        let Call {
            operation,
            mut parts,
            body,
            ref scope,
        } = call;
        let caller = self
            .callers
            .of(scope.as_ref().map(|it| it.access_key.as_str()));
        let region = scope
            .as_ref()
            .map_or(&self.settings.region, |it| &it.region);
        let asked = body.clone();
        let response = match place {
            Place::Moto => self.moto.forward(&parts, body).await?,
            Place::Organizations => self.organizations.answer(&operation, &parts, body).await?,
            Place::AccountManagement => {
                let contacts = &self.account_management;
                contacts
                    .answer(&operation, &caller, &mut parts, body)
                    .await?
            }
            Place::AccountFactory => {
                let factory = &self.account_factory;
                let answer = factory.answer(&operation.name, &caller, &body).await;
                respond(&operation, answer)?
            }
            Place::ControlTower => {
                let answer = self.control_tower.answer(&operation.name, &body).await;
                respond(&operation, answer)?
            }
            Place::Assignments => {
                let assignments = &self.assignments;
                assignments.answer(&operation, region, &parts, body).await?
            }
            Place::SecurityHub => self.security_hub(&operation, &caller, region, &body),
        };
        let Some(change) = trail::change(&operation) else {
            return Ok(response);
        };
        let answer = self.moto.read(response).await?;
        let call = trail::Call {
            caller: &caller,
            headers: &parts.headers,
            body: &asked,
            answer: &answer,
        };
        self.trail.record(change, &call, clock::now());
        Ok(answer.into_response())
    }

    fn security_hub(
        &self,
        operation: &Operation,
        caller: &Caller,
        region: &str,
        body: &[u8],
    ) -> Response {
        let name = operation.full_name();
        let ask = securityhub::Ask {
            operation: &operation.name,
            account: &caller.account,
            region,
            body,
        };
        let strike = || {
            self.faults
                .strike_finding(&name, Instant::now(), rand::random)
        };
        match self.security_hub.answer(&ask, strike) {
            Ok(body) => success(operation, &body),
            Err(refusal) => refusal.response(operation),
        }
    }

    async fn ministack(&self, call: Call) -> Result<Response, Unreachable> {
        let Call {
            operation,
            scope,
            mut parts,
            body,
        } = call;
        let access_key = scope.as_ref().map(|it| it.access_key.as_str());
        match (operation.service.as_str(), operation.name.as_str()) {
            ("sts", "AssumeRole") => {
                let region = &self.settings.region;
                if let Some(role) = sts::wanted_role(&body)
                    && !sts::exists(&role, &self.ministack, region).await?
                {
                    let caller = self.callers.of(access_key);
                    return Ok(sts::refusal(&caller, &role).response(&operation));
                }
                let answer = self.ministack.ask(&parts, body).await?;
                if let Some((key, caller)) = sts::opened_session(&answer.body) {
                    self.callers.remember(key, caller);
                }
                return Ok(answer.into_response());
            }
            // Before the event goes out: who receives it may ask for the finding at once.
            ("events", "PutEvents") => self.security_hub.learn(&body),
            ("lambda", _) => {
                if let Some(account) = lambda::function_account(parts.uri.path())
                    && account != self.callers.of(access_key).account
                {
                    lambda::call_as(&mut parts.headers, &account);
                }
            }
            _ => {}
        }
        self.ministack.forward(&parts, body).await
    }
}
