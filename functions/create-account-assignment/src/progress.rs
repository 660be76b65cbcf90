//! How far the assignments of a request are, and what is done next.

use orgkeeper_shared::vending::task::AssignmentState;

/// What is done next about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction<'a> {
    /// Poll again later.
    Wait,
    /// End the request: every assignment exists.
    Succeed,
    /// End the request: an assignment was refused, and none is in progress any more.
    Fail {
        /// The index of the refused assignment.
        index: usize,
        /// AWS's reason.
        reason: &'a str,
    },
}

/// What is done next about a request whose assignments have these states.
///
/// A request does not end while an assignment is in progress: that one counts against AWS's quota.
#[must_use]
pub fn next_action(states: &[AssignmentState]) -> NextAction<'_> {
    let in_progress = states
        .iter()
        .any(|state| matches!(state, AssignmentState::Requested(_)));
    let all_created = states
        .iter()
        .all(|state| *state == AssignmentState::Created);
    match first_refused(states) {
        Some((index, reason)) if !in_progress => NextAction::Fail { index, reason },
        None if all_created => NextAction::Succeed,
        _ => NextAction::Wait,
    }
}

/// The indexes of the assignments to request: none once one was refused.
#[must_use]
pub fn to_request(states: &[AssignmentState]) -> Vec<usize> {
    if first_refused(states).is_some() {
        return Vec::new();
    }
    indexes(states, |state| *state == AssignmentState::Open)
}

/// The indexes of the states for which `is` holds.
pub fn indexes(states: &[AssignmentState], is: impl Fn(&AssignmentState) -> bool) -> Vec<usize> {
    (0..states.len())
        .filter(|index| is(&states[*index]))
        .collect()
}

/// Whether nothing more happens to an assignment in this state.
#[must_use]
pub fn has_ended(state: &AssignmentState) -> bool {
    rank(state) == 2
}

/// Whether an assignment made progress from `before` to `after`. One that is requested once more did not.
#[must_use]
pub fn made_progress(before: &[AssignmentState], after: &[AssignmentState]) -> bool {
    let sum = |states: &[AssignmentState]| states.iter().map(rank).sum::<usize>();
    sum(after) > sum(before)
}

fn rank(state: &AssignmentState) -> usize {
    match state {
        AssignmentState::Open => 0,
        AssignmentState::Requested(_) => 1,
        AssignmentState::Created | AssignmentState::Refused(_) => 2,
    }
}

fn first_refused(states: &[AssignmentState]) -> Option<(usize, &str)> {
    states
        .iter()
        .enumerate()
        .find_map(|(index, state)| match state {
            AssignmentState::Refused(reason) => Some((index, reason.as_str())),
            AssignmentState::Open | AssignmentState::Requested(_) | AssignmentState::Created => {
                None
            }
        })
}

#[cfg(test)]
mod tests {
    use super::{
        AssignmentState::{Created, Open, Refused, Requested},
        *,
    };

    fn requested() -> AssignmentState {
        Requested("a".to_owned())
    }

    fn refused() -> AssignmentState {
        Refused("role quota".to_owned())
    }

    #[test]
    fn the_next_action_follows_from_the_states() {
        let fail = |index| NextAction::Fail {
            index,
            reason: "role quota",
        };
        for (states, action, requests) in [
            (vec![], NextAction::Succeed, vec![]),
            (vec![Created], NextAction::Succeed, vec![]),
            (vec![Created, Created], NextAction::Succeed, vec![]),
            (vec![Open], NextAction::Wait, vec![0]),
            (vec![requested()], NextAction::Wait, vec![]),
            (
                vec![Created, Open, requested(), Open],
                NextAction::Wait,
                vec![1, 3],
            ),
            (vec![refused()], fail(0), vec![]),
            (vec![Created, refused()], fail(1), vec![]),
            // Of two the first is reported.
            (vec![refused(), refused()], fail(0), vec![]),
            // After a refusal nothing more is requested.
            (vec![Open, refused(), Open], fail(1), vec![]),
            // What is in progress is waited for.
            (vec![requested(), refused(), Open], NextAction::Wait, vec![]),
        ] {
            assert_eq!(next_action(&states), action, "{states:?}");
            assert_eq!(to_request(&states), requests, "{states:?}");
        }
    }

    #[test]
    fn only_a_later_state_is_progress() {
        let again = Requested("b".to_owned());
        for (before, after, progress) in [
            (Open, requested(), true),
            (Open, Created, true),
            (requested(), Created, true),
            (requested(), refused(), true),
            (Open, Open, false),
            (requested(), requested(), false),
            (requested(), again, false),
            (requested(), Open, false),
        ] {
            let (before, after) = ([before], [after]);
            assert_eq!(
                made_progress(&before, &after),
                progress,
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn an_assignment_has_ended_when_it_exists_or_was_refused() {
        for (state, ended) in [
            (Open, false),
            (requested(), false),
            (Created, true),
            (refused(), true),
        ] {
            assert_eq!(has_ended(&state), ended, "{state:?}");
        }
    }
}
