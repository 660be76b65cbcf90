//! The alarms of an account: a test asks for their evaluation instead of waiting for a minute.

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::{Backend, OwnCall, Unreachable};
use crate::reply::json_answer;
use crate::scope::is_account_id;

/// Whose alarms are evaluated.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The management account if it is missing.
    account: Option<String>,
    region: Option<String>,
}

/// Reads `{"account": "111122223333", "region": "eu-west-1"}`, or nothing; the error explains what is wrong.
pub(crate) fn place(body: &[u8]) -> Result<Place, String> {
    if body.is_empty() {
        return Ok(Place::default());
    }
    let place: Place = serde_json::from_slice(body).map_err(|error| {
        format!("{error}; a place looks like {{\"account\": \"111122223333\", \"region\": \"eu-west-1\"}}")
    })?;
    match &place.account {
        Some(account) if !is_account_id(account) => Err("an account id has 12 digits".to_owned()),
        _ => Ok(place),
    }
}

/// Evaluates them, and answers with the names of those whose state changed.
pub(crate) async fn evaluate(
    ministack: &Backend,
    (account, region): (&str, &str),
    place: &Place,
) -> Result<Response, Unreachable> {
    let call = OwnCall {
        account: place.account.as_deref().unwrap_or(account),
        region: place.region.as_deref().unwrap_or(region),
        service: "monitoring",
        content_type: "application/x-amz-json-1.0",
        target: "GraniteServiceVersion20100801.EvaluateAlarms",
        body: "{}".to_owned(),
    };
    let answer = ministack.call(call).await?;
    let Value::Array(changed) = answer.json()["Changed"].take() else {
        return Ok(answer.into_response());
    };
    Ok(json_answer(StatusCode::OK, &json!({ "changed": changed })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_account_and_a_region() {
        assert_eq!(place(b""), Ok(Place::default()));
        let here = place(br#"{"account": "111122223333", "region": "eu-west-1"}"#).unwrap();
        assert_eq!(here.region.as_deref(), Some("eu-west-1"));
        for bad in [r#"{"account": "1"}"#, r#"{"acount": "111122223333"}"#, "1"] {
            assert!(place(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
