//! The queues' clock: a test moves it forward instead of waiting for a visibility timeout.

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::{Backend, OwnCall, Unreachable};
use crate::reply::json_answer;

/// The longest retention of SQS: after that no message is left.
const MOST_SECONDS: u32 = 14 * 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u32,
}

/// Reads the number of seconds from `{"seconds": 181}`; the error explains what is wrong.
pub(crate) fn seconds(body: &[u8]) -> Result<u32, String> {
    match serde_json::from_slice(body) {
        Ok(Advance { seconds }) if (1..=MOST_SECONDS).contains(&seconds) => Ok(seconds),
        Ok(_) => Err(format!(
            "seconds must be from 1 to {MOST_SECONDS}: the clock only moves forward"
        )),
        Err(error) => Err(format!(
            "{error}; an advance looks like {{\"seconds\": 181}}"
        )),
    }
}

/// Moves the clock forward, and answers with the sum of all moves; 0 only reads the sum.
pub(crate) async fn advance(
    ministack: &Backend,
    (account, region): (&str, &str),
    seconds: u32,
) -> Result<Response, Unreachable> {
    let call = OwnCall {
        account,
        region,
        service: "sqs",
        content_type: "application/x-amz-json-1.0",
        target: "AmazonSQS.AdvanceClock",
        body: json!({ "Seconds": seconds }).to_string(),
    };
    let answer = ministack.call(call).await?;
    let Value::Number(advanced) = answer.json()["AdvancedSeconds"].take() else {
        return Ok(answer.into_response());
    };
    Ok(json_answer(
        StatusCode::OK,
        &json!({ "advanced_seconds": advanced }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_forward_by_whole_seconds() {
        assert_eq!(seconds(br#"{"seconds": 181}"#), Ok(181));
        for bad in [
            r#"{"seconds": 0}"#,
            r#"{"seconds": -5}"#,
            r#"{"seconds": 1.5}"#,
            r#"{"seconds": 1209601}"#,
            r#"{"second": 5}"#,
            "",
        ] {
            assert!(seconds(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
