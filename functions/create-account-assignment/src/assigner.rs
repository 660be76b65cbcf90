//! Doing a task, which may send itself again.

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    queue::{Queue, Reason},
    vending::{
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
    identity_center::IdentityCenter,
    progress::{NextAction, has_ended, indexes, made_progress, next_action, to_request},
};

/// What became of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is looked at again later.
    Waits,
    /// Its request is done.
    Succeeded,
    /// Its request has failed.
    Failed,
    /// There was nothing to do (any more).
    Already,
}

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[from] AwsCallError),
    /// Somebody else keeps changing the request.
    #[error("the request was changed by somebody else meanwhile")]
    Overtaken,
}

impl Reason for NotDone {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::Overtaken => true,
        }
    }
}

/// Does tasks.
#[derive(Debug)]
pub struct Assigner {
    /// The requests, and the places among the assignments under way.
    pub ledger: Ledger,
    /// Who gives access.
    pub identity_center: IdentityCenter,
    /// Where the task is sent again.
    pub queue: Queue,
    /// That queue's URL.
    pub queue_url: String,
    /// How many assignments may be under way.
    pub outstanding: Outstanding,
}

impl Assigner {
    /// Does what can be done of a task by `until`, and sends it again for the rest.
    ///
    /// The same task once more comes to the same end.
    ///
    /// # Errors
    /// If its message has to come back.
    pub async fn assign(&self, task: AssignTask, until: Instant) -> Result<Done, NotDone> {
        let Some(request) = self.under_way(&task).await? else {
            self.free_places(&task).await?;
            return Ok(Done::Already);
        };
        let Some(account) = &request.account_id else {
            // Only a person can have brought the item there: the file must not wait for ever.
            let message = "the account's id is not in the table of accounts".to_owned();
            return self.end(&task, &request, Err(message)).await;
        };
        let before = states_of(&task, request.access.len());
        let mut steps = before.clone();
        let mut trouble = self.poll(&mut steps, until).await;
        let asking = self.ask(&task, account, &request.access, &mut steps, until);
        trouble = asking.await.or(trouble);

        match next_action(&steps) {
            NextAction::Succeed => self.end(&task, &request, Ok(())).await,
            NextAction::Fail { index, reason } => {
                let message = refusal(&request.access[index], reason);
                self.end(&task, &request, Err(message)).await
            }
            NextAction::Wait => match trouble {
                // What is only busy never ends in the dead-letter queue, what is broken does.
                Some(error) if !is_busy(&error) && !made_progress(&before, &steps) => {
                    Err(error.into())
                }
                _ => {
                    self.free_ended(&task, &before, &mut steps).await;
                    self.send_follow_up(&task, steps).await?;
                    Ok(Done::Waits)
                }
            },
        }
    }

    /// The request of a task, if its access is still to be assigned.
    async fn under_way(&self, task: &AssignTask) -> Result<Option<AccountRequest>, AwsCallError> {
        let mut found = self.ledger.read([task.email.as_str()]).await?;
        Ok(found.remove(&task.email).filter(|request| {
            request.attempt == task.attempt && request.status == Status::Assigning
        }))
    }

    /// Asks what became of each access that was asked for; gives the last thing that went wrong.
    async fn poll(&self, steps: &mut [AssignmentState], until: Instant) -> Option<AwsCallError> {
        let mut trouble = None;
        for step in steps {
            let AssignmentState::Requested(id) = &*step else {
                continue;
            };
            if Instant::now() >= until {
                break;
            }
            match or_refused(self.identity_center.outcome(id).await) {
                Ok(now) => *step = now,
                Err(error) => trouble = Some(error),
            }
        }
        trouble
    }

    /// Asks for each access that is open, as far as there are places; gives the last thing that
    /// went wrong.
    async fn ask(
        &self,
        task: &AssignTask,
        account: &AccountId,
        accesses: &[Access],
        steps: &mut [AssignmentState],
        until: Instant,
    ) -> Option<AwsCallError> {
        let mut trouble = None;
        for place in to_request(steps) {
            if Instant::now() >= until {
                break;
            }
            match self
                .ledger
                .hold_assignment(&task.slot(place), self.outstanding.0)
                .await
            {
                Ok(true) => {}
                // Nor is there a place for the others.
                Ok(false) => break,
                Err(error) => return Some(error),
            }
            match or_refused(self.identity_center.ask(account, &accesses[place]).await) {
                Ok(AssignmentState::Refused(reason)) => {
                    steps[place] = AssignmentState::Refused(reason);
                    break;
                }
                Ok(now) => steps[place] = now,
                // It is this access only that somebody else is changing.
                Err(error) if error.class() == AwsErrorClass::Conflict => trouble = Some(error),
                Err(error) => return Some(error),
            }
        }
        trouble
    }

    /// Ends a request, for the reason in `outcome` if it failed, and gives its places back.
    async fn end(
        &self,
        task: &AssignTask,
        request: &AccountRequest,
        outcome: Result<(), String>,
    ) -> Result<Done, NotDone> {
        let (status, done) = match outcome {
            Ok(()) => (Status::Succeeded, Done::Succeeded),
            Err(_) => (Status::Failed, Done::Failed),
        };
        let outcome = Outcome {
            account_id: None,
            error_msg: outcome.err(),
        };
        let mut ended = self.ledger.advance(request, status, &outcome).await?;
        if !ended && let Some(fresh) = self.under_way(task).await? {
            // Another file waits for it now, too.
            ended = self.ledger.advance(&fresh, status, &outcome).await?;
            if !ended {
                return Err(NotDone::Overtaken);
            }
        }
        self.free_places(task).await?;
        Ok(if ended { done } else { Done::Already })
    }

    /// Gives back every place that the task's request holds.
    async fn free_places(&self, task: &AssignTask) -> Result<(), AwsCallError> {
        let held = self.ledger.assignments().await?;
        let own = held.into_iter().filter(|slot| task.holds(slot));
        self.ledger.release_assignments(own).await
    }

    /// Gives back the places of the accesses that have just ended. One whose place is still held has
    /// not: it is looked at again.
    async fn free_ended(
        &self,
        task: &AssignTask,
        before: &[AssignmentState],
        steps: &mut [AssignmentState],
    ) {
        let mut ended = indexes(steps, has_ended);
        ended.retain(|place| !has_ended(&before[*place]));
        let tokens = ended.iter().map(|place| task.slot(*place));
        if let Err(error) = self.ledger.release_assignments(tokens).await {
            tracing::warn!(%error, "places among the assignments are given back later");
            for place in ended {
                steps[place].clone_from(&before[place]);
            }
        }
    }

    async fn send_follow_up(
        &self,
        task: &AssignTask,
        states: Vec<AssignmentState>,
    ) -> Result<(), AwsCallError> {
        let (task, delay) = follow_up(task, states);
        let message = json!(AssignmentsTask::Assign(task)).to_string();
        self.queue
            .send(&self.queue_url, vec![(message, delay)])
            .await
    }
}

/// What asking again does not change is AWS's refusal.
fn or_refused(
    answer: Result<AssignmentState, AwsCallError>,
) -> Result<AssignmentState, AwsCallError> {
    match answer {
        Err(error) if !error.retryable() => {
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

/// What the person who asked for the account reads.
fn refusal(access: &Access, reason: &str) -> String {
    format!(
        "access of group {} with permission set {} was not given: {reason}",
        access.group_name, access.permission_set_name
    )
}
