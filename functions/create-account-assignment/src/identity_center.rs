//! Asking IAM Identity Center for an access, and what became of it.

use aws_sdk_ssoadmin::{
    Client,
    types::{AccountAssignmentOperationStatus, PrincipalType, StatusValues, TargetType},
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    pace::{Pace, Quota},
    vending::{request::Access, task::AssignmentState},
};

use crate::config::InstanceArn;

/// Published rate of all operations of the service together ("IAM Identity Center quotas").
const ALL_OPERATIONS: Quota = Quota {
    per_second: 20,
    burst: 20,
};

/// The gateway to an instance of IAM Identity Center.
#[derive(Debug)]
pub struct IdentityCenter {
    client: Client,
    instance: InstanceArn,
    pace: Pace,
}

impl IdentityCenter {
    /// A gateway over `client` to `instance` that keeps to one of `shares` parts of the published rate.
    #[must_use]
    pub fn new(client: Client, instance: InstanceArn, shares: u32) -> Self {
        Self {
            client,
            instance,
            pace: Pace::share(ALL_OPERATIONS, shares),
        }
    }

    /// Asks for an access to `account`. One that the group has already is given again.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn ask(
        &self,
        account: &AccountId,
        access: &Access,
    ) -> Result<AssignmentState, AwsCallError> {
        self.pace.wait().await;
        let answer = self
            .client
            .create_account_assignment()
            .instance_arn(self.instance.as_str())
            .target_type(TargetType::AwsAccount)
            .target_id(account.as_str())
            .principal_type(PrincipalType::Group)
            .principal_id(&access.group_id)
            .permission_set_arn(&access.permission_set_arn)
            .send()
            .await
            .map_err(|error| {
                AwsCallError::new(Service::SsoAdmin, "CreateAccountAssignment", &error)
            })?;
        Ok(step_of(answer.account_assignment_creation_status, None))
    }

    /// What became of the request `id`; open if AWS does not know it (any more).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn outcome(&self, id: &str) -> Result<AssignmentState, AwsCallError> {
        self.pace.wait().await;
        let answer = self
            .client
            .describe_account_assignment_creation_status()
            .instance_arn(self.instance.as_str())
            .account_assignment_creation_request_id(id)
            .send()
            .await
            .map_err(|error| {
                let operation = "DescribeAccountAssignmentCreationStatus";
                AwsCallError::new(Service::SsoAdmin, operation, &error)
            });
        match answer {
            Ok(answer) => Ok(step_of(answer.account_assignment_creation_status, Some(id))),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(AssignmentState::Open),
            Err(error) => Err(error),
        }
    }
}

/// Where AWS's status puts an access whose request is `known` or named in it. Without an id nobody
/// could ask for the outcome: it is open.
fn step_of(
    status: Option<AccountAssignmentOperationStatus>,
    known: Option<&str>,
) -> AssignmentState {
    let status = status.unwrap_or_else(|| AccountAssignmentOperationStatus::builder().build());
    match status.status {
        Some(StatusValues::Succeeded) => AssignmentState::Created,
        Some(StatusValues::Failed) => AssignmentState::Refused(
            status
                .failure_reason
                .unwrap_or_else(|| "AWS gives no reason".to_owned()),
        ),
        _ => status
            .request_id
            .or_else(|| known.map(str::to_owned))
            .map_or(AssignmentState::Open, AssignmentState::Requested),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_step() {
        let status = |status: Option<StatusValues>, id: Option<&str>, reason: Option<&str>| {
            Some(
                AccountAssignmentOperationStatus::builder()
                    .set_status(status)
                    .set_request_id(id.map(str::to_owned))
                    .set_failure_reason(reason.map(str::to_owned))
                    .build(),
            )
        };
        let asked = |id: &str| AssignmentState::Requested(id.to_owned());
        let refused = |reason: &str| AssignmentState::Refused(reason.to_owned());
        let working = || Some(StatusValues::InProgress);
        for (status, known, step) in [
            (status(working(), Some("a"), None), None, asked("a")),
            (status(working(), None, None), Some("k"), asked("k")),
            (status(working(), None, None), None, AssignmentState::Open),
            (
                status(Some(StatusValues::from("QUEUED")), Some("a"), None),
                None,
                asked("a"),
            ),
            (
                status(Some(StatusValues::Succeeded), Some("a"), None),
                None,
                AssignmentState::Created,
            ),
            (
                status(Some(StatusValues::Failed), Some("a"), Some("role quota")),
                Some("k"),
                refused("role quota"),
            ),
            (
                status(Some(StatusValues::Failed), None, None),
                None,
                refused("AWS gives no reason"),
            ),
            (None, Some("k"), asked("k")),
            (None, None, AssignmentState::Open),
        ] {
            assert_eq!(step_of(status.clone(), known), step, "{status:?}");
        }
    }
}
