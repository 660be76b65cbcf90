//! The schedules that detach policies, once, without any function of ours.

use aws_sdk_scheduler::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
    },
};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    calls::{Calls, calls},
};
use serde_json::json;

use crate::rehearsal::POLICY_PREFIX;

/// By whose right a schedule detaches, and where it reports that it could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndsBy {
    /// The ARN of the role.
    pub role: String,
    /// The ARN of the dead-letter queue.
    pub dead_letter_queue: String,
}

/// The gateway.
#[derive(Debug)]
pub struct Schedules {
    client: Client,
}

impl Schedules {
    /// What it calls.
    pub const CALLS: Calls = calls(
        &["scheduler:CreateSchedule", "scheduler:DeleteSchedule"],
        &[
            "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/default/orgkeeper-rehearsal-*",
        ],
    );
    /// What a schedule needs to have a role.
    pub const PASS_ROLE: &[&str] = &["iam:PassRole"];

    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Has a policy detached from its target at this time, by AWS itself.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn detach_at(
        &self,
        time: Timestamp,
        policy: &str,
        target: &str,
        ends_by: &EndsBy,
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "CreateSchedule";
        let refused = |error| {
            let error = SdkError::construction_failure(error);
            failed::<aws_sdk_scheduler::operation::create_schedule::CreateScheduleError>(
                OPERATION, &error,
            )
        };
        let partition = ends_by.role.split(':').nth(1).unwrap_or("aws");
        let target = Target::builder()
            .arn(format!(
                "arn:{partition}:scheduler:::aws-sdk:organizations:detachPolicy"
            ))
            .role_arn(&ends_by.role)
            .input(json!({ "PolicyId": policy, "TargetId": target }).to_string())
            .dead_letter_config(
                DeadLetterConfig::builder()
                    .arn(&ends_by.dead_letter_queue)
                    .build(),
            )
            .build()
            .map_err(refused)?;
        let exactly = FlexibleTimeWindow::builder()
            .mode(FlexibleTimeWindowMode::Off)
            .build()
            .map_err(refused)?;
        let answer = self
            .client
            .create_schedule()
            .name(name_of(policy))
            .description("orgkeeper: ends a rehearsal, whatever else fails")
            .schedule_expression(format!("at({})", time.strftime("%Y-%m-%dT%H:%M:%S")))
            .flexible_time_window(exactly)
            .action_after_completion(ActionAfterCompletion::Delete)
            // The same call again is the same schedule.
            .client_token(name_of(policy))
            .target(target)
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error));
        match answer {
            Err(error) if error.class() != AwsErrorClass::ConditionFailed => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the schedule of a policy, if it exists.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn delete(&self, policy: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .delete_schedule()
            .name(name_of(policy))
            .send()
            .await
            .map_err(|error| failed("DeleteSchedule", &error));
        match answer {
            Err(error) if error.class() != AwsErrorClass::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The name of a policy's schedule.
fn name_of(policy: &str) -> String {
    format!("{POLICY_PREFIX}{policy}")
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Scheduler, operation, error)
}
