//! What a row waits for, and since when.

use jiff::Timestamp;
use orgkeeper_shared::vending::request::{AccountRequest, Status};

/// An operation that takes longer is reported: Account Factory needs up to half an hour for an account.
const LONG_MS: i64 = 3_600_000;

/// The requests that wait for a slot.
#[derive(Debug)]
pub struct Line<'l> {
    /// Their keys, in the order in which they get one.
    pub keys: &'l [String],
    /// The time.
    pub now: Timestamp,
}

impl Line<'_> {
    /// What an open request waits for, for the person who wrote its row.
    #[must_use]
    pub fn in_words(&self, request: &AccountRequest) -> String {
        let (since, what) = match request.status {
            Status::Valid => (
                request.requested_at,
                self.what_a_waiting_one_waits_for(request),
            ),
            Status::Provisioning => (
                request.started_at.unwrap_or_default(),
                "the account is being created".to_owned(),
            ),
            Status::Assigning => (
                request.assigning_at.unwrap_or_default(),
                "the account exists, access is being assigned".to_owned(),
            ),
            Status::Succeeded | Status::Failed => return String::new(),
        };
        if since == 0 {
            return what;
        }
        let long = request.status != Status::Valid && self.now.as_millisecond() - since >= LONG_MS;
        let long = if long {
            ", longer than an hour: those who run orgkeeper know"
        } else {
            ""
        };
        let time = Timestamp::from_millisecond(since).unwrap_or_default();
        format!(
            "since {} UTC: {what}{long}",
            time.strftime("%Y-%m-%d %H:%M")
        )
    }

    fn what_a_waiting_one_waits_for(&self, request: &AccountRequest) -> String {
        if let Some(reason) = &request.waits_for {
            return format!("waits: {reason}. It is tried again by itself");
        }
        let place = self
            .keys
            .iter()
            .position(|key| *key == request.account_email);
        match place {
            Some(place) => format!(
                "waits for its turn: number {} of {} in the line",
                place + 1,
                self.keys.len()
            ),
            None => "waits for its turn".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(more: &serde_json::Value) -> AccountRequest {
        let mut item = serde_json::json!({
            "AccountEmail": "b@example.com", "AccountName": "b", "SSOUserEmail": "s", "SSOUserFirstName": "f",
            "SSOUserLastName": "l", "OrgUnit": "o", "Status": "VALID",
            "Unit": { "Id": "ou-1", "Name": "o", "Path": "Root/o" }, "Attempt": 1, "QueuedAt": 0,
            "RequestedAt": 1_772_362_800_000_i64,
        });
        for (name, value) in more.as_object().unwrap() {
            item[name] = value.clone();
        }
        serde_json::from_value(item).unwrap()
    }

    #[test]
    fn each_open_row_says_what_it_waits_for_and_since_when() {
        let began = 1_772_362_800_000_i64;
        let keys = ["a@example.com", "b@example.com"].map(str::to_owned);
        let line = |minutes: i64| Line {
            keys: &keys,
            now: Timestamp::from_millisecond(began + minutes * 60_000).unwrap(),
        };
        for (minutes, more, words) in [
            (
                1,
                serde_json::json!({}),
                "since 2026-03-01 11:00 UTC: waits for its turn: number 2 of 2 in the line",
            ),
            (
                90,
                serde_json::json!({ "WaitsFor": "AWS is busy" }),
                "since 2026-03-01 11:00 UTC: waits: AWS is busy. It is tried again by itself",
            ),
            (
                59,
                serde_json::json!({ "Status": "PROVISIONING", "StartedAt": began }),
                "since 2026-03-01 11:00 UTC: the account is being created",
            ),
            (
                60,
                serde_json::json!({ "Status": "PROVISIONING", "StartedAt": began }),
                "since 2026-03-01 11:00 UTC: the account is being created, longer than an hour: those who run orgkeeper know",
            ),
            (
                1,
                serde_json::json!({ "Status": "ASSIGNING", "AssigningAt": began }),
                "since 2026-03-01 11:00 UTC: the account exists, access is being assigned",
            ),
            (
                1,
                serde_json::json!({ "Status": "ASSIGNING" }),
                "the account exists, access is being assigned",
            ),
            (1, serde_json::json!({ "Status": "SUCCEEDED" }), ""),
        ] {
            assert_eq!(line(minutes).in_words(&request(&more)), words);
        }
    }
}
