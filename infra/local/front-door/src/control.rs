//! `/_orgkeeper/…`: what a test sets and reads while the local cloud runs.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

use crate::clock;
use crate::door::Door;
use crate::faults::Wanted;
use crate::reply::{json_answer, text_answer};
use crate::slack;

/// The name under which posts to Slack are counted and faulted.
const SLACK_POST: &str = "slack.Post";

/// The routes; every other path is an AWS call.
pub(crate) fn routes() -> Router<Arc<Door>> {
    Router::new()
        .route("/_orgkeeper/health", get(health))
        .route(
            "/_orgkeeper/faults",
            get(list_faults).post(set_fault).delete(clear_faults),
        )
        .route("/_orgkeeper/faults/{id}", delete(remove_fault))
        .route("/_orgkeeper/calls", get(list_calls).delete(reset_calls))
        .route(
            "/_orgkeeper/factory",
            get(show_factory)
                .post(set_factory)
                .put(set_factory)
                .delete(reset_factory),
        )
        .route(
            "/_orgkeeper/assignments",
            get(show_assignments)
                .post(set_assignments)
                .put(set_assignments)
                .delete(reset_assignments),
        )
        .route("/_orgkeeper/slack", get(list_slack).delete(clear_slack))
        .route(
            "/_orgkeeper/slack-answers",
            get(list_slack_answers)
                .post(set_slack_answers)
                .delete(reset_slack_answers),
        )
        .route("/_orgkeeper/slack/{channel}", post(post_slack))
        .route("/_orgkeeper/{*rest}", get(unknown).post(unknown))
}

async fn health(State(door): State<Arc<Door>>) -> Response {
    let (ministack, moto) = tokio::join!(
        door.ministack.health("/_ministack/health"),
        door.moto.health("/moto-api/")
    );
    let status = if ministack.is_ok() && moto.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let say = |it: Result<(), _>| it.map_or_else(|error| format!("{error}"), |()| "ok".to_owned());
    let body = json!({"ministack": say(ministack), "moto": say(moto)});
    json_answer(status, &body)
}

async fn set_fault(State(door): State<Arc<Door>>, body: Bytes) -> Response {
    match Wanted::read(&body) {
        Ok(wanted) => {
            let rule = door.faults.set(wanted, Instant::now());
            json_answer(StatusCode::CREATED, &rule)
        }
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn list_faults(State(door): State<Arc<Door>>) -> Response {
    let faults = door.faults.list(Instant::now());
    json_answer(StatusCode::OK, &json!({"faults": faults}))
}

async fn clear_faults(State(door): State<Arc<Door>>) -> StatusCode {
    door.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(door): State<Arc<Door>>, Path(id): Path<String>) -> Response {
    if door.faults.remove(&id) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let error = format!("there is no rule {id}; GET /_orgkeeper/faults lists them");
    json_answer(StatusCode::NOT_FOUND, &json!({"error": error}))
}

async fn list_calls(State(door): State<Arc<Door>>) -> Response {
    json_answer(StatusCode::OK, &door.calls.report())
}

async fn reset_calls(State(door): State<Arc<Door>>) -> StatusCode {
    door.calls.reset();
    StatusCode::NO_CONTENT
}

async fn show_factory(State(door): State<Arc<Door>>) -> Response {
    json_answer(StatusCode::OK, &door.vending.report())
}

async fn set_factory(State(door): State<Arc<Door>>, body: Bytes) -> Response {
    settings_answer(door.vending.set(&body), || door.vending.report())
}

async fn reset_factory(State(door): State<Arc<Door>>) -> StatusCode {
    door.vending.reset();
    StatusCode::NO_CONTENT
}

async fn show_assignments(State(door): State<Arc<Door>>) -> Response {
    json_answer(StatusCode::OK, &door.assignments.report())
}

async fn set_assignments(State(door): State<Arc<Door>>, body: Bytes) -> Response {
    settings_answer(door.assignments.set(&body), || door.assignments.report())
}

async fn reset_assignments(State(door): State<Arc<Door>>) -> StatusCode {
    door.assignments.reset();
    StatusCode::NO_CONTENT
}

fn settings_answer(set: Result<(), String>, report: impl Fn() -> Value) -> Response {
    match set {
        Ok(()) => json_answer(StatusCode::OK, &report()),
        Err(sentence) => json_answer(StatusCode::BAD_REQUEST, &json!({"error": sentence})),
    }
}

async fn list_slack(State(door): State<Arc<Door>>) -> Response {
    json_answer(StatusCode::OK, &json!({"messages": door.slack.messages()}))
}

async fn clear_slack(State(door): State<Arc<Door>>) -> StatusCode {
    door.slack.clear();
    StatusCode::NO_CONTENT
}

async fn list_slack_answers(State(door): State<Arc<Door>>) -> Response {
    json_answer(StatusCode::OK, &door.slack.answers.report(Instant::now()))
}

async fn set_slack_answers(State(door): State<Arc<Door>>, body: Bytes) -> Response {
    let now = Instant::now();
    let answers = &door.slack.answers;
    settings_answer(answers.set(&body, now), || answers.report(now))
}

async fn reset_slack_answers(State(door): State<Arc<Door>>) -> StatusCode {
    door.slack.answers.reset();
    StatusCode::NO_CONTENT
}

async fn post_slack(
    State(door): State<Arc<Door>>,
    Path(channel): Path<String>,
    body: Bytes,
) -> Response {
    door.came(SLACK_POST);
    let response = receive(&door, &channel, &body).await;
    door.answered(SLACK_POST, response.status());
    response
}

async fn receive(door: &Door, channel: &str, body: &[u8]) -> Response {
    if let Some(refusal) = door.strike(SLACK_POST).await {
        let status = refusal.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let seconds = (status == StatusCode::TOO_MANY_REQUESTS).then_some(1);
        return slack_answer(status, refusal.message, seconds);
    }
    if let Some(bad) = door.slack.answers.playing(Instant::now()) {
        return slack_answer(bad.status, bad.word.to_owned(), bad.retry_after);
    }
    let message = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if let Some(word) = slack::refusal(&message) {
        return slack_answer(StatusCode::BAD_REQUEST, word.to_owned(), None);
    }
    door.slack.keep(channel, &message, clock::now());
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

async fn unknown(Path(rest): Path<String>) -> Response {
    let error = format!(
        "there is no /_orgkeeper/{rest}; there are health, faults, calls, factory, assignments, slack and slack-answers"
    );
    json_answer(StatusCode::NOT_FOUND, &json!({"error": error}))
}
