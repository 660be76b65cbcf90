//! Account requests: pending and failed ones. moto knows only accounts that exist.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::pages::Paging;
use crate::reply::Refusal;
use crate::vending::Failure;

const PAGING: Paging = Paging {
    list: "ListCreateAccountStatus",
    size: "MaxResults",
    token: "NextToken",
    sizes: 1..=20,
    default: 20,
};

const STATES: &[&str] = &["IN_PROGRESS", "SUCCEEDED", "FAILED"];

/// AWS's reason of an internal failure.
pub(super) const INTERNAL_FAILURE: &str = "INTERNAL_FAILURE";
pub(super) const EMAIL_ALREADY_EXISTS: &str = "EMAIL_ALREADY_EXISTS";

/// The account requests that moto does not know.
#[derive(Debug, Default)]
pub(super) struct Requests {
    statuses: Vec<Value>,
    /// moto's ids of requests that have another id here, from before moto had the account.
    hidden: HashSet<String>,
}

impl Requests {
    /// A new request, in progress.
    pub(super) fn open(&mut self, account_name: &Value, now: Timestamp) -> Value {
        let status = json!({
            "Id": format!("car-{}", Uuid::new_v4().simple()),
            "AccountName": account_name,
            "State": "IN_PROGRESS",
            "RequestedTimestamp": seconds(now),
        });
        self.statuses.push(status.clone());
        status
    }

    /// Finishes a request with the account's id or the reason of the failure.
    pub(super) fn end(
        &mut self,
        id: &Value,
        outcome: &Result<String, String>,
        now: Timestamp,
    ) -> Value {
        let Some(status) = self.statuses.iter_mut().find(|it| it["Id"] == *id) else {
            return Value::Null;
        };
        status["CompletedTimestamp"] = json!(seconds(now));
        match outcome {
            Ok(account) => {
                status["State"] = json!("SUCCEEDED");
                status["AccountId"] = json!(account);
            }
            Err(reason) => {
                status["State"] = json!("FAILED");
                status["FailureReason"] = json!(reason);
            }
        }
        status.clone()
    }

    /// Hides a request that moto lists and that has another id here.
    pub(super) fn hide(&mut self, status: &Value) {
        if let Some(id) = status["Id"].as_str() {
            self.hidden.insert(id.to_owned());
        }
    }

    /// The request with this id; `None` if moto may know it.
    pub(super) fn find(&self, id: &Value) -> Option<Value> {
        self.statuses.iter().find(|it| it["Id"] == *id).cloned()
    }

    /// `ListCreateAccountStatus`, together with moto's requests.
    pub(super) fn list(&self, input: &Value, of_moto: Vec<Value>) -> Result<Value, Refusal> {
        let invalid = |message| Refusal::new("InvalidInputException", message);
        let page = PAGING.read(input).map_err(invalid)?;
        let wanted = match input["States"].as_array() {
            Some(states) if !states.is_empty() => states.clone(),
            _ => STATES.iter().map(|it| json!(it)).collect(),
        };
        let is_hidden = |status: &Value| {
            let id = status["Id"].as_str();
            id.is_some_and(|id| self.hidden.contains(id))
        };
        let of_moto = of_moto.into_iter().filter(|it| !is_hidden(it));
        let mut all: Vec<Value> = of_moto.chain(self.statuses.iter().cloned()).collect();
        let requested = |status: &Value| status["RequestedTimestamp"].as_f64().unwrap_or_default();
        all.sort_by(|one, other| requested(one).total_cmp(&requested(other)));
        let wanted = (0..)
            .zip(all)
            .filter(|(_, status)| wanted.contains(&status["State"]));
        let (statuses, next) = PAGING.cut(page, wanted);
        let mut answer = json!({"CreateAccountStatuses": statuses});
        if let Some(token) = next {
            answer["NextToken"] = json!(token);
        }
        Ok(answer)
    }
}

/// `FailureReason` of a failure that a test has set: its message, if that is one of AWS's reasons.
pub(super) fn reason(failure: Failure) -> String {
    let is_reason = |text: &str| {
        let is_part = |it: char| it.is_ascii_uppercase() || it == '_';
        !text.is_empty() && text.chars().all(is_part)
    };
    match failure.message {
        message if is_reason(&message) => message,
        _ => INTERNAL_FAILURE.to_owned(),
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_request_is_in_progress_until_it_finishes() {
        let mut requests = Requests::default();
        let status = requests.open(&json!("pay"), at(5));
        assert!(status["Id"].as_str().unwrap().starts_with("car-"));
        assert_eq!(status["State"], "IN_PROGRESS");
        assert_eq!(status.get("CompletedTimestamp"), None);
        assert_eq!(requests.find(&status["Id"]).unwrap(), status);

        let ended = requests.end(&status["Id"], &Ok("111122223333".to_owned()), at(7));
        assert_eq!(ended["State"], "SUCCEEDED");
        assert_eq!(ended["AccountId"], "111122223333");
        assert_eq!(ended["CompletedTimestamp"], 7.0);
        assert_eq!(requests.find(&status["Id"]).unwrap(), ended);

        let status = requests.open(&json!("pay"), at(8));
        let reason = Err(EMAIL_ALREADY_EXISTS.to_owned());
        let ended = requests.end(&status["Id"], &reason, at(9));
        assert_eq!(ended["State"], "FAILED");
        assert_eq!(ended["FailureReason"], "EMAIL_ALREADY_EXISTS");
        assert_eq!(ended.get("AccountId"), None);
    }

    #[test]
    fn the_list_merges_both_sources_by_time_without_duplicates() {
        let mut requests = Requests::default();
        let own = requests.open(&json!("b"), at(20));
        let of_moto = |id: &str, time: i64| json!({"Id": id, "State": "SUCCEEDED", "RequestedTimestamp": time});
        let moto = vec![
            of_moto("car-1", 10),
            of_moto("car-2", 25),
            of_moto("car-3", 30),
        ];
        requests.hide(&moto[1]);
        let ids = |answer: &Value| -> Vec<Value> {
            let statuses = answer["CreateAccountStatuses"].as_array().unwrap();
            statuses.iter().map(|it| it["Id"].clone()).collect()
        };
        let all = requests.list(&json!({}), moto.clone()).unwrap();
        assert_eq!(
            ids(&all),
            [json!("car-1"), own["Id"].clone(), json!("car-3")]
        );
        assert_eq!(all.get("NextToken"), None);

        let states = json!({"States": ["IN_PROGRESS"]});
        let some = requests.list(&states, moto.clone()).unwrap();
        assert_eq!(ids(&some), [own["Id"].clone()]);

        let first = requests
            .list(&json!({"MaxResults": 2}), moto.clone())
            .unwrap();
        assert_eq!(ids(&first).len(), 2);
        let input = json!({"MaxResults": 2, "NextToken": first["NextToken"]});
        let second = requests.list(&input, moto).unwrap();
        assert_eq!(ids(&second), [json!("car-3")]);
        let refusal = requests
            .list(&json!({"MaxResults": 21}), Vec::new())
            .unwrap_err();
        assert_eq!(refusal.code, "InvalidInputException");
    }

    #[test]
    fn a_failure_rule_returns_a_reason_of_aws() {
        let failure = |message: &str| -> Failure {
            serde_json::from_value(json!({"email": "*", "message": message})).unwrap()
        };
        assert_eq!(
            reason(failure("ACCOUNT_LIMIT_EXCEEDED")),
            "ACCOUNT_LIMIT_EXCEEDED"
        );
        assert_eq!(reason(failure("it broke")), "INTERNAL_FAILURE");
    }
}
