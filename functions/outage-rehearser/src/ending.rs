//! How a policy is taken away: by the function, and by `orgkeeper rehearsal end` where the function is broken.

use orgkeeper_shared::{aws_error::AwsCallError, gateway::organizations::Organizations};

use crate::{
    gateway::{policies::Policies, schedules::Schedules},
    plan::OwnPolicy,
    record::Record,
};

/// Takes policies away.
#[derive(Debug)]
pub struct Ending {
    /// The policies.
    pub policies: Policies,
    /// Their schedules.
    pub schedules: Schedules,
    /// Where their tags are read.
    pub organizations: Organizations,
}

impl Ending {
    /// The policies of ours.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn own(&self) -> Result<Vec<OwnPolicy>, AwsCallError> {
        self.policies.own(&self.organizations).await
    }

    /// Detaches a policy from whatever it is attached to, and deletes it with its schedule. After a crash it goes on where it was.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn remove(&self, policy: &str) -> Result<(), AwsCallError> {
        for target in self.policies.targets(policy).await? {
            self.policies.detach(policy, &target).await?;
        }
        self.policies.delete(policy).await?;
        self.schedules.delete(policy).await
    }

    /// Removes every policy of a rehearsal: those that exist, and the one that its record names.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn remove_all(&self, record: &Record, own: &[OwnPolicy]) -> Result<(), AwsCallError> {
        let existing = own
            .iter()
            .filter(|policy| policy.rehearsal == record.id)
            .map(|policy| policy.id.as_str());
        let mut ids: Vec<&str> = existing.chain(record.policy_id.as_deref()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            self.remove(id).await?;
        }
        Ok(())
    }
}
