//! Reads a call, counts it, applies quotas and fault rules, and passes it to the service that answers it.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use crate::backend::{MOTO_ACCOUNT, Unreachable};
use crate::callers::{self, Caller};
use crate::operation::Operation;
use crate::problem::respond;
use crate::reply::{success, text_answer};
use crate::scope::Scope;
use crate::securityhub;
use crate::services::Services;
use crate::settings::Settings;
use crate::trail;
use crate::{clock, control};

/// What answers the calls of a service.
#[derive(Debug, Clone, Copy)]
enum Handler {
    AccountFactory,
    AccountManagement,
    Assignments,
    ControlTower,
    Organizations,
    SecurityHub,
}

/// Services by their name in the credential scope; `MiniStack` answers all others, or passes them on to moto.
const HANDLERS: &[(&str, Handler)] = &[
    ("account", Handler::AccountManagement),
    ("controltower", Handler::ControlTower),
    ("organizations", Handler::Organizations),
    ("securityhub", Handler::SecurityHub),
    ("servicecatalog", Handler::AccountFactory),
    ("sso", Handler::Assignments),
];

/// The header by which `MiniStack` says that no host of the service has a name in the Region.
const NO_HOST: &str = "x-orgkeeper-no-host";

/// A request that has been read.
struct Call {
    operation: Operation,
    scope: Option<Scope>,
    parts: Parts,
    body: Bytes,
}

/// The routes: the controls, and AWS calls everywhere else.
pub(crate) fn router(settings: Settings) -> Router {
    control::routes()
        .fallback(answer)
        .with_state(Arc::new(Services::new(settings)))
}

async fn answer(State(services): State<Arc<Services>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let message = format!("the request's body is incomplete: {error}");
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
    services.count_call(&name);
    let response = services.answer(call, &name).await;
    tracing::debug!(
        operation = name,
        status = response.status().as_u16(),
        "answered"
    );
    services.count_answer(&name, response.status());
    response
}

/// The answer, or one that breaks off before its first byte: then the connection is closed without an answer.
fn unless_without_host(response: Response) -> Response {
    if response.headers().contains_key(NO_HOST) {
        let too_long = Full::new(Bytes::from_static(b"--"));
        return Response::new(Body::new(Limited::new(too_long, 1)));
    }
    response
}

impl Services {
    async fn answer(&self, call: Call, name: &str) -> Response {
        let access_key = call.scope.as_ref().map(|scope| scope.access_key.as_str());
        if let Some(refusal) = self.quotas.refusal(name, access_key, Instant::now()) {
            return refusal.response(&call.operation);
        }
        if let Some(refusal) = self.apply_faults(name).await {
            return refusal.response(&call.operation);
        }
        match self.route(call).await {
            Ok(response) => response,
            Err(unreachable) => unreachable.response(),
        }
    }

    async fn route(&self, mut call: Call) -> Result<Response, Unreachable> {
        let service = call.operation.service.as_str();
        let Some((_, handler)) = HANDLERS.iter().find(|it| it.0 == service) else {
            let response = self.ministack.forward(&call.parts, call.body).await?;
            return Ok(unless_without_host(response));
        };
        if matches!(handler, Handler::SecurityHub) && !securityhub::has(&call.operation.name) {
            return self.pass_on_security_hub(&call).await;
        }
        let access_key = call.scope.as_ref().map(|it| it.access_key.as_str());
        let checked = self.callers.check(access_key, &call.parts, &call.body);
        let caller = match checked.await? {
            Ok(caller) => caller,
            Err(refusal) => return Ok(refusal),
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
        let region = scope
            .as_ref()
            .map_or(&self.settings.region, |it| &it.region);
        let input = body.clone();
        let response = match handler {
            Handler::Organizations => self.organizations.answer(&operation, &parts, body).await?,
            Handler::AccountManagement => {
                let contacts = &self.account_management;
                contacts
                    .answer(&operation, &caller, &mut parts, body)
                    .await?
            }
            Handler::AccountFactory => {
                let factory = &self.account_factory;
                let answer = factory.answer(&operation.name, &caller, &body).await;
                respond(&operation, answer)?
            }
            Handler::ControlTower => {
                let answer = self.control_tower.answer(&operation.name, &body).await;
                respond(&operation, answer)?
            }
            Handler::Assignments => {
                let assignments = &self.assignments;
                assignments.answer(&operation, region, &parts, body).await?
            }
            Handler::SecurityHub => self.security_hub(&operation, &caller, region, &body),
        };
        let Some(change) = trail::change(&operation) else {
            return Ok(response);
        };
        let answer = self.moto.read(response).await?;
        let call = trail::Call {
            caller: &caller,
            headers: &parts.headers,
            body: &input,
            answer: &answer,
        };
        self.trail.record(change, &call, clock::now());
        Ok(answer.into_response())
    }

    /// Lets moto answer, and notes what decides who sees which findings.
    async fn pass_on_security_hub(&self, call: &Call) -> Result<Response, Unreachable> {
        let answer = self
            .ministack
            .forward_and_read(&call.parts, call.body.clone());
        let answer = answer.await?;
        if answer.status == StatusCode::OK
            && let Some(caller) = callers::named(&answer.headers)
        {
            let name = &call.operation.name;
            self.security_hub.note(name, &caller.account, &call.body);
        }
        Ok(unless_without_host(answer.into_response()))
    }

    fn security_hub(
        &self,
        operation: &Operation,
        caller: &Caller,
        region: &str,
        body: &[u8],
    ) -> Response {
        let name = operation.full_name();
        let request = securityhub::Request {
            operation: &operation.name,
            account: &caller.account,
            region,
            body,
        };
        let fault = || {
            self.faults
                .apply_to_finding(&name, Instant::now(), rand::random)
        };
        match self.security_hub.answer(&request, fault) {
            Ok(body) => success(operation, &body),
            Err(refusal) => refusal.response(operation),
        }
    }
}
