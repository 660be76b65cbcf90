//! Requests for account assignments: outstanding and finished ones, and the settings of a test.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::pages::Paging;
use crate::reply::Refusal;

/// Limit of stored requests; the oldest finished ones are removed.
const KEPT: usize = 10_000;

/// AWS's error message while the maximum is outstanding.
const TOO_MANY: &str = "There are too many requests processing. Try again later.";

const PAGING: Paging = Paging {
    list: "ListAccountAssignmentCreationStatus",
    size: "MaxResults",
    token: "NextToken",
    sizes: 1..=100,
    default: 100,
};

/// Members of the request that its status shows, and that identify duplicates.
pub(super) const MEMBERS: &[&str] = &[
    "TargetId",
    "TargetType",
    "PermissionSetArn",
    "PrincipalType",
    "PrincipalId",
];

/// What a test sets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How long an assignment takes.
    duration_ms: u64,
    /// How many may be outstanding.
    at_once: usize,
    fail: Vec<Failure>,
}

/// Assignments that fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    /// An account's id, or `*` for all.
    account: String,
    #[serde(default = "default_reason")]
    reason: String,
    /// How often it fails; always if missing. A rule is removed after its last use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

fn default_reason() -> String {
    "An unexpected internal service exception was encountered".to_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duration_ms: 500,
            at_once: 15,
            fail: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    most_outstanding: usize,
    succeeded: u64,
    failed: u64,
    throttled: u64,
}

#[derive(Debug)]
struct Request {
    number: u64,
    instance: String,
    /// The status in the form of `DescribeAccountAssignmentCreationStatus`.
    status: Value,
}

impl Request {
    fn is_outstanding(&self) -> bool {
        self.status["Status"] == "IN_PROGRESS"
    }
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    settings: Settings,
    counts: Counts,
    number: u64,
    /// Oldest first.
    all: VecDeque<Request>,
}

impl Requests {
    /// Settings and counts as JSON.
    pub(super) fn report(&self) -> Value {
        let counts = &self.counts;
        json!({
            "settings": self.settings,
            "outstanding": self.outstanding(),
            "most_outstanding": counts.most_outstanding,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "throttled": counts.throttled,
        })
    }

    /// Merges settings; the error is a sentence that says how to correct them.
    pub(super) fn set(&mut self, body: &[u8]) -> Result<(), String> {
        let hint = "send JSON such as {\"duration_ms\":100,\"at_once\":15}";
        let not_understood =
            |error: serde_json::Error| format!("the settings are not understood ({error}); {hint}");
        let new: Map<String, Value> = serde_json::from_slice(body).map_err(not_understood)?;
        let mut all = json!(self.settings);
        for (name, value) in new {
            all[name] = value;
        }
        let settings: Settings = serde_json::from_value(all).map_err(not_understood)?;
        if settings.at_once == 0 {
            return Err("set at_once to 1 or more".to_owned());
        }
        if settings.fail.iter().any(|it| it.times == Some(0)) {
            return Err("set times to 1 or more, or leave it out".to_owned());
        }
        self.settings = settings;
        Ok(())
    }

    /// Resets settings and counts; outstanding requests continue, and finished ones stay.
    pub(super) fn reset(&mut self) {
        self.settings = Settings::default();
        self.counts = Counts {
            most_outstanding: self.outstanding(),
            ..Counts::default()
        };
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.settings.duration_ms)
    }

    /// Starts an assignment and returns its status, unless it is outstanding already or too many are.
    pub(super) fn open(&mut self, input: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let is_same = |it: &Request| {
            MEMBERS
                .iter()
                .all(|member| it.status[*member] == input[*member])
        };
        let mut outstanding = self.all.iter().filter(|it| it.is_outstanding());
        if outstanding.any(is_same) {
            let message =
                "There is a conflicting operation in process for this account assignment.";
            return Err(Refusal::new("ConflictException", message));
        }
        if self.outstanding() >= self.settings.at_once {
            self.counts.throttled += 1;
            return Err(Refusal::new("ThrottlingException", TOO_MANY));
        }
        let mut status = json!({
            "Status": "IN_PROGRESS",
            "RequestId": Uuid::new_v4().to_string(),
            "CreatedDate": now.as_duration().as_secs_f64(),
        });
        for member in MEMBERS {
            status[*member] = input[*member].clone();
        }
        self.make_room();
        self.number += 1;
        self.all.push_back(Request {
            number: self.number,
            instance: input["InstanceArn"].as_str().unwrap_or_default().to_owned(),
            status: status.clone(),
        });
        self.counts.most_outstanding = self.counts.most_outstanding.max(self.outstanding());
        Ok(status)
    }

    /// The failure that a test has set for this account, used once.
    pub(super) fn failure(&mut self, account: &str) -> Option<String> {
        let rules = &mut self.settings.fail;
        let place = rules
            .iter()
            .position(|it| it.account == "*" || it.account == account)?;
        let rule = &mut rules[place];
        let reason = rule.reason.clone();
        rule.times = rule.times.map(|times| times.saturating_sub(1));
        if rule.times == Some(0) {
            rules.remove(place);
        }
        Some(reason)
    }

    /// Finishes an assignment; the error is the reason of its failure.
    pub(super) fn end(&mut self, request: &Value, outcome: Result<(), String>) {
        match &outcome {
            Ok(()) => self.counts.succeeded += 1,
            Err(_) => self.counts.failed += 1,
        }
        let mut requests = self.all.iter_mut();
        if let Some(ended) = requests.find(|it| it.status["RequestId"] == *request) {
            match outcome {
                Ok(()) => ended.status["Status"] = json!("SUCCEEDED"),
                Err(reason) => {
                    ended.status["Status"] = json!("FAILED");
                    ended.status["FailureReason"] = json!(reason);
                }
            }
        }
    }

    /// `DescribeAccountAssignmentCreationStatus`.
    pub(super) fn describe(&self, input: &Value) -> Result<Value, Refusal> {
        let wanted = &input["AccountAssignmentCreationRequestId"];
        let found = self.all.iter().find(|it| {
            it.status["RequestId"] == *wanted && input["InstanceArn"] == it.instance.as_str()
        });
        match found {
            Some(request) => Ok(json!({"AccountAssignmentCreationStatus": request.status})),
            None => Err(Refusal::new(
                "ResourceNotFoundException",
                format!("There is no account assignment creation request {wanted}."),
            )),
        }
    }

    /// `ListAccountAssignmentCreationStatus`.
    pub(super) fn list(&self, input: &Value) -> Result<Value, Refusal> {
        let invalid = |message| Refusal::new("ValidationException", message);
        let page = PAGING.read(input).map_err(invalid)?;
        let wanted = &input["Filter"]["Status"];
        let of_instance = self
            .all
            .iter()
            .filter(|it| input["InstanceArn"] == it.instance.as_str())
            .filter(|it| wanted.is_null() || it.status["Status"] == *wanted)
            .map(|it| {
                let shown = ["Status", "RequestId", "CreatedDate"];
                let shown = shown.map(|member| (member.to_owned(), it.status[member].clone()));
                (it.number, Value::Object(Map::from_iter(shown)))
            });
        let (statuses, next) = PAGING.cut(page, of_instance);
        let mut answer = json!({"AccountAssignmentsCreationStatus": statuses});
        if let Some(token) = next {
            answer["NextToken"] = json!(token);
        }
        Ok(answer)
    }

    fn outstanding(&self) -> usize {
        let requests = self.all.iter();
        requests.filter(|it| it.is_outstanding()).count()
    }

    fn make_room(&mut self) {
        while self.all.len() >= KEPT {
            let Some(oldest) = self.all.iter().position(|it| !it.is_outstanding()) else {
                return;
            };
            self.all.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-0123456789abcdef";

    fn input(account: &str) -> Value {
        json!({
            "InstanceArn": INSTANCE,
            "TargetId": account,
            "TargetType": "AWS_ACCOUNT",
            "PermissionSetArn": "arn:ps",
            "PrincipalType": "GROUP",
            "PrincipalId": "g-1",
        })
    }

    fn open(requests: &mut Requests, account: &str) -> Result<Value, String> {
        let status = requests.open(&input(account), Timestamp::UNIX_EPOCH);
        status
            .map(|it| it["RequestId"].clone())
            .map_err(|refusal| refusal.code)
    }

    fn describe(requests: &Requests, id: &Value) -> Value {
        let input = json!({"InstanceArn": INSTANCE, "AccountAssignmentCreationRequestId": id});
        let mut answer = requests.describe(&input).unwrap();
        answer["AccountAssignmentCreationStatus"].take()
    }

    #[test]
    fn an_assignment_is_in_progress_until_it_finishes() {
        let mut requests = Requests::default();
        let id = open(&mut requests, "111122223333").unwrap();
        let status = describe(&requests, &id);
        assert_eq!(status["Status"], "IN_PROGRESS");
        assert_eq!(status["TargetId"], "111122223333");
        requests.end(&id, Ok(()));
        assert_eq!(describe(&requests, &id)["Status"], "SUCCEEDED");

        let id = open(&mut requests, "111122223333").unwrap();
        requests.end(&id, Err("no".to_owned()));
        let status = describe(&requests, &id);
        assert_eq!(
            (&status["Status"], &status["FailureReason"]),
            (&json!("FAILED"), &json!("no"))
        );
        let report = requests.report();
        assert_eq!(
            (
                &report["succeeded"],
                &report["failed"],
                &report["outstanding"]
            ),
            (&json!(1), &json!(1), &json!(0))
        );
    }

    #[test]
    fn a_duplicate_assignment_is_refused_and_the_number_is_limited() {
        let mut requests = Requests::default();
        requests.set(br#"{"at_once": 2}"#).unwrap();
        let first = open(&mut requests, "1").unwrap();
        assert_eq!(open(&mut requests, "1").unwrap_err(), "ConflictException");
        open(&mut requests, "2").unwrap();
        assert_eq!(open(&mut requests, "3").unwrap_err(), "ThrottlingException");
        requests.end(&first, Ok(()));
        open(&mut requests, "1").unwrap();
        let report = requests.report();
        assert_eq!(report["most_outstanding"], 2);
        assert_eq!(report["throttled"], 1);
        requests.reset();
        assert_eq!(requests.report()["outstanding"], 2);
        assert_eq!(requests.report()["settings"]["at_once"], 15);
    }

    #[test]
    fn an_unknown_request_is_not_found() {
        let mut requests = Requests::default();
        let id = open(&mut requests, "1").unwrap();
        for (instance, id) in [(INSTANCE, json!("x")), ("arn:other", id)] {
            let input = json!({"InstanceArn": instance, "AccountAssignmentCreationRequestId": id});
            let refusal = requests.describe(&input).unwrap_err();
            assert_eq!(refusal.code, "ResourceNotFoundException");
        }
    }

    #[test]
    fn statuses_are_paginated_and_filtered() {
        let mut requests = Requests::default();
        let ids: Vec<Value> = ["1", "2", "3"]
            .iter()
            .map(|it| open(&mut requests, it).unwrap())
            .collect();
        requests.end(&ids[1], Ok(()));
        let listed = |input: Value| {
            let mut all = input;
            all["InstanceArn"] = json!(INSTANCE);
            let answer = requests.list(&all).unwrap();
            let statuses = answer["AccountAssignmentsCreationStatus"]
                .as_array()
                .unwrap();
            let ids: Vec<Value> = statuses.iter().map(|it| it["RequestId"].clone()).collect();
            (ids, answer["NextToken"].clone())
        };
        let (first, token) = listed(json!({"MaxResults": 2}));
        assert_eq!(first, ids[..2]);
        let (second, token) = listed(json!({"NextToken": token}));
        assert_eq!((&second[..], token), (&ids[2..], Value::Null));
        let (done, _) = listed(json!({"Filter": {"Status": "SUCCEEDED"}}));
        assert_eq!(done, ids[1..2]);
        let refusal = requests.list(&json!({"MaxResults": 0})).unwrap_err();
        assert_eq!(refusal.code, "ValidationException");
    }

    #[test]
    fn a_failure_rule_is_used_as_often_as_set() {
        let mut requests = Requests::default();
        let fail = json!({"fail": [
            {"account": "1", "reason": "quota", "times": 1},
            {"account": "*"},
        ]});
        requests.set(fail.to_string().as_bytes()).unwrap();
        assert_eq!(requests.failure("1").unwrap(), "quota");
        assert_eq!(requests.failure("1").unwrap(), default_reason());
        for wrong in [r#"{"at_once": 0}"#, r#"{"fails": []}"#, "[]"] {
            requests.set(wrong.as_bytes()).unwrap_err();
        }
    }
}
