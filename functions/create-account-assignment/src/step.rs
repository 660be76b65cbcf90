//! Where each access of a request stands, and what is done next.

use serde::{Deserialize, Serialize};

/// Where an access stands. As JSON: `"open"`, `{"asked":"<request id>"}`, `"given"`, `{"refused":"<reason>"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// It has still to be asked for.
    #[default]
    Open,
    /// It was asked for: AWS's id of the request.
    Asked(String),
    /// The group has it.
    Given,
    /// The group does not get it: AWS's reason.
    Refused(String),
}

impl Step {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn ended(&self) -> bool {
        match self {
            Self::Open | Self::Asked(_) => false,
            Self::Given | Self::Refused(_) => true,
        }
    }

    fn rank(&self) -> usize {
        match self {
            Self::Open => 0,
            Self::Asked(_) => 1,
            Self::Given | Self::Refused(_) => 2,
        }
    }
}

/// What is done next about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// It is looked at again later.
    Wait,
    /// Every group has its access.
    Succeed,
    /// An access was refused, and AWS works on no other any more.
    Fail {
        /// The place of the access in the request.
        place: usize,
        /// AWS's reason.
        reason: &'a str,
    },
}

/// What is done next about a request whose accesses stand at `steps`.
///
/// A request does not end while AWS still works on a part of it: that counts against the quota.
#[must_use]
pub fn next(steps: &[Step]) -> Next<'_> {
    let under_way = steps.iter().any(|step| matches!(step, Step::Asked(_)));
    match refused(steps) {
        Some((place, reason)) if !under_way => Next::Fail { place, reason },
        None if steps.iter().all(|step| *step == Step::Given) => Next::Succeed,
        _ => Next::Wait,
    }
}

/// The places of the accesses to ask for: none more once one was refused.
#[must_use]
pub fn to_ask(steps: &[Step]) -> Vec<usize> {
    if refused(steps).is_some() {
        return Vec::new();
    }
    places(steps, |step| *step == Step::Open)
}

/// The places of the steps for which `is` holds.
pub fn places(steps: &[Step], is: impl Fn(&Step) -> bool) -> Vec<usize> {
    (0..steps.len())
        .filter(|place| is(&steps[*place]))
        .collect()
}

/// Whether an access got further from `before` to `after`. One that has to be asked for once more
/// did not.
#[must_use]
pub fn got_on(before: &[Step], after: &[Step]) -> bool {
    let far = |steps: &[Step]| steps.iter().map(Step::rank).sum::<usize>();
    far(after) > far(before)
}

fn refused(steps: &[Step]) -> Option<(usize, &str)> {
    steps
        .iter()
        .enumerate()
        .find_map(|(place, step)| match step {
            Step::Refused(reason) => Some((place, reason.as_str())),
            Step::Open | Step::Asked(_) | Step::Given => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Step {
        Step::Asked("a".to_owned())
    }

    fn no() -> Step {
        Step::Refused("role quota".to_owned())
    }

    #[test]
    fn what_is_done_next_follows_from_the_steps() {
        use Step::{Given, Open};
        let fail = |place| Next::Fail {
            place,
            reason: "role quota",
        };
        for (steps, then, to_be_asked) in [
            (vec![], Next::Succeed, vec![]),
            (vec![Given], Next::Succeed, vec![]),
            (vec![Given, Given], Next::Succeed, vec![]),
            (vec![Open], Next::Wait, vec![0]),
            (vec![asked()], Next::Wait, vec![]),
            (vec![Given, Open, asked(), Open], Next::Wait, vec![1, 3]),
            (vec![no()], fail(0), vec![]),
            (vec![Given, no()], fail(1), vec![]),
            // Of two the first is told.
            (vec![no(), no()], fail(0), vec![]),
            // What was not asked for is not, any more.
            (vec![Open, no(), Open], fail(1), vec![]),
            // What AWS works on is waited for.
            (vec![asked(), no(), Open], Next::Wait, vec![]),
        ] {
            assert_eq!(next(&steps), then, "{steps:?}");
            assert_eq!(to_ask(&steps), to_be_asked, "{steps:?}");
        }
    }

    #[test]
    fn only_a_step_further_is_getting_on() {
        let again = Step::Asked("b".to_owned());
        for (before, after, on) in [
            (Step::Open, asked(), true),
            (Step::Open, Step::Given, true),
            (asked(), Step::Given, true),
            (asked(), no(), true),
            (Step::Open, Step::Open, false),
            (asked(), asked(), false),
            (asked(), again, false),
            (asked(), Step::Open, false),
        ] {
            let (before, after) = ([before], [after]);
            assert_eq!(got_on(&before, &after), on, "{before:?} {after:?}");
        }
    }
}
