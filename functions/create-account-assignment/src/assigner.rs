//! Creating the assignments of a task, which is sent again until all of them exist.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, Severity, WHAT_TO_DO},
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::identity_center::{AssignmentStatus, IdentityCenter},
    idempotency::{Claim, IdempotencyTable},
    ids::AccountId,
    queue::{Queue, Reason},
    vending::{
        allowed::AllowedAccess,
        ledger::{Ledger, Outcome},
        request::{Access, AccountRequest, Status},
        task::{AssignTask, AssignmentState, AssignmentsTask},
    },
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    config::Outstanding,
    follow_up::{follow_up, states_of},
    progress::{NextAction, has_ended, indexes, made_progress, next_action, to_request},
};

/// The calls whose faults of the set-up let a request wait.
const OF_IDENTITY_CENTER: [&str; 2] = [
    "CreateAccountAssignment",
    "DescribeAccountAssignmentCreationStatus",
];
/// A fault of the set-up is tried again after so long.
const SET_UP_RETRY: Duration = Duration::from_mins(2);
/// A fault of the set-up that stays is published again after so long.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// How long another invocation waits before it publishes what this one may have published.
const CLAIMED: SignedDuration = SignedDuration::from_mins(3);

/// The outcome of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignOutcome {
    /// It was sent again, to poll later.
    Waiting,
    /// Its request succeeded.
    Succeeded,
    /// Its request failed.
    Failed,
    /// There was nothing to do (any more).
    NothingToDo,
}

/// The request of a task.
enum Current {
    /// Its access is to be assigned.
    Assigning(Box<AccountRequest>),
    /// The schedule has sent its assignments again: this message has nothing to do any more.
    SentAgain,
    /// It has ended, or there is another attempt.
    Other,
}

/// Why a task was not processed.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[from] AwsCallError),
    /// Other invocations keep changing the request.
    #[error("another invocation changed the request meanwhile")]
    Conflict,
}

impl Reason for AssignError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::Conflict => true,
        }
    }
}

/// Processes tasks.
#[derive(Debug)]
pub struct Assigner {
    /// The requests, and the assignment slots.
    pub ledger: Ledger,
    /// What creates assignments.
    pub identity_center: IdentityCenter,
    /// Where the task is sent again.
    pub queue: Queue,
    /// That queue's URL.
    pub queue_url: String,
    /// What may be assigned, independently of who wrote the request.
    pub allowed: AllowedAccess,
    /// The number of assignment slots.
    pub outstanding: Outstanding,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// Which of them were published.
    pub alerts_sent: IdempotencyTable,
    /// The Region that alerts name.
    pub region: String,
}

impl Assigner {
    /// Does what can be done of a task by `until`, and sends it again for the rest. Idempotent.
    ///
    /// # Errors
    /// If its message has to be retried.
    pub async fn assign(
        &self,
        task: AssignTask,
        until: Instant,
        now: Timestamp,
    ) -> Result<AssignOutcome, AssignError> {
        let request = match self.assigning(&task).await? {
            Current::Assigning(request) => request,
            // Its slots are those of the messages that were sent again.
            Current::SentAgain => return Ok(AssignOutcome::NothingToDo),
            Current::Other => {
                self.release_slots(&task).await?;
                return Ok(AssignOutcome::NothingToDo);
            }
        };
        let Some(account) = &request.account_id else {
            // Only a person can have written such an item: the file must not wait forever.
            let message = "the account's id is not in the table of accounts".to_owned();
            return self.end(&task, &request, Err(message)).await;
        };
        let before = states_of(&task, request.access.len());
        let mut states = before.clone();
        let mut last_error = self.poll(&mut states, until).await;
        let requesting = self.request(&task, account, &request.access, &mut states, until);
        last_error = requesting.await.or(last_error);

        match next_action(&states) {
            NextAction::Succeed => self.end(&task, &request, Ok(())).await,
            NextAction::Fail { index, reason } => {
                let message = refusal(&request.access[index], reason);
                self.end(&task, &request, Err(message)).await
            }
            NextAction::Wait => match last_error {
                Some(error) if is_of_the_set_up(&error) => {
                    self.tell_of_the_set_up(&error, now).await?;
                    self.release_ended(&task, &before, &mut states).await;
                    self.release_unused(&task, &states).await;
                    self.send_follow_up(&task, states, Some(SET_UP_RETRY))
                        .await?;
                    Ok(AssignOutcome::Waiting)
                }
                // A throttled task never ends in the dead-letter queue, one with another error does.
                Some(error) if !is_busy(&error) && !made_progress(&before, &states) => {
                    Err(error.into())
                }
                _ => {
                    self.release_ended(&task, &before, &mut states).await;
                    self.send_follow_up(&task, states, None).await?;
                    Ok(AssignOutcome::Waiting)
                }
            },
        }
    }

    /// The request of a task as it is now.
    async fn assigning(&self, task: &AssignTask) -> Result<Current, AwsCallError> {
        let mut found = self.ledger.read([task.email.as_str()]).await?;
        Ok(match found.remove(&task.email) {
            Some(request)
                if request.attempt == task.attempt && request.status == Status::Assigning =>
            {
                if task.chain < request.assign_chain {
                    Current::SentAgain
                } else {
                    Current::Assigning(Box::new(request))
                }
            }
            _ => Current::Other,
        })
    }

    /// Polls the assignments that were requested; gives the last error.
    async fn poll(&self, states: &mut [AssignmentState], until: Instant) -> Option<AwsCallError> {
        let mut last_error = None;
        for state in states {
            let AssignmentState::Requested(id) = &*state else {
                continue;
            };
            if Instant::now() >= until {
                break;
            }
            let polled = self.identity_center.assignment_status(id).await;
            let polled = polled.map(|answer| match answer {
                Some(now) => state_of(now, Some(id)),
                // AWS does not know the request any more: it is made again.
                None => AssignmentState::Open,
            });
            match or_refused(polled) {
                Ok(now) => *state = now,
                Err(error) => last_error = Some(error),
            }
        }
        last_error
    }

    /// Requests each assignment that is open, while there are free slots; gives the last error.
    async fn request(
        &self,
        task: &AssignTask,
        account: &AccountId,
        accesses: &[Access],
        states: &mut [AssignmentState],
        until: Instant,
    ) -> Option<AwsCallError> {
        let mut last_error = None;
        for index in to_request(states) {
            if Instant::now() >= until {
                break;
            }
            if let Some(reason) = self.allowed.refusal(&accesses[index]) {
                states[index] = AssignmentState::Refused(reason);
                break;
            }
            match self
                .ledger
                .claim_assignment_slot(&task.slot(index), self.outstanding.0)
                .await
            {
                Ok(true) => {}
                // Nor is there a free slot for the others.
                Ok(false) => break,
                Err(error) => return Some(error),
            }
            let Access {
                principal,
                group_id,
                permission_set_arn,
                ..
            } = &accesses[index];
            let requested = self
                .identity_center
                .create_assignment(account, (*principal, group_id), permission_set_arn)
                .await;
            match or_refused(requested.map(|status| state_of(status, None))) {
                Ok(AssignmentState::Refused(reason)) => {
                    states[index] = AssignmentState::Refused(reason);
                    break;
                }
                Ok(now) => states[index] = now,
                // Only this assignment is being changed by others.
                Err(error) if error.class() == AwsErrorClass::Conflict => last_error = Some(error),
                Err(error) => return Some(error),
            }
        }
        last_error
    }

    /// Ends a request, for the reason in `outcome` if it failed, and releases its slots.
    async fn end(
        &self,
        task: &AssignTask,
        request: &AccountRequest,
        outcome: Result<(), String>,
    ) -> Result<AssignOutcome, AssignError> {
        let (status, done) = match outcome {
            Ok(()) => (Status::Succeeded, AssignOutcome::Succeeded),
            Err(_) => (Status::Failed, AssignOutcome::Failed),
        };
        let outcome = Outcome {
            error_msg: outcome.err(),
            ..Outcome::default()
        };
        let mut ended = self.ledger.advance(request, status, &outcome).await?;
        if !ended && let Current::Assigning(fresh) = self.assigning(task).await? {
            // Another file has joined it.
            ended = self.ledger.advance(&fresh, status, &outcome).await?;
            if !ended {
                return Err(AssignError::Conflict);
            }
        }
        self.release_slots(task).await?;
        Ok(if ended {
            done
        } else {
            AssignOutcome::NothingToDo
        })
    }

    /// Releases every slot that the task's request holds.
    async fn release_slots(&self, task: &AssignTask) -> Result<(), AwsCallError> {
        let held = self.ledger.assignment_slots().await?;
        let own = held.into_iter().filter(|slot| task.holds(slot));
        self.ledger.release_assignment_slots(own).await
    }

    /// Releases the slots of the assignments that have just ended. One whose slot could not be released
    /// keeps its former state, so that it is polled again.
    async fn release_ended(
        &self,
        task: &AssignTask,
        before: &[AssignmentState],
        states: &mut [AssignmentState],
    ) {
        let mut ended = indexes(states, has_ended);
        ended.retain(|index| !has_ended(&before[*index]));
        let slots = ended.iter().map(|index| task.slot(*index));
        if let Err(error) = self.ledger.release_assignment_slots(slots).await {
            tracing::warn!(%error, "assignment slots could not be released: retried later");
            for index in ended {
                states[index].clone_from(&before[index]);
            }
        }
    }

    /// Releases the slots of assignments that are not requested: they would be held in vain until the set-up is changed.
    async fn release_unused(&self, task: &AssignTask, states: &[AssignmentState]) {
        let open = indexes(states, |state| *state == AssignmentState::Open);
        let slots = open.iter().map(|index| task.slot(*index));
        if let Err(error) = self.ledger.release_assignment_slots(slots).await {
            tracing::warn!(%error, "assignment slots could not be released: the schedule does it");
        }
    }

    /// Publishes once a day that access cannot be assigned before somebody changes the set-up.
    async fn tell_of_the_set_up(
        &self,
        error: &AwsCallError,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let id = format!("set-up#{}#{:?}", error.operation(), error.class());
        let until = (now + CLAIMED).as_millisecond();
        let again = (now + TOLD_AGAIN).as_second();
        match self
            .alerts_sent
            .claim(&id, now.as_millisecond(), until, again)
            .await?
        {
            Claim::Claimed => {}
            Claim::Completed | Claim::InProgress => return Ok(()),
        }
        let alert = set_up_alert(error, &self.region, now);
        if let Err(error) = self.topics.publish(&alert).await {
            self.alerts_sent.release(&id).await?;
            return Err(error);
        }
        self.alerts_sent.complete(&id).await
    }

    async fn send_follow_up(
        &self,
        task: &AssignTask,
        states: Vec<AssignmentState>,
        later: Option<Duration>,
    ) -> Result<(), AwsCallError> {
        let (task, delay) = follow_up(task, states);
        let delay = later.unwrap_or(delay);
        let message = json!(AssignmentsTask::Assign(task)).to_string();
        self.queue
            .send(&self.queue_url, vec![(message, delay)])
            .await
    }
}

/// The state of an assignment whose request has this status. `known` is the request's id, if that is known;
/// without an id the request is made again.
fn state_of(status: AssignmentStatus, known: Option<&str>) -> AssignmentState {
    match status {
        AssignmentStatus::Succeeded => AssignmentState::Created,
        AssignmentStatus::Failed(reason) => AssignmentState::Refused(reason),
        AssignmentStatus::InProgress(id) => id
            .or_else(|| known.map(str::to_owned))
            .map_or(AssignmentState::Open, AssignmentState::Requested),
    }
}

/// The alert that access cannot be assigned before somebody changes the set-up.
fn set_up_alert(error: &AwsCallError, region: &str, now: Timestamp) -> Alert {
    let details = [
        ("AWS says", error.in_words().to_owned()),
        (
            "Meanwhile",
            "accounts are created and wait for their access; none has failed".to_owned(),
        ),
        (
            WHAT_TO_DO,
            "allow the role of create-account-assignment what AWS names above, or ask AWS for a higher quota of IAM \
             Identity Center; access is then assigned by itself"
                .to_owned(),
        ),
    ];
    Alert {
        severity: Severity::Error,
        kind: "accounts.set-up".to_owned(),
        title: "No access can be assigned until the set-up is changed".to_owned(),
        account: None,
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("accounts.set-up#{}", error.operation()),
    }
}

/// Whether somebody has to change the set-up: the row is not wrong.
fn is_of_the_set_up(error: &AwsCallError) -> bool {
    OF_IDENTITY_CENTER.contains(&error.operation())
        && matches!(error.class(), AwsErrorClass::Denied | AwsErrorClass::SetUp)
}

/// A permanent error is AWS's refusal, unless it is about the set-up.
fn or_refused(
    answer: Result<AssignmentState, AwsCallError>,
) -> Result<AssignmentState, AwsCallError> {
    match answer {
        Err(error) if !error.retryable() && !is_of_the_set_up(&error) => {
            Ok(AssignmentState::Refused(error.in_words().to_owned()))
        }
        answer => answer,
    }
}

/// Whether AWS or a table only has too much to do.
fn is_busy(error: &AwsCallError) -> bool {
    matches!(
        error.class(),
        AwsErrorClass::Throttled | AwsErrorClass::Conflict
    )
}

/// The reason in the results.
fn refusal(access: &Access, reason: &str) -> String {
    format!(
        "access of {} {} with permission set {} was not given: {reason}",
        access.principal.in_words(),
        access.group_name,
        access.permission_set_name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_progress_needs_an_id() {
        let in_progress = |id: Option<&str>| AssignmentStatus::InProgress(id.map(str::to_owned));
        let requested = |id: &str| AssignmentState::Requested(id.to_owned());
        for (status, known, state) in [
            (in_progress(Some("a")), None, requested("a")),
            (in_progress(None), Some("k"), requested("k")),
            (in_progress(None), None, AssignmentState::Open),
            (
                AssignmentStatus::Succeeded,
                Some("k"),
                AssignmentState::Created,
            ),
            (
                AssignmentStatus::Failed("role quota".to_owned()),
                Some("k"),
                AssignmentState::Refused("role quota".to_owned()),
            ),
        ] {
            assert_eq!(state_of(status.clone(), known), state, "{status:?}");
        }
    }
}
