//! The published rates of AWS operations and each function's share of them, in one table; and keeping to a share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_smithy_types::retry::RetryConfig;

use crate::{
    aws_error::AwsCallError,
    pace::{Pace, Quota},
};

/// Attempts of a call that fails for a reason that passes, unless the SDK's configuration says otherwise (as many as
/// the SDK makes).
const ATTEMPTS: u32 = 3;
/// The longest wait before the second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// A published rate, and what each function takes of it.
///
/// AWS counts the calls of an account in a token bucket. Several functions, deployment tools and the console draw
/// from it: the shares add up to less than everything.
#[derive(Debug)]
pub struct PublishedRate {
    /// The service, as in its endpoint.
    pub service: &'static str,
    /// The operation, or several of a service that share a bucket.
    pub bucket: &'static str,
    /// Calls a second, and at once.
    pub quota: Quota,
    /// Percent of it by function, for all invocations of the function together.
    pub shares: &'static [(&'static str, u32)],
}

const fn rate(
    service: &'static str,
    bucket: &'static str,
    (per_second, burst): (u32, u32),
    shares: &'static [(&'static str, u32)],
) -> PublishedRate {
    PublishedRate {
        service,
        bucket,
        quota: Quota { per_second, burst },
        shares,
    }
}

/// The most invocations at once of each function that keeps to a share (the template's `MaximumConcurrency`; a
/// stream has one for its shard).
pub const INVOCATIONS_AT_ONCE: &[(&str, u32)] = &[
    (ACCOUNT_HYDRATOR, 4),
    (CREATE_ACCOUNT_ASSIGNMENT, 2),
    (CREATE_MANAGED_ACCOUNT, 3),
    (DIRECTORY_REFRESHER, 2),
    (FINDING_ARCHIVER, 2),
    (FINDING_ENRICHER, 2),
    (NEW_ACCOUNT_HANDLER, 2),
    (OUTAGE_REHEARSER, 2),
];

const ACCOUNT_HYDRATOR: &str = "account-hydrator";
const CREATE_ACCOUNT_ASSIGNMENT: &str = "create-account-assignment";
const CREATE_MANAGED_ACCOUNT: &str = "create-managed-account";
const DIRECTORY_REFRESHER: &str = "directory-refresher";
const FINDING_ARCHIVER: &str = "finding-archiver";
const FINDING_ENRICHER: &str = "finding-enricher";
const NEW_ACCOUNT_HANDLER: &str = "new-account-handler";
const OUTAGE_REHEARSER: &str = "outage-rehearser";

/// Every rate that a gateway keeps to.
pub const RATES: &[&PublishedRate] = &[
    &account::GET_ALTERNATE_CONTACT,
    &account::GET_CONTACT_INFORMATION,
    &account::PUT_ALTERNATE_CONTACT,
    &identity_center::ALL_OPERATIONS,
    &identity_center::DESCRIBE_GROUP,
    &identity_center::GET_USER_ID,
    &identity_center::LIST_GROUP_MEMBERSHIPS_FOR_MEMBER,
    &identity_center::LIST_GROUPS,
    &organizations::DESCRIBE_ACCOUNT,
    &organizations::DESCRIBE_CREATE_ACCOUNT_STATUS,
    &organizations::DESCRIBE_ORGANIZATIONAL_UNIT,
    &organizations::LIST_ACCOUNTS,
    &organizations::LIST_CREATE_ACCOUNT_STATUS,
    &organizations::LIST_ORGANIZATIONAL_UNITS_FOR_PARENT,
    &organizations::LIST_PARENTS,
    &organizations::LIST_ROOTS,
    &organizations::LIST_TAGS_FOR_RESOURCE,
    &organizations::MOVE_ACCOUNT,
    &organizations::TAG_RESOURCE,
    &security_hub::BATCH_UPDATE_FINDINGS,
    &security_hub::GET_FINDINGS,
];

/// AWS Organizations, each operation for itself ("Quotas for AWS Organizations", API throttling).
#[rustfmt::skip]
pub mod organizations {
    use super::{
        ACCOUNT_HYDRATOR, CREATE_MANAGED_ACCOUNT, DIRECTORY_REFRESHER, NEW_ACCOUNT_HANDLER, OUTAGE_REHEARSER, PublishedRate,
        rate,
    };

    const SERVICE: &str = "organizations";

    pub(crate) const DESCRIBE_ACCOUNT: PublishedRate =
        rate(SERVICE, "DescribeAccount", (20, 30), &[(CREATE_MANAGED_ACCOUNT, 30), (DIRECTORY_REFRESHER, 50)]);
    pub(crate) const DESCRIBE_CREATE_ACCOUNT_STATUS: PublishedRate =
        rate(SERVICE, "DescribeCreateAccountStatus", (2, 2), &[(CREATE_MANAGED_ACCOUNT, 90)]);
    pub(crate) const DESCRIBE_ORGANIZATIONAL_UNIT: PublishedRate =
        rate(SERVICE, "DescribeOrganizationalUnit", (2, 2), &[(CREATE_MANAGED_ACCOUNT, 40), (DIRECTORY_REFRESHER, 50)]);
    pub(crate) const LIST_ACCOUNTS: PublishedRate =
        rate(SERVICE, "ListAccounts", (8, 12), &[(CREATE_MANAGED_ACCOUNT, 25), (DIRECTORY_REFRESHER, 20), (NEW_ACCOUNT_HANDLER, 30), (OUTAGE_REHEARSER, 15)]);
    pub(crate) const LIST_CREATE_ACCOUNT_STATUS: PublishedRate =
        rate(SERVICE, "ListCreateAccountStatus", (5, 8), &[(CREATE_MANAGED_ACCOUNT, 90)]);
    pub(crate) const LIST_ORGANIZATIONAL_UNITS_FOR_PARENT: PublishedRate =
        rate(SERVICE, "ListOrganizationalUnitsForParent", (5, 8), &[(DIRECTORY_REFRESHER, 30), (NEW_ACCOUNT_HANDLER, 60)]);
    pub(crate) const LIST_PARENTS: PublishedRate =
        rate(SERVICE, "ListParents", (5, 8), &[(CREATE_MANAGED_ACCOUNT, 45), (DIRECTORY_REFRESHER, 30), (NEW_ACCOUNT_HANDLER, 15)]);
    pub(crate) const LIST_ROOTS: PublishedRate =
        rate(SERVICE, "ListRoots", (1, 2), &[(NEW_ACCOUNT_HANDLER, 80)]);
    /// Each resource's tags.
    pub const LIST_TAGS_FOR_RESOURCE: PublishedRate =
        rate(SERVICE, "ListTagsForResource", (10, 15), &[(ACCOUNT_HYDRATOR, 20), (DIRECTORY_REFRESHER, 50), (OUTAGE_REHEARSER, 20)]);
    pub(crate) const MOVE_ACCOUNT: PublishedRate =
        rate(SERVICE, "MoveAccount", (2, 3), &[(CREATE_MANAGED_ACCOUNT, 90)]);
    /// Tags of one resource. `outage-rehearser` needs the permission to create a policy with tags, and hardly the rate.
    pub const TAG_RESOURCE: PublishedRate =
        rate(SERVICE, "TagResource", (4, 6), &[(ACCOUNT_HYDRATOR, 25), (CREATE_MANAGED_ACCOUNT, 60), (OUTAGE_REHEARSER, 5)]);
}

/// AWS Account Management ("Quotas for AWS Account Management").
pub mod account {
    use super::{
        ACCOUNT_HYDRATOR, CREATE_MANAGED_ACCOUNT, DIRECTORY_REFRESHER, PublishedRate, rate,
    };

    const SERVICE: &str = "account";

    /// One contact of an account.
    pub const GET_ALTERNATE_CONTACT: PublishedRate = rate(
        SERVICE,
        "GetAlternateContact",
        (10, 15),
        &[(ACCOUNT_HYDRATOR, 25), (DIRECTORY_REFRESHER, 60)],
    );
    pub(crate) const GET_CONTACT_INFORMATION: PublishedRate = rate(
        SERVICE,
        "GetContactInformation",
        (10, 15),
        &[(DIRECTORY_REFRESHER, 60)],
    );
    /// One contact of an account, written.
    pub const PUT_ALTERNATE_CONTACT: PublishedRate = rate(
        SERVICE,
        "PutAlternateContact",
        (5, 8),
        &[(ACCOUNT_HYDRATOR, 25), (CREATE_MANAGED_ACCOUNT, 60)],
    );
}

/// IAM Identity Center: its operations together, those of its identity store each for itself ("IAM Identity
/// Center quotas"). Bursts are not published.
#[rustfmt::skip]
pub mod identity_center {
    use super::{CREATE_ACCOUNT_ASSIGNMENT, NEW_ACCOUNT_HANDLER, PublishedRate, rate};

    const STORE: &str = "identitystore";

    pub(crate) const ALL_OPERATIONS: PublishedRate =
        rate("sso", "IAM Identity Center", (20, 20), &[(CREATE_ACCOUNT_ASSIGNMENT, 40), (NEW_ACCOUNT_HANDLER, 40)]);
    pub(crate) const DESCRIBE_GROUP: PublishedRate =
        rate(STORE, "DescribeGroup", (20, 20), &[(NEW_ACCOUNT_HANDLER, 75)]);
    pub(crate) const GET_USER_ID: PublishedRate =
        rate(STORE, "GetUserId", (20, 20), &[(NEW_ACCOUNT_HANDLER, 75)]);
    pub(crate) const LIST_GROUP_MEMBERSHIPS_FOR_MEMBER: PublishedRate =
        rate(STORE, "ListGroupMembershipsForMember", (20, 20), &[(NEW_ACCOUNT_HANDLER, 75)]);
    pub(crate) const LIST_GROUPS: PublishedRate =
        rate(STORE, "ListGroups", (20, 20), &[(NEW_ACCOUNT_HANDLER, 75)]);
}

/// AWS Security Hub, for an account and Region (the operations' API references).
#[rustfmt::skip]
pub mod security_hub {
    use super::{DIRECTORY_REFRESHER, FINDING_ARCHIVER, FINDING_ENRICHER, PublishedRate, rate};

    const SERVICE: &str = "securityhub";

    pub(crate) const BATCH_UPDATE_FINDINGS: PublishedRate =
        rate(SERVICE, "BatchUpdateFindings", (10, 30), &[(DIRECTORY_REFRESHER, 35), (FINDING_ARCHIVER, 20), (FINDING_ENRICHER, 35)]);
    pub(crate) const GET_FINDINGS: PublishedRate =
        rate(SERVICE, "GetFindings", (3, 6), &[(DIRECTORY_REFRESHER, 66), (FINDING_ARCHIVER, 12), (FINDING_ENRICHER, 12)]);
}

/// One function's share of every published rate, for each of its invocations.
#[derive(Clone, Copy, Debug)]
pub struct QuotaShare {
    function: &'static str,
    percent: u32,
}

impl QuotaShare {
    /// The share of `function` in [`RATES`], at `percent` of what the table says (0: no pace).
    #[must_use]
    pub fn of(function: &'static str, percent: u32) -> Self {
        Self { function, percent }
    }

    /// What one invocation takes of a rate: calls a second, and at once. A function without a share in the table
    /// takes a hundredth.
    #[must_use]
    pub fn part_of(self, rate: &PublishedRate) -> (f64, u32) {
        let value_of = |table: &[(&str, u32)]| {
            let row = table
                .iter()
                .find(|(function, _)| *function == self.function);
            row.map_or(1, |(_, value)| *value)
        };
        let invocations = value_of(INVOCATIONS_AT_ONCE);
        let part = f64::from(value_of(rate.shares)) / 100.0 * f64::from(self.percent)
            / 100.0
            / f64::from(invocations);
        let burst = (f64::from(rate.quota.burst) * part).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a small number"
        )]
        let burst = (burst as u32).max(1);
        (f64::from(rate.quota.per_second) * part, burst)
    }
}

/// A pace for each rate that a gateway's calls are subject to.
#[derive(Debug)]
pub struct Paces {
    share: QuotaShare,
    attempts: u32,
    by_bucket: Mutex<HashMap<&'static str, Arc<Pace>>>,
}

impl Paces {
    /// Keeps to this share of each published rate, and makes as many attempts as `retries` says.
    #[must_use]
    pub fn new(share: QuotaShare, retries: Option<&RetryConfig>) -> Self {
        Self {
            share,
            attempts: retries.map_or(ATTEMPTS, RetryConfig::max_attempts),
            by_bucket: Mutex::default(),
        }
    }

    /// Makes a call that counts against `rate`, as soon as the pace allows. One that fails for a reason that passes
    /// is made again, and waits for the pace again: the SDK's own retries, which do not, have to be off (see
    /// [`no_retries`]).
    ///
    /// # Errors
    /// Those of the last attempt.
    pub(crate) async fn call<T>(
        &self,
        rate: &PublishedRate,
        attempt: impl AsyncFn() -> Result<T, AwsCallError>,
    ) -> Result<T, AwsCallError> {
        let pace = self.pace(rate);
        let mut backoff = FIRST_BACKOFF;
        for _ in 1..self.attempts {
            pace.wait().await;
            match attempt().await {
                Err(error) if error.class().transient() => {
                    tokio::time::sleep(backoff.mul_f64(fastrand::f64())).await;
                    backoff *= 2;
                }
                answer => return answer,
            }
        }
        pace.wait().await;
        attempt().await
    }

    /// Waits until a call that counts against `rate` may be made.
    pub async fn wait(&self, rate: &PublishedRate) {
        self.pace(rate).wait().await;
    }

    fn pace(&self, rate: &PublishedRate) -> Arc<Pace> {
        let mut paces = self
            .by_bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(rate.bucket).or_insert_with(|| {
            let (per_second, burst) = self.share.part_of(rate);
            Arc::new(Pace::new(per_second, burst))
        });
        Arc::clone(pace)
    }
}

/// The SDK's configuration for a client whose calls are made by [`Paces::call`].
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const ONE: PublishedRate = rate("service", "One", (1, 2), &[(FINDING_ENRICHER, 100)]);
    const OTHER: PublishedRate = rate("service", "Other", (1, 2), &[(FINDING_ENRICHER, 100)]);

    async fn waits(paces: &Paces, rate: &PublishedRate) -> bool {
        let soon = Duration::from_millis(10);
        let call = paces.call(rate, async || Ok(()));
        tokio::time::timeout(soon, call).await.is_err()
    }

    #[tokio::test]
    async fn each_bucket_has_its_own_pace() {
        let paces = Paces::new(QuotaShare::of(FINDING_ENRICHER, 100), None);
        assert!(!waits(&paces, &ONE).await, "half of the burst");
        assert!(waits(&paces, &ONE).await);
        assert!(!waits(&paces, &OTHER).await);
    }

    #[tokio::test]
    async fn at_zero_percent_there_is_no_pace() {
        let paces = Paces::new(QuotaShare::of(FINDING_ENRICHER, 0), None);
        for _ in 0..100 {
            assert!(!waits(&paces, &ONE).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_keeps_the_pace() {
        let paces = Paces::new(QuotaShare::of(FINDING_ENRICHER, 100), None);
        let (attempts, start) = (Cell::new(0), Instant::now());
        let answer: Result<(), _> = paces
            .call(&ONE, async || {
                attempts.set(attempts.get() + 1);
                Err(AwsCallError::unfinished("Operation"))
            })
            .await;
        assert!(answer.is_err());
        assert_eq!(attempts.get(), 3);
        // One of two invocations: half a call a second.
        assert!(
            start.elapsed() >= Duration::from_secs(4),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test]
    async fn what_would_fail_again_is_not_repeated() {
        let paces = Paces::new(QuotaShare::of(FINDING_ENRICHER, 0), None);
        let attempts = Cell::new(0);
        let answer: Result<(), _> = paces
            .call(&ONE, async || {
                attempts.set(attempts.get() + 1);
                Err(AwsCallError::not_found("Operation", "none"))
            })
            .await;
        assert!(answer.is_err());
        assert_eq!(attempts.get(), 1);
    }

    /// Prints the table: `cargo test -p orgkeeper-shared --lib the_shares -- --nocapture`.
    #[test]
    fn the_shares_of_a_rate_leave_room_for_others() {
        let share_of = |rate: &PublishedRate, function: &str| {
            let row = rate.shares.iter().find(|(of, _)| *of == function);
            row.map_or(0, |(_, percent)| *percent)
        };
        print!(
            "{:48}{:>7}{:>7}",
            "percent of the published rate", "rate", "burst"
        );
        for (function, _) in INVOCATIONS_AT_ONCE {
            print!("{function:>27}");
        }
        println!("{:>6}", "sum");
        for rate in RATES {
            let name = format!("{}.{}", rate.service, rate.bucket);
            let Quota { per_second, burst } = rate.quota;
            print!("{name:48}{per_second:>5}/s{burst:>7}");
            let (mut sum, mut calls_a_second, mut at_once) = (0, 0.0, 0);
            for (function, invocations) in INVOCATIONS_AT_ONCE {
                let percent = share_of(rate, function);
                if percent == 0 {
                    print!("{:>27}", "-");
                    continue;
                }
                let (each, burst_of_each) = QuotaShare::of(function, 100).part_of(rate);
                print!(
                    "{:>27}",
                    format!("{percent} ({invocations} x {each:.2}/s, {burst_of_each})")
                );
                sum += percent;
                calls_a_second += each * f64::from(*invocations);
                at_once += burst_of_each * invocations;
            }
            println!("{sum:>5}%");
            assert!(sum <= 90, "{name}: {sum} percent are given away");
            assert!(calls_a_second <= 0.901 * f64::from(per_second), "{name}");
            // Each invocation needs one call to begin with.
            let invocations: u32 = INVOCATIONS_AT_ONCE
                .iter()
                .filter(|(function, _)| share_of(rate, function) > 0)
                .map(|(_, invocations)| invocations)
                .sum();
            assert!(
                at_once <= burst.max(invocations),
                "{name}: {at_once} at once"
            );
            for (function, _) in rate.shares {
                assert!(
                    INVOCATIONS_AT_ONCE.iter().any(|(of, _)| of == function),
                    "{name}: {function}"
                );
            }
        }
    }
}
