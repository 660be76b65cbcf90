//! The task that is sent again while assignments are in progress.
//!
//! AWS creates an assignment asynchronously, so somebody has to poll. No function waits for that: the task
//! carries what is known and is sent again with a delay.

use std::time::Duration;

use orgkeeper_shared::vending::task::{AssignTask, AssignmentState};

use crate::progress::made_progress;

/// The seconds until the next poll, by the number of polls without progress.
const DELAYS: [u64; 9] = [1, 1, 1, 2, 3, 5, 10, 20, 30];

/// The state of each of a request's `assignments`, as the task knows it.
#[must_use]
pub fn states_of(task: &AssignTask, assignments: usize) -> Vec<AssignmentState> {
    let mut states = task.steps.clone();
    states.resize(assignments, AssignmentState::Open);
    states
}

/// The task that follows `task`, now that the assignments have these states, and its delay.
#[must_use]
pub fn follow_up(task: &AssignTask, states: Vec<AssignmentState>) -> (AssignTask, Duration) {
    let polls = if made_progress(&states_of(task, states.len()), &states) {
        0
    } else {
        task.polls.unwrap_or_default().saturating_add(1)
    };
    let next = AssignTask {
        steps: states,
        polls: Some(polls),
        ..task.clone()
    };
    (next, delay(polls))
}

fn delay(polls: u32) -> Duration {
    let polls = usize::try_from(polls).unwrap_or(usize::MAX);
    Duration::from_secs(DELAYS[polls.min(DELAYS.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(id: &str) -> AssignmentState {
        AssignmentState::Requested(id.to_owned())
    }

    #[test]
    fn the_first_task_knows_nothing() {
        let task = AssignTask::first("aws+payments@example.com", 1);
        assert_eq!(
            states_of(&task, 2),
            [AssignmentState::Open, AssignmentState::Open]
        );
    }

    #[test]
    fn the_delay_grows_until_there_is_progress() {
        let states = vec![requested("a"), AssignmentState::Open];
        let first = AssignTask::first("aws+payments@example.com", 1);
        let (mut task, mut delay) = follow_up(&first, states.clone());
        let mut delays = Vec::new();
        for _ in 0..11 {
            delays.push(delay.as_secs());
            (task, delay) = follow_up(&task, states.clone());
        }
        assert_eq!(delays, [1, 1, 1, 2, 3, 5, 10, 20, 30, 30, 30]);
        // A new id of the same assignment is no progress, its end is.
        let again = vec![requested("b"), AssignmentState::Open];
        (task, delay) = follow_up(&task, again);
        assert_eq!(delay.as_secs(), 30);
        let created = vec![AssignmentState::Created, AssignmentState::Open];
        (_, delay) = follow_up(&task, created);
        assert_eq!(delay.as_secs(), 1);
    }
}
