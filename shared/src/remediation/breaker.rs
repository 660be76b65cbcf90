//! The circuit breaker: so many fixes start within an hour, in an account and in all of them. What is beyond that is only
//! observed, until a person resumes it.
//!
//! It is one item of the table `Remediations`, changed like a record: both limits are checked in one write.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// The key of the item; those of remediations start with an account.
pub const KEY: &str = "breaker";
/// The name of all accounts together.
pub const ALL: &str = "all";
/// The time in which starts are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// What was resumed is remembered for so long.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// How many fixes may start within an hour; 0: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In one account.
    pub account: u32,
    /// In all of them.
    pub all: u32,
}

/// A fix that started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartedFix {
    at: Timestamp,
    account: AccountId,
    /// The key of the remediation and the attempt: it is counted once.
    attempt: String,
}

/// What the breaker has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stop {
    /// Since when.
    pub at: Timestamp,
    /// The limit that was reached.
    pub limit: u32,
    /// Whether the alert about it was published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alerted: bool,
}

/// What a person has resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resumed {
    /// When: what was held before is fixed without being counted.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// The state of the breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Breaker {
    #[serde(default)]
    starts: Vec<StartedFix>,
    /// What is stopped: an account's id, or [`ALL`].
    #[serde(default)]
    pub stopped: BTreeMap<String, Stop>,
    /// What was resumed last, by the same names.
    #[serde(default)]
    pub resumed: BTreeMap<String, Resumed>,
    /// Counts the changes.
    #[serde(default)]
    pub version: u64,
}

/// Whether a fix may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It may.
    Yes,
    /// This is stopped.
    No {
        /// An account's id, or [`ALL`].
        scope: String,
        /// What the caller is to publish: it was stopped by this very call.
        stop: Option<Stop>,
    },
}

impl Breaker {
    /// What keeps the fixes of an account from starting.
    #[must_use]
    pub fn stops(&self, account: &AccountId) -> Option<(&str, &Stop)> {
        let scopes = [ALL, account.as_str()];
        scopes.into_iter().find_map(|scope| {
            let (scope, stop) = self.stopped.get_key_value(scope)?;
            Some((scope.as_str(), stop))
        })
    }

    /// When a person last resumed the fixes of an account, or of all: what was held before starts without being counted.
    #[must_use]
    pub fn resumed_at(&self, account: &AccountId) -> Option<Timestamp> {
        let scopes = [ALL, account.as_str()].into_iter();
        let resumed = scopes.filter_map(|scope| self.resumed.get(scope));
        resumed.map(|it| it.at).max()
    }

    /// Counts a fix that is to start, unless a limit is reached: then it stops what the limit is for.
    #[must_use]
    pub fn take(
        &self,
        account: &AccountId,
        attempt: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> (Option<Self>, Taken) {
        if self.starts.iter().any(|start| start.attempt == attempt) {
            return (None, Taken::Yes);
        }
        if let Some((scope, _)) = self.stops(account) {
            let scope = scope.to_owned();
            return (None, Taken::No { scope, stop: None });
        }
        let mut next = self.clone();
        let began = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        next.starts.retain(|start| start.at > began);
        let of_account = next.starts.iter().filter(|start| start.account == *account);
        for (scope, count, limit) in [
            (ALL, next.starts.len(), limits.all),
            (account.as_str(), of_account.count(), limits.account),
        ] {
            if limit > 0 && u64::try_from(count).is_ok_and(|count| count >= limit.into()) {
                let scope = scope.to_owned();
                let stop = Stop {
                    at: now,
                    limit,
                    alerted: false,
                };
                next.stopped.insert(scope.clone(), stop.clone());
                let stop = Some(stop);
                return (Some(next), Taken::No { scope, stop });
            }
        }
        next.starts.push(StartedFix {
            at: now,
            account: account.clone(),
            attempt: attempt.to_owned(),
        });
        (Some(next), Taken::Yes)
    }

    /// Resumes what is stopped: this account, or everything. The hour begins anew. Gives what was stopped.
    #[must_use]
    pub fn resume(
        &self,
        account: Option<&AccountId>,
        by: &str,
        now: Timestamp,
    ) -> (Option<Self>, Vec<String>) {
        let is_meant = |scope: &str| account.is_none_or(|account| account.as_str() == scope);
        let stopped: Vec<String> = self
            .stopped
            .keys()
            .filter(|it| is_meant(it))
            .cloned()
            .collect();
        let mut next = self.clone();
        next.stopped.retain(|scope, _| !is_meant(scope));
        next.starts
            .retain(|start| account.is_some_and(|account| start.account != *account));
        let began = now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        next.resumed.retain(|_, resumed| resumed.at > began);
        for scope in &stopped {
            let resumed = Resumed {
                at: now,
                by: by.to_owned(),
            };
            next.resumed.insert(scope.clone(), resumed);
        }
        let changed = !stopped.is_empty();
        (changed.then_some(next), stopped)
    }

    /// Notes that the alert about a stop was published.
    #[must_use]
    pub fn alerted(&self, scope: &str) -> Option<Self> {
        let mut next = self.clone();
        let stop = next.stopped.get_mut(scope).filter(|stop| !stop.alerted)?;
        stop.alerted = true;
        Some(next)
    }

    /// The stops whose alert was not published yet.
    pub fn owed(&self) -> impl Iterator<Item = (&str, &Stop)> {
        let stopped = self.stopped.iter().filter(|(_, stop)| !stop.alerted);
        stopped.map(|(scope, stop)| (scope.as_str(), stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { account: 3, all: 5 };

    fn account(number: u8) -> AccountId {
        format!("11112222333{number}").parse().unwrap()
    }

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    /// Takes, and gives the scope that is stopped.
    fn take(breaker: &mut Breaker, of: u8, attempt: &str, at: i64) -> Option<String> {
        let (next, taken) = breaker.take(&account(of), attempt, &LIMITS, minute(at));
        *breaker = next.unwrap_or_else(|| breaker.clone());
        match taken {
            Taken::Yes => None,
            Taken::No { scope, .. } => Some(scope),
        }
    }

    #[test]
    fn beyond_its_limit_an_account_is_stopped_until_a_person_resumes_it() {
        let mut breaker = Breaker::default();
        for attempt in ["a", "b", "c"] {
            assert_eq!(take(&mut breaker, 1, attempt, 0), None);
        }
        // A repetition is no other fix.
        assert_eq!(take(&mut breaker, 1, "c", 1), None);
        let stopped = Some(account(1).to_string());
        assert_eq!(take(&mut breaker, 1, "d", 59), stopped);
        assert_eq!(breaker.owed().count(), 1);
        // The hour is over, and it is still stopped; other accounts are not.
        assert_eq!(take(&mut breaker, 1, "d", 500), stopped);
        assert_eq!(take(&mut breaker, 2, "e", 500), None);
        let (other, resumed) = breaker.resume(Some(&account(2)), "anna", minute(500));
        assert_eq!((other, resumed), (None, Vec::new()));
        let (next, resumed) = breaker.resume(Some(&account(1)), "anna", minute(501));
        breaker = next.unwrap();
        assert_eq!(resumed, [account(1).to_string()]);
        assert_eq!(breaker.resumed_at(&account(1)), Some(minute(501)));
        assert_eq!(breaker.resumed_at(&account(2)), None);
        assert_eq!(take(&mut breaker, 1, "d", 502), None);
    }

    #[test]
    fn all_accounts_together_have_a_limit() {
        let mut breaker = Breaker::default();
        for of in 0..5 {
            assert_eq!(take(&mut breaker, of, &of.to_string(), of.into()), None);
        }
        // An hour after the first one there is room again.
        assert_eq!(take(&mut breaker, 5, "x", 60), None);
        let stopped = take(&mut breaker, 6, "y", 60);
        assert_eq!(stopped.as_deref(), Some(ALL));
        assert_eq!(take(&mut breaker, 7, "z", 500).as_deref(), Some(ALL));
        let next = breaker.alerted(ALL).unwrap();
        assert_eq!(next.owed().count(), 0);
        assert_eq!(next.alerted(ALL), None);
        let (next, _) = next.resume(None, "anna", minute(501));
        breaker = next.unwrap();
        assert_eq!(breaker.resumed_at(&account(7)), Some(minute(501)));
        assert_eq!(take(&mut breaker, 7, "z", 501), None);
    }

    #[test]
    fn no_limit_stops_nothing() {
        let mut breaker = Breaker::default();
        let limits = Limits { account: 0, all: 0 };
        for attempt in 0..1_000 {
            let (next, taken) = breaker.take(&account(1), &attempt.to_string(), &limits, minute(0));
            assert_eq!(taken, Taken::Yes);
            breaker = next.unwrap();
        }
    }
}
