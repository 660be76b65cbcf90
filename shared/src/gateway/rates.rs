//! The published rates of AWS operations, in one table, and keeping to a share of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::pace::{Pace, Quota};

/// A published rate: AWS counts the calls of an account in a token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishedRate {
    /// The operation, or several of a service that share a bucket.
    bucket: &'static str,
    quota: Quota,
}

const fn rate(bucket: &'static str, per_second: u32, burst: u32) -> PublishedRate {
    PublishedRate {
        bucket,
        quota: Quota { per_second, burst },
    }
}

/// AWS Organizations, each operation for itself ("Quotas for AWS Organizations", API throttling).
#[cfg(feature = "organizations")]
pub(crate) mod organizations {
    use super::{PublishedRate, rate};

    pub(crate) const DESCRIBE_ACCOUNT: PublishedRate = rate("DescribeAccount", 20, 30);
    pub(crate) const DESCRIBE_CREATE_ACCOUNT_STATUS: PublishedRate =
        rate("DescribeCreateAccountStatus", 2, 2);
    pub(crate) const DESCRIBE_ORGANIZATIONAL_UNIT: PublishedRate =
        rate("DescribeOrganizationalUnit", 2, 2);
    pub(crate) const LIST_ACCOUNTS: PublishedRate = rate("ListAccounts", 8, 12);
    pub(crate) const LIST_CREATE_ACCOUNT_STATUS: PublishedRate =
        rate("ListCreateAccountStatus", 5, 8);
    pub(crate) const LIST_ORGANIZATIONAL_UNITS_FOR_PARENT: PublishedRate =
        rate("ListOrganizationalUnitsForParent", 5, 8);
    pub(crate) const LIST_PARENTS: PublishedRate = rate("ListParents", 5, 8);
    pub(crate) const LIST_ROOTS: PublishedRate = rate("ListRoots", 1, 2);
    pub(crate) const LIST_TAGS_FOR_RESOURCE: PublishedRate = rate("ListTagsForResource", 10, 15);
    pub(crate) const MOVE_ACCOUNT: PublishedRate = rate("MoveAccount", 2, 3);
}

/// IAM Identity Center: its operations together, those of its identity store each for itself ("IAM Identity
/// Center quotas"). Bursts are not published.
#[cfg(feature = "identity-center")]
pub(crate) mod identity_center {
    use super::{PublishedRate, rate};

    pub(crate) const ALL_OPERATIONS: PublishedRate = rate("IAM Identity Center", 20, 20);
    pub(crate) const DESCRIBE_GROUP: PublishedRate = rate("DescribeGroup", 20, 20);
    pub(crate) const LIST_GROUPS: PublishedRate = rate("ListGroups", 20, 20);
}

/// A pace for each rate that a gateway's calls are subject to.
#[derive(Debug)]
pub(crate) struct Paces {
    shares: u32,
    by_bucket: Mutex<HashMap<&'static str, Arc<Pace>>>,
}

impl Paces {
    /// Keeps to one of `shares` parts of each published rate (0: no pace), since the function's other
    /// invocations, deployment tools and the console use the same ones.
    #[must_use]
    pub(crate) fn new(shares: u32) -> Self {
        Self {
            shares,
            by_bucket: Mutex::default(),
        }
    }

    /// Waits until a call that counts against `rate` may be made.
    pub(crate) async fn wait(&self, rate: &PublishedRate) {
        self.pace(rate).wait().await;
    }

    fn pace(&self, rate: &PublishedRate) -> Arc<Pace> {
        let mut paces = self
            .by_bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let pace = paces
            .entry(rate.bucket)
            .or_insert_with(|| Arc::new(Pace::share(rate.quota, self.shares)));
        Arc::clone(pace)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn waits(paces: &Paces, rate: &PublishedRate) -> bool {
        let soon = Duration::from_millis(10);
        timeout(soon, paces.wait(rate)).await.is_err()
    }

    #[tokio::test]
    async fn each_bucket_has_its_own_pace() {
        let (one, other) = (rate("One", 1, 2), rate("Other", 1, 2));
        let paces = Paces::new(2);
        assert!(!waits(&paces, &one).await, "half of the burst");
        assert!(waits(&paces, &one).await);
        assert!(!waits(&paces, &other).await);
    }

    #[tokio::test]
    async fn without_shares_there_is_no_pace() {
        let paces = Paces::new(0);
        for _ in 0..100 {
            assert!(!waits(&paces, &rate("One", 1, 1)).await);
        }
    }
}
