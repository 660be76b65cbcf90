//! `/_orgkeeper/…`: what tests set and read while the local cloud runs.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::alarms;
use crate::clock;
use crate::credentials;
use crate::faults::Definition;
use crate::queue_clock;
use crate::reply::{json_answer, text_answer};
use crate::service_events;
use crate::services::Services;
use crate::slack;

/// The operation name of posts to Slack, for counts and faults.
const SLACK_POST: &str = "slack.Post";

/// The routes; every other path is an AWS call.
pub(crate) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/_orgkeeper/health", get(health))
        .route(
            "/_orgkeeper/faults",
            get(list_faults).post(set_fault).delete(clear_faults),
        )
        .route("/_orgkeeper/faults/{id}", delete(remove_fault))
        .route("/_orgkeeper/calls", get(list_calls).delete(reset_calls))
        .route(
            "/_orgkeeper/account-factory",
            get(show_account_factory)
                .post(set_account_factory)
                .put(set_account_factory)
                .delete(reset_account_factory),
        )
        .route(
            "/_orgkeeper/factory",
            get(show_account_factory)
                .post(set_account_factory)
                .put(set_account_factory)
                .delete(reset_account_factory),
        )
        .route(
            "/_orgkeeper/assignments",
            get(show_assignments)
                .post(set_assignments)
                .put(set_assignments)
                .delete(reset_assignments),
        )
        .route(
            "/_orgkeeper/organization",
            get(show_organization)
                .post(set_organization)
                .delete(reset_organization),
        )
        .route("/_orgkeeper/credentials", post(age_credentials))
        .route("/_orgkeeper/events", post(send_events))
        .route("/_orgkeeper/alarms", post(evaluate_alarms))
        .route("/_orgkeeper/clock", get(show_clock).post(advance_clock))
        .route(
            "/_orgkeeper/quotas",
            get(show_quotas).post(set_quotas).delete(reset_quotas),
        )
        .route("/_orgkeeper/slack", get(list_slack).delete(clear_slack))
        .route(
            "/_orgkeeper/slack-answers",
            get(list_slack_answers)
                .post(set_slack_answers)
                .delete(reset_slack_answers),
        )
        .route("/_orgkeeper/slack/{channel}", post(post_slack))
        .route("/_orgkeeper/posture", any(posture))
        .route("/_orgkeeper/posture/{part}", any(posture))
        .route("/_orgkeeper/{*rest}", get(unknown).post(unknown))
}

async fn health(State(services): State<Arc<Services>>) -> Response {
    let (ministack, moto) = tokio::join!(
        services.ministack.health("/_ministack/health"),
        services.moto.health("/moto-api/")
    );
    let status = if ministack.is_ok() && moto.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let state =
        |it: Result<(), _>| it.map_or_else(|error| format!("{error}"), |()| "ok".to_owned());
    let body = json!({"ministack": state(ministack), "moto": state(moto)});
    json_answer(status, &body)
}

async fn set_fault(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    match Definition::read(&body) {
        Ok(definition) => {
            let rule = services.faults.set(definition, Instant::now());
            json_answer(StatusCode::CREATED, &rule)
        }
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn list_faults(State(services): State<Arc<Services>>) -> Response {
    let faults = services.faults.list(Instant::now());
    json_answer(StatusCode::OK, &json!({"faults": faults}))
}

async fn clear_faults(State(services): State<Arc<Services>>) -> StatusCode {
    services.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(services): State<Arc<Services>>, Path(id): Path<String>) -> Response {
    if services.faults.remove(&id) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let error = format!("there is no rule {id}; GET /_orgkeeper/faults lists them");
    json_answer(StatusCode::NOT_FOUND, &json!({"error": error}))
}

async fn list_calls(State(services): State<Arc<Services>>) -> Response {
    json_answer(StatusCode::OK, &services.calls.report())
}

async fn reset_calls(State(services): State<Arc<Services>>) -> StatusCode {
    services.calls.reset();
    StatusCode::NO_CONTENT
}

async fn show_clock(State(services): State<Arc<Services>>) -> Response {
    move_clock(&services, 0).await
}

async fn advance_clock(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    match queue_clock::seconds(&body) {
        Ok(seconds) => move_clock(&services, seconds).await,
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn move_clock(services: &Services, seconds: u32) -> Response {
    queue_clock::advance(&services.ministack, services.home(), seconds)
        .await
        .unwrap_or_else(|unreachable| unreachable.response())
}

async fn age_credentials(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    let age = match credentials::age(&body) {
        Ok(age) => age,
        Err(sentence) => {
            return json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence}));
        }
    };
    credentials::make_older(&services.ministack, &services.settings.region, &age)
        .await
        .unwrap_or_else(|unreachable| unreachable.response())
}

async fn send_events(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    let entries = match service_events::entries(&body) {
        Ok(entries) => entries,
        Err(sentence) => {
            return json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence}));
        }
    };
    // Stored before the event is sent, because its receiver may read the finding at once.
    services.security_hub.import_events(&entries);
    service_events::send(&services.ministack, services.home(), &entries)
        .await
        .unwrap_or_else(|unreachable| unreachable.response())
}

async fn evaluate_alarms(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    match alarms::place(&body) {
        Ok(place) => alarms::evaluate(&services.ministack, services.home(), &place)
            .await
            .unwrap_or_else(|unreachable| unreachable.response()),
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn show_quotas(State(services): State<Arc<Services>>) -> Response {
    json_answer(StatusCode::OK, &services.quotas.report())
}

async fn set_quotas(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    settings_answer(services.quotas.set(&body), || services.quotas.report())
}

async fn reset_quotas(State(services): State<Arc<Services>>) -> StatusCode {
    services.quotas.reset();
    StatusCode::NO_CONTENT
}

async fn show_account_factory(State(services): State<Arc<Services>>) -> Response {
    json_answer(StatusCode::OK, &services.vending.report())
}

async fn set_account_factory(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    settings_answer(services.vending.set(&body), || services.vending.report())
}

async fn reset_account_factory(State(services): State<Arc<Services>>) -> StatusCode {
    services.vending.reset();
    StatusCode::NO_CONTENT
}

async fn show_assignments(State(services): State<Arc<Services>>) -> Response {
    json_answer(StatusCode::OK, &services.assignments.report())
}

async fn set_assignments(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    settings_answer(services.assignments.set(&body), || {
        services.assignments.report()
    })
}

async fn reset_assignments(State(services): State<Arc<Services>>) -> StatusCode {
    services.assignments.reset();
    StatusCode::NO_CONTENT
}

async fn show_organization(State(services): State<Arc<Services>>) -> Response {
    json_answer(StatusCode::OK, &services.organizations.features.report())
}

async fn set_organization(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    let features = &services.organizations.features;
    settings_answer(features.set(&body), || features.report())
}

async fn reset_organization(State(services): State<Arc<Services>>) -> StatusCode {
    services.organizations.features.reset();
    StatusCode::NO_CONTENT
}

fn settings_answer(set: Result<(), String>, report: impl Fn() -> Value) -> Response {
    match set {
        Ok(()) => json_answer(StatusCode::OK, &report()),
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn list_slack(State(services): State<Arc<Services>>) -> Response {
    json_answer(
        StatusCode::OK,
        &json!({"messages": services.slack.messages()}),
    )
}

async fn clear_slack(State(services): State<Arc<Services>>) -> StatusCode {
    services.slack.clear();
    StatusCode::NO_CONTENT
}

async fn list_slack_answers(State(services): State<Arc<Services>>) -> Response {
    json_answer(
        StatusCode::OK,
        &services.slack.answers.report(Instant::now()),
    )
}

async fn set_slack_answers(State(services): State<Arc<Services>>, body: Bytes) -> Response {
    let now = Instant::now();
    let answers = &services.slack.answers;
    settings_answer(answers.set(&body, now), || answers.report(now))
}

async fn reset_slack_answers(State(services): State<Arc<Services>>) -> StatusCode {
    services.slack.answers.reset();
    StatusCode::NO_CONTENT
}

async fn post_slack(
    State(services): State<Arc<Services>>,
    Path(channel): Path<String>,
    body: Bytes,
) -> Response {
    services.count_call(SLACK_POST);
    let response = receive(&services, &channel, &body).await;
    services.count_answer(SLACK_POST, response.status());
    response
}

async fn receive(services: &Services, channel: &str, body: &[u8]) -> Response {
    if let Some(refusal) = services.apply_faults(SLACK_POST).await {
        let status = refusal.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let seconds = (status == StatusCode::TOO_MANY_REQUESTS).then_some(1);
        return slack_answer(status, refusal.message, seconds);
    }
    if let Some(outage) = services.slack.answers.current(Instant::now()) {
        return slack_answer(outage.status, outage.word.to_owned(), outage.retry_after);
    }
    let message = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if let Some(word) = slack::refusal(&message) {
        return slack_answer(StatusCode::BAD_REQUEST, word.to_owned(), None);
    }
    services.slack.store(channel, &message, clock::now());
    slack_answer(StatusCode::OK, "ok".to_owned(), None)
}

fn slack_answer(status: StatusCode, word: String, retry_after: Option<u64>) -> Response {
    let mut response = text_answer(status, word);
    if let Some(seconds) = retry_after {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The stand-ins of the organization's security services are in moto.
async fn posture(State(services): State<Arc<Services>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return text_answer(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let answer = services.moto.forward(&parts, body).await;
    answer.unwrap_or_else(|unreachable| unreachable.response())
}

async fn unknown(Path(rest): Path<String>) -> Response {
    let error = format!(
        "there is no /_orgkeeper/{rest}; there are health, faults, quotas, calls, clock, events, alarms, credentials, account-factory, assignments, organization, posture, slack and slack-answers"
    );
    json_answer(StatusCode::NOT_FOUND, &json!({"error": error}))
}
