//! The published rates of AWS operations: while they are in force, calls beyond them are throttled.
//!
//! `POST /_orgkeeper/quotas` with `{"on": true}` puts them in force with full buckets, `{"on": false}` or `DELETE`
//! ends that. `GET` returns whether they are, and the rates. Calls with the access key of tests and people are
//! neither throttled nor counted here: a test that watches findings does not use up the functions' rate.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::lock::lock;
use crate::reply::Refusal;

/// The access key of tests and people. A function's is its account's id, or a role's.
const OBSERVER: &str = "test";

/// What all of these services answer; the status differs by protocol.
const THROTTLED: &str = "TooManyRequestsException";

/// Token buckets, one for each operation: calls a second, and calls at once after a pause.
///
/// Sources: "Quotas for AWS Organizations", "Quotas for AWS Account Management", the Security Hub API reference.
#[rustfmt::skip]
const RATES: &[(&str, f64, f64)] = &[
    ("account.DeleteAlternateContact", 1.0, 6.0),
    ("account.GetAccountInformation", 3.0, 3.0),
    ("account.GetAlternateContact", 10.0, 15.0),
    ("account.GetContactInformation", 10.0, 15.0),
    ("account.GetPrimaryEmail", 3.0, 3.0),
    ("account.ListRegions", 5.0, 5.0),
    ("account.PutAlternateContact", 5.0, 8.0),
    ("organizations.CloseAccount", 0.05, 1.0),
    ("organizations.CreateAccount", 0.1, 3.0),
    ("organizations.CreateOrganizationalUnit", 1.0, 2.0),
    ("organizations.DeleteOrganizationalUnit", 2.0, 3.0),
    ("organizations.DescribeAccount", 20.0, 30.0),
    ("organizations.DescribeCreateAccountStatus", 2.0, 2.0),
    ("organizations.DescribeOrganization", 1.0, 2.0),
    ("organizations.DescribeOrganizationalUnit", 2.0, 2.0),
    ("organizations.DescribePolicy", 2.0, 2.0),
    ("organizations.EnableAWSServiceAccess", 1.0, 2.0),
    ("organizations.ListAccounts", 8.0, 12.0),
    ("organizations.ListAccountsForParent", 5.0, 8.0),
    ("organizations.ListChildren", 6.0, 10.0),
    ("organizations.ListCreateAccountStatus", 5.0, 8.0),
    ("organizations.ListDelegatedAdministrators", 5.0, 8.0),
    ("organizations.ListHandshakesForAccount", 5.0, 8.0),
    ("organizations.ListHandshakesForOrganization", 5.0, 8.0),
    ("organizations.ListOrganizationalUnitsForParent", 5.0, 8.0),
    ("organizations.ListParents", 5.0, 8.0),
    ("organizations.ListPolicies", 5.0, 8.0),
    ("organizations.ListPoliciesForTarget", 5.0, 8.0),
    ("organizations.ListRoots", 1.0, 2.0),
    ("organizations.ListTagsForResource", 10.0, 15.0),
    ("organizations.ListTargetsForPolicy", 5.0, 8.0),
    ("organizations.MoveAccount", 2.0, 3.0),
    ("organizations.RegisterDelegatedAdministrator", 1.0, 2.0),
    ("organizations.TagResource", 4.0, 6.0),
    ("organizations.UntagResource", 4.0, 6.0),
    ("organizations.UpdateOrganizationalUnit", 2.0, 3.0),
    ("securityhub.BatchImportFindings", 10.0, 30.0),
    ("securityhub.BatchUpdateFindings", 10.0, 30.0),
    ("securityhub.GetFindings", 3.0, 6.0),
];

/// The tokens of an operation, as of a point in time.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets, full at first; `None` while the rates are not in force.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<Option<HashMap<&'static str, Bucket>>>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

impl Quotas {
    /// Puts the rates in force or ends that; the error is a sentence that says how to correct the body.
    pub(crate) fn set(&self, body: &[u8]) -> Result<(), String> {
        let switch: Switch = serde_json::from_slice(body).map_err(|error| {
            format!("the switch is not understood ({error}); send {{\"on\":true}}")
        })?;
        *lock(&self.0) = switch.on.then(HashMap::new);
        Ok(())
    }

    /// No call is throttled any more.
    pub(crate) fn reset(&self) {
        *lock(&self.0) = None;
    }

    /// Whether the rates are in force, and the rates.
    pub(crate) fn report(&self) -> Value {
        let rates: serde_json::Map<String, Value> = RATES
            .iter()
            .map(|(operation, per_second, burst)| {
                let rate = json!({"per_second": per_second, "burst": burst});
                ((*operation).to_owned(), rate)
            })
            .collect();
        json!({"on": lock(&self.0).is_some(), "rates": rates})
    }

    /// The error of a call that is beyond its operation's rate.
    pub(crate) fn refusal(
        &self,
        operation: &str,
        access_key: Option<&str>,
        now: Instant,
    ) -> Option<Refusal> {
        if access_key == Some(OBSERVER) {
            return None;
        }
        let (name, per_second, burst) = RATES.iter().find(|rate| rate.0 == operation)?;
        let mut buckets = lock(&self.0);
        let bucket = buckets.as_mut()?.entry(*name).or_insert(Bucket {
            tokens: *burst,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        let tokens = (bucket.tokens + passed * per_second).min(*burst);
        let throttled = tokens < 1.0;
        *bucket = Bucket {
            tokens: if throttled { tokens } else { tokens - 1.0 },
            at: now,
        };
        throttled.then(|| Refusal::new(THROTTLED, "Too Many Requests"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const READ: &str = "securityhub.GetFindings";
    const UPDATE: &str = "securityhub.BatchUpdateFindings";
    const FUNCTION: Option<&str> = Some("999988887777");

    fn in_force() -> (Quotas, Instant) {
        let quotas = Quotas::default();
        quotas.set(br#"{"on":true}"#).unwrap();
        (quotas, Instant::now())
    }

    fn answered(quotas: &Quotas, operation: &str, calls: usize, at: Instant) -> usize {
        (0..calls)
            .filter(|_| quotas.refusal(operation, FUNCTION, at).is_none())
            .count()
    }

    #[test]
    fn nothing_is_throttled_until_the_rates_are_in_force() {
        let quotas = Quotas::default();
        assert_eq!(answered(&quotas, READ, 100, Instant::now()), 100);
        assert_eq!(quotas.report()["on"], false);
        quotas.set(br#"{"on":true}"#).unwrap();
        assert_eq!(answered(&quotas, READ, 100, Instant::now()), 6);
        assert_eq!(quotas.report()["on"], true);
        quotas.set(br#"{"on":false}"#).unwrap();
        assert_eq!(answered(&quotas, READ, 100, Instant::now()), 100);
    }

    #[test]
    fn a_burst_is_answered_and_then_so_many_a_second() {
        let (quotas, start) = in_force();
        assert_eq!(answered(&quotas, READ, 10, start), 6);
        let second = start + Duration::from_secs(1);
        assert_eq!(answered(&quotas, READ, 10, second), 3);
        let much_later = start + Duration::from_mins(1);
        assert_eq!(
            answered(&quotas, READ, 10, much_later),
            6,
            "never more than the burst"
        );
        let refusal = quotas.refusal(READ, FUNCTION, much_later).unwrap();
        assert_eq!(refusal.code, "TooManyRequestsException");
    }

    #[test]
    fn each_operation_has_a_bucket_of_its_own() {
        let (quotas, now) = in_force();
        assert_eq!(answered(&quotas, READ, 10, now), 6);
        assert_eq!(answered(&quotas, UPDATE, 40, now), 30);
        assert_eq!(answered(&quotas, "organizations.ListRoots", 10, now), 2);
        assert_eq!(answered(&quotas, "sqs.SendMessage", 1_000, now), 1_000);
    }

    #[test]
    fn a_slow_rate_adds_up() {
        let (quotas, start) = in_force();
        let create = "organizations.CreateAccount";
        assert_eq!(answered(&quotas, create, 5, start), 3);
        let calls = (1..=21)
            .map(|second| answered(&quotas, create, 1, start + Duration::from_secs(second)))
            .sum::<usize>();
        assert_eq!(calls, 2);
    }

    #[test]
    fn tests_and_people_are_not_counted() {
        let (quotas, now) = in_force();
        for _ in 0..100 {
            assert_eq!(quotas.refusal(READ, Some(OBSERVER), now), None);
        }
        assert_eq!(answered(&quotas, READ, 10, now), 6);
    }

    #[test]
    fn the_buckets_are_full_again_after_switching() {
        let (quotas, now) = in_force();
        assert_eq!(answered(&quotas, READ, 10, now), 6);
        quotas.set(br#"{"on":true}"#).unwrap();
        assert_eq!(answered(&quotas, READ, 10, now), 6);
        quotas.reset();
        assert_eq!(quotas.refusal(READ, FUNCTION, now), None);
    }

    #[test]
    fn another_body_is_refused_with_a_hint() {
        for wrong in ["", "true", r#"{"on":1}"#, r#"{"on":true,"rate":3}"#, "{}"] {
            let sentence = Quotas::default().set(wrong.as_bytes()).unwrap_err();
            assert!(sentence.contains(r#"{"on":true}"#), "{wrong}: {sentence}");
        }
    }
}
